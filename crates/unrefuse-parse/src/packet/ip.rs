//! IP headers, checked at every step.
//!
//! Own code on purpose: etherparse 0.20 was tried, and its walk over IPv6 extension headers (`Ipv6ExtensionsSlice`'s
//! iterator on a lax slice) reads past the end of a packet whose chain breaks off; the fuzz target found it within a
//! minute.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

// Protocol numbers (IANA).
pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;

/// What matters of the IP headers, and what comes after all of them.
pub(super) struct Ip<'a> {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) ttl: u8,
    pub(super) tos: u8,
    pub(super) flow_label: Option<u32>,
    pub(super) ip_id: Option<u16>,
    pub(super) protocol: u8,
    pub(super) payload: &'a [u8],
}

impl<'a> Ip<'a> {
    /// The headers of a packet that is whole or the first fragment.
    ///
    /// A packet may end before its length field says (a quoted one does by nature); what is behind that length
    /// (padding) is left out.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Self::v4(bytes),
            6 => Self::v6(bytes),
            _ => None,
        }
    }

    /// RFC 791, 3.1.
    fn v4(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.first_chunk::<20>()?;
        let header_len = usize::from(header[0] & 0xf) * 4;
        let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let fragment_offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
        if header_len < 20 || fragment_offset != 0 {
            return None;
        }
        // Length 0: a segment that the network card has yet to cut up (TSO), or a raw quote of one.
        let end = if total_len == 0 { bytes.len() } else { total_len.min(bytes.len()) };
        Some(Self {
            src: IpAddr::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15])),
            dst: IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19])),
            ttl: header[8],
            tos: header[1],
            flow_label: None,
            ip_id: Some(u16::from_be_bytes([header[4], header[5]])),
            protocol: header[9],
            payload: bytes.get(header_len..end)?,
        })
    }

    /// RFC 8200, section 3.
    fn v6(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<40>()?;
        let first_word = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        let payload_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
        // Length 0: a jumbogram (RFC 2675), or not filled in yet.
        let rest = if payload_len == 0 { rest } else { &rest[..payload_len.min(rest.len())] };
        let (protocol, payload) = upper_layer(header[6], rest)?;
        let address = |at: usize| {
            let mut octets = [0; 16];
            octets.copy_from_slice(&header[at..at + 16]);
            IpAddr::V6(Ipv6Addr::from(octets))
        };
        Some(Self {
            src: address(8),
            dst: address(24),
            ttl: header[7],
            tos: (first_word >> 20) as u8,
            flow_label: Some(first_word & 0xf_ffff),
            ip_id: None,
            protocol,
            payload,
        })
    }
}

/// What stands behind the extension headers (RFC 8200, section 4). `None`: the chain is cut off, or it is a fragment
/// other than the first. Each header is at least 8 bytes long, so the walk ends.
fn upper_layer(mut next: u8, mut rest: &[u8]) -> Option<(u8, &[u8])> {
    loop {
        let length = match next {
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY => 8 + usize::from(*rest.get(1)?) * 8,
            // RFC 4302, 2.2: in words of four bytes, less two.
            AUTHENTICATION => 8 + usize::from(*rest.get(1)?) * 4,
            FRAGMENT => {
                let offset = u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]) >> 3;
                if offset != 0 {
                    return None;
                }
                8
            }
            _ => return Some((next, rest)),
        };
        next = *rest.first()?;
        rest = rest.get(length..)?;
    }
}

//! Answers as a packet socket sees them: bytes that begin at the IP header (packet(7), `SOCK_DGRAM`).
//!
//! A RST to a SYN that carried TOS 0x48, captured on loopback:
//! ```text
//! 4548 0028 0000 4000 4006 3c86 7f000001 7f000001   IPv4, TOS 0x48, id 0, DF, TTL 64, TCP
//! 0001 e240 00000000 ed99f48c 5014 0000 ed65 0000   from port 1, RST and ACK
//! ```
//! IPv6 extension headers are passed over, fragments known. Checksums are not verified: on
//! loopback and with offloading they are not filled in yet when a packet socket sees the packet. A fragment other than
//! the first has no transport header and gives nothing.

mod ip;

use ip::Ip;
use std::net::{IpAddr, SocketAddr};
use unrefuse_facts::Transport;

/// Control bits of a TCP segment (RFC 9293).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are those of RFC 9293")]
pub struct TcpFlags {
    pub fin: bool,
    pub syn: bool,
    pub rst: bool,
    pub psh: bool,
    pub ack: bool,
    pub urg: bool,
}

/// A TCP segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpAnswer {
    /// Sender.
    pub src: SocketAddr,
    /// Receiver.
    pub dst: SocketAddr,
    /// Control bits.
    pub flags: TcpFlags,
    /// TTL or hop limit as it arrived.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// Flow label (IPv6 only).
    pub flow_label: Option<u32>,
    /// Identification of the IP header (IPv4 only).
    pub ip_id: Option<u16>,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number; means something only with ACK.
    pub ack_no: u32,
}

/// An ICMP or ICMPv6 error about a TCP or UDP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    /// Who signed it.
    pub from: IpAddr,
    /// TTL or hop limit as it arrived.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// ICMP type (RFC 792, RFC 4443).
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
    /// Protocol of the packet it is about.
    pub quoted_transport: Transport,
    /// Sender of that packet.
    pub quoted_src: SocketAddr,
    /// Receiver of that packet.
    pub quoted_dst: SocketAddr,
}

/// An answer to a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EchoReply {
    /// Who answers.
    pub from: IpAddr,
    /// TTL or hop limit as it arrived.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// Identifier, as in the request.
    pub id: u16,
    /// Sequence number, as in the request.
    pub seq: u16,
}

/// The TCP segment in an IPv4 or IPv6 packet; `None` where there is none or its header is cut off.
pub fn tcp(bytes: &[u8]) -> Option<TcpAnswer> {
    let ip = Ip::read(bytes)?;
    if ip.protocol != ip::TCP {
        return None;
    }
    // RFC 9293, 3.1: ports, sequence and acknowledgment number, data offset, control bits.
    let header = ip.payload.first_chunk::<20>()?;
    let words = usize::from(header[12] >> 4);
    if words < 5 || ip.payload.len() < words * 4 {
        return None;
    }
    let bit = |bit: u8| header[13] & bit != 0;
    Some(TcpAnswer {
        src: SocketAddr::new(ip.src, be16(header, 0)),
        dst: SocketAddr::new(ip.dst, be16(header, 2)),
        flags: TcpFlags {
            fin: bit(0x01),
            syn: bit(0x02),
            rst: bit(0x04),
            psh: bit(0x08),
            ack: bit(0x10),
            urg: bit(0x20),
        },
        ttl: ip.ttl,
        tos: ip.tos,
        flow_label: ip.flow_label,
        ip_id: ip.ip_id,
        seq: be32(header, 4),
        ack_no: be32(header, 8),
    })
}

fn be16<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The ICMP error in a packet, where it is about TCP or UDP and quotes enough to tell which ports.
///
/// Errors are types 3, 4, 11 and 12 of ICMP (RFC 1122, 3.2.2) and 1 to 4 of ICMPv6 (RFC 4443).
pub fn icmp_error(bytes: &[u8]) -> Option<IcmpError> {
    let ip = Ip::read(bytes)?;
    let (head, quote) = ip.payload.split_at_checked(8)?;
    let (icmp_type, icmp_code) = (head[0], head[1]);
    let is_error = match ip.protocol {
        ip::ICMP => ip.src.is_ipv4() && matches!(icmp_type, 3 | 4 | 11 | 12),
        ip::ICMPV6 => ip.src.is_ipv6() && matches!(icmp_type, 1..=4),
        _ => false,
    };
    if !is_error {
        return None;
    }
    let quoted = Ip::read(quote)?;
    let quoted_transport = match quoted.protocol {
        ip::TCP => Transport::Tcp,
        ip::UDP => Transport::Udp,
        _ => return None,
    };
    // The first 8 bytes are all that RFC 792 promises; both protocols begin with their ports.
    let ports = quoted.payload.first_chunk::<4>()?;
    Some(IcmpError {
        from: ip.src,
        ttl: ip.ttl,
        tos: ip.tos,
        icmp_type,
        icmp_code,
        quoted_transport,
        quoted_src: SocketAddr::new(quoted.src, be16(ports, 0)),
        quoted_dst: SocketAddr::new(quoted.dst, be16(ports, 2)),
    })
}

/// The echo reply in a packet (ICMP type 0, ICMPv6 type 129).
pub fn echo_reply(bytes: &[u8]) -> Option<EchoReply> {
    let ip = Ip::read(bytes)?;
    let head = ip.payload.first_chunk::<8>()?;
    let reply = match ip.protocol {
        ip::ICMP => ip.src.is_ipv4() && head[..2] == [0, 0],
        ip::ICMPV6 => ip.src.is_ipv6() && head[..2] == [129, 0],
        _ => false,
    };
    reply.then(|| EchoReply { from: ip.src, ttl: ip.ttl, tos: ip.tos, id: be16(head, 4), seq: be16(head, 6) })
}

#[cfg(test)]
mod tests;

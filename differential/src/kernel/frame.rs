//! Ethernet frames: those that are sent, and what is read from those that come out.

use super::services::LONGEST;
use crate::probe::{Probe, flag, proto};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A packet that came out of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// 0: the clients' side, 1: the servers'.
    pub(crate) side: usize,
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) proto: u8,
    /// Source port; ICMP: the identifier.
    pub(crate) sport: u16,
    /// Destination port; ICMP: type and code.
    pub(crate) dport: u16,
    pub(crate) flags: u8,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) tos: u8,
    pub(crate) ttl: u8,
    /// IPv4: identification; IPv6: flow label.
    pub(crate) id: u32,
    /// The TCP option.
    pub(crate) mss: Option<u16>,
    /// Bytes behind the transport header.
    pub(crate) payload: Vec<u8>,
}

/// A packet to be sent into the host.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) from_mac: [u8; 6],
    pub(crate) to_mac: [u8; 6],
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) proto: u8,
    pub(crate) sport: u16,
    pub(crate) dport: u16,
    pub(crate) flags: u8,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) tos: u8,
    pub(crate) ttl: u8,
    pub(crate) id: u32,
    pub(crate) payload: Vec<u8>,
}

impl Packet {
    /// The packet of a probe, recognizable by `id` when it comes out again.
    pub(crate) fn of(probe: &Probe, to_mac: [u8; 6], id: u32) -> Self {
        let unspecified =
            if probe.v6() { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        Self {
            from_mac: probe.mac,
            to_mac,
            src: probe.src.unwrap_or(unspecified),
            dst: probe.dst,
            proto: probe.proto,
            sport: probe.sport,
            dport: probe.dport,
            flags: flag::SYN,
            seq: id,
            ack: 0,
            tos: probe.tos,
            ttl: probe.ttl,
            id,
            payload: vec![0; probe.payload.into()],
        }
    }

    /// What the far end answers to a packet that came out: SYN-ACK, the same datagram back, or an echo reply.
    pub(crate) fn answer(seen: &Seen, to_mac: [u8; 6]) -> Self {
        let reply = match (seen.proto, seen.dport >> 8) {
            (proto::ICMP, 8) => 0,
            (proto::ICMP6, 128) => 129 << 8,
            _ => seen.sport,
        };
        let icmp = matches!(seen.proto, proto::ICMP | proto::ICMP6);
        let (sport, dport) = if icmp { (seen.sport, reply) } else { (seen.dport, seen.sport) };
        Self {
            from_mac: [2, 0, 0, 0, 9, 9],
            to_mac,
            src: seen.dst,
            dst: seen.src,
            proto: seen.proto,
            sport,
            dport,
            flags: flag::SYN | flag::ACK,
            seq: 77,
            ack: seen.seq.wrapping_add(1),
            tos: 0,
            ttl: 64,
            id: seen.id ^ 0x8000,
            payload: if icmp { seen.payload.clone() } else { seen.payload.iter().copied().take(LONGEST).collect() },
        }
    }

    /// The frame.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut transport = self.transport();
        let at = match self.proto {
            proto::TCP => 16,
            proto::UDP => 6,
            _ => 2,
        };
        let sum = self.checksum(&transport);
        transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        let mut frame = Vec::with_capacity(64 + transport.len());
        frame.extend(self.to_mac);
        frame.extend(self.from_mac);
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                frame.extend([8, 0]);
                let mut head = [0; 20];
                head[0] = 0x45;
                head[1] = self.tos;
                head[2..4].copy_from_slice(&((20 + transport.len()) as u16).to_be_bytes());
                head[4..6].copy_from_slice(&(self.id as u16).to_be_bytes());
                head[6] = 0x40;
                head[8] = self.ttl;
                head[9] = self.proto;
                head[12..16].copy_from_slice(&src.octets());
                head[16..20].copy_from_slice(&dst.octets());
                let sum = fold(add(0, &head));
                head[10..12].copy_from_slice(&sum.to_be_bytes());
                frame.extend(head);
            }
            (src, dst) => {
                frame.extend([0x86, 0xdd]);
                let word = 6 << 28 | u32::from(self.tos) << 20 | self.id & 0xfffff;
                frame.extend(word.to_be_bytes());
                frame.extend((transport.len() as u16).to_be_bytes());
                frame.extend([self.proto, self.ttl]);
                frame.extend(octets(src));
                frame.extend(octets(dst));
            }
        }
        frame.extend(transport);
        frame
    }

    fn transport(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self.proto {
            proto::TCP => {
                out.extend(self.sport.to_be_bytes());
                out.extend(self.dport.to_be_bytes());
                out.extend(self.seq.to_be_bytes());
                out.extend(self.ack.to_be_bytes());
                // 24 bytes: the MSS option.
                out.extend([0x60, self.flags, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 0x05, 0xb4]);
            }
            proto::UDP => {
                out.extend(self.sport.to_be_bytes());
                out.extend(self.dport.to_be_bytes());
                out.extend(((8 + self.payload.len()) as u16).to_be_bytes());
                out.extend([0, 0]);
                out.extend(&self.payload);
            }
            proto::ICMP | proto::ICMP6 => {
                out.extend(self.dport.to_be_bytes());
                out.extend([0, 0]);
                out.extend(self.sport.to_be_bytes());
                out.extend([0, 1]);
                out.extend(&self.payload);
            }
            _ => out.extend([0; 8]),
        }
        out
    }

    fn checksum(&self, transport: &[u8]) -> u16 {
        let mut sum = 0;
        if self.proto != proto::ICMP {
            sum = add(sum, &octets(self.src));
            sum = add(sum, &octets(self.dst));
            sum += u32::from(self.proto) + transport.len() as u32;
        }
        match fold(add(sum, transport)) {
            0 if self.proto == proto::UDP => 0xffff,
            sum => sum,
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().into(),
        IpAddr::V6(a) => a.octets().into(),
    }
}

fn add(sum: u32, bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .fold(sum, |sum, pair| sum + u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn v6_at(bytes: &[u8], at: usize) -> Option<IpAddr> {
    let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(IpAddr::from(octets))
}

impl Seen {
    /// Reads a frame; `None` for one that is not whole, and for other protocols than IP.
    pub(crate) fn read(side: usize, frame: &[u8]) -> Option<Self> {
        let ip = frame.get(14..)?;
        let (src, dst, proto, tos, ttl, id, transport) = match u16_at(frame, 12)? {
            0x0800 => {
                let v4 = |at: usize| u32_at(ip, at).map(|n| IpAddr::V4(n.into()));
                let head = usize::from(*ip.first()? & 15) * 4;
                (v4(12)?, v4(16)?, *ip.get(9)?, ip[1], *ip.get(8)?, u32::from(u16_at(ip, 4)?), ip.get(head..)?)
            }
            0x86dd => {
                let word = u32_at(ip, 0)?;
                let tos = (word >> 20) as u8;
                (v6_at(ip, 8)?, v6_at(ip, 24)?, *ip.get(6)?, tos, *ip.get(7)?, word & 0xfffff, ip.get(40..)?)
            }
            _ => return None,
        };
        let mut seen = Self {
            side,
            src,
            dst,
            proto,
            sport: u16_at(transport, 0)?,
            dport: u16_at(transport, 2)?,
            flags: 0,
            seq: 0,
            ack: 0,
            tos,
            ttl,
            id,
            mss: None,
            payload: Vec::new(),
        };
        match proto {
            proto::TCP => {
                seen.seq = u32_at(transport, 4)?;
                seen.ack = u32_at(transport, 8)?;
                seen.flags = *transport.get(13)?;
                seen.mss = mss(transport);
            }
            proto::UDP => seen.payload = transport.get(8..)?.into(),
            proto::ICMP | proto::ICMP6 => {
                (seen.sport, seen.dport) = (u16_at(transport, 4)?, seen.sport);
                seen.payload = transport.get(8..)?.into();
            }
            _ => {}
        }
        Some(seen)
    }

    /// ICMP type and code.
    pub(crate) const fn icmp(&self) -> Option<(u8, u8)> {
        match self.proto {
            proto::ICMP | proto::ICMP6 => Some(((self.dport >> 8) as u8, self.dport as u8)),
            _ => None,
        }
    }

    /// Whether it is an ICMP error.
    pub(crate) fn is_error(&self) -> bool {
        self.icmp().is_some_and(|(kind, _)| match self.proto {
            proto::ICMP => matches!(kind, 3 | 4 | 5 | 11 | 12),
            _ => kind < 128,
        })
    }

    /// What the kernel says of its own accord to neighbours and routers: ND, MLD, redirects.
    pub(crate) fn is_chatter(&self) -> bool {
        match (self.proto, self.icmp()) {
            (proto::ICMP6, Some((kind, _))) => (130..=137).contains(&kind) || kind == 143,
            (0 | 2, _) => true,
            _ => false,
        }
    }
}

fn mss(transport: &[u8]) -> Option<u16> {
    let head = usize::from(*transport.get(12)? >> 4) * 4;
    let mut options = transport.get(20..head)?;
    loop {
        match *options.first()? {
            0 => return None,
            1 => options = &options[1..],
            2 => return u16_at(options, 2),
            _ => options = options.get(usize::from((*options.get(1)?).max(2))..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn what_is_sent_is_read_again() {
        for n in 0..200 {
            let probe = Probe::random(&mut Rng::new(5, n), n % 2 == 1, 3);
            let Some(src) = probe.src else { continue };
            let packet = Packet::of(&probe, [2, 0, 0, 0, 0, 1], 4711);
            let seen = Seen::read(0, &packet.bytes()).unwrap();
            assert_eq!((seen.src, seen.dst, seen.proto, seen.id), (src, probe.dst, probe.proto, 4711));
            assert_eq!((seen.sport, seen.dport, seen.tos, seen.ttl), (probe.sport, probe.dport, probe.tos, probe.ttl));
            assert_eq!(seen.mss, (probe.proto == proto::TCP).then_some(1460));
        }
    }

    #[test]
    fn a_frame_cut_short_is_none() {
        let probe = Probe::random(&mut Rng::new(5, 0), false, 3);
        let bytes = Packet::of(&probe, [0; 6], 1).bytes();
        for end in 0..34 {
            assert_eq!(Seen::read(0, &bytes[..end]), None);
        }
    }

    #[test]
    fn the_checksum_is_the_internets() {
        // RFC 1071, 3: 0001 f203 f4f5 f6f7 sum up to ddf2 (with the carry folded in).
        assert_eq!(fold(add(0, &[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7])), !0xddf2);
    }
}

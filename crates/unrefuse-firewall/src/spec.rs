//! What a packet under judgement is described by.

use std::net::IpAddr;

/// A packet, described. What is `None` is not known, unless said otherwise; a test of it forks the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketSpec {
    /// Source address. `None`: the one that the route to the destination gives (only for a packet made here).
    pub src: Option<IpAddr>,
    /// Destination address.
    pub dst: IpAddr,
    /// Transport.
    pub l4: L4,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// TOS byte or traffic class.
    pub tos: Option<u8>,
    /// Length in bytes from the network header on. `None`: less than 128.
    pub length: Option<u16>,
    /// Source MAC address of an arriving packet.
    pub src_mac: Option<[u8; 6]>,
    /// Destination MAC address of an arriving packet.
    pub dst_mac: Option<[u8; 6]>,
    /// User id of the process here that owns the socket (client or server).
    pub uid: Option<u32>,
    /// Group id of it.
    pub gid: Option<u32>,
    /// net_cls class id of it.
    pub cgroup: Option<u32>,
    /// Mark that the packet starts with (`SO_MARK`).
    pub mark: u32,
}

/// Transport header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the header's fields")]
pub enum L4 {
    /// TCP. A `sport` of `None` is taken to be at least 32768, as clients choose it.
    Tcp { sport: Option<u16>, dport: u16, flags: u8 },
    /// UDP. A `sport` of `None` is taken to be at least 32768, as clients choose it.
    Udp { sport: Option<u16>, dport: u16 },
    /// SCTP INIT. A `sport` of `None` is taken to be at least 32768.
    Sctp { sport: Option<u16>, dport: u16 },
    /// ICMP or ICMPv6, by the addresses' family.
    Icmp { kind: u8, code: u8 },
    /// Another protocol, by number.
    Other(u8),
}

/// TCP flag bits.
pub mod tcp_flags {
    /// Synchronise.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// Acknowledge.
    pub const ACK: u8 = 0x10;
}

impl PacketSpec {
    fn new(src: Option<IpAddr>, dst: IpAddr, l4: L4) -> Self {
        Self {
            src,
            dst,
            l4,
            ttl: None,
            tos: Some(0),
            length: None,
            src_mac: None,
            dst_mac: None,
            uid: None,
            gid: None,
            cgroup: None,
            mark: 0,
        }
    }

    /// The first packet of a TCP connection.
    pub fn tcp(src: Option<IpAddr>, dst: IpAddr, dport: u16) -> Self {
        Self::new(src, dst, L4::Tcp { sport: None, dport, flags: tcp_flags::SYN })
    }

    /// A UDP datagram.
    pub fn udp(src: Option<IpAddr>, dst: IpAddr, dport: u16) -> Self {
        Self::new(src, dst, L4::Udp { sport: None, dport })
    }

    /// An echo request.
    pub fn ping(src: Option<IpAddr>, dst: IpAddr) -> Self {
        Self::new(src, dst, L4::Icmp { kind: if dst.is_ipv4() { 8 } else { 128 }, code: 0 })
    }

    /// Any transport.
    pub fn other(src: Option<IpAddr>, dst: IpAddr, l4: L4) -> Self {
        Self::new(src, dst, l4)
    }

    /// Source port as described.
    pub fn sport(&self) -> Option<u16> {
        match self.l4 {
            L4::Tcp { sport, .. } | L4::Udp { sport, .. } | L4::Sctp { sport, .. } => sport,
            L4::Icmp { .. } | L4::Other(_) => None,
        }
    }

    /// Destination port; `None` for a transport without ports.
    pub fn dport(&self) -> Option<u16> {
        match self.l4 {
            L4::Tcp { dport, .. } | L4::Udp { dport, .. } | L4::Sctp { dport, .. } => Some(dport),
            L4::Icmp { .. } | L4::Other(_) => None,
        }
    }

    /// The same packet to another port; unchanged for a transport without ports.
    pub fn with_dport(mut self, port: u16) -> Self {
        match &mut self.l4 {
            L4::Tcp { dport, .. } | L4::Udp { dport, .. } | L4::Sctp { dport, .. } => *dport = port,
            L4::Icmp { .. } | L4::Other(_) => {}
        }
        self
    }
}

//! The packet under judgement: its headers, metadata and connection.

use std::net::IpAddr;

use crate::bits::{Bits, ones};
use crate::conntrack::{Conntrack, Tuple, address_bits, bits_address, state};
use crate::image::Image;
use crate::model::{Family, Field, Header, Meta};
use crate::spec::{L4, PacketSpec};

/// IP protocol numbers.
pub mod proto {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMPv6.
    pub const ICMP6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// What a load gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// A value, perhaps known in part.
    Value(Bits),
    /// The load fails: the rule ends.
    Absent,
    /// Not known, why; it may be any value, or fail.
    Unknown(String),
}

/// A network device at a packet's way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Device {
    /// There is none at this hook: the name is empty and the index 0 (`nft_meta_store_ifname`, `nulldevname`).
    None,
    /// There is one, but which is not known.
    Unknown,
    /// This one.
    Named(String),
}

impl Device {
    fn name_bits(&self) -> Option<Bits> {
        match self {
            Self::None => Some(Bits::known(0, 128)),
            Self::Unknown => None,
            Self::Named(name) => Some(Bits::known(interface_scalar(name), 128)),
        }
    }
}

/// Credentials of the socket that sends a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Socket {
    /// A process holds it; else it is the kernel's own, which has no owner.
    pub held: bool,
    /// User id.
    pub uid: Bits,
    /// Group id.
    pub gid: Bits,
    /// net_cls class id.
    pub cgroup: Bits,
}

/// A packet on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Packet {
    /// `Ip` or `Ip6`.
    pub family: Family,
    /// Its headers.
    pub image: Image,
    /// Transport protocol.
    pub proto: u8,
    /// Length from the network header on.
    pub length: Bits,
    /// Mark.
    pub mark: Bits,
    /// Incoming device, as hooks see it.
    pub iif: Device,
    /// Outgoing device.
    pub oif: Device,
    /// The outgoing device after it was routed anew in OUTPUT: that hook's own chains still see the old one.
    pub rerouted: Option<Device>,
    /// The bridge port it came in by.
    pub bridge_port: Option<String>,
    /// What leaves by this bridge does so by this port of it.
    pub bridge_out: Option<(Device, String)>,
    /// `PACKET_*` (linux/if_packet.h): 0 host, 1 broadcast, 2 multicast.
    pub pkttype: u8,
    /// The routing decision called its destination a broadcast or multicast address (`RTCF_BROADCAST`, `RTCF_MULTICAST`).
    pub to_many: bool,
    /// TPROXY gave it a socket: it may not be forwarded any more.
    pub proxied: bool,
    /// The socket that sends it; `None`: it has none here (forwarded, arriving).
    pub socket: Option<Socket>,
    /// The connected socket here that takes it, which INPUT sees (`tcp_v4_early_demux`).
    pub receiver: Option<Socket>,
    /// Its connection; `None` before connection tracking, and when untracked.
    pub ct: Option<Conntrack>,
    /// The connection that conntrack will find it to belong to.
    pub expected: Option<Box<Conntrack>>,
    /// Connection tracking was told not to see it.
    pub untracked: bool,
    /// It answers a packet that was taken out of connection tracking: iptables takes that for a connection, and does not
    /// take it out (nf_conntrack_attach, xt_ct_target).
    pub attached: bool,
    /// Its destination is this machine, even where the address is not known (REDIRECT).
    pub to_here: bool,
}

impl Packet {
    /// Builds the image of a described packet. `src` stands in where the description has none.
    pub fn build(spec: &PacketSpec, src: Option<IpAddr>) -> Self {
        let v4 = spec.dst.is_ipv4();
        let family = if v4 { Family::Ip } else { Family::Ip6 };
        let (number, transport, empty) = match spec.l4 {
            L4::Tcp { .. } => (proto::TCP, 60, true),
            L4::Udp { .. } => (proto::UDP, 8, false),
            L4::Sctp { .. } => (proto::SCTP, 32, false),
            L4::Icmp { .. } if v4 => (proto::ICMP, 8, false),
            L4::Icmp { .. } => (proto::ICMP6, 8, false),
            L4::Other(n) => (n, 0, false),
        };
        let mut image = Image::new(if v4 { 20 } else { 40 }, transport, empty);
        let length = match spec.length {
            Some(n) => Bits::known(n.into(), 32),
            None => Bits::partly(0, !ones(7), 32),
        };
        write_network(&mut image, spec, number, length);
        write_transport(&mut image, spec);
        let mut packet = Self {
            family,
            image,
            proto: number,
            length,
            mark: Bits::known(spec.mark.into(), 32),
            iif: Device::None,
            oif: Device::None,
            rerouted: None,
            bridge_port: None,
            bridge_out: None,
            pkttype: 0,
            to_many: false,
            proxied: false,
            socket: None,
            receiver: None,
            ct: None,
            expected: None,
            untracked: false,
            attached: false,
            to_here: false,
        };
        packet.set_source(src.map_or(Bits::unknown(packet.address_width()), address_bits));
        packet.set_destination(address_bits(spec.dst));
        packet
    }

    /// Bits of an address.
    pub const fn address_width(&self) -> u32 {
        if matches!(self.family, Family::Ip) { 32 } else { 128 }
    }

    /// Whether it is IPv6.
    pub const fn is_v6(&self) -> bool {
        matches!(self.family, Family::Ip6)
    }

    const fn address_place(&self, destination: bool) -> (u16, u16) {
        match (self.family, destination) {
            (Family::Ip, false) => (96, 32),
            (Family::Ip, true) => (128, 32),
            (_, false) => (64, 128),
            (_, true) => (192, 128),
        }
    }

    fn field(&self, base: Header, (offset, len): (u16, u16)) -> Bits {
        self.image.load(base, offset, len).unwrap_or(Bits::unknown(len.into()))
    }

    /// Source address.
    pub fn source(&self) -> Bits {
        self.field(Header::Network, self.address_place(false))
    }

    /// Destination address.
    pub fn destination(&self) -> Bits {
        self.field(Header::Network, self.address_place(true))
    }

    /// Source address, where it is known.
    pub fn source_address(&self) -> Option<IpAddr> {
        bits_address(self.source())
    }

    /// Destination address, where it is known.
    pub fn destination_address(&self) -> Option<IpAddr> {
        bits_address(self.destination())
    }

    /// Writes the source address.
    pub fn set_source(&mut self, bits: Bits) {
        let (offset, len) = self.address_place(false);
        self.image.store(Header::Network, offset, len, bits);
    }

    /// Writes the destination address.
    pub fn set_destination(&mut self, bits: Bits) {
        let (offset, len) = self.address_place(true);
        self.image.store(Header::Network, offset, len, bits);
    }

    /// Whether the transport begins with two ports.
    pub const fn has_ports(&self) -> bool {
        matches!(self.proto, proto::TCP | proto::UDP | proto::SCTP | 33 | 136)
    }

    /// Source port.
    pub fn sport(&self) -> Bits {
        self.field(Header::Transport, (0, 16))
    }

    /// Destination port.
    pub fn dport(&self) -> Bits {
        self.field(Header::Transport, (16, 16))
    }

    /// Writes the source port.
    pub fn set_sport(&mut self, bits: Bits) {
        if self.has_ports() {
            self.image.store(Header::Transport, 0, 16, bits);
        }
    }

    /// Writes the destination port.
    pub fn set_dport(&mut self, bits: Bits) {
        if self.has_ports() {
            self.image.store(Header::Transport, 16, 16, bits);
        }
    }

    /// A router counts the TTL or hop limit down before FORWARD sees the packet (`ip_forward`, `ip6_forward`).
    pub fn decrement_ttl(&mut self) {
        let place = if self.is_v6() { (56, 8) } else { (64, 8) };
        let ttl = match self.field(Header::Network, place).exact() {
            Some(ttl) => Bits::known(ttl.saturating_sub(1), 8),
            None => Bits::unknown(8),
        };
        self.image.store(Header::Network, place.0, place.1, ttl);
    }

    /// Writes the length from the network header on. IPv6's own field leaves out the header's 40 bytes.
    pub fn set_length(&mut self, length: Bits) {
        self.length = Bits::partly(length.value, length.known | !ones(16), 32);
        if self.is_v6() {
            // Of "less than 128" as much is known of the part.
            let part = Bits::partly(0, if length.value == 0 { length.known } else { 0 }, 16);
            let payload = length.exact().map_or(part, |n| Bits::known(n.saturating_sub(40), 16));
            self.image.store(Header::Network, 32, 16, payload);
        } else {
            self.image.store(Header::Network, 16, 16, Bits::partly(length.value, length.known, 16));
        }
    }

    /// Addresses and ports as they stand in the headers.
    pub fn tuple(&self) -> Tuple {
        Tuple { src: self.source(), dst: self.destination(), sport: self.sport(), dport: self.dport() }
    }

    /// `ct state` (net/netfilter/nft_ct.c `nft_ct_get_eval`): a packet without a connection is invalid, or untracked.
    pub fn ct_state(&self) -> u32 {
        match &self.ct {
            Some(ct) => ct.state,
            None if self.untracked => state::UNTRACKED,
            None => state::INVALID,
        }
    }

    /// The value of a field that most rules ask for; `None`: another way must be taken.
    pub(crate) fn at_once(&self, field: &Field) -> Option<Bits> {
        match field {
            Field::Payload { base, offset, len } => self.image.load(*base, *offset, *len).ok(),
            Field::Meta(Meta::L4Proto) => Some(Bits::known(self.proto.into(), 8)),
            Field::Meta(Meta::Mark) => Some(self.mark),
            Field::Meta(Meta::IifName) => self.iif.name_bits(),
            Field::Meta(Meta::OifName) => self.oif.name_bits(),
            _ => None,
        }
    }

    /// Metadata that the packet itself tells (net/netfilter/nft_meta.c). `None`: the machine must be asked.
    pub fn meta(&self, meta: Meta) -> Option<Loaded> {
        let name = |device: &Device| match device.name_bits() {
            Some(bits) => Loaded::Value(bits),
            None => Loaded::Unknown("which interface it is, is not known".into()),
        };
        let socket = |pick: fn(&Socket) -> Bits| {
            self.socket.as_ref().filter(|s| s.held).map_or(Loaded::Absent, |s| Loaded::Value(pick(s)))
        };
        Some(match meta {
            Meta::Length => Loaded::Value(self.length),
            Meta::Protocol => Loaded::Value(Bits::known(if self.is_v6() { 0x86dd } else { 0x0800 }, 16)),
            Meta::NfProto => Loaded::Value(Bits::known(if self.is_v6() { 10 } else { 2 }, 8)),
            Meta::L4Proto => Loaded::Value(Bits::known(self.proto.into(), 8)),
            Meta::Mark => Loaded::Value(self.mark),
            Meta::IifName => name(&self.iif),
            Meta::OifName => name(&self.oif),
            Meta::Skuid => socket(|s| s.uid),
            Meta::Skgid => socket(|s| s.gid),
            // task_get_classid() of a packet without a socket is that of the running task, or 0 in softirq.
            Meta::Cgroup => self.socket.as_ref().map_or(Loaded::Value(Bits::known(0, 32)), |s| Loaded::Value(s.cgroup)),
            Meta::PktType => Loaded::Value(Bits::known(self.pkttype.into(), 8)),
            Meta::Secmark => Loaded::Value(Bits::known(0, 32)),
            _ => return None,
        })
    }
}

fn write_network(image: &mut Image, spec: &PacketSpec, number: u8, length: Bits) {
    let short = Bits::partly(length.value, length.known, 16);
    let ttl = Bits::of(spec.ttl.map(Into::into), 8);
    let tos = Bits::of(spec.tos.map(Into::into), 8);
    if spec.dst.is_ipv4() {
        image.put(Header::Network, 0, &[0x45]);
        image.store(Header::Network, 8, 8, tos);
        image.store(Header::Network, 16, 16, short);
        // The reserved bit, more-fragments and the offset are 0; don't-fragment is up to the sender.
        image.store(Header::Network, 48, 16, Bits::partly(0, 0xbfff, 16));
        image.store(Header::Network, 64, 8, ttl);
        image.put(Header::Network, 9, &[number]);
    } else {
        image.store(Header::Network, 0, 4, Bits::known(6, 4));
        image.store(Header::Network, 4, 8, tos);
        // The payload's length, without the header's own 40 bytes.
        let payload = if length.exact().is_some() { length.value.saturating_sub(40) } else { 0 };
        image.store(Header::Network, 32, 16, Bits::partly(payload, length.known, 16));
        image.put(Header::Network, 6, &[number]);
        image.store(Header::Network, 56, 8, ttl);
    }
}

fn write_transport(image: &mut Image, spec: &PacketSpec) {
    let sport = match spec.sport() {
        Some(p) => Bits::known(p.into(), 16),
        // Linux takes 32768..60999, others 49152..65535: the highest bit is set.
        None => Bits::partly(0x8000, 0x8000, 16),
    };
    if let Some(dport) = spec.dport() {
        image.store(Header::Transport, 0, 16, sport);
        image.store(Header::Transport, 16, 16, Bits::known(dport.into(), 16));
    }
    match spec.l4 {
        L4::Tcp { flags, .. } => {
            if flags & crate::spec::tcp_flags::ACK == 0 {
                image.put(Header::Transport, 8, &[0; 4]);
            }
            // Data offset: at least 5. The reserved bits are 0.
            image.store(Header::Transport, 100, 4, Bits::known(0, 4));
            image.put(Header::Transport, 13, &[flags]);
            image.put(Header::Transport, 18, &[0, 0]);
        }
        L4::Icmp { kind, code } => image.put(Header::Transport, 0, &[kind, code]),
        L4::Sctp { .. } => image.put(Header::Transport, 12, &[1]),
        L4::Udp { .. } | L4::Other(_) => {}
    }
}

/// An interface's name as a number: its bytes, padded with zeros at the end to 16.
pub fn interface_scalar(name: &str) -> u128 {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    u128::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_stand_where_the_kernel_reads_them() {
        let mut spec = PacketSpec::tcp(Some([192, 0, 2, 7].into()), [198, 51, 100, 1].into(), 443);
        spec.ttl = Some(64);
        let p = Packet::build(&spec, spec.src);
        let load = |base, offset, len| p.image.load(base, offset, len).map(Bits::exact);
        assert_eq!(load(Header::Network, 72, 8), Ok(Some(6)));
        assert_eq!(load(Header::Network, 96, 32), Ok(Some(0xc000_0207)));
        assert_eq!(load(Header::Network, 64, 8), Ok(Some(64)));
        assert_eq!(load(Header::Transport, 16, 16), Ok(Some(443)));
        assert_eq!(load(Header::Transport, 104, 8), Ok(Some(2)));
        assert_eq!(load(Header::Transport, 32, 32), Ok(None));
        assert_eq!(p.sport().within(1024, 65535), Some(true));
        assert_eq!(p.length.within(0, 500), Some(true));
    }

    #[test]
    fn v6_headers_stand_where_the_kernel_reads_them() {
        let spec = PacketSpec::ping(Some("2001:db8::1".parse().unwrap()), "2001:db8::2".parse().unwrap());
        let p = Packet::build(&spec, spec.src);
        assert_eq!(p.destination_address(), Some(spec.dst));
        assert_eq!(p.image.load(Header::Network, 48, 8).unwrap().exact(), Some(58));
        assert_eq!(p.image.load(Header::Transport, 0, 16).unwrap().exact(), Some(0x8000));
        assert_eq!(p.ct_state(), state::INVALID);
    }

    #[test]
    fn interface_names_are_their_bytes() {
        assert_eq!(interface_scalar("lo") >> 112, 0x6c6f);
        assert_eq!(interface_scalar("lo") & crate::bits::ones(112), 0);
    }
}

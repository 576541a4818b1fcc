//! What nft(8) calls fields and their values.

use super::registers::ones;
use crate::model::{Ct, Direction, Family, FibResult, Field, Header, Meta, OptionSpace, Scalar, SocketKey, TuplePart};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use unrefuse_facts::text::from_bytes;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Hex,
    Address4,
    Address6,
    Mac,
    Name,
    Protocol,
    Family,
    EtherType,
    State,
    Status,
    TcpFlags,
    Icmp,
    Icmp6,
    Address,
    PacketType,
    LinkType,
    Dscp,
    Exists,
}

/// What was seen earlier in the rule.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) family: Option<Family>,
    pub(crate) l4: Option<u8>,
}

const fn known(name: &'static str, kind: Kind) -> Option<(&'static str, Kind)> {
    Some((name, kind))
}

fn network4(offset: u16, len: u16) -> Option<(&'static str, Kind)> {
    match (offset, len) {
        (96, 32) => known("ip saddr", Kind::Address4),
        (128, 32) => known("ip daddr", Kind::Address4),
        (72, 8) => known("ip protocol", Kind::Protocol),
        (64, 8) => known("ip ttl", Kind::Number),
        (16, 16) => known("ip length", Kind::Number),
        (8, 8) => known("ip tos", Kind::Hex),
        (8, 6) => known("ip dscp", Kind::Dscp),
        (48, 16) => known("ip frag-off", Kind::Hex),
        (32, 16) => known("ip id", Kind::Number),
        _ => None,
    }
}

fn network6(offset: u16, len: u16) -> Option<(&'static str, Kind)> {
    match (offset, len) {
        (64, 128) => known("ip6 saddr", Kind::Address6),
        (192, 128) => known("ip6 daddr", Kind::Address6),
        (48, 8) => known("ip6 nexthdr", Kind::Protocol),
        (56, 8) => known("ip6 hoplimit", Kind::Number),
        (4, 6) => known("ip6 dscp", Kind::Dscp),
        (32, 16) => known("ip6 length", Kind::Number),
        _ => None,
    }
}

fn transport(l4: Option<u8>, offset: u16, len: u16) -> Option<(&'static str, Kind)> {
    let port = |source, destination| match (offset, len) {
        (0, 16) => known(source, Kind::Number),
        (16, 16) => known(destination, Kind::Number),
        _ => None,
    };
    match l4 {
        Some(6) if (offset, len) == (104, 8) => known("tcp flags", Kind::TcpFlags),
        Some(6) => port("tcp sport", "tcp dport"),
        Some(17) => port("udp sport", "udp dport"),
        Some(132) => port("sctp sport", "sctp dport"),
        Some(33) => port("dccp sport", "dccp dport"),
        Some(136) => port("udplite sport", "udplite dport"),
        Some(1) => match (offset, len) {
            (0, 8) => known("icmp type", Kind::Icmp),
            (8, 8) => known("icmp code", Kind::Number),
            _ => None,
        },
        Some(58) => match (offset, len) {
            (0, 8) => known("icmpv6 type", Kind::Icmp6),
            (8, 8) => known("icmpv6 code", Kind::Number),
            _ => None,
        },
        _ => port("th sport", "th dport"),
    }
}

const fn meta(meta: Meta) -> (&'static str, Kind) {
    match meta {
        Meta::Length => ("meta length", Kind::Number),
        Meta::Protocol => ("meta protocol", Kind::EtherType),
        Meta::NfProto => ("meta nfproto", Kind::Family),
        Meta::L4Proto => ("meta l4proto", Kind::Protocol),
        Meta::Priority => ("meta priority", Kind::Hex),
        Meta::Mark => ("meta mark", Kind::Hex),
        Meta::Iif => ("iif", Kind::Number),
        Meta::Oif => ("oif", Kind::Number),
        Meta::IifName => ("iifname", Kind::Name),
        Meta::OifName => ("oifname", Kind::Name),
        Meta::IifType => ("iiftype", Kind::LinkType),
        Meta::OifType => ("oiftype", Kind::LinkType),
        Meta::IifGroup => ("iifgroup", Kind::Number),
        Meta::OifGroup => ("oifgroup", Kind::Number),
        Meta::IifKind => ("iifkind", Kind::Name),
        Meta::OifKind => ("oifkind", Kind::Name),
        Meta::Skuid => ("meta skuid", Kind::Number),
        Meta::Skgid => ("meta skgid", Kind::Number),
        Meta::Rtclassid => ("meta rtclassid", Kind::Number),
        Meta::Secmark => ("meta secmark", Kind::Hex),
        Meta::PktType => ("meta pkttype", Kind::PacketType),
        Meta::Cpu => ("meta cpu", Kind::Number),
        Meta::Cgroup => ("meta cgroup", Kind::Number),
        Meta::Random => ("meta random", Kind::Number),
        Meta::Time => ("meta time", Kind::Number),
        Meta::Day => ("meta day", Kind::Number),
        Meta::Hour => ("meta hour", Kind::Number),
        Meta::SdifName => ("meta sdifname", Kind::Name),
        Meta::Sdif => ("meta sdif", Kind::Number),
        Meta::BriIifName => ("meta ibrname", Kind::Name),
        Meta::BriOifName => ("meta obrname", Kind::Name),
    }
}

fn ct(ct: Ct, seen: Seen) -> (String, Kind) {
    let way = |direction| if direction == Direction::Original { "original" } else { "reply" };
    let (name, kind) = match ct {
        Ct::State => ("ct state", Kind::State),
        Ct::Direction => ("ct direction", Kind::Number),
        Ct::Status => ("ct status", Kind::Status),
        Ct::Mark => ("ct mark", Kind::Hex),
        Ct::L3Proto => ("ct l3proto", Kind::Family),
        Ct::Proto => ("ct protocol", Kind::Protocol),
        Ct::Helper => ("ct helper", Kind::Name),
        Ct::Expiration => ("ct expiration", Kind::Number),
        Ct::Zone => ("ct zone", Kind::Number),
        Ct::Label => ("ct label", Kind::Hex),
        Ct::Id => ("ct id", Kind::Number),
        Ct::Tuple(direction, part) => {
            let address = if seen.family == Some(Family::Ip6) { Kind::Address6 } else { Kind::Address4 };
            let (name, kind) = match part {
                TuplePart::Source => ("saddr", address),
                TuplePart::Destination => ("daddr", address),
                TuplePart::SourcePort => ("proto-src", Kind::Number),
                TuplePart::DestinationPort => ("proto-dst", Kind::Number),
            };
            return (format!("ct {} {name}", way(direction)), kind);
        }
        Ct::Bytes(direction) => return (format!("ct {} bytes", way(direction)), Kind::Number),
        Ct::Packets(direction) => return (format!("ct {} packets", way(direction)), Kind::Number),
        Ct::AvgPkt(direction) => return (format!("ct {} avgpkt", way(direction)), Kind::Number),
    };
    (name.to_owned(), kind)
}

/// A field's name and how its values are written.
pub(crate) fn field(field: &Field, seen: Seen) -> (String, Kind) {
    match *field {
        Field::Payload { base, offset, len } => {
            let found = match (base, seen.family) {
                (Header::Network, Some(Family::Ip6)) => network6(offset, len),
                (Header::Network, Some(Family::Ip)) => network4(offset, len),
                (Header::Network, _) if len == 128 => network6(offset, len),
                (Header::Network, _) => network4(offset, len),
                (Header::Transport, _) => transport(seen.l4, offset, len),
                (Header::Link, _) => match (offset, len) {
                    (0, 48) => known("ether daddr", Kind::Mac),
                    (48, 48) => known("ether saddr", Kind::Mac),
                    (96, 16) => known("ether type", Kind::EtherType),
                    _ => None,
                },
                (Header::Inner, _) => None,
            };
            let base = match base {
                Header::Link => "ll",
                Header::Network => "nh",
                Header::Transport => "th",
                Header::Inner => "ih",
            };
            found.map_or_else(|| (format!("@{base},{offset},{len}"), Kind::Hex), |(name, kind)| (name.to_owned(), kind))
        }
        Field::Meta(key) => {
            let (name, kind) = meta(key);
            (name.to_owned(), kind)
        }
        Field::Ct(key) => ct(key, seen),
        Field::Fib { result, of } => {
            let mut name = String::from(if of.source { "fib saddr" } else { "fib daddr" });
            for (there, text) in [(of.mark, " . mark"), (of.iif, " . iif"), (of.oif, " . oif")] {
                if there {
                    name += text;
                }
            }
            let (text, kind) = match result {
                FibResult::Oif => (" oif", Kind::Number),
                FibResult::OifName => (" oifname", Kind::Name),
                FibResult::Type => (" type", Kind::Address),
                FibResult::Present => (" oif", Kind::Exists),
            };
            (name + text, kind)
        }
        Field::Option { space, kind, offset, len, present } => {
            let space = match space {
                OptionSpace::Ipv6Header => "exthdr",
                OptionSpace::TcpOption => "tcp option",
                OptionSpace::Ipv4Option => "ip option",
                OptionSpace::SctpChunk => "sctp chunk",
                OptionSpace::DccpOption => "dccp option",
            };
            if present {
                (format!("{space} {kind}"), Kind::Exists)
            } else {
                (format!("{space} @{kind},{},{}", offset * 8, len * 8), Kind::Number)
            }
        }
        Field::Socket(key) => match key {
            SocketKey::Exists => ("socket".to_owned(), Kind::Exists),
            SocketKey::Transparent => ("socket transparent".to_owned(), Kind::Number),
            SocketKey::Mark => ("socket mark".to_owned(), Kind::Hex),
            SocketKey::Wildcard => ("socket wildcard".to_owned(), Kind::Number),
            SocketKey::CgroupV2 => ("socket cgroupv2".to_owned(), Kind::Number),
            SocketKey::Sends => ("socket sends".to_owned(), Kind::Number),
        },
        Field::Ipsec(Direction::Original) => ("meta ipsec".to_owned(), Kind::Exists),
        Field::Ipsec(Direction::Reply) => ("rt ipsec".to_owned(), Kind::Exists),
        Field::AddrType { source, .. } => (format!("addrtype {}", if source { "saddr" } else { "daddr" }), Kind::Hex),
        Field::PhysIn => ("physdev in".to_owned(), Kind::Name),
        Field::PhysOut => ("physdev out".to_owned(), Kind::Name),
        Field::PhysBridged => ("physdev bridged".to_owned(), Kind::Number),
    }
}

/// Names of protocols that nft(8) writes by name everywhere.
pub(crate) fn protocol(number: Scalar) -> Option<&'static str> {
    Some(match number {
        1 => "icmp",
        2 => "igmp",
        6 => "tcp",
        17 => "udp",
        33 => "dccp",
        41 => "ipv6",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "ipv6-icmp",
        89 => "ospf",
        108 => "comp",
        112 => "vrrp",
        132 => "sctp",
        136 => "udplite",
        _ => return None,
    })
}

fn listed(value: Scalar, names: &[(Scalar, &str)]) -> String {
    let mut out = String::new();
    let mut rest = value;
    for (bit, name) in names {
        if value & bit != 0 {
            let _ = write!(out, "{}{name}", if out.is_empty() { "" } else { "," });
            rest &= !bit;
        }
    }
    if rest != 0 || out.is_empty() {
        let _ = write!(out, "{}{rest:#x}", if out.is_empty() { "" } else { "," });
    }
    out
}

const STATES: &[(Scalar, &str)] = &[(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];
const STATUSES: &[(Scalar, &str)] =
    &[(1, "expected"), (2, "seen-reply"), (4, "assured"), (8, "confirmed"), (16, "snat"), (32, "dnat"), (512, "dying")];
const FLAGS: &[(Scalar, &str)] =
    &[(1, "fin"), (2, "syn"), (4, "rst"), (8, "psh"), (16, "ack"), (32, "urg"), (64, "ecn"), (128, "cwr")];

fn one_of(value: Scalar, names: &[(Scalar, &str)]) -> String {
    names.iter().find(|(n, _)| *n == value).map_or_else(|| value.to_string(), |(_, name)| (*name).to_owned())
}

/// A value as nft(8) writes it.
pub(crate) fn value(kind: Kind, v: Scalar) -> String {
    match kind {
        Kind::Number => v.to_string(),
        Kind::Hex => format!("{v:#x}"),
        Kind::Address4 => u32::try_from(v).map_or_else(|_| format!("{v:#x}"), |v| Ipv4Addr::from_bits(v).to_string()),
        Kind::Address6 => Ipv6Addr::from_bits(v).to_string(),
        Kind::Mac => v.to_be_bytes()[10..].iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":"),
        Kind::Name => {
            let bytes = v.to_be_bytes();
            let end = bytes.iter().position(|&b| b == 0).unwrap_or(16);
            format!("\"{}\"", from_bytes(&bytes[..end]))
        }
        Kind::Protocol => protocol(v).map_or_else(|| v.to_string(), str::to_owned),
        Kind::Family => one_of(v, &[(2, "ipv4"), (10, "ipv6")]),
        Kind::EtherType => match v {
            0x0800 => "ip".to_owned(),
            0x86dd => "ip6".to_owned(),
            0x0806 => "arp".to_owned(),
            0x8100 => "8021q".to_owned(),
            v => format!("{v:#06x}"),
        },
        Kind::State => listed(v, STATES),
        Kind::Status => listed(v, STATUSES),
        Kind::TcpFlags => {
            if v == 0 {
                "0x0".to_owned()
            } else {
                listed(v, FLAGS).replace(',', " | ")
            }
        }
        Kind::Icmp => one_of(
            v,
            &[
                (0, "echo-reply"),
                (3, "destination-unreachable"),
                (4, "source-quench"),
                (5, "redirect"),
                (8, "echo-request"),
                (9, "router-advertisement"),
                (10, "router-solicitation"),
                (11, "time-exceeded"),
                (12, "parameter-problem"),
                (13, "timestamp-request"),
                (14, "timestamp-reply"),
                (15, "info-request"),
                (16, "info-reply"),
                (17, "address-mask-request"),
                (18, "address-mask-reply"),
            ],
        ),
        Kind::Icmp6 => one_of(
            v,
            &[
                (1, "destination-unreachable"),
                (2, "packet-too-big"),
                (3, "time-exceeded"),
                (4, "parameter-problem"),
                (128, "echo-request"),
                (129, "echo-reply"),
                (130, "mld-listener-query"),
                (131, "mld-listener-report"),
                (132, "mld-listener-done"),
                (133, "nd-router-solicit"),
                (134, "nd-router-advert"),
                (135, "nd-neighbor-solicit"),
                (136, "nd-neighbor-advert"),
                (137, "nd-redirect"),
                (138, "router-renumbering"),
                (141, "ind-neighbor-solicit"),
                (142, "ind-neighbor-advert"),
                (143, "mld2-listener-report"),
            ],
        ),
        Kind::Address => one_of(
            v,
            &[
                (0, "unspec"),
                (1, "unicast"),
                (2, "local"),
                (3, "broadcast"),
                (4, "anycast"),
                (5, "multicast"),
                (6, "blackhole"),
                (7, "unreachable"),
                (8, "prohibit"),
            ],
        ),
        Kind::PacketType => one_of(v, &[(0, "host"), (1, "broadcast"), (2, "multicast"), (3, "other")]),
        Kind::LinkType => one_of(
            v,
            &[
                (1, "ether"),
                (512, "ppp"),
                (768, "ipip"),
                (769, "ipip6"),
                (772, "loopback"),
                (776, "sit"),
                (778, "ipgre"),
            ],
        ),
        Kind::Dscp => match v {
            46 => "ef".to_owned(),
            v if v < 64 && v % 8 == 0 => format!("cs{}", v / 8),
            10 | 12 | 14 | 18 | 20 | 22 | 26 | 28 | 30 | 34 | 36 | 38 => format!("af{}{}", v / 8, v % 8 / 2),
            v => format!("{v:#04x}"),
        },
        Kind::Exists => if v == 0 { "missing" } else { "exists" }.to_owned(),
    }
}

/// The length of the prefix that a mask of `bits` bits is.
pub(crate) fn prefix(mask: Scalar, bits: usize) -> Option<u32> {
    let host = (!mask & ones(bits)).trailing_ones();
    let length = u32::try_from(bits).ok()?.checked_sub(host)?;
    (mask == ones(bits) & !ones(host as usize)).then_some(length)
}

/// Bits of an address.
pub(crate) const fn width(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Address4 => Some(32),
        Kind::Address6 => Some(128),
        _ => None,
    }
}

/// `from`–`to` as a prefix where it is one, else as a range.
pub(crate) fn span(kind: Kind, from: Scalar, to: Scalar) -> String {
    if from == to {
        return value(kind, from);
    }
    if let Some(bits) = width(kind)
        && let Some(length) = prefix(ones(bits) & !(from ^ to), bits)
        && from & (from ^ to) == 0
    {
        return format!("{}/{length}", value(kind, from));
    }
    if kind == Kind::Name && from & (from ^ to) == 0 && (from ^ to).trailing_ones().is_multiple_of(8) {
        let name = value(kind, from);
        return format!("{}*\"", name.trim_end_matches('"'));
    }
    format!("{}-{}", value(kind, from), value(kind, to))
}

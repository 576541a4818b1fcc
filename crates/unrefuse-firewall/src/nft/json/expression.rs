//! What is loaded: header fields, metadata, connection tracking, look-ups, and values computed from them.

use super::super::names::{self, Kind, Seen};
use super::statement::Reader;
use super::{text_of, value};
use crate::model::{
    BitOp, Cond, Ct, Direction, Expr, Family, FibOf, FibResult, Field, Header, Meta, Op, OptionSpace, Scalar,
    SocketKey, Statement, TuplePart,
};
use serde_json::Value;

/// Header, first bit and bits of a field.
fn field(protocol: &str, name: &str) -> Option<(Header, u16, u16)> {
    use Header::{Link, Network, Transport};
    Some(match (protocol, name) {
        ("ip", "version") | ("ip6", "version") => (Network, 0, 4),
        ("ip", "hdrlength") => (Network, 4, 4),
        ("ip", "dscp") => (Network, 8, 6),
        ("ip", "ecn") => (Network, 14, 2),
        ("ip", "length") => (Network, 16, 16),
        ("ip", "id") => (Network, 32, 16),
        ("ip", "frag-off") => (Network, 51, 13),
        ("ip", "ttl") => (Network, 64, 8),
        ("ip", "protocol") => (Network, 72, 8),
        ("ip", "saddr") => (Network, 96, 32),
        ("ip", "daddr") => (Network, 128, 32),
        ("ip6", "dscp") => (Network, 4, 6),
        ("ip6", "ecn") => (Network, 10, 2),
        ("ip6", "flowlabel") => (Network, 12, 20),
        ("ip6", "length") => (Network, 32, 16),
        ("ip6", "nexthdr") => (Network, 48, 8),
        ("ip6", "hoplimit") => (Network, 56, 8),
        ("ip6", "saddr") => (Network, 64, 128),
        ("ip6", "daddr") => (Network, 192, 128),
        ("tcp" | "udp" | "udplite" | "sctp" | "dccp" | "th", "sport") => (Transport, 0, 16),
        ("tcp" | "udp" | "udplite" | "sctp" | "dccp" | "th", "dport") => (Transport, 16, 16),
        ("tcp", "doff") => (Transport, 96, 4),
        ("tcp", "flags") => (Transport, 104, 8),
        ("tcp", "window") => (Transport, 112, 16),
        ("udp", "length") => (Transport, 32, 16),
        ("icmp" | "icmpv6", "type") => (Transport, 0, 8),
        ("icmp" | "icmpv6", "code") => (Transport, 8, 8),
        ("icmp" | "icmpv6", "id") => (Transport, 32, 16),
        ("icmp" | "icmpv6", "sequence") => (Transport, 48, 16),
        ("ether", "daddr") => (Link, 0, 48),
        ("ether", "saddr") => (Link, 48, 48),
        ("ether", "type") => (Link, 96, 16),
        _ => return None,
    })
}

/// Whether a protocol has a field of this name.
pub(in super::super) fn is_field(protocol: &str, name: &str) -> bool {
    field(protocol, name).is_some()
}

fn meta(key: &str) -> Option<Meta> {
    Some(match key {
        "length" => Meta::Length,
        "protocol" => Meta::Protocol,
        "nfproto" => Meta::NfProto,
        "l4proto" => Meta::L4Proto,
        "priority" => Meta::Priority,
        "mark" => Meta::Mark,
        "iifname" => Meta::IifName,
        "oifname" => Meta::OifName,
        "iiftype" => Meta::IifType,
        "oiftype" => Meta::OifType,
        "iifgroup" => Meta::IifGroup,
        "oifgroup" => Meta::OifGroup,
        "iifkind" => Meta::IifKind,
        "oifkind" => Meta::OifKind,
        "skuid" => Meta::Skuid,
        "skgid" => Meta::Skgid,
        "rtclassid" => Meta::Rtclassid,
        "pkttype" => Meta::PktType,
        "cpu" => Meta::Cpu,
        "cgroup" => Meta::Cgroup,
        "ibrname" | "ibridgename" => Meta::BriIifName,
        "obrname" | "obridgename" => Meta::BriOifName,
        "sdifname" => Meta::SdifName,
        // An index is written as the interface's name, which is what identifies it here.
        "iif" => Meta::IifName,
        "oif" => Meta::OifName,
        _ => return None,
    })
}

fn ct(content: &Value) -> Option<Ct> {
    let direction = match text_of(content, "dir") {
        Some("original") => Some(Direction::Original),
        Some("reply") => Some(Direction::Reply),
        _ => None,
    };
    let tuple = |part| direction.map(|direction| Ct::Tuple(direction, part));
    match text_of(content, "key")? {
        "state" => Some(Ct::State),
        "direction" => Some(Ct::Direction),
        "status" => Some(Ct::Status),
        "mark" => Some(Ct::Mark),
        "l3proto" => Some(Ct::L3Proto),
        "protocol" => Some(Ct::Proto),
        "helper" => Some(Ct::Helper),
        "zone" => Some(Ct::Zone),
        "saddr" | "ip saddr" | "ip6 saddr" => tuple(TuplePart::Source),
        "daddr" | "ip daddr" | "ip6 daddr" => tuple(TuplePart::Destination),
        "proto-src" => tuple(TuplePart::SourcePort),
        "proto-dst" => tuple(TuplePart::DestinationPort),
        "bytes" => direction.map(Ct::Bytes),
        "packets" => direction.map(Ct::Packets),
        "avgpkt" => direction.map(Ct::AvgPkt),
        _ => None,
    }
}

impl Reader<'_> {
    /// Tests that a field's protocol asks for before it can be loaded; those that were made before are not repeated.
    fn depend(&mut self, protocol: &str) {
        let (family, l4) = match protocol {
            "ip" => (Some(Family::Ip), None),
            "ip6" => (Some(Family::Ip6), None),
            "icmp" => (Some(Family::Ip), Some(1)),
            "icmpv6" => (Some(Family::Ip6), Some(58)),
            "tcp" => (None, Some(6)),
            "udp" => (None, Some(17)),
            "udplite" => (None, Some(136)),
            "sctp" => (None, Some(132)),
            "dccp" => (None, Some(33)),
            "ether" => {
                self.require(Field::Meta(Meta::IifType), 1);
                return;
            }
            _ => return,
        };
        if let Some(family) = family.filter(|family| *family != self.family) {
            match self.family {
                Family::Inet => self.require(Field::Meta(Meta::NfProto), if family == Family::Ip { 2 } else { 10 }),
                _ => self.require(Field::Meta(Meta::Protocol), if family == Family::Ip { 0x0800 } else { 0x86dd }),
            }
            self.packet_family = Some(family);
        }
        if let Some(l4) = l4 {
            self.require(Field::Meta(Meta::L4Proto), l4);
            self.l4 = u8::try_from(l4).ok();
        }
    }

    fn require(&mut self, field: Field, right: Scalar) {
        let test = Statement::If(Cond::Compare { left: Expr::Field(field), op: Op::Eq, right });
        if !self.statements.contains(&test) {
            self.statements.push(test);
        }
    }

    fn seen(&self) -> Seen {
        Seen { family: self.packet_family, l4: self.l4 }
    }

    /// How constants beside a value are written.
    pub(super) fn kind(&self, expr: &Expr) -> Kind {
        match expr {
            Expr::Field(field) => names::field(field, self.seen()).1,
            Expr::Bits { of, .. } | Expr::Shift { of, .. } => self.kind(of),
            _ => Kind::Number,
        }
    }

    /// What an expression loads; the tests that it depends on come first.
    pub(super) fn expression(&mut self, json: &Value) -> Expr {
        self.loaded(json).unwrap_or_else(|| Expr::Unknown(unrefuse_facts::text::clip(&format!("nft JSON {json}"), 120)))
    }

    fn loaded(&mut self, json: &Value) -> Option<Expr> {
        if let Some(number) = json.as_u64() {
            return Some(Expr::Const(number.into()));
        }
        let (name, content) = json.as_object()?.iter().next()?;
        let field = match name.as_str() {
            "payload" => self.payload(content)?,
            "meta" => Field::Meta(meta(text_of(content, "key")?)?),
            "ct" => match ct(content) {
                Some(key) => {
                    // Addresses of one family: of the other's connections there are none (nft_ct.c, NFT_CT_SRC_IP).
                    let family = ["ip", "ip6"].into_iter().find(|name| {
                        text_of(content, "family") == Some(name)
                            || text_of(content, "key")
                                .and_then(|key| key.split_once(' '))
                                .is_some_and(|(of, _)| of == *name)
                    });
                    if let Some(family) = family {
                        self.depend(family);
                    }
                    Field::Ct(key)
                }
                None if matches!(text_of(content, "key")?, "bytes" | "packets" | "avgpkt" | "expiration") => {
                    return Some(Expr::Fork(format!("ct {}", text_of(content, "key")?)));
                }
                None => return None,
            },
            "fib" => fib(content)?,
            "exthdr" if content.get("field").is_none() => {
                extension(OptionSpace::Ipv6Header, IPV6_HEADERS, text_of(content, "name")?)?
            }
            "tcp option" if content.get("field").is_none() => {
                extension(OptionSpace::TcpOption, TCP_OPTIONS, text_of(content, "name")?)?
            }
            "socket" => Field::Socket(match text_of(content, "key")? {
                "transparent" => SocketKey::Transparent,
                "mark" => SocketKey::Mark,
                "wildcard" => SocketKey::Wildcard,
                _ => return None,
            }),
            "numgen" | "jhash" | "symhash" | "osf" => return Some(Expr::Fork(name.clone())),
            "map" => {
                let key = self.key(content.get("key")?);
                let set = self.set_of(content.get("data")?, &key)?;
                return Some(Expr::Map { key, set, part: 0 });
            }
            "&" | "|" | "^" | "<<" | ">>" => return self.binary(name, content),
            _ => return None,
        };
        Some(Expr::Field(field))
    }

    fn payload(&mut self, content: &Value) -> Option<Field> {
        if let Some(base) = text_of(content, "base") {
            let base = match base {
                "ll" => Header::Link,
                "nh" => Header::Network,
                "th" => Header::Transport,
                "ih" => Header::Inner,
                _ => return None,
            };
            let number = |name: &str| u16::try_from(content.get(name)?.as_u64()?).ok();
            let len = number("len").filter(|len| (1..=128).contains(len))?;
            return Some(Field::Payload { base, offset: number("offset")?, len });
        }
        let protocol = text_of(content, "protocol")?;
        let (base, offset, len) = field(protocol, text_of(content, "field")?)?;
        self.depend(protocol);
        Some(Field::Payload { base, offset, len })
    }

    fn binary(&mut self, op: &str, content: &Value) -> Option<Expr> {
        let left = self.expression(content.get(0)?);
        let kind = self.kind(&left);
        let right = content.get(1)?;
        let constant = value::constant(kind, right);
        let of = Box::new(left);
        let all = u32::MAX.into();
        Some(match (op, constant) {
            ("&", Some(mask)) => Expr::Bits { of, mask, xor: 0 },
            ("|", Some(set)) => Expr::Bits { of, mask: all & !set, xor: set },
            ("^", Some(xor)) => Expr::Bits { of, mask: all, xor },
            ("<<", Some(by)) => Expr::Shift { of, by: i8::try_from(by).ok().filter(|by| *by < 32)? },
            (">>", Some(by)) => Expr::Shift { of, by: -i8::try_from(by).ok().filter(|by| *by < 32)? },
            ("&" | "|" | "^", None) => {
                let op = match op {
                    "&" => BitOp::And,
                    "|" => BitOp::Or,
                    _ => BitOp::Xor,
                };
                Expr::Binary { op, left: of, right: Box::new(self.expression(right)) }
            }
            _ => return None,
        })
    }

    /// The parts of a key.
    pub(super) fn key(&mut self, json: &Value) -> Vec<Expr> {
        match json.get("concat").and_then(Value::as_array) {
            Some(parts) => parts.iter().map(|part| self.expression(part)).collect(),
            None => vec![self.expression(json)],
        }
    }
}

/// Extension headers of IPv6 and options of TCP by nft's names (nft(8), EXTENSION HEADER EXPRESSIONS).
const IPV6_HEADERS: &[(&str, u8)] =
    &[("hbh", 0), ("rt", 43), ("rt0", 43), ("rt2", 43), ("srh", 43), ("frag", 44), ("dst", 60), ("mh", 135)];
const TCP_OPTIONS: &[(&str, u8)] = &[
    ("eol", 0),
    ("nop", 1),
    ("noop", 1),
    ("maxseg", 2),
    ("window", 3),
    ("sack-perm", 4),
    ("sack-permitted", 4),
    ("sack", 5),
    ("timestamp", 8),
    ("md5sig", 19),
    ("mptcp", 30),
    ("fastopen", 34),
];

/// Whether one is there.
fn extension(space: OptionSpace, names: &[(&str, u8)], name: &str) -> Option<Field> {
    let kind = names.iter().find(|(known, _)| *known == name)?.1;
    Some(Field::Option { space, kind, offset: 0, len: 1, present: true })
}

fn fib(content: &Value) -> Option<Field> {
    let flags: Vec<&str> = match content.get("flags")? {
        Value::String(one) => vec![one],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let has = |flag| flags.contains(&flag);
    let of = FibOf { source: has("saddr"), mark: has("mark"), iif: has("iif"), oif: has("oif") };
    let result = match text_of(content, "result")? {
        // Compared with true or false, which is how its being there is written.
        "oif" | "check" => FibResult::Present,
        "oifname" => FibResult::OifName,
        "type" => FibResult::Type,
        _ => return None,
    };
    Some(Field::Fib { result, of })
}

//! ipset(8) as the kernel tells it over netlink (include/uapi/linux/netfilter/ipset/ip_set.h).
//!
//! ```text
//! # ipset save                                   # attributes of IPSET_CMD_LIST
//! create bad hash:net family inet timeout 60     SETNAME bad, TYPENAME hash:net, FAMILY 2, INDEX 3, DATA { TIMEOUT 60 }
//! add bad 10.0.0.0/8 timeout 59                  ADT { DATA { IP 10.0.0.0, CIDR 8, TIMEOUT 59 } }
//! ```
//!
//! A list becomes that text, which [`crate::iptables::parse_ipset`] reads: what types and elements mean is said once.

use crate::model::Scalar;
use crate::nft::attr::{Attrs, Table, be32, name};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Commands (`enum ipset_cmd`) that change nothing.
pub mod command {
    #![allow(missing_docs, reason = "the names are the kernel's")]
    pub const LIST: u8 = 7;
    /// A packet counts nothing and renews no time-out this way: the extensions of a question from user space have no
    /// packets to add (`IP_SET_INIT_UEXT`, `ip_set_update_counter`), and only SET rules write time-outs.
    pub const TEST: u8 = 11;
    pub const HEADER: u8 = 12;
    /// The set's number; since Linux 4.20.
    pub const GET_BYNAME: u8 = 14;
}

/// Attributes of a message.
pub mod attribute {
    #![allow(missing_docs, reason = "the names are the kernel's")]
    pub const PROTOCOL: u16 = 1;
    pub const SETNAME: u16 = 2;
    pub const FLAGS: u16 = 6;
    pub const DATA: u16 = 7;
}

/// A set without its elements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Name.
    pub name: String,
    /// Type (`hash:net`).
    pub kind: String,
    /// Of IPv6 addresses.
    pub v6: bool,
    /// Its number in the kernel, which xt_set rules carry; since Linux 4.20.
    pub index: Option<u16>,
    /// How many elements it has, where the kernel says so.
    pub elements: Option<u32>,
    /// The line that makes it.
    pub create: String,
}

/// The name of a set, from the attributes of any message about it.
pub fn set_name(attributes: &[u8]) -> Option<String> {
    Table::<'_, 3>::new(attributes).name(2)
}

/// The number of a set, from the answer to `GET_BYNAME` or a list's first message.
pub fn index(attributes: &[u8]) -> Option<u16> {
    let t: Table<'_, 12> = Table::new(attributes);
    Some(u16::from_be_bytes(t.get(11)?.get(..2)?.try_into().ok()?))
}

/// The head of a set, from the attributes of a list's first message about it, or of the answer to `HEADER`, which says
/// name, type and family only.
pub fn head(attributes: &[u8]) -> Option<Head> {
    let t: Table<'_, 12> = Table::new(attributes);
    let (name, kind, data) = (t.name(2)?, t.name(3)?, t.get(7).unwrap_or_default());
    // The kernel takes any name; one with a blank would be read as something else.
    if [&name, &kind].iter().any(|word| word.is_empty() || word.chars().any(|c| c.is_whitespace() || c.is_control())) {
        return None;
    }
    let d: Table<'_, 27> = Table::new(data);
    let v6 = t.u8(5) == Some(10);
    let mut create = format!("create {name} {kind}");
    if kind.starts_with("hash:") {
        let _ = write!(create, " family {}", if v6 { "inet6" } else { "inet" });
    }
    if let Some(bits) = d.u8(20) {
        let _ = write!(create, " netmask {bits}");
    }
    if let Some(mask) = d.get(12).and_then(address) {
        let _ = write!(create, " bitmask {mask}");
    }
    if let Some(mask) = d.be32(11) {
        let _ = write!(create, " markmask {mask:#x}");
    }
    if let Some(seconds) = d.be32(6) {
        let _ = write!(create, " timeout {seconds}");
    }
    Some(Head { name, kind, v6, index: index(attributes), elements: d.be32(24), create })
}

/// Writes the elements of a list's message as `add` lines; `false` where one is not understood.
pub fn add_lines(head: &Head, attributes: &[u8], into: &mut String) -> bool {
    let t: Table<'_, 9> = Table::new(attributes);
    let mut understood = true;
    for (_, element) in t.get(8).map(Attrs).into_iter().flatten() {
        match element_text(&head.kind, element) {
            Some(text) => {
                let _ = writeln!(into, "add {} {text}", head.name);
            }
            None => understood = false,
        }
    }
    understood
}

/// `IPSET_ATTR_IPADDR_IPV4`, `IPSET_ATTR_IPADDR_IPV6`.
fn address(nested: &[u8]) -> Option<IpAddr> {
    let (kind, bytes) = Attrs(nested).next()?;
    Some(match kind {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(..4)?).ok()?).into(),
        2 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(..16)?).ok()?).into(),
        _ => return None,
    })
}

fn element_text(kind: &str, bytes: &[u8]) -> Option<String> {
    let t: Table<'_, 30> = Table::new(bytes);
    let (_, dimensions) = kind.split_once(':')?;
    let mut parts: Vec<String> = Vec::new();
    let mut addresses = 0;
    for dimension in dimensions.split(',') {
        parts.push(match dimension {
            "ip" | "net" => {
                // The second address has attributes of its own.
                let (from, to, length) = if addresses == 0 { (1, 2, 3) } else { (20, 22, 21) };
                addresses += 1;
                let mut text = address(t.get(from)?)?.to_string();
                if let Some(to) = t.get(to).and_then(address) {
                    let _ = write!(text, "-{to}");
                } else if let Some(length) = t.u8(length) {
                    let _ = write!(text, "/{length}");
                }
                text
            }
            "port" => {
                let port = |at| t.get(at).and_then(|n| Some(u16::from_be_bytes(n.get(..2)?.try_into().ok()?)));
                let (from, to) = (port(4)?, port(5));
                match t.u8(7) {
                    Some(protocol @ (1 | 58)) => format!("{protocol}:{}/{}", from >> 8, from & 0xff),
                    Some(protocol) => format!("{protocol}:{}", ports(from, to)),
                    None => ports(from, to),
                }
            }
            "mac" => match t.get(17) {
                Some(mac) => mac.iter().take(6).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":"),
                // bitmap:ip,mac: not known yet.
                None => continue,
            },
            "mark" => format!("{:#x}", t.be32(10)?),
            "iface" => {
                let device = t.name(23)?;
                if t.be32(8).unwrap_or(0) & 2 != 0 { format!("physdev:{device}") } else { device }
            }
            "set" => t.name(18)?,
            _ => return None,
        });
    }
    let mut out = parts.join(",");
    let flags = t.be32(8).unwrap_or(0);
    // A name with a blank would be read as something else.
    if out.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return None;
    }
    for (bit, word) in [(4, " nomatch"), (128, " wildcard")] {
        if flags & bit != 0 {
            out += word;
        }
    }
    if let Some(seconds) = t.get(6).and_then(be32) {
        let _ = write!(out, " timeout {seconds}");
    }
    if let Some(comment) = t.get(26).map(name) {
        let _ = write!(out, " comment \"{}\"", comment.replace(['"', '\n', '\r'], " "));
    }
    Some(out)
}

fn ports(from: u16, to: Option<u16>) -> String {
    to.filter(|to| *to != from).map_or_else(|| from.to_string(), |to| format!("{from}-{to}"))
}

/// A key's values as the attributes of an element, for a test. `None`: not a key of this type.
pub fn key(head: &Head, values: &[Scalar]) -> Option<Vec<u8>> {
    let (method, dimensions) = head.kind.split_once(':')?;
    let (mut out, mut values, mut addresses) = (Vec::new(), values.iter().copied(), 0);
    for dimension in dimensions.split(',') {
        match dimension {
            "ip" | "net" => {
                let bytes = values.next()?.to_be_bytes();
                let mut nested = Vec::new();
                if head.v6 {
                    push(&mut nested, NET_BYTEORDER | 2, &bytes);
                } else {
                    push(&mut nested, NET_BYTEORDER | 1, &bytes[12..]);
                }
                push(&mut out, NESTED | if addresses == 0 { 1 } else { 20 }, &nested);
                addresses += 1;
            }
            "port" => {
                let protocol = if method == "bitmap" { None } else { Some(u8::try_from(values.next()?).ok()?) };
                push(&mut out, NET_BYTEORDER | 4, &u16::try_from(values.next()?).ok()?.to_be_bytes());
                if let Some(protocol) = protocol {
                    push(&mut out, 7, &[protocol]);
                }
            }
            "mac" => push(&mut out, 17, &values.next()?.to_be_bytes()[10..]),
            "mark" => push(&mut out, NET_BYTEORDER | 10, &u32::try_from(values.next()?).ok()?.to_be_bytes()),
            "iface" => push(&mut out, 23, &values.next()?.to_be_bytes()),
            _ => return None,
        }
    }
    values.next().is_none().then_some(out)
}

const NESTED: u16 = 0x8000;
const NET_BYTEORDER: u16 = 0x4000;

fn push(into: &mut Vec<u8>, kind: u16, value: &[u8]) {
    into.extend(u16::try_from(4 + value.len()).unwrap_or(u16::MAX).to_ne_bytes());
    into.extend(kind.to_ne_bytes());
    into.extend(value);
    into.resize((into.len() + 3) & !3, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push(&mut out, kind, value);
        out
    }

    #[test]
    fn a_list_is_the_text_of_ipset_save() {
        // ipset create bad hash:net timeout 60 comment; ipset add bad 10.0.0.0/8 comment "x y"
        let data = [attribute(24, &1u32.to_be_bytes()), attribute(6, &60u32.to_be_bytes())].concat();
        let element = [
            attribute(NESTED | 1, &attribute(1, &[10, 0, 0, 0])),
            attribute(3, &[8]),
            attribute(6, &59u32.to_be_bytes()),
            attribute(26, b"x y\0"),
        ];
        let message = [
            attribute(1, &[7]),
            attribute(2, b"bad\0"),
            attribute(3, b"hash:net\0"),
            attribute(5, &[2]),
            attribute(11, &[0, 3]),
            attribute(NESTED | 7, &data),
            attribute(NESTED | 8, &attribute(NESTED | 7, &element.concat())),
        ]
        .concat();
        let head = head(&message).unwrap();
        assert_eq!(head.create, "create bad hash:net family inet timeout 60");
        assert_eq!((head.index, head.elements), (Some(3), Some(1)));
        let mut text = String::new();
        assert!(add_lines(&head, &message, &mut text));
        assert_eq!(text, "add bad 10.0.0.0/8 timeout 59 comment \"x y\"\n");
        for cut in 0..message.len() {
            let _ = super::head(&message[..cut]);
            let _ = add_lines(&head, &message[..cut], &mut text);
        }
    }

    #[test]
    fn a_key_is_an_element_without_the_rest() {
        let head = Head { kind: "hash:ip,port".into(), ..Head::default() };
        let bytes = key(&head, &[0x0a00_0001, 6, 80]).unwrap();
        assert_eq!(element_text("hash:ip,port", &bytes).unwrap(), "10.0.0.1,6:80");
        assert_eq!(key(&head, &[1, 6]), None);
        assert_eq!(key(&head, &[1, 6, 80, 1]), None);
    }
}

//! Questions to ipset over netlink (net/netfilter/ipset/ip_set_core.c): lists and tests, nothing that changes a set.

use crate::live::netlink::{Netlink, push_attribute};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use unrefuse_firewall::iptables::parse_ipset;
use unrefuse_firewall::model::{Element, Elements, Problem, Ruleset, Scalar, Set};
use unrefuse_firewall::xt::ipset::{Head, add_lines, attribute, command, head, key};

/// `NFNL_SUBSYS_IPSET`.
const SUBSYSTEM: u16 = 6 << 8;
/// `IPSET_PROTOCOL`.
const PROTOCOL: u8 = 7;
/// `IPSET_FLAG_LIST_HEADER`.
const HEADER_ONLY: u32 = 4;
/// `IPSET_ERR_EXIST`: a test that does not hold. Not an errno of the system: those end below 4096.
const NOT_IN: i32 = 4103;
const NESTED: u16 = 0x8000;

/// The sets of this namespace.
pub(super) struct Ipset {
    netlink: Netlink,
    heads: BTreeMap<String, Head>,
}

fn body(name: Option<&str>) -> Vec<u8> {
    // struct nfgenmsg: AF_INET, version, resource.
    let mut body = vec![2, 0, 0, 0];
    push_attribute(&mut body, attribute::PROTOCOL, &[PROTOCOL]);
    if let Some(name) = name {
        let mut bytes = name.as_bytes().to_vec();
        bytes.push(0);
        push_attribute(&mut body, attribute::SETNAME, &bytes);
    }
    body
}

impl Ipset {
    /// Reads the heads of all sets. `None`: the kernel has no ipset.
    pub(super) fn open() -> Result<Option<Self>, Errno> {
        let mut netlink = match Netlink::netfilter() {
            Ok(netlink) => netlink,
            Err(Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT) => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut heads = BTreeMap::new();
        let mut body = body(None);
        push_attribute(&mut body, attribute::FLAGS | 0x4000, &HEADER_ONLY.to_be_bytes());
        let listed = netlink.dump(SUBSYSTEM | u16::from(command::LIST), &body, |message| {
            if let Some(head) = message.get(4..).and_then(head) {
                heads.insert(head.name.clone(), head);
            }
        });
        match listed {
            Ok(_) => Ok(Some(Self { netlink, heads })),
            // nfnetlink_rcv_msg: no subsystem of this number.
            Err(Errno::INVAL) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Names by number.
    pub(super) fn names(&self) -> HashMap<u16, String> {
        self.heads.values().filter_map(|head| Some((head.index?, head.name.clone()))).collect()
    }

    /// The sets as far as they have at most `most` elements; larger ones without, to be tested.
    pub(super) fn read(&mut self, most: u32, into: &mut Ruleset) {
        let names: Vec<String> = self.heads.keys().cloned().collect();
        let mut text = String::new();
        let mut unread = Vec::new();
        for name in names {
            let head = &self.heads[&name];
            let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{}\n", head.create));
            // A list of sets is looked into whatever its length.
            if head.kind != "list:set" && head.elements.is_none_or(|count| count > most) {
                unread.push(name);
                continue;
            }
            let start = text.len();
            let mut understood = true;
            let listed = self.netlink.dump(SUBSYSTEM | u16::from(command::LIST), &body(Some(&name)), |message| {
                understood &= message.get(4..).is_some_and(|attributes| add_lines(head, attributes, &mut text));
            });
            if listed.is_err() || !understood {
                text.truncate(start);
                let what = listed.map_or_else(|e| e.to_string(), |_| "an element is not understood".to_owned());
                into.problems.push(Problem { place: format!("ipset {name}"), text: what });
                unread.push(name);
            }
        }
        parse_ipset(text.as_bytes(), into);
        for name in unread {
            if let Some(set) = into.ipsets.get_mut(&name) {
                *set = Set { elements: Elements::Unread, ..std::mem::take(set) };
            }
        }
    }

    /// Whether a set holds a key, asked of the kernel. `None`: that cannot be known.
    pub(super) fn test(&mut self, name: &str, values: &[Scalar]) -> Option<Option<Element>> {
        let head = self.heads.get(name)?;
        let data = key(head, values)?;
        let mut body = body(Some(name));
        push_attribute(&mut body, attribute::DATA | NESTED, &data);
        match self.netlink.acknowledged(SUBSYSTEM | u16::from(command::TEST), &body) {
            Ok(0) => Some(Some(Element::default())),
            Ok(NOT_IN) => Some(None),
            Ok(_) | Err(_) => None,
        }
    }
}

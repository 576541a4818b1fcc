//! Questions to ipset over netlink (net/netfilter/ipset/ip_set_core.c): lists and tests, nothing that changes a set.
//!
//! For the head of a list the kernel walks the whole set: it counts the elements whose time is not up (`mtype_head`,
//! `mtype_ext_size` in ip_set_hash_gen.h). So names come from a list of names, types and numbers from `HEADER` and
//! `GET_BYNAME`, which look at no element; a list comes only where elements are wanted.

use crate::live::netlink::{Netlink, push_attribute};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use unrefuse_firewall::iptables::parse_ipset;
use unrefuse_firewall::model::{Element, Elements, Problem, Ruleset, Scalar, Set};
use unrefuse_firewall::xt::ipset::{Head, add_lines, attribute, command, head, index, key, set_name};

/// `NFNL_SUBSYS_IPSET`.
const SUBSYSTEM: u16 = 6 << 8;
/// `IPSET_PROTOCOL`.
const PROTOCOL: u8 = 7;
/// `IPSET_FLAG_LIST_SETNAME`.
const NAMES_ONLY: u32 = 2;
/// `IPSET_FLAG_LIST_HEADER`.
const HEADER_ONLY: u32 = 4;
/// `IPSET_ERR_EXIST`: a test that does not hold. Not an errno of the system: those end below 4096.
const NOT_IN: i32 = 4103;
const NESTED: u16 = 0x8000;
const NET_BYTEORDER: u16 = 0x4000;
/// The type whose elements are names of sets.
const LIST_OF_SETS: &str = "list:set";

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

fn flagged(name: Option<&str>, flags: u32) -> Vec<u8> {
    let mut body = body(name);
    push_attribute(&mut body, attribute::FLAGS | NET_BYTEORDER, &flags.to_be_bytes());
    body
}

const fn number(command: u8) -> u16 {
    SUBSYSTEM | command as u16
}

impl Ipset {
    /// Reads names, types and numbers of all sets. `None`: the kernel has no ipset.
    pub(super) fn open() -> Result<Option<Self>, Errno> {
        let mut netlink = match Netlink::netfilter() {
            Ok(netlink) => netlink,
            Err(Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT) => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut names = Vec::new();
        let listed = netlink.dump(number(command::LIST), &flagged(None, NAMES_ONLY), |message| {
            names.extend(message.get(4..).and_then(set_name));
        });
        match listed {
            Ok(_) => {}
            // nfnetlink_rcv_msg: no subsystem of this number.
            Err(Errno::INVAL) => return Ok(None),
            Err(e) => return Err(e),
        }
        let mut heads = BTreeMap::new();
        for name in names {
            let body = body(Some(&name));
            let mut ask = |command| match netlink.ask(number(command), &body) {
                Ok(answer) => Ok(Some(answer)),
                // It went away meanwhile: the subsystem has errors of its own for that.
                Err(Errno::NOENT | Errno::PROTO) => Ok(None),
                Err(e) => Err(e),
            };
            let Some(mut head) = ask(command::HEADER)?.and_then(|answer| head(answer.get(4..)?)) else { continue };
            head.index = ask(command::GET_BYNAME)?.and_then(|answer| index(answer.get(4..)?));
            heads.insert(name, head);
        }
        Ok(Some(Self { netlink, heads }))
    }

    /// Names by number.
    pub(super) fn names(&self) -> HashMap<u16, String> {
        self.heads.values().filter_map(|head| Some((head.index?, head.name.clone()))).collect()
    }

    /// All sets without their elements, which are tested or listed one by one. Only lists of sets are read: to test one
    /// is to ask for a set's name.
    pub(super) fn shapes(&mut self, into: &mut Ruleset) {
        let heads: Vec<Head> = self.heads.values().cloned().collect();
        for Head { name, kind, create, .. } in heads {
            if kind == LIST_OF_SETS {
                self.read_one(&name, into);
                continue;
            }
            parse_ipset(create.as_bytes(), into);
            if let Some(set) = into.ipsets.get_mut(&name) {
                set.elements = Elements::Unread;
            }
        }
    }

    /// All sets with all their elements.
    pub(super) fn everything(&mut self, into: &mut Ruleset) {
        let names: Vec<String> = self.heads.keys().cloned().collect();
        for name in names {
            self.read_one(&name, into);
        }
    }

    fn read_one(&mut self, name: &str, into: &mut Ruleset) {
        match self.list(name) {
            Ok(text) => parse_ipset(text.as_bytes(), into),
            Err(text) => {
                if let Some(head) = self.heads.get(name) {
                    parse_ipset(head.create.as_bytes(), into);
                }
                if let Some(set) = into.ipsets.get_mut(name) {
                    set.elements = Elements::Unread;
                }
                into.problems.push(Problem { place: format!("ipset {name}"), text });
            }
        }
    }

    /// A set with its elements, if they are at most so many.
    pub(super) fn set(&mut self, name: &str, most: u32) -> Option<Set> {
        self.heads.get(name)?;
        let mut count = None;
        let list = flagged(Some(name), HEADER_ONLY);
        let counted = self.netlink.dump(number(command::LIST), &list, |message| {
            count = count.or_else(|| head(message.get(4..)?)?.elements);
        });
        if counted.is_err() || count.is_none_or(|count| count > most) {
            return None;
        }
        let mut read = Ruleset::default();
        parse_ipset(self.list(name).ok()?.as_bytes(), &mut read);
        read.ipsets.remove(name)
    }

    /// The list of a set, as `ipset save` writes it.
    fn list(&mut self, name: &str) -> Result<String, String> {
        let mut text = String::new();
        let mut found: Option<Head> = None;
        let mut understood = true;
        let listed = self.netlink.dump(number(command::LIST), &body(Some(name)), |message| {
            let Some(attributes) = message.get(4..) else { return };
            // The first message tells the type, those after it have elements only.
            if found.is_none() {
                found = head(attributes);
                let create = found.as_ref().map_or("", |head| &head.create);
                let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{create}\n"));
            }
            understood &= found.as_ref().is_some_and(|head| add_lines(head, attributes, &mut text));
        });
        match listed {
            Ok(_) if understood && found.is_some() => Ok(text),
            Ok(_) => Err("an element is not understood".to_owned()),
            Err(e) => Err(e.to_string()),
        }
    }

    /// Whether a set holds a key, asked of the kernel. `None`: that cannot be known.
    pub(super) fn test(&mut self, name: &str, values: &[Scalar]) -> Option<Option<Element>> {
        let head = self.heads.get(name)?;
        let data = key(head, values)?;
        let mut body = body(Some(name));
        push_attribute(&mut body, attribute::DATA | NESTED, &data);
        match self.netlink.acknowledged(number(command::TEST), &body) {
            Ok(0) => Some(Some(Element::default())),
            Ok(NOT_IN) => Some(None),
            Ok(_) | Err(_) => None,
        }
    }
}

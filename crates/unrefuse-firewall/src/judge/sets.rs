//! Membership: nf_tables sets, maps and verdict maps, and ipsets.

use std::rc::Rc;

use crate::bits::Bits;

use crate::model::{Element, Elements, Field, Header, Scalar, Set};
use crate::packet::{Packet, proto};
use crate::ranges::RangeIndex;

use super::run::{Here, Run};
use super::truth::{Truth, Why};

/// At most this many elements are listed where a key is known in part.
const MOST: usize = 64;

/// What a set holds for a key.
pub(crate) enum Found {
    One(Element),
    None,
    /// One of these, or none (`None`).
    Several(Vec<Option<Element>>, Box<Why>),
    Unknown(Box<Why>),
}

impl Run<'_, '_> {
    /// The element for this key in a set of the rule's table, or else in an ipset of this name.
    pub(crate) fn find(&self, here: &Here, name: &str, key: &[Bits]) -> Found {
        let table = &self.judge.ruleset.tables[here.table];
        match table.sets.get(name) {
            Some(set) => {
                if set.dynamic && !matches!(set.elements, Elements::Unread) {
                    self.assume(|| format!("set {name} holds what it held when it was read"));
                }
                self.look_up(Some(here.table), name, set, key)
            }
            None => match self.judge.ruleset.ipsets.get(name) {
                Some(set) => self.look_up(None, name, set, key),
                None => self.ask(Some(here.table), name, key),
            },
        }
    }

    fn look_up(&self, table: Option<usize>, name: &str, set: &Set, key: &[Bits]) -> Found {
        let exact: Option<Vec<Scalar>> = key.iter().map(|b| b.exact()).collect();
        let found = match (&set.elements, exact) {
            (Elements::Exact(map), Some(key)) => map.get(&key).cloned().map_or(Found::None, Found::One),
            (Elements::Ranges(ranges), Some(key)) if set.ipset.as_deref() == Some("hash:net,iface") => {
                net_and_interface(ranges, &key).cloned().map_or(Found::None, Found::One)
            }
            (Elements::Ranges(ranges), Some(key)) => {
                let index = self.judge.range_index(table, name, ranges);
                index.find(ranges, &key).cloned().map_or(Found::None, Found::One)
            }
            (Elements::Exact(map), None) => possible(name, map.iter().map(|(k, e)| (agrees(k, key), e))),
            (Elements::Ranges(ranges), None) => possible(name, ranges.iter().map(|(r, e)| (meets(r, key), e))),
            (Elements::Unread, _) => self.ask(table, name, key),
            (Elements::Sets(_), _) => Found::Unknown(Why::ignored(format!("set {name} is a list of sets"))),
            (Elements::Unknown(text), _) => Found::Unknown(Why::ignored(format!("set {name}: {text}"))),
        };
        match (found, &set.catch_all) {
            (Found::None, Some(element)) => Found::One(element.clone()),
            (Found::Several(mut list, why), Some(element)) => {
                for one in &mut list {
                    one.get_or_insert_with(|| element.clone());
                }
                Found::Several(list, why)
            }
            (found, _) => found,
        }
    }

    fn ask(&self, table: Option<usize>, name: &str, key: &[Bits]) -> Found {
        let not_known = || Found::Unknown(Why::not_known(format!("what set {name} holds is not known")));
        let Some(key) = key.iter().map(|b| b.exact()).collect::<Option<Vec<Scalar>>>() else {
            let read = if table.is_none() { self.judge.machine.ipset(name) } else { None };
            return match read.filter(|set| !matches!(set.elements, Elements::Unread)) {
                Some(set) => self.look_up(None, name, &set, key),
                None => not_known(),
            };
        };
        let of = table.map(|t| &self.judge.ruleset.tables[t]).map(|t| (t.family, t.name.as_str()));
        match self.judge.machine.element(of, name, &key) {
            Some(Some(element)) => Found::One(element),
            Some(None) => Found::None,
            None => not_known(),
        }
    }

    /// `-m set --match-set NAME src,dst` (net/netfilter/xt_set.c): the set's type says which field each dimension is.
    pub(crate) fn in_ipset(&self, here: &Here, packet: &Packet, name: &str, source: &[bool]) -> Truth {
        self.in_ipset_nested(here, packet, name, source, 0)
    }

    fn in_ipset_nested(&self, here: &Here, packet: &Packet, name: &str, source: &[bool], depth: u8) -> Truth {
        let Some(set) = self.judge.ruleset.ipsets.get(name) else {
            return Truth::Unknown(Why::not_known(format!("ipset {name} was not read")));
        };
        if let Elements::Sets(names) = &set.elements {
            if depth > 4 {
                return Truth::Unknown(Why::ignored(format!("ipset {name} nests too deep")));
            }
            let mut result = Truth::False;
            for inner in names {
                match self.in_ipset_nested(here, packet, inner, source, depth + 1) {
                    Truth::True => return Truth::True,
                    unknown @ Truth::Unknown(_) => result = unknown,
                    Truth::False | Truth::Fail => {}
                }
            }
            return result;
        }
        let key = match self.ipset_key(here, packet, set, source) {
            Ok(Some(key)) => key,
            Ok(None) => return Truth::False,
            Err(why) => return Truth::Unknown(why),
        };
        match self.look_up(None, name, set, &key) {
            Found::One(element) => {
                if element.nomatch {
                    Truth::False
                } else {
                    Truth::True
                }
            }
            Found::None => Truth::False,
            Found::Several(_, why) | Found::Unknown(why) => Truth::Unknown(why),
        }
    }

    /// The key that a set of this type takes from a packet: a port is preceded by its protocol (`ip_set_get_ip4_port`), an
    /// address of the other family is in no set. `None`: the packet has no such field.
    fn ipset_key(
        &self,
        here: &Here,
        packet: &Packet,
        set: &Set,
        source: &[bool],
    ) -> Result<Option<Vec<Bits>>, Box<Why>> {
        let kind = set.ipset.as_deref().unwrap_or_default();
        let dimensions = kind.split_once(':').map_or("", |(_, d)| d);
        let mut key = Vec::new();
        for (i, dimension) in dimensions.split(',').enumerate() {
            let of_source = source.get(i).copied().unwrap_or(false);
            match dimension {
                "ip" | "net" => {
                    let width = set.key.get(key.len()).copied().unwrap_or(32);
                    if u32::from(width) != packet.address_width() {
                        return Ok(None);
                    }
                    key.push(if of_source { packet.source() } else { packet.destination() });
                }
                "port" => {
                    if !packet.has_ports() && !matches!(packet.proto, 1 | 58) {
                        return Ok(None);
                    }
                    // bitmap:port looks at the number only, of TCP and UDP only (bitmap_port_kadt).
                    if !kind.starts_with("bitmap") {
                        key.push(Bits::known(packet.proto.into(), 8));
                    } else if !matches!(packet.proto, proto::TCP | proto::UDP) {
                        return Ok(None);
                    }
                    let port = match packet.proto {
                        // ip_set_get_icmp_port: type and code.
                        1 | 58 => self.load_bits(packet, Header::Transport, 0, 16),
                        _ if of_source => packet.sport(),
                        _ => packet.dport(),
                    };
                    key.push(port);
                }
                "mac" => key.push(self.load_bits(packet, Header::Link, if of_source { 48 } else { 0 }, 48)),
                "mark" => key.push(packet.mark),
                "iface" => {
                    let meta = if of_source { crate::model::Meta::IifName } else { crate::model::Meta::OifName };
                    match self.load(here, packet, &Field::Meta(meta)) {
                        crate::packet::Loaded::Value(bits) => key.push(bits),
                        crate::packet::Loaded::Absent => return Ok(None),
                        crate::packet::Loaded::Unknown(text) => return Err(Why::not_known(text)),
                    }
                }
                other => return Err(Why::ignored(format!("ipset type {kind}: {other}"))),
            }
        }
        Ok(Some(key))
    }

    fn load_bits(&self, packet: &Packet, base: Header, offset: u16, len: u16) -> Bits {
        packet.image.load(base, offset, len).unwrap_or(Bits::unknown(len.into()))
    }
}

/// `hash:net,iface` stops at the narrowest network that holds the address and has any element, whatever the interface of
/// that is (ip_set_hash_netiface.c `hash_netiface4_data_equal` counts them, ip_set_hash_gen.h `mtype_test_cidrs`).
fn net_and_interface<'e>(ranges: &'e [(Vec<(Scalar, Scalar)>, Element)], key: &[Scalar]) -> Option<&'e Element> {
    let within = |(from, to): (Scalar, Scalar), value: Scalar| from <= value && value <= to;
    let (address, interface) = (*key.first()?, *key.get(1)?);
    let nets = ranges.iter().filter_map(|(parts, _)| parts.first().copied());
    let narrowest = nets.filter(|net| within(*net, address)).min_by_key(|(from, to)| to - from)?;
    let here = ranges.iter().filter(|(parts, _)| parts.first() == Some(&narrowest));
    here.filter(|(parts, _)| parts.get(1).is_some_and(|i| within(*i, interface))).map(|(_, element)| element).next()
}

fn agrees(element: &[Scalar], key: &[Bits]) -> Option<bool> {
    both(element.len() == key.len(), element.iter().zip(key).map(|(e, k)| k.is(*e)))
}

fn meets(element: &[(Scalar, Scalar)], key: &[Bits]) -> Option<bool> {
    both(element.len() == key.len(), element.iter().zip(key).map(|((from, to), k)| k.within(*from, *to)))
}

fn both(same_length: bool, parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    if !same_length {
        return Some(false);
    }
    let mut result = Some(true);
    for part in parts {
        match part {
            Some(false) => return Some(false),
            None => result = None,
            Some(true) => {}
        }
    }
    result
}

/// What a key that is known in part may be in.
fn possible<'e>(name: &str, elements: impl Iterator<Item = (Option<bool>, &'e Element)>) -> Found {
    let why = || Why::not_known(format!("the key looked up in {name} is known only in part"));
    let mut list = Vec::new();
    for (agrees, element) in elements {
        match agrees {
            Some(true) if list.is_empty() => return Found::One(element.clone()),
            Some(true) => {
                list.push(Some(element.clone()));
                return Found::Several(list, why());
            }
            None if list.len() >= MOST => return Found::Unknown(why()),
            None => list.push(Some(element.clone())),
            Some(false) => {}
        }
    }
    if list.is_empty() {
        return Found::None;
    }
    list.push(None);
    Found::Several(list, why())
}

impl super::Judge<'_> {
    fn range_index(
        &self,
        table: Option<usize>,
        name: &str,
        ranges: &[(Vec<(Scalar, Scalar)>, Element)],
    ) -> Rc<RangeIndex> {
        let mut cache = self.range_indexes.borrow_mut();
        let key = (table, name.to_owned());
        Rc::clone(cache.entry(key).or_insert_with(|| Rc::new(RangeIndex::build(ranges))))
    }
}

//! Sets and maps: their shape, and their elements.

use super::attr::{Attrs, Table, be32, comment, udata};
use super::registers::{number, padded};
use super::verdict;
use crate::model::{Element, Elements, Family, Scalar, Set};
use std::collections::HashMap;

const INTERVAL: u32 = 0x4;
const MAP: u32 = 0x8;
const TIMEOUT: u32 = 0x10;
const EVAL: u32 = 0x20;
const OBJECT: u32 = 0x40;
const ANONYMOUS: u32 = 0x1;
/// `NFT_DATA_VERDICT`.
const VERDICTS: u32 = 0xffff_ff00;
const ELEM_INTERVAL_END: u32 = 0x1;
const ELEM_CATCHALL: u32 = 0x2;

/// One part of a key or of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Bytes.
    pub len: u16,
    /// In the machine's order; else in network order.
    pub host: bool,
}

/// What the kernel says of a set without its elements.
#[derive(Debug, Clone, Default)]
pub struct SetHead {
    /// Flags (`NFT_SET_*`).
    flags: u32,
    /// Bytes of a key.
    key_len: usize,
    /// Parts of the key, as far as they are known.
    key: Vec<Part>,
    /// Bytes of a map's data.
    data_len: usize,
    /// Parts of the data.
    data: Vec<Part>,
    /// The data are verdicts.
    verdicts: bool,
    /// Kind of the objects that a map of objects names (`NFT_OBJECT_*`).
    object: Option<u32>,
    comment: Option<String>,
    /// The parts of the key are those of the type that its maker wrote.
    typed: bool,
    /// How many elements it has, where the kernel says it (`NFTA_SET_COUNT`): older kernels do not.
    count: Option<u32>,
}

impl SetHead {
    /// How many elements the kernel counts, where it says so: the two ends of a range are two.
    pub fn count(&self) -> Option<u32> {
        self.count
    }
    /// Whether its keys can be divided before a rule showed how.
    pub fn is_typed(&self) -> bool {
        self.typed
    }
    /// Whether it belongs to a rule instead of having a name.
    pub fn is_anonymous(&self) -> bool {
        self.flags & ANONYMOUS != 0
    }
    /// Whether its elements are ranges.
    pub fn is_interval(&self) -> bool {
        self.flags & INTERVAL != 0
    }
    /// Whether it maps to verdicts.
    pub(crate) fn has_verdicts(&self) -> bool {
        self.flags & MAP != 0 && self.verdicts
    }
    pub(crate) fn object(&self) -> Option<u32> {
        self.object.filter(|_| self.flags & OBJECT != 0)
    }
    pub(crate) fn key_len(&self) -> usize {
        self.key_len
    }
    pub(crate) fn key(&self) -> &[Part] {
        &self.key
    }
    pub(crate) fn data_len(&self) -> usize {
        self.data_len
    }
    /// What a rule showed about the parts of the key: it knows better than the type that the set's maker wrote.
    pub(crate) fn learn_key(&mut self, parts: Vec<Part>) {
        self.key = parts;
    }
    /// The number of the data's part that starts at byte `at` and has `len` bytes; `host`: as it is used.
    pub(crate) fn data_part(&mut self, at: usize, len: usize, host: bool) -> Option<u8> {
        let mut start = 0;
        for (index, part) in self.data.iter_mut().enumerate() {
            if start == at && usize::from(part.len) == len {
                part.host = host;
                return u8::try_from(index).ok();
            }
            start += padded(usize::from(part.len));
        }
        None
    }
    /// The byte order of the data's part at byte `at`, as far as it is known.
    pub(crate) fn data_host(&self, at: usize) -> bool {
        let mut start = 0;
        for part in &self.data {
            if start == at {
                return part.host;
            }
            start += padded(usize::from(part.len));
        }
        false
    }
    /// The model's set, elements left out.
    pub fn empty(&self) -> Set {
        Set {
            key: self.key.iter().map(|part| part.len.saturating_mul(8)).collect(),
            elements: Elements::Unread,
            timeout: self.flags & TIMEOUT != 0,
            dynamic: self.flags & EVAL != 0,
            comment: self.comment.clone(),
            catch_all: None,
            ipset: None,
        }
    }
    /// A key as the kernel has it. `None` where the parts are not those of this set.
    pub fn key_bytes(&self, key: &[Scalar]) -> Option<Vec<u8>> {
        if key.len() != self.key.len() {
            return None;
        }
        let mut bytes = Vec::with_capacity(self.key_len);
        for (part, value) in self.key.iter().zip(key) {
            let len = usize::from(part.len);
            let mut word = value.to_be_bytes()[16usize.checked_sub(len)?..].to_vec();
            if part.host && cfg!(target_endian = "little") {
                word.reverse();
            }
            word.resize(padded(len), 0);
            bytes.extend(word);
        }
        bytes.truncate(self.key_len);
        Some(bytes)
    }
}

/// Length in bytes and byte order of a type that nft(8) writes into `NFTA_SET_KEY_TYPE` (`enum datatypes`, nftables
/// include/datatype.h). The kernel does not look at it; other programs may write 0.
const fn of_type(number: u32) -> Option<Part> {
    let (len, host) = match number {
        // nfproto, inet_proto, icmp_type, tcp_flag, dccp_pkttype, mh_type, ct_dir, icmpv6_type, pkt_type, the ICMP codes,
        // dscp, ecn, boolean, igmp_type, day
        2 | 12 | 14..=17 | 27 | 29 | 31..=34 | 36 | 37 | 39 | 42 | 45 => (1, false),
        // ether_type, arp_op, inet_service
        10 | 11 | 13 => (2, false),
        // iface_type
        21 => (2, true),
        // ipv4_addr
        7 => (4, false),
        // mark, iface_index, realm, classid, uid, gid, ct_state, ct_status, devgroup, fib_addrtype, ct_event, hour
        19 | 20 | 22..=26 | 28 | 35 | 38 | 40 | 44 => (4, true),
        // ether_addr
        9 => (6, false),
        // date, cgroupsv2
        43 | 46 => (8, true),
        // ipv6_addr, ifname
        8 | 41 => (16, false),
        _ => return None,
    };
    Some(Part { len, host })
}

/// The parts of a type: six bits each, the last one lowest.
fn parts_of_type(mut number: u32) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    while number != 0 {
        parts.insert(0, of_type(number & 0x3f)?);
        number >>= 6;
    }
    (!parts.is_empty()).then_some(parts)
}

fn bytes_of(parts: &[Part]) -> usize {
    match parts {
        [one] => usize::from(one.len),
        parts => parts.iter().map(|part| padded(usize::from(part.len))).sum(),
    }
}

/// `NFT_MSG_NEWSET` without its header: table, name, and what the set is.
pub(crate) fn head(attributes: &[u8]) -> Option<(String, String, SetHead)> {
    let t: Table<'_, 21> = Table::new(attributes);
    let (table, name) = (t.name(1)?, t.name(2)?);
    let flags = t.be32(3).unwrap_or(0);
    let key_len = t.be32(5).unwrap_or(0) as usize;
    let user = t.get(13).unwrap_or_default();
    let host = |kind: u8| match udata(user, kind) {
        // enum byteorder: 1 host, 2 big.
        Some([1, ..]) => Some(true),
        Some([2, ..]) => Some(false),
        _ => None,
    };
    let by_type = parts_of_type(t.be32(4).unwrap_or(0)).filter(|parts| bytes_of(parts) == key_len);
    let typed = by_type.is_some();
    let described = t.get(9).map(fields).unwrap_or_default();
    let whole = || vec![Part { len: u16::try_from(key_len).unwrap_or(0), host: host(0).unwrap_or(false) }];
    let mut key = match (by_type, described.is_empty()) {
        (Some(parts), _) => parts,
        (None, false) => described.iter().map(|&len| Part { len, host: false }).collect(),
        (None, true) => whole(),
    };
    if flags & INTERVAL != 0 {
        // nft(8) turns ranges of host-endian numbers into network order, as the kernel orders keys by their bytes.
        key.iter_mut().for_each(|part| part.host = false);
    }
    let data_type = t.be32(6).unwrap_or(0);
    let data_len = t.be32(7).unwrap_or(0) as usize;
    let data = parts_of_type(data_type).unwrap_or_default();
    let data = match bytes_of(&data) {
        len if len == data_len && len > 0 => data,
        // `flags interval` of the data: a range is two values.
        len if len > 0 && data_len == 2 * data.iter().map(|p| padded(p.len.into())).sum::<usize>() => data.repeat(2),
        _ => vec![Part { len: u16::try_from(data_len).unwrap_or(0), host: host(1).unwrap_or(false) }],
    };
    let head = SetHead {
        flags,
        key_len,
        key,
        data_len,
        data,
        verdicts: data_type == VERDICTS,
        object: t.be32(15),
        comment: comment(user, 7),
        typed,
        count: t.be32(20),
    };
    Some((table, name, head))
}

/// Lengths in bytes of the fields of a concatenation (`NFTA_SET_DESC_CONCAT`).
fn fields(description: &[u8]) -> Vec<u16> {
    let concat = Attrs(description).find(|(kind, _)| *kind == 2).map(|(_, value)| value).unwrap_or_default();
    let length = |(_, field)| Attrs(field).find(|(kind, _)| *kind == 1).and_then(|(_, value)| be32(value));
    Attrs(concat).filter_map(length).filter_map(|len| u16::try_from(len).ok()).take(16).collect()
}

/// An element as it was sent.
#[derive(Debug, Clone)]
pub struct RawElement {
    key: Vec<u8>,
    key_end: Option<Vec<u8>>,
    data: Option<Vec<u8>>,
    flags: u32,
    element: Element,
}

/// `NFT_MSG_NEWSETELEM` without its header: table, set and elements.
pub(crate) fn elements(attributes: &[u8]) -> Option<(String, String, Vec<RawElement>)> {
    let t: Table<'_, 5> = Table::new(attributes);
    let list = t.get(3).unwrap_or_default();
    Some((t.name(1)?, t.name(2)?, Attrs(list).filter_map(|(_, element)| raw(element)).collect()))
}

/// `NFTA_DATA_VALUE` of nested data.
fn value(data: &[u8]) -> Option<&[u8]> {
    Attrs(data).find(|(kind, _)| *kind == 1).map(|(_, value)| value)
}

fn raw(bytes: &[u8]) -> Option<RawElement> {
    let t: Table<'_, 13> = Table::new(bytes);
    let flags = t.be32(3).unwrap_or(0);
    let key = t.get(1).and_then(value).map(<[u8]>::to_vec);
    let element = Element {
        verdict: t.get(2).and_then(verdict::of_data),
        data: None,
        nomatch: false,
        comment: t.get(6).and_then(|user| comment(user, 0)),
        expires: t.be64(5).map(|ms| ms / 1000),
    };
    Some(RawElement {
        key: if flags & ELEM_CATCHALL != 0 { Vec::new() } else { key? },
        key_end: t.get(10).and_then(value).map(<[u8]>::to_vec),
        data: t.get(2).and_then(value).map(<[u8]>::to_vec),
        flags,
        element,
    })
}

fn scalars(parts: &[Part], bytes: &[u8]) -> Option<Vec<Scalar>> {
    let mut at = 0;
    let mut list = Vec::with_capacity(parts.len());
    for part in parts {
        let len = usize::from(part.len);
        if len > 16 {
            return None;
        }
        list.push(number(bytes.get(at..at + len)?, part.host));
        at += padded(len);
    }
    Some(list)
}

impl SetHead {
    fn finished(&self, raw: &RawElement) -> Element {
        let data = raw.data.as_ref().and_then(|bytes| scalars(&self.data, bytes));
        Element { data, ..raw.element.clone() }
    }

    /// What one element that was asked for says.
    pub fn element(&self, raw: &RawElement) -> Element {
        self.finished(raw)
    }

    /// The set with these elements.
    pub fn filled(&self, raw: Vec<RawElement>) -> Set {
        let (catch_all, raw): (Vec<_>, Vec<_>) = raw.into_iter().partition(|e| e.flags & ELEM_CATCHALL != 0);
        let unreadable = || Elements::Unknown("its keys have parts that are not known".to_owned());
        let elements = match (self.is_interval(), &self.key[..]) {
            (true, [_]) => self.intervals(raw),
            (true, _) => self.boxes(&raw),
            (false, _) => self.exact(&raw),
        };
        Set {
            elements: elements.unwrap_or_else(unreadable),
            catch_all: catch_all.first().map(|raw| self.finished(raw)),
            ..self.empty()
        }
    }

    fn exact(&self, raw: &[RawElement]) -> Option<Elements> {
        let mut map = HashMap::with_capacity(raw.len());
        for element in raw {
            map.insert(scalars(&self.key, &element.key)?, self.finished(element));
        }
        Some(Elements::Exact(map))
    }

    /// Concatenated ranges (`nft_set_pipapo`): each element has both ends.
    fn boxes(&self, raw: &[RawElement]) -> Option<Elements> {
        let mut list = Vec::with_capacity(raw.len());
        for element in raw {
            let from = scalars(&self.key, &element.key)?;
            let to = scalars(&self.key, element.key_end.as_ref().unwrap_or(&element.key))?;
            let key: Vec<(Scalar, Scalar)> = from.into_iter().zip(to).collect();
            key.iter().all(|(from, to)| from <= to).then_some(())?;
            list.push((key, self.finished(element)));
        }
        Some(Elements::Ranges(list))
    }

    /// Ranges of one value (`nft_set_rbtree`): an element opens one, the next one or an element with the end flag, which is
    /// the first value behind the range, closes it; the last may be open.
    fn intervals(&self, raw: Vec<RawElement>) -> Option<Elements> {
        let part = *self.key.first().filter(|part| part.len <= 16)?;
        let mut ends = Vec::with_capacity(raw.len());
        let mut list = Vec::with_capacity(raw.len() / 2 + 1);
        for element in raw {
            let key = number(element.key.get(..part.len.into())?, part.host);
            if let Some(end) = &element.key_end {
                let end = number(end.get(..part.len.into())?, part.host);
                (key <= end).then_some(())?;
                list.push((vec![(key, end)], self.finished(&element)));
            } else {
                ends.push((key, element.flags & ELEM_INTERVAL_END == 0, element));
            }
        }
        ends.sort_by_key(|(key, opens, _)| (*key, *opens));
        let mut open: Option<(Scalar, RawElement)> = None;
        for (key, opens, element) in ends {
            if let Some((from, element)) = open.take()
                && from < key
            {
                list.push((vec![(from, key - 1)], self.finished(&element)));
            }
            if opens {
                open = Some((key, element));
            }
        }
        if let Some((from, element)) = open {
            list.push((vec![(from, super::registers::ones(usize::from(part.len) * 8))], self.finished(&element)));
        }
        Some(Elements::Ranges(list))
    }
}

/// What is known of the sets of one table while its rules are read.
#[derive(Debug, Default)]
pub struct Sets {
    /// By name.
    pub heads: HashMap<String, SetHead>,
    /// The family of the table.
    pub family: Option<Family>,
}

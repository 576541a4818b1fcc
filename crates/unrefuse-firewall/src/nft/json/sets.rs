//! Sets and maps, with a name or of a single rule.

use super::super::names::Kind;
use super::statement::{self, Reader};
use super::{table_of, text_of, value};
use crate::model::{Element, Elements, Expr, Ruleset, Scalar, Set};
use serde_json::Value;
use std::collections::HashMap;

/// Bits and writing of a type.
fn of_type(name: &str) -> Option<(u16, Kind)> {
    Some(match name {
        "ipv4_addr" => (32, Kind::Address4),
        "ipv6_addr" => (128, Kind::Address6),
        "ether_addr" => (48, Kind::Mac),
        "inet_proto" => (8, Kind::Protocol),
        "inet_service" => (16, Kind::Number),
        "ifname" | "iface_index" => (128, Kind::Name),
        "mark" => (32, Kind::Hex),
        "ct_state" => (32, Kind::State),
        "ct_status" => (32, Kind::Status),
        "icmp_type" => (8, Kind::Icmp),
        "icmpv6_type" => (8, Kind::Icmp6),
        "ether_type" => (16, Kind::EtherType),
        "nf_proto" => (8, Kind::Family),
        "tcp_flag" => (8, Kind::TcpFlags),
        "pkt_type" => (8, Kind::PacketType),
        "fib_addrtype" => (32, Kind::Address),
        "uid" | "gid" | "classid" | "realm" | "devgroup" | "cgroupsv2" | "integer" => (32, Kind::Number),
        "boolean" => (8, Kind::Exists),
        "dscp" => (8, Kind::Dscp),
        "arphrd" => (16, Kind::LinkType),
        "ecn" | "icmp_code" | "icmpv6_code" | "icmpx_code" => (8, Kind::Number),
        _ => return None,
    })
}

/// The types of a key or of data: one, or a list.
fn types(json: &Value) -> Option<Vec<(u16, Kind)>> {
    match json {
        Value::String(one) => of_type(one).map(|one| vec![one]),
        Value::Array(list) => list.iter().map(|one| of_type(one.as_str()?)).collect(),
        _ => None,
    }
}

pub(in super::super) fn named(ruleset: &mut Ruleset, content: &Value) -> Option<()> {
    let name = text_of(content, "name")?.to_owned();
    let flags = content.get("flags").map(Value::to_string).unwrap_or_default();
    let key = content.get("type").and_then(types);
    let data = content.get("map").and_then(types).unwrap_or_default();
    let mut set = match &key {
        Some(key) => {
            let kinds: Vec<Kind> = key.iter().map(|(_, kind)| *kind).collect();
            let data: Vec<Kind> = data.iter().map(|(_, kind)| *kind).collect();
            let listed = content.get("elem").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            filled(listed, &kinds, &data)
        }
        None => Set { elements: Elements::Unknown("a type that is not known".to_owned()), ..Set::default() },
    };
    set.key = key.unwrap_or_default().iter().map(|(bits, _)| *bits).collect();
    set.timeout = flags.contains("timeout");
    set.dynamic = flags.contains("dynamic");
    set.comment = text_of(content, "comment").map(str::to_owned);
    table_of(ruleset, content)?.sets.insert(name, set);
    Some(())
}

/// A set of these elements; one that is not understood makes it not understood.
pub(super) fn filled(list: &[Value], kinds: &[Kind], data: &[Kind]) -> Set {
    let mut set = Set::default();
    let mut ranges = Vec::with_capacity(list.len());
    for json in list {
        match element(json, kinds, data) {
            Some((Some(key), element)) => ranges.push((key, element)),
            Some((None, element)) => set.catch_all = Some(element),
            None => {
                let text = unrefuse_facts::text::clip(&json.to_string(), 80);
                set.elements = Elements::Unknown(format!("an element is not understood: {text}"));
                return set;
            }
        }
    }
    set.elements = if ranges.iter().all(|(key, _)| key.iter().all(|(from, to)| from == to)) {
        let exact = ranges.into_iter().map(|(key, element)| (key.into_iter().map(|(from, _)| from).collect(), element));
        Elements::Exact(exact.collect::<HashMap<_, _>>())
    } else {
        Elements::Ranges(ranges)
    };
    set
}

type Ranges = Vec<(Scalar, Scalar)>;

/// Key and what belongs to it; without a key it is the catch-all element.
fn element(json: &Value, kinds: &[Kind], data: &[Kind]) -> Option<(Option<Ranges>, Element)> {
    // A map's element is a pair of key and data.
    let (key, to) = match json.as_array().map(Vec::as_slice) {
        Some([key, to]) => (key, Some(to)),
        Some(_) => return None,
        None => (json, None),
    };
    let (key, mut element) = match key.get("elem") {
        Some(full) => {
            let expires = full.get("expires").and_then(Value::as_u64);
            let comment = text_of(full, "comment").map(str::to_owned);
            (full.get("val")?, Element { comment, expires, ..Element::default() })
        }
        None => (key, Element::default()),
    };
    if let Some(to) = to {
        element.verdict = statement::verdict(to);
        if element.verdict.is_none() {
            element.data = Some(constants(to, data)?);
        }
    }
    if key.as_str() == Some("*") {
        return Some((None, element));
    }
    let parts = parts(key);
    (parts.len() == kinds.len()).then_some(())?;
    let ranges: Option<Ranges> = parts.iter().zip(kinds).map(|(part, kind)| value::span(*kind, part)).collect();
    Some((Some(ranges?), element))
}

fn parts(json: &Value) -> Vec<&Value> {
    match json.get("concat").and_then(Value::as_array) {
        Some(parts) => parts.iter().collect(),
        None => vec![json],
    }
}

fn constants(json: &Value, kinds: &[Kind]) -> Option<Vec<Scalar>> {
    let parts = parts(json);
    // In a rule's own map the type of the data is not said; the value shows it.
    if kinds.is_empty() {
        return parts.into_iter().map(guessed).collect();
    }
    (parts.len() == kinds.len()).then_some(())?;
    parts.iter().zip(kinds).map(|(part, kind)| value::constant(*kind, part)).collect()
}

fn guessed(json: &Value) -> Option<Scalar> {
    let of = |kind| value::constant(kind, json);
    of(Kind::Number).or_else(|| of(Kind::Address4)).or_else(|| of(Kind::Address6))
}

impl Reader<'_> {
    /// The set that `@name` or `{"set": […]}` means: one of a single rule gets a name as the kernel would give it.
    pub(super) fn set_of(&mut self, json: &Value, key: &[Expr]) -> Option<String> {
        if let Some(name) = json.as_str() {
            return name.strip_prefix('@').map(str::to_owned);
        }
        let list = json.get("set")?;
        let one = std::slice::from_ref(list);
        let list = list.as_array().map_or(one, Vec::as_slice);
        let kinds: Vec<Kind> = key.iter().map(|part| self.kind(part)).collect();
        let name = format!("__json{}", self.sets.len());
        self.sets.insert(name.clone(), filled(list, &kinds, &[]));
        Some(name)
    }
}

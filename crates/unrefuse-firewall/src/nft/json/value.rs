//! Constants: numbers, names, addresses, prefixes, ranges.

use super::super::names::{Kind, value as written};
use super::super::registers::ones;
use crate::model::Scalar;
use serde_json::Value;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A single constant of this kind.
pub(super) fn constant(kind: Kind, json: &Value) -> Option<Scalar> {
    match json {
        // An interface without a name, or the number of one.
        Value::Number(_) if kind == Kind::Name => None,
        Value::Number(number) => number.as_u64().map(Scalar::from),
        Value::Bool(holds) => Some(Scalar::from(*holds)),
        Value::String(text) => named(kind, text),
        // Flags are listed, or combined.
        Value::Array(list) => list.iter().try_fold(0, |all, one| Some(all | constant(kind, one)?)),
        Value::Object(object) => {
            let list = object.get("|")?.as_array()?;
            list.iter().try_fold(0, |all, one| Some(all | constant(kind, one)?))
        }
        Value::Null => None,
    }
}

fn named(kind: Kind, text: &str) -> Option<Scalar> {
    match kind {
        Kind::Address4 => text.parse::<Ipv4Addr>().ok().map(|a| a.to_bits().into()),
        Kind::Address6 => text.parse::<Ipv6Addr>().ok().map(Ipv6Addr::to_bits),
        Kind::Name => name(text),
        Kind::Mac => {
            let parts: Option<Vec<u8>> = text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
            let bytes: [u8; 6] = parts?.try_into().ok()?;
            Some(bytes.iter().fold(0, |all, byte| all << 8 | Scalar::from(*byte)))
        }
        _ => {
            let text = match text {
                "icmpv6" => "ipv6-icmp",
                "vlan" => "8021q",
                "unicast" if kind == Kind::PacketType => "host",
                text => text,
            };
            let number =
                text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| Scalar::from_str_radix(hex, 16).ok());
            let bits = (0..32).map(|bit| 1 << bit);
            let known = [0x0800, 0x86dd, 0x0806, 0x8100, 512, 768, 769, 772, 776, 778];
            let all = (0..=255).chain(bits).chain(known);
            let service = || (kind == Kind::Number).then(|| crate::iptables::service(text)).flatten();
            number
                .or_else(|| all.into_iter().find(|value| written(kind, *value) == text))
                .or_else(|| service().map(Scalar::from))
        }
    }
}

/// A name, padded with zeros.
pub(super) fn name(text: &str) -> Option<Scalar> {
    let mut bytes = [0; 16];
    bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(Scalar::from_be_bytes(bytes))
}

/// A constant, a prefix or a range, as the lowest and the highest value that it means.
pub(super) fn span(kind: Kind, json: &Value) -> Option<(Scalar, Scalar)> {
    if let Some(prefix) = json.get("prefix") {
        let length = usize::try_from(prefix.get("len")?.as_u64()?).ok()?;
        let address = constant(kind, prefix.get("addr")?)?;
        let bits = super::super::names::width(kind)?;
        let open = ones(bits.checked_sub(length)?);
        return Some((address & !open, address | open));
    }
    if let Some(range) = json.get("range") {
        let (from, to) = (constant(kind, range.get(0)?)?, constant(kind, range.get(1)?)?);
        return (from <= to).then_some((from, to));
    }
    if let (Kind::Name, Some(begin)) = (kind, json.as_str().and_then(|text| text.strip_suffix('*'))) {
        let from = name(begin)?;
        return Some((from, from | ones((16 - begin.len()) * 8)));
    }
    constant(kind, json).map(|value| (value, value))
}

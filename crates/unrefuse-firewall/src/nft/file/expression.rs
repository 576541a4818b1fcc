//! Fields, constants and what is computed from them, as the JSON of libnftables-json(5).

use super::super::json;
use super::cursor::Cursor;
use super::lexer::Kind;
use serde_json::{Value, json};
use std::net::IpAddr;

/// Parentheses and braces within each other, at most.
const DEEPEST: usize = 16;

/// Metadata that is read without the word `meta` before it.
const BARE_META: [&str; 16] = [
    "mark",
    "iif",
    "oif",
    "iifname",
    "oifname",
    "iiftype",
    "oiftype",
    "iifgroup",
    "oifgroup",
    "skuid",
    "skgid",
    "rtclassid",
    "pkttype",
    "cpu",
    "cgroup",
    "nftrace",
];
const OPERATORS: [(&str, &str, &str); 5] =
    [("<<", "lshift", "<<"), (">>", "rshift", ">>"), ("&", "and", "&"), ("^", "xor", "^"), ("|", "or", "|")];

/// Whether a value is a list of flags, of which one that is set is enough where no operator is written.
pub(super) fn is_flags(left: &Value) -> bool {
    let of = |space: &str, member: &str| left.get(space).and_then(|field| field.get(member)).and_then(Value::as_str);
    matches!(of("ct", "key"), Some("state" | "status")) || matches!(of("payload", "field"), Some("flags"))
}

/// A field that begins here; nothing is taken where none does.
pub(super) fn field(c: &mut Cursor) -> Option<Value> {
    let first = c.peek()?.clone();
    if first.kind == Kind::Set {
        return raw(c, &first.text);
    }
    let word = (first.kind == Kind::Word).then_some(first.text)?;
    let second = c.peek_at(1).filter(|token| token.kind == Kind::Word).map(|token| token.text.to_string());
    let second = second.as_deref();
    let taken = |c: &mut Cursor, value: Value| {
        c.next();
        c.next();
        Some(value)
    };
    match &*word {
        "meta" => taken(c, json!({ "meta": { "key": second? } })),
        "ct" => ct(c),
        "fib" => fib(c),
        "socket" if matches!(second, Some("transparent" | "mark" | "wildcard")) => {
            taken(c, json!({ "socket": { "key": second } }))
        }
        "numgen" if matches!(second, Some("inc" | "random")) => {
            taken(c, Value::Null)?;
            c.want("mod")?;
            c.number()?;
            if c.take("offset") {
                c.number()?;
            }
            Some(json!({ "numgen": {} }))
        }
        "rt" | "hbh" | "frag" | "dst" | "mh" | "srh" => {
            let known = ["type", "nexthdr", "hdrlength", "seg-left", "frag-off", "id", "more-fragments"];
            let name = second.filter(|field| known.contains(field))?.to_owned();
            taken(c, json!({ "exthdr": { "name": &*word, "field": name } }))
        }
        "exthdr" => taken(c, json!({ "exthdr": { "name": second? } })),
        "tcp" if second == Some("option") => {
            taken(c, Value::Null)?;
            let name = c.word()?;
            let field = ["kind", "length", "size", "count", "left", "right", "tsval", "tsecr", "subtype"];
            Some(match c.one_of(&field) {
                Some(field) => json!({ "tcp option": { "name": &*name, "field": field } }),
                None => json!({ "tcp option": { "name": &*name } }),
            })
        }
        protocol if second.is_some_and(|name| json::is_field(protocol, name)) => {
            let value = json!({ "payload": { "protocol": protocol, "field": second } });
            taken(c, value)
        }
        key if BARE_META.contains(&key) => {
            c.next();
            Some(json!({ "meta": { "key": key } }))
        }
        _ => None,
    }
}

/// `@th,16,16`.
fn raw(c: &mut Cursor, base: &str) -> Option<Value> {
    (matches!(base, "ll" | "nh" | "th" | "ih") && c.is_at(1, ",")).then_some(())?;
    c.next();
    c.want(",")?;
    let offset = c.number()?;
    c.want(",")?;
    Some(json!({ "payload": { "base": base, "offset": offset, "len": c.number()? } }))
}

fn ct(c: &mut Cursor) -> Option<Value> {
    c.want("ct")?;
    let direction = c.one_of(&["original", "reply"]);
    let family = direction.and_then(|_| c.one_of(&["ip", "ip6"]));
    let key = c.word()?;
    let key = family.map_or_else(|| key.to_string(), |family| format!("{family} {key}"));
    Some(match direction {
        Some(direction) => json!({ "ct": { "key": key, "dir": direction } }),
        None => json!({ "ct": { "key": key } }),
    })
}

fn fib(c: &mut Cursor) -> Option<Value> {
    c.want("fib")?;
    let mut flags = vec![c.one_of(&["saddr", "daddr", "mark", "iif", "oif"])?];
    while c.take(".") {
        flags.push(c.one_of(&["saddr", "daddr", "mark", "iif", "oif"])?);
    }
    let result = c.one_of(&["oifname", "oif", "type", "check"])?;
    Some(json!({ "fib": { "result": result, "flags": flags } }))
}

/// A field or what is computed from one: the left side of a test. With several parts it is a concatenation.
pub(super) fn left(c: &mut Cursor) -> Option<Value> {
    let mut parts = vec![computed(c, true, 0)?];
    while c.take(".") {
        parts.push(computed(c, true, 0)?);
    }
    Some(if parts.len() == 1 { parts.remove(0) } else { json!({ "concat": parts }) })
}

/// What a field is set to, or a packet is sent to: a constant, a field, what is computed from them, or the data of a map.
pub(super) fn value(c: &mut Cursor) -> Option<Value> {
    let value = match c.is("{") {
        true => return None,
        false => computed(c, false, 0)?,
    };
    let mut parts = vec![value];
    while c.take(".") {
        parts.push(computed(c, false, 0)?);
    }
    let key = if parts.len() == 1 { parts.remove(0) } else { json!({ "concat": parts }) };
    if c.take("map") {
        return Some(json!({ "map": { "key": key, "data": set(c)? } }));
    }
    Some(key)
}

/// A field or constant, with operators: shifts bind strongest, then `&`, `^`, `|`.
fn computed(c: &mut Cursor, begins_with_field: bool, depth: usize) -> Option<Value> {
    level(c, OPERATORS.len() - 1, begins_with_field, depth)
}

fn level(c: &mut Cursor, at: usize, begins_with_field: bool, depth: usize) -> Option<Value> {
    // Both shifts are of one level.
    if at == 0 {
        return primary(c, begins_with_field, depth);
    }
    let below = if at == 1 { 0 } else { at - 1 };
    let mut left = level(c, below, begins_with_field, depth)?;
    let ours = if at == 1 { &OPERATORS[..2] } else { &OPERATORS[at..=at] };
    while let Some((_, _, name)) = ours.iter().find(|(sign, word, _)| c.take(sign) || c.take(word)) {
        let right = level(c, below, false, depth)?;
        let mut both = serde_json::Map::new();
        both.insert((*name).to_owned(), json!([left, right]));
        left = Value::Object(both);
    }
    Some(left)
}

fn primary(c: &mut Cursor, must_be_field: bool, depth: usize) -> Option<Value> {
    if c.is("(") {
        (depth < DEEPEST).then_some(())?;
        c.next();
        let inner = computed(c, must_be_field, depth + 1)?;
        c.want(")")?;
        return Some(inner);
    }
    match field(c) {
        Some(field) => Some(field),
        None if must_be_field => None,
        None => constant(c),
    }
}

/// One constant, a prefix or a range.
pub(super) fn constant(c: &mut Cursor) -> Option<Value> {
    let token = c.peek().filter(|token| matches!(token.kind, Kind::Word | Kind::Quoted))?.clone();
    c.next();
    if token.kind == Kind::Quoted {
        return Some(Value::String(token.text.to_string()));
    }
    if let Some((from, to)) = token.text.split_once('-').filter(|(from, to)| is_number(from) && is_number(to)) {
        return Some(json!({ "range": [single(from)?, single(to)?] }));
    }
    let value = single(&token.text)?;
    if is_number(&token.text) && c.take("-") {
        let to = c.peek().filter(|token| token.kind == Kind::Word && is_number(&token.text))?.text.clone();
        c.next();
        return Some(json!({ "range": [value, single(&to)?] }));
    }
    Some(value)
}

/// A number or an address, which a range may begin and end with; others have dashes in their names.
fn is_number(text: &str) -> bool {
    let hex = text.strip_prefix("0x").is_some_and(|digits| u64::from_str_radix(digits, 16).is_ok());
    hex || text.parse::<u64>().is_ok() || text.parse::<IpAddr>().is_ok()
}

fn single(text: &str) -> Option<Value> {
    if let Some((address, length)) = text.split_once('/') {
        let address: IpAddr = address.parse().ok()?;
        let length: u8 = length.parse().ok()?;
        return Some(json!({ "prefix": { "addr": address.to_string(), "len": length } }));
    }
    if text.bytes().all(|c| c.is_ascii_digit()) {
        // One that begins with 0 is octal to strtoull(3).
        return (text == "0" || !text.starts_with('0')).then(|| text.parse::<u64>().ok())?.map(Value::from);
    }
    Some(Value::String(text.to_owned()))
}

/// The right side of a test: a set, or constants that are listed or combined.
pub(super) fn right(c: &mut Cursor) -> Option<Value> {
    if c.is("{") || c.peek()?.kind == Kind::Set {
        return set(c);
    }
    let first = constants(c)?;
    if c.is(".") {
        let mut parts = vec![first];
        while c.take(".") {
            parts.push(constants(c)?);
        }
        return Some(json!({ "concat": parts }));
    }
    if !c.is(",") {
        return Some(first);
    }
    let mut list = vec![first];
    while c.take(",") {
        list.push(constants(c)?);
    }
    Some(Value::Array(list))
}

/// Constants without fields among them: what follows a test may begin like one.
fn constants(c: &mut Cursor) -> Option<Value> {
    let mut list = vec![one_constant(c, 0)?];
    while c.take("|") || c.take("or") {
        list.push(one_constant(c, 0)?);
    }
    Some(if list.len() == 1 { list.remove(0) } else { json!({ "|": list }) })
}

fn one_constant(c: &mut Cursor, depth: usize) -> Option<Value> {
    if !c.is("(") {
        return constant(c);
    }
    (depth < DEEPEST).then_some(())?;
    c.next();
    let mut list = vec![one_constant(c, depth + 1)?];
    while c.take("|") || c.take("or") {
        list.push(one_constant(c, depth + 1)?);
    }
    c.want(")")?;
    Some(json!({ "|": list }))
}

/// `@name`, or elements in braces.
pub(super) fn set(c: &mut Cursor) -> Option<Value> {
    if let Some(name) = c.peek().filter(|token| token.kind == Kind::Set).map(|token| format!("@{}", token.text)) {
        c.next();
        return Some(Value::String(name));
    }
    Some(json!({ "set": elements(c)? }))
}

/// `{ 22, 80-90 : accept, … }`; sets within it are parts of it.
pub(super) fn elements(c: &mut Cursor) -> Option<Vec<Value>> {
    let mut list = Vec::new();
    into(c, &mut list, 0)?;
    Some(list)
}

fn into(c: &mut Cursor, list: &mut Vec<Value>, depth: usize) -> Option<()> {
    (depth < DEEPEST).then_some(())?;
    c.want("{")?;
    loop {
        c.pass_ends();
        if c.take("}") {
            return Some(());
        }
        if c.is("{") {
            into(c, list, depth + 1)?;
        } else {
            list.push(element(c)?);
        }
        c.pass_ends();
        if !c.take(",") {
            return c.want("}");
        }
    }
}

fn element(c: &mut Cursor) -> Option<Value> {
    let mut parts = vec![constants(c)?];
    while c.take(".") {
        parts.push(constants(c)?);
    }
    let key = if parts.len() == 1 { parts.remove(0) } else { json!({ "concat": parts }) };
    let mut more = serde_json::Map::new();
    loop {
        c.pass_ends();
        match c.one_of(&["timeout", "expires", "comment", "counter", "packets", "bytes"]) {
            Some("comment") => {
                more.insert("comment".to_owned(), Value::from(c.name()?.to_string()));
            }
            Some("expires") => {
                more.insert("expires".to_owned(), Value::from(seconds(&c.word()?)?));
            }
            Some("timeout") => {
                more.insert("timeout".to_owned(), Value::from(seconds(&c.word()?)?));
            }
            Some("packets" | "bytes") => {
                c.number()?;
            }
            Some(_) => {}
            None => break,
        }
    }
    let key = if more.is_empty() {
        key
    } else {
        more.insert("val".to_owned(), key);
        json!({ "elem": more })
    };
    if !c.take(":") {
        return Some(key);
    }
    c.pass_ends();
    let data = match super::statement::verdict(c) {
        Some(verdict) => verdict,
        None => {
            let mut parts = vec![constants(c)?];
            while c.take(".") {
                parts.push(constants(c)?);
            }
            if parts.len() == 1 { parts.remove(0) } else { json!({ "concat": parts }) }
        }
    };
    Some(json!([key, data]))
}

/// `1h30m`, `90`, `500ms`: whole seconds.
fn seconds(text: &str) -> Option<u64> {
    let (mut all, mut rest) = (0_u64, text);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        let factor = match &rest[..unit] {
            "d" => 86_400,
            "h" => 3_600,
            "m" => 60,
            "s" | "" => 1,
            "ms" => 0,
            _ => return None,
        };
        all = all.checked_add(number.checked_mul(factor)?)?;
        rest = &rest[unit..];
    }
    Some(all)
}

//! Statements of a rule, as the JSON of libnftables-json(5).

use super::cursor::Cursor;
use super::expression::{field, is_flags, left, right, set, value};
use super::lexer::Kind;
use crate::model::Family;
use serde_json::{Value, json};

/// What a rule is, as far as it is understood.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) expr: Vec<Value>,
    pub(super) comment: Option<String>,
    /// Something is not understood: it and all behind it may do anything.
    pub(super) rest: bool,
}

/// What a rule needs of the table it is in.
pub(super) trait Place {
    fn family(&self) -> Family;
    /// Makes a chain without a name, of the rules in braces that begin here.
    fn chain(&mut self, c: &mut Cursor) -> Option<String>;
}

/// A verdict that begins here, to a chain with a name; nothing is taken where none does.
pub(super) fn verdict(c: &mut Cursor) -> Option<Value> {
    if let Some(word) = c.one_of(&["accept", "drop", "return", "continue"]) {
        let mut verdict = serde_json::Map::new();
        verdict.insert(word.to_owned(), Value::Null);
        return Some(Value::Object(verdict));
    }
    let way = ["jump", "goto"].into_iter().find(|way| c.is(way))?;
    let target = c.peek_at(1).filter(|token| matches!(token.kind, Kind::Word | Kind::Quoted))?.text.to_string();
    c.next();
    c.next();
    Some(to_chain(way, target))
}

fn to_chain(way: &str, target: String) -> Value {
    let mut verdict = serde_json::Map::new();
    verdict.insert(way.to_owned(), json!({ "target": target }));
    Value::Object(verdict)
}

/// Reads a rule.
pub(super) fn rule(c: &mut Cursor, place: &mut dyn Place) -> Parsed {
    let mut parsed = Parsed::default();
    while !c.is_end() {
        if c.take("comment") {
            match c.name() {
                Some(comment) => parsed.comment = Some(comment.to_string()),
                None => parsed.rest = true,
            }
        } else if one(c, place, &mut parsed.expr).is_none() {
            parsed.rest = true;
        }
        if parsed.rest {
            break;
        }
    }
    parsed
}

fn one(c: &mut Cursor, place: &mut dyn Place, into: &mut Vec<Value>) -> Option<()> {
    if let Some(verdict) = verdict(c) {
        into.push(verdict);
        return Some(());
    }
    let word = c.peek().filter(|token| token.kind == Kind::Word).map(|token| token.text.to_string());
    let statement = match word.as_deref() {
        Some(way @ ("jump" | "goto")) if c.is_at(1, "{") => {
            c.next();
            to_chain(way, place.chain(c)?)
        }
        Some("counter") => counter(c)?,
        Some("log") => log(c)?,
        Some("limit") => limit(c)?,
        Some("quota") => quota(c)?,
        Some("reject") => reject(c, place.family(), into)?,
        Some(kind @ ("dnat" | "snat" | "masquerade" | "redirect")) => nat(c, kind, place.family())?,
        Some("notrack") => {
            c.next();
            json!({ "notrack": null })
        }
        Some("queue") => {
            while !c.is_end() {
                c.next();
            }
            json!({ "queue": null })
        }
        Some("flow") => {
            c.next();
            c.one_of(&["add", "offload"])?;
            c.next().filter(|token| token.kind == Kind::Set)?;
            json!({ "flow": null })
        }
        Some(op @ ("add" | "update" | "delete")) => dynamic(c, op)?,
        Some("meter") => {
            c.next();
            let name = c.name()?;
            if c.take("size") {
                c.number()?;
            }
            c.want("{")?;
            to_closing_brace(c)?;
            json!({ "meter": &*name })
        }
        Some("ct") if c.is_at(1, "count") => {
            c.next();
            c.next();
            let over = c.take("over");
            json!({ "ct count": { "val": c.number()?, "inv": over } })
        }
        Some("ct") if ["helper", "timeout", "expectation"].iter().any(|of| c.is_at(1, of)) && c.is_at(2, "set") => {
            c.next();
            let of = c.word()?;
            c.next();
            let mut object = serde_json::Map::new();
            object.insert(format!("ct {of}"), Value::from(c.name()?.to_string()));
            Value::Object(object)
        }
        _ => test(c)?,
    };
    into.push(statement);
    Some(())
}

/// A test, a look-up in a verdict map, or a change of a field.
fn test(c: &mut Cursor) -> Option<Value> {
    let left = left(c)?;
    if c.take("vmap") {
        return Some(json!({ "vmap": { "key": left, "data": set(c)? } }));
    }
    if c.take("set") {
        // A class of traffic, by two numbers: nothing here reads it.
        if left.pointer("/meta/key").and_then(Value::as_str) == Some("priority") && c.is_at(1, ":") {
            let (major, _, minor) = (c.word()?, c.next(), c.word()?);
            return Some(json!({ "mangle": { "key": left, "value": format!("{major}:{minor}") } }));
        }
        let value = if c.take("rt") { json!({ "rt": { "key": &*c.word()? } }) } else { value(c)? };
        return Some(json!({ "mangle": { "key": left, "value": value } }));
    }
    let signs = [
        ("==", "=="),
        ("eq", "=="),
        ("!=", "!="),
        ("ne", "!="),
        ("<=", "<="),
        ("le", "<="),
        (">=", ">="),
        ("ge", ">="),
        ("<", "<"),
        ("lt", "<"),
        (">", ">"),
        ("gt", ">"),
        ("!", "!"),
    ];
    let written = signs.iter().find(|(sign, _)| c.take(sign)).map(|(_, op)| *op);
    let right = right(c)?;
    if c.take("/") {
        // `tcp flags syn / fin,syn,rst`: the flags of the mask are compared.
        let mask = self::right(c)?;
        let op = written.unwrap_or("==");
        return Some(json!({ "match": { "op": op, "left": { "&": [left, mask] }, "right": right } }));
    }
    let is_set = right.get("set").is_some() || right.as_str().is_some_and(|name| name.starts_with('@'));
    let flags = is_flags(&left);
    // A list stands for flags that are combined; of anything else nft takes none.
    (!right.is_array() || flags).then_some(())?;
    let op = written.unwrap_or(if flags && !is_set { "in" } else { "==" });
    Some(json!({ "match": { "op": op, "left": left, "right": right } }))
}

fn counter(c: &mut Cursor) -> Option<Value> {
    c.want("counter")?;
    if c.take("name") {
        // A map may choose it.
        let quoted = c.peek()?.kind == Kind::Quoted;
        let name = c.name()?;
        return (quoted || c.is_end() || !c.is("map")).then(|| json!({ "counter": &*name }));
    }
    if !c.take("packets") {
        return Some(json!({ "counter": null }));
    }
    let packets = c.number()?;
    c.want("bytes")?;
    Some(json!({ "counter": { "packets": packets, "bytes": c.number()? } }))
}

fn log(c: &mut Cursor) -> Option<Value> {
    c.want("log")?;
    let mut prefix = None;
    loop {
        match c.one_of(&["prefix", "level", "group", "snaplen", "queue-threshold", "flags"]) {
            Some("prefix") => prefix = Some(c.name()?.to_string()),
            Some("level") => drop(c.word()?),
            Some("flags") => {
                if c.one_of(&["all", "skuid", "ether"]).is_none() {
                    let of = c.one_of(&["tcp", "ip"])?;
                    let known: &[&str] = if of == "tcp" { &["sequence", "options"] } else { &["options"] };
                    c.one_of(known)?;
                    while c.take(",") {
                        c.one_of(known)?;
                    }
                }
            }
            Some(_) => drop(c.number()?),
            None => break,
        }
    }
    Some(match prefix {
        Some(prefix) => json!({ "log": { "prefix": prefix } }),
        None => json!({ "log": null }),
    })
}

/// `limit rate over 10 mbytes/second burst 5 packets`.
fn limit(c: &mut Cursor) -> Option<Value> {
    c.want("limit")?;
    if c.take("name") {
        return Some(json!({ "limit": &*c.name()? }));
    }
    c.want("rate")?;
    let over = c.take("over");
    let (rate, per) = match c.word()?.split_once('/') {
        Some((rate, per)) if !per.is_empty() => (rate.parse::<u64>().ok()?, per.to_owned()),
        _ => return with_unit(c, over),
    };
    burst(c)?;
    Some(json!({ "limit": { "rate": rate, "per": per, "inv": over } }))
}

fn with_unit(c: &mut Cursor, over: bool) -> Option<Value> {
    let unit = c.word()?;
    let (unit, per) = unit.split_once('/')?;
    burst(c)?;
    Some(json!({ "limit": { "rate": unit, "per": per, "inv": over } }))
}

fn burst(c: &mut Cursor) -> Option<()> {
    if c.take("burst") {
        c.number()?;
        c.one_of(&["packets", "bytes", "kbytes", "mbytes"]);
    }
    Some(())
}

/// `quota over 25 mbytes used 3 bytes`.
fn quota(c: &mut Cursor) -> Option<Value> {
    c.want("quota")?;
    if c.take("name") {
        let quoted = c.peek()?.kind == Kind::Quoted;
        let name = c.name()?;
        return (quoted || c.is_end() || !c.is("map")).then(|| json!({ "quota": &*name }));
    }
    c.one_of(&["over", "until"]);
    loop {
        c.number()?;
        c.one_of(&["bytes", "kbytes", "mbytes"])?;
        if !c.take("used") {
            return Some(json!({ "quota": {} }));
        }
    }
}

/// What a rejection asks for before: a reset answers TCP only, an ICMP error packets of its family.
fn reject(c: &mut Cursor, family: Family, into: &mut Vec<Value>) -> Option<Value> {
    c.want("reject")?;
    if !c.take("with") {
        return Some(json!({ "reject": null }));
    }
    let mut asks = |key: &str, right: &str| {
        into.push(json!({ "match": { "op": "==", "left": { "meta": { "key": key } }, "right": right } }));
    };
    if c.take("tcp") {
        c.want("reset")?;
        asks("l4proto", "tcp");
        return Some(json!({ "reject": { "type": "tcp reset" } }));
    }
    let kind = c.one_of(&["icmpx", "icmpv6", "icmp"])?;
    c.take("type");
    let code = c.word()?;
    match (family, kind) {
        (Family::Inet, "icmp") => asks("nfproto", "ipv4"),
        (Family::Inet, "icmpv6") => asks("nfproto", "ipv6"),
        (Family::Bridge | Family::Netdev, "icmp") => asks("protocol", "ip"),
        (Family::Bridge | Family::Netdev, "icmpv6") => asks("protocol", "ip6"),
        _ => {}
    }
    Some(json!({ "reject": { "type": kind, "expr": &*code } }))
}

/// `dnat ip to 10.0.0.1:80-90 persistent`, `redirect to :8080`.
fn nat(c: &mut Cursor, kind: &str, family: Family) -> Option<Value> {
    c.want(kind)?;
    let mut how = serde_json::Map::new();
    let said = c.one_of(&["ip", "ip6"]);
    if let Some(said) = said {
        how.insert("family".to_owned(), Value::from(said));
    }
    if c.take("addr") {
        c.want(".")?;
        c.want("port")?;
    }
    if c.take("to") {
        if !c.is(":") {
            let bracket = c.take("[");
            let address = value(c)?;
            if bracket {
                c.want("]")?;
            }
            // Address and port in one, of a map.
            (address.get("concat").is_none()).then_some(())?;
            if family == Family::Inet && said.is_none() {
                how.insert("family".to_owned(), Value::from(if is_v6(&address)? { "ip6" } else { "ip" }));
            }
            how.insert("addr".to_owned(), address);
        }
        if c.take(":") {
            how.insert("port".to_owned(), value(c)?);
        }
    } else if !matches!(kind, "masquerade" | "redirect") {
        return None;
    }
    while c.one_of(&["random", "fully-random", "persistent"]).is_some() {
        c.take(",");
    }
    let mut statement = serde_json::Map::new();
    statement.insert(kind.to_owned(), if how.is_empty() { Value::Null } else { Value::Object(how) });
    Some(Value::Object(statement))
}

/// The family of an address, or of the ends of a range of them; `None`: it is computed.
fn is_v6(address: &Value) -> Option<bool> {
    let of = address.get("range").and_then(|range| range.get(0)).or_else(|| address.get("prefix")?.get("addr"));
    let address: std::net::IpAddr = of.unwrap_or(address).as_str()?.parse().ok()?;
    Some(address.is_ipv6())
}

/// `update @s { ip saddr timeout 1m limit rate 3/minute }`.
fn dynamic(c: &mut Cursor, op: &str) -> Option<Value> {
    c.next();
    let name = c.next().filter(|token| token.kind == Kind::Set)?.text;
    c.want("{")?;
    let mut parts = 0;
    while parts == 0 || c.take(".") {
        field(c)?;
        parts += 1;
    }
    while c.one_of(&["timeout", "comment"]).is_some() {
        c.name()?;
    }
    let plain = c.take("}");
    let mut statement = json!({ "op": op, "set": format!("@{name}") });
    if !plain {
        // Statements of its own, or data of a map.
        statement["stmt"] = json!([]);
        to_closing_brace(c)?;
    }
    Some(json!({ "set": statement }))
}

/// Passes over what is in braces, the first of which was taken.
fn to_closing_brace(c: &mut Cursor) -> Option<()> {
    let mut depth = 1;
    while depth > 0 {
        let token = c.next()?;
        match (token.kind, &*token.text) {
            (Kind::Sign, "{") => depth += 1,
            (Kind::Sign, "}") => depth -= 1,
            _ => {}
        }
    }
    Some(())
}

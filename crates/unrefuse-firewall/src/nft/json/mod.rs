//! `nft -j list ruleset` (libnftables-json(5)), read into the model as far as the JSON carries it.
//!
//! ```text
//! {"nftables": [{"metainfo": {…}},
//!   {"table": {"family": "inet", "name": "t", "handle": 1}},
//!   {"chain": {"family": "inet", "table": "t", "name": "c", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
//!   {"rule": {"family": "inet", "table": "t", "chain": "c", "handle": 5, "expr": [
//!     {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}, {"accept": null}]}}]}
//! ```
//!
//! What it leaves out stays open: of rules that iptables-nft wrote it names the matches but not their options
//! (`{"xt": {"type": "match", "name": "multiport"}}`), so these are not understood.

mod expression;
mod sets;
mod statement;
mod value;

pub(super) use expression::is_field;
pub(super) use sets::named as named_set;

use super::text;
use crate::model::{Backend, Base, Chain, ChainKind, Counters, Family, Hook, Policy, Problem, Rule, Ruleset, Table};
use serde_json::Value;
use std::sync::Arc;

/// A member of an object, as text.
fn text_of<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

/// Why a text is not such JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJson(pub String);

/// Reads the output of `nft -j list ruleset`.
///
/// # Errors
/// The bytes are no JSON, or not that of nft(8). What is not understood inside of it is a problem of the ruleset.
pub fn parse(bytes: &[u8]) -> Result<Ruleset, NotJson> {
    let whole: Value = serde_json::from_slice(bytes).map_err(|e| NotJson(e.to_string()))?;
    let list = whole.get("nftables").and_then(Value::as_array);
    let list = list.ok_or_else(|| NotJson("there is no list \"nftables\"".to_owned()))?;
    let mut ruleset = Ruleset::default();
    // Rules come last, whatever the order in the file: they look into sets.
    for wanted in [&["table"][..], &["chain", "set", "map"], &["rule"]] {
        for object in list {
            for (kind, content) in object.as_object().into_iter().flatten() {
                let read = match kind.as_str() {
                    kind if !wanted.contains(&kind) => Some(()),
                    "table" => table(&mut ruleset, content),
                    "chain" => chain(&mut ruleset, content),
                    "rule" => rule(&mut ruleset, content).map(|_| ()),
                    _ => named_set(&mut ruleset, content),
                };
                if read.is_none() {
                    let place = format!("nft JSON: {kind} {}", text_of(content, "name").unwrap_or_default());
                    let text = unrefuse_facts::text::clip(&content.to_string(), 200);
                    ruleset.problems.push(Problem { place, text: format!("not understood: {text}") });
                }
            }
        }
    }
    backends(&mut ruleset);
    for table in &mut ruleset.tables {
        for chain in table.chains.values_mut() {
            for rule in Arc::make_mut(&mut chain.rules).iter_mut() {
                rule.text = text::nft(rule, table.family, &[], &table.sets).into();
            }
        }
    }
    Ok(ruleset)
}

/// Tells the tables of iptables-nft by their chains.
pub(super) fn backends(ruleset: &mut Ruleset) {
    for table in &mut ruleset.tables {
        let bases = table.chains.iter().filter_map(|(name, c)| Some((name.as_str(), c.base.as_ref()?.hook)));
        table.backend = super::backend(table.family, &table.name, bases);
    }
}

pub(super) fn family(name: &str) -> Option<Family> {
    Some(match name {
        "ip" => Family::Ip,
        "ip6" => Family::Ip6,
        "inet" => Family::Inet,
        "arp" => Family::Arp,
        "bridge" => Family::Bridge,
        "netdev" => Family::Netdev,
        _ => return None,
    })
}

pub(super) fn table(ruleset: &mut Ruleset, content: &Value) -> Option<()> {
    let flags = content.get("flags").map(Value::to_string).unwrap_or_default();
    ruleset.tables.push(Table {
        family: family(text_of(content, "family")?)?,
        name: text_of(content, "name")?.to_owned(),
        backend: Backend::Nft,
        dormant: flags.contains("dormant"),
        chains: std::collections::BTreeMap::new(),
        sets: std::collections::BTreeMap::new(),
    });
    Some(())
}

/// The table that something is in.
fn table_of<'a>(ruleset: &'a mut Ruleset, content: &Value) -> Option<&'a mut Table> {
    let (family, name) = (family(text_of(content, "family")?)?, text_of(content, "table")?);
    ruleset.tables.iter_mut().find(|table| table.family == family && table.name == name)
}

pub(super) fn chain(ruleset: &mut Ruleset, content: &Value) -> Option<()> {
    let base = match text_of(content, "hook") {
        None => None,
        Some(hook) => Some(Base {
            hook: match hook {
                "ingress" => Hook::Ingress,
                "prerouting" => Hook::Prerouting,
                "input" => Hook::Input,
                "forward" => Hook::Forward,
                "output" => Hook::Output,
                "postrouting" => Hook::Postrouting,
                "egress" => Hook::Egress,
                _ => return None,
            },
            priority: i32::try_from(content.get("prio")?.as_i64()?).ok()?,
            kind: match text_of(content, "type")? {
                "filter" => ChainKind::Filter,
                "nat" => ChainKind::Nat,
                "route" => ChainKind::Route,
                _ => return None,
            },
            policy: if text_of(content, "policy") == Some("drop") { Policy::Drop } else { Policy::Accept },
            devices: match content.get("dev") {
                Some(Value::String(one)) => vec![one.clone()],
                Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                _ => Vec::new(),
            },
            order: None,
        }),
    };
    let name = text_of(content, "name")?.to_owned();
    table_of(ruleset, content)?.chains.insert(name, Chain { base, ..Chain::default() });
    Some(())
}

pub(super) fn rule<'a>(ruleset: &'a mut Ruleset, content: &Value) -> Option<&'a mut Rule> {
    let table = table_of(ruleset, content)?;
    let mut reader = statement::Reader::new(table.family, &mut table.sets);
    for one in content.get("expr")?.as_array()? {
        reader.statement(one);
    }
    let (statements, counters): (_, Option<Counters>) = (reader.statements, reader.counters);
    let chain = table.chains.get_mut(text_of(content, "chain")?)?;
    let rules = &mut **Arc::make_mut(&mut chain.rules);
    rules.push(Rule {
        handle: content.get("handle").and_then(Value::as_u64),
        number: u32::try_from(rules.len() + 1).unwrap_or(u32::MAX),
        comment: text_of(content, "comment").map(str::to_owned),
        counters,
        statements,
        ..Rule::default()
    });
    rules.last_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cond, Elements, Statement, Verdict};

    fn rules(expr: &str) -> Ruleset {
        let text = format!(
            r#"{{"nftables": [{{"rule": {{"family": "inet", "table": "t", "chain": "c", "handle": 5, "expr": {expr}}}}},
            {{"table": {{"family": "inet", "name": "t"}}}}, {{"chain": {{"family": "inet", "table": "t", "name": "c"}}}}]}}"#
        );
        parse(text.as_bytes()).unwrap()
    }

    fn text(expr: &str) -> String {
        rules(expr).tables[0].chains["c"].rules[0].text().to_owned()
    }

    #[test]
    fn rules_have_the_tests_that_their_fields_ask_for() {
        let ruleset = rules(
            r#"[{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}},
            "right": {"set": [22, {"range": [80, 90]}]}}}, {"accept": null}]"#,
        );
        let rule = &ruleset.tables[0].chains["c"].rules[0];
        assert_eq!(rule.text(), "tcp dport { 22, 80-90 } accept");
        assert_eq!(rule.statements.len(), 3, "the protocol is asked for: {:?}", rule.statements);
        assert_eq!(rule.statements[2], Statement::Verdict(Verdict::Accept));
        let Elements::Ranges(ranges) = &ruleset.tables[0].sets["__json0"].elements else { panic!() };
        assert_eq!(ranges.iter().map(|(key, _)| key[0]).collect::<Vec<_>>(), [(22, 22), (80, 90)]);
    }

    #[test]
    fn what_the_json_does_not_carry_stays_open() {
        let ruleset = rules(r#"[{"xt": {"type": "match", "name": "multiport"}}, {"accept": null}]"#);
        assert!(matches!(ruleset.tables[0].chains["c"].rules[0].statements[0], Statement::Unknown(_)));
        let odd =
            rules(r#"[{"match": {"op": "==", "left": {"payload": {"protocol": "new", "field": "x"}}, "right": 1}}]"#);
        let Statement::If(Cond::Compare { left, .. }) = &odd.tables[0].chains["c"].rules[0].statements[0] else {
            panic!()
        };
        assert!(matches!(left, crate::model::Expr::Unknown(_)));
        let counted =
            rules(r#"[{"counter": {"map": {"key": {"meta": {"key": "mark"}}, "data": "@m"}}}, {"drop": null}]"#);
        assert!(matches!(counted.tables[0].chains["c"].rules[0].statements[0], Statement::Unknown(_)));
    }

    #[test]
    fn values_have_their_fields_names() {
        let of = |left: &str, right: &str| {
            text(&format!(r#"[{{"match": {{"op": "==", "left": {left}, "right": {right}}}}}]"#))
        };
        assert_eq!(of(r#"{"meta": {"key": "iifname"}}"#, r#""eth*""#), "iifname \"eth*\"");
        assert_eq!(
            of(r#"{"payload": {"protocol": "ip6", "field": "saddr"}}"#, r#"{"prefix": {"addr": "fe80::", "len": 10}}"#),
            "ip6 saddr fe80::/10"
        );
        assert_eq!(of(r#"{"meta": {"key": "l4proto"}}"#, r#""ipv6-icmp""#), "meta l4proto ipv6-icmp");
    }

    #[test]
    fn text_that_is_something_else_is_an_error() {
        for bytes in [&b""[..], b"{}", b"[]", b"{\"nftables\": 3}", b"table inet t {}"] {
            assert!(parse(bytes).is_err());
        }
        let odd = parse(br#"{"nftables": [{"chain": {"family": "inet", "table": "none", "name": "c"}}]}"#).unwrap();
        assert_eq!(odd.problems.len(), 1);
    }
}

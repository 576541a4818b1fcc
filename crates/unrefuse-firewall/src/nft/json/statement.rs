//! Statements and tests of a rule.

use super::super::names::{Kind, width};
use super::super::registers::ones;
use super::{text_of, value};
use crate::model::{
    Cond, Counters, Element, Elements, Expr, Family, Nat, NatKind, Op, Reject, Scalar, Set, SetTarget, Statement,
    Verdict,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The state while one rule is read.
pub(super) struct Reader<'a> {
    pub(super) family: Family,
    pub(super) sets: &'a mut BTreeMap<String, Set>,
    pub(super) statements: Vec<Statement>,
    pub(super) counters: Option<Counters>,
    pub(super) packet_family: Option<Family>,
    pub(super) l4: Option<u8>,
}

/// A verdict, where it is one.
pub(super) fn verdict(json: &Value) -> Option<Verdict> {
    let (name, content) = json.as_object()?.iter().next()?;
    let target = || text_of(content, "target").map(str::to_owned);
    Some(match name.as_str() {
        "accept" => Verdict::Accept,
        "drop" => Verdict::Drop,
        "return" => Verdict::Return,
        "continue" => Verdict::Continue,
        "jump" => Verdict::Jump(target()?),
        "goto" => Verdict::Goto(target()?),
        _ => return None,
    })
}

impl<'a> Reader<'a> {
    pub(super) fn new(family: Family, sets: &'a mut BTreeMap<String, Set>) -> Self {
        let packet_family = matches!(family, Family::Ip | Family::Ip6).then_some(family);
        Self { family, sets, statements: Vec::new(), counters: None, packet_family, l4: None }
    }

    /// Reads one statement; what is not understood stays as such.
    pub(super) fn statement(&mut self, json: &Value) {
        if self.known(json).is_none() {
            let text = unrefuse_facts::text::clip(&format!("nft JSON {json}"), 160);
            self.statements.push(Statement::Unknown(text));
        }
    }

    fn push(&mut self, statement: Statement) -> Option<()> {
        self.statements.push(statement);
        Some(())
    }

    fn known(&mut self, json: &Value) -> Option<()> {
        if let Some(verdict) = verdict(json) {
            return self.push(Statement::Verdict(verdict));
        }
        // `notrack` may be a bare word.
        if json.as_str() == Some("notrack") {
            return self.push(Statement::Notrack);
        }
        let (name, content) = json.as_object()?.iter().next()?;
        // An object that a map chooses: the rule ends where the map has none, which is not read.
        content.get("map").is_none_or(Value::is_string).then_some(())?;
        match name.as_str() {
            "match" => {
                let cond = self.test(content)?;
                self.push(Statement::If(cond))
            }
            "vmap" => {
                let key = self.key(content.get("key")?);
                let set = self.set_of(content.get("data")?, &key)?;
                self.push(Statement::VerdictMap { key, set })
            }
            "counter" => {
                let number = |name: &str| content.get(name).and_then(Value::as_u64).unwrap_or(0);
                // A named counter has no numbers here.
                if content.is_object() {
                    self.counters = Some(Counters { packets: number("packets"), bytes: number("bytes") });
                }
                Some(())
            }
            "mangle" => self.mangle(content),
            "dnat" => self.nat(content, NatKind::Dnat),
            "snat" => self.nat(content, NatKind::Snat),
            "masquerade" => self.nat(content, NatKind::Masquerade),
            "redirect" => self.nat(content, NatKind::Redirect),
            "reject" => {
                let how = self.reject(content)?;
                self.push(Statement::Reject(how))
            }
            "notrack" => self.push(Statement::Notrack),
            "log" => {
                let prefix = text_of(content, "prefix").map_or_else(String::new, |p| format!(" prefix \"{p}\""));
                self.push(Statement::Note(format!("log{prefix}")))
            }
            "limit" if content.is_string() => {
                self.push(Statement::If(Cond::Fork(format!("limit name {}", content.as_str().unwrap_or_default()))))
            }
            "limit" => {
                let over = if content.get("inv").and_then(Value::as_bool) == Some(true) { "over " } else { "" };
                let rate = content.get("rate").map(Value::to_string).unwrap_or_default();
                let per = text_of(content, "per").unwrap_or("second");
                self.push(Statement::If(Cond::Fork(format!("limit rate {over}{rate}/{per}"))))
            }
            "quota" | "ct count" | "meter" => {
                let text = content.as_str().map_or_else(|| name.clone(), |object| format!("{name} {object}"));
                self.push(Statement::If(Cond::Fork(text)))
            }
            "set" | "map" => {
                let set = text_of(content, "set").or_else(|| text_of(content, "map"))?;
                let text = format!("{} {set}", text_of(content, "op").unwrap_or("add"));
                // With statements of its own an element may end the rule.
                if content.get("stmt").is_some() || text.starts_with("delete") {
                    self.push(Statement::If(Cond::Fork(text)))
                } else {
                    self.push(Statement::Note(text))
                }
            }
            "queue" | "synproxy" => self.push(Statement::Fork(name.clone())),
            "ct helper" | "ct timeout" | "ct expectation" | "flow" | "dup" | "secmark" | "last" => {
                self.push(Statement::Note(name.clone()))
            }
            _ => None,
        }
    }

    fn test(&mut self, content: &Value) -> Option<Cond> {
        let (left, right) = (content.get("left")?, content.get("right")?);
        let op = text_of(content, "op").unwrap_or("==");
        let negated = op == "!=";
        let key = self.key(left);
        let is_set = right.as_str().is_some_and(|text| text.starts_with('@')) || right.get("set").is_some();
        if matches!(op, "==" | "!=" | "in") && is_set {
            let set = self.set_of(right, &key)?;
            return Some(Cond::InSet { key, set, negated });
        }
        if key.len() > 1 {
            // A concatenation compared with a single one.
            let parts = right.get("concat")?.as_array()?;
            (parts.len() == key.len()).then_some(())?;
            let tests: Option<Vec<Cond>> =
                key.into_iter().zip(parts).map(|(part, right)| self.compare(part, "==", right)).collect();
            let all = Cond::All(tests?);
            return Some(if negated { Cond::Not(Box::new(all)) } else { all });
        }
        self.compare(key.into_iter().next()?, op, right)
    }

    fn compare(&mut self, left: Expr, op: &str, right: &Value) -> Option<Cond> {
        let kind = self.kind(&left);
        let plain = |op, right| Cond::Compare { left: left.clone(), op, right };
        let any_bit = |mask: Scalar, op| Cond::Compare {
            left: Expr::Bits { of: Box::new(left.clone()), mask, xor: 0 },
            op,
            right: 0,
        };
        Some(match op {
            "in" => any_bit(value::constant(kind, right)?, Op::Ne),
            "<" => plain(Op::Lt, value::constant(kind, right)?),
            "<=" => plain(Op::Le, value::constant(kind, right)?),
            ">" => plain(Op::Gt, value::constant(kind, right)?),
            ">=" => plain(Op::Ge, value::constant(kind, right)?),
            "!" => any_bit(value::constant(kind, right)?, Op::Eq),
            "==" | "!=" => {
                let op = if op == "==" { Op::Eq } else { Op::Ne };
                let (from, to) = value::span(kind, right)?;
                let differing = from ^ to;
                let whole = width(kind).unwrap_or(128);
                if from == to {
                    plain(op, from)
                } else if (right.get("prefix").is_some() || kind == Kind::Name) && from & differing == 0 {
                    let mask = ones(whole) & !differing;
                    Cond::Compare { left: Expr::Bits { of: Box::new(left), mask, xor: 0 }, op, right: from }
                } else {
                    Cond::Range { value: left, from, to, negated: op == Op::Ne }
                }
            }
            _ => return None,
        })
    }

    fn mangle(&mut self, content: &Value) -> Option<()> {
        // A segment size that is made smaller: no test here reads it.
        if let Some(option) = content.get("key")?.get("tcp option") {
            return self.push(Statement::Note(format!("tcp option {} set", text_of(option, "name")?)));
        }
        let key = self.key(content.get("key")?).into_iter().next()?;
        let target = match &key {
            Expr::Field(crate::model::Field::Meta(crate::model::Meta::Mark)) => SetTarget::Mark,
            Expr::Field(crate::model::Field::Ct(crate::model::Ct::Mark)) => SetTarget::CtMark,
            Expr::Field(crate::model::Field::Payload { base, offset, len }) => {
                SetTarget::Payload { base: *base, offset: *offset, len: *len }
            }
            _ => SetTarget::Other(content.get("key")?.to_string()),
        };
        let kind = self.kind(&key);
        let json = content.get("value")?;
        let value = match value::constant(kind, json) {
            Some(constant) => Expr::Const(constant),
            None => self.expression(json),
        };
        self.push(Statement::Set { target, value })
    }

    fn nat(&mut self, content: &Value, kind: NatKind) -> Option<()> {
        let family = text_of(content, "family").and_then(super::family);
        let addresses =
            if family.or(self.packet_family) == Some(Family::Ip6) { Kind::Address6 } else { Kind::Address4 };
        let address = match content.get("addr") {
            Some(json) => Some(self.pair(addresses, json)?),
            None => None,
        };
        let port = match (content.get("port"), &address) {
            (Some(json), _) => Some(self.pair(Kind::Number, json)?),
            // A map may hold both, address and port.
            (None, Some((Expr::Map { key, set, .. }, _))) if self.parts_of_data(set) == 2 => {
                let port = Expr::Map { key: key.clone(), set: set.clone(), part: 1 };
                Some((port.clone(), port))
            }
            (None, _) => None,
        };
        // A prefix is replaced bit by bit only where it says so.
        if content.get("type_flags").is_some() {
            return None;
        }
        let family = family.filter(|_| self.family == Family::Inet);
        self.push(Statement::Nat(Box::new(Nat { kind, family, address, port, prefix: None })))
    }

    /// Of how many parts what a map holds is made.
    fn parts_of_data(&self, set: &str) -> usize {
        let of = |element: &Element| element.data.as_ref().map_or(0, Vec::len);
        match self.sets.get(set).map(|set| &set.elements) {
            Some(Elements::Exact(map)) => map.values().map(of).max().unwrap_or(0),
            Some(Elements::Ranges(list)) => list.iter().map(|(_, element)| of(element)).max().unwrap_or(0),
            _ => 0,
        }
    }

    fn pair(&mut self, kind: Kind, json: &Value) -> Option<(Expr, Expr)> {
        Some(match value::span(kind, json) {
            Some((from, to)) => (Expr::Const(from), Expr::Const(to)),
            None => {
                let value = self.expression(json);
                (value.clone(), value)
            }
        })
    }

    fn reject(&self, content: &Value) -> Option<Reject> {
        let code = text_of(content, "expr");
        let at = |names: &[&str], other: &str| {
            names.iter().position(|name| Some(*name) == code.or(Some(other))).and_then(|n| u8::try_from(n).ok())
        };
        match text_of(content, "type") {
            Some("tcp reset") => Some(Reject::TcpReset),
            Some("icmpx") => {
                at(&["no-route", "port-unreachable", "host-unreachable", "admin-prohibited"], "port-unreachable")
                    .map(Reject::Icmpx)
            }
            Some("icmpv6") => at(
                &[
                    "no-route",
                    "admin-prohibited",
                    "",
                    "addr-unreachable",
                    "port-unreachable",
                    "policy-fail",
                    "reject-route",
                ],
                "port-unreachable",
            )
            .map(|code| Reject::Icmp6(1, code)),
            Some("icmp") => match code.unwrap_or("port-unreachable") {
                "net-prohibited" => Some(Reject::Icmp(3, 9)),
                "host-prohibited" => Some(Reject::Icmp(3, 10)),
                "admin-prohibited" => Some(Reject::Icmp(3, 13)),
                _ => at(
                    &["net-unreachable", "host-unreachable", "prot-unreachable", "port-unreachable"],
                    "port-unreachable",
                )
                .map(|code| Reject::Icmp(3, code)),
            },
            None => match self.family {
                Family::Ip => Some(Reject::Icmp(3, 3)),
                Family::Ip6 => Some(Reject::Icmp6(1, 4)),
                _ => Some(Reject::Icmpx(1)),
            },
            Some(_) => None,
        }
    }
}

//! A rule as nft(8) would list it: good enough to be recognised, not a program's input.

use super::names::{self, Kind, Seen, prefix, span, value, width};
use crate::model::{
    BitOp, Cond, Elements, Expr, Family, FibResult, Field, Given, Header, Meta, Nat, NatKind, Op, Reject, Rule, Scalar,
    Set, SetTarget, Statement, Verdict,
};
use std::collections::BTreeMap;

/// Sets with elements are written out where they are anonymous and this short.
const SHOWN: usize = 24;

pub(crate) struct Writer<'a> {
    seen: Seen,
    sets: &'a BTreeMap<String, Set>,
}

/// The rule as nft(8) would list it. `sets` are those whose elements are known.
pub(crate) fn nft(rule: &Rule, family: Family, given: &[Given], sets: &BTreeMap<String, Set>) -> String {
    let mut writer = Writer::new(family, sets);
    let mut out = String::new();
    let mut index = 0;
    while let Some(statement) = rule.statements.get(index) {
        let text = match given.iter().find(|(first, count, _)| *first == index && *count > 0) {
            Some((_, count, text)) => {
                index += count;
                text.clone()
            }
            None => {
                index += 1;
                let rest = &rule.statements[index..];
                let implied = writer.is_implied(statement, rest);
                let text = writer.statement(statement);
                if implied { String::new() } else { text }
            }
        };
        if !text.is_empty() {
            if !out.is_empty() {
                out.push(' ');
            }
            out += &text;
        }
    }
    if out.is_empty() && rule.counters.is_some() {
        out.push_str("counter");
    }
    if let Some(comment) = &rule.comment {
        out += &format!(" comment \"{comment}\"");
    }
    out
}

/// A key's parts as they are written in a rule that said this much before.
pub(crate) fn key(key: &[Expr], family: Option<Family>, l4: Option<u8>) -> String {
    Writer { seen: Seen { family, l4 }, sets: &BTreeMap::new() }.key(key)
}

impl<'a> Writer<'a> {
    pub(crate) fn new(family: Family, sets: &'a BTreeMap<String, Set>) -> Self {
        let family = matches!(family, Family::Ip | Family::Ip6).then_some(family);
        Self { seen: Seen { family, l4: None }, sets }
    }

    /// `meta l4proto tcp` before `tcp dport 22` is left out, as is the family before an address.
    fn is_implied(&self, statement: &Statement, rest: &[Statement]) -> bool {
        let Statement::If(Cond::Compare { left: Expr::Field(field), op: Op::Eq, right }) = statement else {
            return false;
        };
        let is = |wanted: u128| {
            let protocol = Cond::Compare { left: Expr::Field(Field::Meta(Meta::L4Proto)), op: Op::Eq, right: wanted };
            rest.contains(&Statement::If(protocol))
        };
        let base = match field {
            // Each ICMP is of one family.
            Field::Meta(Meta::NfProto) if (*right == 2 && is(1)) || (*right == 10 && is(58)) => return true,
            Field::Meta(Meta::IifType) => Header::Link,
            Field::Meta(Meta::L4Proto) if names::protocol(*right).is_some() => Header::Transport,
            Field::Meta(Meta::NfProto | Meta::Protocol)
            | Field::Payload { base: Header::Link, offset: 96, len: 16 } => Header::Network,
            _ => return false,
        };
        rest.iter().any(|statement| uses(statement, base))
    }

    fn learn(&mut self, left: &Expr, op: Op, right: Scalar) {
        let Expr::Field(field) = left else { return };
        match (field, op, right) {
            (Field::Meta(Meta::L4Proto), Op::Eq, number) => self.seen.l4 = u8::try_from(number).ok(),
            (Field::Payload { base: Header::Network, offset: 72, len: 8 }, Op::Eq, number)
                if self.seen.family != Some(Family::Ip6) =>
            {
                self.seen.l4 = u8::try_from(number).ok();
            }
            (Field::Payload { base: Header::Network, offset: 48, len: 8 }, Op::Eq, number)
                if self.seen.family == Some(Family::Ip6) =>
            {
                self.seen.l4 = u8::try_from(number).ok();
            }
            (Field::Meta(Meta::NfProto), Op::Eq, 2)
            | (Field::Meta(Meta::Protocol), Op::Eq, 0x0800)
            | (Field::Payload { base: Header::Link, offset: 96, len: 16 }, Op::Eq, 0x0800) => {
                self.seen.family = Some(Family::Ip);
            }
            (Field::Meta(Meta::NfProto), Op::Eq, 10)
            | (Field::Meta(Meta::Protocol), Op::Eq, 0x86dd)
            | (Field::Payload { base: Header::Link, offset: 96, len: 16 }, Op::Eq, 0x86dd) => {
                self.seen.family = Some(Family::Ip6);
            }
            _ => {}
        }
    }

    pub(crate) fn statement(&mut self, statement: &Statement) -> String {
        match statement {
            Statement::If(cond) => self.cond(cond),
            Statement::Set { target, value } => self.set(target, value),
            Statement::Verdict(v) => verdict(v),
            Statement::VerdictMap { key, set } => format!("{} vmap {}", self.key(key), self.elements(key, set)),
            Statement::Nat(nat) => self.nat(nat),
            Statement::Notrack => "notrack".to_owned(),
            Statement::Reject(how) => reject(*how),
            Statement::Tproxy { address, port, .. } => {
                let address = address.map_or_else(String::new, |a| format!(" to {a}"));
                let port = port.map_or_else(String::new, |p| format!(":{p}"));
                format!("tproxy{}{port}", if address.is_empty() && !port.is_empty() { " to " } else { &address })
            }
            Statement::Note(text) | Statement::Fork(text) => text.clone(),
            Statement::Unknown(text) => format!("/* not understood: {text} */"),
        }
    }

    fn field(&self, expr: &Expr) -> (String, Kind) {
        match expr {
            Expr::Const(v) => (format!("{v:#x}"), Kind::Hex),
            Expr::Field(field) => names::field(field, self.seen),
            Expr::Bits { of, mask, xor } => {
                let (name, kind) = self.field(of);
                let name = match xor {
                    0 => format!("{name} & {mask:#x}"),
                    xor => format!("{name} & {mask:#x} ^ {xor:#x}"),
                };
                (name, if width(kind).is_some() || kind == Kind::Name { Kind::Hex } else { kind })
            }
            Expr::Shift { of, by } => {
                let (name, _) = self.field(of);
                (if *by < 0 { format!("{name} >> {}", -by) } else { format!("{name} << {by}") }, Kind::Number)
            }
            Expr::Map { key, set, .. } => (format!("{} map {}", self.key(key), self.elements(key, set)), Kind::Hex),
            Expr::Binary { op, left, right } => {
                let op = match op {
                    BitOp::And => "&",
                    BitOp::Or => "|",
                    BitOp::Xor => "^",
                };
                (format!("{} {op} {}", self.field(left).0, self.field(right).0), Kind::Hex)
            }
            Expr::Fork(text) | Expr::Unknown(text) => (text.clone(), Kind::Number),
        }
    }

    fn key(&self, key: &[Expr]) -> String {
        key.iter().map(|part| self.field(part).0).collect::<Vec<_>>().join(" . ")
    }

    fn elements(&self, key: &[Expr], set: &str) -> String {
        let found = self.sets.get(set).filter(|_| set.starts_with("__"));
        found.and_then(|found| self.written_out(key, found)).unwrap_or_else(|| format!("@{set}"))
    }

    fn written_out(&self, key: &[Expr], set: &Set) -> Option<String> {
        let kinds: Vec<Kind> = key.iter().map(|part| self.field(part).1).collect();
        let mut list: Vec<(Vec<(Scalar, Scalar)>, &crate::model::Element)> = match &set.elements {
            Elements::Exact(map) if map.len() <= SHOWN => {
                map.iter().map(|(key, element)| (key.iter().map(|v| (*v, *v)).collect(), element)).collect()
            }
            Elements::Ranges(list) if list.len() <= SHOWN => list.iter().map(|(key, e)| (key.clone(), e)).collect(),
            _ => return None,
        };
        list.sort_by(|a, b| a.0.cmp(&b.0));
        let data = |element: &crate::model::Element| match (&element.verdict, &element.data) {
            (Some(v), _) => format!(" : {}", verdict(v)),
            (None, Some(data)) => format!(" : {}", data.iter().map(|v| plain(*v)).collect::<Vec<_>>().join(" . ")),
            (None, None) => String::new(),
        };
        let catch_all = set.catch_all.iter().map(|element| format!("*{}", data(element)));
        let texts = list.iter().map(|(key, element)| {
            let parts = key.iter().zip(&kinds).map(|((from, to), kind)| span(*kind, *from, *to));
            format!("{}{}", parts.collect::<Vec<_>>().join(" . "), data(element))
        });
        Some(format!("{{ {} }}", texts.chain(catch_all).collect::<Vec<_>>().join(", ")))
    }

    pub(crate) fn cond(&mut self, cond: &Cond) -> String {
        match cond {
            Cond::Compare { left, op, right } => {
                self.learn(left, *op, *right);
                self.compare(left, *op, *right)
            }
            Cond::Range { value, from, to, negated } => {
                let (name, kind) = self.field(value);
                format!("{name} {}{}", if *negated { "!= " } else { "" }, span(kind, *from, *to))
            }
            Cond::InSet { key, set, negated } => {
                format!("{} {}{}", self.key(key), if *negated { "!= " } else { "" }, self.elements(key, set))
            }
            Cond::InIpset { set, source, negated } => {
                let parts: Vec<_> = source.iter().map(|s| if *s { "src" } else { "dst" }).collect();
                format!("{}--match-set {set} {}", if *negated { "! " } else { "" }, parts.join(","))
            }
            Cond::Any(list) => format!("({})", self.all(list, " or ")),
            Cond::All(list) => self.all(list, " "),
            Cond::Not(inner) => format!("not ({})", self.cond(inner)),
            Cond::Lenient(inner) => self.cond(inner),
            Cond::Const(holds) => if *holds { "always" } else { "never" }.to_owned(),
            Cond::Fork(text) => text.clone(),
            Cond::Unknown(text) => format!("/* not understood: {text} */"),
        }
    }

    fn all(&mut self, list: &[Cond], between: &str) -> String {
        list.iter().map(|cond| self.cond(cond)).collect::<Vec<_>>().join(between)
    }

    /// `ip saddr 10.0.0.0/8`, of which nft(8) loads but one byte.
    fn short_prefix(&self, left: &Expr, right: Scalar) -> Option<String> {
        let Expr::Field(Field::Payload { base: Header::Network, offset, len }) = *left else { return None };
        let (bits, name, kind) = match (self.seen.family, offset) {
            (Some(Family::Ip), 96) => (32, "ip saddr", Kind::Address4),
            (Some(Family::Ip), 128) => (32, "ip daddr", Kind::Address4),
            (Some(Family::Ip6), 64) => (128, "ip6 saddr", Kind::Address6),
            (Some(Family::Ip6), 192) => (128, "ip6 daddr", Kind::Address6),
            _ => return None,
        };
        (len < bits).then(|| format!("{name} {}/{len}", value(kind, right << (bits - len))))
    }

    fn compare(&self, left: &Expr, op: Op, right: Scalar) -> String {
        let sign = match op {
            Op::Eq => "",
            Op::Ne => "!= ",
            Op::Lt => "< ",
            Op::Le => "<= ",
            Op::Gt => "> ",
            Op::Ge => ">= ",
        };
        let Expr::Bits { of, mask, xor: 0 } = left else {
            if let Some(text) = self.short_prefix(left, right).filter(|_| matches!(op, Op::Eq | Op::Ne)) {
                return text.replacen(" saddr ", &format!(" saddr {sign}"), 1).replacen(
                    " daddr ",
                    &format!(" daddr {sign}"),
                    1,
                );
            }
            let (name, kind) = self.field(left);
            // Without a route there is no index: nft(8) says so.
            if let (Expr::Field(Field::Fib { result: FibResult::Oif, .. }), 0, Op::Eq | Op::Ne) = (left, right, op) {
                return format!("{name} {}", if op == Op::Eq { "missing" } else { "exists" });
            }
            return format!("{name} {sign}{}", value(kind, right));
        };
        let (name, kind) = self.field(of);
        if let Some(length) = width(kind).and_then(|bits| prefix(*mask, bits)) {
            return format!("{name} {sign}{}/{length}", value(kind, right));
        }
        match (kind, op, right) {
            (Kind::Name, Op::Eq | Op::Ne, _) => {
                format!("{name} {sign}{}*\"", value(kind, right).trim_end_matches('"'))
            }
            (Kind::State | Kind::Status, Op::Ne, 0) => format!("{name} {}", value(kind, *mask)),
            (Kind::State | Kind::Status, Op::Eq, 0) => format!("{name} ! {}", value(kind, *mask)),
            (Kind::TcpFlags, Op::Eq | Op::Ne, _) => {
                let sign = if op == Op::Eq { "==" } else { "!=" };
                format!("{name} & ({}) {sign} {}", value(kind, *mask), value(kind, right))
            }
            _ => format!("{name} & {mask:#x} {}{right:#x}", if op == Op::Eq { "== " } else { sign }),
        }
    }

    fn set(&self, target: &SetTarget, new: &Expr) -> String {
        let name = match target {
            SetTarget::Mark => "meta mark".to_owned(),
            SetTarget::CtMark => "ct mark".to_owned(),
            SetTarget::Payload { base, offset, len } => {
                let field = Field::Payload { base: *base, offset: *offset, len: *len };
                let (name, kind) = names::field(&field, self.seen);
                if let Expr::Const(v) = new {
                    return format!("{name} set {}", value(kind, *v));
                }
                name
            }
            SetTarget::Other(name) => name.clone(),
        };
        format!("{name} set {}", self.field(new).0)
    }

    fn nat(&self, nat: &Nat) -> String {
        let kind = match nat.kind {
            NatKind::Dnat => "dnat",
            NatKind::Snat => "snat",
            NatKind::Masquerade => "masquerade",
            NatKind::Redirect => "redirect",
        };
        let family = match nat.family {
            Some(Family::Ip6) => " ip6",
            Some(_) => " ip",
            None => "",
        };
        let v6 = nat.family.or(self.seen.family) == Some(Family::Ip6);
        let shown = |expr: &Expr, kind: Kind| match expr {
            Expr::Const(v) => value(kind, *v),
            other => self.field(other).0,
        };
        let range = |pair: &(Expr, Expr), kind: Kind| {
            if pair.0 == pair.1 {
                shown(&pair.0, kind)
            } else {
                format!("{}-{}", shown(&pair.0, kind), shown(&pair.1, kind))
            }
        };
        let mut out = format!("{kind}{family}");
        if let Some(address) = &nat.address {
            let text = range(address, if v6 { Kind::Address6 } else { Kind::Address4 });
            let bracket = v6 && nat.port.is_some() && matches!(address.0, Expr::Const(_));
            out += &if bracket { format!(" to [{text}]") } else { format!(" to {text}") };
        }
        if let Some(port) = &nat.port {
            let text = range(port, Kind::Number);
            out += &if nat.address.is_some() { format!(":{text}") } else { format!(" to :{text}") };
        }
        out
    }
}

/// A map's data, whose type is not known here: small numbers as they are, what looks like an IPv4 address as one.
fn plain(v: Scalar) -> String {
    match v {
        0..=0xffff => v.to_string(),
        0x1_0000..=0xffff_ffff => value(Kind::Address4, v),
        v if v >> 96 != 0 => value(Kind::Address6, v),
        v => format!("{v:#x}"),
    }
}

pub(crate) fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "accept".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Jump(chain) => format!("jump {chain}"),
        Verdict::Goto(chain) => format!("goto {chain}"),
        Verdict::Return => "return".to_owned(),
        Verdict::Continue => "continue".to_owned(),
        Verdict::Queue => "queue".to_owned(),
    }
}

fn reject(how: Reject) -> String {
    let named = |kind: &str, names: &[&str], code: u8| {
        let name = names.get(usize::from(code)).filter(|n| !n.is_empty());
        format!("reject with {kind} {}", name.map_or_else(|| code.to_string(), |n| (*n).to_owned()))
    };
    let icmp = &["net-unreachable", "host-unreachable", "prot-unreachable", "port-unreachable"];
    match how {
        Reject::TcpReset => "reject with tcp reset".to_owned(),
        Reject::Icmp(3, 9) => "reject with icmp net-prohibited".to_owned(),
        Reject::Icmp(3, 10) => "reject with icmp host-prohibited".to_owned(),
        Reject::Icmp(3, 13) => "reject with icmp admin-prohibited".to_owned(),
        Reject::Icmp(_, code) => named("icmp", icmp, code),
        Reject::Icmp6(_, code) => {
            let names = [
                "no-route",
                "admin-prohibited",
                "",
                "addr-unreachable",
                "port-unreachable",
                "policy-fail",
                "reject-route",
            ];
            named("icmpv6", &names, code)
        }
        Reject::Icmpx(code) => {
            named("icmpx", &["no-route", "port-unreachable", "host-unreachable", "admin-prohibited"], code)
        }
    }
}

/// Whether a statement looks at a header whose protocol or family it names itself.
fn uses(statement: &Statement, base: Header) -> bool {
    match statement {
        Statement::If(cond) => cond_uses(cond, base),
        Statement::VerdictMap { key, .. } => key.iter().any(|part| expr_uses(part, base)),
        Statement::Set { target: SetTarget::Payload { base: of, .. }, .. } => *of == base,
        Statement::Nat(nat) => {
            let mut values = [&nat.address, &nat.port].into_iter().flatten().flat_map(|(from, to)| [from, to]);
            base == Header::Network && nat.family.is_some() || values.any(|value| expr_uses(value, base))
        }
        Statement::Reject(Reject::Icmp(..) | Reject::Icmp6(..)) => base == Header::Network,
        Statement::Reject(Reject::TcpReset) => base == Header::Transport,
        _ => false,
    }
}

fn cond_uses(cond: &Cond, base: Header) -> bool {
    match cond {
        Cond::Compare { left, .. } => expr_uses(left, base),
        Cond::Range { value, .. } => expr_uses(value, base),
        Cond::InSet { key, .. } => key.iter().any(|part| expr_uses(part, base)),
        Cond::Any(list) | Cond::All(list) => list.iter().any(|cond| cond_uses(cond, base)),
        Cond::Not(inner) | Cond::Lenient(inner) => cond_uses(inner, base),
        _ => false,
    }
}

fn expr_uses(expr: &Expr, base: Header) -> bool {
    match expr {
        Expr::Field(Field::Payload { base: of, .. }) => *of == base,
        Expr::Bits { of, .. } | Expr::Shift { of, .. } => expr_uses(of, base),
        Expr::Map { key, .. } => key.iter().any(|part| expr_uses(part, base)),
        Expr::Binary { left, right, .. } => expr_uses(left, base) || expr_uses(right, base),
        _ => false,
    }
}

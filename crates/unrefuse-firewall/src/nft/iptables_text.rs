//! A rule of iptables-nft as iptables-save(8) writes it.

use super::names::{Kind, prefix, value, width};
use super::registers::ones;
use super::text::Writer;
use crate::model::{Cond, Expr, Family, Field, Given, Header, Meta, Op, Rule, Scalar, Statement, Verdict};
use std::collections::BTreeMap;

/// Words in the order of iptables-save: source, destination, interfaces, protocol, fragment; then matches, then the
/// target, each in its own order.
#[derive(Default)]
struct Words {
    core: [String; 6],
    matches: Vec<String>,
    target: String,
    protocol: Option<Scalar>,
    /// The match whose options the last words were.
    module: Option<&'static str>,
}

/// `-A CHAIN …`. iptables-nft puts addresses, interfaces, the protocol and ports into nf_tables' own expressions, the rest
/// into x_tables matches and targets, whose text is given.
pub(crate) fn iptables(rule: &Rule, family: Family, chain: &str, given: &[Given]) -> String {
    let none = BTreeMap::new();
    let mut writer = Writer::new(family, &none);
    let mut words = Words::default();
    let mut index = 0;
    loop {
        // A comment stands for no statement.
        for (_, _, text) in given.iter().filter(|(first, count, _)| *first == index && *count == 0) {
            words.take(text);
        }
        let Some(statement) = rule.statements.get(index) else { break };
        if let Some((_, count, text)) = given.iter().find(|(first, count, _)| *first == index && *count > 0) {
            words.take(text);
            index += count;
            continue;
        }
        index += 1;
        match statement {
            Statement::If(cond) => {
                if !words.native(cond, family) {
                    words.module = None;
                    words.matches.push(match cond {
                        Cond::Fork(text) => format!("-m {text}"),
                        cond => writer.cond(cond),
                    });
                }
            }
            Statement::Verdict(verdict) => words.target = of_verdict(verdict),
            Statement::Note(text) => words.target.clone_from(text),
            other => words.target = writer.statement(other),
        }
    }
    // A comment in the rule's user data is iptables-nft's own.
    if let Some(comment) = &rule.comment
        && !words.matches.iter().any(|text| text.starts_with("-m comment"))
    {
        words.matches.push(format!("-m comment --comment {}", crate::xt::quoted(comment)));
    }
    let mut out = format!("-A {chain}");
    for word in words.core.iter().chain(&words.matches).chain([&words.target]).filter(|word| !word.is_empty()) {
        out.push(' ');
        out += word;
    }
    out
}

fn of_verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "-j ACCEPT".to_owned(),
        Verdict::Drop => "-j DROP".to_owned(),
        Verdict::Return => "-j RETURN".to_owned(),
        Verdict::Jump(chain) => format!("-j {chain}"),
        Verdict::Goto(chain) => format!("-g {chain}"),
        Verdict::Queue => "-j QUEUE".to_owned(),
        Verdict::Continue => String::new(),
    }
}

impl Words {
    fn take(&mut self, text: &str) {
        self.module = None;
        if text.starts_with("-m ") {
            self.matches.push(text.to_owned());
        } else {
            self.target = text.to_owned();
        }
    }

    /// An option of a module that stands for itself until another one comes between.
    fn option(&mut self, module: &'static str, text: String) {
        if self.module == Some(module)
            && let Some(last) = self.matches.last_mut()
        {
            last.push(' ');
            last.push_str(&text);
        } else {
            self.matches.push(format!("-m {module} {text}"));
        }
        self.module = Some(module);
    }

    /// A test that iptables(8) has a word for.
    fn native(&mut self, cond: &Cond, family: Family) -> bool {
        self.written(cond, family).is_some()
    }

    fn written(&mut self, cond: &Cond, family: Family) -> Option<()> {
        let (left, right, to, negated) = match cond {
            Cond::Compare { left, op: op @ (Op::Eq | Op::Ne), right } => (left, *right, *right, *op == Op::Ne),
            Cond::Range { value, from, to, negated } => (value, *from, *to, *negated),
            _ => return None,
        };
        let not = if negated { "! " } else { "" };
        let (field, mask) = match left {
            Expr::Field(field) => (field, None),
            Expr::Bits { of, mask, xor: 0 } => match &**of {
                Expr::Field(field) => (field, Some(*mask)),
                _ => return None,
            },
            _ => return None,
        };
        match field {
            Field::Payload { base: Header::Network, offset, len } => {
                let kind = if family == Family::Ip6 { Kind::Address6 } else { Kind::Address4 };
                let bits = width(kind)?;
                let (slot, option) = match (family, offset) {
                    (Family::Ip, 96) | (Family::Ip6, 64) => (0, "-s"),
                    (Family::Ip, 128) | (Family::Ip6, 192) => (1, "-d"),
                    (Family::Ip, 72) if *len == 8 => return self.protocol(right, not),
                    (Family::Ip, 48) if mask == Some(0x1fff) && right == 0 => {
                        self.core[5] = if negated { "-f" } else { "! -f" }.to_owned();
                        return Some(());
                    }
                    _ => return None,
                };
                let all = ones(bits);
                let mask = mask.unwrap_or(all);
                (usize::from(*len) == bits).then_some(())?;
                let end = prefix(mask, bits).map_or_else(|| value(kind, mask), |n| n.to_string());
                self.core[slot] = format!("{not}{option} {}/{end}", value(kind, right));
            }
            Field::Meta(key @ (Meta::IifName | Meta::OifName)) => {
                let (slot, option) = if *key == Meta::IifName { (2, "-i") } else { (3, "-o") };
                let plus = if mask.is_some() { "+" } else { "" };
                self.core[slot] = format!("{not}{option} {}{plus}", value(Kind::Name, right).trim_matches('"'));
            }
            Field::Meta(Meta::L4Proto) if mask.is_none() => return self.protocol(right, not),
            Field::Meta(Meta::Mark) => {
                let mask = mask.map_or_else(String::new, |mask| format!("/{mask:#x}"));
                self.option("mark", format!("{not}--mark {right:#x}{mask}"));
            }
            Field::Payload { base: Header::Transport, offset: offset @ (0 | 16), len: 16 } if mask.is_none() => {
                let option = if *offset == 0 { "--sport" } else { "--dport" };
                let ports = if right == to { right.to_string() } else { format!("{right}:{to}") };
                self.option(self.of_protocol()?, format!("{not}{option} {ports}"));
            }
            Field::Payload { base: Header::Transport, offset: 104, len: 8 } if self.protocol == Some(6) => {
                let (mask, set) = (u8::try_from(mask.unwrap_or(0xff)).ok()?, u8::try_from(right).ok()?);
                let flags = |bits| crate::xt::tcp_flags(bits);
                self.option("tcp", format!("{not}--tcp-flags {} {}", flags(mask), flags(set)));
            }
            _ => return None,
        }
        Some(())
    }

    fn protocol(&mut self, number: Scalar, not: &str) -> Option<()> {
        self.protocol = not.is_empty().then_some(number);
        self.core[4] = format!("{not}-p {}", value(Kind::Protocol, number));
        Some(())
    }

    fn of_protocol(&self) -> Option<&'static str> {
        Some(match self.protocol? {
            6 => "tcp",
            17 => "udp",
            33 => "dccp",
            132 => "sctp",
            136 => "udplite",
            _ => return None,
        })
    }
}

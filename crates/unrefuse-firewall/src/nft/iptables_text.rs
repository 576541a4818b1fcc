//! A rule of iptables-nft as iptables-save(8) writes it.

use super::names::{Kind, prefix, value, width};
use super::text::{Given, Writer};
use crate::model::{Cond, Expr, Family, Field, Header, Meta, Op, Rule, Scalar, Statement, Verdict};
use std::collections::BTreeMap;

/// `-A CHAIN …`. iptables-nft puts addresses, interfaces, the protocol and ports into nf_tables' own expressions, the rest
/// into x_tables matches and targets, whose text is given.
pub(crate) fn iptables(rule: &Rule, family: Family, chain: &str, given: &Given) -> String {
    let mut out = format!("-A {chain}");
    let none = BTreeMap::new();
    let mut writer = Writer::new(family, &none);
    let mut protocol = None;
    let mut named = None;
    let mut index = 0;
    while let Some(statement) = rule.statements.get(index) {
        if let Some((_, count, text)) = given.iter().find(|(first, count, _)| *first == index && *count > 0) {
            out.push(' ');
            out += text;
            index += count;
            continue;
        }
        index += 1;
        let text = match statement {
            Statement::If(cond) => match native(cond, family, &mut protocol, &mut named) {
                Some(text) => text,
                None => writer.cond(cond),
            },
            Statement::Verdict(verdict) => match verdict {
                Verdict::Accept => "-j ACCEPT".to_owned(),
                Verdict::Drop => "-j DROP".to_owned(),
                Verdict::Return => "-j RETURN".to_owned(),
                Verdict::Jump(chain) => format!("-j {chain}"),
                Verdict::Goto(chain) => format!("-g {chain}"),
                Verdict::Queue => "-j QUEUE".to_owned(),
                Verdict::Continue => continue,
            },
            other => writer.statement(other),
        };
        out.push(' ');
        out += &text;
    }
    // xt_comment stands where it was written; a comment in the rule's user data is iptables-nft's own.
    if let Some(comment) = &rule.comment
        && !given.iter().any(|(_, _, text)| text.starts_with("-m comment"))
    {
        out += &format!(" -m comment --comment \"{comment}\"");
    }
    out
}

/// A test that iptables(8) has a word for.
fn native(cond: &Cond, family: Family, protocol: &mut Option<Scalar>, named: &mut Option<Scalar>) -> Option<String> {
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
    let kind = if family == Family::Ip6 { Kind::Address6 } else { Kind::Address4 };
    match field {
        Field::Payload { base: Header::Network, offset, len } => {
            let bits = width(kind)?;
            let option = match (family, offset) {
                (Family::Ip, 96) | (Family::Ip6, 64) => "-s",
                (Family::Ip, 128) | (Family::Ip6, 192) => "-d",
                _ => return None,
            };
            let written = match (usize::from(*len), mask) {
                (len, mask) if len == bits => {
                    let all = super::registers::ones(bits);
                    let mask = mask.unwrap_or(all);
                    let end = prefix(mask, bits).map_or_else(|| value(kind, mask), |n| n.to_string());
                    format!("{}/{end}", value(kind, right))
                }
                // A prefix of whole bytes loads only these.
                (len, None) if len < bits => format!("{}/{len}", value(kind, right << (bits - len))),
                _ => return None,
            };
            Some(format!("{not}{option} {written}"))
        }
        Field::Meta(key @ (Meta::IifName | Meta::OifName)) => {
            let option = if *key == Meta::IifName { "-i" } else { "-o" };
            let plus = if mask.is_some() { "+" } else { "" };
            Some(format!("{not}{option} {}{plus}", value(Kind::Name, right).trim_matches('"')))
        }
        Field::Meta(Meta::L4Proto) if mask.is_none() => {
            *protocol = Some(right);
            Some(format!("{not}-p {}", value(Kind::Protocol, right)))
        }
        Field::Meta(Meta::Mark) => {
            let mask = mask.map_or_else(String::new, |mask| format!("/{mask:#x}"));
            Some(format!("-m mark {not}--mark {right:#x}{mask}"))
        }
        Field::Payload { base: Header::Transport, offset: offset @ (0 | 16), len: 16 } if mask.is_none() => {
            let name = match *protocol {
                Some(6) => "tcp",
                Some(17) => "udp",
                Some(132) => "sctp",
                Some(33) => "dccp",
                _ => return None,
            };
            let module = if *named == *protocol { String::new() } else { format!("-m {name} ") };
            *named = *protocol;
            let option = if *offset == 0 { "--sport" } else { "--dport" };
            let ports = if right == to { right.to_string() } else { format!("{right}:{to}") };
            Some(format!("{module}{not}{option} {ports}"))
        }
        _ => None,
    }
}

//! Each point of what the kernel does, one test.

mod bridge;
mod flow;
mod forks;
mod found;
mod measured;
mod nat;
mod stack;
mod values;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Question, judge};
use crate::answer::{Answer, Decider, Fate};
use crate::machine::KnownMachine;
use crate::model::*;
use crate::packet::interface_scalar;
use crate::spec::PacketSpec;

pub(crate) const HERE: &str = "192.0.2.1";
pub(crate) const THERE: &str = "192.0.2.77";

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(crate) fn scalar(text: &str) -> Scalar {
    match ip(text) {
        IpAddr::V4(a) => a.to_bits().into(),
        IpAddr::V6(a) => a.to_bits(),
    }
}

pub(crate) fn machine() -> KnownMachine {
    KnownMachine::new()
        .with_interface("eth0", &[(HERE, 24), ("2001:db8::1", 64)])
        .with_interface("eth1", &[("198.51.100.1", 24)])
        .with_sysctl("net.ipv4.ip_forward", 0)
}

pub(crate) fn payload(base: Header, offset: u16, len: u16) -> Expr {
    Expr::Field(Field::Payload { base, offset, len })
}

pub(crate) fn eq(left: Expr, right: Scalar) -> Statement {
    Statement::If(Cond::Compare { left, op: Op::Eq, right })
}

pub(crate) fn meta(meta: Meta) -> Expr {
    Expr::Field(Field::Meta(meta))
}

pub(crate) fn ct(key: Ct) -> Expr {
    Expr::Field(Field::Ct(key))
}

pub(crate) fn dport(port: u16) -> Statement {
    eq(payload(Header::Transport, 16, 16), port.into())
}

pub(crate) fn daddr(address: &str) -> Statement {
    eq(payload(Header::Network, 128, 32), scalar(address))
}

pub(crate) fn iif(name: &str) -> Statement {
    eq(meta(Meta::IifName), interface_scalar(name))
}

pub(crate) fn state(bits: u32) -> Statement {
    let left = Expr::Bits { of: Box::new(ct(Ct::State)), mask: bits.into(), xor: 0 };
    Statement::If(Cond::Compare { left, op: Op::Ne, right: 0 })
}

pub(crate) fn fork() -> Statement {
    Statement::If(Cond::Fork("limit".into()))
}

pub(crate) const ACCEPT: Statement = Statement::Verdict(Verdict::Accept);
pub(crate) const DROP: Statement = Statement::Verdict(Verdict::Drop);
pub(crate) const RETURN: Statement = Statement::Verdict(Verdict::Return);

pub(crate) fn jump(name: &str) -> Statement {
    Statement::Verdict(Verdict::Jump(name.into()))
}

pub(crate) fn goto(name: &str) -> Statement {
    Statement::Verdict(Verdict::Goto(name.into()))
}

pub(crate) fn set_mark(value: Scalar) -> Statement {
    Statement::Set { target: SetTarget::Mark, value: Expr::Const(value) }
}

pub(crate) fn rules(list: Vec<Vec<Statement>>) -> Arc<Rules> {
    let rule = |(i, statements): (usize, Vec<Statement>)| Rule {
        number: i as u32 + 1,
        text: format!("rule {}", i + 1).into(),
        statements,
        ..Rule::default()
    };
    Arc::new(list.into_iter().enumerate().map(rule).collect())
}

pub(crate) fn base(hook: Hook, priority: i32, policy: Policy, list: Vec<Vec<Statement>>) -> Chain {
    let kind = match (hook, priority) {
        (_, -100 | 100) => ChainKind::Nat,
        (Hook::Output, -150) => ChainKind::Route,
        _ => ChainKind::Filter,
    };
    let base = Base { hook, priority, kind, policy, devices: Vec::new(), order: None };
    Chain { base: Some(base), rules: rules(list), ..Chain::default() }
}

pub(crate) fn user(list: Vec<Vec<Statement>>) -> Chain {
    Chain { rules: rules(list), ..Chain::default() }
}

pub(crate) fn table(family: Family, name: &str, chains: Vec<(&str, Chain)>) -> Table {
    Table {
        family,
        name: name.into(),
        backend: Backend::Nft,
        dormant: false,
        chains: chains.into_iter().map(|(n, c)| (n.to_owned(), c)).collect(),
        sets: BTreeMap::new(),
    }
}

pub(crate) fn ruleset(tables: Vec<Table>) -> Ruleset {
    Ruleset { tables, ..Ruleset::default() }
}

/// One filter table with one base chain at INPUT.
pub(crate) fn input(policy: Policy, list: Vec<Vec<Statement>>) -> Ruleset {
    ruleset(vec![table(Family::Ip, "filter", vec![("INPUT", base(Hook::Input, 0, policy, list))])])
}

pub(crate) fn syn(port: u16) -> Question {
    Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip(THERE)), ip(HERE), port))
}

pub(crate) fn connect(to: &str, port: u16) -> Question {
    Question::outgoing(PacketSpec::tcp(None, ip(to), port))
}

pub(crate) fn ask(ruleset: &Ruleset, question: &Question) -> Answer {
    judge(ruleset, &machine(), question)
}

pub(crate) fn fate(ruleset: &Ruleset, question: &Question) -> Fate {
    ask(ruleset, question).fate
}

pub(crate) fn accepted(ruleset: &Ruleset, question: &Question) -> bool {
    fate(ruleset, question).is_accepted()
}

/// Where it was decided: `CHAIN 3`, `CHAIN policy`, or the stack's reason.
pub(crate) fn by(answer: &Answer) -> String {
    decider(answer.decided_by.as_ref())
}

pub(crate) fn decider(decider: Option<&Decider>) -> String {
    match decider {
        Some(Decider::Rule(r)) => format!("{} {}", r.chain, r.number),
        Some(Decider::Policy(p)) => format!("{} policy", p.chain),
        Some(Decider::Stack(reason)) => format!("{reason:?}"),
        None => "nothing".into(),
    }
}

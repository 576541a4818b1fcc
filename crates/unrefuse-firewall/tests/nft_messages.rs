//! Messages of nf_tables as a kernel sent them, and what they are read into; cut and damaged ones are read too.

use unrefuse_firewall::model::{
    Cond, Elements, Expr, Field, Header, Meta, Nat, NatKind, Op, Policy, Rule, Ruleset, Statement, Verdict,
};
use unrefuse_firewall::nft::{Context, Reader};

const CAPTURED: &str = include_str!("nft_messages.txt");

struct Case {
    line: String,
    messages: Vec<(u8, Vec<u8>)>,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in CAPTURED.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(rule) = line.strip_prefix("rule ") {
            let (_, written) = rule.split_once(' ').expect("a family and a rule");
            cases.push(Case { line: written.to_owned(), messages: Vec::new() });
        } else {
            let (kind, hex) = line.split_once(' ').expect("a type and a body");
            let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"));
            cases.last_mut().expect("a rule before").messages.push((kind.parse().expect("a type"), bytes.collect()));
        }
    }
    assert!(cases.len() > 15 && cases.iter().all(|case| case.messages.len() > 4));
    cases
}

fn read(messages: &[(u8, Vec<u8>)]) -> Ruleset {
    let mut reader = Reader::new(Context::default());
    for (kind, body) in messages {
        reader.message(*kind, body);
    }
    reader.finish()
}

/// The rule that a line was loaded as.
fn rule(line: &str) -> (Ruleset, Rule) {
    let case = cases().into_iter().find(|case| case.line == line).unwrap_or_else(|| panic!("no such rule: {line}"));
    let ruleset = read(&case.messages);
    let rule = ruleset.tables[0].chains["c"].rules[0].clone();
    (ruleset, rule)
}

fn payload(base: Header, offset: u16, len: u16) -> Expr {
    Expr::Field(Field::Payload { base, offset, len })
}

#[cfg(target_endian = "little")]
#[test]
fn a_rule_is_written_as_it_was_loaded() {
    for case in cases() {
        let ruleset = read(&case.messages);
        assert!(ruleset.problems.is_empty(), "{:?}", ruleset.problems);
        let chain = &ruleset.tables[0].chains["c"];
        assert_eq!(chain.base.as_ref().map(|base| base.policy), Some(Policy::Drop));
        assert_eq!(chain.rules[0].number, 1);
        assert_eq!(chain.rules[0].text(), case.line);
        assert!(!format!("{:?}", chain.rules[0].statements).contains("Unknown"), "{:?}", chain.rules[0]);
    }
}

#[cfg(target_endian = "little")]
#[test]
fn a_rule_becomes_the_tests_that_it_makes() {
    let equal = |left, right| Statement::If(Cond::Compare { left, op: Op::Eq, right });
    let protocol = |number| equal(Expr::Field(Field::Meta(Meta::L4Proto)), number);
    let port = || payload(Header::Transport, 16, 16);
    assert_eq!(
        rule("tcp dport 22 accept").1.statements,
        [protocol(6), equal(port(), 22), Statement::Verdict(Verdict::Accept)]
    );
    let ranged = rule("ip saddr 10.0.0.0/8 tcp dport 1000-2000 drop").1.statements;
    assert!(ranged.contains(&Statement::If(Cond::Range { value: port(), from: 1000, to: 2000, negated: false })));
    assert!(ranged.contains(&equal(payload(Header::Network, 96, 8), 10)), "{ranged:?}");
    let (ruleset, rule_of) = rule("ip saddr . tcp dport vmap @v");
    let key = vec![payload(Header::Network, 96, 32), port()];
    assert_eq!(rule_of.statements.last(), Some(&Statement::VerdictMap { key, set: "v".into() }));
    let Elements::Exact(map) = &ruleset.tables[0].sets["v"].elements else { panic!() };
    assert_eq!(map[&vec![0x0a00_0001, 22]].verdict, Some(Verdict::Drop));
    let Elements::Ranges(ranges) = &ruleset.tables[0].sets["s"].elements else { panic!() };
    assert_eq!(
        ranges.iter().map(|(key, _)| key[0]).collect::<Vec<_>>(),
        [(0x0a00_0000, 0x0aff_ffff), (0xc000_0201, 0xc000_0201)]
    );
    let (_, dnat) = rule("dnat to tcp dport map @m");
    let to = Expr::Map { key: vec![port()], set: "m".into(), part: 0 };
    let nat = Nat { kind: NatKind::Dnat, family: None, address: Some((to.clone(), to)), port: None, prefix: None };
    assert_eq!(dnat.statements.last(), Some(&Statement::Nat(Box::new(nat))));
}

/// A rule is there or a problem is; nothing that was cut or damaged stops the reading.
#[test]
fn cut_and_damaged_messages_are_read() {
    for case in cases() {
        let last = case.messages.len() - 1;
        for (at, (kind, body)) in case.messages.iter().enumerate() {
            let mut messages = case.messages.clone();
            for length in (0..body.len()).step_by(3) {
                messages[at] = (*kind, body[..length].to_vec());
                let _ = read(&messages);
            }
            for byte in 0..body.len() {
                let mut body = body.clone();
                body[byte] ^= 0x81;
                messages[at] = (*kind, body);
                let ruleset = read(&messages);
                let rules: usize = ruleset.tables.iter().flat_map(|t| t.chains.values()).map(|c| c.rules.len()).sum();
                assert!(at != last || rules == 1 || !ruleset.problems.is_empty(), "{}: byte {byte}", case.line);
            }
        }
    }
}

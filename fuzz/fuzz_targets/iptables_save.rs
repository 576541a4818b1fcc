//! iptables-save text: every line that is a rule is a rule or a problem, a rule reads the same by itself, and words put
//! into a rule never take one of its tests away without saying so.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_firewall::iptables::parse;
use unrefuse_firewall::model::{Family, Ruleset, Statement};

fuzz_target!(|bytes: &[u8]| {
    for family in [None, Some(Family::Ip), Some(Family::Ip6)] {
        let ruleset = parse(bytes, family);
        numbers(&ruleset, bytes);
    }
    lines(bytes);
    words(bytes);
});

fn numbers(ruleset: &Ruleset, bytes: &[u8]) {
    let lines = bytes.split(|&b| b == b'\n').count();
    for chain in ruleset.tables.iter().flat_map(|t| t.chains.values()) {
        for (at, rule) in chain.rules.iter().enumerate() {
            assert_eq!(rule.number as usize, at + 1);
            assert!(rule.line.is_none_or(|line| (1..=lines).contains(&(line as usize))));
        }
    }
}

/// Lines of one table, each with a rule: none is lost.
fn lines(bytes: &[u8]) {
    let text: String = String::from_utf8_lossy(bytes).chars().filter(|c| *c != '\r').collect();
    let rules: Vec<&str> = text.split('\n').collect();
    let mut dump = String::from("*filter\n:INPUT DROP [0:0]\n:mine - [0:0]\n");
    for rule in &rules {
        dump += &format!("-A mine {rule}\n");
    }
    let ruleset = parse(format!("{dump}COMMIT\n").as_bytes(), Some(Family::Ip));
    let chain = &ruleset.tables[0].chains["mine"];
    for (at, text) in rules.iter().enumerate() {
        let line = at as u32 + 4;
        let place = format!("line {line}");
        let wrong = ruleset.problems.iter().any(|p| p.place == place);
        let read: Vec<_> = chain.rules.iter().filter(|r| r.line == Some(line)).collect();
        // `-6` takes a line out of IPv4 rules.
        assert!(wrong || !read.is_empty() || text.contains('6'), "{text:?} is lost");
        let open = |s: &Statement| format!("{s:?}").contains("Unknown");
        assert_eq!(wrong, wrong && (read.is_empty() || read.iter().any(|r| r.statements.iter().any(open))), "{text:?}");
    }
    for rule in chain.rules.iter().filter(|r| r.text().starts_with("-A mine")) {
        let again = format!("*filter\n:INPUT DROP [0:0]\n:mine - [0:0]\n{}\nCOMMIT\n", rule.text());
        let again = parse(again.as_bytes(), Some(Family::Ip));
        let same = again.tables[0].chains["mine"].rules.iter().any(|r| r.statements == rule.statements);
        assert!(same, "{:?} reads otherwise by itself", rule.text());
    }
}

/// The input stands among a rule's words.
fn words(bytes: &[u8]) {
    let text: String = String::from_utf8_lossy(bytes).chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let dump = |words: &str| {
        let rule = format!("-A INPUT -s 192.0.2.1 -p tcp -m tcp --dport 22 {words} -m mark --mark 5 -j REJECT");
        let dump = format!("*filter\n:INPUT DROP [0:0]\n{rule}\nCOMMIT\n");
        parse(dump.as_bytes(), Some(Family::Ip))
    };
    let plain = dump("");
    let wanted: Vec<Statement> = plain.tables[0].chains["INPUT"].rules[0].statements.clone();
    let changed = dump(&text);
    if !changed.problems.is_empty() {
        return;
    }
    let rules = &changed.tables[0].chains["INPUT"].rules;
    assert!(!rules.is_empty() || text.contains('6'), "{text:?}");
    for rule in rules.iter() {
        // What follows an open comment is its text.
        let last = wanted.len() - if text.contains('-') { 2 } else { 0 };
        for statement in &wanted[..last] {
            assert!(rule.statements.contains(statement), "{text:?} takes {statement:?} away: {:?}", rule.statements);
        }
    }
}

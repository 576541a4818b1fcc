//! What the tests of rulesets share: loading them into a namespace, and comparing what they mean.
#![allow(dead_code, reason = "each test program uses a part")]

use std::io::Write as _;
use std::process::{Command, Stdio};
use unrefuse_collect::firewall::{Scope, ruleset};
use unrefuse_firewall::model::{Cond, Expr, Op, Ruleset, Statement, Table};

/// Runs a program of this thread's namespace with this input. `Err`: what it said.
pub(crate) fn feed(program: &str, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{program}: {e}"))?;
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_owned();
    // Beside reading the output: both pipes are shorter than a large ruleset.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    writer.join().expect("the writer ends");
    if output.status.success() { Ok(output.stdout) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Loads a ruleset of nft(8), which wants a line's end before the `}` of a block.
pub(crate) fn nft(rules: &str) {
    let is_block = |line: &str| ["table", "chain", "set", "map"].iter().any(|word| line.trim().starts_with(word));
    let lines = rules.lines().map(|line| if is_block(line) { line.replace('}', "\n}") } else { line.to_owned() });
    let rules = &lines.map(|line| line.replace("\n}\n}", "\n}\n}\n") + "\n").collect::<String>();
    feed("nft", &["-f", "-"], rules.as_bytes()).unwrap_or_else(|e| panic!("nft -f: {e}\n{rules}"));
}

/// Everything of this thread's namespace.
pub(crate) fn read() -> Ruleset {
    ruleset(Scope::Everything).get().expect("a ruleset").clone()
}

/// The rules of a chain as text.
pub(crate) fn texts(ruleset: &Ruleset, chain: &str) -> Vec<String> {
    rules(ruleset, chain).iter().map(|rule| rule.text().to_owned()).collect()
}

/// The rules of the chain of this name, which one table has.
pub(crate) fn rules(ruleset: &Ruleset, chain: &str) -> Vec<unrefuse_firewall::model::Rule> {
    let found: Vec<_> = ruleset.tables.iter().filter_map(|t| t.chains.get(chain)).collect();
    assert_eq!(found.len(), 1, "{chain}");
    found[0].rules.to_vec()
}

/// What of a rule was not understood.
pub(crate) fn not_understood(statements: &[Statement]) -> Vec<String> {
    fn expr(e: &Expr, out: &mut Vec<String>) {
        match e {
            Expr::Unknown(text) => out.push(text.clone()),
            Expr::Bits { of, .. } | Expr::Shift { of, .. } => expr(of, out),
            Expr::Map { key, .. } => key.iter().for_each(|e| expr(e, out)),
            Expr::Binary { left, right, .. } => {
                expr(left, out);
                expr(right, out);
            }
            Expr::Const(_) | Expr::Field(_) | Expr::Fork(_) => {}
        }
    }
    fn cond(c: &Cond, out: &mut Vec<String>) {
        match c {
            Cond::Unknown(text) => out.push(text.clone()),
            Cond::Compare { left, .. } => expr(left, out),
            Cond::Range { value, .. } => expr(value, out),
            Cond::InSet { key, .. } => key.iter().for_each(|e| expr(e, out)),
            Cond::Any(list) | Cond::All(list) => list.iter().for_each(|c| cond(c, out)),
            Cond::Not(inner) | Cond::Lenient(inner) => cond(inner, out),
            Cond::InIpset { .. } | Cond::Const(_) | Cond::Fork(_) => {}
        }
    }
    let mut out = Vec::new();
    for statement in statements {
        match statement {
            Statement::Unknown(text) => out.push(text.clone()),
            Statement::If(c) => cond(c, &mut out),
            Statement::Set { value, .. } => expr(value, &mut out),
            Statement::VerdictMap { key, .. } => key.iter().for_each(|e| expr(e, &mut out)),
            _ => {}
        }
    }
    out
}

/// Chains of iptables tables as text that can be compared: policies, and what each rule tests and does. Tests have no
/// order: iptables-nft puts interfaces before addresses.
pub(crate) fn meaning<'a>(tables: impl IntoIterator<Item = &'a Table>) -> Vec<String> {
    let mut tables: Vec<&Table> = tables.into_iter().collect();
    tables.sort_by_key(|t| (t.family, t.name.clone()));
    let mut out = Vec::new();
    for table in tables {
        for (name, chain) in &table.chains {
            let policy = chain.base.as_ref().map(|b| (b.policy, b.hook, b.priority, b.kind));
            let plain = policy.is_none_or(|p| p.0 == unrefuse_firewall::model::Policy::Accept);
            // iptables-save lists built-in chains that are not hooked in.
            if plain && chain.base.is_some() && chain.rules.is_empty() {
                continue;
            }
            out.push(format!("{:?} {} {name} {policy:?}", table.family, table.name));
            for rule in chain.rules.iter() {
                let mut tests: Vec<String> = Vec::new();
                let mut rest: Vec<String> = Vec::new();
                for statement in &rule.statements {
                    match statement {
                        Statement::If(cond) => flat(cond, &mut tests),
                        other => rest.push(short(&format!("{other:?}"))),
                    }
                }
                tests.sort();
                out.push(format!("  {} => {} {:?}", tests.join(" & "), rest.join(" "), rule.comment));
            }
        }
    }
    out
}

/// Tests that must all hold, one by one, in one of several forms that mean the same.
fn flat(cond: &Cond, out: &mut Vec<String>) {
    match cond {
        Cond::All(list) => list.iter().for_each(|c| flat(c, out)),
        // Of what is always there (an interface's name, empty where there is none), unlike is not like.
        Cond::Not(inner) => match &**inner {
            Cond::Lenient(like) => match &**like {
                Cond::Compare { left, op: Op::Eq, right } if format!("{left:?}").contains("ifName") => {
                    out.push(format!("{:?}", Cond::Compare { left: left.clone(), op: Op::Ne, right: *right }));
                }
                _ => out.push(short(&format!("{cond:?}"))),
            },
            _ => out.push(short(&format!("{cond:?}"))),
        },
        Cond::Const(true) => {}
        other => out.push(short(&format!("{other:?}"))),
    }
}

/// Without the options of what is not decided: iptables adds defaults and changes their order.
fn short(text: &str) -> String {
    for begin in ["Fork(\"", "Note(\""] {
        if let Some(at) = text.find(begin) {
            let rest = &text[at + begin.len()..];
            let name = rest.trim_start_matches("-j ").split([' ', '"']).next().unwrap_or_default();
            return format!("{}{name}", &text[..at + begin.len()]);
        }
    }
    text.to_owned()
}

/// The folder of real data beside the project; says so loudly where there is none.
pub(crate) fn corpus(folder: &str) -> Option<std::path::PathBuf> {
    let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    let found = workspace.parent()?.join("shared/corpus").join(folder);
    if found.is_dir() {
        return Some(found);
    }
    crate::common::skipped(&format!("there is no {}", found.display()));
    None
}

/// Whether the kernel and this user can do what the tests of rulesets need.
pub(crate) fn can_filter(test: &str) -> bool {
    if !crate::common::is_root(test) {
        return false;
    }
    let tools = ["nft", "iptables-nft", "iptables-legacy", "ipset"];
    let missing: Vec<_> =
        tools.into_iter().filter(|tool| Command::new(tool).arg("--version").output().is_err()).collect();
    if !missing.is_empty() {
        crate::common::skipped(&format!("needs {}: {test}", missing.join(", ")));
    }
    missing.is_empty()
}

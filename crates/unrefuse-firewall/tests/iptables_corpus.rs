//! Real rulesets, beside the project in `shared/corpus`: each is read, and what is not understood is known by name.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "the corpus lies in files, and a test that did not run says so"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use unrefuse_firewall::iptables;
use unrefuse_firewall::model::{Cond, Family, Ruleset, Statement};

fn corpus() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    let folder = workspace.parent()?.join("shared/corpus");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("NOT RUN: there is no {}", folder.display());
    None
}

/// Every file below a folder whose name the test takes.
fn files(folder: &Path, take: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, take));
        } else if take(&path) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Texts of what is open in a ruleset's rules: `unknown …`, `fork …`.
fn open(ruleset: &Ruleset) -> Vec<String> {
    fn of(cond: &Cond, out: &mut Vec<String>) {
        match cond {
            Cond::Unknown(text) => out.push(format!("unknown {text}")),
            Cond::Any(all) | Cond::All(all) => all.iter().for_each(|c| of(c, out)),
            Cond::Not(inner) | Cond::Lenient(inner) => of(inner, out),
            _ => {}
        }
    }
    let mut out = Vec::new();
    for rule in ruleset.tables.iter().flat_map(|t| t.chains.values()).flat_map(|c| c.rules.iter()) {
        for statement in &rule.statements {
            match statement {
                Statement::If(cond) => of(cond, &mut out),
                Statement::Unknown(text) => out.push(format!("unknown {text}")),
                _ => {}
            }
        }
    }
    out
}

#[test]
fn real_rulesets_are_understood() {
    let Some(corpus) = corpus() else { return };
    let iptables = |path: &Path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let ends = [".iptables-save", ".rules", "iptables-dump.txt", "iptables.golden", "ip6tables.golden"];
        ends.iter().any(|end| name.ends_with(end))
    };
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let all = files(&corpus, &iptables);
    assert!(all.len() >= 340, "only {} files", all.len());
    for path in all {
        let name = path.strip_prefix(&corpus).unwrap().display().to_string();
        let bytes = std::fs::read(&path).unwrap();
        let ruleset = iptables::parse(&bytes, None);
        if name.contains("ip6tables") && bytes.contains(&b'/') {
            assert!(ruleset.tables.iter().all(|t| t.family == Family::Ip6), "{name} is of IPv6");
        } else if !name.contains("ip6") && !name.contains("6.rules") {
            assert!(ruleset.tables.iter().all(|t| t.family == Family::Ip), "{name} is of IPv4");
        }
        let rules: usize = ruleset.tables.iter().flat_map(|t| t.chains.values()).map(|c| c.rules.len()).sum();
        println!("{name}: {} tables, {rules} rules", ruleset.tables.len());
        for problem in ruleset.problems.iter().map(|p| format!("{}: {}", p.place, p.text)).chain(open(&ruleset)) {
            seen.entry(problem).or_default().push(name.clone());
        }
    }
    assert!(seen.is_empty(), "not understood, and where: {seen:#?}");
}

//! What the kernel says of a ruleset: loaded with iptables-restore into a network namespace of its own and saved again, by
//! either backend, it means the same to the reader.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "this test talks to the kernel and says what it could not do"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use unrefuse_firewall::iptables;
use unrefuse_firewall::model::{Backend, Elements, Family, Ruleset, Set};

/// Chains of all tables as text that can be compared: policies, and statements of each rule.
fn meaning(ruleset: &Ruleset) -> Vec<String> {
    let mut out = Vec::new();
    let mut tables: Vec<_> = ruleset.tables.iter().collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    for table in tables {
        for (name, chain) in &table.chains {
            // iptables-nft saves built-in chains of a table that were never named; a user chain is always there.
            if chain.rules.is_empty()
                && chain.base.as_ref().is_none_or(|b| b.policy == unrefuse_firewall::model::Policy::Accept)
            {
                continue;
            }
            let policy = chain.base.as_ref().map(|b| (b.policy, b.hook, b.priority, b.kind));
            out.push(format!("{} {name} {policy:?}", table.name));
            for rule in chain.rules.iter() {
                out.push(plain(&format!("  {:?} {:?}", rule.statements, rule.comment)));
            }
        }
    }
    out
}

/// Without the options of what is not decided: iptables adds defaults and changes their order.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = ["Fork(\"", "Note(\""].iter().filter_map(|s| rest.find(s).map(|at| at + s.len())).min() {
        let (before, after) = rest.split_at(at);
        let name = after.trim_start_matches("-j ").split([' ', '"']).next().unwrap_or("");
        out.push_str(before);
        out.push_str(name);
        rest = after.split_once("\")").map_or("", |(_, rest)| rest);
    }
    out + rest
}

/// Loads and saves in a namespace of its own. `Err`: what the command said.
fn through_the_kernel(program: &str, rules: &[u8]) -> Result<Vec<u8>, String> {
    run("sh", &["-c", &format!("{program}-restore && {program}-save")], rules)
}

/// Runs a program in a network namespace of its own.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let mut child = Command::new("unshare")
        .args(["-n", "--", program])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let mut stdin = child.stdin.take().expect("it is piped");
    // A program that fails early closes its end.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    if output.status.success() { Ok(output.stdout) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// What happened to rulesets.
#[derive(Default)]
struct Outcome {
    loaded: u32,
    refused: Vec<String>,
    different: Vec<String>,
}

fn compare(place: &str, rules: &[u8], outcome: &mut Outcome) {
    let read = iptables::parse(rules, None);
    let family = read.tables.first().map_or(Family::Ip, |t| t.family);
    for backend in ["legacy", "nft"] {
        let program = format!("{}-{backend}", if family == Family::Ip6 { "ip6tables" } else { "iptables" });
        let saved = match through_the_kernel(&program, rules) {
            Ok(saved) => saved,
            Err(error) => {
                outcome.refused.push(format!("{place}: {program}: {}", error.trim()));
                continue;
            }
        };
        let again = iptables::parse(&saved, None);
        let whole = again.problems.is_empty()
            && again.tables.iter().all(|t| t.family == family)
            && (backend == "legacy" || again.tables.iter().all(|t| t.backend == Backend::IptablesNft));
        let (before, after) = (meaning(&read), meaning(&again));
        let at = before.iter().zip(&after).position(|(a, b)| a != b);
        if !whole || at.is_some() || before.len() != after.len() {
            let (before, after) = (before.get(at.unwrap_or(0)), after.get(at.unwrap_or(0)));
            let problems = &again.problems;
            outcome.different.push(format!("{place}: {program}: {problems:?}\n  {before:?}\n  {after:?}"));
        }
        outcome.loaded += 1;
    }
}

fn privileged() -> bool {
    let works = through_the_kernel("iptables-legacy", b"*filter\nCOMMIT\n");
    if let Err(error) = &works {
        println!("NOT RUN: no namespace of its own with iptables in it: {error}");
    }
    works.is_ok()
}

#[test]
fn real_rulesets_mean_the_same_after_the_kernel() {
    if !privileged() {
        return;
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let folder = workspace.parent().unwrap().join("shared/corpus/firewall/rulesets");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("NOT RUN: there is no {}", folder.display());
        return;
    };
    let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "iptables-save"));
    files.sort();
    let mut outcome = Outcome::default();
    for path in &files {
        let rules = std::fs::read(path).unwrap();
        compare(&path.file_name().unwrap().to_string_lossy(), &rules, &mut outcome);
    }
    let Outcome { loaded, refused, different } = outcome;
    println!("{loaded} of {} loaded; refused: {refused:#?}", files.len() * 2);
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(loaded >= 110, "only {loaded} were loaded: {refused:#?}");
}

/// One rule for each thing an extension can be asked, as people write it.
const V4: &str = include_str!("iptables_v4.rules");
const V6: &str = include_str!("iptables_v6.rules");

#[test]
fn each_extension_means_the_same_after_the_kernel() {
    if !privileged() {
        return;
    }
    let mut outcome = Outcome::default();
    for (family, text) in [("v4", V4), ("v6", V6)] {
        for (number, line) in text.lines().enumerate() {
            let (table, rule) = match line.split_once(' ') {
                Some((table, rule)) if !line.starts_with('#') => (table, rule),
                _ => continue,
            };
            let chains = ":mine - [0:0]\n:other - [0:0]";
            // A word of its family, so that the reader need not be told.
            let family = if family == "v6" { "-A other -s 2001:db8::1" } else { "-A other -s 192.0.2.1" };
            let dump = format!("*{table}\n{chains}\n{rule}\n{family}\nCOMMIT\n");
            let read = iptables::parse(dump.as_bytes(), None);
            if !read.problems.is_empty() {
                outcome.different.push(format!("line {}: {line}: {:?}", number + 1, read.problems));
            }
            compare(line, dump.as_bytes(), &mut outcome);
        }
    }
    let Outcome { loaded, refused, different } = outcome;
    println!("{loaded} loaded; refused: {refused:#?}");
    assert!(different.is_empty(), "{}", different.join("\n"));
    let missing = |e: &String| e.contains("missing kernel module") || e.contains("by that name");
    assert!(refused.iter().all(missing), "{refused:#?}");
    assert!(loaded >= 400, "only {loaded} were loaded: {refused:#?}");
}

/// Sets of each type, as people fill them.
const SETS: &str = include_str!("iptables_ipset.rules");

#[test]
fn sets_are_read_as_the_kernel_saves_and_lists_them() {
    if let Err(error) = run("ipset", &["list", "-n"], b"") {
        println!("NOT RUN: no namespace of its own with ipset in it: {error}");
        return;
    }
    // Not every kernel has every type.
    let name = |line: &str| line.split(' ').nth(1).unwrap_or("").to_owned();
    let here = |line: &&str| run("ipset", &["restore"], format!("{line}\n").as_bytes()).is_ok();
    let (known, unknown): (Vec<&str>, Vec<&str>) = SETS.lines().filter(|l| l.starts_with("create")).partition(here);
    println!("{} types of sets; NOT RUN, since this kernel has them not: {unknown:#?}", known.len());
    let names: Vec<String> = known.iter().map(|line| name(line)).collect();
    let written: String = SETS.lines().filter(|l| names.contains(&name(l))).map(|l| format!("{l}\n")).collect();
    let through = |show: &str| {
        let script = format!("ipset restore && ipset {show}");
        run("sh", &["-c", &script], written.as_bytes()).expect("its types are known")
    };
    let (saved, listed) = (through("save"), through("list"));
    assert!(names.len() >= 12, "{names:?}");
    let read = |bytes: &[u8]| {
        let mut ruleset = Ruleset::default();
        iptables::parse_ipset(bytes, &mut ruleset);
        assert_eq!(ruleset.problems, []);
        let text = |elements: &Elements| match elements {
            Elements::Exact(map) => {
                let mut all: Vec<String> = map.iter().map(|(key, element)| format!("{key:?} {element:?}")).collect();
                all.sort();
                all
            }
            Elements::Ranges(ranges) => {
                let mut all: Vec<String> = ranges.iter().map(|range| format!("{range:?}")).collect();
                all.sort();
                all
            }
            other => vec![format!("{other:?}")],
        };
        let of = |(name, set): (&String, &Set)| (name.clone(), set.ipset.clone(), set.key.clone(), text(&set.elements));
        ruleset.ipsets.iter().map(of).collect::<Vec<_>>()
    };
    let (written, saved, listed) = (read(written.as_bytes()), read(&saved), read(&listed));
    assert_eq!(saved, listed);
    // The kernel splits ranges of addresses into single ones or networks; what is written otherwise is the same.
    for (before, after) in written.iter().zip(&saved) {
        assert!(before.0.starts_with("range") || before == after, "{before:?}\n{after:?}");
    }
    assert_eq!(written.len(), saved.len());
}

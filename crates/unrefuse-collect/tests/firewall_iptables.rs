//! Rules of iptables as the kernel holds them mean what their text means, in either backend.

mod common;
#[path = "common/firewall.rs"]
mod firewall;

use common::in_new_namespace;
use firewall::{can_filter, corpus, feed, meaning, not_understood, read};
use unrefuse_firewall::iptables;
use unrefuse_firewall::model::{Backend, Family};

/// Every match and target, one rule each: the text reader's own test data.
const V4: &str = include_str!("../../unrefuse-firewall/tests/iptables_v4.rules");
const V6: &str = include_str!("../../unrefuse-firewall/tests/iptables_v6.rules");

/// Loads rules, saves them, and compares what the kernel holds with what the saved text says. `None`: not loadable.
fn compare(place: &str, family: Family, backend: &str, rules: &[u8], wrong: &mut Vec<String>) -> Option<usize> {
    let program = format!("{}-{backend}", if family == Family::Ip6 { "ip6tables" } else { "iptables" });
    in_new_namespace(|| {
        for set in ["create inner hash:ip", "create pairs hash:ip,port"] {
            let _ = feed("ipset", &["restore"], set.as_bytes());
        }
        feed(&format!("{program}-restore"), &[], rules).ok()?;
        let saved = feed(&format!("{program}-save"), &[], b"").expect("saved");
        let text = iptables::parse(&saved, Some(family));
        let kernel = read();
        let wanted = if backend == "legacy" { Backend::Legacy } else { Backend::IptablesNft };
        let tables: Vec<_> = kernel.tables.iter().filter(|t| t.family == family).collect();
        if let Some(table) = tables.iter().find(|t| t.backend != wanted) {
            wrong.push(format!("{place}: table {} is {:?}", table.name, table.backend));
        }
        let (ours, theirs) = (meaning(tables.iter().copied()), meaning(&text.tables));
        for (ours, theirs) in ours.iter().zip(&theirs).filter(|(a, b)| a != b) {
            wrong.push(format!("{place} {backend}:\n  kernel: {ours}\n  text:   {theirs}"));
        }
        if ours.len() != theirs.len() {
            wrong.push(format!("{place} {backend}: {} and {} lines", ours.len(), theirs.len()));
        }
        // Where the text is understood, the struct is too.
        for table in &tables {
            for (name, chain) in &table.chains {
                let said = text.tables.iter().find(|t| t.name == table.name).and_then(|t| t.chains.get(name));
                for (ours, theirs) in chain.rules.iter().zip(said.iter().flat_map(|c| c.rules.iter())) {
                    let unknown = not_understood(&ours.statements);
                    if !unknown.is_empty() && not_understood(&theirs.statements).is_empty() {
                        wrong.push(format!("{place} {backend}: {unknown:?} in {}", theirs.text()));
                    }
                }
            }
        }
        Some(ours.len())
    })
}

/// One rule at a time, so that what this kernel or iptables lacks costs one rule.
fn one_by_one(file: &str, family: Family) -> (usize, Vec<String>) {
    let (mut loaded, mut wrong) = (0, Vec::new());
    let mut refused = Vec::new();
    for line in file.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let (table, rule) = match line.split_once("-A ") {
            Some((table, rule)) if !table.trim().is_empty() => (table.trim().trim_start_matches("-t "), rule),
            _ => ("filter", line.trim_start_matches("-A ")),
        };
        let chain = rule.split(' ').next().unwrap_or_default();
        let own =
            if chain.chars().all(|c| c.is_ascii_uppercase()) { String::new() } else { format!(":{chain} - [0:0]\n") };
        let rules = format!("*{table}\n{own}:other - [0:0]\n-A {rule}\nCOMMIT\n");
        for backend in ["legacy", "nft"] {
            match compare(line, family, backend, rules.as_bytes(), &mut wrong) {
                Some(_) => loaded += 1,
                None => refused.push(format!("{backend}: {line}")),
            }
        }
    }
    println!("{loaded} loaded, refused: {refused:#?}");
    (loaded, wrong)
}

#[test]
fn every_ipv4_module_means_what_its_text_means() {
    if !can_filter("every_ipv4_module_means_what_its_text_means") {
        return;
    }
    let (loaded, wrong) = one_by_one(V4, Family::Ip);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(loaded > 200, "{loaded}");
}

#[test]
fn every_ipv6_module_means_what_its_text_means() {
    if !can_filter("every_ipv6_module_means_what_its_text_means") {
        return;
    }
    let (loaded, wrong) = one_by_one(V6, Family::Ip6);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(loaded > 40, "{loaded}");
}

#[test]
fn real_rulesets_mean_what_their_text_means() {
    if !can_filter("real_rulesets_mean_what_their_text_means") {
        return;
    }
    let Some(folder) = corpus("firewall/rulesets") else { return };
    let (mut loaded, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).expect("rulesets").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|e| e != "iptables-save") {
            continue;
        }
        let rules = std::fs::read(&path).expect("a ruleset");
        let place = entry.file_name().to_string_lossy().into_owned();
        let family = iptables::parse(&rules, None).tables.first().map_or(Family::Ip, |t| t.family);
        for backend in ["legacy", "nft"] {
            loaded += usize::from(compare(&place, family, backend, &rules, &mut wrong).is_some());
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(loaded > 30, "{loaded} loaded");
}

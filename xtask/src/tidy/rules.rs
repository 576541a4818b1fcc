//! Each rule has its file, its page, its tests, its lab scenario and an id that was never used before.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use xshell::cmd;

use super::File;
use crate::generate::causes::{Cause, causes};
use crate::generate::ids;
use crate::workspace::shell;

/// Where the rules are: `GATE/SLUG.rs` below it.
const RULES: &str = "crates/unrefuse-diagnose/src/rules";

/// What every page says, in this order.
const HEADINGS: [&str; 5] = unrefuse_diagnose::HEADINGS;

/// Causes that no scenario of plain network namespaces can build yet, and why. The list may only grow shorter.
const WITHOUT_SCENARIO: &[(&str, &str)] = &[];

pub(super) fn check(tree: &[File]) -> Result<Vec<String>> {
    let causes = causes();
    let mut faults = files_and_registry(tree, &causes);
    for cause in &causes {
        faults.extend(page(cause));
        let rule = tree.iter().find(|file| is_file_of(&file.path, cause.id));
        faults.extend(rule.into_iter().flat_map(|file| tests(file, cause.id)));
    }
    faults.extend(scenarios(tree, &causes, WITHOUT_SCENARIO)?);
    faults.extend(id_list(tree, &causes)?);
    Ok(faults)
}

/// `listener/other-port` lives in `listener/other_port.rs`.
fn is_file_of(path: &Path, id: &str) -> bool {
    path == Path::new(RULES).join(format!("{}.rs", id.replace('-', "_")))
}

fn files_and_registry(tree: &[File], causes: &[Cause]) -> Vec<String> {
    let mut faults = Vec::new();
    for cause in causes {
        if !tree.iter().any(|file| is_file_of(&file.path, cause.id)) {
            faults.push(format!("{}: its rule is not in {RULES}/{}.rs", cause.id, cause.id.replace('-', "_")));
        }
    }
    for file in tree.iter().filter(|file| file.path.starts_with(RULES) && file.has_extension("rs")) {
        let is_rule = file.text.contains("cause! {");
        if is_rule && !causes.iter().any(|cause| is_file_of(&file.path, cause.id)) {
            faults.push(
                file.fault(1, "a rule that is not in the registry, or under another id than its file's name says"),
            );
        }
    }
    faults
}

fn page(cause: &Cause) -> Vec<String> {
    let mut faults = Vec::new();
    let found: Vec<&str> = cause.page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    if found != HEADINGS {
        faults.push(format!("{}: its page has the headings {found:?}, and every page has {HEADINGS:?}", cause.id));
    }
    for heading in HEADINGS {
        let body = cause.page.split(&format!("## {heading}\n")).nth(1).unwrap_or_default();
        if body.split("\n## ").next().unwrap_or_default().trim().len() < 20 {
            faults.push(format!("{}: its page says next to nothing under `{heading}`", cause.id));
        }
    }
    if cause.title.is_empty() || cause.title.ends_with('.') {
        faults.push(format!("{}: its title is a few words without a full stop", cause.id));
    }
    faults
}

/// A positive test and a near miss: something is asserted of the cause where it is found, and that it is not found where
/// things only look alike.
fn tests(file: &File, id: &str) -> Vec<String> {
    let asserted = |body: &str| -> Vec<String> {
        body.split("assert").skip(1).map(|rest| rest.split(';').next().unwrap_or_default().to_owned()).collect()
    };
    let assertions: Vec<String> = file.text.split("#[test]").skip(1).flat_map(asserted).collect();
    let (misses, finds): (Vec<_>, Vec<_>) = assertions.iter().partition(|assertion| is_near_miss(assertion, id));
    let mut faults = Vec::new();
    if finds.is_empty() {
        faults.push(file.fault(1, "no positive test: one in which the cause is found"));
    }
    if misses.is_empty() {
        faults.push(file.fault(1, "no near-miss test: one that looks alike and in which the cause is not found"));
    }
    faults
}

/// Whether an assertion (without its `assert`) says that something is not so, or that all that was found is something else.
fn is_near_miss(assertion: &str, id: &str) -> bool {
    const DENIALS: &[&str] = &["!(!", "_ne!", "is_empty()", "!=", "Clear", "is_none()", "Vec::<", "exit_code(), 0"];
    let only_others = assertion.contains("roots") && assertion.contains("[\"") && !assertion.contains(id);
    only_others || DENIALS.iter().any(|denial| assertion.contains(denial))
}

fn scenarios(tree: &[File], causes: &[Cause], without: &[(&str, &str)]) -> Result<Vec<String>> {
    let mut covered = BTreeSet::new();
    let mut faults = Vec::new();
    for file in tree.iter().filter(|file| file.path.starts_with("lab/scenarios") && file.has_extension("toml")) {
        let scenario: toml::Table =
            file.text.parse().with_context(|| format!("cannot read {}", file.path.display()))?;
        let covers = scenario.get("covers").and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for id in covers.iter().filter_map(toml::Value::as_str) {
            if !causes.iter().any(|cause| cause.id == id) {
                faults.push(file.fault(1, &format!("covers {id}, which is no cause")));
            }
            covered.insert(id.to_owned());
        }
    }
    for cause in causes {
        let excused = without.iter().any(|(id, _)| *id == cause.id);
        match (covered.contains(cause.id), excused) {
            (false, false) => faults.push(format!("{}: no scenario in lab/scenarios covers it", cause.id)),
            (true, true) => faults.push(format!("{}: has a scenario now: take it off WITHOUT_SCENARIO", cause.id)),
            _ => {}
        }
    }
    Ok(faults)
}

fn id_list(tree: &[File], causes: &[Cause]) -> Result<Vec<String>> {
    let text = tree.iter().find(|file| file.path.as_os_str() == ids::FILE).map_or("", |file| file.text.as_str());
    let registry: Vec<&str> = causes.iter().map(|cause| cause.id).collect();
    let now = ids::parse(text)?;
    // In a clone of one commit only, the list is compared with itself.
    let shell = shell()?;
    let mut faults = Vec::new();
    for commit in ["HEAD", "HEAD~1", "origin/main"] {
        let object = format!("{commit}:{}", ids::FILE);
        let before = cmd!(shell, "git show {object}").quiet().ignore_stderr().ignore_status().read()?;
        faults.extend(ids::faults(&now, &ids::parse(&before)?, &registry));
    }
    faults.extend(
        registry
            .iter()
            .filter(|id| !now.iter().any(|entry| entry.id == **id))
            .map(|id| format!("{id}: is not in {}: run `cargo xtask gen`", ids::FILE)),
    );
    faults.sort();
    faults.dedup();
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn cause(id: &'static str) -> Cause {
        let page = HEADINGS.map(|heading| format!("## {heading}\n\nSome words on what it is.\n")).join("\n");
        Cause { id, title: "the fault", page, root: true }
    }

    #[test]
    fn a_page_has_all_headings_in_order_with_something_below() {
        assert_eq!(page(&cause("a/b")), Vec::<String>::new());
        let thin = Cause { page: cause("a/b").page.replacen("Some words on what it is.", "Dark.", 1), ..cause("a/b") };
        assert!(page(&thin)[0].contains("next to nothing under `What it means`"));
        let other = Cause { page: cause("a/b").page.replace("How it shows", "How it looks"), ..cause("a/b") };
        assert!(page(&other)[0].contains("How it looks"));
    }

    #[test]
    fn a_rule_has_its_file_and_a_file_its_rule() {
        let path = format!("{RULES}/a/b_c.rs");
        assert_eq!(files_and_registry(&[file(&path, "cause! {")], &[cause("a/b-c")]), Vec::<String>::new());
        assert!(files_and_registry(&[], &[cause("a/b-c")])[0].contains("b_c.rs"));
        assert!(files_and_registry(&[file(&path, "cause! {")], &[])[0].contains("not in the registry"));
        assert_eq!(files_and_registry(&[file(&path, "fn shared() {}")], &[]), Vec::<String>::new());
    }

    #[test]
    fn a_rule_without_a_positive_test_or_a_near_miss_is_found() {
        let found = |code: &str| tests(&file("a.rs", code), "a/b");
        let positive = "#[test] fn a() { assert_eq!(report.blockers[0].root, \"a/b\"); }";
        for miss in ["assert!(!roots().contains(\"a/b\"));", "assert_eq!(scene.roots(), [\"a/c\"]);"] {
            let miss = format!("#[test] fn b() {{ {miss} }}");
            assert_eq!(found(&format!("{positive}\n{miss}")), Vec::<String>::new());
            assert!(found(&miss)[0].contains("positive"));
        }
        assert!(found(positive)[0].contains("near-miss"));
        assert!(found("#[test] fn a() { assert_eq!(scene.roots(), [\"a/b\"]); }")[0].contains("near-miss"));
        assert_eq!(found("").len(), 2);
    }

    #[test]
    fn every_cause_is_covered_by_a_scenario_or_excused() {
        let tree = [file("lab/scenarios/x.toml", "covers = [\"a/b\"]\n")];
        assert_eq!(scenarios(&tree, &[cause("a/b")], &[]).unwrap(), Vec::<String>::new());
        assert!(scenarios(&tree, &[cause("a/b"), cause("a/c")], &[]).unwrap()[0].starts_with("a/c"));
        assert_eq!(scenarios(&tree, &[cause("a/b"), cause("a/c")], &[("a/c", "why")]).unwrap(), Vec::<String>::new());
        assert!(scenarios(&tree, &[cause("a/b")], &[("a/b", "why")]).unwrap()[0].contains("take it off"));
        assert!(scenarios(&tree, &[], &[]).unwrap()[0].contains("no cause"));
    }
}

//! Who may depend on whom.

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use super::PURE;
use crate::workspace::root;

/// Each of our crates with those of ours that it may use, and why no others. Tests may use what they like.
const EDGES: &[(&str, &[&str], &str)] = &[
    ("unrefuse-facts", &[], "facts are the words that all others speak: they know nobody"),
    ("unrefuse-parse", &["unrefuse-facts"], "a parser turns text into facts and asks nothing else"),
    ("unrefuse-firewall", &["unrefuse-facts"], "the firewall stands alone as a library"),
    (
        "unrefuse-diagnose",
        &["unrefuse-facts", "unrefuse-firewall"],
        "a diagnosis is given facts; where they come from is not its matter",
    ),
    (
        "unrefuse-report",
        &["unrefuse-facts", "unrefuse-firewall", "unrefuse-diagnose"],
        "a report is shown as it is: nothing is looked up or decided on the way",
    ),
    (
        "unrefuse-collect",
        &["unrefuse-facts", "unrefuse-parse", "unrefuse-firewall"],
        "collectors bring facts and judge nothing; of the firewall they take the readers of the kernel's messages",
    ),
    ("unrefuse-probe", &["unrefuse-facts", "unrefuse-parse"], "probes bring facts and judge nothing"),
    (
        "unrefuse",
        &[
            "unrefuse-facts",
            "unrefuse-parse",
            "unrefuse-firewall",
            "unrefuse-diagnose",
            "unrefuse-report",
            "unrefuse-collect",
            "unrefuse-probe",
        ],
        "the binary joins all; nothing else does",
    ),
    (
        "unrefuse-differential",
        &["unrefuse-facts", "unrefuse-firewall", "unrefuse-collect"],
        "it holds the firewall's judge alone against the kernel",
    ),
    ("unrefuse-lab", &[], "the lab drives the built binary and reads its JSON, as a user does"),
    (
        "xtask",
        &["unrefuse", "unrefuse-diagnose", "unrefuse-report"],
        "generated files come from the registry and the command line",
    ),
];

/// Crates that bring I/O: a pure crate has none of them, not even by way of another crate.
const IMPURE: &[(&str, &str)] = &[
    ("tokio", "an executor with its clock, sockets and threads"),
    ("async-std", "an executor with its clock, sockets and threads"),
    ("smol", "an executor with its clock, sockets and threads"),
    ("mio", "sockets"),
    ("polling", "sockets"),
    ("nix", "system calls"),
    ("rustix", "system calls"),
    ("libc", "system calls"),
    ("socket2", "sockets"),
    ("netlink-sys", "netlink sockets"),
    ("procfs", "reads /proc"),
    ("zbus", "the system bus"),
    ("bollard", "the container engine's socket"),
    ("hickory-resolver", "DNS queries"),
    ("reqwest", "HTTP"),
    ("tempfile", "files"),
    ("walkdir", "files"),
    ("glob", "files"),
    ("num_cpus", "asks the machine"),
    ("chrono", "its clock; facts carry their times"),
    ("time", "its clock; facts carry their times"),
    ("rand", "chance: the same facts give the same answer"),
    ("getrandom", "chance: the same facts give the same answer"),
    ("terminal_size", "asks the terminal: the binary does, and passes the width on"),
    ("supports-hyperlinks", "asks the environment: the binary does"),
    ("tracing-subscriber", "writes"),
];

pub(super) fn check() -> Result<Vec<String>> {
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .other_options(["--locked".to_owned()])
        .exec()
        .context("cargo metadata --locked failed: is Cargo.lock up to date and committed?")?;
    let mut faults = edges(&metadata, EDGES);
    for name in PURE {
        faults.extend(impure(&metadata, name));
    }
    Ok(faults)
}

fn edges(metadata: &Metadata, allowed: &[(&str, &[&str], &str)]) -> Vec<String> {
    let members = metadata.workspace_packages();
    let mut faults = Vec::new();
    for package in &members {
        let name = package.name.as_str();
        let Some((_, may, why)) = allowed.iter().find(|(ours, _, _)| *ours == name) else {
            faults.push(format!("{name}: give it its place in the table of allowed edges (xtask/src/tidy/graph.rs)"));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development) {
            let ours = members.iter().any(|member| *member.name == dependency.name);
            if ours && !may.contains(&dependency.name.as_str()) {
                faults.push(format!("{name} must not use {}: {why}", dependency.name));
            }
        }
    }
    faults
}

/// The ways from a pure crate to a crate that brings I/O.
fn impure(metadata: &Metadata, name: &str) -> Vec<String> {
    let Some(resolve) = &metadata.resolve else { return Vec::new() };
    let Some(start) = metadata.workspace_packages().into_iter().find(|package| *package.name == name) else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    let mut ways = vec![vec![&start.id]];
    let mut seen = vec![&start.id];
    while let Some(way) = ways.pop() {
        let node = way.last().and_then(|last| resolve.nodes.iter().find(|node| node.id == **last));
        let used = node.into_iter().flat_map(|node| &node.deps).filter(|dependency| {
            // Build scripts and proc macros run on the developer's machine; tests may use what they like.
            dependency.dep_kinds.iter().any(|kind| {
                kind.kind == DependencyKind::Normal
                    && !kind.target.as_ref().is_some_and(|t| t.to_string().contains("windows"))
            })
        });
        for dependency in used {
            let package = &metadata[&dependency.pkg];
            if seen.contains(&&dependency.pkg) || is_proc_macro(package) {
                continue;
            }
            seen.push(&dependency.pkg);
            let mut longer = way.clone();
            longer.push(&dependency.pkg);
            match IMPURE.iter().find(|(banned, _)| *banned == package.name.as_str()) {
                Some((banned, brings)) => {
                    let names: Vec<&str> = longer.iter().map(|id| metadata[*id].name.as_str()).collect();
                    faults.push(format!("{name} is pure and must not use {banned} ({brings}): {}", names.join(" -> ")));
                }
                None => ways.push(longer),
            }
        }
    }
    faults
}

fn is_proc_macro(package: &cargo_metadata::Package) -> bool {
    package.targets.iter().any(|target| target.is_proc_macro())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pure_crate_may_only_use_pure_crates() {
        for (name, may, _) in EDGES.iter().filter(|(name, _, _)| PURE.contains(name)) {
            assert!(may.iter().all(|used| PURE.contains(used)), "{name}");
        }
    }

    #[test]
    fn the_table_has_no_circle() {
        for (index, (name, may, _)) in EDGES.iter().enumerate() {
            for used in *may {
                let at = EDGES.iter().position(|(other, _, _)| other == used);
                // xtask and the lab stand last; each crate stands after those it uses.
                assert!(at.is_some_and(|at| at < index), "{name} uses {used}, which is not before it in the table");
            }
        }
    }

    #[test]
    fn an_edge_that_is_not_allowed_is_found_in_the_real_graph() {
        let metadata = MetadataCommand::new().current_dir(root()).exec().unwrap();
        let none: Vec<(&str, &[&str], &str)> =
            EDGES.iter().map(|(name, _, why)| (*name, &[] as &[&str], *why)).collect();
        let found = edges(&metadata, &none);
        assert!(
            found.iter().any(|fault| fault.starts_with("unrefuse-diagnose must not use unrefuse-facts")),
            "{found:?}"
        );
        assert!(edges(&metadata, &[]).iter().all(|fault| fault.contains("give it its place")));
    }

    #[test]
    fn a_crate_with_system_calls_is_found_in_the_real_graph() {
        let metadata = MetadataCommand::new().current_dir(root()).exec().unwrap();
        let found = impure(&metadata, "xtask");
        assert!(
            found.iter().any(|fault| fault.contains("xtask -> nix") || fault.contains("xtask -> libc")),
            "{found:?}"
        );
    }
}

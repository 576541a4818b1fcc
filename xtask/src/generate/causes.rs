//! The causes' pages, their index, the README's table and the list of ids, from the registry of rules.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Files, between, ids};
use crate::workspace::root;

const README: &str = "README.md";
const BEGIN: &str = "<!-- causes:begin -->";
const END: &str = "<!-- causes:end -->";

/// What the pages need to know of a rule.
pub(crate) struct Cause {
    /// `gate/slug`.
    pub(crate) id: &'static str,
    /// The fault in a few words.
    pub(crate) title: &'static str,
    /// The page without its own heading.
    pub(crate) page: String,
    /// Whether it can stand last in a chain of whys.
    pub(crate) root: bool,
}

/// The causes of the registry, by gate in the packet's order and then by id.
pub(crate) fn causes() -> Vec<Cause> {
    let mut causes: Vec<(_, Cause)> = unrefuse_diagnose::registry()
        .enumerate()
        .map(|(order, rule)| (order, Cause { id: rule.id, title: rule.title, page: rule.markdown(), root: rule.root }))
        .collect();
    let gates: Vec<String> = causes.iter().map(|(_, cause)| gate(cause.id).to_owned()).collect();
    causes.sort_by_key(|(_, cause)| (gates.iter().position(|name| name == gate(cause.id)), cause.id));
    causes.into_iter().map(|(_, cause)| cause).collect()
}

fn gate(id: &str) -> &str {
    id.split('/').next().unwrap_or(id)
}

/// The page of an id, relative to docs/.
fn page_path(id: &str) -> String {
    format!("causes/{id}.md")
}

pub(super) fn add(files: &mut Files) -> Result<()> {
    let causes = causes();
    let list = std::fs::read_to_string(root().join(ids::FILE)).unwrap_or_else(|_| {
        "# Every id of a cause that ever landed. `cargo xtask gen` adds new ones at the end; no line is ever deleted.\n\
         # An id whose rule is gone stays, as `gate/slug retired: why`.\n"
            .to_owned()
    });
    let list = ids::extended(&list, causes.iter().map(|cause| cause.id))?;
    for entry in ids::parse(&list)? {
        if let Some(why) = entry.retired {
            let tombstone = format!("# {}\n\nThis cause is no longer reported: {why}.\n", entry.id);
            files.insert(PathBuf::from("docs").join(page_path(&entry.id)), tombstone);
        }
    }
    files.insert(ids::FILE.into(), list);
    for cause in &causes {
        files.insert(PathBuf::from("docs").join(page_path(cause.id)), page(cause));
    }
    files.insert("docs/causes.md".into(), index(&causes));
    Ok(())
}

/// The README's table: the one part of it that is generated.
pub(super) fn add_readme(files: &mut Files) -> Result<()> {
    let readme = std::fs::read_to_string(root().join(README)).with_context(|| format!("cannot read {README}"))?;
    let readme = between(&readme, BEGIN, END, &table(&causes(), "docs/")).context(README)?;
    files.insert(README.into(), readme);
    Ok(())
}

fn page(cause: &Cause) -> String {
    let root = if cause.root {
        "It can stand last in a chain: it is something that a person can change."
    } else {
        "It seldom stands last in a chain: unrefuse asks on, why it is so."
    };
    format!(
        "<!-- written by `cargo xtask gen` from the rule's doc comment -->\n\n# {}: {}\n\n{root}\n\n{}",
        cause.id, cause.title, cause.page
    )
}

fn index(causes: &[Cause]) -> String {
    format!(
        "<!-- written by `cargo xtask gen` from the registry of rules -->\n\n\
         # The causes that unrefuse names\n\n\
         By gate, in the order in which a packet meets them. An id is a public contract: it is never renamed or reused.\n\
         `unrefuse explain ID` prints the same pages.\n\n{}",
        table(causes, "")
    )
}

fn table(causes: &[Cause], folder: &str) -> String {
    let mut text = String::from("| cause | the fault | root |\n| --- | --- | --- |\n");
    for cause in causes {
        let title = cause.title.replace('|', "\\|");
        let root = if cause.root { "yes" } else { "" };
        text.push_str(&format!("| [`{}`]({folder}{}) | {title} | {root} |\n", cause.id, page_path(cause.id)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAUSE: Cause = Cause { id: "listener/none", title: "nothing | listens", page: String::new(), root: false };

    #[test]
    fn a_row_links_to_the_page_and_stays_one_row() {
        assert!(
            table(&[CAUSE], "docs/")
                .ends_with("| [`listener/none`](docs/causes/listener/none.md) | nothing \\| listens |  |\n")
        );
    }

    #[test]
    fn gates_stand_together_in_the_packets_order() {
        let mut gates: Vec<&str> = causes().iter().map(|cause| gate(cause.id)).collect();
        let all: std::collections::BTreeSet<&str> = gates.iter().copied().collect();
        gates.dedup();
        assert_eq!(gates.len(), all.len(), "{gates:?}");
    }
}

//! Checks of the tree that no compiler makes.

mod graph;
mod pure;
mod rules;
mod text;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::steps::Outcome;
use crate::workspace::{files, root};

/// A file of the tree, with its text.
struct File {
    /// Relative to the root.
    path: PathBuf,
    /// Its content; empty where it is not text.
    text: String,
    /// Whether it may be executed.
    executable: bool,
}

impl File {
    fn has_extension(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|found| found == extension)
    }

    /// A fault at a line, counted from 1.
    fn fault(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path.display())
    }
}

/// The crates that hold no I/O: they are given facts and give answers, and so can be tested and fuzzed anywhere.
const PURE: &[&str] =
    &["unrefuse-facts", "unrefuse-parse", "unrefuse-firewall", "unrefuse-diagnose", "unrefuse-report"];

/// `cargo xtask tidy`.
pub(crate) fn command() -> Result<()> {
    match step()? {
        Outcome::Failed(why) => bail!(why),
        _ => Ok(()),
    }
}

/// The step of `test`.
pub(crate) fn step() -> Result<Outcome> {
    let tree = read_tree(&root())?;
    let mut faults = text::check(&tree);
    faults.extend(pure::check(&tree));
    faults.extend(rules::check(&tree)?);
    faults.extend(graph::check()?);
    for fault in &faults {
        println!("{fault}");
    }
    if faults.is_empty() {
        println!("{} files are tidy", tree.len());
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed(format!("{} faults, listed above", faults.len())))
}

fn read_tree(root: &Path) -> Result<Vec<File>> {
    use std::os::unix::fs::PermissionsExt as _;
    let read = |path: PathBuf| {
        let place = root.join(&path);
        let about = place.symlink_metadata().with_context(|| format!("cannot look at {}", path.display()))?;
        // A link's target is looked at where it lies.
        let bytes = if about.is_file() { std::fs::read(&place)? } else { Vec::new() };
        let executable = about.is_file() && about.permissions().mode() & 0o111 != 0;
        Ok(File { path, text: String::from_utf8(bytes).unwrap_or_default(), executable })
    };
    files()?.into_iter().map(read).collect()
}

/// A file for tests.
#[cfg(test)]
fn file(path: &str, text: &str) -> File {
    File { path: path.into(), text: text.to_owned(), executable: false }
}

//! Generated files: each is written from the code that it describes, and `--check` fails when one is stale.

pub(crate) mod causes;
pub(crate) mod ids;
mod interface;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::steps::Outcome;
use crate::workspace::root;

/// The command that brings every generated file up to date.
const COMMAND: &str = "cargo xtask gen";

/// Folders in which every file is generated: what is not generated any more is deleted.
const OWNED: &[&str] = &["docs/causes", "docs/completions", "docs/man"];

/// Files by their path relative to the root.
type Files = BTreeMap<PathBuf, String>;

/// Everything that is generated; and what is wrong with a file of which only a part is.
fn files() -> Result<(Files, Option<String>)> {
    let mut files = Files::new();
    causes::add(&mut files)?;
    interface::add(&mut files)?;
    let readme = causes::add_readme(&mut files).err().map(|error| format!("{error:#}"));
    Ok((files, readme))
}

/// What differs between the generated files and the tree.
fn stale(root: &Path, files: &Files, owned: &[&str]) -> Result<Vec<(PathBuf, &'static str)>> {
    let mut found = Vec::new();
    for (path, content) in files {
        match std::fs::read(root.join(path)) {
            Ok(there) if there == content.as_bytes() => {}
            Ok(_) => found.push((path.clone(), "stale")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => found.push((path.clone(), "missing")),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
    for folder in owned {
        for path in files_below(root, Path::new(folder))? {
            if !files.contains_key(&path) {
                found.push((path, "no longer generated"));
            }
        }
    }
    Ok(found)
}

fn files_below(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !root.join(folder).is_dir() {
        return Ok(found);
    }
    for entry in std::fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            found.extend(files_below(root, &path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// `cargo xtask gen`.
pub(crate) fn command(check: bool) -> Result<()> {
    if check {
        return match check_step()? {
            Outcome::Failed(why) => bail!(why),
            _ => Ok(()),
        };
    }
    let (root, (files, problem)) = (root(), files()?);
    for (path, what) in stale(&root, &files, OWNED)? {
        let place = root.join(&path);
        match files.get(&path) {
            Some(content) => {
                place.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                std::fs::write(&place, content).with_context(|| format!("cannot write {}", path.display()))?;
                println!("wrote {} ({what})", path.display());
            }
            None => {
                std::fs::remove_file(&place).with_context(|| format!("cannot delete {}", path.display()))?;
                println!("deleted {} ({what})", path.display());
            }
        }
    }
    println!("{} generated files are up to date", files.len());
    problem.map_or(Ok(()), |problem| bail!(problem))
}

/// The step of `test`.
pub(crate) fn check_step() -> Result<Outcome> {
    let (files, problem) = files()?;
    if let Some(problem) = problem {
        return Ok(Outcome::Failed(problem));
    }
    let stale = stale(&root(), &files, OWNED)?;
    for (path, what) in &stale {
        println!("{}: {what}", path.display());
    }
    if stale.is_empty() {
        println!("{} generated files are up to date", files.len());
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed(format!("{} generated files are not up to date: run `{COMMAND}` and commit", stale.len())))
}

/// Replaces what stands between two marker lines.
fn between(text: &str, begin: &str, end: &str, new: &str) -> Result<String> {
    let (before, rest) = text.split_once(begin).with_context(|| format!("the line {begin} is missing"))?;
    let (_, after) = rest.split_once(end).with_context(|| format!("the line {end} is missing after {begin}"))?;
    Ok(format!("{before}{begin}\n{new}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_between_the_markers_is_replaced_and_nothing_else() {
        let new = between("a\n<b>\nold\n<e>\nz\n", "<b>", "<e>", "new\n").unwrap();
        assert_eq!(new, "a\n<b>\nnew\n<e>\nz\n");
        assert_eq!(between(&new, "<b>", "<e>", "new\n").unwrap(), new);
    }

    #[test]
    fn a_missing_marker_is_named() {
        assert!(between("a <e>", "<b>", "<e>", "").unwrap_err().to_string().contains("<b>"));
        assert!(between("<e> a <b>", "<b>", "<e>", "").unwrap_err().to_string().contains("<e>"));
    }

    #[test]
    fn stale_missing_and_left_over_files_are_told_apart() {
        let root = std::env::temp_dir().join(format!("xtask-gen-{}", std::process::id()));
        std::fs::create_dir_all(root.join("d/sub")).unwrap();
        for (name, content) in [("d/same", "1"), ("d/old", "1"), ("d/sub/left", "1"), ("elsewhere", "1")] {
            std::fs::write(root.join(name), content).unwrap();
        }
        let files = [("d/same", "1"), ("d/old", "2"), ("d/new", "3")];
        let files = files.iter().map(|(path, content)| (PathBuf::from(path), (*content).to_owned())).collect();
        let found = stale(&root, &files, &["d", "not-there"]).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        let found: Vec<_> = found.iter().map(|(path, what)| (path.to_str().unwrap(), *what)).collect();
        assert_eq!(found, [("d/new", "missing"), ("d/old", "stale"), ("d/sub/left", "no longer generated")]);
    }
}

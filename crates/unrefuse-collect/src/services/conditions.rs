//! Conditions of a unit that its manager forgot: what is inactive and not wanted by anything is not kept in its memory,
//! and neither is why it did not start.

use crate::unit_files::UnitFiles;
use rustix::fs::{Access, FileType, access, lstat, stat};
use rustix::io::Errno;
use unrefuse_parse::unit::Assignment;

/// Conditions and assertions of the unit's files about paths that do not hold now, as the files write them (systemd.unit(5),
/// "Conditions and Asserts"). What cannot be told is left out: another kind, a path that may not be looked at.
pub(super) fn unmet(files: &UnitFiles, unit: &str) -> Vec<String> {
    let read = files.read(unit);
    let mut conditions: Vec<&Assignment> = Vec::new();
    let mut assertions: Vec<&Assignment> = Vec::new();
    for set in read.iter().flat_map(|(_, all)| all).filter(|set| set.section == "Unit") {
        let list = match () {
            () if set.key.starts_with("Condition") => &mut conditions,
            () if set.key.starts_with("Assert") => &mut assertions,
            () => continue,
        };
        // An empty one empties the list of all kinds.
        if set.value.is_empty() { list.clear() } else { list.push(set) }
    }
    [conditions, assertions].iter().flat_map(|list| unmet_of(list, files.root())).collect()
}

/// All must hold; of those with `|` in front one.
fn unmet_of(list: &[&Assignment], root: &str) -> Vec<String> {
    let (triggers, others): (Vec<&Assignment>, Vec<&Assignment>) =
        list.iter().partition(|set| set.value.starts_with('|'));
    let fails = |set: &&Assignment| holds(set, root) == Some(false);
    let shown = |set: &Assignment| format!("{}={}", set.key, set.value);
    let mut unmet: Vec<String> = others.into_iter().filter(fails).map(shown).collect();
    if triggers.iter().all(fails) {
        unmet.extend(triggers.into_iter().map(shown));
    }
    unmet
}

/// Whether it holds; `None`: cannot tell.
fn holds(set: &Assignment, root: &str) -> Option<bool> {
    let value = set.value.trim_start_matches('|').trim_start();
    let (negated, path) = match value.strip_prefix('!') {
        Some(path) => (true, path.trim_start()),
        None => (false, value),
    };
    // What `%` stands for is the manager's to say.
    if !path.starts_with('/') || path.contains('%') {
        return None;
    }
    let path = format!("{root}{path}");
    let there = |found: rustix::io::Result<rustix::fs::Stat>| match found {
        Ok(stat) => Some(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Some(None),
        Err(_) => None,
    };
    let is = |kind: FileType| move |found: rustix::fs::Stat| FileType::from_raw_mode(found.st_mode) == kind;
    let kind = set.key.strip_prefix("Condition").or_else(|| set.key.strip_prefix("Assert"))?;
    let holds = match kind {
        "PathExists" => there(stat(&path))?.is_some(),
        "PathIsDirectory" => there(stat(&path))?.is_some_and(is(FileType::Directory)),
        "PathIsSymbolicLink" => there(lstat(&path))?.is_some_and(is(FileType::Symlink)),
        "FileNotEmpty" => {
            there(stat(&path))?.is_some_and(|found| is(FileType::RegularFile)(found) && found.st_size > 0)
        }
        "FileIsExecutable" => {
            let regular = there(stat(&path))?.is_some_and(is(FileType::RegularFile));
            regular && access(&path, Access::EXEC_OK).is_ok()
        }
        _ => return None,
    };
    Some(holds != negated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    fn of(conditions: &str) -> Vec<String> {
        let root = Root::new("conditions");
        root.file("/etc/here", "x");
        root.file("/etc/empty", "");
        root.file("/etc/systemd/system/a.service", &format!("[Unit]\n{conditions}\n[Service]\nExecStart=/bin/a\n"));
        unmet(&UnitFiles::list(root.path()), "a.service")
    }

    #[test]
    fn paths_that_are_not_there() {
        let all = "ConditionPathExists=/etc/no\nConditionPathExists=!/etc/here\nAssertFileNotEmpty=/etc/empty";
        assert_eq!(
            of(all),
            ["ConditionPathExists=/etc/no", "ConditionPathExists=!/etc/here", "AssertFileNotEmpty=/etc/empty"]
        );
        assert!(
            of("ConditionPathExists=/etc/here\nConditionPathIsDirectory=/etc\nAssertPathExists=!/etc/no").is_empty()
        );
        assert_eq!(of("ConditionFileIsExecutable=/etc/here"), ["ConditionFileIsExecutable=/etc/here"]);
    }

    #[test]
    fn one_trigger_is_enough() {
        assert!(of("ConditionPathExists=|/etc/no\nConditionPathExists=|/etc/here").is_empty());
        assert_eq!(of("ConditionPathExists=|/etc/no\nConditionPathExists=|/etc/nope").len(), 2);
        assert!(of("ConditionPathExists=|/etc/no\nConditionHost=|x").is_empty(), "the other may hold");
    }

    #[test]
    fn what_is_taken_back_or_not_known_says_nothing() {
        assert!(of("ConditionPathExists=/etc/no\nConditionHost=").is_empty());
        assert!(of("ConditionPathExists=/etc/%p\nConditionKernelVersion=>9\nConditionPathExists=no").is_empty());
    }
}

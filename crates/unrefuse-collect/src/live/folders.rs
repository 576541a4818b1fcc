//! Names in folders, and paths by pattern.

use super::missing::missing;
use rustix::io::Errno;
use unrefuse_facts::{Missing, Reason, glob};

/// Names looked at in one folder: one with more is not what it should be.
const MOST_NAMES: usize = 8192;
/// Paths that one pattern may give.
const MOST_PATHS: usize = 1024;

/// Names of a folder's entries, sorted by byte, without those that are not UTF-8. An absent folder has none.
pub(crate) fn names(folder: &str) -> Result<Vec<String>, Missing> {
    Ok(entries(folder)?.into_iter().map(|(name, _)| name).collect())
}

/// The same, each with whether it is a symbolic link; the folder itself tells, without a look at each.
pub(crate) fn entries(folder: &str) -> Result<Vec<(String, bool)>, Missing> {
    let failed =
        |error: std::io::Error| missing(&format!("list {folder}"), Errno::from_io_error(&error).unwrap_or(Errno::IO));
    let entries = match std::fs::read_dir(folder).map_err(failed) {
        Ok(entries) => entries,
        Err(missing) if missing.reason == Reason::Absent => return Ok(Vec::new()),
        Err(missing) => return Err(missing),
    };
    let mut found = Vec::new();
    for entry in entries.take(MOST_NAMES) {
        let entry = entry.map_err(failed)?;
        let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        found.extend(entry.file_name().into_string().ok().map(|name| (name, link)));
    }
    found.sort();
    Ok(found)
}

/// The paths below `root` that a pattern means, as glob(3): each part of the path for itself, sorted by byte; without
/// `root` in front. Missing only where nothing was found because a folder cannot be listed.
pub(crate) fn list(root: &str, pattern: &str) -> Result<Vec<String>, Missing> {
    let mut found = vec![String::new()];
    let mut refused = None;
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    for (index, part) in parts.iter().enumerate() {
        let mut next = Vec::new();
        for folder in found {
            if glob::is_pattern(part) {
                match names(&format!("{root}{folder}/")) {
                    Ok(names) => {
                        let fits = names.into_iter().filter(|name| glob::matches(part, name));
                        next.extend(fits.map(|name| format!("{folder}/{name}")));
                    }
                    Err(missing) => refused = refused.or(Some(missing)),
                }
            } else {
                let path = format!("{folder}/{part}");
                if index + 1 < parts.len() || rustix::fs::lstat(format!("{root}{path}")).is_ok() {
                    next.push(path);
                }
            }
        }
        next.truncate(MOST_PATHS);
        found = next;
    }
    found.sort();
    match refused {
        Some(missing) if found.is_empty() => Err(missing),
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    #[test]
    fn patterns_over_folders_are_sorted_and_absent_ones_are_empty() {
        let root = Root::new("folders");
        for file in ["/b/x.conf", "/a/y.conf", "/a/x.conf", "/a/.z.conf", "/a/x.txt"] {
            root.file(file, "");
        }
        let list = |pattern: &str| list(root.path(), pattern).unwrap();
        assert_eq!(list("/*/*.conf"), ["/a/x.conf", "/a/y.conf", "/b/x.conf"]);
        assert_eq!(list("/b/x.conf"), ["/b/x.conf"]);
        assert!(list("/none/*.conf").is_empty() && list("/a/none").is_empty());
        assert_eq!(names(&format!("{}/a", root.path())).unwrap(), [".z.conf", "x.conf", "x.txt", "y.conf"]);
    }
}

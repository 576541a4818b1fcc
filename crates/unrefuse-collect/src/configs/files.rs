//! The files of this machine as grammars ask for them.

use crate::live::files;
use crate::live::missing::missing;
use rustix::io::Errno;
use unrefuse_facts::{Missing, Reason};
use unrefuse_parse::config::{Files, glob};

/// Names looked at in one folder.
const MOST_NAMES: usize = 4096;
/// Paths that one pattern may give.
const MOST_PATHS: usize = 1024;

/// This machine's files.
pub(super) struct LiveFiles;

impl Files for LiveFiles {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, Missing> {
        files::read(path)
    }

    /// As glob(3): each part of the path for itself, sorted by byte.
    fn list(&mut self, pattern: &str) -> Result<Vec<String>, Missing> {
        let mut found = vec![String::new()];
        let mut refused = None;
        let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
        for (index, part) in parts.iter().enumerate() {
            let mut next = Vec::new();
            for folder in found {
                if glob::is_pattern(part) {
                    match names(&folder) {
                        Ok(names) => {
                            let fits = names.into_iter().filter(|name| glob::matches(part, name));
                            next.extend(fits.map(|name| format!("{folder}/{name}")));
                        }
                        Err(missing) if missing.reason == Reason::Absent => {}
                        Err(missing) => refused = refused.or(Some(missing)),
                    }
                } else {
                    let path = format!("{folder}/{part}");
                    if index + 1 < parts.len() || rustix::fs::lstat(&path).is_ok() {
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
}

fn names(folder: &str) -> Result<Vec<String>, Missing> {
    let failed =
        |error: std::io::Error| missing(&format!("list {folder}/"), Errno::from_io_error(&error).unwrap_or(Errno::IO));
    let entries = std::fs::read_dir(format!("{folder}/")).map_err(failed)?;
    entries
        .take(MOST_NAMES)
        .filter_map(|entry| match entry {
            Ok(entry) => entry.file_name().into_string().ok().map(Ok),
            Err(error) => Some(Err(failed(error))),
        })
        .collect()
}

/// The last change of a file's content or inode, or of the symbolic link that leads to it, in milliseconds since 1970.
///
/// mtime alone can be set back (`cp -p`); ctime is the kernel's own (inode(7)).
pub(super) fn changed_ms(path: &str) -> Option<i64> {
    let milliseconds = |stat: rustix::fs::Stat| {
        let of = |seconds: i64, nanoseconds: i64| seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000);
        let nanoseconds = |value: u64| i64::try_from(value).unwrap_or(0);
        of(stat.st_mtime, nanoseconds(stat.st_mtime_nsec)).max(of(stat.st_ctime, nanoseconds(stat.st_ctime_nsec)))
    };
    let file = rustix::fs::stat(path).ok().map(milliseconds)?;
    Some(rustix::fs::lstat(path).map_or(file, |link| file.max(milliseconds(link))))
}

/// Size in bytes.
pub(super) fn size(path: &str) -> Option<u64> {
    u64::try_from(rustix::fs::stat(path).ok()?.st_size).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_over_folders_are_sorted_and_absent_ones_are_empty() {
        let root = std::env::temp_dir().join(format!("unrefuse-configs-{}", std::process::id()));
        for file in ["b/x.conf", "a/y.conf", "a/x.conf", "a/.z.conf", "a/x.txt"] {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let base = root.to_str().unwrap();
        let list = |pattern: &str| {
            let found = LiveFiles.list(&format!("{base}/{pattern}")).unwrap();
            found.iter().map(|path| path.strip_prefix(base).unwrap().to_owned()).collect::<Vec<_>>()
        };
        let found = list("*/*.conf");
        let (plain, none) = (list("b/x.conf"), list("none/*.conf"));
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, ["/a/x.conf", "/a/y.conf", "/b/x.conf"]);
        assert_eq!((plain, none), (vec!["/b/x.conf".to_owned()], Vec::<String>::new()));
    }

    #[test]
    fn the_last_change_of_a_file() {
        let path = std::env::temp_dir().join(format!("unrefuse-changed-{}", std::process::id()));
        std::fs::write(&path, "abc").unwrap();
        let shown = path.to_str().unwrap();
        let (changed, size) = (changed_ms(shown).unwrap(), size(shown));
        std::fs::remove_file(&path).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        assert!((changed as u128) <= now + 1 && (changed as u128) + 60_000 > now);
        assert_eq!((size, changed_ms(shown)), (Some(3), None));
    }
}

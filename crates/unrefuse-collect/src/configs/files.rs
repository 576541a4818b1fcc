//! The files of this machine as grammars ask for them.

use crate::live::{files, folders};
use unrefuse_facts::Missing;
use unrefuse_parse::config::Files;

/// This machine's files.
pub(super) struct LiveFiles;

impl Files for LiveFiles {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, Missing> {
        files::read(path)
    }

    fn list(&mut self, pattern: &str) -> Result<Vec<String>, Missing> {
        folders::list("", pattern)
    }
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

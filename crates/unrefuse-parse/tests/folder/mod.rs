//! Files of a folder, under the paths that a configuration names.

use std::path::{Path, PathBuf};
use unrefuse_facts::{Missing, Reason};
use unrefuse_parse::config::{Files, glob};

/// More links lead nowhere (`MAXSYMLINKS`, path_resolution(7)).
const MOST_LINKS: usize = 40;

/// A folder.
pub(crate) struct Folder {
    /// What stands in place of `from` at the beginning of a path.
    pub(crate) root: PathBuf,
    /// The beginning that is replaced.
    pub(crate) from: String,
}

impl Folder {
    /// Where the file of that name lies: an absolute link begins at the folder, too.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        let below = |path: &Path| self.root.join(path.strip_prefix("/").unwrap_or(path));
        let mut found = below(Path::new(path.strip_prefix(&self.from).unwrap_or(path)));
        for _ in 0..MOST_LINKS {
            match std::fs::read_link(&found) {
                Ok(target) if target.is_absolute() => found = below(&target),
                Ok(target) => found = found.parent().unwrap_or(&self.root).join(target),
                Err(_) => break,
            }
        }
        found
    }
}

impl Files for Folder {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, Missing> {
        std::fs::read(self.path(path)).map_err(|error| Missing::new(Reason::Absent, format!("open {path}: {error}")))
    }
    fn list(&mut self, pattern: &str) -> Result<Vec<String>, Missing> {
        let (folder, last) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        let Ok(entries) = std::fs::read_dir(self.path(folder)) else { return Ok(Vec::new()) };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut found: Vec<String> =
            names.filter(|name| glob::matches(last, name)).map(|name| format!("{folder}/{name}")).collect();
        found.sort();
        Ok(found)
    }
}

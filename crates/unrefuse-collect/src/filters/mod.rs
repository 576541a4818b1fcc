//! What stands around the rulesets: connection tracking, and what the tools that make rules have in their files.
//!
//! Files are configured state: what the kernel holds may differ. Nothing is asked of the tools themselves; most of their
//! questions would start or load something.

mod conntrack;
mod firewalld;
mod saved;
mod ufw;
mod units;

pub use conntrack::{conntrack, conntrack_drops};
pub use firewalld::firewalld;
pub use saved::{SavedFile, keeper, saved_files};
pub use ufw::{ufw, ufw_file};

use crate::live::files;
use crate::live::missing::missing;
use unrefuse_facts::{Missing, Reason};

/// Rule files are read up to this many bytes: 100,000 rules of iptables-save(8) have some 8 MB.
const RULES_LIMIT: usize = 32 << 20;

/// A whole file of rules of at most [`RULES_LIMIT`] bytes.
fn rules(path: &str) -> Result<Vec<u8>, Missing> {
    let file = files::open(path)?;
    let mut bytes = Vec::new();
    files::fill(&file, &mut bytes, RULES_LIMIT + 1).map_err(|e| missing(&format!("read {path}"), e))?;
    if bytes.len() > RULES_LIMIT {
        return Err(Missing::new(Reason::Failed, format!("{path} is longer than {RULES_LIMIT} bytes")));
    }
    Ok(bytes)
}

/// Names of the entries of a directory, sorted; at most 4096, and without those that are not UTF-8. Absent: none.
fn names(path: &str) -> Result<Vec<String>, Missing> {
    let failed = |error: std::io::Error| {
        let errno = rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO);
        missing(&format!("list {path}"), errno)
    };
    let entries = match std::fs::read_dir(path).map_err(failed) {
        Ok(entries) => entries,
        Err(missing) if missing.reason == Reason::Absent => return Ok(Vec::new()),
        Err(missing) => return Err(missing),
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| match entry {
        Ok(entry) => Ok(entry.file_name().into_string().ok()),
        Err(error) => Err(failed(error)),
    };
    let names: Result<Vec<Option<String>>, Missing> = entries.take(4096).map(name).collect();
    let mut names: Vec<String> = names?.into_iter().flatten().collect();
    names.sort();
    Ok(names)
}

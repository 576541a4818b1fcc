//! What the tests of real data share.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// A folder of the corpus beside the project; says so where there is none.
pub(crate) fn corpus(name: &str) -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    let folder = workspace.parent()?.join("shared/corpus").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("NOT RUN: there is no {}", folder.display());
    None
}

/// An address.
pub(crate) fn parse_ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text} is no address"))
}

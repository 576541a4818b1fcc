//! What stands around the rulesets: connection tracking, and what the tools that make rules have in their files.
//!
//! Files are configured state: what the kernel holds may differ. Nothing is asked of the tools themselves; most of their
//! questions would start or load something.

mod conntrack;
mod firewalld;
mod includes;
mod recent;
mod saved;
mod ufw;
mod units;

pub use conntrack::{conntrack, conntrack_drops};
pub use firewalld::firewalld;
pub use includes::{NFT_FOLDER, nft_includes};
pub use recent::recent;
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

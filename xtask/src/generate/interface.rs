//! The schema of the JSON report, the man page and the completions.

use anyhow::Result;

use super::Files;

pub(super) fn add(_files: &mut Files) -> Result<()> {
    Ok(())
}

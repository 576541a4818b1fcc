//! The lab: builds the two binaries and runs the scenarios.

use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::steps::Outcome;
use crate::workspace::{is_root, shell, target_dir};

/// The step of `test`: every scenario.
pub(crate) fn step() -> Result<Outcome> {
    if !is_root() {
        return Ok(Outcome::Skipped("the lab makes network namespaces: run `cargo xtask test` as root".to_owned()));
    }
    let shell = shell()?;
    let (unrefuse, lab) = build(&shell)?;
    // Each scenario has its own deadline; this one is for the runner itself.
    cmd!(shell, "timeout --kill-after=10 2400 {lab} run --no-skip --again 3")
        .env("UNREFUSE_BIN", unrefuse)
        .run()
        .context("a failed scenario keeps its report under lab-work; `cargo xtask lab run NAME` repeats it alone")?;
    Ok(Outcome::Passed)
}

/// `cargo xtask lab`.
pub(crate) fn command(arguments: &[String]) -> Result<()> {
    let shell = shell()?;
    let (unrefuse, lab) = build(&shell)?;
    cmd!(shell, "{lab} {arguments...}").env("UNREFUSE_BIN", unrefuse).quiet().run().map_err(Into::into)
}

/// Builds unrefuse and its lab as the tests do (the same profile: nothing is built twice), and says where they are.
fn build(shell: &Shell) -> Result<(PathBuf, PathBuf)> {
    cmd!(shell, "cargo build --quiet --locked --package unrefuse --package unrefuse-lab").quiet().run()?;
    let folder = target_dir()?.join("debug");
    Ok((folder.join("unrefuse"), folder.join("unrefuse-lab")))
}

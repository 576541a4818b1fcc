//! The differential test: random rulesets and packets, the judge against the kernel.

use anyhow::{Context, Result};
use xshell::cmd;

use crate::steps::Outcome;
use crate::workspace::{is_root, shell, target_dir};

/// The same pairs in each run, so that a failure is found again. Other seeds are for runs by hand.
const SEED: &str = "3";
const PAIRS: &str = "5000";

/// The step of `test`: the regression cases, then so many pairs. It says every five seconds how far it is.
pub(crate) fn step() -> Result<Outcome> {
    if !is_root() {
        let why = "the differential test makes network namespaces: run `cargo xtask test` as root";
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    let shell = shell()?;
    cmd!(shell, "cargo build --quiet --locked --package unrefuse-differential").quiet().run()?;
    let folder = target_dir()?;
    let (test, keep) = (folder.join("debug/unrefuse-differential"), folder.join("differential-work"));
    cmd!(shell, "timeout --kill-after=10 600 {test} run --no-skip --seed {SEED} --pairs {PAIRS} --keep {keep}")
        .run()
        .context("what differs is kept; `unrefuse-differential replay FILE --explain` repeats it alone")?;
    Ok(Outcome::Passed)
}

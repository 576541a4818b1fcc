//! The fuzz targets of the parsers: a short run of each in CI, a longer one by hand.

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::install;
use crate::steps::Outcome;
use crate::workspace::shell;

/// All targets together run this long in CI, in seconds.
const BUDGET: u64 = 66;
/// No target runs longer than this in CI, in seconds.
const LONGEST: u64 = 10;

/// The step of `test`: every target for a few seconds.
pub(crate) fn step() -> Result<Outcome> {
    if !install::has_cargo_tool("fuzz") {
        return Ok(Outcome::Skipped(install::how_to_get("fuzz")));
    }
    let shell = unstable_shell()?;
    let targets = targets(&shell)?;
    let each = (BUDGET / targets.len() as u64).clamp(2, LONGEST);
    fuzz(&shell, &targets, each)
}

/// `cargo xtask fuzz`.
pub(crate) fn command(target: Option<&str>, seconds: u64) -> Result<()> {
    if !install::has_cargo_tool("fuzz") {
        bail!(install::how_to_get("fuzz"));
    }
    let shell = unstable_shell()?;
    let mut targets = targets(&shell)?;
    if let Some(wanted) = target {
        targets.retain(|name| name == wanted);
        if targets.is_empty() {
            bail!("no fuzz target is called {wanted}: `cargo fuzz list` shows them");
        }
    }
    match fuzz(&shell, &targets, seconds)? {
        Outcome::Failed(why) => bail!(why),
        _ => Ok(()),
    }
}

/// A shell in which the stable compiler takes the unstable flags that cargo-fuzz passes (`-Zsanitizer`):
/// the sanitizers' run time comes with the stable toolchain, so that no nightly one is needed.
fn unstable_shell() -> Result<Shell> {
    let shell = shell()?;
    shell.set_var("RUSTC_BOOTSTRAP", "1");
    Ok(shell)
}

fn targets(shell: &Shell) -> Result<Vec<String>> {
    let list = cmd!(shell, "cargo fuzz list").read().context("cannot list the fuzz targets of fuzz/Cargo.toml")?;
    let targets: Vec<String> = list.lines().map(str::to_owned).collect();
    if targets.is_empty() {
        bail!("fuzz/Cargo.toml names no target");
    }
    Ok(targets)
}

fn fuzz(shell: &Shell, targets: &[String], seconds: u64) -> Result<Outcome> {
    // Built once before any target's time starts to count.
    cmd!(shell, "cargo fuzz build").run()?;
    let (limit, give_up) = (seconds.to_string(), (seconds + 60).to_string());
    let mut crashed = Vec::new();
    for target in targets {
        println!("fuzzing {target} for {seconds} s");
        let seeds = format!("fuzz/seeds/{target}");
        // libFuzzer writes what it finds into the first folder, and only reads the others.
        let mut corpora = vec![format!("fuzz/corpus/{target}")];
        shell.create_dir(&corpora[0])?;
        corpora.extend(shell.path_exists(&seeds).then_some(seeds));
        // A hanging input is libFuzzer's to find (-timeout); `timeout` is for libFuzzer itself.
        let run = cmd!(
            shell,
            "timeout --kill-after=5 {give_up} cargo fuzz run {target} {corpora...} --
             -max_total_time={limit} -timeout=5 -rss_limit_mb=2048 -max_len=131072 -verbosity=0 -print_final_stats=1"
        );
        if let Err(error) = run.run() {
            eprintln!("{target}: {error}");
            crashed.push(target.as_str());
        }
    }
    if crashed.is_empty() {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed(format!(
        "something was found by the fuzz target {}: the input is in fuzz/artifacts; make it a regression case of the parser",
        crashed.join(", ")
    )))
}

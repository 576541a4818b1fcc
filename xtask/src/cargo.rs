//! The checks that cargo itself does, each as a step.

use std::time::Instant;

use anyhow::{Context, Result};
use xshell::cmd;

use crate::install;
use crate::steps::{Outcome, seconds};
use crate::workspace::{shell, target_dir};

/// Formatting, of all crates; the fuzz targets are a workspace of their own.
pub(crate) fn fmt() -> Result<Outcome> {
    let shell = shell()?;
    cmd!(shell, "cargo fmt --all --check").run().context("run `cargo fmt --all`")?;
    if shell.path_exists("fuzz/Cargo.toml") {
        cmd!(shell, "cargo fmt --manifest-path fuzz/Cargo.toml --check")
            .run()
            .context("run `cargo fmt --manifest-path fuzz/Cargo.toml`")?;
    }
    Ok(Outcome::Passed)
}

/// Lints, of every target of every crate; a warning is an error. The fuzz targets are among them, so that a change of a
/// parser's types shows before they are built with their instrumentation.
pub(crate) fn clippy() -> Result<Outcome> {
    let shell = shell()?;
    cmd!(shell, "cargo clippy --locked --workspace --all-targets -- -D warnings").run()?;
    if shell.path_exists("fuzz/Cargo.toml") {
        let target = target_dir()?;
        cmd!(shell, "cargo clippy --locked --manifest-path fuzz/Cargo.toml --target-dir {target} -- -D warnings")
            .run()?;
    }
    Ok(Outcome::Passed)
}

/// Unit and integration tests.
pub(crate) fn tests() -> Result<Outcome> {
    let shell = shell()?;
    if install::has_cargo_tool("nextest") {
        // Built apart from the run, so that a hanging test and a long build can be told apart in the output.
        let start = Instant::now();
        cmd!(shell, "cargo nextest run --locked --workspace --all-targets --no-run").run()?;
        println!("built in {}", seconds(start.elapsed()));
        cmd!(shell, "cargo nextest run --locked --workspace --all-targets --no-fail-fast --no-tests=fail").run()?;
    } else {
        println!("cargo-nextest is not installed: `cargo test` runs the same tests, crate after crate");
        cmd!(shell, "cargo test --locked --workspace --all-targets --no-fail-fast").run()?;
    }
    Ok(Outcome::Passed)
}

/// The examples in the documentation, which nextest does not run.
pub(crate) fn doc_tests() -> Result<Outcome> {
    let shell = shell()?;
    cmd!(shell, "cargo test --locked --workspace --doc --no-fail-fast").run()?;
    Ok(Outcome::Passed)
}

/// The documentation; a warning is an error.
pub(crate) fn doc() -> Result<Outcome> {
    let shell = shell()?;
    cmd!(shell, "cargo doc --locked --workspace --no-deps").env("RUSTDOCFLAGS", "-D warnings").run()?;
    Ok(Outcome::Passed)
}

/// Licences, banned and doubled crates, and where crates come from.
pub(crate) fn deny() -> Result<Outcome> {
    let Some(shell) = shell_with_deny()? else { return no_deny() };
    cmd!(shell, "cargo deny --locked check licenses bans sources").run().context("deny.toml says what is allowed")?;
    Ok(Outcome::Passed)
}

/// Known vulnerabilities in dependencies. The database is fetched from GitHub.
pub(crate) fn advisories() -> Result<Outcome> {
    let Some(shell) = shell_with_deny()? else { return no_deny() };
    // The fetch has no time limit of its own.
    let output = cmd!(shell, "timeout 120 cargo deny --locked check advisories").ignore_status().output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    eprint!("{text}");
    if output.status.success() {
        return Ok(Outcome::Passed);
    }
    if output.status.code() == Some(124) || text.contains("failed to fetch advisory database") {
        return Ok(Outcome::Unreachable("the advisory database could not be fetched from GitHub".to_owned()));
    }
    Ok(Outcome::Failed("an advisory concerns a dependency: update it, or give the reason in deny.toml".to_owned()))
}

fn shell_with_deny() -> Result<Option<xshell::Shell>> {
    Ok(if install::has_cargo_tool("deny") { Some(shell()?) } else { None })
}

fn no_deny() -> Result<Outcome> {
    Ok(Outcome::Skipped(install::how_to_get("deny")))
}

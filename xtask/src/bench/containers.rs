//! Containers: the facts about them beside the engine's own commands.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};
use xshell::cmd;

use super::machines::{Machines, UNREFUSE};
use super::measure::{Subject, median};
use super::table::Row;
use super::works::{Run, ours};
use super::{Contest, Peer};
use crate::workspace::{shell, target_dir};

/// Peak memory that is allowed, in bytes.
const MEMORY: u64 = 20_000_000;
/// Facts beside `docker ps` and `docker inspect`.
const RATIO: f64 = 0.15;
/// A whole diagnosis may take as much longer than `docker ps` among 200 containers.
const LONGER: Duration = Duration::from_millis(50);
/// The host port of the first container.
const FIRST_PORT: u16 = 20_000;
/// How often `docker ps` is timed for that limit.
const TIMED: usize = 7;
/// Where the program for the facts lies on the machine.
const FACTS: &str = "/run/bench_containers";

/// The facts alone, and the two commands that show as much. Half of the containers run.
pub(super) fn facts(unrefuse: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    let shell = shell()?;
    cmd!(shell, "cargo build --release --locked --package unrefuse-collect --example bench_containers").run()?;
    let program = std::fs::read(target_dir()?.join("release/examples/bench_containers"))?;
    let facts = Subject::new(&format!("{FACTS} {FIRST_PORT}"), |status, output| {
        status.success() && output.starts_with("10 containers, of which may matter Ok(10)")
    });
    Machines::start("containers-10", unrefuse)?.inside(move || {
        std::fs::write(FACTS, program).with_context(|| format!("cannot write {FACTS}"))?;
        std::fs::set_permissions(FACTS, PermissionsExt::from_mode(0o755))?;
        let names: Vec<String> = (0..10).map(|number| format!("made{number}")).collect();
        let both = format!("docker ps -a --no-trunc && docker inspect {}", names.join(" "));
        let words = ["sh", "-c", &both].map(str::to_owned).to_vec();
        let peer = Subject::words(words, |status, output| status.success() && output.contains("PortBindings"));
        run(Contest {
            ours: facts.named("unrefuse (containers)"),
            peers: vec![Peer { subject: peer.named("docker ps, docker inspect"), at_most: Some(RATIO) }],
            longest: None,
            memory: MEMORY,
            before: None,
        })
    })
}

/// The whole diagnosis of a port that a container among many should have.
pub(super) fn diagnosis(unrefuse: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    let names = |status: ExitStatus, output: &str| status.code() == Some(1) && output.contains("made150");
    let target = format!("127.0.0.1:{}", FIRST_PORT + 150);
    let ours = ours(Path::new(UNREFUSE), &target, names)?.verified_with("--json");
    Machines::start("containers-200", unrefuse)?.inside(move || {
        let list = || Subject::new("docker ps -a", |status, output| status.success() && output.contains("made150"));
        let timed = (0..TIMED).map(|_| list().measure()).collect::<Result<Vec<_>>>()?;
        let list_takes = median(&timed).context("no round was run")?.elapsed;
        run(Contest {
            ours,
            peers: vec![Peer { subject: list(), at_most: None }],
            longest: Some(list_takes + LONGER),
            memory: MEMORY,
            before: None,
        })
    })
}

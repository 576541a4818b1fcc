//! Containers: the facts about them beside the engine's own commands, with an engine that was made for it.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xshell::{Shell, cmd};

use super::measure::{Subject, median};
use super::place::apart;
use super::table::Row;
use super::works::{Run, ours};
use super::{Contest, Peer};
use crate::workspace::{find_command, shell, target_dir};

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
/// How long the engine may take to start.
const START: Duration = Duration::from_secs(30);

/// An engine in the calling thread's namespaces, at its usual socket. It ends with this value.
struct Engine(Child);

impl Engine {
    fn start(shell: &Shell) -> Result<Self> {
        let none = None::<&str>;
        for folder in ["/run", "/var/lib/docker"] {
            cmd!(shell, "mkdir -p {folder}").quiet().run()?;
            mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), none)
                .with_context(|| format!("cannot cover {folder}"))?;
        }
        let mut command = Command::new("dockerd");
        command.args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", "/unrefuse-bench"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut engine = Self(command.spawn().context("cannot start dockerd")?);
        let start = Instant::now();
        while cmd!(shell, "docker version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
            if engine.0.try_wait()?.is_some() || start.elapsed() > START {
                bail!("dockerd does not come up here");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Containers that are made and never started need no program.
        cmd!(shell, "sh -c 'tar -cf - -T /dev/null | docker import - nothing'").quiet().ignore_stdout().run()?;
        Ok(engine)
    }

    fn fill(&self, shell: &Shell, count: u16) -> Result<()> {
        let make = format!(
            "for n in $(seq 0 {}); do docker create --name made$n -p $(({FIRST_PORT} + n)):80 nothing /app; done",
            count - 1
        );
        cmd!(shell, "sh -ec {make}").quiet().ignore_stdout().run().map_err(Into::into)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let ended = i32::try_from(self.0.id()).map(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM));
        if ended.is_ok() {
            let _ = self.0.wait();
        }
    }
}

/// With so many containers, or the reason why not, said aloud.
fn among(count: u16, work: impl FnOnce(&Shell) -> Result<Vec<Row>> + Send) -> Result<Vec<Row>> {
    for needed in ["dockerd", "docker", "containerd"] {
        if find_command(needed).is_none() {
            println!("  NOT MEASURED: {needed} is not installed (docker.io)");
            return Ok(Vec::new());
        }
    }
    apart(move |shell| {
        let engine = Engine::start(shell)?;
        engine.fill(shell, count)?;
        work(shell)
    })
}

/// The facts alone, and the two commands that show as much.
pub(super) fn facts(_: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    let shell = shell()?;
    cmd!(shell, "cargo build --release --locked --package unrefuse-collect --example bench_containers").run()?;
    let program = target_dir()?.join("release/examples/bench_containers");
    let program = program.to_str().context("the target folder's name is not UTF-8")?;
    let facts = Subject::new(&format!("{program} {FIRST_PORT}"), |status, output| {
        status.success() && output.starts_with("10 containers, of which may matter Ok(10)")
    });
    among(10, move |_| {
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
    let ours = ours(unrefuse, &format!("127.0.0.1:{}", FIRST_PORT + 150), names)?.verified_with("--json");
    among(200, move |_| {
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

//! Machines of the lab to measure on: hosts with their own process 1, services and engines, on any machine that the lab
//! runs on.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, setns, unshare};
use xshell::cmd;

use crate::workspace::{root, shell, target_dir};

/// The unrefuse that each of them has.
pub(super) const UNREFUSE: &str = "/run/lab/bin/unrefuse";

/// The machines of a scenario below `benches/scenarios`, with its fault. They end with this value.
pub(super) struct Machines {
    holder: Child,
    /// A process of the server's.
    server: u32,
}

impl Machines {
    /// Builds them.
    pub(super) fn start(scenario: &str, unrefuse: &Path) -> Result<Self> {
        let shell = shell()?;
        cmd!(shell, "cargo build --quiet --locked --package unrefuse-lab").run()?;
        let mut command = Command::new(target_dir()?.join("debug/unrefuse-lab"));
        command.arg("shell").arg("--scenarios").arg(root().join("benches/scenarios"));
        command.arg("--unrefuse").arg(unrefuse).arg(scenario).arg("cat");
        let holder = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut machines = Self { holder: holder.context("cannot start the lab")?, server: 0 };
        let mut said = String::new();
        let words = machines.holder.stderr.take().context("no pipe")?;
        for line in BufReader::new(words).lines() {
            let line = line?;
            let pid = line.strip_prefix("server: nsenter --target ").and_then(|rest| rest.split(' ').next());
            if let Some(pid) = pid.and_then(|pid| pid.parse().ok()) {
                machines.server = pid;
                return Ok(machines);
            }
            said.push_str(&line);
            said.push('\n');
        }
        bail!("the lab did not build {scenario}:\n{said}")
    }

    /// Runs the work on the server. Only this thread and what it starts are there: no command has to be led in, which
    /// would be a part of its time.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let inside = move || {
            // setns(2): a thread that shares its working directory with others may not change its mount namespace.
            unshare(CloneFlags::CLONE_FS).context("cannot part from the other threads")?;
            let open = |kind| File::open(format!("/proc/{}/ns/{kind}", self.server));
            let namespaces = ["cgroup", "ipc", "uts", "net", "pid", "mnt"].map(open);
            for namespace in namespaces {
                setns(namespace.context("the machine is gone")?, CloneFlags::empty()).context("cannot enter it")?;
            }
            work()
        };
        std::thread::scope(|scope| scope.spawn(inside).join().unwrap_or_else(|_| bail!("the work panicked")))
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // It ends by itself at the end of its input, and its machines with it.
        let _ = self.holder.wait();
    }
}

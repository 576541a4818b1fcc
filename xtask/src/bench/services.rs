//! A failed unit on a crowded systemd host: units, journal and configuration are read, beside the tools that show a part
//! of it. The host is one of the lab's.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use xshell::cmd;

use super::table::Row;
use super::works::{Run, found};
use super::{Contest, Peer, Subject};
use crate::workspace::{root, shell, target_dir};

/// The longest time for the whole question.
const LONGEST: Duration = Duration::from_millis(150);
/// Peak memory that is allowed, in bytes: journalctl's, which maps the journal's files, counts too.
const MEMORY: u64 = 20_000_000;

/// The machines of a scenario below `benches/scenarios`, with its fault. They end with this value.
struct Machines {
    holder: Child,
    /// nsenter(1) with the arguments that lead into the server.
    enter: String,
}

impl Machines {
    fn start(scenario: &str, unrefuse: &Path) -> Result<Self> {
        let shell = shell()?;
        cmd!(shell, "cargo build --quiet --locked --package unrefuse-lab").run()?;
        let mut command = Command::new(target_dir()?.join("debug/unrefuse-lab"));
        command.arg("shell").arg("--scenarios").arg(root().join("benches/scenarios"));
        command.arg("--unrefuse").arg(unrefuse).arg(scenario).arg("cat");
        let holder = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut machines = Self { holder: holder.context("cannot start the lab")?, enter: String::new() };
        let mut said = String::new();
        let words = machines.holder.stderr.take().context("no pipe")?;
        for line in BufReader::new(words).lines() {
            let line = line?;
            if let Some(enter) = line.strip_prefix("server: ") {
                machines.enter = enter.to_owned();
                return Ok(machines);
            }
            said.push_str(&line);
            said.push('\n');
        }
        bail!("the lab did not build {scenario}:\n{said}")
    }

    /// A command on the server.
    fn subject(
        &self,
        command: &str,
        name: &str,
        did_it: impl Fn(ExitStatus, &str) -> bool + Send + 'static,
    ) -> Subject {
        Subject::new(&format!("{} -- {command}", self.enter), did_it).named(name)
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // It ends by itself at the end of its input, and its machines with it.
        let _ = self.holder.wait();
    }
}

/// Why nothing listens, among 200 units and a journal of 1 GB.
pub(super) fn failed(unrefuse: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    let machines = Machines::start("failed-among-many", unrefuse)?;
    // systemctl status ends with 3 for what does not run (systemctl(1)).
    let shows = |_: ExitStatus, output: &str| output.contains("default_sever");
    let peers = ["systemctl status nginx.service", "journalctl --no-pager --unit nginx.service"];
    let peers = peers.map(|peer| Peer { subject: machines.subject(peer, peer, shows), at_most: None });
    run(Contest {
        ours: machines.subject(
            "/run/lab/bin/unrefuse --json 10.77.0.1:80",
            "unrefuse --json FAILED",
            found("service/config-error"),
        ),
        peers: peers.into(),
        longest: Some(LONGEST),
        memory: MEMORY,
        before: None,
    })
}

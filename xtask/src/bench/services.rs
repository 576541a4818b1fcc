//! A failed unit on a crowded systemd host: units, journal and configuration are read, beside the tools that show a part
//! of it.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Result;

use super::machines::{Machines, UNREFUSE};
use super::table::Row;
use super::works::{Run, found, ours};
use super::{Contest, Peer, Subject};

/// The longest time for the whole question.
const LONGEST: Duration = Duration::from_millis(150);
/// Peak memory that is allowed, in bytes: journalctl's, which maps the journal's files, counts too.
const MEMORY: u64 = 20_000_000;

/// Why nothing listens, among 200 units and a journal of 1 GB.
pub(super) fn failed(unrefuse: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    let machines = Machines::start("failed-among-many", unrefuse)?;
    // systemctl status ends with 3 for what does not run (systemctl(1)).
    let shows = |_: ExitStatus, output: &str| output.contains("default_sever");
    let peers = ["systemctl status nginx.service", "journalctl --no-pager --unit nginx.service"];
    let peers = peers.map(|peer| Peer { subject: Subject::new(peer, shows), at_most: None });
    let ours = ours(Path::new(UNREFUSE), "--json 10.77.0.1:80", found("service/config-error"))?;
    machines.inside(move || {
        run(Contest {
            ours: ours.named("unrefuse --json FAILED"),
            peers: peers.into(),
            longest: Some(LONGEST),
            memory: MEMORY,
            before: None,
        })
    })
}

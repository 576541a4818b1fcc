//! What is measured, in which place, and with which targets.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};

use super::crowd::{Crowd, LONELY_PORT};
use super::place::{self, DOWN_HOST, DOWN_LINK, FullQueue, SilentResolver, apart};
use super::table::Row;
use super::{Contest, Peer, Subject, containers, firewall, services};
use crate::workspace::root;

/// Peak memory that is allowed, in bytes.
const MEMORY: u64 = 20_000_000;
/// The same where there are 100,000 sockets.
const MEMORY_AMONG_MANY: u64 = 60_000_000;

/// Measures a contest where it is called.
pub(super) type Run<'a> = &'a (dyn Fn(Contest) -> Result<Vec<Row>> + Sync);

/// One work: it makes its place and holds its contest there.
pub(super) struct Work {
    pub(super) name: &'static str,
    pub(super) hold: fn(&Path, Run<'_>) -> Result<Vec<Row>>,
}

pub(super) const ALL: &[Work] = &[
    Work { name: "refused-localhost", hold: refused },
    Work { name: "full-queue", hold: full_queue },
    Work { name: "host-down", hold: host_down },
    Work { name: "silent-dns", hold: silent_dns },
    Work { name: "listeners-100", hold: |ours, run| listeners(ours, run, 100, 200, 1.0) },
    Work { name: "listeners-10000", hold: |ours, run| listeners(ours, run, 10_000, 200, 0.4) },
    Work { name: "listeners-100000", hold: |ours, run| listeners(ours, run, 100_000, 250, 0.1) },
    Work { name: "who-100000", hold: who },
    Work { name: "services-failed", hold: services::failed },
    Work { name: "containers-10", hold: containers::facts },
    Work { name: "containers-200", hold: containers::diagnosis },
    Work { name: "firewall-read-10000", hold: firewall::read_nft },
    Work { name: "firewall-read-10000-iptables", hold: firewall::read_iptables },
    Work { name: "firewall-packet-100000", hold: firewall::wide },
    Work { name: "firewall-set-100000", hold: firewall::set_nft },
    Work { name: "firewall-set-100000-ipset", hold: firewall::set_ipset },
    Work { name: "firewall-judge-10000", hold: firewall::judge },
    Work { name: "firewall-ports-10000", hold: firewall::ports },
];

/// unrefuse with these arguments.
pub(super) fn ours(
    unrefuse: &Path,
    arguments: &str,
    did_it: impl Fn(ExitStatus, &str) -> bool + Send + 'static,
) -> Result<Subject> {
    let unrefuse = unrefuse.to_str().context("the target folder's name is not UTF-8")?;
    Ok(Subject::new(&format!("{unrefuse} {arguments}"), did_it).named(&format!("unrefuse {arguments}")))
}

/// Whether a JSON report has this cause at first place.
pub(super) fn found(cause: &'static str) -> impl Fn(ExitStatus, &str) -> bool + Send {
    move |status, output| {
        let report: serde_json::Value = serde_json::from_str(output).unwrap_or_default();
        status.code() == Some(1) && report["blockers"][0]["root"] == cause
    }
}

/// unrefuse on a target at which it must find this cause at first place.
fn diagnosis(unrefuse: &Path, target: &str, cause: &'static str) -> Result<Subject> {
    Ok(ours(unrefuse, target, found(cause))?.verified_with("--json"))
}

fn refused(unrefuse: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    apart(|_| {
        let script = root().join("benches/checklist.sh");
        let script = format!("{} localhost 1", script.display());
        run(Contest {
            ours: diagnosis(unrefuse, "localhost 1", "listener/none")?,
            peers: vec![Peer {
                subject: Subject::new(&script, |_, output| output.contains("refused")).named("checklist.sh"),
                at_most: Some(0.5),
            }],
            longest: Some(Duration::from_millis(40)),
            memory: MEMORY,
            before: None,
        })
    })
}

fn full_queue(unrefuse: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    apart(|_| {
        let queue = FullQueue::start()?;
        let address = queue.address()?;
        let nc = format!("nc -z -w 5 {} {}", address.ip(), address.port());
        run(Contest {
            ours: diagnosis(unrefuse, &address.to_string(), "listener/queue-full")?.named("unrefuse FULL"),
            peers: vec![Peer {
                subject: Subject::new(&nc, |status, _| !status.success()).named("nc -w 5"),
                at_most: Some(0.01),
            }],
            longest: None,
            memory: MEMORY,
            before: None,
        })
    })
}

fn host_down(unrefuse: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    apart(|shell| {
        place::empty_ethernet(shell)?;
        run(Contest {
            ours: diagnosis(unrefuse, &format!("{DOWN_HOST}:80"), "path/host-down")?,
            // Without -w, nc waits as long as the kernel does.
            peers: vec![Peer {
                subject: Subject::new(&format!("nc -z {DOWN_HOST} 80"), |status, _| !status.success())
                    .named("connect(2)"),
                at_most: Some(0.4),
            }],
            longest: None,
            memory: MEMORY,
            // What the kernel learnt of the neighbour in the run before would make it answer at once.
            before: Some(["ip", "neigh", "flush", "dev", DOWN_LINK].map(str::to_owned).to_vec()),
        })
    })
}

fn silent_dns(unrefuse: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    apart(|_| {
        let _silent = SilentResolver::start()?;
        run(Contest {
            ours: diagnosis(unrefuse, "server.example 80", "name/resolver-unreachable")?,
            peers: vec![Peer {
                subject: Subject::new("getent ahosts server.example", |status, _| !status.success()),
                at_most: Some(0.25),
            }],
            longest: None,
            memory: MEMORY,
            before: None,
        })
    })
}

/// All sockets with their owners. `ss -tlnp` does less (no UDP) and is shown only.
fn listeners(unrefuse: &Path, run: Run<'_>, sockets: usize, processes: usize, at_most: f64) -> Result<Vec<Row>> {
    apart(|_| {
        let _crowd = Crowd::start(sockets, processes)?;
        // Every socket with its owner, or it is not the same work.
        let all =
            move |_: ExitStatus, output: &str| output.lines().filter(|line| line.contains("xtask")).count() >= sockets;
        let peer = |command: &str, at_most| Peer { subject: Subject::new(command, all), at_most };
        run(Contest {
            ours: ours(unrefuse, "listeners", all)?,
            peers: vec![peer("ss -tulnp", Some(at_most)), peer("ss -tlnp", None)],
            longest: None,
            memory: if sockets >= 100_000 { MEMORY_AMONG_MANY } else { MEMORY },
            before: None,
        })
    })
}

/// One port's owner among many.
fn who(unrefuse: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    apart(|_| {
        let _crowd = Crowd::start(100_000, 250)?;
        let found = |_: ExitStatus, output: &str| output.contains("xtask");
        let peer = |command: &str, at_most| Peer { subject: Subject::new(command, found), at_most };
        run(Contest {
            ours: ours(unrefuse, &format!("who {LONELY_PORT}"), found)?,
            peers: vec![
                peer(&format!("ss -tlnp sport = :{LONELY_PORT}"), Some(0.5)),
                peer(&format!("lsof -nP -i :{LONELY_PORT}"), Some(0.2)),
            ],
            longest: None,
            memory: MEMORY_AMONG_MANY,
            before: None,
        })
    })
}

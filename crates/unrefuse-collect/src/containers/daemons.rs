//! Which daemons of container engines run: asked before connecting, for a connection to a socket that systemd keeps would
//! start the daemon behind it (systemd.socket(5)), and a diagnosis starts nothing.

use crate::live::{files, proc_dir, unix};
use rustix::fs::FileType;
use std::sync::OnceLock;
use unrefuse_facts::EngineKind;

/// systemd runs as the machine's manager (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";

/// Where dockerd(8) writes its process id (`pidfile`).
const PID_FILE: &str = "/run/docker.pid";

/// A process that may serve an engine's API.
struct Daemon {
    kind: EngineKind,
    uid: u32,
}

/// The daemons that run, looked for when asked.
#[derive(Default)]
pub(super) struct Daemons(OnceLock<Vec<Daemon>>);

impl Daemons {
    /// Whether a daemon of that engine and user runs.
    pub(super) fn run(&self, kind: EngineKind, uid: u32) -> bool {
        let same = |daemon: &Daemon| daemon.kind == kind && daemon.uid == uid;
        // Docker says where its own is: that saves the walk.
        let pid = files::read(PID_FILE)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .filter(|_| (kind, uid) == (EngineKind::Docker, 0));
        if pid.and_then(|pid| daemon(pid.trim().parse().ok()?)).is_some_and(|daemon| same(&daemon)) {
            return true;
        }
        self.0.get_or_init(all).iter().any(same)
    }

    /// Whether connecting to the socket at `path` would only start the daemon: no such process runs, and nobody but
    /// systemd is seen to hold the socket. Where systemd isn't the manager nothing is started by a connection.
    pub(super) fn would_start(&self, kind: EngineKind, uid: u32, path: &str) -> bool {
        let booted = rustix::fs::stat(BOOTED).is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Directory);
        booted && !self.run(kind, uid) && !held_by_another(path)
    }
}

/// Looks at the names of all processes, which everybody may read.
fn all() -> Vec<Daemon> {
    let pids = proc_dir::root().and_then(proc_dir::processes).unwrap_or_default();
    pids.into_iter().filter_map(daemon).collect()
}

fn daemon(pid: u32) -> Option<Daemon> {
    let command = files::read(&format!("/proc/{pid}/comm")).ok()?;
    let kind = match command.strip_suffix(b"\n")? {
        b"dockerd" => EngineKind::Docker,
        b"podman" => EngineKind::Podman,
        _ => return None,
    };
    if kind == EngineKind::Podman {
        // Other calls of podman serve nobody.
        let arguments = files::read(&format!("/proc/{pid}/cmdline")).ok()?;
        let mut words = arguments.split(|&b| b == 0);
        words.find(|word| *word == b"system").and_then(|_| words.next()).filter(|word| *word == b"service")?;
    }
    let uid = rustix::fs::stat(format!("/proc/{pid}")).ok()?.st_uid;
    Some(Daemon { kind, uid })
}

/// A process other than systemd holds the listening socket: a proxy, or an engine under another name.
fn held_by_another(path: &str) -> bool {
    unix::listeners_of(path)
        .iter()
        .any(|pid| files::read(&format!("/proc/{pid}/comm")).is_ok_and(|command| !command.starts_with(b"systemd")))
}

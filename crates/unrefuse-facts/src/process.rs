//! Processes, as far as they own sockets.

use crate::Observed;
use serde::{Deserialize, Serialize};

/// State of a process (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessState {
    /// Running or ready to run (`R`).
    Running,
    /// Sleeping (`S`), idle (`I`).
    Sleeping,
    /// Waiting in the kernel and not interruptible (`D`).
    DiskSleep,
    /// Stopped by a signal (`T`).
    Stopped,
    /// Stopped by a debugger (`t`).
    Traced,
    /// Dead and not yet reaped (`Z`, `X`).
    Dead,
}

/// A container, as far as a cgroup path tells.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContainerHint {
    /// `docker`, `podman`, `containerd`, `crio`, `lxc`, `nspawn`.
    pub engine: String,
    /// Short id or name.
    pub id: String,
}

/// What supervises a process, as far as its cgroup tells.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunningAs {
    /// systemd unit, `postgresql@15-main.service`.
    pub unit: Option<String>,
    /// The unit belongs to a user's manager, not to the system's.
    pub user_unit: bool,
    /// Container.
    pub container: Option<ContainerHint>,
}

/// A process that owns a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id in this pid namespace.
    pub pid: u32,
    /// Command name (`/proc/PID/comm`, at most 15 bytes).
    pub command: String,
    /// Executable; ` (deleted)` at its end when the file was replaced. Missing where another user's may not be read.
    pub exe: Observed<String>,
    /// Effective user id.
    pub uid: u32,
    /// User name from the user database, where there is one.
    pub user: Option<String>,
    /// State.
    pub state: ProcessState,
    /// Unit and container.
    pub running_as: RunningAs,
    /// Open file descriptors and the soft limit (`RLIMIT_NOFILE`).
    pub files: Observed<(u64, u64)>,
    /// Start, in clock ticks since boot (field 22 of proc_pid_stat(5)).
    pub start_ticks: u64,
    /// Inode of its network namespace, where it may be read.
    pub netns: Option<u64>,
}

impl Process {
    /// `postgres[812]`, as logs name a process.
    pub fn label(&self) -> String {
        format!("{}[{}]", self.command, self.pid)
    }
}

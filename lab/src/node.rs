//! A machine of a scenario: a set of namespaces with a process that holds them.

use crate::cgroup::Cgroup;
use crate::hold::NODE_DIR;
use crate::scenario::User;
use crate::{sys, system};
use anyhow::{Context as _, Result, bail, ensure};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long one helper command of the lab may take.
pub(crate) const STEP_LIMIT: Duration = Duration::from_secs(60);

/// The user and group of [`User::Nobody`].
const NOBODY: u32 = 65534;

/// A machine: network, mount, host name, IPC, cgroup and process namespaces of its own.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its name in the scenario.
    pub(crate) name: String,
    holder: Child,
    pidfd: OwnedFd,
    /// On a systemd host.
    cgroup: Option<Cgroup>,
}

/// How a command on a node ended.
#[derive(Debug)]
pub(crate) struct Output {
    /// Exit status; `None` when it was killed at its deadline.
    pub(crate) status: Option<ExitStatus>,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error.
    pub(crate) stderr: Vec<u8>,
}

impl Output {
    /// It ended by itself with status 0.
    pub(crate) fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// Both outputs and the status, for a message.
    pub(crate) fn text(&self) -> String {
        let status = self.status.map_or("killed at its deadline".to_owned(), |status| status.to_string());
        let out = String::from_utf8_lossy(&self.stdout);
        let err = String::from_utf8_lossy(&self.stderr);
        [out.trim(), err.trim(), &status].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join("\n")
    }
}

impl Node {
    /// Makes the namespaces. With a root file system the node is a systemd host, which is still to be booted.
    ///
    /// # Errors
    /// No privilege, or a mount that the holder needs was refused.
    pub(crate) fn start(
        name: &str,
        hostname: &str,
        binaries: &[(String, PathBuf)],
        root: Option<&Path>,
    ) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("hold");
        if let Some(root) = root {
            command.arg("--root").arg(root);
        }
        command.arg(hostname);
        command.args(binaries.iter().map(|(name, path)| format!("{name}={}", path.display())));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let flags = CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWCGROUP;
        let cgroup = root.map(|_| Cgroup::new()).transpose()?;
        let door = cgroup.as_ref().map(Cgroup::door).transpose()?;
        // SAFETY: write, unshare and prctl are plain system calls; nothing is allocated between fork and exec.
        unsafe {
            command.pre_exec(move || {
                nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
                // First: where it is then becomes the root of its cgroup namespace (cgroup_namespaces(7)).
                if let Some(mut door) = door.as_ref() {
                    door.write_all(b"0")?;
                }
                unshare(flags)?;
                Ok(())
            });
        }
        let mut holder =
            in_pid_namespace(|| Ok(unshare(CloneFlags::CLONE_NEWPID)?), || command.spawn().map_err(Into::into))
                .with_context(|| format!("make the namespaces of {name}"))?;
        if let Err(error) = wait_ready(&mut holder, STEP_LIMIT) {
            let _ = holder.kill();
            let mut message = String::new();
            if let Some(mut stderr) = holder.stderr.take() {
                let _ = stderr.read_to_string(&mut message);
            }
            let _ = holder.wait();
            return Err(error.context(format!("node {name}: {}", message.trim())));
        }
        let pidfd = sys::pidfd_open(holder.id()).context("pidfd_open")?;
        Ok(Self { name: name.to_owned(), holder, pidfd, cgroup })
    }

    /// Lets a systemd host start, and waits until systemd says that everything it starts at boot has started.
    ///
    /// # Errors
    /// It did not say so in time.
    pub(crate) fn boot(&mut self) -> Result<()> {
        let socket = UnixDatagram::bind(self.path(system::NOTIFY)).context("bind the notification socket")?;
        let stdin = self.holder.stdin.as_mut().context("the holder has no standard input")?;
        stdin.write_all(b"\n").context("tell the holder to boot")?;
        let deadline = Instant::now() + STEP_LIMIT;
        // sd_notify(3): lines of NAME=VALUE.
        let mut message = [0_u8; 4096];
        while sys::wait_readable(socket.as_fd(), deadline)? {
            let length = socket.recv(&mut message)?;
            if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                return Ok(());
            }
        }
        let jobs =
            self.shell("systemctl list-jobs; journalctl --no-pager -n 30").map_or_else(|e| e.to_string(), |o| o.text());
        bail!("{} did not start within {STEP_LIMIT:?}: {jobs}", self.name)
    }

    /// Whether it is a systemd host.
    pub(crate) fn has_systemd(&self) -> bool {
        self.cgroup.is_some()
    }

    /// The holder's process id, as the lab sees it.
    pub(crate) fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// `path` of the node as the lab can open it (proc_pid_root(5): the view of that process's mount namespace).
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        Path::new("/proc").join(self.pid().to_string()).join("root").join(path.trim_start_matches('/'))
    }

    /// Starts a command on the node. `netns` names one of the node's own further network namespaces.
    pub(crate) fn spawn(&self, command: Command, user: User, netns: Option<&str>) -> Result<Child> {
        self.spawn_in(command, user, netns, None)
    }

    fn spawn_in(&self, mut command: Command, user: User, netns: Option<&str>, unit: Option<&str>) -> Result<Child> {
        let namespaces = CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWCGROUP;
        let target = self.pidfd.try_clone()?;
        let inner = netns.map(|name| File::open(self.path(&format!("/run/netns/{name}")))).transpose()?;
        let door = match (&self.cgroup, unit) {
            (Some(cgroup), None) => Some(cgroup.commands()?),
            (Some(cgroup), Some(unit)) => Some(cgroup.unit(unit)?),
            (None, None) => None,
            (None, Some(unit)) => bail!("{} is no systemd host and has no unit {unit}", self.name),
        };
        // SAFETY: only system calls on descriptors made before the fork; nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                if let Some(mut door) = door.as_ref() {
                    door.write_all(b"0")?;
                }
                setns(&target, namespaces)?;
                if let Some(inner) = &inner {
                    setns(inner, CloneFlags::CLONE_NEWNET)?;
                }
                if user == User::Nobody {
                    nix::unistd::setgroups(&[])?;
                    let (uid, gid) = (nix::unistd::Uid::from_raw(NOBODY), nix::unistd::Gid::from_raw(NOBODY));
                    nix::unistd::setresgid(gid, gid, gid)?;
                    nix::unistd::setresuid(uid, uid, uid)?;
                }
                Ok(())
            });
        }
        let what = format!("{} on {}", command.get_program().to_string_lossy(), self.name);
        in_pid_namespace(|| Ok(setns(&self.pidfd, CloneFlags::CLONE_NEWPID)?), || command.spawn().map_err(Into::into))
            .with_context(|| format!("start {what}"))
    }

    /// A command with the node's environment and nothing of ours.
    pub(crate) fn command(program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        command.env("PATH", format!("{NODE_DIR}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
        command.env("HOME", "/").env("LANG", "C.UTF-8").env("TERM", "dumb");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command to its end, or kills it at its deadline.
    pub(crate) fn run(&self, command: Command, user: User, limit: Duration) -> Result<Output> {
        self.run_in(command, user, None, limit)
    }

    /// The same in the cgroup of a unit.
    pub(crate) fn run_in(
        &self,
        mut command: Command,
        user: User,
        unit: Option<&str>,
        limit: Duration,
    ) -> Result<Output> {
        let (mut stdout, mut stderr) = (sys::memory_file()?, sys::memory_file()?);
        command.stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        let mut child = self.spawn_in(command, user, None, unit)?;
        let status = sys::wait_child(&mut child, Instant::now() + limit)?;
        Ok(Output { status, stdout: sys::contents(&mut stdout), stderr: sys::contents(&mut stderr) })
    }

    /// Runs a shell script as root.
    pub(crate) fn shell(&self, script: &str) -> Result<Output> {
        let mut command = Self::command("/bin/sh");
        command.arg("-c").arg(script);
        self.run(command, User::Root, STEP_LIMIT)
    }

    /// Runs a shell script as root that must succeed.
    pub(crate) fn must(&self, script: &str) -> Result<()> {
        let output = self.shell(script)?;
        ensure!(output.success(), "on {}: {script}: {}", self.name, output.text());
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Process 1 of the node: with it the kernel kills all others, and the namespaces go with the last of them.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Runs `spawn` while children of this thread are born in another pid namespace, and goes back.
fn in_pid_namespace<T>(enter: impl FnOnce() -> Result<()>, spawn: impl FnOnce() -> Result<T>) -> Result<T> {
    let own = File::open("/proc/thread-self/ns/pid").context("open our own pid namespace")?;
    enter()?;
    let result = spawn();
    setns(&own, CloneFlags::CLONE_NEWPID).context("back to our own pid namespace")?;
    result
}

/// Waits until a child has written `ready` and a newline to its standard output.
pub(crate) fn wait_ready(child: &mut Child, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    let Some(out) = child.stdout.as_mut() else { bail!("no pipe to read readiness from") };
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        ensure!(sys::wait_readable(out.as_fd(), deadline)?, "not ready within {limit:?}");
        let mut byte = [0_u8; 1];
        ensure!(out.read(&mut byte)? == 1, "ended before it was ready");
        line.extend_from_slice(&byte);
    }
    ensure!(line == b"ready\n", "said {:?} instead of ready", String::from_utf8_lossy(&line));
    Ok(())
}

//! Processes that run on a node for the length of a scenario.

use crate::hold::NODE_DIR;
use crate::node::{Node, STEP_LIMIT, wait_ready};
use crate::scenario::{ServiceSpec, User};
use crate::sys;
use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::process::{Child, Stdio};
use std::time::Instant;

/// A running service.
#[derive(Debug)]
pub(crate) struct Service {
    /// Its name in the scenario.
    pub(crate) name: String,
    child: Child,
    log: File,
}

impl Service {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(spec: &ServiceSpec, node: &Node) -> Result<Self> {
        let log = sys::memory_file()?;
        let mut command = match (&spec.serve, &spec.run) {
            (Some(arguments), _) => {
                let mut command = Node::command(&format!("{NODE_DIR}/bin/{}", spec.name));
                command.arg("serve").args(arguments.split_whitespace());
                command.stdout(Stdio::piped());
                command
            }
            (None, Some(script)) => {
                let mut command = Node::command("/bin/sh");
                command.arg("-c").arg(script).stdout(log.try_clone()?);
                command
            }
            (None, None) => bail!("service {} has neither serve nor run", spec.name),
        };
        command.stderr(log.try_clone()?);
        let child = node.spawn(command, User::Root, spec.netns.as_deref())?;
        let mut service = Self { name: spec.name.clone(), child, log };
        service.await_ready(spec, node).with_context(|| {
            let log = sys::contents(&mut service.log);
            format!("service {} on {}: {}", spec.name, spec.node, String::from_utf8_lossy(&log).trim())
        })?;
        Ok(service)
    }

    fn await_ready(&mut self, spec: &ServiceSpec, node: &Node) -> Result<()> {
        if spec.serve.is_some() {
            wait_ready(&mut self.child, STEP_LIMIT)?;
        }
        let Some(ready) = &spec.ready else { return Ok(()) };
        let pid = if spec.netns.is_some() { self.child.id() } else { node.pid() };
        let mut failed = false;
        let child = &mut self.child;
        let up = sys::poll_until(Instant::now() + STEP_LIMIT, || {
            failed = child.try_wait().is_ok_and(|status| status.is_some_and(|status| !status.success()));
            failed
                || ready.tcp.is_none_or(|port| has_socket(pid, "tcp", port))
                    && ready.udp.is_none_or(|port| has_socket(pid, "udp", port))
                    && ready.shell.as_ref().is_none_or(|script| node.shell(script).is_ok_and(|output| output.success()))
        });
        ensure!(!failed, "it failed");
        ensure!(up, "not ready within {STEP_LIMIT:?}");
        Ok(())
    }

    /// Ends it and waits until it is gone.
    pub(crate) fn stop(&mut self) -> Result<()> {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM)?;
        let ended = sys::wait_child(&mut self.child, Instant::now() + STEP_LIMIT)?;
        ensure!(ended.is_some(), "service {} did not end", self.name);
        Ok(())
    }

    /// Stops it with SIGSTOP and waits until it stands still.
    pub(crate) fn freeze(&mut self) -> Result<()> {
        let pid = self.child.id();
        kill(Pid::from_raw(pid as i32), Signal::SIGSTOP)?;
        let stopped = sys::poll_until(Instant::now() + STEP_LIMIT, || {
            // proc_pid_stat(5): the state follows the command name in parentheses.
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
        });
        ensure!(stopped, "service {} did not stop", self.name);
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a socket of that process's network namespace listens (TCP) or is bound (UDP) at the port.
fn has_socket(pid: u32, protocol: &str, port: u16) -> bool {
    // proc_pid_net(5): `sl: LOCAL:PORT REMOTE:PORT STATE`, in hexadecimal; 0A is LISTEN, 07 an unconnected UDP socket.
    let (wanted, state) = (format!(":{port:04X}"), if protocol == "tcp" { "0A" } else { "07" });
    ["", "6"].iter().any(|suffix| {
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{protocol}{suffix}")).unwrap_or_default();
        table.lines().skip(1).any(|line| {
            let mut words = line.split_whitespace().skip(1);
            words.next().is_some_and(|local| local.ends_with(&wanted)) && words.nth(1) == Some(state)
        })
    })
}

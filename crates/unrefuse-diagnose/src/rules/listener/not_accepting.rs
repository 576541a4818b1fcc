//! listener/not-accepting

use super::owner;
use super::queue_full::is_full;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::{When, cause};
use unrefuse_facts::text::visible;
use unrefuse_facts::{AttemptOutcome, Process, ProcessState, Socket, Transport};

cause! {
    /// ## What it means
    ///
    /// The process that holds the listening socket accepts no connections: it is stopped (SIGSTOP, Ctrl-Z), held by a
    /// debugger, stuck in the kernel, or it has as many files open as it may (`EMFILE`). The kernel goes on finishing
    /// handshakes for it until the accept queue is full.
    ///
    /// ## How it shows
    ///
    /// The connection is made, and then nothing comes. Once the queue is full, clients time out.
    ///
    /// ## How to confirm by hand
    ///
    /// On the server: `ps -o pid,stat,comm -p PID` shows `T`, `t` or `D` for the process; `ls /proc/PID/fd | wc -l` against
    /// `Max open files` in `/proc/PID/limits`; `ss -ltn` shows `Recv-Q` growing.
    ///
    /// ## How to fix
    ///
    /// Continue the process (`kill -CONT PID`), detach the debugger, or raise its limit of open files (`prlimit`, and
    /// `LimitNOFILE=` in its unit for good) after seeing what it holds open. A process in state D waits for a disk or a
    /// network file system: that is what must be mended.
    ///
    /// ## What it is often mistaken for
    ///
    /// A slow network or a firewall that drops; `listener/queue-full` alone, which it leads to.
    id: "listener/not-accepting",
    title: "the process accepts no connections",
    explains: &["listener/queue-full"],
    needs: &["sockets", "owners"],
    likes: &["open files and their limit"],
    when: When::Always,
    check: check,
}

/// Why the owners of a socket do not accept.
enum Stall {
    Stopped,
    Traced,
    Stuck,
    OutOfFiles { open: u64, limit: u64 },
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    // That the table is missing is told by others.
    let Ok(Some(table)) = view.server_sockets("") else { return Ok(Finding::Clear) };
    let open = !view.failed();
    let takers = view.takers(table);
    let stalls = |s: &Socket| stall(&table.owners(s), s, open);
    let Some((socket, why)) = takers.iter().find_map(|s| stalls(s).map(|why| (*s, why))) else {
        return Ok(Finding::Clear);
    };
    let owners = table.owners(socket);
    let who = owner::short(table, socket);
    let says = match why {
        Stall::Stopped => format!("{who} is stopped and does not accept on {}", socket.local),
        Stall::Traced => format!("{who} is held by a debugger and does not accept on {}", socket.local),
        Stall::Stuck => format!("{who} is stuck in the kernel (state D) and does not accept on {}", socket.local),
        Stall::OutOfFiles { open, limit } => {
            format!("{who} has {open} of {limit} files open and cannot accept on {}", socket.local)
        }
    };
    let queue_fits = is_full(socket) || open || socket.transport == Transport::Udp;
    let certainty = match why {
        _ if !takers.iter().all(|s| stalls(s).is_some()) => Certainty::Likely,
        Stall::Stopped | Stall::Traced if queue_fits => Certainty::Proven,
        Stall::OutOfFiles { .. } if is_full(socket) => Certainty::Proven,
        _ => Certainty::Likely,
    };
    let mut fired = Fired::new(certainty, says)
        .predicts(&[AttemptOutcome::Open, AttemptOutcome::TimedOut, AttemptOutcome::Reset])
        .evidences(owners.iter().take(4).map(|p| state(p)))
        .evidence(owner::evidence(view, table, socket));
    if socket.transport == Transport::Tcp {
        fired = fired.evidence(Evidence::new(
            match socket.send_queue {
                Some(backlog) => format!("{} connections wait to be accepted, {backlog} may", socket.recv_queue),
                None => format!("{} connections wait to be accepted", socket.recv_queue),
            },
            owner::source(view),
        ));
    }
    Ok(fix(view, &owners, &who, &why).into_iter().fold(fired, Fired::fix).fires())
}

fn stall(owners: &[&Process], socket: &Socket, open: bool) -> Option<Stall> {
    let all = |states: &[ProcessState]| !owners.is_empty() && owners.iter().all(|p| states.contains(&p.state));
    if all(&[ProcessState::Stopped]) {
        return Some(Stall::Stopped);
    }
    if all(&[ProcessState::Stopped, ProcessState::Traced]) {
        return Some(Stall::Traced);
    }
    // State D passes in a moment, as a rule: only with a full queue it is the reason.
    if is_full(socket) && all(&[ProcessState::Stopped, ProcessState::Traced, ProcessState::DiskSleep]) {
        return Some(Stall::Stuck);
    }
    // An open attempt was queued by the kernel; only where it still waits there the limit is known to matter.
    if socket.transport == Transport::Tcp && (!open || socket.recv_queue > 0) {
        let full = |p: &&Process| p.files.value().copied().filter(|(open, limit)| open >= limit);
        let limits: Option<Vec<(u64, u64)>> = owners.iter().map(full).collect();
        return limits?.first().map(|(open, limit)| Stall::OutOfFiles { open: *open, limit: *limit });
    }
    None
}

fn state(process: &Process) -> Evidence {
    let state = match process.state {
        ProcessState::Running => "running (R)",
        ProcessState::Sleeping => "sleeping (S)",
        ProcessState::DiskSleep => "in uninterruptible sleep (D)",
        ProcessState::Stopped => "stopped by a signal (T)",
        ProcessState::Traced => "stopped by a debugger (t)",
        ProcessState::Dead => "dead (Z)",
    };
    let files =
        process.files.value().map(|(open, limit)| format!(", {open} of {limit} files open")).unwrap_or_default();
    Evidence::new(visible(&format!("{} is {state}{files}", process.label())), format!("/proc/{}/stat", process.pid))
}

fn fix(view: &View<'_>, owners: &[&Process], who: &str, why: &Stall) -> Vec<Fix> {
    let pids = owners.iter().map(|p| p.pid.to_string()).collect::<Vec<_>>().join(" ");
    match *why {
        Stall::Stopped => vec![
            Fix::new(view, Risk::Low, format!("continue {who}"))
                .command(format!("kill -CONT {pids}"))
                .undo(format!("kill -STOP {pids}")),
        ],
        Stall::Traced => {
            let title =
                format!("let the debugger of {who} continue it or detach (TracerPid in /proc/PID/status names it)");
            vec![Fix::new(view, Risk::Medium, title)]
        }
        Stall::Stuck => {
            vec![Fix::new(
                view,
                Risk::Medium,
                format!("see what {who} waits for in the kernel (disk, NFS): /proc/PID/stack"),
            )]
        }
        Stall::OutOfFiles { limit, .. } => {
            let wanted = limit.saturating_mul(4).max(1024);
            let mut raise = Fix::new(view, Risk::Low, format!("let {who} open {wanted} files"));
            for process in owners {
                // `SOFT:` raises the soft limit alone and fails above the hard one; a lone number sets both (prlimit(1)).
                let pid = process.pid;
                raise = raise
                    .command(format!("prlimit --pid {pid} --nofile={wanted}: || prlimit --pid {pid} --nofile={wanted}"))
                    .undo(format!("prlimit --pid {pid} --nofile={limit}:"));
            }
            let lasting = match owners.first().and_then(|p| p.running_as.unit.as_deref()) {
                Some(unit) => format!("set LimitNOFILE={wanted} for {} and restart it", visible(unit)),
                None => format!("start {who} with a higher limit (LimitNOFILE= in a unit, ulimit -n in a script)"),
            };
            vec![raise, Fix::new(view, Risk::High, format!("{lasting}, after seeing what it holds open")).persistent()]
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use unrefuse_facts::{Observed, ProcessState, Source};

    fn command(text: &str) -> Step {
        Step::Command { command: text.into() }
    }

    #[test]
    fn a_stopped_process_blocks_though_the_kernel_connects() {
        let report = Scene::local("127.0.0.1:80")
            .listener("0.0.0.0:80", "nc")
            .process(|p| p.state = ProcessState::Stopped)
            .open()
            .report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("listener/not-accepting", Certainty::Proven));
        assert_eq!(blocker.whys[0].title, "nc[800] is stopped and does not accept on 0.0.0.0:80");
        assert_eq!(
            (&blocker.fixes[0].steps, &blocker.fixes[0].undo),
            (&vec![command("kill -CONT 800")], &vec![command("kill -STOP 800")])
        );
        assert_eq!(report.exit_code(), 1);
    }

    #[test]
    fn a_full_queue_is_its_consequence() {
        let report = Scene::local("127.0.0.1:80")
            .socket("0.0.0.0:80", "nc", |s| (s.recv_queue, s.send_queue) = (2, Some(1)))
            .process(|p| p.state = ProcessState::Stopped)
            .silent()
            .report();
        let ids: Vec<&str> = report.blockers[0].whys.iter().map(|w| w.id.as_str()).collect();
        assert_eq!(ids, ["listener/queue-full", "listener/not-accepting"]);
        assert_eq!(report.blockers.len(), 1);
        assert_eq!(report.blockers[0].certainty, Certainty::Proven);
    }

    #[test]
    fn a_process_without_a_free_file_cannot_accept() {
        let scene = |queue: u32| {
            Scene::local("127.0.0.1:80")
                .socket("0.0.0.0:80", "nc", |s| (s.recv_queue, s.send_queue) = (queue, Some(1)))
                .process(|p| p.files = Observed::known((1024, 1024), Source::running("/proc/PID/fd")))
        };
        let report = scene(2).silent().report();
        assert_eq!(report.blockers[0].root, "listener/not-accepting");
        assert_eq!(
            report.blockers[0].fixes[0].steps,
            [command("prlimit --pid 800 --nofile=4096: || prlimit --pid 800 --nofile=4096")]
        );
        assert_eq!(scene(1).open().roots(), ["listener/not-accepting"]);
        assert!(scene(0).open().roots().is_empty(), "nothing waits: open beats the theory");
    }

    #[test]
    fn state_d_and_one_working_owner_are_no_reason() {
        let scene = |state| Scene::local("127.0.0.1:80").listener("0.0.0.0:80", "nc").process(|p| p.state = state);
        assert!(scene(ProcessState::DiskSleep).open().roots().is_empty());
        assert!(scene(ProcessState::DiskSleep).silent().roots().is_empty());
        assert!(scene(ProcessState::Sleeping).open().roots().is_empty());
    }
}

//! listener/queue-full

use super::owner;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::{AttemptOutcome, Socket, SocketTable};

cause! {
    /// ## What it means
    ///
    /// The kernel finishes handshakes for a listening socket and queues the connections until the process accepts them. When
    /// more wait than the backlog allows (`Recv-Q` greater than `Send-Q`), it drops the next SYN without an answer.
    ///
    /// ## How it shows
    ///
    /// The client times out. With `net.ipv4.tcp_abort_on_overflow=1` it is reset right after it believed to be connected. It
    /// is never "connection refused", whatever is often written: that needs a socket that does not listen.
    ///
    /// ## How to confirm by hand
    ///
    /// On the server: `ss -ltn 'sport = :PORT'` shows `Recv-Q` above `Send-Q`, and `nstat -az TcpExtListenOverflows` rises
    /// with each attempt.
    ///
    /// ## How to fix
    ///
    /// Find out why the process does not accept (`listener/not-accepting`): a larger backlog only delays a process that is
    /// stuck. Where it is just slow at peaks, raise the backlog in its configuration; the kernel caps it at
    /// `net.core.somaxconn`, which is read when the socket begins to listen, so the service must be restarted.
    ///
    /// ## What it is often mistaken for
    ///
    /// A firewall that drops; packet loss; a server that is down.
    id: "listener/queue-full",
    title: "its accept queue is full",
    asks: Some("why the process does not accept"),
    needs: &["sockets"],
    likes: &["owners", "counters", "sysctls"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(table) = view.server_sockets("whether the accept queue is full")? else { return Ok(Finding::Clear) };
    let takers = view.takers(table);
    let Some(socket) = takers.iter().copied().find(|s| is_full(s)) else { return Ok(Finding::Clear) };
    let backlog = socket.send_queue.unwrap_or_default();
    let all = takers.iter().all(|s| is_full(s));
    let title = format!(
        "the accept queue of {} on {} is full: {} connections wait, the backlog is {}",
        owner::short(table, socket),
        socket.local,
        socket.recv_queue,
        backlog
    );
    let mut fired = Fired::new(if all { Certainty::Proven } else { Certainty::Likely }, title)
        .predicts(&[AttemptOutcome::TimedOut, AttemptOutcome::Reset])
        .evidence(owner::evidence(view, table, socket))
        .evidence(Evidence::new(
            format!(
                "{} wait in a queue of {}: the kernel drops a SYN when more wait than the backlog",
                socket.recv_queue, backlog
            ),
            owner::source(view),
        ));
    if !all {
        let full = takers.iter().filter(|s| is_full(s)).count();
        let text =
            format!("{full} of {} sockets that share the port are full; the kernel picks one by hash", takers.len());
        fired = fired.evidence(Evidence::new(text, owner::source(view)));
    }
    let host = &view.case.host;
    let overflows = host.counters.value().and_then(|c| c.get("TcpExt.ListenOverflows")).map_or(0, |c| c.moved());
    if overflows > 0 {
        fired = fired.evidence(Evidence::new(
            format!("TcpExt.ListenOverflows rose by {overflows} during the attempt"),
            host.counters.source().map_or("/proc/net/netstat", |s| &s.what),
        ));
    }
    if host.sysctl("net.ipv4.tcp_abort_on_overflow") == Some("1") {
        fired = fired.evidence(Evidence::new("net.ipv4.tcp_abort_on_overflow is 1: clients see resets", "sysctl"));
    }
    Ok(fired.fix(larger(view, table, socket)).fires())
}

/// More wait than the backlog allows.
pub(super) fn is_full(socket: &Socket) -> bool {
    socket.accept_queue_is_full() == Some(true)
}

/// A new start empties the queue, and takes the larger backlog where somaxconn was the cap.
fn larger(view: &View<'_>, table: &SocketTable, socket: &Socket) -> Fix {
    let who = owner::short(table, socket);
    let backlog = socket.send_queue.unwrap_or_default();
    let somaxconn = view.case.host.sysctl("net.core.somaxconn").and_then(|v| v.trim().parse::<u32>().ok());
    let restart = owner::unit(table, socket).map(|unit| format!("systemctl restart {unit}"));
    if let Some(cap) = somaxconn.filter(|cap| *cap == backlog) {
        let wanted = cap.saturating_mul(4).max(4096);
        let fix =
            Fix::new(view, Risk::High, format!("raise net.core.somaxconn from {cap} to {wanted} and restart {who}"));
        return match restart {
            Some(restart) => fix
                .command(format!("sysctl -w net.core.somaxconn={wanted}"))
                .command(restart)
                .undo(format!("sysctl -w net.core.somaxconn={cap}")),
            None => fix,
        };
    }
    match restart {
        Some(restart) => {
            Fix::new(view, Risk::High, format!("restart {who}; what waits in its queue is lost")).command(restart)
        }
        None => Fix::new(
            view,
            Risk::Medium,
            format!("let {who} accept: see what it waits for, or give it a backlog above {backlog}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use unrefuse_facts::{Counter, Observed, Source};

    fn full(socket: &mut unrefuse_facts::Socket) {
        (socket.recv_queue, socket.send_queue) = (129, Some(128));
    }

    #[test]
    fn more_wait_than_the_backlog() {
        let counters = [("TcpExt.ListenOverflows".to_owned(), Counter { before: 3, after: 5 })].into();
        let report = Scene::local("127.0.0.1:80")
            .socket("0.0.0.0:80", "python3", full)
            .with(|c| c.host.counters = Observed::known(counters, Source::running("/proc/net/netstat")))
            .silent()
            .report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("listener/queue-full", Certainty::Proven));
        assert!(blocker.whys[0].evidence.iter().any(|e| e.text.contains("rose by 2")));
        assert!(blocker.fixes[0].steps.is_empty(), "no unit is known to restart");
    }

    #[test]
    fn a_full_backlog_still_takes_one_more() {
        let scene =
            Scene::local("127.0.0.1:80").socket("0.0.0.0:80", "x", |s| (s.recv_queue, s.send_queue) = (128, Some(128)));
        assert!(scene.silent().roots().is_empty());
    }

    #[test]
    fn it_never_refuses() {
        let report = Scene::local("127.0.0.1:80").socket("0.0.0.0:80", "x", full).rst().report();
        assert!(report.blockers.iter().all(|b| b.certainty < Certainty::Proven), "{:?}", report.blockers);
    }

    #[test]
    fn only_the_socket_that_the_kernel_picks_counts() {
        let scene = Scene::local("127.0.0.1:80").socket("0.0.0.0:80", "x", full).listener("127.0.0.1:80", "y");
        assert!(scene.silent().roots().is_empty());
    }

    #[test]
    fn capped_by_somaxconn_and_run_by_a_unit_it_has_commands() {
        let report = Scene::local("127.0.0.1:80")
            .socket("0.0.0.0:80", "gunicorn", full)
            .process(|p| p.running_as.unit = Some("web@1.service".into()))
            .with(|c| {
                let value = Observed::known("128".into(), Source::running("/proc/sys"));
                c.host.sysctls.insert("net.core.somaxconn".into(), value);
            })
            .silent()
            .report();
        let commands: Vec<&Step> = report.blockers[0].fixes[0].steps.iter().collect();
        let command = |text: &str| Step::Command { command: text.into() };
        assert_eq!(
            commands,
            [&command("sysctl -w net.core.somaxconn=4096"), &command("systemctl restart web@1.service")]
        );
    }
}

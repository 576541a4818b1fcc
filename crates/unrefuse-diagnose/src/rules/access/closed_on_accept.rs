//! access/closed-on-accept

use super::proxied_to_nothing::forwarded_to_nothing;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::refuser::{Distance, same_connection};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use crate::rules::listener::owner;
use unrefuse_facts::{AnswerKind, AttemptOutcome, Errno, FORWARDERS, Socket, SocketTable, Transport};

cause! {
    /// ## What it means
    ///
    /// The connection is made, and the server closes it at once, before a byte was said. Something lets packets in and a
    /// process accepts them, but does not want this client, or cannot serve it.
    ///
    /// ## How it shows
    ///
    /// "connection closed by remote host", "empty reply from server", "unexpected EOF", or "connection reset by peer"
    /// right after connecting, where the close comes as a RST.
    ///
    /// ## How to confirm by hand
    ///
    /// `nc -v HOST PORT` says that it is open and ends at once. The server's log says why: `journalctl -u UNIT`.
    ///
    /// ## How to fix
    ///
    /// It depends on who closes. A socket unit of systemd: `MaxConnections=`, or a service that ends at once. TCP wrappers:
    /// `/etc/hosts.deny` and `/etc/hosts.allow`. sshd: `MaxStartups` and `PerSourcePenalties`. docker-proxy on the Docker
    /// host: nothing listens in the container on the published port, or only on the container's loopback. A proxy or
    /// balancer: none of its servers is up.
    ///
    /// ## What it is often mistaken for
    ///
    /// A network fault, because of "connection reset". A firewall: it would not have let the connection be made.
    id: "access/closed-on-accept",
    title: "the server closes the connection at once",
    asks: Some("why the server closes the connection: its access rules, its limits, or what it forwards to"),
    needs: &["attempt"],
    likes: &["sockets", "owners"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    const OUTCOMES: [AttemptOutcome; 2] = [AttemptOutcome::ClosedOnAccept, AttemptOutcome::Reset];
    if view.judged_only() {
        return Ok(foreseen(view).map_or(Finding::Clear, Fired::fires));
    }
    let Some(attempt) = view.attempt().filter(|a| OUTCOMES.contains(&a.outcome)) else {
        return Ok(Finding::Clear);
    };
    let early = attempt.outcome == AttemptOutcome::Reset;
    let table = view.server_sockets("").ok().flatten();
    if let Some(table) = table.filter(|_| early) {
        // A full queue resets, too, and a SYN proxy answers where nothing listens: those are other findings.
        let takers = view.takers(table);
        if takers.is_empty() || takers.iter().any(|socket| socket.accept_queue_is_full() == Some(true)) {
            return Ok(Finding::Clear);
        }
    }
    let reset =
        attempt.errno == Some(Errno::ECONNRESET) || attempt.answer.as_ref().is_some_and(|a| a.kind == AnswerKind::Rst);
    let how = if reset { "RST" } else { "FIN" };
    let ms = attempt.elapsed.as_secs_f64() * 1e3;
    let mut fired = if early {
        // Who reset it was not seen: the process, a kernel whose queue was full at that moment, or a device on the way.
        let same = same_connection(attempt).is_some_and(|(.., distance)| distance == Distance::Same);
        let certainty = if same || table.is_some() { Certainty::Likely } else { Certainty::Possible };
        let text =
            format!("connect(2) failed with ECONNRESET after {ms:.1} ms: a RST to the SYN itself is ECONNREFUSED");
        Fired::new(certainty, format!("{} answers the handshake and resets the connection at once", view.endpoint()))
            .evidence(Evidence::new(text, "connect(2)"))
    } else {
        let text = format!("closed with a {how} {ms:.1} ms after the first SYN, before anything was said");
        Fired::new(
            Certainty::Proven,
            format!("{} accepts the connection and closes it at once ({how})", view.endpoint()),
        )
        .evidence(Evidence::new(text, "recv(2)"))
    }
    .predicts(&OUTCOMES);
    if let Some((rst, accept, Distance::Same)) = same_connection(attempt) {
        let text = format!("the SYN-ACK came with TTL {accept}, the RST with {rst}: both from as far away");
        fired = fired.evidence(Evidence::new(text, "packet socket"));
    }
    if let Some(table) = table {
        for socket in view.takers(table) {
            fired = fired.evidence(owner::evidence(view, table, socket));
            if table.owners(socket).iter().any(|p| FORWARDERS.contains(&p.command.as_str())) {
                let text = format!(
                    "{} accepts for a container before it asks the container: nothing may listen there",
                    owner::short(table, socket)
                );
                fired = fired.evidence(Evidence::new(text, owner::source(view)));
            } else {
                fired = fired.evidences(custom(table, socket)).fix(own_words(view, table, socket));
            }
        }
    }
    Ok(fired.fires())
}

/// When a server that is known to do so closes what it accepted.
fn custom(table: &SocketTable, socket: &Socket) -> Option<Evidence> {
    let owners = table.owners(socket);
    let held_by = |command: &str| owners.iter().any(|process| process.command == command);
    let (text, source) = if owner::is_systemd(table, socket) {
        (
            "systemd accepts for a socket unit: it closes what exceeds MaxConnections= or MaxConnectionsPerSource=, and each \
             connection ends with the service that it starts for it",
            "systemd.socket(5)",
        )
    } else if held_by("sshd") {
        ("sshd closes new connections above MaxStartups, and those of addresses under PerSourcePenalties", "sshd_config(5)")
    } else {
        return None;
    };
    Some(Evidence::new(text, source))
}

/// Where the server says why.
fn own_words(view: &View<'_>, table: &SocketTable, socket: &Socket) -> Option<Fix> {
    let title = if owner::is_systemd(table, socket) {
        "see why: `systemctl list-sockets` names the socket unit, and `systemctl status` and `journalctl -b` with its name and \
         that of its service say what it refused"
            .to_owned()
    } else {
        format!("see why in its log: journalctl -b -u {}", owner::unit(table, socket)?)
    };
    Some(Fix::new(view, Risk::Low, title))
}

/// Without an attempt: an engine's proxy takes the packet, and what it would ask then is not there.
fn foreseen(view: &View<'_>) -> Option<Fired> {
    let (table, socket, dead) = forwarded_to_nothing(view).filter(|_| view.transport() == Some(Transport::Tcp))?;
    let title = format!("{} accepts the connection for a container and has to close it at once", owner::short(table, socket));
    Some(
        Fired::new(Certainty::Likely, title)
            .predicts(&[AttemptOutcome::ClosedOnAccept])
            .evidence(owner::evidence(view, table, socket))
            .evidence(dead),
    )
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use unrefuse_facts::{AttemptOutcome, Errno};

    fn closed(scene: Scene, endpoint: &str, errno: Option<Errno>) -> crate::Report {
        scene.attempt(endpoint, AttemptOutcome::ClosedOnAccept, errno, None).report()
    }

    #[test]
    fn closed_by_fin_or_rst() {
        let report = closed(Scene::remote("10.9.0.1:22"), "10.9.0.1:22", None);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("access/closed-on-accept", Certainty::Proven));
        assert_eq!(blocker.whys[0].title, "10.9.0.1:22 accepts the connection and closes it at once (FIN)");
        let report = closed(Scene::remote("10.9.0.1:22"), "10.9.0.1:22", Some(Errno::ECONNRESET));
        assert!(report.blockers[0].whys[0].title.ends_with("(RST)"));
    }

    #[test]
    fn a_forwarder_is_named() {
        let scene = Scene::local("127.0.0.1:8080").listener("0.0.0.0:8080", "docker-proxy");
        let report = closed(scene, "127.0.0.1:8080", None);
        assert!(
            report.blockers[0].whys[0]
                .evidence
                .iter()
                .any(|e| e.text.contains("docker-proxy[800] accepts for a container"))
        );
    }

    #[test]
    fn who_is_known_to_close_is_told_when_and_where_it_says_so() {
        let said = |pid: u32, command: &str| {
            let scene = Scene::local("127.0.0.1:22").listener("0.0.0.0:22", command).process(|p| {
                p.running_as.unit = Some("ssh.service".into());
            });
            let scene = scene.with(|case| {
                let unrefuse_facts::Observed::Known { value: table, .. } = &mut case.host.sockets else { panic!() };
                let process = table.processes.remove(&800).unwrap();
                table.processes.insert(pid, unrefuse_facts::Process { pid, ..process });
                let unrefuse_facts::Observed::Known { value: holders, .. } = &mut table.holders else { panic!() };
                holders.values_mut().flatten().for_each(|holder| holder.pid = pid);
            });
            let report = closed(scene, "127.0.0.1:22", None);
            let texts: Vec<String> = report.blockers[0].whys[0].evidence.iter().map(|e| e.text.clone()).collect();
            let fixes: Vec<String> = report.blockers[0].fixes.iter().map(|fix| fix.title.clone()).collect();
            (texts.concat(), fixes.concat())
        };
        let (sshd, log) = said(800, "sshd");
        assert!(sshd.contains("above MaxStartups") && log.ends_with("journalctl -b -u ssh.service"), "{log}");
        let (systemd, names) = said(1, "systemd");
        assert!(systemd.contains("exceeds MaxConnections=") && names.contains("systemctl list-sockets"), "{names}");
        assert!(!said(1, "nginx").1.contains("list-sockets"), "process 1 of a container");
        let (other, log) = said(800, "app");
        assert!(!other.contains("above") && log.contains("ssh.service"), "{other}");
    }

    #[test]
    fn a_reset_while_connecting_is_less_sure() {
        let reset = |scene: Scene, endpoint: &str| {
            scene.attempt(endpoint, AttemptOutcome::Reset, Some(Errno::ECONNRESET), None)
        };
        let report = reset(Scene::remote("10.9.0.1:22"), "10.9.0.1:22").report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("access/closed-on-accept", Certainty::Possible));
        assert!(blocker.whys[0].title.ends_with("answers the handshake and resets the connection at once"));
        let local = Scene::local("127.0.0.1:8080").listener("0.0.0.0:8080", "app");
        let report = reset(local, "127.0.0.1:8080").report();
        assert_eq!(
            (report.blockers[0].root.as_str(), report.blockers[0].certainty),
            ("access/closed-on-accept", Certainty::Likely)
        );
    }

    #[test]
    fn kept_open_is_no_finding() {
        assert!(Scene::remote("10.9.0.1:22").open().roots().is_empty());
    }
}

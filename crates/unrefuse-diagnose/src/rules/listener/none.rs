//! listener/none

use super::taken_back;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Unknown};
use crate::rule::cause;
use crate::{View, Who};
use unrefuse_facts::text::visible;
use unrefuse_facts::{AttemptOutcome, Errno, Transport};

cause! {
    /// ## What it means
    ///
    /// No socket listens on that port: not at any address, not in IPv4 nor IPv6. The kernel answers a SYN to such a port
    /// with a RST, and the client says "connection refused".
    ///
    /// ## How it shows
    ///
    /// `connect()` fails at once with `ECONNREFUSED`. On the server the socket table has no entry for the port.
    ///
    /// ## How to confirm by hand
    ///
    /// On the server: `ss -ltnp 'sport = :PORT'` prints nothing.
    ///
    /// ## How to fix
    ///
    /// Start the service that should listen there, or ask the port that it really uses. Why it does not listen is the
    /// next question: see the causes of `service/*`, `config/*` and `container/*`.
    ///
    /// ## What it is often mistaken for
    ///
    /// A firewall that rejects with a TCP reset looks the same to the client (`ingress/firewall-reject`). A service that
    /// listens on loopback only looks the same from another machine (`listener/loopback-only`).
    id: "listener/none",
    title: "nothing listens on that port",
    root: false,
    asks: Some("why nothing listens: the service, its configuration or its container"),
    needs: &["sockets"],
    likes: &["answer packet"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(transport) = view.transport() else { return Ok(in_file_system(view)) };
    let Some(table) = view.server_sockets("whether something listens there")? else { return Ok(from_afar(view)) };
    if !view.on_port(table, transport).is_empty() {
        return Ok(Finding::Clear);
    }
    let mut fired = Fired::new(Certainty::Proven, format!("nothing listens on {}", view.port()))
        .predicts(&[AttemptOutcome::Refused])
        .evidence(Evidence::new(
            format!("no {} socket of this machine listens on port {}", transport.name(), view.case.target.port),
            view.case.host.sockets.source().map_or("socket table", |s| &s.what),
        ))
        .evidences(view.refuser.iter().filter(|r| r.who == Who::ServerKernel).flat_map(|r| r.evidence.clone()))
        .evidences(taken_back::stopped(view));
    fired.unknown.extend(unseen_answer(view));
    Ok(fired.fires())
}

/// A unix socket: its file was never made, is something else, or (abstract, `@name`) has no listener.
fn in_file_system(view: &View<'_>) -> Finding {
    let path = visible(&view.case.target.host);
    let Some(errno) = view.attempt().and_then(|a| a.errno) else { return Finding::Clear };
    let refused = errno == Errno::ECONNREFUSED;
    let title = match view.case.host.unix_socket.value() {
        _ if refused && path.starts_with('@') => format!("nothing listens on the abstract socket {path}"),
        _ if errno == Errno::ENOENT => format!("nothing listens: there is no socket {path}"),
        Some(file) if refused && file.exists && !file.is_socket => format!("nothing listens: {path} is not a socket"),
        _ => return Finding::Clear,
    };
    Fired::new(Certainty::Proven, title)
        .predicts(&[AttemptOutcome::Refused, AttemptOutcome::Unreachable])
        .evidence(Evidence::new(format!("connect to {path}: {errno}"), "connect(2)"))
        .fires()
}

/// Of another machine only its answer is seen: its kernel says that no socket takes the packet, not why.
fn from_afar(view: &View<'_>) -> Finding {
    let Some(attempt) = view.attempt().filter(|a| a.outcome == AttemptOutcome::Refused) else { return Finding::Clear };
    if view.transport() == Some(Transport::Udp) {
        return udp_from_afar(view);
    }
    let refuser = view.refuser.as_ref();
    let by_rst = attempt.answer.as_ref().is_some_and(|a| a.kind == unrefuse_facts::AnswerKind::Rst);
    let certainty = match refuser.map(|r| (r.who, r.certainty)) {
        Some((Who::ServerKernel, Certainty::Possible)) => Certainty::Possible,
        Some((Who::ServerKernel, _)) => Certainty::Likely,
        Some(_) => return Finding::Clear,
        None if by_rst => Certainty::Possible,
        None => return Finding::Clear,
    };
    let mut fired = Fired::new(certainty, format!("the server's kernel has no listener for {}", view.endpoint()))
        .predicts(&[AttemptOutcome::Refused])
        .evidence(Evidence::new(format!("a RST answered the SYN to {}", view.endpoint()), "connect(2)"))
        .evidences(refuser.into_iter().flat_map(|r| r.evidence.clone()))
        .unknown(unseen(view));
    fired.unknown.extend(unseen_answer(view));
    fired.fires()
}

/// A kernel without a UDP socket answers with ICMP port unreachable (RFC 1122 4.1.3.1), and so does a filter's REJECT: the
/// two are the same packet.
fn udp_from_afar(view: &View<'_>) -> Finding {
    if !view.udp_port_unreachable() {
        return Finding::Clear;
    }
    Fired::new(Certainty::Possible, format!("the server has no UDP listener for {}", view.endpoint()))
        .predicts(&[AttemptOutcome::Refused])
        .evidence(Evidence::new(
            format!(
                "ICMP port unreachable came back from {}, as a kernel without a socket or a filter sends it",
                view.endpoint()
            ),
            "socket error queue",
        ))
        .unknown(unseen(view))
        .fires()
}

/// Who refused stays open where the answer could not be looked at: packet(7) needs `CAP_NET_RAW`.
fn unseen_answer(view: &View<'_>) -> Option<Unknown> {
    let allowed = view.case.vantage.privileged || view.case.host.own.has("NET_RAW");
    let refused = view.outcome() == Some(AttemptOutcome::Refused) && view.transport() == Some(Transport::Tcp);
    (refused && view.refuser.is_none() && !allowed).then(|| Unknown {
        what: "who sent the RST: a kernel without a listener, or a firewall in its place".into(),
        why: "the answer packet was not looked at: this user may open no packet socket".into(),
        how_to_know: "run unrefuse as root".into(),
    })
}

fn unseen(view: &View<'_>) -> Unknown {
    Unknown {
        what: "whether nothing listens at all, or only on another address, family, interface or namespace".into(),
        why: "the server's sockets are not visible from here".into(),
        how_to_know: format!("run unrefuse on the server: {}", view.verify_there()),
    }
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use unrefuse_facts::{Answer, AnswerKind, Missing, Observed, Protocol, Reason, Source};

    #[test]
    fn an_empty_table_and_a_refusal_prove_it() {
        let report = Scene::local("127.0.0.1:5432").rst().report();
        assert_eq!(report.blockers[0].root, "listener/none");
        assert_eq!(report.blockers[0].certainty, Certainty::Proven);
        assert_eq!(report.exit_code(), 1);
    }

    #[test]
    fn a_listener_on_the_port_is_another_matter() {
        let roots = Scene::local("127.0.0.1:80").listener("0.0.0.0:80", "nginx").rst().roots();
        assert!(!roots.contains(&"listener/none".to_owned()), "{roots:?}");
    }

    #[test]
    fn from_afar_a_bare_rst_makes_it_possible_only() {
        let report = Scene::remote("10.9.0.1:80").rst().report();
        assert_eq!(report.blockers[0].root, "listener/none");
        assert_eq!(report.blockers[0].certainty, Certainty::Possible);
    }

    #[test]
    fn what_root_would_add_is_said_to_who_is_not() {
        let asks_root = |privileged: bool| {
            let scene = Scene::local("127.0.0.1:5432").rst().with(|c| {
                c.vantage.privileged = privileged;
                c.host.own.capabilities.clear();
            });
            scene.report().unknown.iter().any(|u| u.how_to_know == "run unrefuse as root")
        };
        assert!(asks_root(false));
        assert!(!asks_root(true));
    }

    #[test]
    fn a_udp_port_unreachable_of_the_target_is_not_surely_a_filter() {
        let mut answer = Answer::bare(AnswerKind::Icmp);
        (answer.icmp_type, answer.icmp_code, answer.from) = (Some(3), Some(3), Some("10.9.0.1".parse().unwrap()));
        let report = Scene::remote("10.9.0.1:53").with(|c| c.target.protocol = Protocol::Udp).refused(answer).report();
        let roots: Vec<(&str, Certainty)> = report.blockers.iter().map(|b| (b.root.as_str(), b.certainty)).collect();
        assert_eq!(roots, [("listener/none", Certainty::Possible)]);
    }

    #[test]
    fn without_systemd_nobody_is_sent_to_it() {
        let how = |manager: Observed<String>| {
            let scene = Scene::local("127.0.0.1:7117").rst().services(|facts| facts.manager = manager);
            scene.report().unknown.into_iter().map(|open| open.how_to_know).collect::<String>()
        };
        let runs = how(Observed::known("systemd 252".into(), Source::running("the bus")));
        assert!(runs.contains("systemctl list-units --all"), "{runs}");
        let none = Missing::new(Reason::Absent, "no system bus").remedy("ask the machine's own init: rc-status");
        let none = how(Observed::Missing(none));
        assert!(none.contains("rc-status") && !none.contains("systemctl"), "{none}");
    }
}

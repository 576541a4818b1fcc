//! container/other-container-port

use super::fixes::{as_asked_for, remade};
use super::meant::Clue;
use super::run::{Change, entry};
use super::state::{State, publication_of, state};
use super::words;
use crate::View;
use crate::containers::{name, short, source};
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::ask_instead;
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use std::net::SocketAddr;
use unrefuse_facts::{ContainerPort, Socket};

cause! {
    /// ## What it means
    ///
    /// The host's port is published to a port of the container on which nothing listens: the application inside uses
    /// another one, or none yet. The engine does not look; it sends the packets where it was told to.
    ///
    /// ## How it shows
    ///
    /// On the host by `localhost` the connection is made and closed at once ("empty reply from server", "connection reset
    /// by peer"): docker-proxy accepts before it asks the container. By the host's own address, and from other machines, it
    /// is refused: there the container's kernel answers.
    ///
    /// ## How to confirm by hand
    ///
    /// `docker port NAME`; `docker exec NAME ss -ltn`, or `nsenter -t PID -n ss -ltn` with the pid that `docker inspect
    /// -f '{{.State.Pid}}' NAME` prints.
    ///
    /// ## How to fix
    ///
    /// Publish the port that the application uses (the second number of `-p`), or let the application use the published
    /// one.
    ///
    /// ## What it is often mistaken for
    ///
    /// `container/app-on-loopback`, which looks the same outside. A fault of the network, for "connection reset".
    id: "container/other-container-port",
    title: "nothing listens on the container's published port",
    explains: &["access/closed-on-accept", "access/proxied-to-nothing", "ingress/dnat-dead-end", "listener/none"],
    begins: false,
    needs: &["containers", "sockets inside"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let (meant, to, others) = match state(view)? {
        Some((meant, State::OtherContainerPort(to, others))) => (meant, to, others),
        Some((meant, State::Unseen(missing))) => return Err(meant.unseen(missing)),
        _ => return Ok(Finding::Clear),
    };
    let container = meant.container;
    let who = name(container);
    let reached: Vec<&Socket> = others.iter().copied().filter(|s| !s.local.ip().to_canonical().is_loopback()).collect();
    let instead = match reached.as_slice() {
        [] => String::new(),
        [one] => format!("; it listens on {}", one.local.port()),
        many => format!("; it listens on {}", words::sockets(container, many)),
    };
    let published = publication_of(view, &meant);
    let sent = match (&published, meant.clue) {
        (Some(p), _) => format!("{} is published to port {} of {who}", view.port(), words::port(p.container)),
        (None, Clue::Address) => format!("{} is an address of {who}", view.endpoint()),
        _ => format!("{} is sent to {who}", view.port()),
    };
    let prepares = reached.is_empty() && still_starts(&meant);
    let yet = if prepares { " yet" } else { "" };
    let title = format!("{sent}, where nothing listens{yet}{instead}");
    let from = container.sockets.source().map_or("its network namespace", |source| &source.what);
    let listens = if others.is_empty() { "nothing".to_owned() } else { words::sockets(container, &others) };
    let certainty = if prepares { meant.certainty.min(Certainty::Likely) } else { meant.certainty };
    let mut fired = Fired::new(certainty, title)
        .evidence(Evidence::new(
            format!(
                "no {} socket inside {who} listens on port {}; what listens: {listens}",
                to.transport.name(),
                to.port
            ),
            from,
        ))
        .evidence(words::described(meant.engine, container));
    fired.unknown.extend(meant.open());
    if prepares {
        let text = format!("{who} was started{}, and may still prepare", words::since(&meant, container.started_ms));
        fired = fired.evidence(Evidence::new(text, source(meant.engine)));
    }
    // A port that the image names is what it is for.
    let exposes = |socket: &&&Socket| container.exposed.iter().any(|p| p.port == socket.local.port());
    let best = reached.iter().find(exposes).into_iter().chain(reached.iter().filter(|s| !exposes(s)));
    for socket in best.take(2) {
        let real = ContainerPort { port: socket.local.port(), ..to };
        if meant.clue == Clue::Address {
            fired.fixes.extend(view.ip().map(|ip| ask_instead(view, SocketAddr::new(ip, real.port))));
        } else if let Some(old) = published {
            fired.fixes.push(repoint(view, &meant, &old, real));
        }
    }
    let title =
        format!("let the application in {} listen on port {} of every address", short(container), to.port);
    fired.fixes.push(Fix::new(view, Risk::Medium, title));
    Ok(fired.fires())
}

/// It was started a moment ago, or its health check has not passed yet.
fn still_starts(meant: &super::meant::Meant<'_>) -> bool {
    const MOMENT: i64 = 30_000;
    let container = meant.container;
    let young = container.started_ms.is_some_and(|started| meant.facts.now_ms.saturating_sub(started) < MOMENT);
    young || container.health.as_deref() == Some("starting")
}

/// The publication with the container's real port.
fn repoint(
    view: &View<'_>,
    meant: &super::meant::Meant<'_>,
    old: &unrefuse_facts::PublishedPort,
    real: ContainerPort,
) -> Fix {
    let asked_for = as_asked_for(meant, old).unwrap_or(*old);
    let title = format!("publish {} to port {} of {}", view.port(), words::port(real), short(meant.container));
    let change = Change {
        publish: vec![entry(asked_for.host_address, asked_for.host_port, real)],
        in_place_of: Some(asked_for),
        command: None,
    };
    remade(view, meant, Risk::Medium, &title, &change)
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::container::Made;
    use crate::testing::filter::{accepted, commands, iptables};
    use unrefuse_facts::{
        AttemptOutcome, Errno, FilterHook, Judgement, Missing, Observed, Reason, RuleOwner, Source, Translation,
    };

    fn made() -> Made {
        Made::new("web").publish("8004:80").listens("0.0.0.0:8080", "node")
    }

    fn closed(made: Made) -> Scene {
        let scene = Scene::local("127.0.0.1:8004").listener("0.0.0.0:8004", "docker-proxy").containers(vec![made]);
        scene.attempt("127.0.0.1:8004", AttemptOutcome::ClosedOnAccept, Some(Errno::ECONNRESET), None)
    }

    /// What Docker's DNAT makes of the host's own address.
    fn sent_on(probed: Option<AttemptOutcome>) -> Judgement {
        let mut by =
            iptables(FilterHook::Output, "-A DOCKER -p tcp --dport 8004 -j DNAT --to-destination 172.17.0.2:80");
        (by.place.table, by.owner) = ("nat".into(), RuleOwner::Docker);
        let probed = probed.map_or_else(Observed::default, |seen| Observed::known(seen, Source::probed("connect(2)")));
        Judgement { translated: Some(Translation { to: "172.17.0.2:80".parse().unwrap(), by, probed }), ..accepted() }
    }

    #[test]
    fn localhost_meets_the_proxy() {
        let report = closed(made()).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("container/other-container-port", Certainty::Proven));
        assert_eq!(blocker.whys[0].id, "access/closed-on-accept");
        assert_eq!(
            blocker.whys[1].title,
            "8004/tcp is published to port 80/tcp of container web, where nothing listens; it listens on 8080"
        );
        assert_eq!(commands(&blocker.fixes[0].steps)[2], "docker run -d --name web -p 8004:8080 nginx:1.25");
    }

    #[test]
    fn the_hosts_address_meets_the_containers_kernel() {
        let scene = Scene::local("10.1.0.2:8004").listener("0.0.0.0:8004", "docker-proxy").containers(vec![made()]);
        let report = scene.filtered(Some(sent_on(Some(AttemptOutcome::Refused))), None).rst().report();
        let ids: Vec<&str> = report.blockers[0].whys.iter().map(|w| w.id.as_str()).collect();
        assert_eq!(ids, ["ingress/dnat-dead-end", "container/other-container-port"]);
        let removes = |fix: &crate::report::Fix| format!("{:?}", fix.steps).contains("iptables");
        assert!(!report.blockers[0].fixes.iter().any(removes), "the engine's rule is as it should be");
    }

    #[test]
    fn another_machine_is_sent_on_without_an_attempt_from_here() {
        let scene = Scene::local("10.1.0.2:8004").listener("0.0.0.0:8004", "docker-proxy").containers(vec![made()]);
        let report = scene.filtered(None, Some(sent_on(None))).asked_from("10.5.0.9").report();
        assert_eq!(report.blockers[0].root, "container/other-container-port");
        assert_eq!(report.blockers[0].certainty, Certainty::Likely);
        let well = Made::new("web").publish("8004:80").listens("0.0.0.0:80", "nginx");
        let scene = Scene::local("10.1.0.2:8004").listener("0.0.0.0:8004", "docker-proxy").containers(vec![well]);
        assert!(scene.filtered(None, Some(sent_on(None))).asked_from("10.5.0.9").roots().is_empty());
    }

    #[test]
    fn the_proxy_takes_another_machines_packets_where_no_rule_sends_them_on() {
        let asked = |made: Made| {
            let scene = Scene::local("10.1.0.2:8004").listener("0.0.0.0:8004", "docker-proxy").containers(vec![made]);
            scene.filtered(None, Some(accepted())).asked_from("10.5.0.9").report()
        };
        let report = asked(made());
        let ids: Vec<&str> = report.blockers[0].whys.iter().map(|w| w.id.as_str()).collect();
        assert_eq!(ids, ["access/closed-on-accept", "container/other-container-port"]);
        assert_eq!(report.outcome, crate::report::Outcome::ClosedOnAccept);
        let well = asked(Made::new("web").publish("8004:80").listens("0.0.0.0:80", "nginx"));
        assert_eq!((well.blockers.len(), well.outcome), (0, crate::report::Outcome::Open));
    }

    #[test]
    fn the_containers_own_address_is_asked() {
        let report = Scene::remote("172.17.0.2:80").containers(vec![made()]).rst().report();
        assert_eq!(report.blockers[0].root, "container/other-container-port");
        assert_eq!(report.blockers[0].fixes[0].verify, "unrefuse 172.17.0.2:8080");
    }

    #[test]
    fn sockets_that_were_not_seen_leave_the_question_open() {
        let missing = Missing::new(Reason::Forbidden, "setns: not permitted").remedy("run unrefuse as root");
        let report = closed(made().with(|c| c.sockets = Observed::Missing(missing))).report();
        assert_eq!(report.blockers[0].root, "access/closed-on-accept");
        assert!(report.unknown.iter().any(|u| u.what == "what listens inside container web"), "{:?}", report.unknown);
    }

    #[test]
    fn what_was_started_a_moment_ago_may_still_prepare() {
        let young = Made::new("db").publish("8004:80").with(|c| c.started_ms = Some(1_178_000));
        let report = closed(young).report();
        let why = &report.blockers[0].whys[1];
        assert_eq!(
            (report.blockers[0].certainty, why.title.contains("nothing listens yet")),
            (Certainty::Likely, true)
        );
        assert!(
            why.evidence.iter().any(|e| e.text == "container db was started, 2 seconds ago, and may still prepare")
        );
    }

    #[test]
    fn a_listener_there_or_on_loopback_is_another_matter() {
        let well = Made::new("web").publish("8004:80").listens("0.0.0.0:80", "nginx");
        assert_eq!(closed(well).roots(), ["access/closed-on-accept"]);
        let own = Made::new("web").publish("8004:80").listens("127.0.0.1:80", "nginx");
        assert_eq!(closed(own).roots(), ["container/app-on-loopback"]);
    }
}

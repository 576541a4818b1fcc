//! What is left to say where nothing that was read explains why an attempt failed.

use crate::View;
use crate::report::Unknown;
use crate::rules::container;
use crate::rules::listener::owner;
use unrefuse_facts::{Attempt, AttemptOutcome, FORWARDERS, Fate, Transport};

/// The open question of an attempt that no blocker explains.
pub(crate) fn unanswered(view: &View<'_>, attempt: &Attempt) -> Unknown {
    if let Some(unknown) = silent_service(view, attempt) {
        return unknown;
    }
    Unknown {
        what: format!("what stops the packets to {}", view.endpoint()),
        why: match attempt.errno {
            Some(errno) => format!("the attempt ended with {errno}, and nothing that was read explains it"),
            None => "the attempt was not answered, and nothing that was read explains it".to_owned(),
        },
        how_to_know: if view.is_local() == Some(true) {
            "run unrefuse as root; read the packet filter: nft list ruleset, iptables-save".to_owned()
        } else {
            format!("run unrefuse as root here, and on the server: {}", view.verify_there())
        },
    }
}

/// A UDP service of this machine that has the datagram and need not answer it: silence is no fault that could be seen.
fn silent_service(view: &View<'_>, attempt: &Attempt) -> Option<Unknown> {
    if view.transport() != Some(Transport::Udp) || attempt.outcome != AttemptOutcome::TimedOut {
        return None;
    }
    let (who, forwarder) = if view.redirected() {
        (container::taker_inside(view)?, None)
    } else {
        let table = view.server_sockets("").ok()??;
        let socket = *view.takers(table).first()?;
        let name = owner::short(table, socket);
        let forwards = table.owners(socket).iter().any(|p| FORWARDERS.contains(&p.command.as_str()));
        match container::taker_inside(view).filter(|_| forwards) {
            Some(inside) => (inside, Some(name)),
            None => (name, forwards.then(|| "it".to_owned())),
        }
    };
    let filters = view.judged().map(|judged| [&judged.egress, &judged.ingress]);
    let let_in = filters.is_some_and(|legs| legs.into_iter().flatten().all(|leg| leg.fate == Fate::Accepted));
    let way = if let_in { "nothing stops the datagram on its way" } else { "the datagram was not refused" };
    let why = match forwarder {
        Some(proxy) => {
            format!("{way}, but {proxy} forwards no empty one, and no other was sent: a service might act on it")
        }
        None => format!("{way}, and it was not answered: a UDP service need not answer an empty one"),
    };
    Some(Unknown {
        what: format!("whether {who} answers on {}", view.endpoint()),
        why,
        how_to_know: "ask with a client of that service".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::container::Made;
    use unrefuse_facts::{Observed, Protocol, Transport};

    fn udp(scene: Scene) -> crate::Report {
        scene.with(|case| case.target.protocol = Protocol::Udp).silent().report()
    }

    #[test]
    fn a_service_that_has_the_datagram_need_not_answer() {
        let report =
            udp(Scene::local("127.0.0.1:514").socket("0.0.0.0:514", "rsyslogd", |s| s.transport = Transport::Udp));
        assert!(report.blockers.is_empty(), "{:?}", report.blockers);
        assert_eq!(report.unknown[0].what, "whether rsyslogd[800] answers on 127.0.0.1:514");
        assert!(report.unknown[0].why.contains("need not answer an empty one"), "{:?}", report.unknown);
    }

    #[test]
    fn what_a_proxy_keeps_from_a_container_is_said() {
        let made = Made::new("dns").publish("5300:53").listens("0.0.0.0:53", "named").with(|c| {
            c.published.iter_mut().chain(&mut c.bound).for_each(|p| p.container.transport = Transport::Udp);
            if let Observed::Known { value, .. } = &mut c.sockets {
                value.listeners.iter_mut().for_each(|socket| socket.transport = Transport::Udp);
            }
        });
        let scene =
            Scene::local("127.0.0.1:5300").socket("0.0.0.0:5300", "docker-proxy", |s| s.transport = Transport::Udp);
        let report = udp(scene.containers(vec![made]));
        assert_eq!(report.unknown[0].what, "whether named[800] in container dns answers on 127.0.0.1:5300");
        assert!(report.unknown[0].why.contains("docker-proxy[800] forwards no empty one"), "{:?}", report.unknown);
    }

    #[test]
    fn tcp_and_other_machines_stay_a_riddle() {
        let tcp = Scene::local("127.0.0.1:514").listener("0.0.0.0:514", "x").silent().report();
        assert!(tcp.unknown.iter().any(|u| u.what.starts_with("what stops the packets")), "{:?}", tcp.unknown);
        let remote = udp(Scene::remote("10.9.0.1:514"));
        assert!(!remote.unknown.iter().any(|u| u.what.starts_with("whether")), "{:?}", remote.unknown);
    }
}

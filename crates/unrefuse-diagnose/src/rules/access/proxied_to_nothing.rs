//! access/proxied-to-nothing

use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence};
use crate::rule::cause;
use crate::rules::container;
use crate::rules::listener::owner;
use unrefuse_facts::{AttemptOutcome, FORWARDERS, Socket, SocketTable, Transport};

cause! {
    /// ## What it means
    ///
    /// A container engine's proxy on this machine (docker-proxy, rootlessport) takes the datagrams for a published UDP port,
    /// and in the container nothing takes them from it. The proxy keeps to itself that they were refused.
    ///
    /// ## How it shows
    ///
    /// Silence: the client waits until it gives up. By an address that the engine's rules send on to the container the same
    /// port is refused at once (ICMP port unreachable), since there the container's own kernel answers.
    ///
    /// ## How to confirm by hand
    ///
    /// `ss -lunp 'sport = :PORT'` shows the proxy; `nsenter -t PID -n ss -lun`, with the pid that `docker inspect -f
    /// '{{.State.Pid}}' NAME` prints, shows no socket on the port that `docker port NAME` names, or one on loopback.
    ///
    /// ## How to fix
    ///
    /// Let the application listen on the published port and on every address of its container, or publish the port that
    /// it listens on.
    ///
    /// ## What it is often mistaken for
    ///
    /// A firewall that drops. docker-proxy itself, which forwards no empty datagram: a probe that sends one gets no answer
    /// though all is well.
    id: "access/proxied-to-nothing",
    title: "an engine's proxy takes the datagrams, and nothing in the container does",
    needs: &["sockets", "containers", "sockets inside"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let silent = view.outcome() == Some(AttemptOutcome::TimedOut);
    if view.transport() != Some(Transport::Udp) || !(silent || view.judged_only()) {
        return Ok(Finding::Clear);
    }
    let Some((table, socket, dead)) = forwarded_to_nothing(view) else { return Ok(Finding::Clear) };
    let title = format!(
        "{} takes the datagrams to {} for a container, in which nothing takes them",
        owner::short(table, socket),
        view.endpoint()
    );
    let fired = Fired::new(Certainty::Proven, title).predicts(&[AttemptOutcome::TimedOut]);
    Ok(fired.evidence(owner::evidence(view, table, socket)).evidence(dead).fires())
}

/// An engine's proxy takes the packet, and what it would ask then is not there.
pub(super) fn forwarded_to_nothing<'a>(view: &View<'a>) -> Option<(&'a SocketTable, &'a Socket, Evidence)> {
    let table = view.server_sockets("").ok()??;
    let proxy = |socket: &&Socket| table.owners(socket).iter().any(|p| FORWARDERS.contains(&p.command.as_str()));
    let socket = view.takers(table).into_iter().find(proxy).filter(|_| !view.redirected())?;
    Some((table, socket, container::dead_end(view)?))
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::container::Made;
    use unrefuse_facts::{Case, Protocol, Transport};

    fn scene(inside: &str) -> Scene {
        let made = Made::new("dns").publish("5300:53").listens(inside, "named").with(|c| {
            c.published.iter_mut().chain(&mut c.bound).for_each(|p| p.container.transport = Transport::Udp);
            let table = match &mut c.sockets {
                unrefuse_facts::Observed::Known { value, .. } => value,
                unrefuse_facts::Observed::Missing(_) => panic!("its sockets are known"),
            };
            table.listeners.iter_mut().for_each(|socket| socket.transport = Transport::Udp);
        });
        let scene = Scene::local("127.0.0.1:5300").with(|case: &mut Case| case.target.protocol = Protocol::Udp);
        scene.socket("0.0.0.0:5300", "docker-proxy", |s| s.transport = Transport::Udp).containers(vec![made])
    }

    #[test]
    fn the_proxy_is_silent_about_what_the_container_refused() {
        let report = scene("127.0.0.1:53").silent().report();
        let blocker = &report.blockers[0];
        let ids: Vec<&str> = blocker.whys.iter().map(|why| why.id.as_str()).collect();
        assert_eq!(ids, ["access/proxied-to-nothing", "container/app-on-loopback"]);
        assert_eq!(blocker.certainty, Certainty::Proven);
        let other = scene("0.0.0.0:5353").silent().report();
        assert_eq!(other.blockers[0].root, "container/other-container-port");
    }

    #[test]
    fn what_listens_inside_may_be_silent_by_itself() {
        let report = scene("0.0.0.0:53").silent().report();
        assert!(report.blockers.is_empty(), "{:?}", report.blockers);
        assert!(scene("127.0.0.1:53").open().report().blockers.is_empty(), "open is open");
    }
}

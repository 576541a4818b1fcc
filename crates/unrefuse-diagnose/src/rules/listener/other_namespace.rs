//! listener/other-namespace

use super::owner;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use crate::{View, containers, fix};
use std::net::{IpAddr, SocketAddr};
use unrefuse_facts::text::visible;
use unrefuse_facts::{AttemptOutcome, NetNamespace, Reason, Socket, SocketTable, within};

/// More namespaces than these are counted, not listed: a busy container host has hundreds.
const LISTED: usize = 5;

cause! {
    /// ## What it means
    ///
    /// A process on this machine listens on that port, but in another network namespace: a container's, one made with
    /// `ip netns`, or one that systemd made for a unit (`PrivateNetwork=`). Each namespace has addresses, routes and ports
    /// of its own; a packet to this one's addresses never meets the sockets of another.
    ///
    /// ## How it shows
    ///
    /// Refused, though `ps` shows the service running, and inside the container or namespace it answers.
    ///
    /// ## How to confirm by hand
    ///
    /// `ip netns exec NAME ss -ltnp`, or `nsenter --net=/proc/PID/ns/net ss -ltnp` for the process's own namespace.
    ///
    /// ## How to fix
    ///
    /// Publish the container's port, ask the namespace's own address where it has one, or let the service run in this
    /// namespace.
    ///
    /// ## What it is often mistaken for
    ///
    /// `listener/none`: `ss` on the host shows nothing. A container engine's firewall rules.
    id: "listener/other-namespace",
    title: "it listens in another network namespace",
    root: false,
    instead_of: &["listener/none"],
    asks: Some("why it listens in another namespace: its container or its unit"),
    needs: &["sockets", "other namespaces"],
    likes: &["owners"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(transport) = view.transport() else { return Ok(Finding::Clear) };
    // That the table is missing is told by listener/none.
    let Ok(Some(table)) = view.server_sockets("") else { return Ok(Finding::Clear) };
    if !view.on_port(table, transport).is_empty() {
        return Ok(Finding::Clear);
    }
    let what = || format!("whether {} is listened on in another network namespace of this machine", view.port());
    let namespaces = match view.case.host.other_namespaces.get() {
        Ok(namespaces) => namespaces,
        Err(missing) if missing.reason == Reason::Absent => return Ok(Finding::Clear),
        Err(missing) => return Err(CannotTell::because(what(), missing)),
    };
    let mut found: Vec<(&NetNamespace, &SocketTable, &Socket)> = Vec::new();
    let mut unread = None;
    for namespace in namespaces {
        match namespace.table.get() {
            Ok(table) => found.extend(view.on_port(table, transport).into_iter().map(|s| (namespace, table, s))),
            Err(missing) => unread = Some(missing),
        }
    }
    // One that others can reach before one that takes only its own namespace's packets.
    found.sort_by_key(|(_, _, s)| {
        (s.local.ip().is_loopback(), s.local.ip().is_ipv4() != view.ip().is_some_and(|ip| ip.is_ipv4()))
    });
    let Some((namespace, inside, socket)) = found.first().copied() else {
        return unread.map_or(Ok(Finding::Clear), |missing| Err(CannotTell::because(what(), missing)));
    };
    let title = format!(
        "{} listens on {} in another network namespace, {}, not in this one",
        who(namespace, inside, socket),
        socket.local,
        visible(&namespace.label())
    );
    let mut fired = Fired::new(Certainty::Likely, title).predicts(&[AttemptOutcome::Refused]);
    for (namespace, table, socket) in found.iter().take(LISTED) {
        fired = fired.evidence(listener(view, namespace, table, socket));
    }
    if found.len() > LISTED {
        fired = fired.evidence(Evidence::new(
            format!("{} more sockets listen on {} in other namespaces", found.len() - LISTED, view.port()),
            owner::source(view),
        ));
    }
    fired = fired.evidence(Evidence::new(
        format!("no {} socket of this namespace listens on port {}", transport.name(), view.case.target.port),
        owner::source(view),
    ));
    Ok(fired.fix(instead(view, namespace, socket)).fires())
}

fn who(namespace: &NetNamespace, table: &SocketTable, socket: &Socket) -> String {
    match (&namespace.command, namespace.pid) {
        (Some(command), Some(pid)) if table.owners(socket).is_empty() => visible(&format!("{command}[{pid}]")),
        _ => owner::short(table, socket),
    }
}

fn listener(view: &View<'_>, namespace: &NetNamespace, table: &SocketTable, socket: &Socket) -> Evidence {
    let addresses: Vec<String> = routable(namespace).map(|ip| ip.to_string()).collect();
    let at = if addresses.is_empty() { String::new() } else { format!(", which has {}", addresses.join(", ")) };
    let holder =
        if table.owners(socket).is_empty() { who(namespace, table, socket) } else { owner::full(table, socket) };
    let text = format!(
        "{holder} listens on {}/{} in {}{at}",
        socket.local,
        socket.transport.name(),
        visible(&named(namespace))
    );
    Evidence::new(text, namespace.table.source().map_or_else(|| owner::source(view).to_owned(), |s| s.what.clone()))
}

/// `namespace web`; one without a name by what runs in it.
fn named(namespace: &NetNamespace) -> String {
    match (&namespace.name, &namespace.container, &namespace.command, namespace.pid) {
        (None, None, Some(command), Some(pid)) => format!("the network namespace of {command}[{pid}]"),
        _ => format!("namespace {}", namespace.label()),
    }
}

/// The namespace's addresses that others can reach.
fn routable(namespace: &NetNamespace) -> impl Iterator<Item = IpAddr> + '_ {
    let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    namespace
        .addresses
        .value()
        .into_iter()
        .flatten()
        .map(|a| a.address)
        .filter(move |ip| !ip.is_loopback() && !link_local(ip))
}

/// Whether that is an address of another machine in a network that an interface of this namespace is in: a bridge's, or
/// a veth's. What lies behind, in a namespace within a namespace, cannot be asked from here.
fn in_own_network(view: &View<'_>, ip: IpAddr) -> bool {
    let own = view.case.host.addresses.value().map_or(&[][..], Vec::as_slice);
    let is_up = |link| view.case.host.link(link).is_none_or(|link| link.up);
    own.iter().all(|a| a.address != ip)
        && own.iter().any(|a| is_up(a.link) && a.prefix > 0 && within(ip, a.address, a.prefix))
}

/// Asks the namespace's own address, or from inside.
fn instead(view: &View<'_>, namespace: &NetNamespace, socket: &Socket) -> Fix {
    let port = socket.local.port();
    let takes = |ip: &IpAddr| socket.takes(*ip) == Some(true);
    let same_family = |ip: &IpAddr| view.ip().is_some_and(|asked| asked.is_ipv4() == ip.is_ipv4());
    // The networks of a user's engine (slirp4netns, pasta) lie in a namespace of their own: no way leads there from here.
    let of_user = namespace.container.as_ref().is_some_and(|hint| {
        let found = containers::known(view).and_then(|facts| facts.find(&hint.id));
        found.is_some_and(|(engine, _)| engine.rootless_uid.is_some())
    });
    let reached = |ip: &IpAddr| !of_user && in_own_network(view, *ip);
    let outside = routable(namespace).filter(reached).filter(takes).max_by_key(same_family);
    if let Some(ip) = outside {
        let mut fix = fix::ask_instead(view, SocketAddr::new(ip, port));
        fix.title = format!("ask {}, the address of that namespace", SocketAddr::new(ip, port));
        return fix;
    }
    let inside = super::misfit::instead(socket);
    let fix = Fix::new(
        view,
        Risk::Low,
        format!("ask {inside} from inside the namespace, or let the service listen in this one"),
    );
    let name = namespace.name.clone().or_else(|| namespace.pid.map(|pid| pid.to_string()));
    let verify = name.and_then(|name| view.again().for_this_machine().inside(&name).at(&inside.to_string()));
    match verify {
        Some(verify) => fix.verify(verify),
        None => fix,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scene;
    use unrefuse_facts::{InterfaceAddress, Missing, Observed, Source};

    /// A namespace `web` with 10.88.0.2, in which nginx listens there.
    fn web(local: &str) -> NetNamespace {
        let inside = Scene::local("127.0.0.1:80").listener(local, "nginx").case();
        NetNamespace {
            inode: 4026532000,
            name: Some("web".into()),
            pid: Some(800),
            command: Some("nginx".into()),
            container: None,
            table: inside.host.sockets,
            addresses: addresses("10.88.0.2"),
        }
    }

    fn addresses(address: &str) -> Observed<Vec<InterfaceAddress>> {
        let address = InterfaceAddress { link: 2, address: address.parse().unwrap(), prefix: 24, tentative: false };
        Observed::known(vec![address], Source::running("rtnetlink"))
    }

    fn scene(namespace: NetNamespace) -> Scene {
        Scene::local("127.0.0.1:80")
            .with(|c| c.host.other_namespaces = Observed::known(vec![namespace], Source::running("/proc")))
    }

    #[test]
    fn another_namespace_listens_on_the_port() {
        let bridged = |c: &mut unrefuse_facts::Case| c.host.addresses = addresses("10.88.0.1");
        let report = scene(web("0.0.0.0:80")).with(bridged).rst().report();
        assert_eq!(report.blockers.len(), 1, "listener/none is not told beside it");
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("listener/other-namespace", Certainty::Likely));
        assert_eq!(
            blocker.whys[0].title,
            "nginx[800] listens on 0.0.0.0:80 in another network namespace, web, not in this one"
        );
        assert_eq!(blocker.fixes[0].verify, "unrefuse 10.88.0.2:80");
    }

    #[test]
    fn no_way_leads_to_a_network_that_this_machine_is_not_in() {
        for own in ["10.77.0.1", "10.88.0.2"] {
            let report = scene(web("0.0.0.0:80")).with(|c| c.host.addresses = addresses(own)).rst().report();
            assert_eq!(report.blockers[0].fixes[0].verify, "unrefuse --netns web 127.0.0.1:80", "{own}");
        }
    }

    #[test]
    fn on_loopback_there_it_is_asked_from_inside() {
        let report = scene(web("127.0.0.1:80")).rst().report();
        assert_eq!(report.blockers[0].fixes[0].verify, "unrefuse --netns web 127.0.0.1:80");
    }

    #[test]
    fn another_port_there_is_no_reason() {
        assert_eq!(scene(web("0.0.0.0:8080")).rst().roots(), ["listener/none"]);
    }

    #[test]
    fn a_listener_here_is_the_nearer_reason() {
        assert_eq!(scene(web("0.0.0.0:80")).listener("10.1.0.2:80", "x").rst().roots(), ["listener/other-address"]);
    }

    #[test]
    fn namespaces_that_may_not_be_read_leave_the_question_open() {
        let missing =
            Missing::new(Reason::Forbidden, "open /proc/1/ns/net: permission denied").remedy("run unrefuse as root");
        let forbidden = |c: &mut unrefuse_facts::Case| c.host.other_namespaces = Observed::Missing(missing.clone());
        let report = Scene::local("127.0.0.1:80").with(forbidden).rst().report();
        assert_eq!(report.blockers[0].root, "listener/none");
        assert!(report.unknown.iter().any(|u| u.what.contains("another network namespace")), "{:?}", report.unknown);
        let elsewhere = Scene::local("127.0.0.1:80").with(forbidden).listener("10.1.0.2:80", "x").rst().report();
        assert!(!elsewhere.unknown.iter().any(|u| u.what.contains("another network namespace")), "not asked there");
    }
}

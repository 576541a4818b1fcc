//! container/localhost-inside

use super::meant::facts;
use super::run::{Cli, argument};
use crate::View;
use crate::containers::{self, Inside, inside, is_up, name, network_owner};
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use crate::rules::service;
use std::net::{IpAddr, SocketAddr};
use unrefuse_facts::text::visible;
use unrefuse_facts::{
    AttemptOutcome, Container, ContainerFacts, ContainerNetwork, Engine, NetNamespace, NetworkMode, Socket,
};

cause! {
    /// ## What it means
    ///
    /// The client runs in a container and asks `localhost`. Inside, that is the container itself, not the host and not
    /// another container, and the container has no such service.
    ///
    /// ## How it shows
    ///
    /// Connection refused to 127.0.0.1 or ::1, although the same address answers on the host. In an application's words:
    /// "could not connect to server: Connection refused … host "localhost"".
    ///
    /// ## How to confirm by hand
    ///
    /// `docker exec NAME cat /etc/hosts`; `docker exec NAME nc -z localhost PORT` fails where `nc -z localhost PORT` on the
    /// host does not.
    ///
    /// ## How to fix
    ///
    /// A service in another container: ask its name, which is its service's name in a compose file; both must be on one
    /// network. A service of the host: ask `host.docker.internal`, with `--add-host=host.docker.internal:host-gateway` (in a
    /// compose file `extra_hosts:`), and let it listen on an address that containers reach, not on loopback only.
    ///
    /// ## What it is often mistaken for
    ///
    /// A service that is down (`listener/none`, `service/stopped`): it runs, elsewhere.
    id: "container/localhost-inside",
    title: "localhost inside a container is the container itself",
    explains: &["listener/none", "listener/other-namespace"],
    begins: false,
    needs: &["the container stood in"],
    likes: &["containers", "sockets of the host"],
    check: check,
}

/// Something that has the port, elsewhere.
enum Elsewhere<'a> {
    Container(&'a Container, &'a Socket),
    Host(&'a Socket),
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(facts) = facts(view)? else { return Ok(Finding::Clear) };
    let (Some(own), Some(ip)) = (containers::stood_in(facts), view.ip()) else { return Ok(Finding::Clear) };
    let me = facts.find(&own.name);
    let hosts = me.is_some_and(|(_, c)| c.network_mode == NetworkMode::Host);
    if !ip.is_loopback() || hosts || serves(view, me.map(|(_, c)| c)) {
        return Ok(Finding::Clear);
    }
    let found = elsewhere(view, facts, me.map(|(_, c)| c));
    // The container has a service of its own for that port: it is that one which does not run.
    let certainty = match service::meant_certainty(view) {
        None if !found.is_empty() || not_here(view) => Certainty::Likely,
        _ => Certainty::Possible,
    };
    let who = format!("container {}", visible(&own.name));
    let place = match found.first() {
        Some(Elsewhere::Container(c, _)) => format!("; {} has that port", name(c)),
        Some(Elsewhere::Host(_)) => "; the host has that port".to_owned(),
        None => String::new(),
    };
    let title =
        format!("{ip} inside {who} is the container itself, and nothing in it listens on {}{place}", view.port());
    let mut fired = Fired::new(certainty, title).predicts(&[AttemptOutcome::Refused]).evidence(Evidence::new(
        format!("the question was asked in the network namespace of {who}"),
        if own.entered { "--container" } else { "/proc/self/cgroup" },
    ));
    for one in &found {
        fired = match one {
            Elsewhere::Container(container, socket) => fired.evidence(containers::socket_evidence(container, socket)),
            Elsewhere::Host(socket) => fired.evidence(Evidence::new(
                format!("a socket of the host listens on {}/{}", socket.local, socket.transport.name()),
                "sockets of the host",
            )),
        };
    }
    for one in &found {
        fired.fixes.extend(fix(view, me, one));
    }
    if !found.iter().any(|one| matches!(one, Elsewhere::Container(..))) {
        fired.fixes.push(ask_host(view, me, found.first()));
    }
    Ok(fired.fires())
}

/// The container itself is where the service should run.
fn serves(view: &View<'_>, me: Option<&Container>) -> bool {
    let (Some(container), Some(transport)) = (me, view.transport()) else { return false };
    let port = view.case.target.port;
    let is_it = |p: &&unrefuse_facts::ContainerPort| p.port == port && p.transport == transport;
    container.exposed.iter().chain(container.published.iter().map(|p| &p.container)).any(|p| is_it(&p))
}

/// A known service is meant, and nothing in the container could serve it.
fn not_here(view: &View<'_>) -> bool {
    let services = view.case.host.services.value();
    services.is_some_and(|services| !services.sought.is_empty() && services.installed.is_empty())
}

/// Who else has the port: other containers, those of a shared network first, then the host.
fn elsewhere<'a>(view: &View<'a>, facts: &'a ContainerFacts, me: Option<&Container>) -> Vec<Elsewhere<'a>> {
    let (Some(transport), port) = (view.transport(), view.case.target.port) else { return Vec::new() };
    let mut found: Vec<(bool, Elsewhere<'a>)> = Vec::new();
    for (_, container) in facts.all().filter(|(_, c)| is_up(c) && me.is_none_or(|me| me.id != c.id)) {
        let uses_own = network_owner(facts, container).is_some_and(|owner| owner.id == container.id);
        if let (true, Inside::Listens(socket)) = (uses_own, inside(container, transport, port)) {
            let near = me.is_some_and(|me| shared(me, container).is_some());
            found.push((!near, Elsewhere::Container(container, socket)));
        }
    }
    found.sort_by_key(|(far, _)| *far);
    let mut found: Vec<Elsewhere<'a>> = found.into_iter().map(|(_, one)| one).take(3).collect();
    let is_host = |ns: &&NetNamespace| ns.container.is_none() && ns.pid == Some(1);
    let namespaces = view.case.host.other_namespaces.value().into_iter().flatten();
    let tables = namespaces.filter(is_host).filter_map(|ns| ns.table.value());
    found.extend(tables.flat_map(|table| view.on_port(table, transport)).next().map(Elsewhere::Host));
    found
}

/// The network that both are on, of the other one's.
fn shared<'a>(me: &Container, other: &'a Container) -> Option<&'a ContainerNetwork> {
    other.networks.iter().find(|network| me.networks.iter().any(|own| own.name == network.name))
}

fn fix(view: &View<'_>, me: Option<(&Engine, &Container)>, one: &Elsewhere<'_>) -> Option<Fix> {
    let Elsewhere::Container(other, socket) = one else { return None };
    let port = socket.local.port();
    let (engine, me) = me?;
    let host = other.compose.as_ref().map_or(other.name.as_str(), |compose| compose.service.as_str());
    match shared(me, other) {
        // The default network has no names.
        Some(network) if network.name == "bridge" || network.name == "podman" => {
            let address = SocketAddr::new(*network.addresses.first()?, port);
            let title =
                format!("ask {address}, its address until its next start; on a network of your own it has a name");
            Some(instead(view, title, &address.to_string()))
        }
        Some(_) => Some(instead(
            view,
            format!("ask {}:{port}, its name on the network of both", visible(host)),
            &format!("{host}:{port}"),
        )),
        None => {
            let network = other.networks.iter().find(|n| n.name != "bridge" && n.name != "podman")?;
            let words = format!("network connect {} {}", argument(&network.name)?, argument(&me.name)?);
            let back = format!("network disconnect {} {}", argument(&network.name)?, argument(&me.name)?);
            let cli = Cli::of(view, engine)?;
            let title =
                format!("put {} on network {}, then ask {}:{port}", name(me), visible(&network.name), visible(host));
            let mut fix =
                instead(view, title, &format!("{host}:{port}")).command(cli.run(&words)?).undo(cli.run(&back)?);
            fix.risk = Risk::Medium;
            Some(fix)
        }
    }
}

/// The host's service, by the gateway's address or its name for it.
fn ask_host(view: &View<'_>, me: Option<(&Engine, &Container)>, seen: Option<&Elsewhere<'_>>) -> Fix {
    let port = view.case.target.port;
    let gateways: Vec<IpAddr> =
        me.map(|(_, c)| c.networks.iter().flat_map(|n| n.gateways.clone()).collect()).unwrap_or_default();
    let gateway = gateways.iter().find(|ip| view.ip().is_some_and(|asked| asked.is_ipv4() == ip.is_ipv4()));
    let by_name =
        "host.docker.internal (with --add-host=host.docker.internal:host-gateway; host.containers.internal in Podman)";
    match (seen, gateway) {
        (Some(Elsewhere::Host(socket)), Some(gateway)) if socket.takes(*gateway) == Some(true) => {
            let address = SocketAddr::new(*gateway, port);
            instead(view, format!("ask the host at {address}, or by {by_name}"), &address.to_string())
        }
        (Some(Elsewhere::Host(socket)), Some(gateway)) => {
            let title = format!(
                "let the host's service listen on {gateway}, too (it has {} only), and ask it there, or by {by_name}",
                socket.local
            );
            Fix::new(view, Risk::Medium, title)
        }
        _ => {
            let title = format!("ask the host by {by_name}, port {port}; or the other container by its name");
            Fix::new(view, Risk::Low, title)
        }
    }
}

/// Asking something else from inside.
fn instead(view: &View<'_>, title: String, endpoint: &str) -> Fix {
    let fix = Fix::new(view, Risk::Low, title);
    match view.again().at(endpoint) {
        Some(verify) => fix.verify(verify),
        None => fix,
    }
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::container::Made;
    use crate::testing::filter::commands;
    use unrefuse_facts::{ContainerPort, Observed, OwnContainer, Transport};

    fn scene(made: Vec<Made>) -> Scene {
        let own = OwnContainer { engine: Some("docker".into()), name: "app".into(), entered: true };
        Scene::local("127.0.0.1:5432").containers(made).rst().with(|case| {
            case.vantage.container = Some("app".into());
            let Observed::Known { value, .. } = &mut case.host.containers else { unreachable!() };
            value.own = Some(own);
        })
    }

    fn on(made: Made, network: &str, address: &str) -> Made {
        made.with(|c| {
            c.id = c.name.repeat(20);
            c.networks[0].name = network.into();
            c.networks[0].addresses = vec![address.parse().unwrap()];
        })
    }

    fn db(network: &str) -> Made {
        on(Made::new("db").listens("0.0.0.0:5432", "postgres"), network, "172.20.0.3")
    }

    #[test]
    fn another_container_of_the_network_is_asked_by_its_name() {
        let report = scene(vec![on(Made::new("app"), "shop", "172.20.0.2"), db("shop")]).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("container/localhost-inside", Certainty::Likely));
        assert_eq!(
            blocker.whys[1].title,
            "127.0.0.1 inside container app is the container itself, and nothing in it listens on 5432/tcp; container db has that port"
        );
        assert_eq!(blocker.fixes[0].verify, "unrefuse --container app db:5432");
    }

    #[test]
    fn another_network_is_joined_first() {
        let report = scene(vec![on(Made::new("app"), "front", "172.21.0.2"), db("back")]).report();
        assert_eq!(commands(&report.blockers[0].fixes[0].steps), ["docker network connect back app"]);
    }

    #[test]
    fn where_nothing_is_seen_elsewhere_it_is_possible() {
        let report = scene(vec![on(Made::new("app"), "front", "172.21.0.2")]).report();
        assert_eq!(report.blockers[0].certainty, Certainty::Possible);
        assert!(report.blockers[0].fixes[0].title.contains("host.docker.internal"));
    }

    #[test]
    fn a_machine_in_a_container_is_a_host() {
        let roots = |engine: &str, entered| {
            let made = on(Made::new("web").listens("0.0.0.0:5432", "x"), "shop", "172.20.0.2");
            let own = OwnContainer { engine: Some(engine.into()), name: "100".into(), entered };
            let stand = |case: &mut unrefuse_facts::Case| {
                let Observed::Known { value, .. } = &mut case.host.containers else { unreachable!() };
                value.own = Some(own);
            };
            Scene::local("127.0.0.1:5432").containers(vec![made]).rst().with(stand).roots()
        };
        assert_eq!(roots("lxc", false), ["container/not-published"]);
        assert_eq!(roots("docker", false), ["container/not-published"], "its engine runs inside of it");
        assert_eq!(roots("docker", true), ["container/localhost-inside"]);
    }

    #[test]
    fn its_own_service_and_the_hosts_network_are_another_matter() {
        let port = ContainerPort { port: 5432, transport: Transport::Tcp };
        let own = on(Made::new("app").with(|c| c.exposed = vec![port]), "shop", "172.20.0.2");
        assert_eq!(scene(vec![own, db("shop")]).roots(), ["listener/none"]);
        let outside = Scene::local("127.0.0.1:5432").containers(vec![db("shop")]).rst();
        assert_eq!(outside.roots(), ["container/not-published"]);
    }
}

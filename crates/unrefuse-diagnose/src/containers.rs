//! What of containers several gates ask: whose address it is, what listens inside, who forwards for an engine.

use crate::View;
use crate::filter::{Leg, Stop};
use crate::report::Evidence;
use std::net::IpAddr;
use unrefuse_facts::text::visible;
use unrefuse_facts::{
    Container, ContainerFacts, ContainerStatus, Decider, Engine, FilterHook, Missing, NetworkMode, OwnContainer,
    Socket, SocketTable, Transport, is_engine_helper,
};

/// An engine's helper holds the socket: where it listens is for the engine to say.
pub(crate) fn is_forwarded(table: &SocketTable, socket: &Socket) -> bool {
    table.owners(socket).iter().any(|process| is_engine_helper(&process.command))
}

/// What was seen of containers.
pub(crate) fn known<'a>(view: &View<'a>) -> Option<&'a ContainerFacts> {
    view.case.host.containers.value()
}

/// The container stood in, where that is one for an application, and not the machine of its own that LXC and nspawn make, nor
/// one whose engine runs inside of it.
pub(crate) fn stood_in(facts: &ContainerFacts) -> Option<&OwnContainer> {
    let own = facts.own.as_ref()?;
    let machine = matches!(own.engine.as_deref(), Some("lxc" | "nspawn"));
    let asked = facts.engines.iter().any(|engine| engine.containers.value().is_some());
    (own.entered || !machine && (!asked || facts.find(&own.name).is_some())).then_some(own)
}

/// It has processes: it runs, or is frozen.
pub(crate) fn is_up(container: &Container) -> bool {
    matches!(container.status, ContainerStatus::Running | ContainerStatus::Paused)
}

/// The container whose network namespace this one uses: itself, or the one that `--network container:` names.
pub(crate) fn network_owner<'a>(facts: &'a ContainerFacts, container: &'a Container) -> Option<&'a Container> {
    match &container.network_mode {
        NetworkMode::Container(other) => facts.find(other).map(|(_, c)| c),
        _ => Some(container),
    }
}

/// Its addresses that others can reach; those of its networks, or the ones seen in its namespace.
pub(crate) fn addresses(container: &Container) -> Vec<IpAddr> {
    let of_networks = container.networks.iter().flat_map(|network| &network.addresses).copied();
    let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let seen = container.addresses.value().into_iter().flatten().map(|a| a.address);
    let mut all: Vec<IpAddr> = Vec::new();
    for ip in of_networks.chain(seen.filter(|ip| !ip.is_loopback() && !link_local(ip))) {
        if !all.contains(&ip) {
            all.push(ip);
        }
    }
    all
}

/// The running container that has the address in a network of its own. Those of a user's engine lie in a namespace of
/// their own, out of reach, and may be anybody's here.
pub(crate) fn by_address(facts: &ContainerFacts, ip: IpAddr) -> Option<(&Engine, &Container)> {
    let shares = |c: &Container| matches!(c.network_mode, NetworkMode::Host | NetworkMode::Container(_));
    facts.all().find(|(e, c)| e.rootless_uid.is_none() && is_up(c) && !shares(c) && addresses(c).contains(&ip))
}

/// What listens on a port inside a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inside<'a> {
    /// A socket that others reach.
    Listens(&'a Socket),
    /// A socket on the container's own loopback only.
    Loopback(&'a Socket),
    /// Nothing; what listens on other ports.
    Other(Vec<&'a Socket>),
    /// Its sockets were not seen.
    Unknown(&'a Missing),
}

/// What listens inside on `port`.
pub(crate) fn inside<'a>(container: &'a Container, transport: Transport, port: u16) -> Inside<'a> {
    let table = match container.sockets.get() {
        Ok(table) => table,
        Err(missing) => return Inside::Unknown(missing),
    };
    let of_transport = || table.listeners.iter().filter(|s| s.transport == transport);
    let loopback = |s: &&Socket| s.local.ip().to_canonical().is_loopback();
    let mut on_port = of_transport().filter(|s| s.local.port() == port);
    let (own, reached): (Vec<&Socket>, Vec<&Socket>) = on_port.by_ref().partition(loopback);
    match (reached.first(), own.first()) {
        (Some(socket), _) => Inside::Listens(socket),
        (None, Some(socket)) => Inside::Loopback(socket),
        (None, None) => {
            // Docker's own name server stands at 127.0.0.11.
            let dockers = |s: &&Socket| s.local.ip() == IpAddr::from([127, 0, 0, 11]);
            let mut others: Vec<&Socket> = of_transport().filter(|s| !dockers(s)).collect();
            others.sort_by_key(|s| (loopback(s), s.local.port()));
            others.dedup_by_key(|s| s.local.port());
            Inside::Other(others)
        }
    }
}

/// The packet is sent on to a running container and stopped in FORWARD, and no rule of the engine had a say there: its
/// chains are gone.
pub(crate) fn forward_rules_gone<'a>(view: &View<'a>, stop: &Stop<'_>) -> Option<(&'a Engine, &'a Container)> {
    let place = stop.decider().filter(|decider| !matches!(decider, Decider::Stack(_)))?.place()?;
    if stop.leg != Leg::In || place.hook != FilterHook::Forward || is_engine_word(&place.chain) {
        return None;
    }
    let to = stop.judgement.translated.as_ref()?.to;
    let met = |step: &unrefuse_facts::WayStep| {
        step.hook == FilterHook::Forward
            && [&step.table, &step.chain, &step.text].into_iter().any(|words| is_engine_word(words))
    };
    if stop.judgement.way.iter().any(met) {
        return None;
    }
    by_address(known(view)?, to.ip())
}

/// Chains and tables of engines: `DOCKER-USER`, `DOCKER-FORWARD`, `docker-bridges`, `NETAVARK_FORWARD`, `CNI-FORWARD`.
fn is_engine_word(words: &str) -> bool {
    ["DOCKER", "docker-bridges", "NETAVARK", "netavark", "CNI-"].iter().any(|word| words.contains(word))
}

/// The beginning of the id of the pod whose network this container holds: Podman names it `ID-infra` (libpod's
/// `createInfraContainer`), and users know it by its pod only.
pub(crate) fn pod(container: &Container) -> Option<&str> {
    let id = container.name.strip_suffix("-infra")?;
    (id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

/// `web`, or `pod 0123456789ab`, safe to show.
pub(crate) fn short(container: &Container) -> String {
    pod(container).map_or_else(|| visible(&container.name), |id| format!("pod {id}"))
}

/// `container web`, or `pod 0123456789ab`, safe to show.
pub(crate) fn name(container: &Container) -> String {
    if pod(container).is_some() {
        return short(container);
    }
    let name =
        if container.name.is_empty() { container.id.get(..12).unwrap_or(&container.id) } else { &container.name };
    format!("container {}", visible(name))
}

/// Where what is said of an engine's containers comes from.
pub(crate) fn source(engine: &Engine) -> String {
    engine.containers.source().map_or_else(|| engine.socket.clone(), |source| source.what.clone())
}

/// A socket inside with its owner, as evidence.
pub(crate) fn socket_evidence(container: &Container, socket: &Socket) -> Evidence {
    let owner = container.sockets.value().and_then(|table| table.owners(socket).first().map(|p| visible(&p.label())));
    let who = owner.unwrap_or_else(|| "a process".to_owned());
    let text = format!("{who} listens on {}/{} inside {}", socket.local, socket.transport.name(), name(container));
    Evidence::new(text, container.sockets.source().map_or("its network namespace", |source| &source.what))
}

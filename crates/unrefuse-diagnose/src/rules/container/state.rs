//! What is the matter with the container that was meant: each state has a cause of its own, so exactly one of them fires.

use super::meant::{Clue, Meant, is_down, meant, publications};
use crate::View;
use crate::containers::{Inside, inside, is_up, pod};
use crate::finding::CannotTell;
use std::net::IpAddr;
use unrefuse_facts::{
    Container, ContainerPort, ContainerStatus, Engine, EngineKind, Missing, NetworkMode, PublishedPort, Socket,
};

/// A container that was started so short ago, and not for the first time, is in a loop as long as it does not listen.
const SHORTLY: i64 = 60_000;

/// What is found first where a port is published, and not for the asked address.
pub(super) const NOT_TAKEN: &[&str] = &[
    "listener/loopback-only",
    "listener/other-address",
    "listener/other-family",
    "listener/none",
    "listener/other-namespace",
];

/// What is the matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State<'a> {
    /// Its engine does not run.
    EngineDown,
    /// It has no process, or none that stays, or they are frozen.
    Stopped,
    /// Nothing leads from the host's port to it.
    NotPublished,
    /// The host's port is published on loopback only.
    PublishedLoopback(Vec<PublishedPort>),
    /// The host's port is published on other addresses only.
    PublishedAddress(Vec<PublishedPort>),
    /// It is published on another port of the host.
    OtherHostPort(PublishedPort),
    /// Nothing listens inside on the port that packets are sent to; what does listen.
    OtherContainerPort(ContainerPort, Vec<&'a Socket>),
    /// Inside only the loopback address is listened on.
    AppOnLoopback(ContainerPort, Option<&'a Socket>),
    /// It listens where it is published.
    Serves(Option<PublishedPort>),
    /// Its sockets were not seen.
    Unseen(&'a Missing),
}

/// The container that was meant, and what is the matter with it.
///
/// # Errors
/// As [`meant`]; and where its sockets were not seen, for what asks of them.
pub(super) fn state<'a>(view: &View<'a>) -> Result<Option<(Meant<'a>, State<'a>)>, CannotTell> {
    let Some(mut meant) = meant(view)? else { return Ok(None) };
    let state = of(view, &meant);
    if let State::OtherContainerPort(_, others) = &state
        && let Some((_, partner)) = gone_partner(&meant).filter(|_| others.is_empty() || pod(meant.container).is_some())
    {
        // The network is there, and the container that listens in it is not.
        meant.certainty = if others.is_empty() { meant.certainty } else { meant.certainty.lowered() };
        meant.container = partner;
        return Ok(Some((meant, State::Stopped)));
    }
    Ok(Some((meant, state)))
}

fn of<'a>(view: &View<'a>, meant: &Meant<'a>) -> State<'a> {
    let (container, port) = (meant.container, view.case.target.port);
    let (Some(transport), Some(ip)) = (view.transport(), view.ip()) else { return State::Serves(None) };
    if is_down(meant.engine) {
        return State::EngineDown;
    }
    if container.status != ContainerStatus::Running {
        return State::Stopped;
    }
    let asked = ContainerPort { port, transport };
    match meant.clue {
        Clue::Address => within(meant, asked, None),
        Clue::Holds => State::AppOnLoopback(asked, None),
        Clue::OtherHostPort(other) => State::OtherHostPort(other),
        Clue::Published if is_discarded(meant) => State::NotPublished,
        Clue::Published => {
            let its = |p: &&PublishedPort| p.host_port == Some(port) && p.container.transport == transport;
            let all: Vec<PublishedPort> = publications(container).iter().filter(its).copied().collect();
            match publication_of(view, meant) {
                Some(publication) => within(meant, publication.container, Some(publication)),
                None if !all.is_empty() && !ip.is_loopback() && all.iter().all(on_loopback) => {
                    State::PublishedLoopback(all)
                }
                None if !all.is_empty() => State::PublishedAddress(all),
                None => State::NotPublished,
            }
        }
        Clue::Named(service) => {
            let of_service =
                |p: &&PublishedPort| service.has_port(p.container.port, p.container.transport) && p.host_port.is_some();
            match publications(container).iter().find(of_service) {
                Some(other) => State::OtherHostPort(*other),
                None => State::NotPublished,
            }
        }
        Clue::Exposes if container.network_mode == NetworkMode::Host => State::Serves(None),
        Clue::Exposes | Clue::Listens | Clue::OtherTransport(_) => State::NotPublished,
    }
}

/// A stopped container that shared this one's network: it may be the one that should listen.
fn gone_partner<'a>(meant: &Meant<'a>) -> Option<(&'a Engine, &'a Container)> {
    let own = meant.container;
    let shares =
        |c: &Container| matches!(&c.network_mode, NetworkMode::Container(of) if *of == own.name || *of == own.id);
    meant.facts.all().find(|(_, c)| shares(c) && !is_up(c))
}

/// It runs, and what was asked to be published is not: the host's network and none take no published ports, and Docker
/// publishes nothing for a container that is in no network, or in internal ones only.
fn is_discarded(meant: &Meant<'_>) -> bool {
    let container = meant.container;
    match container.network_mode {
        NetworkMode::Host | NetworkMode::None => true,
        NetworkMode::Bridge => meant.engine.kind == EngineKind::Docker && container.bound.is_empty(),
        _ => false,
    }
}

/// What waits where the packet is sent to.
fn within<'a>(meant: &Meant<'a>, to: ContainerPort, publication: Option<PublishedPort>) -> State<'a> {
    let container = meant.container;
    let looping = container.restarts > 0
        && container.started_ms.is_some_and(|started| meant.facts.now_ms.saturating_sub(started) < SHORTLY);
    match inside(container, to.transport, to.port) {
        Inside::Listens(_) => State::Serves(publication),
        _ if looping => State::Stopped,
        Inside::Loopback(socket) => State::AppOnLoopback(to, Some(socket)),
        Inside::Other(others) => State::OtherContainerPort(to, others),
        Inside::Unknown(missing) => State::Unseen(missing),
    }
}

/// The publication that takes up the asked packets.
pub(super) fn publication_of(view: &View<'_>, meant: &Meant<'_>) -> Option<PublishedPort> {
    let (port, transport, ip) = (view.case.target.port, view.transport()?, view.ip()?);
    let its =
        |p: &&PublishedPort| p.host_port == Some(port) && p.container.transport == transport && takes(meant, p, ip);
    publications(meant.container).iter().find(its).copied()
}

/// Podman's rules send IPv6 packets on to an IPv6 address of the container, and where it has none nothing takes them
/// (netavark's `setup_port_forward`); Docker has a proxy for these, and a user's engine is one.
pub(super) fn without_v6(meant: &Meant<'_>) -> bool {
    meant.engine.kind == EngineKind::Podman
        && meant.engine.rootless_uid.is_none()
        && meant.container.network_mode == NetworkMode::Bridge
        && !meant.container.networks.iter().flat_map(|network| &network.addresses).any(IpAddr::is_ipv6)
}

/// Packets to `ip` are taken up by this publication.
fn takes(meant: &Meant<'_>, publication: &PublishedPort, ip: IpAddr) -> bool {
    if ip.is_ipv6() && without_v6(meant) {
        return false;
    }
    match publication.host_address {
        None => true,
        Some(own) if own.is_unspecified() => own.is_ipv4() == ip.is_ipv4(),
        Some(own) => own == ip,
    }
}

fn on_loopback(publication: &PublishedPort) -> bool {
    publication.host_address.is_some_and(|own| own.to_canonical().is_loopback())
}

impl Meant<'_> {
    /// The open question, where what listens inside was not seen.
    pub(super) fn unseen(&self, missing: &Missing) -> CannotTell {
        CannotTell::because(format!("what listens inside {}", crate::containers::name(self.container)), missing)
    }
}

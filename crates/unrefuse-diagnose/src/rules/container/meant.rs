//! Which container was meant: by clues only, the strongest wins, and what is equal is named as open.

use crate::View;
use crate::containers::{self, Inside, inside, is_up};
use crate::finding::CannotTell;
use crate::report::{Certainty, Unknown};
use crate::rules::service;
use std::net::IpAddr;
use unrefuse_facts::catalogue::{self, KnownService};
use unrefuse_facts::text::visible;
use unrefuse_facts::{
    Container, ContainerFacts, Engine, EngineKind, Missing, NetworkMode, Protocol, PublishedPort, Reason, Transport,
    VantageKind,
};

/// Of more candidates than these the first ones are named.
const NAMED: usize = 4;

/// What speaks for a container, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clue {
    /// The scheme, or else the port, means a service that its image or its name says.
    Named(&'static KnownService),
    /// It exposes the port, which opens nothing.
    Exposes,
    /// It listens on the port, inside.
    Listens,
    /// The host's port is published to it, for the other of TCP and UDP only.
    OtherTransport(PublishedPort),
    /// Its port of that number is published, on another port of the host.
    OtherHostPort(PublishedPort),
    /// The host's port is published to it, by its own settings.
    Published,
    /// A process of it holds the socket: it uses the host's network.
    Holds,
    /// The address that is asked is its own.
    Address,
}

impl Clue {
    fn strength(self) -> u8 {
        match self {
            Self::Named(_) => 1,
            Self::Exposes => 2,
            Self::Listens | Self::OtherTransport(_) | Self::OtherHostPort(_) => 3,
            Self::Published => 4,
            Self::Holds | Self::Address => 5,
        }
    }
}

/// The container that was meant.
#[derive(Debug, Clone)]
pub(super) struct Meant<'a> {
    pub(super) facts: &'a ContainerFacts,
    pub(super) engine: &'a Engine,
    pub(super) container: &'a Container,
    pub(super) clue: Clue,
    /// How sure it is that this one was meant.
    pub(super) certainty: Certainty,
    /// Others for which as much speaks.
    pub(super) others: Vec<(&'a Engine, &'a Container)>,
}

type Candidate<'a> = (Clue, &'a Engine, &'a Container);

/// What was seen of containers, where the question is one of IP.
///
/// # Errors
/// Cannot tell where looking failed and the target is this machine's.
pub(super) fn facts<'a>(view: &View<'a>) -> Result<Option<&'a ContainerFacts>, CannotTell> {
    if view.case.target.protocol == Protocol::Unix {
        return Ok(None);
    }
    match view.case.host.containers.get() {
        Ok(facts) => Ok(Some(facts)),
        Err(missing) if matches!(missing.reason, Reason::NotLooked | Reason::Absent) => Ok(None),
        Err(_) if view.is_local() != Some(true) => Ok(None),
        Err(missing) => Err(CannotTell::because(question(view), missing)),
    }
}

fn question(view: &View<'_>) -> String {
    format!("whether a container should answer on {}", view.port())
}

/// The container that was meant; `None` where nothing speaks for one.
///
/// # Errors
/// Cannot tell where an engine could not be asked, and nothing else speaks for a container or surely for a service.
pub(super) fn meant<'a>(view: &View<'a>) -> Result<Option<Meant<'a>>, CannotTell> {
    let Some(facts) = facts(view)? else { return Ok(None) };
    let (Some(ip), Some(transport)) = (view.ip(), view.transport()) else { return Ok(None) };
    if let Some((engine, container)) = containers::by_address(facts, ip) {
        let clue = Clue::Address;
        return Ok(Some(Meant { facts, engine, container, clue, certainty: Certainty::Proven, others: Vec::new() }));
    }
    // What a host publishes is published in its own network namespace.
    let elsewhere = containers::stood_in(facts).is_some() || view.case.vantage.kind == VantageKind::Netns;
    if view.is_local() != Some(true) || elsewhere {
        return Ok(None);
    }
    let mut found: Vec<Candidate<'a>> = facts
        .all()
        .filter_map(|(engine, container)| Some((clue(view, facts, engine, container, transport)?, engine, container)))
        .collect();
    let Some(best) = found.iter().map(|(clue, ..)| clue.strength()).max() else {
        let sure = service::meant_certainty(view) == Some(Certainty::Proven);
        return unasked(view, facts).filter(|_| !sure).map_or(Ok(None), Err);
    };
    found.retain(|(clue, ..)| clue.strength() == best);
    narrow(view, &mut found);
    // Of those that ended the last one first; a published port before one that is not.
    found.sort_by_key(|(clue, _, c)| {
        (!matches!(clue, Clue::OtherHostPort(_)), std::cmp::Reverse(c.exit.and_then(|e| e.at_ms).or(c.started_ms)))
    });
    let (clue, engine, container) = found[0];
    let others: Vec<_> = found.iter().skip(1).map(|(_, engine, container)| (*engine, *container)).collect();
    let mut certainty = match clue {
        _ if !others.is_empty() => Certainty::Possible,
        Clue::Published | Clue::Holds | Clue::Address => Certainty::Proven,
        Clue::Listens | Clue::OtherHostPort(_) | Clue::OtherTransport(_) => Certainty::Likely,
        Clue::Exposes if container.sockets.value().is_none() => Certainty::Likely,
        Clue::Named(_) if view.case.target.scheme.is_some() => Certainty::Likely,
        Clue::Exposes | Clue::Named(_) => Certainty::Possible,
    };
    // A service of this machine for which as much speaks was as likely meant.
    if best < Clue::Published.strength() && service::meant_certainty(view) >= Some(certainty) {
        certainty = certainty.lowered();
    }
    Ok(Some(Meant { facts, engine, container, clue, certainty, others }))
}

/// Of equals those that publish the port on the asked address, of these those that run, and of these the ones that the
/// scheme or the port's custom means. One that does not run and wants all addresses is hardly meant: where another one has
/// the port on one of them, it could not start.
fn narrow(view: &View<'_>, found: &mut Vec<Candidate<'_>>) {
    let has_address = |c: &Container| {
        let takes = |ip| move |own: IpAddr| own == ip || is_up(c) && own.is_unspecified();
        let is_asked = |p: &PublishedPort| {
            p.host_port == Some(view.case.target.port)
                && view.ip().is_some_and(|ip| p.host_address.map_or(is_up(c), takes(ip)))
        };
        publications(c).iter().any(is_asked)
    };
    if found.iter().any(|(.., c)| has_address(c)) {
        found.retain(|(.., c)| has_address(c));
    }
    if found.iter().any(|(_, engine, c)| is_up(c) && !is_down(engine)) {
        found.retain(|(_, engine, c)| is_up(c) && !is_down(engine));
    }
    if found.iter().any(|(.., c)| named(view, c).is_some()) {
        found.retain(|(.., c)| named(view, c).is_some());
    }
}

/// The engine's daemon does not run.
pub(super) fn is_down(engine: &Engine) -> bool {
    let absent = engine.containers.missing().is_some_and(|missing| missing.reason == Reason::Absent);
    engine.kind == EngineKind::Docker
        && (engine.running == Some(false) || engine.running.is_none() && absent && engine.installed.is_some())
}

/// The question that stays open where an engine that may run was not asked.
fn unasked(view: &View<'_>, facts: &ContainerFacts) -> Option<CannotTell> {
    // Without a word on what would help, nobody needed to look.
    let open = |m: &&Missing| m.remedy.is_some() || !matches!(m.reason, Reason::NotLooked | Reason::Absent);
    let mut missing = facts.engines.iter().filter(|e| !is_down(e)).filter_map(|e| Some((e, e.containers.missing()?)));
    let (engine, missing) = missing.find(|(_, m)| open(m))?;
    let how = missing.remedy.clone().unwrap_or_else(|| format!("{} ps -a", engine.kind.command()));
    Some(CannotTell::new(question(view), missing.detail.clone(), how))
}

/// What the engine published, or what was asked of it while nothing is.
pub(super) fn publications(container: &Container) -> &[PublishedPort] {
    if container.bound.is_empty() { &container.published } else { &container.bound }
}

fn clue(
    view: &View<'_>,
    facts: &ContainerFacts,
    engine: &Engine,
    container: &Container,
    transport: Transport,
) -> Option<Clue> {
    let port = view.case.target.port;
    if matches!(container.network_mode, NetworkMode::Container(_)) {
        // Its ports are the other one's, which is looked at by itself.
        return None;
    }
    let up = is_up(container) && !is_down(engine);
    let on_host = |p: &&PublishedPort| p.host_port == Some(port);
    let is_it = |p: &&PublishedPort| p.container.transport == transport;
    let all = || container.bound.iter().chain(&container.published);
    let exposes = container.exposed.iter().any(|p| p.port == port && p.transport == transport);
    let published = all().filter(on_host).any(|p| is_it(&p));
    if container.network_mode == NetworkMode::Host {
        let held = up && holds(view, container);
        // The host's network takes no published ports: `-p` says what was wanted, and does nothing.
        let wanted = if up && published { Some(Clue::Published) } else { (!up && exposes).then_some(Clue::Exposes) };
        return held.then_some(Clue::Holds).or(wanted);
    }
    if published {
        return Some(Clue::Published);
    }
    if !up {
        // Were it started, the port would be as closed.
        return None;
    }
    if let Some(other) = all().find(on_host) {
        return Some(Clue::OtherTransport(*other));
    }
    let elsewhere = |p: &&PublishedPort| p.container.port == port && is_it(p) && p.host_port.is_some();
    if let Some(other) = all().find(elsewhere) {
        return Some(Clue::OtherHostPort(*other));
    }
    let namespace = containers::network_owner(facts, container).unwrap_or(container);
    match inside(namespace, transport, port) {
        Inside::Listens(_) | Inside::Loopback(_) => return Some(Clue::Listens),
        _ if exposes => return Some(Clue::Exposes),
        _ => {}
    }
    named(view, container).map(Clue::Named)
}

/// A process of the container has the socket on the host's port.
fn holds(view: &View<'_>, container: &Container) -> bool {
    let (Some(table), Some(transport)) = (view.case.host.sockets.value(), view.transport()) else { return false };
    let its = |hint: &unrefuse_facts::ContainerHint| {
        hint.id == container.name || hint.id.len() >= 12 && container.id.starts_with(&hint.id)
    };
    let owners = view.on_port(table, transport).into_iter().flat_map(|socket| table.owners(socket));
    owners.filter_map(|process| process.running_as.container.as_ref()).any(its)
}

/// The service that the scheme, or else the port, means, where the container's image, name or compose service says it.
fn named(view: &View<'_>, container: &Container) -> Option<&'static KnownService> {
    let target = &view.case.target;
    // Of a web server's scheme everything is asked, on every port: it means none.
    let scheme = target.scheme.as_deref().filter(|scheme| !matches!(*scheme, "http" | "https" | "ws" | "wss"));
    let mut services: Vec<&KnownService> = scheme.into_iter().flat_map(catalogue::by_scheme).collect();
    if services.is_empty() {
        services = catalogue::by_port(target.port, view.transport()?).collect();
    }
    let image = container.image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let image = image.split(':').next().unwrap_or_default();
    let compose = container.compose.as_ref().map(|compose| compose.service.as_str());
    let texts = [Some(image), Some(container.name.as_str()), compose];
    let words = texts.into_iter().flatten().flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric()));
    let words: Vec<String> = words.filter(|w| w.len() >= 4).map(str::to_ascii_lowercase).collect();
    services.into_iter().find(|service| {
        let own = || [service.id].into_iter().chain(service.processes.iter().copied());
        // `mongo` is short for `mongodb`, `postgres` for `postgresql`.
        words.iter().any(|word| own().any(|own| own.starts_with(word.as_str()) || word.starts_with(own)))
    })
}

impl Meant<'_> {
    /// What stays open where others are as likely.
    pub(super) fn open(&self) -> Option<Unknown> {
        let name = |c: &Container| visible(&c.name);
        let mut names: Vec<String> = self.others.iter().take(NAMED).map(|(_, c)| name(c)).collect();
        if self.others.len() > NAMED {
            names.push(format!("{} more", self.others.len() - NAMED));
        }
        (!names.is_empty()).then(|| Unknown {
            what: format!("which container was meant: {} or {}", name(self.container), names.join(" or ")),
            why: "as much speaks for each of them".into(),
            how_to_know: "the container that should answer on that port; its compose file or its image says".into(),
        })
    }
}

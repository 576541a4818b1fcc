//! Which configured address belongs to the sockets that miss the packet.

use super::once_started;
use super::runner::Runner;
use crate::View;
use crate::finding::CannotTell;
use crate::report::{Certainty, Unknown};
use crate::rules::service;
use std::net::IpAddr;
use unrefuse_facts::catalogue;
use unrefuse_facts::text::visible;
use unrefuse_facts::{
    ConfiguredListen, ConfiguredProcess, ListenAddress, Origin, Protocol, Reason, ServiceConfig, Setting, Socket,
    SocketTable, Transport, UnitFacts,
};

/// A socket of a service with the line that made it; or, of a service that does not run, that would make it.
#[derive(Debug)]
pub(super) struct Decided<'a> {
    pub(super) config: &'a ServiceConfig,
    pub(super) runner: Runner<'a>,
    pub(super) listen: &'a ConfiguredListen,
}

impl Decided<'_> {
    /// Its address does not take the packet, whatever the port.
    pub(super) fn misses(&self, view: &View<'_>) -> bool {
        view.ip().is_some_and(|ip| takes(view, self.listen, ip) == Some(false))
    }
}

/// Whether a packet to `ip` would be taken, port aside; an interface takes what is for its own addresses.
pub(super) fn takes(view: &View<'_>, listen: &ConfiguredListen, ip: IpAddr) -> Option<bool> {
    match &listen.address {
        ListenAddress::Interface(name) => has_address(view, name, ip),
        _ => listen.takes(ip),
    }
}

/// Whether it is an address of that interface; `None` where there is no such interface, or that was not seen.
fn has_address(view: &View<'_>, interface: &str, ip: IpAddr) -> Option<bool> {
    let host = &view.case.host;
    let link = host.links.value()?.iter().find(|link| link.name == interface)?.index;
    // Every address of 127.0.0.0/8 is the loopback interface's.
    let loopback = interface == "lo" && ip.is_loopback();
    Some(loopback || host.addresses.value()?.iter().any(|own| own.link == link && own.address == ip))
}

/// Why a configured address is not the one that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A line that it beats would take the packet.
    Overridden,
    /// Nothing is configured.
    Default,
    Loopback,
    OtherAddress,
}

/// The configurations, where somebody looked.
///
/// # Errors
/// Cannot tell where looking failed.
pub(super) fn configs<'a>(view: &View<'a>) -> Result<&'a [ServiceConfig], CannotTell> {
    match view.case.host.configs.get() {
        Ok(configs) => Ok(configs),
        Err(missing) if missing.reason == Reason::NotLooked => Ok(&[]),
        Err(missing) => Err(CannotTell::because("what the service's configuration says", missing)),
    }
}

/// The socket table and its transport, where this machine is the server.
fn table<'a>(view: &View<'a>) -> Option<(&'a SocketTable, Transport)> {
    Some((view.server_sockets("").ok()??, view.transport()?))
}

/// Somebody listens on the asked port, at whatever address.
pub(super) fn is_listened_on(view: &View<'_>) -> bool {
    table(view).is_some_and(|(table, transport)| !view.on_port(table, transport).is_empty())
}

/// The sockets of a configuration's process, and those whose owner this user may not see.
pub(super) fn sockets<'a>(view: &View<'a>, process: &ConfiguredProcess) -> Vec<&'a Socket> {
    let Some((table, transport)) = table(view) else { return Vec::new() };
    let its = |socket: &&Socket| {
        let owners = table.owners(socket);
        let unseen = owners.is_empty() && (table.holders.value().is_none() || table.unreadable_processes > 0);
        socket.transport == transport && (unseen || owners.iter().any(|owner| process.pids.contains(&owner.pid)))
    };
    table.listeners.iter().filter(its).collect()
}

/// A process of the configuration has a socket that it listens with.
pub(super) fn has_socket(view: &View<'_>, process: &ConfiguredProcess) -> bool {
    let Some((table, _)) = table(view) else { return false };
    sockets(view, process).iter().any(|socket| !table.owners(socket).is_empty())
}

/// The protocol that a configured address must have.
pub(super) fn protocol(view: &View<'_>) -> Protocol {
    view.case.target.protocol
}

/// A default that a line which could not be read may have changed: nobody knows whether it holds.
pub(super) fn is_guess(config: &ServiceConfig, listen: &ConfiguredListen) -> bool {
    config.is_uncertain() && matches!(listen.address_from.origin, Origin::Default(_))
}

/// A configured address that takes what is asked: address, port and protocol.
pub(super) fn taker<'a>(view: &View<'_>, config: &'a ServiceConfig) -> Option<&'a ConfiguredListen> {
    let ip = view.ip()?;
    let is_taker = |listen: &&ConfiguredListen| {
        listen.port == view.case.target.port
            && listen.protocol == protocol(view)
            && takes(view, listen, ip) == Some(true)
    };
    let taker = config.listens.iter().find(is_taker).filter(|_| config.disabled.is_none());
    taker.filter(|listen| !is_guess(config, listen))
}

/// The socket on the target's port whose configured address is known, and why that address is another one.
///
/// `None` where no socket's process has a configuration, where the configuration says what is asked (then it was not
/// loaded), and where no configured address is the socket's. Where nothing listens, of the stopped unit that is meant.
///
/// # Errors
/// As [`configs`]; and where the file that decides could not be read.
pub(super) fn misfit<'a>(view: &View<'a>) -> Result<Option<(Decided<'a>, Kind)>, CannotTell> {
    let Some(ip) = view.ip() else { return Ok(None) };
    for config in configs(view)? {
        let Some(process) = &config.process else { continue };
        if taker(view, config).is_some() {
            continue;
        }
        let mut own = sockets(view, process);
        own.retain(|socket| socket.local.port() == view.case.target.port);
        let mut found: Vec<&ConfiguredListen> = own
            .iter()
            .filter_map(|socket| config.listens.iter().find(|listen| made(view, config, listen, socket)))
            .collect();
        found.retain(|listen| !is_beside(config, listen, ip));
        // Of the same family as the asked address first: its line is the one to change.
        found.sort_by_key(|listen| listen.address.is_v6().is_some_and(|v6| v6 != ip.is_ipv6()));
        let out = || left_out(view, config, ip).filter(|_| !own.is_empty());
        let listen = found.into_iter().next().or_else(out).filter(|listen| !is_guess(config, listen));
        let Some(listen) = listen else {
            let concerned = is_meant(view, config) || has_socket(view, process);
            match unread(config).next().filter(|_| concerned && !own.is_empty()) {
                Some(unknown) => return Err(CannotTell(unknown)),
                None => continue,
            }
        };
        return Ok(Some((Decided { config, runner: Runner::Process(process), listen }, kind(listen, ip))));
    }
    Ok(once_started::misfit(view).map(|decided| {
        let kind = kind(decided.listen, ip);
        (decided, kind)
    }))
}

fn kind(listen: &ConfiguredListen, ip: IpAddr) -> Kind {
    let beaten = |setting: &Setting| {
        setting.beats.iter().any(|beaten| beaten.addresses.iter().any(|a| a.takes(ip, None) == Some(true)))
    };
    if beaten(&listen.address_from) {
        Kind::Overridden
    } else if matches!(listen.address_from.origin, Origin::Default(_)) {
        Kind::Default
    } else if listen.address.is_loopback() && !ip.is_loopback() {
        Kind::Loopback
    } else {
        Kind::OtherAddress
    }
}

/// BIND has a list for each family with a default of its own, and opens a socket for each of the machine's addresses.
fn goes_by_family(config: &ServiceConfig) -> bool {
    config.service == "bind"
}

/// What is said of the other family says nothing of this one.
pub(super) fn is_beside(config: &ServiceConfig, listen: &ConfiguredListen, ip: IpAddr) -> bool {
    goes_by_family(config) && listen.address.is_v6().is_some_and(|v6| v6 != ip.is_ipv6())
}

/// The line that leaves the family of `ip` out at the asked port.
fn left_out<'a>(view: &View<'_>, config: &'a ServiceConfig, ip: IpAddr) -> Option<&'a ConfiguredListen> {
    let none = ListenAddress::Listed { v6: ip.is_ipv6(), by: None };
    let target = (view.case.target.port, protocol(view));
    config.listens.iter().find(|listen| listen.address == none && (listen.port, listen.protocol) == target)
}

/// The configured address is the socket's.
fn made(view: &View<'_>, config: &ServiceConfig, listen: &ConfiguredListen, socket: &Socket) -> bool {
    let transport = match socket.transport {
        Transport::Tcp => Protocol::Tcp,
        Transport::Udp => Protocol::Udp,
    };
    if listen.port != socket.local.port() || listen.protocol != transport {
        return false;
    }
    let own = socket.local.ip().to_canonical();
    match &listen.address {
        ListenAddress::Any => own.is_unspecified(),
        ListenAddress::Ip(ip) if ip.is_unspecified() && goes_by_family(config) => ip.is_ipv4() == own.is_ipv4(),
        ListenAddress::Ip(ip) => ip.to_canonical() == own,
        name @ ListenAddress::Name(_) if name.is_loopback() => own.is_loopback(),
        ListenAddress::Name(_) => !own.is_unspecified() && !own.is_loopback(),
        ListenAddress::Interface(name) => has_address(view, name, own) == Some(true),
        ListenAddress::Listed { v6, by } => by.is_some() && *v6 == own.is_ipv6(),
        ListenAddress::Unix(_) => false,
    }
}

/// The service that the question means listens on other ports only, or would where it does not run: its configured address
/// with another port.
///
/// # Errors
/// As [`configs`].
pub(super) fn elsewhere<'a>(view: &View<'a>) -> Result<Option<Decided<'a>>, CannotTell> {
    // For a unit that was to run and does not more may speak than the port's custom does for one that runs.
    let wanted = |unit: &UnitFacts| unit.is_enabled() == Some(true) || unit.started_ms.is_some();
    if service::stopped(view).is_some_and(wanted) && service::meant_certainty(view) >= Some(Certainty::Likely) {
        return Ok(once_started::elsewhere(view));
    }
    Ok(runs_elsewhere(view)?.or_else(|| once_started::elsewhere(view)))
}

/// The service that the question means runs, and listens on other ports only.
///
/// # Errors
/// As [`configs`].
pub(super) fn runs_elsewhere<'a>(view: &View<'a>) -> Result<Option<Decided<'a>>, CannotTell> {
    for config in configs(view)? {
        let Some(process) = config.process.as_ref().filter(|_| is_meant(view, config)) else { continue };
        let is_beside = |listen: &ConfiguredListen| view.ip().is_some_and(|ip| is_beside(config, listen, ip));
        let asked = |l: &&ConfiguredListen| l.port == view.case.target.port && l.protocol == protocol(view);
        if config.listens.iter().filter(asked).any(|listen| !is_beside(listen)) {
            continue;
        }
        let own = sockets(view, process);
        let mut found: Vec<&ConfiguredListen> = own
            .iter()
            .filter_map(|socket| config.listens.iter().find(|listen| made(view, config, listen, socket)))
            .collect();
        found.sort_by_key(|listen| moved_first(view, listen));
        if let Some(listen) = found.into_iter().next() {
            return Ok(Some(Decided { config, runner: Runner::Process(process), listen }));
        }
    }
    Ok(None)
}

/// Orders addresses with other ports than the asked one: a port that somebody wrote down was moved; a default one may serve
/// something else (IMAP beside IMAPS).
pub(super) fn moved_first(view: &View<'_>, listen: &ConfiguredListen) -> (bool, bool, u16) {
    let takes = view.ip().and_then(|ip| takes(view, listen, ip)) == Some(true);
    (!takes, matches!(listen.port_from.origin, Origin::Default(_)), listen.port)
}

/// The target's scheme, or else its port, means that service.
pub(super) fn is_meant(view: &View<'_>, config: &ServiceConfig) -> bool {
    let target = &view.case.target;
    let by_scheme = target.scheme.as_deref().map(|scheme| catalogue::by_scheme(scheme).collect::<Vec<_>>());
    match by_scheme.filter(|services| !services.is_empty()) {
        Some(services) => services.iter().any(|service| service.id == config.service),
        None => view.transport().is_some_and(|transport| {
            catalogue::by_port(target.port, transport).any(|service| service.id == config.service)
        }),
    }
}

/// How sure a configuration is: less where it was read in part only, or where nobody saw that the socket is its service's.
pub(super) fn certainty(view: &View<'_>, config: &ServiceConfig) -> Certainty {
    let Some((table, transport)) = table(view) else { return Certainty::Likely };
    let unseen = view.on_port(table, transport).iter().any(|socket| table.owners(socket).is_empty());
    if config.is_uncertain() || unseen { Certainty::Likely } else { Certainty::Proven }
}

/// What of a configuration could not be read and may decide.
pub(super) fn unread(config: &ServiceConfig) -> impl Iterator<Item = Unknown> + '_ {
    config.problems.iter().filter(|problem| problem.hides).map(|problem| {
        let place = match problem.line {
            Some(line) => format!("{}:{line}", problem.path),
            None => problem.path.clone(),
        };
        Unknown {
            what: visible(&format!("whether {} says where {} listens", place, config.name)),
            why: visible(&problem.why),
            how_to_know: problem.remedy.clone().unwrap_or_else(|| visible(&format!("read {place} by hand"))),
        }
    })
}

//! A container asked at its own address, where an engine's proxy kept the question from it: docker-proxy forwards no empty
//! datagram (the loop in moby's `UDPProxy.Run` writes until as much is written as was read), so silence says nothing.

use super::Options;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use unrefuse_facts::{Attempt, AttemptOutcome, Case, Container, FORWARDERS, Protocol, Transport};
use unrefuse_probe::AttemptOptions;

/// A container of this machine answers in milliseconds.
const WAIT: Duration = Duration::from_millis(400);

/// An answer of the container counts as one to the attempt; it is told by whom.
pub(super) fn ask(case: &mut Case, options: &Options) {
    if case.target.protocol != Protocol::Udp || !case.attempts.iter().any(is_silent) || !held_by_proxy(case) {
        return;
    }
    let Some(there) = behind(case) else { return };
    let how = AttemptOptions {
        protocol: Protocol::Udp,
        timeout: options.timeout.min(WAIT),
        deadline: options.deadline,
        rounds: 1,
        sniff: false,
        watch: &|_, _| None,
    };
    let Some(answered) = unrefuse_probe::attempts(&[there], &how).pop().filter(|a| a.outcome == AttemptOutcome::Open)
    else {
        return;
    };
    let local: Vec<bool> = case.attempts.iter().map(|a| case.is_local(a.address.ip()) == Some(true)).collect();
    for (attempt, local) in case.attempts.iter_mut().zip(local) {
        if local && is_silent(attempt) {
            attempt.outcome = AttemptOutcome::Open;
            attempt.answer = answered.answer.clone();
        }
    }
}

fn is_silent(attempt: &Attempt) -> bool {
    attempt.outcome == AttemptOutcome::TimedOut && attempt.given_up.is_none()
}

/// An engine's proxy, and nobody else, has the port.
fn held_by_proxy(case: &Case) -> bool {
    let Some(table) = case.host.sockets.value() else { return false };
    let its = |s: &&unrefuse_facts::Socket| s.transport == Transport::Udp && s.local.port() == case.target.port;
    let mut sockets = table.listeners.iter().filter(its).peekable();
    let is_proxy = |command: &str| FORWARDERS.contains(&command);
    sockets.peek().is_some() && sockets.all(|s| table.owners(s).iter().any(|p| is_proxy(&p.command)))
}

/// The address and port in the one container that the port is published to.
fn behind(case: &Case) -> Option<SocketAddr> {
    let facts = case.host.containers.value()?;
    let mut found =
        facts.all().filter(|(engine, _)| engine.rootless_uid.is_none()).filter_map(|(_, c)| inside(case, c));
    found.next().filter(|_| found.next().is_none())
}

fn inside(case: &Case, container: &Container) -> Option<SocketAddr> {
    let its = |p: &&unrefuse_facts::PublishedPort| {
        p.host_port == Some(case.target.port) && p.container.transport == Transport::Udp
    };
    let port = container.bound.iter().find(its)?.container.port;
    let mut addresses = container.networks.iter().flat_map(|network| &network.addresses).copied();
    addresses.find(IpAddr::is_ipv4).map(|ip| SocketAddr::new(ip, port))
}

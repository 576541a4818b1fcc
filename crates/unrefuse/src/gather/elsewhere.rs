//! A port of this machine is open from here: what the packet filters do with the packets of other machines to it.
//!
//! "Works locally, not from elsewhere" is answered by the same call. Which machine would ask is not said, so the source
//! is left open: what depends on it stays undecided, and only what holds for all of them is told.

use super::firewall::judged_in;
use super::machine::LiveMachine;
use crate::ask::ask;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;
use unrefuse_collect::Host;
use unrefuse_facts::{AttemptOutcome, Case, Family, FromElsewhere, Observed, Protocol, Transport};
use unrefuse_firewall::spec::PacketSpec;

/// Interfaces that are asked.
const INTERFACES: usize = 16;

/// Judges a packet of any source to the port, by each interface that has an address of its family.
pub(super) fn elsewhere(case: &Case, host: &Arc<dyn Host>, until: Instant) -> Observed<Vec<FromElsewhere>> {
    let Some((family, ways, uid)) = asked(case) else {
        return Observed::not_looked("no port of this machine that other machines could reach was open");
    };
    let (protocol, host) = (case.target.protocol, Arc::clone(host));
    let judge = move || {
        let machine = match LiveMachine::new(&host, family) {
            Ok(machine) => machine,
            Err(missing) => return Observed::Missing(missing),
        };
        let judged = |(interface, address): (String, SocketAddr)| {
            let packet = match protocol {
                Protocol::Udp => PacketSpec::udp(None, address.ip(), address.port()),
                _ => PacketSpec::tcp(None, address.ip(), address.port()),
            };
            let mut question = machine.arriving(Some(&interface), packet);
            question.server_uid = uid;
            FromElsewhere { ingress: judged_in(&machine, &question), interface, address }
        };
        Observed::known(ways.into_iter().map(judged).collect(), super::firewall::source())
    };
    ask("the packet filter", until, judge).wait().unwrap_or_else(Observed::Missing)
}

/// Interfaces with the address that packets by them would go to, and the user of the listener.
type Ways = (Family, Vec<(String, SocketAddr)>, Option<u32>);

fn asked(case: &Case) -> Option<Ways> {
    let open = case.attempts.iter().find(|attempt| attempt.outcome == AttemptOutcome::Open)?.address;
    if case.is_local(open.ip()) != Some(true) {
        return None;
    }
    let family = Family::of(&open.ip());
    let transport = if case.target.protocol == Protocol::Udp { Transport::Udp } else { Transport::Tcp };
    let on_port = |s: &&unrefuse_facts::Socket| {
        s.transport == transport && s.local.port() == open.port() && !s.local.ip().is_loopback()
    };
    let listener = case.host.sockets.value()?.listeners.iter().find(on_port)?;
    let (links, addresses) = (case.host.links.value()?, case.host.addresses.value()?);
    let usable = |address: &IpAddr| Family::of(address) == family && !address.is_loopback() && !link_local(*address);
    let mut ways = Vec::new();
    for link in links.iter().filter(|link| link.up && !link.loopback) {
        let own = addresses.iter().filter(|a| a.link == link.index).map(|a| a.address).find(usable);
        // By an address of its own, where one was asked for; else by that of the interface.
        let to = if open.ip().is_loopback() { own } else { own.map(|_| open.ip()) };
        ways.extend(to.map(|to| (link.name.clone(), SocketAddr::new(to, open.port()))));
    }
    let whole = !ways.is_empty() && ways.len() <= INTERFACES;
    whole.then_some((family, ways, Some(listener.uid)))
}

fn link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

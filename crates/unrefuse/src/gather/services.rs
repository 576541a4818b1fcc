//! Services: asked where this machine should take the packet and nothing does, or where a unit's own policy may stop it.

use crate::ask::{Asked, ask};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use unrefuse_collect::namespace;
use unrefuse_collect::services::{ServiceQuery, services};
use unrefuse_collect::{Host, Owners, SocketQuery, States};
use unrefuse_facts::{
    AttemptOutcome, Case, Observed, Protocol, ServiceFacts, SocketState, SocketTable, Source, Transport, UnitFacts,
};

/// A manager on a busy machine, or a journal on a slow disk, may take this long.
const WAIT: Duration = Duration::from_secs(3);

/// A look at services that is under way.
pub(crate) struct Services {
    facts: Asked<ServiceFacts>,
    port_users: Option<Asked<Observed<SocketTable>>>,
    /// The network namespace is not the machine's own: of its services, these hold the port here.
    apart: Option<Vec<String>>,
}

impl Services {
    /// Starts to look where the case needs it.
    pub(crate) fn start(case: &Case, host: &Arc<dyn Host>, until: Instant) -> Option<Self> {
        let query = query(case)?;
        // A little earlier than it is waited for, so that what is there by then is told.
        let until = until.min(Instant::now() + WAIT);
        let port_users = query.port.filter(|_| query.meant).map(|port| {
            let (host, transport) = (Arc::clone(host), query.transport);
            ask("connections on the port", until, move || port_users(host.as_ref(), port, transport))
        });
        let end = until + Duration::from_millis(100);
        let apart = (case.host.own.netns_is_init == Some(false)).then(|| query.also.clone());
        Some(Self { facts: ask("services", end, move || services(&query, until)), port_users, apart })
    }

    /// What was found.
    pub(crate) fn finish(self) -> Observed<ServiceFacts> {
        let port_users = self.port_users.map(Asked::fact);
        match self.facts.wait() {
            Ok(mut facts) => {
                facts.port_users = port_users.unwrap_or_default();
                if let Some(holders) = &self.apart {
                    only_here(&mut facts, holders);
                }
                let source = facts.manager.source().cloned().unwrap_or_else(|| Source::configured("unit files"));
                Observed::known(facts, source)
            }
            Err(missing) => Observed::Missing(missing),
        }
    }
}

/// Leaves what runs, or would run, in this network namespace: the machine's other services listen in another one.
fn only_here(facts: &mut ServiceFacts, holders: &[String]) {
    let own = |unit: &UnitFacts| {
        holders.contains(&unit.name) || unit.network_namespace.as_deref().is_some_and(namespace::is_this)
    };
    let here: Vec<&UnitFacts> = facts.units.iter().filter(|unit| own(unit)).collect();
    let named = |unit: &UnitFacts| unit.requires.iter().chain(&unit.triggered_by).cloned().collect::<Vec<_>>();
    let names: BTreeSet<String> =
        here.iter().flat_map(|unit| named(unit).into_iter().chain([unit.name.clone()])).collect();
    facts.units.retain(|unit| names.contains(&unit.name));
    facts.user_units.clear();
    facts.others.clear();
    facts.installed.clear();
    facts.stale_pid_files.clear();
    // What is installed says nothing of one namespace, and neither does what is not.
    facts.sought.clear();
}

/// What the case needs to know of services; `None`: nothing.
fn query(case: &Case) -> Option<ServiceQuery> {
    let target = &case.target;
    let transport = if target.protocol == Protocol::Udp { Transport::Udp } else { Transport::Tcp };
    let unix = target.protocol == Protocol::Unix;
    let failed = |outcome| case.attempts.iter().any(|attempt| attempt.outcome == outcome);
    let mut query = ServiceQuery {
        port: (!unix).then_some(target.port),
        transport,
        scheme: target.scheme.clone(),
        path: unix.then(|| target.host.clone()),
        also: Vec::new(),
        meant: unix,
    };
    if unix {
        return case.attempts.iter().any(|a| a.outcome != AttemptOutcome::Open).then_some(query);
    }
    let found = case.resolution.result.clone().unwrap_or_default();
    let mut here = found.iter().filter(|address| case.is_local(address.ip()) == Some(true)).peekable();
    let failing = |address: &std::net::SocketAddr| {
        !case.attempts.iter().any(|a| a.address == *address && a.outcome == AttemptOutcome::Open)
    };
    if let Some(table) = case.host.sockets.value().filter(|_| here.peek().is_some()) {
        let taken = |address: &std::net::SocketAddr| {
            let on_port = |s: &&unrefuse_facts::Socket| s.transport == transport && s.local.port() == target.port;
            table.listeners.iter().filter(on_port).any(|socket| socket.takes(address.ip()) == Some(true))
        };
        query.meant = here.any(|address| failing(address) && !taken(address));
        query.also = holders(table, target.port);
    }
    // A unit's own policy: silence for IPAddressDeny=, a local refusal for RestrictAddressFamilies=.
    let policy =
        failed(AttemptOutcome::TimedOut) || failed(AttemptOutcome::Denied) || failed(AttemptOutcome::Unreachable);
    let judged_for_another = case.attempts.is_empty() && !query.also.is_empty();
    (query.meant || policy || judged_for_another).then_some(query)
}

/// The system units of those who hold sockets with that port.
fn holders(table: &SocketTable, port: u16) -> Vec<String> {
    let sockets = table.listeners.iter().filter(|socket| socket.local.port() == port);
    let processes = sockets.flat_map(|socket| table.owners(socket));
    let units: BTreeSet<String> =
        processes.filter(|p| !p.running_as.user_unit).filter_map(|p| p.running_as.unit.clone()).collect();
    units.into_iter().collect()
}

/// Sockets of that port that do not listen.
fn port_users(host: &dyn Host, port: u16, transport: Transport) -> Observed<SocketTable> {
    let query =
        SocketQuery { port: Some(port), transports: vec![transport], owners: Owners::None, states: States::All };
    let own = |table: &mut SocketTable| {
        let listens = |state| matches!(state, SocketState::Listen | SocketState::Unconnected);
        table.listeners.retain(|s| s.local.port() == port && !listens(s.state));
    };
    let mut found = host.sockets(&query);
    if let Observed::Known { value, .. } = &mut found {
        own(value);
        if value.listeners.iter().any(|socket| socket.inode != 0) {
            // Only where there is one: whose it is takes a walk over all processes.
            found = host.sockets(&SocketQuery { owners: Owners::Wanted, ..query });
            if let Observed::Known { value, .. } = &mut found {
                own(value);
            }
        }
    }
    found
}

//! Containers: asked where something fails, for one may be what was meant, and where an engine's helper takes the packet,
//! for the container behind it may be frozen.

use super::{not_needed, works};
use crate::ask::{Asked, ask};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use unrefuse_collect::Host;
use unrefuse_collect::containers::ContainerQuery;
use unrefuse_facts::{
    Case, ContainerFacts, Observed, OwnContainer, Protocol, Source, Transport, catalogue, is_engine_helper,
};

/// An engine answers in milliseconds; one that has not after this is stuck.
const WAIT: Duration = Duration::from_secs(1);

/// Shorter words are in too many names.
const SHORTEST_WORD: usize = 3;

/// A look at containers that is under way.
pub(crate) struct Containers(Asked<ContainerFacts>);

impl Containers {
    /// Starts to look where the case needs it.
    pub(crate) fn start(case: &Case, host: &Arc<dyn Host>, until: Instant) -> Option<Self> {
        if works(case) && !held_by_engine(case) {
            return None;
        }
        let until = until.min(Instant::now() + WAIT);
        let (query, host) = (query(case), Arc::clone(host));
        // It is waited for a little longer than it may ask, so that what it has by then is told.
        let end = until + Duration::from_millis(100);
        Some(Self(ask("container engines", end, move || host.containers(&query, until))))
    }

    /// What was found; `stood_in` is the container that `--container` names.
    pub(crate) fn finish(looked: Option<Self>, stood_in: Option<&OwnContainer>) -> Observed<ContainerFacts> {
        match looked.map(|Self(asked)| asked.wait()) {
            None => not_needed("the attempts were open, and no engine's helper holds the port"),
            Some(Ok(facts)) => {
                let own = stood_in.cloned().or(facts.own);
                Observed::known(ContainerFacts { own, ..facts }, Source::running("container engines"))
            }
            Some(Err(missing)) => Observed::Missing(missing),
        }
    }
}

/// An engine's helper listens on the target's port.
fn held_by_engine(case: &Case) -> bool {
    let Some(table) = case.host.sockets.value() else { return false };
    let on_port = table.listeners.iter().filter(|socket| socket.local.port() == case.target.port);
    on_port.flat_map(|socket| table.owners(socket)).any(|owner| is_engine_helper(&owner.command))
}

fn query(case: &Case) -> ContainerQuery {
    let target = &case.target;
    let transport = if target.protocol == Protocol::Udp { Transport::Udp } else { Transport::Tcp };
    let found = case.resolution.result.iter().flatten();
    let addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    let namespaces = case.host.other_namespaces.value().into_iter().flatten();
    let ids = namespaces.filter_map(|namespace| Some(namespace.container.as_ref()?.id.clone())).collect();
    let by_scheme = target.scheme.iter().flat_map(|scheme| catalogue::by_scheme(scheme));
    let services = by_scheme.chain(catalogue::by_port(target.port, transport));
    let names = services.flat_map(|service| service.processes.iter().copied().chain([service.id]));
    let mut words: Vec<String> = names.chain(target.scheme.as_deref()).map(str::to_ascii_lowercase).collect();
    // A name of a container's own network, or of a compose service.
    words.push(target.host.to_ascii_lowercase());
    words.retain(|word| word.len() >= SHORTEST_WORD && word != "localhost" && word.parse::<IpAddr>().is_err());
    words.sort();
    words.dedup();
    ContainerQuery { port: target.port, addresses, ids, words }
}

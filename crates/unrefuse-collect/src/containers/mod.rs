//! Containers: the engines of this machine, what they have, and what listens inside.
//!
//! Engines are asked over their sockets, read only. A daemon that does not run is not started (see `daemons`); nothing
//! that an engine says is believed about this machine without a look of our own (see `inside`).

mod daemons;
mod detail;
mod disk;
mod engine;
mod find;
mod http;
mod inside;
mod own;
mod podman;
mod stand;
#[cfg(test)]
mod tests;

pub use stand::{StandError, Standing, stand};

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use unrefuse_facts::{ContainerFacts, Engine, Missing, Observed, Reason};

/// Engines are asked until so long before the end, so that what they said can be told.
const MARGIN: Duration = Duration::from_millis(50);

/// What is asked of containers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerQuery {
    /// The target's port.
    pub port: u16,
    /// The target's addresses: one of them may be a container's own.
    pub addresses: Vec<IpAddr>,
    /// Ids, at least their first twelve digits, that are wanted in any case: containers that hold a listener on the port.
    pub ids: Vec<String>,
    /// Words that speak of the service that is meant (`postgres`): a name, image or compose service with one is wanted.
    pub words: Vec<String>,
}

impl ContainerQuery {
    /// Whether the question names that container, by its id or by a word in its names.
    fn is_named(&self, id: &str, names: [&String; 2], service: Option<&str>) -> bool {
        let names = names.into_iter().map(String::as_str).chain(service);
        self.ids.iter().any(|wanted| wanted.len() >= 12 && id.starts_with(wanted.as_str()))
            || names.into_iter().any(|name| {
                let name = name.to_ascii_lowercase();
                self.words.iter().any(|word| name.contains(word.as_str()))
            })
    }
}

/// All engines, side by side, by `until`.
pub(crate) fn containers(query: &ContainerQuery, users: &BTreeMap<u32, String>, until: Instant) -> ContainerFacts {
    let places = find::places("", &find::Environment::own());
    ContainerFacts {
        now_ms: crate::services::now_ms(),
        engines: engines(places, query, users, until),
        own: own::own(""),
    }
}

fn engines(
    places: Vec<find::Place>,
    query: &ContainerQuery,
    users: &BTreeMap<u32, String>,
    until: Instant,
) -> Vec<Engine> {
    if places.is_empty() {
        return Vec::new();
    }
    let daemons = daemons::Daemons::default();
    let asked_until = until.checked_sub(MARGIN).unwrap_or(until);
    let looks: Vec<_> = places.into_iter().map(|place| (engine::refused(&place, &daemons), place)).collect();
    // This thread asks the last one itself: mostly there is but one.
    let last = looks.iter().rposition(|(refused, _)| refused.is_none());
    let look = &|(refused, place)| engine::engine(place, refused, query, &daemons, asked_until);
    let mut engines: Vec<Engine> = std::thread::scope(|scope| {
        let (mut here, mut threads) = (Vec::new(), Vec::new());
        for (index, one) in looks.into_iter().enumerate() {
            if one.0.is_none() && Some(index) != last {
                threads.push((index, one.1.clone(), scope.spawn(move || look(one))));
            } else {
                here.push((index, one));
            }
        }
        let mut found: Vec<(usize, Engine)> = here.into_iter().map(|(index, one)| (index, look(one))).collect();
        let joined = threads.into_iter().map(|(index, place, t)| (index, t.join().unwrap_or_else(|_| lost(place))));
        found.extend(joined);
        found.sort_by_key(|(index, _)| *index);
        found.into_iter().map(|(_, engine)| engine).collect()
    });
    let known = engines.iter_mut().filter_map(|engine| match &mut engine.containers {
        Observed::Known { value, .. } => Some(value),
        Observed::Missing(_) => None,
    });
    inside::look(known.flatten().collect(), users, until);
    engines
}

/// An engine whose thread ended without an answer.
fn lost(place: find::Place) -> Engine {
    Engine {
        kind: place.kind,
        socket: place.socket,
        rootless_uid: None,
        installed: place.installed,
        running: None,
        version: None,
        containers: Observed::Missing(Missing::new(Reason::Failed, "the look at the engine failed")),
        total: 0,
    }
}

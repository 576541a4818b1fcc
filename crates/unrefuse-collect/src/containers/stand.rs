//! Standing in a container (`--container NAME`): which process lives there.

use super::daemons::Daemons;
use super::engine::{good, refused};
use super::find::{Environment, Place, places};
use super::http::Client;
use super::{inside, podman};
use std::time::Instant;
use unrefuse_facts::text::visible;
use unrefuse_facts::{Container, ContainerStatus, EngineKind, Missing, Reason};
use unrefuse_parse::container::{Inspected, Listed};

/// So many names are told where the wanted one is none of them.
const MOST_NAMES: usize = 8;

/// A running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// A process in it.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub engine: EngineKind,
}

/// Why a container cannot be stood in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StandError {
    /// Engines were asked, and none has it.
    #[error("no container `{}`{}", visible(.name), known_names(.known, .unasked))]
    NoSuch {
        /// The name asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
        /// Why some engines could not be asked.
        unasked: Vec<Missing>,
    },
    /// It has no process.
    #[error("container {} does not run: start it first: {} start {}", visible(.name), .engine.command(), visible(.name))]
    NotRunning {
        /// Its name.
        name: String,
        /// Whose it is.
        engine: EngineKind,
    },
    /// No engine could be asked, or what it says does not fit this machine.
    #[error("container {}: {}", visible(.name), reasons(.why))]
    CannotTell {
        /// The name asked for.
        name: String,
        /// Why.
        why: Vec<Missing>,
    },
}

fn known_names(known: &[String], unasked: &[Missing]) -> String {
    let names: Vec<String> = known.iter().take(MOST_NAMES).map(|name| visible(name)).collect();
    let more = if known.len() > MOST_NAMES { ", …" } else { "" };
    let names = if names.is_empty() { String::new() } else { format!(": there is {}{more}", names.join(", ")) };
    if unasked.is_empty() { names } else { format!("{names}; not asked: {}", reasons(unasked)) }
}

fn reasons(why: &[Missing]) -> String {
    if why.is_empty() {
        return "no container engine was found; --netns takes the id of a process in it".to_owned();
    }
    let one = |missing: &Missing| match &missing.remedy {
        Some(remedy) => format!("{missing}: {remedy}"),
        None => missing.to_string(),
    };
    visible(&why.iter().map(one).collect::<Vec<_>>().join("; "))
}

/// The running container with that name or id, or the only one whose id begins so, as the engines' own commands take it.
pub fn stand(name: &str, until: Instant) -> Result<Standing, StandError> {
    among(places("", &Environment::own()), name, until)
}

pub(super) fn among(places: Vec<Place>, name: &str, until: Instant) -> Result<Standing, StandError> {
    let daemons = Daemons::default();
    let (mut known, mut unasked, mut stopped) = (Vec::new(), Vec::new(), None);
    let mut asked = 0;
    for place in places {
        let asked_of = match refused(&place, &daemons) {
            None => Answers::served(&place, until),
            // Podman's containers run without any service, and its database tells of them.
            Some(missing) if place.kind == EngineKind::Podman => {
                podman::kept("", &place, missing).map(|(containers, _)| Answers::Database(containers))
            }
            Some(missing) => Err(missing),
        };
        let found = match asked_of {
            Ok(found) => found,
            Err(missing) => {
                unasked.push(missing);
                continue;
            }
        };
        asked += 1;
        let (engine, list) = found.list(&place);
        let Some(one) = wanted(&list, name) else {
            known.extend(list.into_iter().map(|one| one.name));
            continue;
        };
        let (id, own_name) = (one.id.clone(), one.name.clone());
        if !matches!(one.status, ContainerStatus::Running | ContainerStatus::Paused) {
            stopped = Some(StandError::NotRunning { name: own_name, engine });
            continue;
        }
        let cannot_tell = |why| StandError::CannotTell { name: name.to_owned(), why: vec![why] };
        return Ok(Standing { pid: found.process(&place, &id).map_err(cannot_tell)?, name: own_name, engine });
    }
    Err(match stopped {
        Some(stopped) => stopped,
        None if asked == 0 => StandError::CannotTell { name: name.to_owned(), why: unasked },
        None => StandError::NoSuch { name: name.to_owned(), known, unasked },
    })
}

/// Where what is asked of an engine is read.
enum Answers {
    /// Its API, and the list that it gave.
    Served(EngineKind, Vec<Listed>, Client),
    /// Its database.
    Database(Vec<Container>),
}

/// What a container is found by.
struct One {
    id: String,
    name: String,
    status: ContainerStatus,
}

impl Answers {
    fn served(place: &Place, until: Instant) -> Result<Self, Missing> {
        let mut client = super::engine::connect(place, until)?;
        let (answer, list, _) = super::engine::list(&mut client, &place.socket)?;
        Ok(Self::Served(answer.map_or(place.kind, |(kind, _)| kind), list, client))
    }

    fn list(&self, place: &Place) -> (EngineKind, Vec<One>) {
        let one = |id: &String, name: &String, status| One { id: id.clone(), name: name.clone(), status };
        match self {
            Self::Served(kind, list, _) => (*kind, list.iter().map(|l| one(&l.id, &l.name, l.status)).collect()),
            Self::Database(kept) => (place.kind, kept.iter().map(|c| one(&c.id, &c.name, c.status)).collect()),
        }
    }

    fn process(self, place: &Place, id: &str) -> Result<u32, Missing> {
        let found = match self {
            Self::Served(_, _, mut client) => {
                client.ask([format!("/containers/{id}/json").as_str()])?;
                let answer = client.answer(super::engine::ONE)?;
                Inspected::read(good(&answer, &place.socket)?).and_then(|inspected| inspected.container())
            }
            Self::Database(kept) => kept.into_iter().find(|container| container.id == id),
        };
        let none = || Missing::new(Reason::Failed, format!("{}: no answer about it", place.socket));
        inside::process(&found.ok_or_else(none)?)
    }
}

fn wanted<'a>(list: &'a [One], name: &str) -> Option<&'a One> {
    let exact = list.iter().find(|one| one.name == name || one.id == name);
    exact.or_else(|| {
        let mut begins = list.iter().filter(|one| !name.is_empty() && one.id.starts_with(name));
        begins.next().filter(|_| begins.next().is_none())
    })
}

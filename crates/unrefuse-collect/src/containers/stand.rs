//! Standing in a container (`--container NAME`): which process lives there.

use super::daemons::Daemons;
use super::engine::{good, refused};
use super::find::{Environment, Place, places};
use super::http::Client;
use super::inside;
use std::time::Instant;
use unrefuse_facts::text::visible;
use unrefuse_facts::{ContainerStatus, EngineKind, Missing};
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
        let list = refused(&place, &daemons).map_or_else(|| list(&place, until), Err);
        let (kind, list, client) = match list {
            Ok(found) => found,
            Err(missing) => {
                unasked.push(missing);
                continue;
            }
        };
        asked += 1;
        let Some(listed) = wanted(&list, name) else {
            known.extend(list.into_iter().map(|listed| listed.name));
            continue;
        };
        if !matches!(listed.status, ContainerStatus::Running | ContainerStatus::Paused) {
            stopped = Some(StandError::NotRunning { name: listed.name.clone(), engine: kind });
            continue;
        }
        let pid = process(client, &place.socket, listed);
        let cannot_tell = |why| StandError::CannotTell { name: name.to_owned(), why: vec![why] };
        return Ok(Standing { pid: pid.map_err(cannot_tell)?, name: listed.name.clone(), engine: kind });
    }
    Err(match stopped {
        Some(stopped) => stopped,
        None if asked == 0 => StandError::CannotTell { name: name.to_owned(), why: unasked },
        None => StandError::NoSuch { name: name.to_owned(), known, unasked },
    })
}

fn list(place: &Place, until: Instant) -> Result<(EngineKind, Vec<Listed>, Client), Missing> {
    let mut client = super::engine::connect(place, until)?;
    let (answer, list, _) = super::engine::list(&mut client, &place.socket)?;
    Ok((answer.map_or(place.kind, |(kind, _)| kind), list, client))
}

fn wanted<'a>(list: &'a [Listed], name: &str) -> Option<&'a Listed> {
    let exact = list.iter().find(|listed| listed.name == name || listed.id == name);
    exact.or_else(|| {
        let mut begins = list.iter().filter(|listed| !name.is_empty() && listed.id.starts_with(name));
        begins.next().filter(|_| begins.next().is_none())
    })
}

fn process(mut client: Client, socket: &str, listed: &Listed) -> Result<u32, Missing> {
    client.ask([format!("/containers/{}/json", listed.id).as_str()])?;
    let answer = client.answer(super::engine::ONE)?;
    let found = Inspected::read(good(&answer, socket)?).and_then(|inspected| inspected.container());
    let none = || Missing::new(unrefuse_facts::Reason::Failed, format!("{socket}: no answer about it"));
    inside::process(&found.ok_or_else(none)?)
}

//! One engine: which containers it has, and more of those that may matter.

use super::ContainerQuery;
use super::daemons::Daemons;
use super::find::Place;
use super::http::{Answer, Client};
use super::{detail, disk, podman};
use rustix::process::geteuid;
use std::time::Instant;
use unrefuse_facts::{Container, ContainerStatus, Engine, EngineKind, Missing, NetworkMode, Observed, Reason, Source};
use unrefuse_parse::container::{self, Inspected, Listed};

/// The list: 10,000 containers are some 8 MB.
const LIST: usize = 32 << 20;
/// One container, image, or list of networks.
pub(super) const ONE: usize = 4 << 20;
/// With so few containers none is left out.
pub(super) const FEW: usize = 12;
/// So many that do not run are asked about, the newest: the list doesn't show the ports of those.
const MOST_STOPPED: usize = 200;
/// So many that run.
const MOST_RUNNING: usize = 400;
/// So many are kept.
const MOST_KEPT: usize = 64;
/// A container, and all that the engine says of it.
pub(super) type Kept = (Container, Inspected);

/// Questions of one connection; more are parted among several, which the engine answers side by side.
const ONE_CONNECTION: usize = 16;
const CONNECTIONS: usize = 4;

/// What `place` has, with what matters to `query`; `refused` says why it is not asked.
pub(super) fn engine(
    place: Place,
    refused: Option<Missing>,
    query: &ContainerQuery,
    daemons: &Daemons,
    until: Instant,
) -> Engine {
    let mut engine = Engine {
        kind: place.kind,
        socket: place.socket.clone(),
        rootless_uid: (place.uid != 0).then_some(place.uid),
        running: None,
        version: None,
        containers: Observed::default(),
        total: 0,
        installed: place.installed.clone(),
    };
    let found = match refused {
        Some(missing) => Err(missing),
        None => ask(&mut engine, &place, query, until),
    };
    engine.running = match (&found, engine.kind) {
        (_, EngineKind::Podman) => None,
        (Ok(_), _) => Some(true),
        (Err(missing), _) if missing.reason == Reason::Absent => Some(false),
        _ => daemons.run(place.kind, place.uid).then_some(true),
    };
    match found {
        Ok((containers, left_out)) => {
            let mut source = Source::running(format!("{} GET /containers", engine.socket));
            if left_out > 0 {
                source.what += &format!(" (without {left_out} more that may matter)");
            }
            engine.containers = Observed::known(containers, source);
        }
        Err(missing) if engine.running == Some(false) => {
            (engine.containers, engine.total) = disk::containers("", &place.socket, query, missing);
        }
        Err(missing) if missing.reason == Reason::NotLooked => {
            (engine.containers, engine.total) = podman::containers("", &place, query, missing);
        }
        Err(missing) => engine.containers = Observed::Missing(missing),
    }
    engine
}

/// Why the engine is not asked at all.
pub(super) fn refused(place: &Place, daemons: &Daemons) -> Option<Missing> {
    let not_served = place.exists && daemons.would_start(place.kind, place.uid, &place.socket);
    match (place.kind, place.exists) {
        (_, true) if !not_served => None,
        (EngineKind::Docker, false) => Some(Missing::new(Reason::Absent, format!("{}: no such file", place.socket))),
        (EngineKind::Docker, true) => {
            let detail = format!("{} is kept by systemd and no dockerd runs behind it", place.socket);
            Some(Missing::new(Reason::Absent, detail))
        }
        (EngineKind::Podman, exists) => {
            let detail = if exists { "is kept by systemd and nothing runs behind it" } else { "is not there" };
            let why = "Podman's API service is not started by a diagnosis";
            Some(Missing::new(Reason::NotLooked, format!("{} {detail}: {why}", place.socket)))
        }
    }
    .map(|missing| helped(missing, place))
}

/// What would let the engine be asked.
fn helped(missing: Missing, place: &Place) -> Missing {
    match (missing.reason, place.kind, place.uid) {
        (Reason::Forbidden, EngineKind::Docker, _) if !geteuid().is_root() => {
            missing.remedy("run unrefuse as root, or as a member of the group docker")
        }
        (Reason::Absent, EngineKind::Docker, 0) => missing.remedy("systemctl start docker"),
        (Reason::Absent, EngineKind::Docker, _) => missing.remedy("systemctl --user start docker"),
        (Reason::Absent | Reason::NotLooked, EngineKind::Podman, _) => missing
            .remedy("`podman ps -a` shows its containers; while `podman system service -t 60` runs unrefuse sees them"),
        _ => missing,
    }
}

/// Containers that matter, and how many more may.
fn ask(
    engine: &mut Engine,
    place: &Place,
    query: &ContainerQuery,
    until: Instant,
) -> Result<(Vec<Container>, usize), Missing> {
    let mut client = connect(place, until)?;
    let (server, list, total) = list(&mut client, &place.socket)?;
    if let Some((kind, version)) = server {
        (engine.kind, engine.version) = (kind, Some(version));
    }
    engine.total = u32::try_from(total).unwrap_or(u32::MAX);
    let (asked, mut left_out) = worth_asking(&list, query);
    let paths: Vec<String> = asked.iter().map(|listed| format!("/containers/{}/json", listed.id)).collect();
    let bodies = bodies(&engine.socket, &mut client, &paths, until)?;
    let mut kept = containers_of(bodies);
    kept.retain(|(container, _)| total <= FEW || matters(container, query));
    add_owners(&place.socket, &mut client, &mut kept, until);
    kept.sort_by_key(|(container, _)| std::cmp::Reverse(closeness(container, query)));
    left_out += kept.len().saturating_sub(MOST_KEPT);
    kept.truncate(MOST_KEPT);
    detail::complete(&engine.socket, client, &mut kept, query, until);
    Ok((kept.into_iter().map(|(container, _)| container).collect(), left_out))
}

/// A connection to the engine.
pub(super) fn connect(place: &Place, until: Instant) -> Result<Client, Missing> {
    Client::connect(&place.socket, until).map_err(|missing| helped(missing, place))
}

/// Kind and version as the engine says them, its containers, and how many there are.
type List = (Option<(EngineKind, String)>, Vec<Listed>, usize);

/// Asks for the list.
pub(super) fn list(client: &mut Client, socket: &str) -> Result<List, Missing> {
    client.ask(["/containers/json?all=1"])?;
    let answer = client.answer(LIST)?;
    let (list, total) = container::list(good(&answer, socket)?)
        .ok_or_else(|| Missing::new(Reason::Failed, format!("{socket}: its list of containers is none")))?;
    Ok((answer.server.as_deref().and_then(container::server), list, total))
}

/// The body of an answer that is none of an error.
pub(super) fn good<'a>(answer: &'a Answer, socket: &str) -> Result<&'a [u8], Missing> {
    let reason = match answer.status {
        200 => return Ok(&answer.body),
        401 | 403 => Reason::Forbidden,
        _ => Reason::Failed,
    };
    let said = container::message(&answer.body).unwrap_or_default();
    Err(Missing::new(reason, format!("{socket}: HTTP {} {said}", answer.status).trim_end().to_owned()))
}

/// Those of the list that may matter, and how many were left out for being too many.
fn worth_asking<'a>(list: &'a [Listed], query: &ContainerQuery) -> (Vec<&'a Listed>, usize) {
    let (mut asked, mut left_out) = (Vec::new(), 0);
    let (mut running, mut stopped) = (0, 0);
    for listed in list {
        let runs = matches!(listed.status, ContainerStatus::Running | ContainerStatus::Paused);
        if list.len() > FEW && runs && !listed_matters(listed, query) {
            continue;
        }
        let (count, most) = if runs { (&mut running, MOST_RUNNING) } else { (&mut stopped, MOST_STOPPED) };
        *count += 1;
        if *count > most { left_out += 1 } else { asked.push(listed) }
    }
    (asked, left_out)
}

fn listed_matters(listed: &Listed, query: &ContainerQuery) -> bool {
    let on_port = |(_, inside, outside): &(_, u16, Option<u16>)| *inside == query.port || *outside == Some(query.port);
    let own_network = matches!(listed.network_mode, Some(NetworkMode::Bridge | NetworkMode::None));
    // Podman's list does not tell the mode: a container in the host's network has no address of its own.
    !own_network && listed.addresses.is_empty()
        // It may have been told to publish the port, and the list shows only what is published.
        || listed.ports.iter().all(|(_, _, outside)| outside.is_none())
        || listed.ports.iter().any(on_port)
        || listed.addresses.iter().any(|address| query.addresses.contains(address))
        || query.is_named(&listed.id, [&listed.name, &listed.image], listed.service.as_deref())
}

pub(super) fn matters(container: &Container, query: &ContainerQuery) -> bool {
    closeness(container, query) > 0
        || matches!(container.network_mode, NetworkMode::Host | NetworkMode::Container(_) | NetworkMode::Other(_))
}

/// How close a container is to the question; 0: it has nothing to do with it.
pub(super) fn closeness(container: &Container, query: &ContainerQuery) -> u32 {
    let outside = container.published.iter().chain(&container.bound).any(|p| p.host_port == Some(query.port));
    let published = container.published.iter().map(|p| p.container.port);
    let inside = published.chain(container.exposed.iter().map(|p| p.port)).any(|port| port == query.port);
    let addresses = container.networks.iter().flat_map(|network| &network.addresses);
    let addressed = addresses.into_iter().any(|address| query.addresses.contains(address));
    let service = container.compose.as_ref().map(|compose| compose.service.as_str());
    let named = query.is_named(&container.id, [&container.name, &container.image], service);
    u32::from(outside) * 8 + u32::from(addressed) * 4 + u32::from(inside) * 2 + u32::from(named)
}

/// The bodies of many answers, in the order of `paths`; none where the engine has no such thing (any more). Where this
/// fails, answers may be left on `client`.
pub(super) fn bodies(
    socket: &str,
    client: &mut Client,
    paths: &[String],
    until: Instant,
) -> Result<Vec<Option<Vec<u8>>>, Missing> {
    let one = |client: &mut Client, paths: &[String]| -> Result<Vec<Option<Vec<u8>>>, Missing> {
        client.ask(paths.iter().map(String::as_str))?;
        paths.iter().map(|_| client.answer(ONE).map(|a| (a.status == 200).then_some(a.body))).collect()
    };
    if paths.len() <= ONE_CONNECTION {
        return one(client, paths);
    }
    let mut parts = paths.chunks(paths.len().div_ceil(CONNECTIONS));
    let first = parts.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let others: Vec<_> = parts
            .map(|part| {
                scope.spawn(move || Client::connect(socket, until).and_then(|mut client| one(&mut client, part)))
            })
            .collect();
        let mut bodies = one(client, first)?;
        for other in others {
            let failed = || Missing::new(Reason::Failed, format!("{socket}: the look failed"));
            bodies.extend(other.join().map_err(|_| failed())??);
        }
        Ok(bodies)
    })
}

/// A container that is gone meanwhile has no body.
fn containers_of(bodies: Vec<Option<Vec<u8>>>) -> Vec<Kept> {
    let inspected = bodies.into_iter().flatten().filter_map(|body| Inspected::read(&body));
    inspected.filter_map(|inspected| Some((inspected.container()?, inspected))).collect()
}

/// A container in the namespace of another is told with that one, whose ports and addresses it has.
fn add_owners(socket: &str, client: &mut Client, kept: &mut Vec<Kept>, until: Instant) {
    let known = |id: &String| kept.iter().any(|(container, _)| container.id == *id);
    let owner = |container: &Container| match &container.network_mode {
        NetworkMode::Container(other) => container::safe_id(other),
        _ => None,
    };
    let mut wanted: Vec<String> = kept.iter().filter_map(|(container, _)| owner(container)).collect();
    wanted.sort();
    wanted.dedup();
    wanted.retain(|id| !known(id));
    wanted.truncate(MOST_KEPT);
    if wanted.is_empty() {
        return;
    }
    let paths: Vec<String> = wanted.iter().map(|id| format!("/containers/{id}/json")).collect();
    kept.extend(containers_of(bodies(socket, client, &paths, until).unwrap_or_default()));
}

//! Who holds a socket, in words.

use crate::View;
use crate::report::{Evidence, Unknown};
use unrefuse_facts::text::visible;
use unrefuse_facts::{Process, Socket, SocketTable};

/// More owners than these are counted, not named: a pre-forking server has hundreds.
const NAMED: usize = 3;

/// `postgres[812]`; `a process` where the owner is not known.
pub(crate) fn short(table: &SocketTable, socket: &Socket) -> String {
    table.owners(socket).first().map_or_else(|| "a process".to_owned(), |p| visible(&p.label()))
}

/// `postgres[812] (postgresql.service, user postgres)`, with every owner up to a few.
pub(crate) fn full(table: &SocketTable, socket: &Socket) -> String {
    let owners = table.owners(socket);
    if owners.is_empty() {
        return "a process that was not found".to_owned();
    }
    let mut names: Vec<String> = owners.iter().take(NAMED).map(|p| one(p)).collect();
    if owners.len() > NAMED {
        names.push(format!("{} more", owners.len() - NAMED));
    }
    names.join(", ")
}

fn one(process: &Process) -> String {
    let mut about = Vec::new();
    if let Some(unit) = &process.running_as.unit {
        about.push(if process.running_as.user_unit { format!("user unit {unit}") } else { unit.clone() });
    }
    about.push(match &process.user {
        Some(user) => format!("user {user}"),
        None => format!("uid {}", process.uid),
    });
    if let Some(container) = &process.running_as.container {
        about.push(format!("{} container {}", container.engine, container.id));
    }
    visible(&format!("{} ({})", process.label(), about.join(", ")))
}

/// `127.0.0.1:5432/tcp is held by postgres[812] (user postgres)`, as it was seen.
pub(crate) fn evidence(view: &View<'_>, table: &SocketTable, socket: &Socket) -> Evidence {
    let device = socket.device.map(|index| format!(" bound to {}", device(view, index))).unwrap_or_default();
    let only = if socket.v6only == Some(true) && socket.local.ip().is_unspecified() { " (IPV6_V6ONLY)" } else { "" };
    Evidence::new(
        format!("{}/{}{only}{device} is held by {}", socket.local, socket.transport.name(), full(table, socket)),
        source(view),
    )
}

/// What the socket table was read through.
pub(crate) fn source<'a>(view: &View<'a>) -> &'a str {
    view.case.host.sockets.source().map_or("socket table", |source| &source.what)
}

/// The name of an interface; its index where it has none here.
pub(crate) fn device(view: &View<'_>, index: u32) -> String {
    view.case.host.link(index).map_or_else(|| format!("interface {index}"), |link| visible(&link.name))
}

/// The open question who holds `socket`, where this user could not see it.
pub(crate) fn unknown(table: &SocketTable, socket: &Socket) -> Option<Unknown> {
    if !table.owners(socket).is_empty() {
        return None;
    }
    let (why, how) = match table.holders.missing() {
        Some(missing) => (missing.detail.clone(), missing.remedy.clone()),
        None if table.unreadable_processes > 0 => {
            (format!("{} processes do not let this user read their open files", table.unreadable_processes), None)
        }
        None => return None,
    };
    Some(Unknown {
        what: format!("which process holds {}/{}", socket.local, socket.transport.name()),
        why,
        how_to_know: how.unwrap_or_else(|| "run unrefuse as root".to_owned()),
    })
}

/// systemd itself listens, for a socket unit. Process 1 of a container is something else.
pub(crate) fn is_systemd(table: &SocketTable, socket: &Socket) -> bool {
    table.owners(socket).iter().any(|process| process.pid == 1 && process.command == "systemd")
}

/// The systemd unit of a socket's first owner, where it is the system's and its name can be typed safely.
pub(crate) fn unit(table: &SocketTable, socket: &Socket) -> Option<String> {
    let owner = table.owners(socket).into_iter().next()?;
    let unit = owner.running_as.unit.as_deref().filter(|u| !owner.running_as.user_unit && u.ends_with(".service"))?;
    crate::fix::quote(unit)
}

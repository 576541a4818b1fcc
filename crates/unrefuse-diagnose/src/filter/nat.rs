//! Where NAT sends a packet: does anything take it there?

use crate::View;
use crate::containers::{self, Inside};
use crate::report::{Certainty, Evidence};
use std::net::SocketAddr;
use unrefuse_facts::text::visible;
use unrefuse_facts::{AttemptOutcome, Translation};

/// What is known of the place where NAT sends a packet.
pub(crate) struct End {
    /// Something takes it there.
    pub alive: bool,
    /// How sure that is.
    pub certainty: Certainty,
    /// What shows it.
    pub evidence: Evidence,
}

/// Whether something takes the packet where NAT sends it; `None`: not known.
pub(crate) fn end_of(view: &View<'_>, translation: &Translation) -> Option<End> {
    let to = translation.to;
    if view.case.is_local(to.ip()) == Some(true)
        && let Some(table) = view.case.host.sockets.value()
    {
        let transport = view.transport()?;
        let on_port = table.listeners.iter().filter(|s| s.transport == transport && s.local.port() == to.port());
        let answers: Vec<Option<bool>> = on_port.map(|s| s.takes(to.ip())).collect();
        if answers.contains(&None) && !answers.contains(&Some(true)) {
            return None;
        }
        let alive = answers.contains(&Some(true));
        let what = if alive { "a socket takes" } else { "no socket of this machine takes" };
        let beside = listener_beside(view, translation).filter(|_| !alive);
        let beside = beside.map(|beside| format!(": {} listens on {}", beside.name, beside.local)).unwrap_or_default();
        let text = format!("{what} {} packets to {to}{beside}", transport.name());
        let source = view.case.host.sockets.source().map_or("socket table", |s| &s.what);
        return Some(End { alive, certainty: Certainty::Proven, evidence: Evidence::new(text, source) });
    }
    let Some(outcome) = translation.probed.value().copied() else { return inside(view, translation) };
    let (alive, certainty, how) = match outcome {
        AttemptOutcome::Open | AttemptOutcome::ClosedOnAccept => (true, Certainty::Proven, "is open"),
        AttemptOutcome::Refused => (false, Certainty::Proven, "is refused"),
        AttemptOutcome::TimedOut => (false, Certainty::Likely, "is not answered"),
        _ => (false, Certainty::Likely, "fails"),
    };
    let source = translation.probed.source().map_or("connect(2)", |s| &s.what);
    Some(End { alive, certainty, evidence: Evidence::new(format!("an attempt to {to} {how}"), source) })
}

/// A listener of this machine on the port that NAT leads to, at another address.
pub(crate) struct Beside {
    /// Its process.
    pub name: String,
    /// Where it listens.
    pub local: SocketAddr,
}

/// What listens on the port, where nothing takes the packet at the address that NAT gives it.
pub(crate) fn listener_beside(view: &View<'_>, translation: &Translation) -> Option<Beside> {
    let (to, transport) = (translation.to, view.transport()?);
    let table = view.case.host.sockets.value().filter(|_| view.case.is_local(to.ip()) == Some(true))?;
    let on_port = table.listeners.iter().filter(|s| s.transport == transport && s.local.port() == to.port());
    let socket = on_port.filter(|socket| socket.takes(to.ip()) == Some(false)).min_by_key(|socket| socket.local)?;
    let name = table.owners(socket).first().map_or_else(|| "a process".to_owned(), |p| visible(&p.label()));
    Some(Beside { name, local: socket.local })
}

/// What listens there, where it is a container whose sockets were seen.
fn inside(view: &View<'_>, translation: &Translation) -> Option<End> {
    let (to, transport) = (translation.to, view.transport()?);
    let (_, container) = containers::by_address(containers::known(view)?, to.ip())?;
    let alive = match containers::inside(container, transport, to.port()) {
        Inside::Listens(_) => true,
        Inside::Loopback(_) | Inside::Other(_) => false,
        Inside::Unknown(_) => return None,
    };
    let what = if alive { "a socket" } else { "no socket" };
    let text = format!("{what} of {} takes {} packets to {to}", containers::name(container), transport.name());
    let source = container.sockets.source().map_or("its network namespace", |source| &source.what);
    Some(End { alive, certainty: Certainty::Proven, evidence: Evidence::new(text, source) })
}

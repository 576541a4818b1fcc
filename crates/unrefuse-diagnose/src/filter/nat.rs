//! Where NAT sends a packet: does anything take it there?

use crate::View;
use crate::containers::{self, Inside};
use crate::report::{Certainty, Evidence};
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
        let text = format!("{what} {} packets to {to}", transport.name());
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

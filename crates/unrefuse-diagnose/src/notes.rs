//! Notes: what does not block this connection and is worth knowing.

use crate::View;
use crate::report::Note;
use unrefuse_facts::{AttemptOutcome, Socket};

/// "Works here, not from elsewhere": an open local target whose sockets take only this machine's own packets.
pub(crate) fn open_only_here(view: &View<'_>) -> Option<Note> {
    if view.outcome() != Some(AttemptOutcome::Open) || view.is_local() != Some(true) {
        return None;
    }
    let table = view.case.host.sockets.value()?;
    let listeners = view.on_port(table, view.transport()?);
    let closed_to_others = |s: &&Socket| s.local.ip().is_loopback();
    if listeners.is_empty() || !listeners.iter().all(closed_to_others) {
        return None;
    }
    let mut addresses: Vec<String> = listeners.iter().map(|s| s.local.to_string()).collect();
    addresses.sort();
    addresses.dedup();
    Some(Note {
        text: format!(
            "open from here; from elsewhere: refused, because it listens on {} only, which is this machine's loopback",
            addresses.join(" and ")
        ),
        source: Some("inet_diag".to_owned()),
    })
}

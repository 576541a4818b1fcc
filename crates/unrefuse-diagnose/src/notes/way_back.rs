//! What is known of the next hop that answers to a client elsewhere are handed to, where that proves nothing.

use crate::View;
use crate::report::Note;
use crate::rules::route::by_hand::ByHand;
use unrefuse_facts::{NeighbourState, text};

/// An entry set by hand that nobody confirms, or a neighbour that did not answer lately.
pub(super) fn doubtful(view: &View<'_>) -> Option<Note> {
    let way = view.case.way_back.as_ref().filter(|_| view.judged_only())?;
    let client = way.destination;
    let note = |text| Note { text, source: way.neighbour.source().map(|source| source.what.clone()) };
    if let Some(entry) = ByHand::of(view, way) {
        let why = || format!("{}, and {}", entry.said(), entry.unanswered());
        return entry.is_open().then(|| note(format!("{}: if it is wrong, answers to {client} do not arrive", why())));
    }
    let neighbour = way.neighbour.value().filter(|n| n.state == NeighbourState::Failed)?;
    let on = view.case.host.link(neighbour.link).map(|link| format!(" on {}", text::visible(&link.name)));
    Some(note(format!(
        "nobody answered for {}{} when it was last asked (FAILED): answers to {client} arrive once it does",
        neighbour.address,
        on.unwrap_or_default()
    )))
}

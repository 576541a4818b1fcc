//! Judging while an attempt still waits: what is already decided on this machine need not be waited out.

use std::net::SocketAddr;
use std::time::Duration;
use unrefuse_facts::{AddressJudgement, Fate, Judgement, Neighbour, NeighbourState, SocketState, SocketTable};

/// What can be read while an attempt waits.
#[derive(Debug, Default)]
pub struct Early<'a> {
    /// The target is this machine: its sockets.
    pub server: Option<&'a SocketTable>,
    /// The neighbour that the packet must be handed to.
    pub neighbour: Option<&'a Neighbour>,
    /// What the packet filters of this machine do with the packets.
    pub judgement: Option<&'a AddressJudgement>,
}

/// A neighbour on the same link answers within milliseconds; the kernel asks once a second, three times
/// (`mcast_solicit`, arp(7)). After two questions without an answer nobody will answer the third.
const NEIGHBOUR_PATIENCE: Duration = Duration::from_millis(1050);

/// An answer beats any theory, so it is given this long to come although a drop is foreseen.
const FILTER_PATIENCE: Duration = Duration::from_millis(25);

/// What surely drops the packets or their answers, without a word to the client.
fn dropped(judged: &AddressJudgement) -> Option<String> {
    let legs = [&judged.egress, &judged.ingress, &judged.reply, &judged.egress_reply];
    let stop: &Judgement = legs.into_iter().flatten().find(|judgement| judgement.fate.is_stopped())?;
    if stop.fate != Fate::Dropped || judged.egress.as_ref().is_some_and(|j| j.translated.is_some()) {
        return None;
    }
    let decider = stop.decided_by.as_ref()?;
    Some(match (decider.rule(), decider.place()) {
        (Some(rule), _) => unrefuse_facts::text::visible(&rule.text),
        (None, Some(place)) => format!("policy of chain {} of table {}", place.chain, place.table),
        (None, None) => match judged.marked.as_ref() {
            Some(marking) => format!("by the mark {:#x} that it sets, no way is left", marking.mark),
            None => "the network stack".to_owned(),
        },
    })
}

/// Why an attempt that has waited for `elapsed` need not wait longer; `None`: it must.
pub fn gives_up(address: SocketAddr, elapsed: Duration, early: &Early<'_>) -> Option<String> {
    if let Some(table) = early.server {
        let full = table.listeners.iter().find(|s| {
            s.state == SocketState::Listen
                && s.local.port() == address.port()
                && s.takes(address.ip()) == Some(true)
                && s.accept_queue_is_full() == Some(true)
        });
        if let Some(socket) = full {
            return Some(format!(
                "the accept queue of {} is full ({} waiting, backlog {})",
                socket.local,
                socket.recv_queue,
                socket.send_queue.unwrap_or_default()
            ));
        }
    }
    if elapsed >= FILTER_PATIENCE
        && let Some(by) = early.judgement.and_then(dropped)
    {
        return Some(format!("the packet filter of this machine drops it: {by}"));
    }
    let neighbour = early.neighbour?;
    match neighbour.state {
        NeighbourState::Failed => Some(format!("nobody answers for {} on its link", neighbour.address)),
        NeighbourState::Incomplete if elapsed >= NEIGHBOUR_PATIENCE => Some(format!(
            "nobody answered for {} on its link after {} questions",
            neighbour.address,
            neighbour.probes.max(1)
        )),
        _ => None,
    }
}

//! Judging while an attempt still waits: what is already decided on this machine need not be waited out.

use std::net::SocketAddr;
use std::time::Duration;
use unrefuse_facts::{Neighbour, NeighbourState, SocketState, SocketTable};

/// What can be read while an attempt waits.
#[derive(Debug, Default)]
pub struct Early<'a> {
    /// The target is this machine: its sockets.
    pub server: Option<&'a SocketTable>,
    /// The neighbour that the packet must be handed to.
    pub neighbour: Option<&'a Neighbour>,
}

/// A neighbour on the same link answers within milliseconds; the kernel asks once a second, three times
/// (`mcast_solicit`, arp(7)). After two questions without an answer nobody will answer the third.
const NEIGHBOUR_PATIENCE: Duration = Duration::from_millis(1050);

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

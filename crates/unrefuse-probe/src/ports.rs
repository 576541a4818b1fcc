//! Other ports of the same host.

use crate::attempts::run;
use crate::trial::{Sniffing, Trial, Wants};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};
use unrefuse_facts::{PortProbe, Protocol};

/// Ports asked in one call; the rest of a longer list is left out.
pub const MAX_PORTS: usize = 64;

/// Connects over TCP to `ports` (at most [`MAX_PORTS`]) of `address`, side by side, and closes at once.
///
/// `scope_id` is the interface index of a link-local IPv6 address, else 0. The whole call takes `timeout` at most.
pub fn ports(address: IpAddr, scope_id: u32, ports: &[u16], timeout: Duration) -> Vec<PortProbe> {
    let wants = Wants { tos: false, look: false, reference: false, sniffing: Sniffing::Off };
    let mut trials: Vec<Trial> = ports
        .iter()
        .take(MAX_PORTS)
        .map(|port| {
            let address = match address {
                IpAddr::V4(_) => SocketAddr::new(address, *port),
                IpAddr::V6(v6) => SocketAddr::V6(SocketAddrV6::new(v6, *port, 0, scope_id)),
            };
            Trial::new(Protocol::Tcp, address, 0, wants)
        })
        .collect();
    let now = Instant::now();
    let deadline = now.checked_add(timeout).unwrap_or(now);
    run(&mut trials, None, timeout, deadline, &|_, _| None);
    trials
        .into_iter()
        .map(|trial| PortProbe { address: trial.attempt.address, outcome: trial.attempt.outcome })
        .collect()
}

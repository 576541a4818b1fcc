//! What handles packets at an interface itself: before the packet filter sees them, or behind it.

use serde::{Deserialize, Serialize};

/// Where it stands on a packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkHook {
    /// Before everything else that an interface does with what comes in: XDP, and the ingress hook of tc(8).
    In,
    /// The last before a packet leaves: the egress hook of tc(8), and the queueing discipline.
    Out,
}

/// A program or filter that may drop packets, or hand them to another interface, and that no rule of the packet filter shows.
///
/// What it does with a packet is not known: a program would have to be run, and counters do not tell packets apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFilter {
    /// The interface that it is attached to; empty for an IPsec policy, which is the machine's.
    pub interface: String,
    /// Indices of the interfaces whose packets meet it: its own, what is stacked on that (VLANs), and the bridge, bond or
    /// VRF that it belongs to.
    pub links: Vec<u32>,
    /// Where.
    pub hook: LinkHook,
    /// `XDP program 12`, `tc filter bpf`, `tc filter u32 with mirred`, `queueing discipline netem`,
    /// `ARP chain output of table arp filter`.
    pub what: String,
    /// The kernel's interface that tells of it.
    pub source: String,
}

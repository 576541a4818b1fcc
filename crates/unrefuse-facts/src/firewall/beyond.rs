//! The machine that a client's packets are passed on to, as far as it can be seen from the one that passes them on.

use super::ChainPlace;
use crate::{AttemptOutcome, Observed};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Where the client's packets go on to, and what is known of the answers' way from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beyond {
    /// Address and port, after NAT.
    pub to: SocketAddr,
    /// A rule of this machine changed the destination, so answers have to come back through it.
    pub translated: bool,
    /// The source that is seen there: the client's own, or another one by NAT. `None`: not known.
    pub source: Option<IpAddr>,
    /// Client and machine are neighbours on one link of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedLink>,
    /// The first base chain of the translating rule's own table that may change sources (nat, postrouting).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_nat: Option<ChainPlace>,
    /// This machine's address on the client's side, where packets from here would be sent from another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facing: Option<IpAddr>,
    /// This machine's own filters stop what it sends there itself, so it is not asked from here.
    #[serde(default)]
    pub unasked: bool,
    /// How an attempt ended that was made from here, from the address that the kernel chooses.
    pub probed: Observed<AttemptOutcome>,
    /// How one ended that was made from here, from the address on the client's side.
    pub probed_facing: Observed<AttemptOutcome>,
}

/// A network of this machine's that holds the client and the machine behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedLink {
    /// The interface.
    pub interface: String,
    /// An address of the network.
    pub network: IpAddr,
    /// Its prefix length.
    pub prefix: u8,
    /// It is a bridge whose frames meet this machine's IP filters (`net.bridge.bridge-nf-call-iptables`), so answers that
    /// cross it are translated back.
    pub filtered_bridge: bool,
}

impl Beyond {
    /// The machine there answers to an address that is not the client's: to this machine, whose NAT hands the answers on.
    pub fn is_hidden(&self, client: IpAddr) -> bool {
        self.source.is_none_or(|source| source != client)
    }
    /// How an attempt from here ended that was not taken. Silence says nothing of a UDP service.
    pub fn failure(&self, udp: bool) -> Option<AttemptOutcome> {
        let attempts = [&self.probed, &self.probed_facing];
        attempts.into_iter().filter_map(Observed::value).copied().find(|ended| match ended {
            AttemptOutcome::Open | AttemptOutcome::ClosedOnAccept => false,
            AttemptOutcome::TimedOut => !udp,
            _ => true,
        })
    }
}

//! One question with everything that was seen for it.

use crate::{
    AddressJudgement, Attempt, Family, FirewallFacts, FromElsewhere, Host, LinkFilter, Observed, PortProbe,
    ProxyAttempt, Resolution, Routing, Target,
};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Where facts were seen from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VantageKind {
    /// This machine, in the namespaces unrefuse was started in.
    Local,
    /// Another network namespace of this machine.
    Netns,
    /// Another machine, over ssh.
    Ssh,
    /// A recorded machine.
    Snapshot,
    /// The server's side, for a client that is elsewhere.
    From,
}

/// Where facts were seen from, and with which rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vantage {
    /// Kind.
    pub kind: VantageKind,
    /// The machine's name.
    pub host: String,
    /// unrefuse had the rights of root there.
    pub privileged: bool,
    /// The namespace, or the client whose way in is judged.
    pub from: Option<String>,
    /// The network namespace that was stood in: a name of ip-netns(8), or a process id.
    #[serde(default)]
    pub netns: Option<String>,
    /// The container that was stood in.
    #[serde(default)]
    pub container: Option<String>,
    /// A process of that container, by which its namespaces are entered.
    #[serde(default)]
    pub container_pid: Option<u32>,
    /// The only family that was asked for.
    #[serde(default)]
    pub family: Option<Family>,
}

/// One question with everything that was seen for it. The engine turns it into a report; it can be stored and replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// What is to be reached.
    pub target: Target,
    /// From where.
    pub vantage: Vantage,
    /// What the name resolved to.
    pub resolution: Resolution,
    /// The attempts, in the order of the addresses, then of the rounds.
    pub attempts: Vec<Attempt>,
    /// Attempts to addresses that the name's DNS answer gives and the resolver did not (a hosts line hides them).
    pub hidden_attempts: Vec<Attempt>,
    /// The way to each address.
    pub routing: Vec<Routing>,
    /// The way of this machine's answers to a client that is elsewhere (`--from`), by the address that it asks.
    #[serde(default)]
    pub way_back: Option<Routing>,
    /// What other ports of a refusing remote host said.
    pub other_ports: Observed<Vec<PortProbe>>,
    /// The proxy that clients of this scheme would use instead.
    pub proxy: Observed<Option<ProxyAttempt>>,
    /// What this machine's packet filters do with the packets of this question.
    #[serde(default)]
    pub firewall: Observed<FirewallFacts>,
    /// What they do with packets of other machines to a port of this one that is open from here; by interface.
    #[serde(default)]
    pub elsewhere: Observed<Vec<FromElsewhere>>,
    /// What may drop packets at this machine's interfaces, where no rule of its packet filters shows it.
    #[serde(default)]
    pub link_filters: Observed<Vec<LinkFilter>>,
    /// The machine.
    pub host: Host,
}

impl Case {
    /// Whether `address` belongs to this machine (its loopback net included); `None` where the addresses are not known.
    pub fn is_local(&self, address: IpAddr) -> Option<bool> {
        if address.is_loopback() || address.is_unspecified() {
            return Some(true);
        }
        let own = self.host.addresses.value()?;
        Some(own.iter().any(|a| a.address == address))
    }

    /// What this machine's filters do with the packets to and from `address`, where that was judged.
    pub fn judgement(&self, address: SocketAddr) -> Option<&AddressJudgement> {
        self.firewall.value()?.judgements.iter().find(|j| j.address == address)
    }

    /// The way to `address`, where it was looked up.
    pub fn routing(&self, address: IpAddr) -> Option<&Routing> {
        self.routing.iter().find(|r| r.destination == address)
    }
}

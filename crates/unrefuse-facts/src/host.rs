//! What was seen on the machine that unrefuse runs on.

use crate::{
    ContainerFacts, InterfaceAddress, Link, Location, NetNamespace, Observed, ResolverFacts, ServiceConfig,
    ServiceFacts, SocketTable, UnixSocket,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The machine's facts that a question needed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Host {
    /// Host name (gethostname(2)).
    pub hostname: Observed<String>,
    /// Listeners of the namespace stood in.
    pub sockets: Observed<SocketTable>,
    /// Connections from this machine to the target's address and port, any state: what uses up ephemeral ports.
    pub connections_to_target: Observed<u32>,
    /// Listeners on the target's port in the machine's other network namespaces; only namespaces that have one.
    pub other_namespaces: Observed<Vec<NetNamespace>>,
    /// Links.
    pub links: Observed<Vec<Link>>,
    /// Addresses.
    pub addresses: Observed<Vec<InterfaceAddress>>,
    /// Names.
    pub resolver: ResolverFacts,
    /// Kernel settings that matter, by name (`net.ipv4.ip_local_port_range`), as text.
    pub sysctls: BTreeMap<String, Observed<String>>,
    /// Kernel counters that moved or could have moved, by name (`TcpExt.ListenOverflows`).
    pub counters: Observed<BTreeMap<String, Counter>>,
    /// The unix socket that the target names.
    pub unix_socket: Observed<UnixSocket>,
    /// Configurations of the services that matter to the question.
    #[serde(default)]
    pub configs: Observed<Vec<ServiceConfig>>,
    /// Services: units, logs, and what may have been meant.
    #[serde(default)]
    pub services: Observed<ServiceFacts>,
    /// Containers.
    #[serde(default)]
    pub containers: Observed<ContainerFacts>,
    /// unrefuse's own process.
    pub own: SelfFacts,
}

impl Host {
    /// The value of a kernel setting, where it was read.
    pub fn sysctl(&self, name: &str) -> Option<&str> {
        self.sysctls.get(name).and_then(Observed::value).map(String::as_str)
    }

    /// The link with that index.
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.value()?.iter().find(|link| link.index == index)
    }
}

/// A kernel counter before and after the attempts (RFC 4022, `/proc/net/netstat`, `/proc/net/snmp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Before the first attempt.
    pub before: u64,
    /// After the last one.
    pub after: u64,
}

impl Counter {
    /// How far it moved. Others may have moved it too.
    pub fn moved(self) -> u64 {
        self.after.saturating_sub(self.before)
    }
}

/// unrefuse's own process: what it may do, where it stands, and what its environment tells clients.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SelfFacts {
    /// Effective user id.
    pub uid: u32,
    /// Effective capabilities by name, without the `CAP_` (`NET_ADMIN`).
    pub capabilities: Vec<String>,
    /// Inode of the network namespace stood in.
    pub netns: Option<u64>,
    /// That namespace is the one of process 1, so usually the host's; `None` where it could not be compared.
    pub netns_is_init: Option<bool>,
    /// Proxy variables that are set, and no_proxy.
    pub proxies: Vec<ProxySetting>,
}

impl SelfFacts {
    /// Whether a capability is in the effective set.
    pub fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|c| c == capability)
    }
}

/// A proxy variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxySetting {
    /// Its name as set: `http_proxy`, `HTTPS_PROXY`, `no_proxy` …
    pub variable: String,
    /// Its value, without user and password.
    pub value: String,
    /// The file that sets it for everybody (/etc/environment), where that was looked at.
    pub location: Option<Location>,
}

//! The machines and wires that most scenarios need, by name.

use crate::scenario::{Interface, NodeSpec};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A named arrangement of machines. Addresses are those of [`crate::placeholders::BUILT_IN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Topology {
    /// `server` alone, with `eth0` on a LAN where nobody else is.
    OneHost,
    /// `server` and `client` on one LAN.
    ClientServer,
    /// `client` – `router` – `server`: two LANs, the router forwards between them.
    ClientRouterServer,
}

/// A node as it is built: the topology's part and the scenario's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// Interfaces.
    pub(crate) interfaces: Vec<Interface>,
    /// Lines for `ip -batch`, after the interfaces are up.
    pub(crate) ip: Vec<String>,
    /// What the scenario adds.
    pub(crate) spec: NodeSpec,
}

impl Topology {
    /// The nodes by name, with the scenario's additions.
    pub(crate) fn plan(self, additions: &BTreeMap<String, NodeSpec>) -> BTreeMap<String, Plan> {
        let mut nodes = BTreeMap::new();
        let mut node = |name: &str, interfaces: &[(&str, &str, [&str; 2])], ip: &[&str], forwards: bool| {
            let interfaces = interfaces.iter().map(|(name, lan, addresses)| Interface {
                name: (*name).to_owned(),
                lan: (*lan).to_owned(),
                addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
            });
            let mut plan = Plan {
                interfaces: interfaces.collect(),
                ip: ip.iter().map(|l| (*l).to_owned()).collect(),
                ..Plan::default()
            };
            if forwards {
                for key in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
                    plan.spec.sysctls.insert(key.to_owned(), "1".to_owned());
                }
            }
            nodes.insert(name.to_owned(), plan);
        };
        match self {
            Self::OneHost => node("server", &[("eth0", "lan", ["10.77.0.1/24", "fd77::1/64"])], &[], false),
            Self::ClientServer => {
                node("server", &[("eth0", "lan", ["10.77.0.1/24", "fd77::1/64"])], &[], false);
                node("client", &[("eth0", "lan", ["10.77.0.2/24", "fd77::2/64"])], &[], false);
            }
            Self::ClientRouterServer => {
                let server_routes = ["route add default via 10.77.0.254", "route add ::/0 via fd77::fe"];
                let client_routes = ["route add default via 10.78.0.1", "route add ::/0 via fd78::1"];
                let router = [
                    ("eth0", "outside", ["10.78.0.1/24", "fd78::1/64"]),
                    ("eth1", "lan", ["10.77.0.254/24", "fd77::fe/64"]),
                ];
                node("server", &[("eth0", "lan", ["10.77.0.1/24", "fd77::1/64"])], &server_routes, false);
                node("client", &[("eth0", "outside", ["10.78.0.2/24", "fd78::2/64"])], &client_routes, false);
                node("router", &router, &[], true);
            }
        }
        for (name, spec) in additions {
            let plan = nodes.entry(name.clone()).or_default();
            plan.interfaces.extend(spec.interfaces.iter().cloned());
            let mut sysctls = std::mem::take(&mut plan.spec.sysctls);
            sysctls.extend(spec.sysctls.clone());
            plan.spec = NodeSpec { sysctls, ..spec.clone() };
        }
        nodes
    }
}

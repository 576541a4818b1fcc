//! Packets that come in by a bridge meet the chains of the port first: which one that is, the bridge itself knows.

use super::LiveMachine;
use std::net::IpAddr;
use unrefuse_facts::Link;
use unrefuse_firewall::judge::Question;
use unrefuse_firewall::machine::{Machine, RouteQuery};
use unrefuse_firewall::spec::PacketSpec;

impl LiveMachine {
    /// The question about a packet that arrives, by the interface or by the one that leads back to its source.
    pub(crate) fn arriving(&self, interface: Option<&str>, packet: PacketSpec) -> Question {
        Question { bridge_port: self.port_towards(packet.src, interface), ..Question::incoming(interface, packet) }
    }

    /// The port of the bridge behind which an address is, or any where none is given; `None` where no bridge leads there.
    pub(crate) fn port_towards(&self, address: Option<IpAddr>, interface: Option<&str>) -> Option<String> {
        let route = address.and_then(|to| self.route(&RouteQuery { oif: interface, ..RouteQuery::to(to) }));
        let name = interface.map(str::to_owned).or_else(|| route.as_ref()?.oif.clone())?;
        let bridge = self.links.iter().find(|link| link.name == name && link.kind.as_deref() == Some("bridge"))?;
        let ports: Vec<&Link> = self.links.iter().filter(|link| link.master == Some(bridge.index)).collect();
        if let [only] = ports.as_slice() {
            return Some(only.name.clone());
        }
        let hop = route.and_then(|route| route.gateway).or(address);
        let neighbour = hop.and_then(|hop| self.host.neighbour(hop, bridge.index).into_value().ok());
        let lladdr = neighbour.and_then(|neighbour| neighbour.lladdr);
        let port = lladdr.and_then(|lladdr| self.host.bridge_port(bridge.index, &lladdr).into_value().ok());
        // It was not heard of lately: rules of a bridge seldom ask for the port, so any is better than none.
        let port = ports.iter().find(|link| Some(link.index) == port).or_else(|| ports.iter().find(|link| link.up));
        port.map(|link| link.name.clone())
    }
}

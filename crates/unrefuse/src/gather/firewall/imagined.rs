//! A machine as it would be after a change.

use super::super::machine::LiveMachine;
use std::net::IpAddr;
use std::sync::Arc;
use unrefuse_firewall::machine::{Interface, Machine, Route, RouteKind, RouteQuery};
use unrefuse_firewall::model::{Element, Family, Rules, Scalar, Set};

/// This machine, but for these.
pub(super) struct Imagined<'m> {
    /// As it is.
    pub(super) machine: &'m LiveMachine,
    /// Forwarding is on.
    pub(super) forwards: bool,
    /// Packets to groups of hosts leave by this interface, which their socket chose.
    pub(super) groups_by: Option<&'m str>,
}

impl<'m> Imagined<'m> {
    /// Nothing is another way.
    pub(super) const fn of(machine: &'m LiveMachine) -> Self {
        Self { machine, forwards: false, groups_by: None }
    }
}

impl Machine for Imagined<'_> {
    fn interface(&self, name: &str) -> Option<Interface> {
        self.machine.interface(name)
    }
    fn holder(&self, address: IpAddr) -> Option<Interface> {
        self.machine.holder(address)
    }
    fn addr_type(&self, address: IpAddr, interface: Option<&str>) -> Option<RouteKind> {
        self.machine.addr_type(address, interface)
    }
    fn route(&self, query: &RouteQuery<'_>) -> Option<Route> {
        match self.groups_by.filter(|_| query.dst.is_multicast()) {
            Some(oif) => {
                let own = self.machine.interface(oif)?.addresses.into_iter().find(IpAddr::is_ipv6);
                // Neighbour discovery is sent (`ndisc_send_skb`), where a connection to a group is refused.
                Some(Route { kind: RouteKind::Unicast, oif: Some(oif.to_owned()), gateway: None, source: own })
            }
            None => self.machine.route(query),
        }
    }
    fn sysctl(&self, name: &str) -> Option<i64> {
        let forwarding = name.ends_with("forwarding") || name == "net.ipv4.ip_forward";
        if self.forwards && forwarding { Some(1) } else { self.machine.sysctl(name) }
    }
    fn element(&self, table: Option<(Family, &str)>, set: &str, key: &[Scalar]) -> Option<Option<Element>> {
        self.machine.element(table, set, key)
    }
    fn ipset(&self, name: &str) -> Option<Arc<Set>> {
        self.machine.ipset(name)
    }
    fn prefixes(&self) -> Vec<(IpAddr, u8)> {
        self.machine.prefixes()
    }
    fn listens(&self, protocol: u8, port: u16) -> Option<bool> {
        self.machine.listens(protocol, port)
    }
    fn chain(&self, family: Family, table: &str, chain: &str) -> Option<Arc<Rules>> {
        self.machine.chain(family, table, chain)
    }
}

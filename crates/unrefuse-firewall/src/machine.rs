//! What judging needs to know of the machine beside its rulesets.
//!
//! Every answer may be "not known": the verdict then says what it would depend on, or which assumption it makes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{Element, Family, Rules, Scalar, Set};

/// A host's interfaces, routes and settings.
pub trait Machine {
    /// The interface of this name.
    fn interface(&self, name: &str) -> Option<Interface> {
        let _ = name;
        None
    }

    /// Which interface holds this address.
    fn holder(&self, address: IpAddr) -> Option<Interface> {
        let _ = address;
        None
    }

    /// What the routing tables call this address (`inet_addr_type`, `inet_dev_addr_type`), limited to an interface.
    fn addr_type(&self, address: IpAddr, interface: Option<&str>) -> Option<RouteKind> {
        let _ = (address, interface);
        None
    }

    /// The route of a packet. A packet without a route has the kind [`RouteKind::None`].
    fn route(&self, query: &RouteQuery<'_>) -> Option<Route> {
        let _ = query;
        None
    }

    /// A number under /proc/sys, by its dotted name (`net.ipv4.ip_forward`).
    fn sysctl(&self, name: &str) -> Option<i64> {
        let _ = name;
        None
    }

    /// The element of an nf_tables set (`Some((family, table))`) or ipset (`None`) that holds this key: `None` where that
    /// is not known, `Some(None)` where it is in none. Asked for sets whose elements were not read.
    fn element(&self, table: Option<(Family, &str)>, set: &str, key: &[Scalar]) -> Option<Option<Element>> {
        let _ = (table, set, key);
        None
    }

    /// An ipset with its elements, which were not read with it. Asked where a key is known only in part; not known where
    /// reading it costs too much.
    fn ipset(&self, name: &str) -> Option<Arc<Set>> {
        let _ = name;
        None
    }

    /// Prefixes at whose ends what routes and address types say may change: addresses, subnets, routes.
    fn prefixes(&self) -> Vec<(IpAddr, u8)> {
        Vec::new()
    }

    /// Whether a socket of this protocol (6, 17) listens on the port, as the proxy that TPROXY hands packets to must.
    fn listens(&self, protocol: u8, port: u16) -> Option<bool> {
        let _ = (protocol, port);
        None
    }

    /// The rules of a chain that was not read with its table.
    fn chain(&self, family: Family, table: &str, chain: &str) -> Option<Arc<Rules>> {
        let _ = (family, table, chain);
        None
    }
}

/// An interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Name.
    pub name: String,
    /// Index.
    pub index: Option<u32>,
    /// `ARPHRD_*` number (1 Ethernet, 772 loopback).
    pub kind: Option<u16>,
    /// Group number.
    pub group: Option<u32>,
    /// rtnetlink kind (`veth`, `bridge`).
    pub link: Option<String>,
    /// The bridge or VRF that it belongs to.
    pub master: Option<String>,
    /// Its addresses in the kernel's order: the first one of a family is what REDIRECT uses.
    pub addresses: Vec<IpAddr>,
}

/// `RTN_*`: kind of a route, or of an address as the routing tables see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are rtnetlink(7)'s")]
pub enum RouteKind {
    /// No route at all.
    None,
    Unicast,
    Local,
    Broadcast,
    Anycast,
    Multicast,
    Blackhole,
    Unreachable,
    Prohibit,
    Throw,
}

impl RouteKind {
    /// The kernel's number (linux/rtnetlink.h).
    pub const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Unicast => 1,
            Self::Local => 2,
            Self::Broadcast => 3,
            Self::Anycast => 4,
            Self::Multicast => 5,
            Self::Blackhole => 6,
            Self::Unreachable => 7,
            Self::Prohibit => 8,
            Self::Throw => 9,
        }
    }
}

/// What is asked of the routing tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteQuery<'a> {
    /// Destination.
    pub dst: IpAddr,
    /// Source, where it is chosen already.
    pub src: Option<IpAddr>,
    /// Mark, where it is known.
    pub mark: Option<u32>,
    /// The interface it came in by; `None` for a packet made here.
    pub iif: Option<&'a str>,
    /// The interface it is bound to.
    pub oif: Option<&'a str>,
}

impl<'a> RouteQuery<'a> {
    /// To this address, with nothing else known.
    pub const fn to(dst: IpAddr) -> Self {
        Self { dst, src: None, mark: None, iif: None, oif: None }
    }
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Kind.
    pub kind: RouteKind,
    /// The interface it leaves by; `lo` for a local destination.
    pub oif: Option<String>,
    /// Next hop.
    pub gateway: Option<IpAddr>,
    /// The source address it gives.
    pub source: Option<IpAddr>,
}

/// A machine that is known from data: for files, and for tests.
#[derive(Debug, Clone, Default)]
pub struct KnownMachine {
    /// Interfaces with their addresses.
    pub interfaces: Vec<Interface>,
    /// Unicast and other routes; the longest prefix is taken, of equal ones the first.
    pub routes: Vec<KnownRoute>,
    /// Settings by dotted name.
    pub sysctls: BTreeMap<String, i64>,
    /// `interfaces` are all that the machine has: an address of none of them is not local.
    pub complete: bool,
}

/// One entry of a routing table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRoute {
    /// Destination prefix.
    pub prefix: IpAddr,
    /// Its length in bits.
    pub length: u8,
    /// What it gives.
    pub route: Route,
}

impl KnownMachine {
    /// A machine with a loopback interface and nothing else.
    pub fn new() -> Self {
        let lo = Interface {
            name: "lo".into(),
            index: Some(1),
            kind: Some(772),
            group: Some(0),
            addresses: vec![[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()],
            ..Interface::default()
        };
        Self { interfaces: vec![lo], complete: true, ..Self::default() }
    }

    /// Adds an Ethernet interface with its addresses, and the routes to their subnets.
    #[must_use]
    pub fn with_interface(mut self, name: &str, addresses: &[(&str, u8)]) -> Self {
        let index = u32::try_from(self.interfaces.len() + 1).ok();
        let mut interface =
            Interface { name: name.into(), index, kind: Some(1), group: Some(0), ..Interface::default() };
        for (text, length) in addresses {
            let Ok(address) = text.parse::<IpAddr>() else { continue };
            interface.addresses.push(address);
            let route =
                Route { kind: RouteKind::Unicast, oif: Some(name.into()), gateway: None, source: Some(address) };
            self.routes.push(KnownRoute { prefix: address, length: *length, route });
        }
        self.interfaces.push(interface);
        self
    }

    /// Adds a route.
    #[must_use]
    pub fn with_route(mut self, prefix: IpAddr, length: u8, route: Route) -> Self {
        self.routes.push(KnownRoute { prefix, length, route });
        self
    }

    /// Sets a number under /proc/sys.
    #[must_use]
    pub fn with_sysctl(mut self, name: &str, value: i64) -> Self {
        self.sysctls.insert(name.into(), value);
        self
    }

    fn is_local(&self, address: IpAddr, interface: Option<&str>) -> bool {
        let loopback = address.is_loopback() && interface.is_none_or(|i| i == "lo");
        loopback
            || self
                .interfaces
                .iter()
                .any(|i| interface.is_none_or(|name| name == i.name) && i.addresses.contains(&address))
    }

    fn broadcast(&self, address: IpAddr, interface: Option<&str>) -> bool {
        let IpAddr::V4(a) = address else { return false };
        a.is_broadcast()
            || self.routes.iter().any(|r| {
                let IpAddr::V4(prefix) = r.prefix else { return false };
                let on = interface.is_none_or(|i| r.route.oif.as_deref() == Some(i));
                let host = u32::MAX.checked_shr(u32::from(r.length)).unwrap_or(0);
                on && r.route.gateway.is_none() && r.length < 31 && a.to_bits() == prefix.to_bits() | host
            })
    }
}

/// Whether `address` lies in `prefix`/`length`.
pub fn in_prefix(address: IpAddr, prefix: IpAddr, length: u8) -> bool {
    match (address, prefix) {
        (IpAddr::V4(a), IpAddr::V4(p)) => {
            let shift = 32u32.saturating_sub(length.into());
            (a.to_bits() ^ p.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(p)) => {
            let shift = 128u32.saturating_sub(length.into());
            (a.to_bits() ^ p.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        _ => false,
    }
}

impl Machine for KnownMachine {
    fn interface(&self, name: &str) -> Option<Interface> {
        self.interfaces.iter().find(|i| i.name == name).cloned()
    }

    fn holder(&self, address: IpAddr) -> Option<Interface> {
        self.interfaces.iter().find(|i| i.addresses.contains(&address)).cloned()
    }

    fn addr_type(&self, address: IpAddr, interface: Option<&str>) -> Option<RouteKind> {
        if self.is_local(address, interface) {
            return Some(RouteKind::Local);
        }
        if address.is_multicast() {
            return Some(RouteKind::Multicast);
        }
        if !self.complete {
            return None;
        }
        if self.broadcast(address, interface) || address == IpAddr::from([0, 0, 0, 0]) {
            return Some(RouteKind::Broadcast);
        }
        // An address limited to an interface that holds another kind of route to it is unicast there (inet_dev_addr_type).
        self.route(&RouteQuery::to(address)).map(|r| match r.kind {
            RouteKind::Local if interface.is_some() => RouteKind::Unicast,
            // __inet_dev_addr_type answers RTN_UNICAST where there is no route at all.
            RouteKind::None => RouteKind::Unicast,
            kind => kind,
        })
    }

    fn route(&self, query: &RouteQuery<'_>) -> Option<Route> {
        // Bound to an interface, only that one's routes count, local ones as well.
        let elsewhere = query.oif.is_some_and(|oif| !self.is_local(query.dst, Some(oif)));
        if self.is_local(query.dst, None) && !elsewhere {
            // 127.0.0.0/8 is one local route, which prefers the address of lo.
            let of_lo = query.dst.is_loopback() && query.dst.is_ipv4();
            let source = Some(if of_lo { [127, 0, 0, 1].into() } else { query.dst });
            return Some(Route { kind: RouteKind::Local, oif: Some("lo".into()), gateway: None, source });
        }
        let best = self
            .routes
            .iter()
            .filter(|r| in_prefix(query.dst, r.prefix, r.length))
            .filter(|r| query.oif.is_none_or(|o| r.route.oif.as_deref().is_none_or(|oif| oif == o)))
            .reduce(|best, r| if r.length > best.length { r } else { best });
        match best {
            Some(r) => {
                let mut route = r.route.clone();
                if route.kind == RouteKind::Unicast && self.broadcast(query.dst, route.oif.as_deref()) {
                    route.kind = RouteKind::Broadcast;
                }
                Some(route)
            }
            None if self.complete => Some(Route { kind: RouteKind::None, oif: None, gateway: None, source: None }),
            None => None,
        }
    }

    fn prefixes(&self) -> Vec<(IpAddr, u8)> {
        let addresses =
            self.interfaces.iter().flat_map(|i| &i.addresses).map(|a| (*a, if a.is_ipv4() { 32 } else { 128 }));
        addresses.chain(self.routes.iter().map(|r| (r.prefix, r.length))).collect()
    }

    fn sysctl(&self, name: &str) -> Option<i64> {
        self.sysctls.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins() {
        let gateway = Route {
            kind: RouteKind::Unicast,
            oif: Some("eth0".into()),
            gateway: Some([192, 0, 2, 254].into()),
            source: Some([192, 0, 2, 1].into()),
        };
        let m = KnownMachine::new()
            .with_interface("eth0", &[("192.0.2.1", 24)])
            .with_interface("eth1", &[("198.51.100.1", 24)])
            .with_route([0, 0, 0, 0].into(), 0, gateway);
        let oif = |a: [u8; 4]| m.route(&RouteQuery::to(a.into())).and_then(|r| r.oif);
        assert_eq!(oif([198, 51, 100, 7]).as_deref(), Some("eth1"));
        assert_eq!(oif([8, 8, 8, 8]).as_deref(), Some("eth0"));
        assert_eq!(oif([198, 51, 100, 1]).as_deref(), Some("lo"));
        assert_eq!(m.addr_type([198, 51, 100, 255].into(), None), Some(RouteKind::Broadcast));
        assert_eq!(m.addr_type([198, 51, 100, 1].into(), Some("eth0")), Some(RouteKind::Unicast));
        assert_eq!(m.addr_type([127, 9, 9, 9].into(), None), Some(RouteKind::Local));
    }

    #[test]
    fn what_is_not_complete_is_not_known() {
        let m = KnownMachine { complete: false, ..KnownMachine::new() };
        assert_eq!(m.addr_type([192, 0, 2, 1].into(), None), None);
        assert_eq!(m.route(&RouteQuery::to([192, 0, 2, 1].into())), None);
    }
}

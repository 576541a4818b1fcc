//! Links, addresses, routes and neighbours, as the kernel has them (rtnetlink(7)).

use crate::Errno;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: &IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
    /// `IPv4` or `IPv6`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Interface index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// It has a carrier (`IFF_LOWER_UP`): the cable or the other end is there.
    pub carrier: bool,
    /// It is a loopback interface.
    pub loopback: bool,
    /// Operational state as the kernel names it (RFC 2863): `UP`, `DOWN`, `LOWERLAYERDOWN`, `UNKNOWN` …
    pub operstate: String,
    /// Kind from `IFLA_INFO_KIND`: `bridge`, `veth`, `vrf`, `wireguard` …
    pub kind: Option<String>,
    /// Index of the bridge, bond or VRF it belongs to.
    pub master: Option<u32>,
    /// MTU in bytes.
    pub mtu: u32,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceAddress {
    /// Interface index.
    pub link: u32,
    /// The address of this machine.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix: u8,
    /// IPv6 only: still tentative or failed duplicate address detection, so not usable yet.
    pub tentative: bool,
}

/// What a route does with a packet (`RTN_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteKind {
    /// Sent on its way.
    Unicast,
    /// To this machine itself.
    Local,
    /// Broadcast, anycast or multicast.
    Broadcast,
    /// Dropped in silence; connect(2) gives `EINVAL`.
    Blackhole,
    /// `EHOSTUNREACH`.
    Unreachable,
    /// `EACCES`.
    Prohibit,
    /// The lookup in this table ends; with no other table: `ENETUNREACH`.
    Throw,
    /// Another kind.
    Other,
}

impl RouteKind {
    /// The word of ip-route(8).
    pub fn name(self) -> &'static str {
        match self {
            Self::Unicast => "unicast",
            Self::Local => "local",
            Self::Broadcast => "broadcast",
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
            Self::Throw => "throw",
            Self::Other => "other",
        }
    }
}

/// One entry of a routing table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// What it does.
    pub kind: RouteKind,
    /// Destination network; 0.0.0.0 or :: for a default route.
    pub destination: IpAddr,
    /// Prefix length, 0 for a default route.
    pub prefix: u8,
    /// Next hop.
    pub gateway: Option<IpAddr>,
    /// Output interface index.
    pub link: Option<u32>,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Table number (254 is `main`).
    pub table: u32,
    /// Metric; smaller wins.
    pub metric: u32,
    /// The kernel marks its next hop as unusable (`RTNH_F_LINKDOWN`, `RTNH_F_DEAD`).
    pub dead: bool,
}

/// What the kernel's own lookup (`RTM_GETROUTE`) says of one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteDecision {
    /// It has a way.
    Via(Route),
    /// It has none; the error is the one that connect(2) gives.
    No {
        /// `ENETUNREACH`, `EHOSTUNREACH`, `EACCES` or `EINVAL`.
        errno: Errno,
        /// The entry that says so, where one could be found in the tables (none: no route matches).
        entry: Option<Route>,
    },
}

impl RouteDecision {
    /// The route taken, if there is one.
    pub fn via(&self) -> Option<&Route> {
        match self {
            Self::Via(route) => Some(route),
            Self::No { .. } => None,
        }
    }
}

/// A rule of the routing policy that stops packets before any table is asked (ip-rule(8)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingRule {
    /// Its place in the policy; the smallest comes first.
    pub priority: u32,
    /// Blackhole, unreachable or prohibit.
    pub kind: RouteKind,
    /// Which packets it is for, as ip-rule(8) takes it: `fwmark 0x7`. `None`: it asks for something that is not known here.
    pub selector: Option<String>,
}

/// State of a neighbour entry (`NUD_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NeighbourState {
    /// Asked, no answer yet.
    Incomplete,
    /// Answered lately.
    Reachable,
    /// Known, not confirmed lately (stale, delay, probe).
    Stale,
    /// Asked and nobody answered.
    Failed,
    /// Set by hand, or needs none (loopback, point to point).
    Permanent,
}

impl NeighbourState {
    /// As ip-neighbour(8) writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "INCOMPLETE",
            Self::Reachable => "REACHABLE",
            Self::Stale => "STALE",
            Self::Failed => "FAILED",
            Self::Permanent => "PERMANENT",
        }
    }
}

/// An ARP or neighbour discovery entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// The neighbour's address.
    pub address: IpAddr,
    /// Interface index.
    pub link: u32,
    /// Its state.
    pub state: NeighbourState,
    /// Link-layer address, as `02:00:…`.
    pub lladdr: Option<String>,
    /// Questions sent since the last answer (`NDA_PROBES`).
    pub probes: u32,
}

/// The way to one address of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// The destination looked up.
    pub destination: IpAddr,
    /// The kernel's decision.
    pub decision: crate::Observed<RouteDecision>,
    /// Other entries that cover the destination, best match first: what would carry the packet if the first were gone.
    /// Looked up only where the decision is no, or goes out through a bridge.
    pub alternatives: crate::Observed<Vec<Route>>,
    /// The neighbour that the packet must be handed to (the gateway, or the destination itself on a link), after the
    /// attempt. Missing as absent when the kernel has no entry.
    pub neighbour: crate::Observed<Neighbour>,
    /// The link-layer addresses that answer for that neighbour when the link is asked; empty: nobody does. Asked only where
    /// the entry was set by hand, which the kernel never asks for.
    #[serde(default)]
    pub claimants: crate::Observed<Vec<String>>,
    /// The rule of the routing policy that stops it, where no entry of a table does.
    #[serde(default)]
    pub rule: Option<RoutingRule>,
    /// The mark by which it was looked up, where this machine's filters set one and the kernel routes the packet anew.
    #[serde(default)]
    pub mark: Option<u32>,
}

/// Whether `address` has the first `prefix` bits of `network`; `false` for addresses of two families and for a
/// prefix longer than an address.
pub fn within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    let ((address, size), (network, other)) = (bits(address), bits(network));
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0);
    size == other && u32::from(prefix) <= size && (address ^ network) & mask == 0
}

/// The VRF that the interface with this address is, or belongs to: its routes are in a table of their own
/// (Documentation/networking/vrf.rst).
pub fn vrf_of<'a>(address: IpAddr, addresses: &[InterfaceAddress], links: &'a [Link]) -> Option<&'a Link> {
    let by_index = |index: u32| links.iter().find(|link| link.index == index);
    let own = by_index(addresses.iter().find(|own| own.address == address)?.link)?;
    let is_vrf = |link: &&Link| link.kind.as_deref() == Some("vrf");
    Some(own).filter(is_vrf).or_else(|| own.master.and_then(by_index).filter(is_vrf))
}

/// `10.9.0.7` and 24 give `10.9.0.0/24`.
pub fn network(address: IpAddr, prefix: u8) -> String {
    let length = u32::from(prefix);
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length)).unwrap_or(0);
            format!("{}/{prefix}", Ipv4Addr::from_bits(ip.to_bits() & mask))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length)).unwrap_or(0);
            format!("{}/{prefix}", Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{InterfaceAddress, Link, vrf_of, within};

    #[test]
    fn prefixes() {
        let within = |a: &str, n: &str, p| within(a.parse().unwrap(), n.parse().unwrap(), p);
        assert!(within("10.1.2.3", "10.1.2.0", 24));
        assert!(!within("10.1.3.3", "10.1.2.0", 24));
        assert!(within("1.2.3.4", "0.0.0.0", 0));
        assert!(within("10.1.2.3", "10.1.2.3", 32));
        assert!(!within("10.1.2.3", "10.1.2.2", 32));
        assert!(!within("10.1.2.3", "10.1.2.3", 33));
        assert!(within("fd00::1:2", "fd00::", 64));
        assert!(!within("fd00::1:2", "fd00::1:3", 128));
        assert!(!within("fd00::1", "10.0.0.0", 0));
    }

    #[test]
    fn the_vrf_of_an_address() {
        let link = |index: u32, kind: &str, master: Option<u32>| Link {
            index,
            name: format!("link{index}"),
            up: true,
            carrier: true,
            loopback: false,
            operstate: "UP".into(),
            kind: Some(kind.into()),
            master,
            mtu: 1500,
        };
        let links = [link(2, "veth", Some(5)), link(3, "veth", Some(6)), link(5, "vrf", None), link(6, "bridge", None)];
        let own = |link: u32| {
            let address = format!("10.{link}.0.1").parse().unwrap();
            InterfaceAddress { link, address, prefix: 24, tentative: false }
        };
        let addresses = [own(2), own(3), own(5)];
        let of = |address: &str| vrf_of(address.parse().unwrap(), &addresses, &links).map(|link| link.index);
        assert_eq!((of("10.2.0.1"), of("10.5.0.1")), (Some(5), Some(5)));
        assert_eq!((of("10.3.0.1"), of("10.9.0.1")), (None, None), "a bridge has no routes of its own");
    }
}

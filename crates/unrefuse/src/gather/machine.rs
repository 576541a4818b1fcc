//! This machine as the judge of the packet filters asks for it: its interfaces and routes from the collectors, its rules
//! and sets from the kernel as far as a packet meets them.

mod bridge;

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use unrefuse_collect::firewall::{Live, Scope};
use unrefuse_collect::{Host, Owners, SocketQuery, States};
use unrefuse_facts::{Errno, Family, InterfaceAddress, Link, Missing, Observed, RouteDecision, Transport, vrf_of};
use unrefuse_firewall::machine::{Interface, Machine, Route, RouteKind, RouteQuery};
use unrefuse_firewall::model::{self, Element, Rules, Ruleset, Scalar};

/// ARP hardware types (linux/if_arp.h).
const ETHERNET: u16 = 1;
const LOOPBACK: u16 = 772;

/// What routes are asked for.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Asked {
    destination: IpAddr,
    source: Option<IpAddr>,
    mark: u32,
    /// The interface that the packet comes in by.
    iif: Option<String>,
    /// The one that it is bound to.
    oif: Option<String>,
}

type Routes = HashMap<Asked, Option<Route>>;

/// This machine.
pub(crate) struct LiveMachine {
    host: Arc<dyn Host>,
    filters: Live,
    ruleset: Arc<Ruleset>,
    links: Vec<Link>,
    addresses: Vec<InterfaceAddress>,
    /// What the kernel said already: a sweep asks for the same routes and settings again and again.
    routes: RefCell<Routes>,
    sysctls: RefCell<HashMap<String, Option<i64>>>,
    ipsets: RefCell<HashMap<String, Option<Arc<model::Set>>>>,
    /// The question's packets pass between ports of a bridge: the filters meet them, and routing does not.
    pub(crate) bridges: bool,
}

impl LiveMachine {
    /// Reads what every packet of that family meets: tables, base chains, interfaces, addresses. Rules are read later, as
    /// far as a packet meets them.
    pub(crate) fn new(host: &Arc<dyn Host>, family: Family) -> Result<Self, Missing> {
        Self::knowing(host, family, host.links(), host.addresses())
    }

    /// The same, interfaces and addresses being known.
    pub(crate) fn knowing(
        host: &Arc<dyn Host>,
        family: Family,
        links: Observed<Vec<Link>>,
        addresses: Observed<Vec<InterfaceAddress>>,
    ) -> Result<Self, Missing> {
        let scope = match family {
            Family::V4 => Scope::Ip,
            Family::V6 => Scope::Ip6,
        };
        let filters = Live::open(scope).into_value()?;
        let (links, addresses) = (links.into_value()?, addresses.into_value()?);
        let (host, ruleset) = (Arc::clone(host), filters.ruleset());
        let (routes, sysctls, ipsets) = Default::default();
        Ok(Self { host, ruleset, filters, links, addresses, routes, sysctls, ipsets, bridges: false })
    }

    /// Tables and chains; the rules are asked for when a packet reaches them.
    pub(crate) fn ruleset(&self) -> &Ruleset {
        &self.ruleset
    }

    /// The VRF that this machine's address belongs to.
    pub(crate) fn vrf(&self, address: IpAddr) -> Option<&Link> {
        vrf_of(address, &self.addresses, &self.links)
    }

    /// The address is one of this machine's own.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        self.addr_type(address, None) == Some(RouteKind::Local)
    }

    /// A set with all its elements, of nf_tables or, without a table, an ipset; `None` where it was not read.
    pub(crate) fn set(&self, table: Option<(model::Family, &str)>, name: &str) -> Option<Arc<model::Set>> {
        match table {
            Some((family, table)) => self.filters.set(family, table, name).map(Arc::new),
            None => self.ipset(name),
        }
    }

    fn described(&self, link: &Link) -> Interface {
        let name_of = |index| self.links.iter().find(|l| l.index == index).map(|l| l.name.clone());
        Interface {
            name: link.name.clone(),
            index: Some(link.index),
            kind: Some(if link.loopback { LOOPBACK } else { ETHERNET }),
            group: None,
            link: link.kind.clone(),
            master: link.master.and_then(name_of),
            addresses: self.addresses.iter().filter(|a| a.link == link.index).map(|a| a.address).collect(),
        }
    }

    /// The address that packets to `destination` are sent from.
    pub(crate) fn source(&self, destination: IpAddr) -> Option<IpAddr> {
        self.route(&RouteQuery::to(destination))?.source
    }

    /// The networks that the interface has addresses in: an address, and the prefix length.
    pub(crate) fn networks(&self, interface: &str) -> impl Iterator<Item = (IpAddr, u8)> {
        let index = self.links.iter().find(|link| link.name == interface).map(|link| link.index);
        self.addresses.iter().filter(move |a| Some(a.link) == index).map(|a| (a.address, a.prefix))
    }

    fn decided(&self, asked: &Asked) -> Option<Route> {
        let Asked { destination, source, mark, iif, oif } = asked;
        let plain = || self.host.route(*destination, oif.as_deref());
        let decision = match (iif, source) {
            // Bound to an interface, only that decides.
            _ if oif.is_some() => (*mark == 0).then(plain)?,
            // Where nothing is forwarded, the kernel says so of every way.
            (Some(iif), Some(source)) if destination.is_ipv6() || self.forwards(iif) => {
                let arriving = self.host.route_arriving(iif, *mark, *source, *destination);
                // The source may not come in there: the way is another question. But for what nobody looks at.
                let refused = |errno: Errno| {
                    errno == Errno::EXDEV
                        || (errno == Errno::EINVAL && destination.is_ipv4() && self.looks_at_sources(iif))
                };
                match arriving.value() {
                    None => (*mark == 0).then(plain)?,
                    Some(RouteDecision::No { errno, .. }) if refused(*errno) => (*mark == 0).then(plain)?,
                    _ => arriving,
                }
            }
            (Some(_), _) => (*mark == 0).then(plain)?,
            (None, None) if *mark == 0 => plain(),
            (None, source) => self.host.route_marked(*mark, *source, *destination),
        };
        decision.value().map(|decision| self.as_route(decision))
    }

    /// The interface's own setting, as it is now: the question may be what would be if it were otherwise.
    fn forwards(&self, iif: &str) -> bool {
        let name = setting(&format!("net.ipv4.conf.{iif}.forwarding"), std::iter::once(iif));
        self.host.sysctl(&name).value().is_some_and(|value| value.trim() == "1")
    }

    /// IPv4 drops what comes in by the interface from where it would not answer (rp_filter), or may.
    fn looks_at_sources(&self, iif: &str) -> bool {
        let off = |name: &str| self.sysctl(&format!("net.ipv4.conf.{name}.rp_filter")) == Some(0);
        !(off("all") && off(iif))
    }

    fn as_route(&self, decision: &RouteDecision) -> Route {
        let nowhere = |kind| Route { kind, oif: None, gateway: None, source: None };
        match decision {
            RouteDecision::Via(route) => Route {
                kind: kind(route.kind),
                oif: route.link.and_then(|index| self.name(index)),
                gateway: route.gateway,
                source: route.source,
            },
            RouteDecision::No { entry: Some(entry), .. } => nowhere(kind(entry.kind)),
            // A rule of the routing policy says so (`fib4_rule_action`, net/ipv4/fib_rules.c).
            RouteDecision::No { entry: None, errno: Errno::EINVAL } => nowhere(RouteKind::Blackhole),
            RouteDecision::No { entry: None, errno: Errno::EACCES } => nowhere(RouteKind::Prohibit),
            RouteDecision::No { entry: None, .. } => nowhere(RouteKind::None),
        }
    }

    fn name(&self, index: u32) -> Option<String> {
        self.links.iter().find(|l| l.index == index).map(|l| l.name.clone())
    }
}

impl Machine for LiveMachine {
    fn interface(&self, name: &str) -> Option<Interface> {
        self.links.iter().find(|l| l.name == name).map(|link| self.described(link))
    }

    fn holder(&self, address: IpAddr) -> Option<Interface> {
        let index = self.addresses.iter().find(|a| a.address == address)?.link;
        self.links.iter().find(|l| l.index == index).map(|link| self.described(link))
    }

    fn addr_type(&self, address: IpAddr, interface: Option<&str>) -> Option<RouteKind> {
        let on = |a: &&InterfaceAddress| interface.is_none_or(|name| self.name(a.link).as_deref() == Some(name));
        let own = self.addresses.iter().filter(on);
        let loopback = address.is_loopback() && interface.is_none_or(|name| name == "lo");
        if loopback || own.clone().any(|a| a.address == address) {
            return Some(RouteKind::Local);
        }
        if address.is_multicast() {
            return Some(RouteKind::Multicast);
        }
        if let IpAddr::V4(v4) = address {
            let broadcast = |a: &InterfaceAddress| match a.address {
                IpAddr::V4(own) if a.prefix < 31 => {
                    let host_bits = u32::MAX.checked_shr(u32::from(a.prefix)).unwrap_or(0);
                    u32::from(own) | host_bits == u32::from(v4)
                }
                _ => false,
            };
            if v4.is_broadcast() || own.clone().any(broadcast) {
                return Some(RouteKind::Broadcast);
            }
        }
        Some(self.route(&RouteQuery::to(address))?.kind)
    }

    /// A rule of the routing policy may ask for the source, the mark and the interface (ip-rule(8)).
    fn route(&self, query: &RouteQuery<'_>) -> Option<Route> {
        let mark = query.mark.unwrap_or(0);
        // Another machine's source would be refused (`ip_route_output_key_hash_rcu`, net/ipv4/route.c), and a loopback one
        // as a blackhole refuses: whether that may leave is the judge's to say (`__mkroute_output`).
        let own = |src: &IpAddr| !src.is_loopback() && self.addresses.iter().any(|a| a.address == *src);
        let asked = Asked {
            destination: query.dst,
            source: query.src.filter(|src| query.iif.is_some() || own(src)),
            mark,
            iif: query.iif.map(str::to_owned),
            oif: query.oif.map(str::to_owned),
        };
        if let Some(known) = self.routes.borrow().get(&asked) {
            return known.clone();
        }
        let route = self.decided(&asked);
        self.routes.borrow_mut().insert(asked, route.clone());
        route
    }

    fn prefixes(&self) -> Vec<(IpAddr, u8)> {
        let alone = |a: &InterfaceAddress| (a.address, if a.address.is_ipv4() { 32 } else { 128 });
        self.addresses.iter().flat_map(|a| [alone(a), (a.address, a.prefix)]).collect()
    }

    fn sysctl(&self, name: &str) -> Option<i64> {
        match name {
            "net.ipv4.ip_forward" if self.bridges => return Some(1),
            name if self.bridges && name.ends_with(".forwarding") => return Some(1),
            name if self.bridges && name.ends_with(".rp_filter") => return Some(0),
            _ => {}
        }
        if let Some(known) = self.sysctls.borrow().get(name) {
            return *known;
        }
        let setting = setting(name, self.links.iter().map(|link| link.name.as_str()));
        let value = self.host.sysctl(&setting).value().and_then(|text| text.trim().parse().ok());
        self.sysctls.borrow_mut().insert(name.to_owned(), value);
        value
    }

    fn element(&self, table: Option<(model::Family, &str)>, set: &str, key: &[Scalar]) -> Option<Option<Element>> {
        self.filters.element(table, set, key)
    }

    fn ipset(&self, name: &str) -> Option<Arc<model::Set>> {
        let mut known = self.ipsets.borrow_mut();
        known.entry(name.to_owned()).or_insert_with(|| self.filters.ipset(name).map(Arc::new)).clone()
    }

    fn listens(&self, protocol: u8, port: u16) -> Option<bool> {
        let transport = match protocol {
            6 => Transport::Tcp,
            17 => Transport::Udp,
            _ => return None,
        };
        let query = SocketQuery {
            port: Some(port),
            transports: vec![transport],
            owners: Owners::None,
            states: States::Listening,
        };
        self.host.sockets(&query).value().map(|table| !table.listeners.is_empty())
    }

    fn chain(&self, family: model::Family, table: &str, chain: &str) -> Option<Arc<Rules>> {
        self.filters.chain(family, table, chain)
    }
}

/// The judge joins names with dots; those of an interface stand as slashes in the name of a setting, as in sysctl(8).
fn setting<'a>(name: &str, mut interfaces: impl Iterator<Item = &'a str>) -> String {
    let dotted = interfaces.find(|interface| interface.contains('.') && name.contains(&format!(".{interface}.")));
    match dotted {
        Some(interface) => name.replacen(interface, &interface.replace('.', "/"), 1),
        None => name.to_owned(),
    }
}

fn kind(kind: unrefuse_facts::RouteKind) -> RouteKind {
    use unrefuse_facts::RouteKind as Known;
    match kind {
        Known::Unicast | Known::Other => RouteKind::Unicast,
        Known::Local => RouteKind::Local,
        Known::Broadcast => RouteKind::Broadcast,
        Known::Blackhole => RouteKind::Blackhole,
        Known::Unreachable => RouteKind::Unreachable,
        Known::Prohibit => RouteKind::Prohibit,
        Known::Throw => RouteKind::Throw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_interfaces_with_dots() {
        let setting = |name| super::setting(name, ["lo", "eth0", "eth0.7"].into_iter());
        assert_eq!(setting("net.ipv4.conf.eth0.7.rp_filter"), "net.ipv4.conf.eth0/7.rp_filter");
        assert_eq!(setting("net.ipv4.conf.eth0.rp_filter"), "net.ipv4.conf.eth0.rp_filter");
        assert_eq!(setting("net.ipv4.ip_default_ttl"), "net.ipv4.ip_default_ttl");
    }

    /// What the judge asks of every machine, and what conntrack's presence is read from where it is loaded.
    #[test]
    fn settings_that_the_judge_reads_are_there() {
        let host: Arc<dyn Host> = Arc::new(unrefuse_collect::live::Live::new());
        let number = |name: &str| host.sysctl(name).value().and_then(|text| text.parse::<i64>().ok());
        assert!(number("net.ipv4.ip_default_ttl").is_some_and(|ttl| (1..256).contains(&ttl)));
        if std::path::Path::new("/proc/sys/net/ipv6").exists() {
            assert!(number("net.ipv6.conf.all.hop_limit").is_some_and(|limit| (1..256).contains(&limit)));
        }
        if std::path::Path::new("/proc/sys/net/netfilter/nf_conntrack_count").exists() {
            assert!(number("net.netfilter.nf_conntrack_count").is_some());
            assert!(number("net.netfilter.nf_conntrack_max").is_some_and(|max| max > 0));
        }
    }
}

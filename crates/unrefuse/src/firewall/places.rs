//! What is known of the machine whose rules are asked: this one, or what `--address` tells of another.

use crate::gather::machine::LiveMachine;
use std::net::IpAddr;
use std::sync::Arc;
use unrefuse_collect::Host;
use unrefuse_facts::{Family, InterfaceAddress, Link, Missing, Observed, RouteDecision};
use unrefuse_firewall::machine::{Interface, Machine, Route, RouteKind, RouteQuery, in_prefix};

/// Stands for an interface that no rule names: `(` is in no name that people give.
pub(super) const OTHER: &str = "(another)";

/// ARP hardware type of the loopback interface (linux/if_arp.h).
const LOOPBACK: u16 = 772;

/// What a question needs to know before a packet can be described.
pub(super) trait Ground {
    /// Whether an address is the machine's own; `None` where that is not known.
    fn is_own(&self, address: IpAddr) -> Option<bool>;
    /// The machine's own address that a packet from there would be for.
    fn own_towards(&self, from: IpAddr, iface: Option<&str>) -> Option<IpAddr>;
    /// Whether there is an interface of that name; `None` where that is not known.
    fn has_interface(&self, name: &str) -> Option<bool>;
    /// The interface that leads to an address.
    fn towards(&self, address: IpAddr) -> Option<String>;
    /// What to do where no own address is known.
    fn remedy(&self) -> &'static str;
}

/// This machine.
pub(super) struct Here<'a> {
    host: &'a Arc<dyn Host>,
    links: Observed<Vec<Link>>,
    addresses: Observed<Vec<InterfaceAddress>>,
}

impl<'a> Here<'a> {
    pub(super) fn new(host: &'a Arc<dyn Host>) -> Self {
        Self { host, links: host.links(), addresses: host.addresses() }
    }

    /// The machine as the judge of packets of that family asks for it.
    pub(super) fn machine(self, family: Family) -> Result<LiveMachine, Missing> {
        LiveMachine::knowing(self.host, family, self.links, self.addresses)
    }
}

impl Ground for Here<'_> {
    fn is_own(&self, address: IpAddr) -> Option<bool> {
        let own = &self.addresses;
        Some(address.is_loopback() || own.value()?.iter().any(|a| a.address == address))
    }

    fn own_towards(&self, from: IpAddr, iface: Option<&str>) -> Option<IpAddr> {
        let (links, addresses) = (&self.links, &self.addresses);
        let index = iface.and_then(|name| links.value()?.iter().find(|l| l.name == name).map(|l| l.index));
        let of_iface = index.and_then(|index| {
            let on = addresses.value()?.iter().filter(|a| a.link == index && a.address.is_ipv4() == from.is_ipv4());
            on.map(|a| a.address).next()
        });
        of_iface.or_else(|| match self.host.route(from, None).value()? {
            RouteDecision::Via(route) => route.source,
            RouteDecision::No { .. } => None,
        })
    }

    fn has_interface(&self, name: &str) -> Option<bool> {
        Some(self.links.value()?.iter().any(|link| link.name == name))
    }

    fn towards(&self, address: IpAddr) -> Option<String> {
        let route = self.host.route(address, None);
        let RouteDecision::Via(route) = route.value()? else { return None };
        self.links.value()?.iter().find(|link| Some(link.index) == route.link).map(|link| link.name.clone())
    }

    fn remedy(&self) -> &'static str {
        "write the address in --to"
    }
}

/// Another machine, as far as it is told of.
#[derive(Debug, Default)]
pub(super) struct Places {
    own: Vec<Own>,
    /// Addresses that the question takes to be other hosts'.
    others: Vec<IpAddr>,
    /// The interface that packets to other hosts leave by, where no address tells it.
    pub(super) leaves_by: Option<String>,
}

#[derive(Debug)]
struct Own {
    address: IpAddr,
    length: u8,
    iface: Option<String>,
}

impl Places {
    /// From `ADDR[/LEN][%IFACE]`, each. An error is a sentence for a person.
    pub(super) fn new(told: &[String]) -> Result<Self, String> {
        let own = told.iter().map(|text| own(text)).collect::<Result<_, _>>()?;
        Ok(Self { own, ..Self::default() })
    }

    pub(super) fn with_others(mut self, others: Vec<IpAddr>) -> Self {
        self.others = others.into_iter().filter(|a| self.is_own(*a) != Some(true)).collect();
        self
    }

    fn told(&self, v4: bool) -> impl Iterator<Item = &Own> {
        self.own.iter().filter(move |own| own.address.is_ipv4() == v4)
    }

    /// What is taken for granted of addresses.
    pub(super) fn assumptions(&self, family: Family) -> Vec<String> {
        if self.told(family == Family::V4).next().is_some() {
            return vec!["--address names all addresses of that machine".to_owned()];
        }
        self.others.iter().map(|address| format!("{address} is another machine's")).collect()
    }
}

fn own(text: &str) -> Result<Own, String> {
    let wrong = || {
        let shown = unrefuse_facts::text::visible(text);
        format!("--address {shown}: write it as 192.0.2.5/24 or 192.0.2.5/24%eth0")
    };
    let (rest, iface) = match text.split_once('%') {
        Some((rest, iface)) if !iface.is_empty() => (rest, Some(iface.to_owned())),
        Some(_) => return Err(wrong()),
        None => (text, None),
    };
    let (address, length) = rest.split_once('/').map_or((rest, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        Some(length) => length.parse().ok().filter(|length| *length <= longest).ok_or_else(wrong)?,
        None => longest,
    };
    Ok(Own { address, length, iface })
}

impl Ground for Places {
    fn is_own(&self, address: IpAddr) -> Option<bool> {
        if address.is_loopback() || self.own.iter().any(|own| own.address == address) {
            return Some(true);
        }
        self.told(address.is_ipv4()).next().map(|_| false)
    }

    fn own_towards(&self, from: IpAddr, iface: Option<&str>) -> Option<IpAddr> {
        let on = |own: &&Own| iface.is_none() || own.iface.as_deref() == iface;
        let near = self.told(from.is_ipv4()).filter(on).find(|own| in_prefix(from, own.address, own.length));
        near.or_else(|| self.told(from.is_ipv4()).find(on))
            .or_else(|| self.told(from.is_ipv4()).next())
            .map(|o| o.address)
    }

    fn has_interface(&self, _: &str) -> Option<bool> {
        None
    }

    fn towards(&self, address: IpAddr) -> Option<String> {
        self.told(address.is_ipv4()).find(|own| in_prefix(address, own.address, own.length))?.iface.clone()
    }

    fn remedy(&self) -> &'static str {
        "write the address in --to, or name that machine's own with --address"
    }
}

impl Machine for Places {
    fn interface(&self, name: &str) -> Option<Interface> {
        if name == "lo" {
            let addresses = vec![[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()];
            let (index, kind) = (Some(1), Some(LOOPBACK));
            return Some(Interface { name: name.to_owned(), index, kind, addresses, ..Interface::default() });
        }
        if name == OTHER {
            return Some(Interface { name: name.to_owned(), index: Some(u32::MAX), ..Interface::default() });
        }
        let addresses: Vec<IpAddr> =
            self.own.iter().filter(|own| own.iface.as_deref() == Some(name)).map(|own| own.address).collect();
        (!addresses.is_empty()).then(|| Interface { name: name.to_owned(), addresses, ..Interface::default() })
    }

    fn holder(&self, address: IpAddr) -> Option<Interface> {
        self.interface(self.own.iter().find(|own| own.address == address)?.iface.as_deref()?)
    }

    fn addr_type(&self, address: IpAddr, interface: Option<&str>) -> Option<RouteKind> {
        if address.is_loopback() {
            return Some(if interface.is_none_or(|i| i == "lo") { RouteKind::Local } else { RouteKind::Unicast });
        }
        if let Some(own) = self.own.iter().find(|own| own.address == address) {
            return match (interface, &own.iface) {
                (None, _) => Some(RouteKind::Local),
                (Some(_), None) => None,
                (Some(name), Some(iface)) if name == iface => Some(RouteKind::Local),
                _ => Some(RouteKind::Unicast),
            };
        }
        if address.is_multicast() {
            return Some(RouteKind::Multicast);
        }
        let broadcast = |own: &Own| match (address, own.address) {
            (IpAddr::V4(a), IpAddr::V4(own_address)) if own.length < 31 => {
                let host = u32::MAX.checked_shr(own.length.into()).unwrap_or(0);
                a.to_bits() == own_address.to_bits() | host
            }
            _ => false,
        };
        if self.own.iter().any(broadcast) {
            return Some(RouteKind::Broadcast);
        }
        let known = self.told(address.is_ipv4()).next().is_some() || self.others.contains(&address);
        known.then_some(RouteKind::Unicast)
    }

    fn route(&self, query: &RouteQuery<'_>) -> Option<Route> {
        if self.is_own(query.dst) == Some(true) {
            let source = Some(query.dst);
            return Some(Route { kind: RouteKind::Local, oif: Some("lo".into()), gateway: None, source });
        }
        let near = self.told(query.dst.is_ipv4()).filter(|own| in_prefix(query.dst, own.address, own.length));
        let unicast = |oif, source| Some(Route { kind: RouteKind::Unicast, oif: Some(oif), gateway: None, source });
        if let Some((iface, own)) = near.max_by_key(|own| own.length).and_then(|own| Some((own.iface.clone()?, own))) {
            return unicast(iface, Some(own.address));
        }
        // A packet that is made here: of one that is forwarded, or of the way back, nothing is told.
        let leaves_by = self.leaves_by.clone().filter(|_| query.iif.is_none() && self.others.contains(&query.dst))?;
        unicast(leaves_by, None)
    }
}

//! From where each listener can be reached: its bind address and the packet filter together.
//!
//! The filter is asked once for all listeners that no rule tells apart (same transport, address, owner, and a port of the
//! same stretch), and by each interface once for all sources that no rule tells apart.

use super::ranges::{Addresses, State};
use crate::gather::machine::LiveMachine;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use unrefuse_collect::Host;
use unrefuse_facts::{Family, InterfaceAddress, Link, Missing, Socket, Transport};
use unrefuse_firewall::answer::{Answer, ClientSees, Decider, Fate};
use unrefuse_firewall::judge::Judge;
use unrefuse_firewall::model::{Elements, Ruleset};
use unrefuse_firewall::spec::PacketSpec;
use unrefuse_firewall::sweep::{Sources, port_stretches};
use unrefuse_report::ReachableFrom;

/// Interfaces that are asked one by one.
const INTERFACES: usize = 64;
/// Stretches of sources that are asked one by one.
const STRETCHES: usize = 20_000;

/// What filters packets of one family here.
struct Filters {
    family: Family,
    machine: LiveMachine,
    ruleset: Ruleset,
    /// First ports of stretches; `None`: each port is one.
    ports: Option<Vec<u16>>,
    sources: Sources,
    /// Interfaces and this machine's own address there.
    ways: Vec<(Link, IpAddr)>,
}

/// Listeners that fare alike: transport, address (`None`: all), port of the stretch, owner, device.
type Key = (Transport, Option<IpAddr>, u16, u32, Option<u32>);

/// From where listeners that fare alike can be reached, in one family.
pub(super) struct Found {
    /// By each interface.
    by: Vec<ReachableFrom>,
    words: String,
}

/// The packet filter's say, asked as far as listeners need it.
pub(super) struct Reach {
    families: Vec<Filters>,
    known: [HashMap<Key, Result<Rc<Found>, &'static str>>; 2],
    until: Instant,
    /// Whether more than words is wanted.
    detail: bool,
    /// How many listeners were left out, by why.
    pub(super) left_out: BTreeMap<&'static str, usize>,
}

impl Reach {
    /// Reads the rules in force. What listeners then ask is answered until `until`.
    ///
    /// # Errors
    /// Where the rules, interfaces or addresses may not be read.
    pub(super) fn new(host: &Arc<dyn Host>, until: Instant, detail: bool) -> Result<Self, Missing> {
        let mut families = Vec::new();
        let (links, addresses) = (host.links().into_value()?, host.addresses().into_value()?);
        for family in [Family::V4, Family::V6] {
            families.extend(Filters::new(host, family, &links, &addresses)?);
        }
        Ok(Self { families, known: Default::default(), until, detail, left_out: BTreeMap::new() })
    }

    /// From where a listener can be reached, as words, where the bind address alone says `bind`; and by each interface.
    pub(super) fn of(&mut self, socket: &Socket, bind: &str) -> Option<(String, Vec<ReachableFrom>)> {
        let rest = bind.strip_prefix("anywhere")?;
        let ip = socket.local.ip();
        let takes = |family| match family {
            Family::V4 => ip.to_canonical().is_ipv4() || ip.is_unspecified() && socket.v6only != Some(true),
            Family::V6 => ip.to_canonical().is_ipv6(),
        };
        let mut found = Vec::new();
        for at in 0..self.families.len() {
            if takes(self.families[at].family) {
                match self.ask(at, socket) {
                    Ok(one) => found.push((self.families[at].family, one)),
                    Err(why) => {
                        *self.left_out.entry(why).or_default() += 1;
                        return None;
                    }
                }
            }
        }
        let by = found.iter().filter(|_| self.detail).flat_map(|(_, found)| found.by.iter().cloned()).collect();
        let words = match found.as_slice() {
            [] => return None,
            [(_, one)] => one.words.clone(),
            [(_, one), (_, other)] if one.words == other.words => one.words.clone(),
            all => {
                let name = |family: &Family| if *family == Family::V4 { "IPv4" } else { "IPv6" };
                let each: Vec<String> = all.iter().map(|(f, found)| format!("{}: {}", name(f), found.words)).collect();
                return Some((each.join("; "), by));
            }
        };
        let words = match words.as_str() {
            "anywhere" => bind.to_owned(),
            "nobody" => "this machine only (firewall)".to_owned(),
            // The prefixes show the family.
            words if rest.starts_with(", IPv") => words.to_owned(),
            words => words.to_owned() + rest,
        };
        Some((words, by))
    }

    fn ask(&mut self, at: usize, socket: &Socket) -> Result<Rc<Found>, &'static str> {
        let filters = &self.families[at];
        let ip = Some(socket.local.ip().to_canonical()).filter(|ip| !ip.is_unspecified());
        let key = (socket.transport, ip, filters.stretch(socket.local.port()), socket.uid, socket.device);
        let until = self.until;
        self.known[at].entry(key).or_insert_with(|| filters.ask(socket, ip, until).map(Rc::new)).clone()
    }
}

impl Filters {
    /// `None` where no packet of that family comes in from elsewhere, or nothing filters it.
    fn new(
        host: &Arc<dyn Host>,
        family: Family,
        links: &[Link],
        addresses: &[InterfaceAddress],
    ) -> Result<Option<Self>, Missing> {
        let machine = LiveMachine::new(host, family)?;
        let mut ruleset = machine.ruleset().clone();
        let filters =
            ruleset.tables.iter().any(|table| !table.dormant && table.chains.values().any(|c| c.base.is_some()));
        let ways = ways(family, links, addresses);
        if ways.is_empty() || !filters {
            return Ok(None);
        }
        for table in &mut ruleset.tables {
            for (name, set) in table.sets.iter_mut().filter(|(_, set)| matches!(set.elements, Elements::Unread)) {
                if let Some(read) = machine.set(Some((table.family, &table.name)), name) {
                    *set = Arc::unwrap_or_clone(read);
                }
            }
        }
        for (name, set) in ruleset.ipsets.iter_mut().filter(|(_, set)| matches!(set.elements, Elements::Unread)) {
            if let Some(read) = machine.set(None, name) {
                *set = Arc::unwrap_or_clone(read);
            }
        }
        let ports = port_stretches(&ruleset, &machine);
        let sources = Sources::new(&ruleset, &machine, family == Family::V4);
        Ok(Some(Self { family, machine, ruleset, ports, sources, ways }))
    }

    /// The first port of the stretch that holds `port`.
    fn stretch(&self, port: u16) -> u16 {
        let Some(starts) = &self.ports else { return port };
        starts[..starts.partition_point(|start| *start <= port)].last().copied().unwrap_or(port)
    }

    fn ask(&self, socket: &Socket, ip: Option<IpAddr>, until: Instant) -> Result<Found, &'static str> {
        if self.sources.count() > STRETCHES {
            return Err("the rules tell too many sources apart");
        }
        if self.ways.len() > INTERFACES {
            return Err("there are too many interfaces");
        }
        let judge = Judge::new(&self.ruleset, &self.machine);
        let mut by = Vec::new();
        for (link, own) in self.ways.iter().filter(|(link, _)| socket.device.is_none_or(|device| device == link.index))
        {
            if Instant::now() >= until {
                return Err("judging took too long");
            }
            let (to, port) = (ip.unwrap_or(*own), socket.local.port());
            let packet = match socket.transport {
                Transport::Tcp => PacketSpec::tcp(None, to, port),
                Transport::Udp => PacketSpec::udp(None, to, port),
            };
            let mut question = self.machine.arriving(Some(&link.name), packet);
            question.server_uid = Some(socket.uid);
            let sweep = self.sources.judge(&judge, &question);
            let parts: Vec<_> =
                sweep.parts.into_iter().map(|(range, answer)| (range, state(&answer, socket))).collect();
            by.push((link.name.clone(), parts, sweep.exact));
        }
        let found = by.iter().map(|(name, parts, exact)| {
            let [open, perhaps] = [State::Open, State::Perhaps].map(|state| Addresses::of(parts, state));
            let (from, more) = open.prefixes();
            let words = words(&open, &perhaps, *exact);
            let family = if self.family == Family::V4 { "ipv4" } else { "ipv6" };
            let (perhaps, perhaps_more) = perhaps.prefixes();
            let more = more + perhaps_more;
            (words, ReachableFrom { family, interface: name.clone(), from, perhaps, more, exact: *exact })
        });
        let (each, by): (Vec<String>, Vec<ReachableFrom>) = found.unzip();
        Ok(Found { words: together(&each, &by), by })
    }
}

fn words(open: &Addresses, perhaps: &Addresses, exact: bool) -> String {
    match (open.is_empty(), perhaps.is_empty(), exact) {
        (_, _, false) => "depends on the source, not to be told".to_owned(),
        (_, true, _) => open.words(),
        (true, false, _) => format!("perhaps {}", perhaps.words()),
        (false, false, _) => format!("{}; perhaps {}", open.words(), perhaps.words()),
    }
}

/// What each interface says, said once for those that say the same; closed ones are left out beside open ones.
fn together(each: &[String], by: &[ReachableFrom]) -> String {
    let mut said: Vec<(&str, Vec<&str>)> = Vec::new();
    for (words, from) in each.iter().zip(by) {
        match said.iter_mut().find(|(other, _)| other == words) {
            Some((_, names)) => names.push(&from.interface),
            None => said.push((words, vec![&from.interface])),
        }
    }
    if let [(words, _)] = said.as_slice() {
        return (*words).to_owned();
    }
    let open = said.iter().filter(|(words, _)| *words != "nobody");
    let each: Vec<String> = open.map(|(words, names)| format!("{words} by {}", names.join(", "))).collect();
    if each.is_empty() { "nobody".to_owned() } else { each.join("; ") }
}

/// The interfaces that packets from elsewhere come in by, with this machine's own address there. Those with nothing but a
/// link-local address (the ends of containers' links, mostly) count only where no other is there.
fn ways(family: Family, links: &[Link], addresses: &[InterfaceAddress]) -> Vec<(Link, IpAddr)> {
    let link_local = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let own = |link: &Link| {
        let of_link = addresses.iter().filter(|a| a.link == link.index && Family::of(&a.address) == family);
        of_link.map(|a| a.address).min_by_key(|address| link_local(address))
    };
    let up = links.iter().filter(|link| link.up && !link.loopback);
    let mut ways: Vec<(Link, IpAddr)> = up.filter_map(|link| Some((link.clone(), own(link)?))).collect();
    if ways.iter().any(|(_, address)| !link_local(address)) {
        ways.retain(|(_, address)| !link_local(address));
    }
    ways
}

fn state(answer: &Answer, socket: &Socket) -> State {
    let by_stack = |by: Option<&Decider>| matches!(by, Some(Decider::Stack(_)));
    match &answer.fate {
        Fate::Accepted { to } => {
            // NAT may send it elsewhere.
            let here = |port: Option<u16>, local: bool| local && port == Some(socket.local.port());
            if to.iter().all(|to| !here(to.port, to.local)) {
                return State::Closed;
            }
            let reply = answer.reply.as_ref();
            match answer.client_sees {
                ClientSees::Answer if to.iter().all(|to| here(to.port, to.local)) => State::Open,
                ClientSees::Answer | ClientSees::Unclear => State::Perhaps,
                // No route leads back: no filter's doing.
                _ if by_stack(reply.and_then(|reply| reply.decided_by.as_ref())) => State::Never,
                _ => State::Closed,
            }
        }
        Fate::Dropped | Fate::Rejected(_) | Fate::NotSent(_) => {
            if by_stack(answer.decided_by.as_ref()) {
                State::Never
            } else {
                State::Closed
            }
        }
        Fate::Depends { fates, .. } if fates.iter().all(Fate::is_stopped) => State::Closed,
        Fate::Depends { .. } | Fate::Unknown(_) => State::Perhaps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_with_an_address_of_the_family() {
        let link = |index: u32, name: &str, up, loopback| Link {
            index,
            name: name.into(),
            up,
            carrier: up,
            loopback,
            operstate: "UP".into(),
            kind: None,
            master: None,
            mtu: 1500,
        };
        let links = [
            link(1, "lo", true, true),
            link(2, "eth0", true, false),
            link(3, "veth7", true, false),
            link(4, "eth1", false, false),
        ];
        let at = |link, address: &str| InterfaceAddress {
            link,
            address: address.parse().unwrap(),
            prefix: 64,
            tentative: false,
        };
        let mut addresses =
            vec![at(1, "127.0.0.1"), at(2, "fe80::2"), at(2, "2001:db8::2"), at(3, "fe80::3"), at(4, "192.0.2.4")];
        let names = |family, addresses: &[InterfaceAddress]| -> Vec<String> {
            let ways = ways(family, &links, addresses).into_iter();
            ways.map(|(link, address)| format!("{} {address}", link.name)).collect()
        };
        assert_eq!(names(Family::V6, &addresses), ["eth0 2001:db8::2"]);
        assert!(names(Family::V4, &addresses).is_empty());
        addresses.remove(2);
        assert_eq!(names(Family::V6, &addresses).len(), 2, "with link-local addresses only, these count");
    }
}

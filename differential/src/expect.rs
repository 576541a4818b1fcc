//! What the judge says of a ruleset and a packet.

use crate::kernel::counters::Key;
use crate::kernel::setup::output;
use crate::probe::{Probe, flag, proto};
use crate::ruleset::{Backend, Script};
use crate::world::{self, address};
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::net::IpAddr;
use unrefuse_facts::Observed as Fact;
use unrefuse_firewall::answer::{Answer, Decider, Destination, Fate, Step};
use unrefuse_firewall::judge::{Judge, Question};
use unrefuse_firewall::machine::{Interface, KnownMachine, Machine, Route, RouteKind, RouteQuery};
use unrefuse_firewall::model::{Family, Ruleset};
use unrefuse_firewall::spec::{L4, PacketSpec};

/// A ruleset as one of the readers has read it.
#[derive(Debug)]
pub(crate) struct Read {
    /// Which reader.
    pub(crate) by: &'static str,
    pub(crate) ruleset: Ruleset,
}

const fn family(v6: bool) -> Family {
    if v6 { Family::Ip6 } else { Family::Ip }
}

/// Reads what is in force in this thread's namespace by each way that this backend has.
pub(crate) fn read(rules: &Script) -> Result<Vec<Read>> {
    let mut all = Vec::new();
    if let Some(text) = saved(rules)? {
        all.push(Read { by: "iptables-save", ruleset: parse(&text, rules.v6) });
    }
    if rules.backend != Backend::Legacy {
        let found = unrefuse_collect::firewall::ruleset(unrefuse_collect::firewall::Scope::Everything);
        let ruleset = match found {
            Fact::Known { value, .. } => value,
            Fact::Missing(missing) => anyhow::bail!("nf_tables cannot be read: {missing}"),
        };
        all.push(Read { by: "netlink", ruleset });
    }
    if rules.backend == Backend::Nft {
        let text = output("nft", &["-a", "list", "ruleset"])?;
        // nft 1.0.6 lists a reject behind an Ethernet address without its kind.
        if text.windows(10).any(|part| part == b"@ll,48,64 ") {
            return Ok(all);
        }
        // It leaves out an `iiftype ether` that it takes for the condition of the match behind it.
        let iiftype = b"iiftype ether";
        let listed = text.windows(iiftype.len()).filter(|part| part == iiftype).count();
        if listed < rules.ruleset.matches("iiftype ether").count() {
            return Ok(all);
        }
        let ruleset = unrefuse_firewall::nft::file::parse("nft list ruleset", &text, &|_, _| Vec::new());
        anyhow::ensure!(ruleset.problems.is_empty(), "nft list ruleset: {:?}", ruleset.problems);
        all.push(Read { by: "nft list ruleset", ruleset });
    }
    if !rules.ipsets.is_empty() {
        let text = output("ipset", &["save"])?;
        for read in &mut all {
            unrefuse_firewall::iptables::parse_ipset(&text, &mut read.ruleset);
        }
    }
    Ok(all)
}

/// Reads saved text.
pub(crate) fn parse(text: &[u8], v6: bool) -> Ruleset {
    unrefuse_firewall::iptables::parse(text, Some(family(v6)))
}

/// What iptables-save prints.
pub(crate) fn saved(rules: &Script) -> Result<Option<Vec<u8>>> {
    let tool = match (rules.backend, rules.v6) {
        (Backend::Nft, _) => return Ok(None),
        (Backend::Legacy, false) => "iptables-legacy-save",
        (Backend::Legacy, true) => "ip6tables-legacy-save",
        (Backend::IptablesNft, false) => "iptables-nft-save",
        (Backend::IptablesNft, true) => "ip6tables-nft-save",
    };
    output(tool, &[]).map(Some).context(tool)
}

/// The host under test.
#[derive(Debug)]
pub(crate) struct World(KnownMachine);

impl Machine for World {
    fn interface(&self, name: &str) -> Option<Interface> {
        self.0.interface(name)
    }

    fn holder(&self, address: IpAddr) -> Option<Interface> {
        self.0.holder(address)
    }

    fn addr_type(&self, address: IpAddr, interface: Option<&str>) -> Option<RouteKind> {
        self.0.addr_type(address, interface)
    }

    fn route(&self, query: &RouteQuery<'_>) -> Option<Route> {
        let mut route = self.0.route(query)?;
        // The local route of a second address in a subnet prefers the first (net/ipv4/fib_frontend.c, `fib_add_ifaddr`).
        if route.kind == RouteKind::Local && query.dst == address("192.0.2.2") {
            route.source = Some(address("192.0.2.1"));
        }
        Some(route)
    }

    fn sysctl(&self, name: &str) -> Option<i64> {
        self.0.sysctl(name)
    }
}

/// The host under test under a ruleset's settings.
pub(crate) fn machine(rules: &Script) -> World {
    let mut machine = KnownMachine::new();
    for name in [world::IN, world::OUT] {
        let on = |(on, ..): &&(&str, &str, u8)| *on == name;
        let addresses: Vec<_> = world::ADDRESSES.iter().filter(on).map(|(_, a, n)| (*a, *n)).collect();
        machine = machine.with_interface(name, &addresses);
    }
    for interface in &mut machine.interfaces[1..] {
        interface.link = Some("tun".into());
    }
    for (kind, prefix, length, gateway, oif) in world::ROUTES {
        let kind = match *kind {
            "blackhole" => RouteKind::Blackhole,
            "unreachable" => RouteKind::Unreachable,
            "prohibit" => RouteKind::Prohibit,
            _ => RouteKind::Unicast,
        };
        let v6 = prefix.contains(':');
        let first = world::ADDRESSES.iter().find(|(on, a, _)| on == oif && a.contains(':') == v6);
        let route = Route {
            kind,
            oif: Some(*oif).filter(|o| !o.is_empty()).map(str::to_owned),
            gateway: Some(*gateway).filter(|g| !g.is_empty()).map(address),
            source: first.map(|(_, a, _)| address(a)),
        };
        machine = machine.with_route(address(prefix), *length, route);
    }
    let get = |name: &str| rules.sysctls.get(name).and_then(|v| v.parse().ok()).unwrap_or(0);
    let forward = get("ipv4/ip_forward");
    let forward6 = get("ipv6/conf/all/forwarding");
    machine = machine
        .with_sysctl("net.ipv4.ip_forward", forward)
        .with_sysctl("net.ipv4.conf.all.rp_filter", get("ipv4/conf/all/rp_filter"))
        .with_sysctl("net.ipv6.conf.all.forwarding", forward6);
    machine = machine.with_sysctl("net.ipv4.ip_default_ttl", 64).with_sysctl("net.ipv6.conf.all.hop_limit", 64);
    for name in ["all", "default", "lo", world::IN, world::OUT] {
        if name != "all" {
            machine = machine.with_sysctl(&format!("net.ipv4.conf.{name}.rp_filter"), 0);
            machine = machine.with_sysctl(&format!("net.ipv6.conf.{name}.forwarding"), forward6);
        }
        machine = machine.with_sysctl(&format!("net.ipv4.conf.{name}.forwarding"), forward);
        for setting in ["route_localnet", "accept_local", "src_valid_mark", "shared_media"] {
            machine = machine.with_sysctl(&format!("net.ipv4.conf.{name}.{setting}"), 0);
        }
    }
    World(machine)
}

/// The packet as the judge is asked about it.
pub(crate) fn question(probe: &Probe) -> Question {
    let here = probe.iif.is_none();
    let l4 = match probe.proto {
        proto::TCP => L4::Tcp { sport: Some(probe.sport), dport: probe.dport, flags: flag::SYN },
        proto::UDP => L4::Udp { sport: Some(probe.sport), dport: probe.dport },
        proto::ICMP | proto::ICMP6 => L4::Icmp { kind: (probe.dport >> 8) as u8, code: probe.dport as u8 },
        n => L4::Other(n),
    };
    let mut packet = PacketSpec::other(probe.src, probe.dst, l4);
    let ip = if probe.v6() { 40 } else { 20 };
    packet.tos = Some(probe.tos);
    packet.ttl = Some(probe.ttl);
    packet.length = match (probe.proto, here) {
        // With all options that Linux sends.
        (proto::TCP, true) => Some(ip + 40),
        (proto::TCP, false) => Some(ip + 24),
        (_, true) => Some(ip + 8 + probe.payload.max(1)),
        (_, false) => Some(ip + 8 + probe.payload),
    };
    if here {
        packet.uid = Some(probe.uid);
        packet.gid = Some(probe.gid);
        packet.cgroup = Some(0);
        packet.mark = probe.mark;
    } else {
        packet.src_mac = Some(probe.mac);
        packet.dst_mac = Some(if probe.iif.as_deref() == Some(world::IN) { world::IN_MAC } else { world::OUT_MAC });
    }
    let mut question = match &probe.iif {
        Some(iif) => Question::incoming(Some(iif), packet),
        None => Question::outgoing(packet),
    };
    question.server_uid = Some(0);
    question.server_gid = Some(0);
    question
}

/// Asks the judge, and tells it whether something listens where the packet ends up.
pub(crate) fn ask(ruleset: &Ruleset, rules: &Script, probe: &Probe) -> Answer {
    let machine = machine(rules);
    let judge = Judge::new(ruleset, &machine);
    let question = question(probe);
    let answer = judge.judge(&question);
    if open(&answer, probe) != Some(false) {
        return answer;
    }
    judge.judge(&Question { listening: false, ..question })
}

/// Whether something listens where the packet ends up; `None`: not known.
pub(crate) fn open(answer: &Answer, probe: &Probe) -> Option<bool> {
    let Fate::Accepted { to } = &answer.fate else { return Some(true) };
    let open = |one: &Destination| -> Option<bool> {
        Some(match probe.proto {
            _ if !one.local => true,
            proto::TCP => world::TCP_OPEN.contains(&one.port?),
            proto::UDP => world::UDP_OPEN.contains(&one.port?),
            _ => true,
        })
    };
    let first = open(to.first()?)?;
    to.iter().all(|one| open(one) == Some(first)).then_some(first)
}

pub(crate) const fn family_name(family: Family) -> &'static str {
    match family {
        Family::Ip => "ip",
        Family::Ip6 => "ip6",
        Family::Inet => "inet",
        Family::Netdev => "netdev",
        Family::Arp | Family::Bridge => "other",
    }
}

/// The counter of what decided; `None` where nothing counts that.
pub(crate) fn key(decider: &Decider, rules: &Script) -> Option<Key> {
    let legacy = rules.backend == Backend::Legacy;
    match decider {
        Decider::Rule(rule) => Some(Key {
            legacy,
            family: family_name(rule.family).into(),
            table: rule.table.clone(),
            chain: rule.chain.clone(),
            number: rule.number,
        }),
        Decider::Policy(chain) if legacy => Some(Key {
            legacy,
            family: family_name(chain.family).into(),
            table: chain.table.clone(),
            chain: chain.chain.clone(),
            number: 0,
        }),
        Decider::Policy(_) | Decider::Stack(_) => None,
    }
}

/// The counters of the rules on a way.
pub(crate) fn keys(way: &[Step], rules: &Script) -> BTreeSet<Key> {
    way.iter().filter_map(|step| key(&step.by, rules)).filter(|k| k.number > 0).collect()
}

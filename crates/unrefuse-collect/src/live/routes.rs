//! The kernel's own route decision, and the table entries behind it (rtnetlink(7), ip-route(8)).
//!
//! Of a multipath route the first next hop stands for all in a table entry; the decision has the one that was chosen.

use super::links::{family, ip, octets};
use super::missing::missing;
use super::netlink::{Attributes, Netlink, push_attribute, u16_at, u32_at};
use super::rules;
use rustix::io::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use unrefuse_facts::{Missing, Observed, Reason, Route, RouteDecision, RouteKind, RoutingRule, Source, within};

const RTM_GETROUTE: u16 = 26;
const WHAT: &str = "RTM_GETROUTE";

/// `RTM_F_LOOKUP_TABLE`: tell the table. `RTM_F_FIB_MATCH`: tell the entry, not the decision (since Linux 4.13).
const LOOKUP_TABLE: u32 = 0x1000;
const FIB_MATCH: u32 = 0x2000;
/// `RTM_F_CLONED`: a cached decision, no entry.
const CLONED: u32 = 0x200;

/// `RT_TABLE_MAIN`, `RT_TABLE_LOCAL`.
const MAIN: u32 = 254;
const LOCAL: u32 = 255;

/// At most this many entries are told of one destination.
const ENTRIES: usize = 16;

/// How a packet to `destination` would leave, without marks and from any source.
pub(super) fn decide(destination: IpAddr, scope: Option<&str>) -> Observed<RouteDecision> {
    let destination = destination.to_canonical();
    let oif = match scope.map(index).transpose() {
        Ok(oif) => oif,
        Err(missing) => return Observed::Missing(missing),
    };
    decided(Packet { oif, ..Packet::to(destination) }, scope)
}

/// How an answer from `source`, an address of this machine, to `destination` would leave: a routing rule may ask for the
/// source (ip-rule(8)).
pub(super) fn decide_from(source: IpAddr, destination: IpAddr) -> Observed<RouteDecision> {
    decided(Packet { source: Some(source.to_canonical()), ..Packet::to(destination.to_canonical()) }, None)
}

/// How a packet with a mark would leave (`ip_route_me_harder`, net/ipv4/netfilter.c).
pub(super) fn decide_marked(mark: u32, source: Option<IpAddr>, destination: IpAddr) -> Observed<RouteDecision> {
    decided(Packet::marked(mark, source, destination), None)
}

/// How a packet that comes in by an interface would go on (`inet_rtm_getroute`, `ip_route_input_rcu`, net/ipv4/route.c;
/// `inet6_rtm_getroute`, net/ipv6/route.c).
pub(super) fn decide_arriving(iif: &str, mark: u32, source: IpAddr, destination: IpAddr) -> Observed<RouteDecision> {
    match index(iif) {
        Ok(index) => decided(Packet { iif: Some(index), ..Packet::marked(mark, Some(source), destination) }, None),
        Err(missing) => Observed::Missing(missing),
    }
}

/// The rule of the routing policy that stops such a packet.
pub(super) fn stopping_rule(mark: u32, source: Option<IpAddr>, destination: IpAddr) -> Observed<Option<RoutingRule>> {
    const WHAT: &str = "RTM_GETRULE";
    let packet = Packet::marked(mark, source, destination);
    match Netlink::route().and_then(|mut netlink| rules::policy(&mut netlink, packet, None)) {
        Ok(policy) => Observed::known(policy.stops, Source::running(WHAT)),
        Err(e) => Observed::Missing(missing(WHAT, e)),
    }
}

/// What a lookup is asked for.
#[derive(Clone, Copy)]
pub(super) struct Packet {
    pub(super) destination: IpAddr,
    pub(super) source: Option<IpAddr>,
    pub(super) mark: u32,
    oif: Option<u32>,
    /// It comes in by this interface; `None`: it is made here.
    iif: Option<u32>,
}

impl Packet {
    fn to(destination: IpAddr) -> Self {
        Self { destination, source: None, mark: 0, oif: None, iif: None }
    }
    fn marked(mark: u32, source: Option<IpAddr>, destination: IpAddr) -> Self {
        Self { mark, source: source.map(|ip| ip.to_canonical()), ..Self::to(destination.to_canonical()) }
    }
}

fn decided(packet: Packet, scope: Option<&str>) -> Observed<RouteDecision> {
    match Netlink::route().and_then(|mut netlink| decide_with(&mut netlink, packet, scope)) {
        Ok(decision) => Observed::known(decision, Source::running(WHAT)),
        Err(e) => Observed::Missing(missing(WHAT, e)),
    }
}

/// Entries that cover `destination` and are not the one that decides, best first: in the order of the routing rules,
/// then longest prefix, then metric.
pub(super) fn alternatives(destination: IpAddr) -> Observed<Vec<Route>> {
    let destination = destination.to_canonical();
    let result = Netlink::route().and_then(|mut netlink| {
        let decision = decide_with(&mut netlink, Packet::to(destination), None)?;
        let decides = match &decision {
            RouteDecision::Via(route) => Some(route),
            RouteDecision::No { entry, .. } => entry.as_ref(),
        };
        let mut entries = covering(&mut netlink, Packet::to(destination), None)?;
        if let Some(route) = decides {
            let same = |e: &Route| {
                (e.kind, e.destination, e.prefix, e.table, e.metric)
                    == (route.kind, route.destination, route.prefix, route.table, route.metric)
            };
            if let Some(position) = entries.iter().position(same) {
                entries.remove(position);
            }
        }
        entries.truncate(ENTRIES);
        Ok(entries)
    });
    match result {
        Ok(entries) => Observed::known(entries, Source::running("RTM_GETROUTE dump")),
        Err(e) => Observed::Missing(missing("RTM_GETROUTE dump", e)),
    }
}

/// The index of an interface named or numbered as in a scoped address (RFC 4007).
pub(super) fn index(scope: &str) -> Result<u32, Missing> {
    if let Ok(index) = scope.parse() {
        return Ok(index);
    }
    let what = format!("interface {}", unrefuse_facts::text::visible(scope));
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|e| missing(&what, e))?;
    rustix::net::netdevice::name_to_index(&socket, scope).map_err(|e| match e {
        Errno::NODEV => Missing::new(Reason::Absent, format!("{what}: there is none of that name")),
        e => missing(&what, e),
    })
}

fn decide_with(netlink: &mut Netlink, packet: Packet, scope: Option<&str>) -> Result<RouteDecision, Errno> {
    let answer = match netlink.ask(RTM_GETROUTE, &lookup(packet, LOOKUP_TABLE)) {
        Ok(answer) => answer,
        // The lookup's own errors: no route, unreachable, prohibit, blackhole (fib_props, net/ipv4/fib_semantics.c).
        Err(e @ (Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::ACCESS | Errno::INVAL)) => {
            return no(netlink, packet, scope, e);
        }
        Err(e @ Errno::XDEV) if packet.iif.is_some() => return no(netlink, packet, scope, e),
        Err(e) => return Err(e),
    };
    let (mut route, error) = parse(&answer).ok_or(Errno::BADMSG)?;
    // IPv6 answers with a route that carries the error; its entry for "nothing matches" is unreachable by default.
    let error = error.or(match route.kind {
        RouteKind::Blackhole => Some(Errno::INVAL),
        RouteKind::Unreachable => Some(Errno::HOSTUNREACH),
        RouteKind::Prohibit => Some(Errno::ACCESS),
        RouteKind::Throw => Some(Errno::NETUNREACH),
        _ => None,
    });
    if let Some(error) = error {
        return no(netlink, packet, scope, error);
    }
    // What the packet does comes from the decision, which entry said so from a second look.
    if let Ok(answer) = netlink.ask(RTM_GETROUTE, &lookup(packet, LOOKUP_TABLE | FIB_MATCH))
        && let Some((entry, _)) = parse(&answer)
    {
        route.destination = entry.destination;
        route.prefix = entry.prefix;
        route.metric = entry.metric;
        route.dead = entry.dead;
    }
    // While there are no rules IPv4 keeps main and local in one tree and says main for both (`fib_unmerge`,
    // net/ipv4/fib_frontend.c); ip-route(8) puts entries of these kinds into local unless told otherwise.
    if matches!(route.kind, RouteKind::Local | RouteKind::Broadcast) && route.table == MAIN {
        route.table = LOCAL;
    }
    Ok(RouteDecision::Via(route))
}

fn no(netlink: &mut Netlink, packet: Packet, scope: Option<&str>, error: Errno) -> Result<RouteDecision, Errno> {
    let says_so = |route: &Route| match error {
        Errno::INVAL => route.kind == RouteKind::Blackhole,
        Errno::HOSTUNREACH => route.kind == RouteKind::Unreachable,
        Errno::ACCESS => route.kind == RouteKind::Prohibit,
        _ => route.kind == RouteKind::Throw || route.dead,
    };
    // The decision stands without its entry; what is known of the policy is what it says of packets made here.
    if packet.iif.is_some() {
        return Ok(RouteDecision::No { errno: unrefuse_facts::Errno(error.raw_os_error()), entry: None });
    }
    let entry = covering(netlink, packet, scope).unwrap_or_default().into_iter().find(says_so);
    Ok(RouteDecision::No { errno: unrefuse_facts::Errno(error.raw_os_error()), entry })
}

/// `struct rtmsg` and the attributes of a lookup.
fn lookup(packet: Packet, flags: u32) -> Vec<u8> {
    let Packet { destination, source, mark, oif, iif } = packet;
    let to = octets(destination);
    let from = source.map(octets).unwrap_or_default();
    let mut body = vec![family(destination), (to.len() * 8) as u8, (from.len() * 8) as u8, 0, 0, 0, 0, 0];
    body.extend_from_slice(&flags.to_ne_bytes());
    push_attribute(&mut body, 1, &to);
    if source.is_some() {
        push_attribute(&mut body, 2, &from);
    }
    if let Some(iif) = iif {
        push_attribute(&mut body, 3, &iif.to_ne_bytes());
    }
    if let Some(oif) = oif {
        push_attribute(&mut body, 4, &oif.to_ne_bytes());
    }
    if mark != 0 {
        push_attribute(&mut body, 16, &mark.to_ne_bytes());
    }
    body
}

/// All entries that cover the packet's destination, in the order in which the kernel would look at them.
fn covering(netlink: &mut Netlink, packet: Packet, scope: Option<&str>) -> Result<Vec<Route>, Errno> {
    let destination = packet.destination;
    let order = rules::policy(netlink, packet, scope)?.tables;
    let mut body = vec![0; 12];
    body[0] = family(destination);
    let mut entries = netlink.list(RTM_GETROUTE, &body, |message| {
        if u32_at(message, 8)? & CLONED != 0 {
            return None;
        }
        let (route, _) = parse(message)?;
        // The entries of IPv6 that say "nothing matches" have this metric (IP6_RT_PRIO..., net/ipv6/route.c) and are ours
        // to leave out: no administrator made them.
        let made = !(route.metric == u32::MAX && route.kind == RouteKind::Unreachable);
        (made && covers(&route, destination)).then_some(route)
    })?;
    entries.retain(|route| order.contains(&route.table));
    entries.sort_by_key(|route| {
        let place = order.iter().position(|&table| table == route.table);
        (place, std::cmp::Reverse(route.prefix), route.metric)
    });
    Ok(entries)
}

/// Whether `address` lies in the entry's network.
fn covers(route: &Route, address: IpAddr) -> bool {
    within(address, route.destination, route.prefix)
}

/// `struct rtmsg` and its attributes, with the error that an IPv6 route may carry (`rta_cacheinfo.rta_error`).
fn parse(message: &[u8]) -> Option<(Route, Option<Errno>)> {
    const RTNH_F_DEAD: u32 = 1;
    const RTNH_F_LINKDOWN: u32 = 16;
    let v4 = *message.first()? == 2;
    let flags = u32_at(message, 8)?;
    let mut route = Route {
        kind: kind(*message.get(7)?),
        destination: if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() },
        prefix: *message.get(1)?,
        gateway: None,
        link: None,
        source: None,
        table: u32::from(*message.get(4)?),
        metric: 0,
        dead: flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN) != 0,
    };
    let mut error = None;
    for (kind, value) in Attributes(message.get(12..)?) {
        match kind {
            1 => route.destination = ip(value)?,
            4 => route.link = u32_at(value, 0),
            5 => route.gateway = ip(value),
            6 => route.metric = u32_at(value, 0)?,
            7 => route.source = ip(value),
            9 => first_hop(&mut route, value),
            12 => error = u32_at(value, 12).map(|n| n as i32).filter(|&n| n < 0),
            15 => route.table = u32_at(value, 0)?,
            // struct rtvia: a gateway of the other family.
            18 => route.gateway = value.get(2..).and_then(ip),
            _ => {}
        }
    }
    Some((route, error.map(|number| Errno::from_raw_os_error(-number))))
}

/// The first `struct rtnexthop` of a multipath route.
fn first_hop(route: &mut Route, hops: &[u8]) {
    let (Some(length), Some(index)) = (u16_at(hops, 0), u32_at(hops, 4)) else { return };
    route.link = Some(index);
    route.dead |= hops.get(2).is_some_and(|flags| flags & 0x11 != 0);
    for (kind, value) in Attributes(hops.get(8..usize::from(length)).unwrap_or_default()) {
        match kind {
            5 => route.gateway = ip(value),
            18 => route.gateway = value.get(2..).and_then(ip),
            _ => {}
        }
    }
}

/// `RTN_*` (include/uapi/linux/rtnetlink.h); a rule of the routing policy has the same numbers for what stops
/// (`FR_ACT_*`, include/uapi/linux/fib_rules.h).
pub(super) fn kind(number: u8) -> RouteKind {
    match number {
        1 => RouteKind::Unicast,
        2 => RouteKind::Local,
        3..=5 => RouteKind::Broadcast,
        6 => RouteKind::Blackhole,
        7 => RouteKind::Unreachable,
        8 => RouteKind::Prohibit,
        9 => RouteKind::Throw,
        _ => RouteKind::Other,
    }
}

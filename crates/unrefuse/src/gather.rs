//! Gathering a case: what is looked at, in which order, side by side, each look under its own deadline.
//!
//! What costs little is always read. What costs more is read where the question needs it: owners by a walk of /proc where
//! this machine is the server, other namespaces where nothing here takes the packet, name servers where a name fails or a
//! hosts line hides their answer, other ports where a remote host refuses or is silent.

mod behind;
mod configs;
mod containers;
mod elsewhere;
pub(crate) mod firewall;
mod ipsec;
pub(crate) mod machine;
mod names;
mod proxy;
mod server;
mod services;

use crate::ask::{Asked, ask};
use firewall::Sender;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};
use unrefuse_collect::{Host, Owners, SocketQuery, States};
use unrefuse_diagnose::{Early, gives_up};
use unrefuse_facts::{
    AnswerKind, Attempt, AttemptOutcome, Case, Counter, Errno, Family, Link, Missing, Neighbour, NeighbourState,
    Observed, OwnContainer, PortProbe, Protocol, Reason, Resolution, RouteDecision, Routing, RoutingRule, Source,
    Target, Transport, Vantage, VantageKind, vrf_of, within,
};
use unrefuse_probe::AttemptOptions;

/// How to gather.
pub(crate) struct Options {
    pub(crate) family: Option<Family>,
    /// For one attempt.
    pub(crate) timeout: Duration,
    /// For everything.
    pub(crate) deadline: Instant,
    pub(crate) rounds: u32,
    pub(crate) kind: VantageKind,
    /// The namespace stood in, or the client that is judged for.
    pub(crate) place: Option<String>,
    /// Whose packets are judged.
    pub(crate) sender: Sender,
    /// The namespace stood in (`--netns`).
    pub(crate) netns: Option<String>,
    /// The container stood in (`--container`).
    pub(crate) container: Option<OwnContainer>,
    /// A process in it.
    pub(crate) container_pid: Option<u32>,
}

/// A look at this machine that takes longer has met something broken (a dead NFS mount, a wedged driver).
const LOCAL_LOOK: Duration = Duration::from_secs(2);

/// Ports that tell whether a host that refuses or ignores one port answers on others: the services most often open.
const OTHER_PORTS: [u16; 12] = [22, 25, 53, 80, 110, 143, 443, 3306, 5432, 6379, 8080, 8443];

/// How long the other ports may take: they are asked where the host is known to answer, or after a long silence.
const OTHER_PORTS_WAIT: Duration = Duration::from_millis(400);

/// Who has an address on the same link is answered within milliseconds.
const CLAIMANTS_WAIT: Duration = Duration::from_millis(200);

/// Settings of each interface are read for so many: a router may have thousands.
const MOST_LINKS: usize = 64;

/// Kernel settings that decide or explain something.
const SYSCTLS: [&str; 13] = [
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_nonlocal_bind",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_l3mdev_accept",
    "net.ipv4.ip_forward",
    "net.ipv6.bindv6only",
    "net.ipv6.conf.all.disable_ipv6",
    "net.core.somaxconn",
];

/// Looks at everything that the question needs.
pub(crate) fn gather(target: &Target, options: &Options, host: &Arc<dyn Host>) -> Case {
    // From the moment of each look: neither a slow resolver nor a silent target takes time from it.
    let soon = || options.deadline.min(Instant::now() + LOCAL_LOOK);
    let own = host.own();
    let names = names::Names::start(target, options, host);
    let proxy = proxy::start(target, &own, options, host);
    let hostname = look("host name", soon(), host, |h| h.hostname());
    let links = look("links", soon(), host, |h| h.links());
    let addresses = look("addresses", soon(), host, |h| h.addresses());
    let counters_before = host.counters();

    let hostname = hostname.fact();
    let mut case = Case {
        target: target.clone(),
        vantage: Vantage {
            kind: options.kind,
            host: hostname.value().cloned().unwrap_or_else(|| "this machine".to_owned()),
            privileged: own.uid == 0,
            from: options.place.clone(),
            netns: options.netns.clone(),
            container: options.container.as_ref().map(|container| container.name.clone()),
            container_pid: options.container_pid,
            family: options.family,
        },
        resolution: Resolution { result: Ok(Vec::new()), detail: None, elapsed: Duration::ZERO },
        attempts: Vec::new(),
        hidden_attempts: Vec::new(),
        routing: Vec::new(),
        way_back: None,
        other_ports: Observed::default(),
        proxy: Observed::default(),
        firewall: Observed::default(),
        elsewhere: Observed::default(),
        link_filters: Observed::default(),
        host: unrefuse_facts::Host {
            hostname,
            own,
            links: links.fact(),
            addresses: addresses.fact(),
            ..Default::default()
        },
    };
    case.resolution = names.resolution();
    if let Sender::From(client, interface) = &options.sender {
        as_seen_by(*client, interface.as_deref(), &mut case, host);
        case.way_back = Some(way_back(*client, &case, host));
    }
    case.host.sysctls = SYSCTLS.iter().map(|name| ((*name).to_owned(), host.sysctl(name))).collect();

    let links = case.host.links.value().into_iter().flatten().map(|link| link.name.clone()).take(MOST_LINKS);
    for name in links.map(|link| format!("net.ipv6.conf.{}.disable_ipv6", link.replace('.', "/"))).collect::<Vec<_>>() {
        let value = host.sysctl(&name);
        case.host.sysctls.insert(name, value);
    }

    if target.protocol == Protocol::Unix {
        case.attempts = vec![unrefuse_probe::unix(&target.host, options.timeout)];
        case.host.unix_socket = host.unix_socket(&target.host);
        let services = services::Services::start(&case, host, options.deadline);
        case.host.services = services.map(services::Services::finish).unwrap_or_default();
    } else {
        let found = case.resolution.result.clone().unwrap_or_default();
        case.routing = found.iter().map(|a| routing(target, a.ip(), host)).collect();
        let is_local = found.iter().any(|a| case.is_local(a.ip()) != Some(false));
        let server = is_local.then(|| server::Server::start(target, host, soon()));
        let judged = firewall::Judged::start(target, &found, &options.sender, case.host.own.uid, host, soon());
        if options.sender == Sender::Here {
            case.attempts = attempts(&case, &found, options, host, judged.verdicts());
        }
        if let Some(server) = server {
            server.finish(&mut case, host, soon());
        }
        // The host's services and files are not those of a container stood in.
        let outside = options.container.is_none();
        let services = outside.then(|| services::Services::start(&case, host, options.deadline)).flatten();
        let configs = if outside {
            configs::Configs::start(&case, soon())
        } else {
            configs::Configs::NotNeeded("they are the container's own files")
        };
        let containers = containers::Containers::start(&case, host, options.deadline);
        after_attempts(&mut case, options, host);
        if works(&case) {
            case.elsewhere = elsewhere::elsewhere(&case, host, soon());
        } else {
            case.firewall = judged.facts(&case, options, host);
            firewall::marked::apply(&mut case, host);
            let unanswered =
                |attempt: &Attempt| matches!(attempt.outcome, AttemptOutcome::TimedOut | AttemptOutcome::Unreachable);
            if case.attempts.iter().any(unanswered) || options.sender != Sender::Here {
                case.link_filters = look("the interfaces' filters", soon(), host, |h| h.link_filters()).fact();
                firewall::arp::add(&mut case);
                if let Sender::From(client, _) = &options.sender {
                    ipsec::add(&mut case, *client, host.as_ref());
                }
            }
            if case.host.sockets.value().is_none() && firewall::sent_here(&case) {
                // NAT sends a remote target's packets to this machine: what listens here decides.
                let query = SocketQuery { port: None, ..port_query(target, Owners::Wanted) };
                case.host.sockets = look("the socket table", soon(), host, move |h| h.sockets(&query)).fact();
            }
        }
        // Last: files and buses are read beside the packet filter.
        case.host.configs = configs.fact();
        case.host.containers = containers::Containers::finish(containers, options.container.as_ref());
        behind::ask(&mut case, options);
        case.host.services = services.map(services::Services::finish).unwrap_or_default();
    }
    case.host.counters = both(counters_before, host.counters());
    case.host.resolver = names.facts(&case, options);
    hidden_attempts(&mut case, options);
    case.proxy = proxy.fact();
    case
}

/// A client elsewhere does not reach this machine by its loopback addresses: where these are meant, it is the address that
/// this machine has on the way to the client.
fn as_seen_by(client: IpAddr, interface: Option<&str>, case: &mut Case, host: &Arc<dyn Host>) {
    let facing = match host.route(client, None).value() {
        Some(RouteDecision::Via(route)) => route.source,
        // Without a way back the client may all the same send to an address of its own network, or to any other.
        _ => own_address_for(client, interface, case),
    };
    let Ok(addresses) = &mut case.resolution.result else { return };
    for address in addresses.iter_mut().filter(|a| a.ip().is_loopback() && a.is_ipv4() == client.is_ipv4()) {
        if let Some(facing) = facing {
            address.set_ip(facing);
        }
    }
    // The client's packets have its family.
    addresses.retain(|a| a.is_ipv4() == client.is_ipv4());
    addresses.dedup();
}

/// The address of this machine that a client most likely asks: in its own network, else of the interface it comes in by.
fn own_address_for(client: IpAddr, interface: Option<&str>, case: &Case) -> Option<IpAddr> {
    let link_local = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let own = case.host.addresses.value()?.iter();
    let own = own.filter(|a| a.address.is_ipv4() == client.is_ipv4());
    own.filter(|a| !a.address.is_loopback() && (!link_local(a.address) || link_local(client)))
        .max_by_key(|a| {
            let comes_by = interface.is_some() && case.host.link(a.link).map(|link| link.name.as_str()) == interface;
            let near = within(client, a.address, a.prefix).then_some(a.prefix);
            (comes_by, near, std::cmp::Reverse(a.link))
        })
        .map(|a| a.address)
}

/// How answers to the client leave; from the asked address, where that is this machine's own.
fn way_back(client: IpAddr, case: &Case, host: &Arc<dyn Host>) -> Routing {
    let asked = case.resolution.result.as_ref().ok().and_then(|all| all.first()).map(SocketAddr::ip);
    let own = asked.filter(|ip| !ip.is_loopback() && case.is_local(*ip) == Some(true));
    let (addresses, links) = (case.host.addresses.value(), case.host.links.value());
    let vrf = own.zip(addresses.zip(links)).and_then(|(own, (addresses, links))| vrf_of(own, addresses, links));
    let decision = match (own, vrf) {
        (Some(own), Some(vrf)) => Observed::Missing(in_vrf(own, vrf)),
        (Some(own), None) => host.route_from(own, client),
        (None, _) => host.route(client, None),
    };
    let rule = stopping_rule(&decision, 0, own, client, host);
    let hop = hop_of(case, client, decision.value());
    let neighbour = hop.map_or_else(Observed::default, |(hop, link)| host.neighbour(hop, link));
    let asker = own.or(decision.value().and_then(|d| d.via()?.source));
    // Nobody answered the kernel a while ago, which may be over; or it never asked for that router. A client on the link
    // that is not there is hardly the one who asks.
    let unanswered = |hop: IpAddr| match neighbour.value() {
        Some(next) => next.state == NeighbourState::Failed,
        None => hop != client,
    };
    let claimants = match hop.filter(|(hop, _)| unanswered(*hop)).zip(asker) {
        Some(((hop, link), asker)) => asked_on_link(case, hop, link, asker),
        None => claimants(case, &neighbour, asker),
    };
    let alternatives = Observed::default();
    Routing { destination: client, decision, alternatives, neighbour, claimants, rule, mark: None }
}

/// Packets of a VRF go by its own table, which is not asked.
fn in_vrf(own: IpAddr, vrf: &Link) -> Missing {
    let vrf = unrefuse_facts::text::visible(&vrf.name);
    let remedy = format!("ip route show vrf {vrf}; nft list ruleset; iptables-save");
    Missing::new(Reason::Failed, format!("{own} belongs to the VRF {vrf}, whose routes are not looked at"))
        .remedy(remedy)
}

/// Who answers for a neighbour whose entry was set by hand.
fn claimants(case: &Case, neighbour: &Observed<Neighbour>, own: Option<IpAddr>) -> Observed<Vec<String>> {
    let by_hand = |n: &&Neighbour| n.state == NeighbourState::Permanent && n.lladdr.is_some();
    let Some((neighbour, own)) = neighbour.value().filter(by_hand).zip(own) else {
        return not_needed("the kernel asks for that neighbour by itself");
    };
    asked_on_link(case, neighbour.address, neighbour.link, own)
}

/// Who answers for that address on the link.
fn asked_on_link(case: &Case, address: IpAddr, link: u32, own: IpAddr) -> Observed<Vec<String>> {
    // A tunnel has no link to be asked.
    let asks = case.host.link(link).is_some_and(|link| link.up && !link.loopback);
    if !asks {
        return not_needed("the interface has no link that could be asked");
    }
    unrefuse_probe::claimants(address, own, link, CLAIMANTS_WAIT)
}

/// Where no entry of a table says no, a rule of the routing policy may.
fn stopping_rule(
    decision: &Observed<RouteDecision>,
    mark: u32,
    source: Option<IpAddr>,
    destination: IpAddr,
    host: &Arc<dyn Host>,
) -> Option<RoutingRule> {
    let unexplained = matches!(decision.value(), Some(RouteDecision::No { entry: None, .. }));
    unexplained.then(|| host.stopping_rule(mark, source, destination).into_value().ok()?)?
}

/// Every attempt was open: there is nothing to explain.
fn works(case: &Case) -> bool {
    !case.attempts.is_empty() && case.attempts.iter().all(|a| a.outcome == AttemptOutcome::Open)
}

/// Asks one thing of the host on a thread of its own.
pub(crate) fn look<T: Send + 'static>(
    what: &str,
    until: Instant,
    host: &Arc<dyn Host>,
    collect: impl FnOnce(&dyn Host) -> Observed<T> + Send + 'static,
) -> Asked<Observed<T>> {
    let host = Arc::clone(host);
    ask(what, until, move || collect(host.as_ref()))
}

/// The kernel's route; the neighbour is read after the attempt, which is what makes the kernel ask for it.
fn routing(target: &Target, destination: IpAddr, host: &Arc<dyn Host>) -> Routing {
    let decision = host.route(destination, target.scope.as_deref());
    Routing {
        destination,
        rule: stopping_rule(&decision, 0, None, destination, host),
        decision,
        alternatives: Observed::default(),
        neighbour: Observed::default(),
        claimants: Observed::default(),
        mark: None,
    }
}

/// All attempts, side by side, each given up as soon as what decides it is known.
fn attempts(
    case: &Case,
    addresses: &[SocketAddr],
    options: &Options,
    host: &Arc<dyn Host>,
    verdicts: &firewall::Verdicts,
) -> Vec<Attempt> {
    let watch = |address: SocketAddr, elapsed: Duration| {
        let server = (case.target.protocol == Protocol::Tcp && case.is_local(address.ip()) == Some(true))
            .then(|| host.sockets(&port_query(&case.target, Owners::None)));
        let neighbour = next_hop(case, address.ip()).map(|(hop, link)| host.neighbour(hop, link));
        gives_up(
            address,
            elapsed,
            &Early {
                server: server.as_ref().and_then(Observed::value),
                neighbour: neighbour.as_ref().and_then(Observed::value),
                judgement: verdicts.of(address),
            },
        )
    };
    let how = AttemptOptions {
        protocol: case.target.protocol,
        timeout: options.timeout,
        deadline: options.deadline,
        rounds: options.rounds,
        sniff: true,
        watch: &watch,
    };
    unrefuse_probe::attempts(addresses, &how)
}

/// The neighbour that a packet to `address` is handed to, and the link it is on; `None` for this machine's own addresses.
fn next_hop(case: &Case, address: IpAddr) -> Option<(IpAddr, u32)> {
    hop_of(case, address, case.routing(address)?.decision.value())
}

fn hop_of(case: &Case, address: IpAddr, decision: Option<&RouteDecision>) -> Option<(IpAddr, u32)> {
    let route = decision?.via()?;
    let link = route.link?;
    let loopback = case.host.link(link).is_some_and(|l| l.loopback);
    (!loopback).then(|| (route.gateway.unwrap_or(address), link))
}

/// Listeners on the target's port, TCP and UDP: a service on the other protocol is an answer, too.
pub(crate) fn port_query(target: &Target, owners: Owners) -> SocketQuery {
    SocketQuery {
        port: Some(target.port),
        transports: vec![Transport::Tcp, Transport::Udp],
        owners,
        states: States::Listening,
    }
}

/// What only a failed attempt makes worth looking at.
fn after_attempts(case: &mut Case, options: &Options, host: &Arc<dyn Host>) {
    let failed: Vec<Attempt> = case.attempts.iter().filter(|a| a.outcome != AttemptOutcome::Open).cloned().collect();
    for attempt in &failed {
        let ip = attempt.address.ip();
        let neighbour = next_hop(case, ip).map(|(hop, link)| host.neighbour(hop, link));
        let Some(index) = case.routing.iter().position(|r| r.destination == ip) else { continue };
        if let Some(neighbour) = neighbour {
            let own = case.routing[index].decision.value().and_then(|decision| decision.via()?.source);
            case.routing[index].claimants = claimants(case, &neighbour, own);
            case.routing[index].neighbour = neighbour;
        }
        let no_way = matches!(case.routing[index].decision.value(), Some(RouteDecision::No { .. }));
        let unreached = matches!(attempt.outcome, AttemptOutcome::Unreachable | AttemptOutcome::TimedOut);
        if no_way || unreached {
            case.routing[index].alternatives = host.alternatives(ip);
        }
    }
    if let Some(attempt) = failed.iter().find(|a| a.errno == Some(Errno::EADDRNOTAVAIL)) {
        case.host.connections_to_target = host.connections_to(attempt.address);
    }
    let remote = failed.iter().find(|a| {
        case.target.protocol == Protocol::Tcp
            && case.is_local(a.address.ip()) == Some(false)
            && a.given_up.is_none()
            && match a.outcome {
                AttemptOutcome::TimedOut => true,
                AttemptOutcome::Refused => a.answer.as_ref().is_some_and(|answer| answer.kind == AnswerKind::Rst),
                _ => false,
            }
    });
    if let Some(attempt) = remote {
        case.other_ports = Observed::known(other_ports(attempt.address, options), Source::probed("connect(2)"));
    }
}

fn other_ports(address: SocketAddr, options: &Options) -> Vec<PortProbe> {
    let ports: Vec<u16> = OTHER_PORTS.into_iter().filter(|port| *port != address.port()).collect();
    let scope = match address {
        SocketAddr::V6(v6) => v6.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    let left = options.deadline.saturating_duration_since(Instant::now());
    unrefuse_probe::ports(address.ip(), scope, &ports, OTHER_PORTS_WAIT.min(left))
}

/// Attempts to the addresses that name servers give for the name and a hosts line hides.
fn hidden_attempts(case: &mut Case, options: &Options) {
    let found = case.resolution.result.clone().unwrap_or_default();
    let all_open = case.attempts.iter().all(|a| a.outcome == AttemptOutcome::Open);
    if found.is_empty() || all_open || case.target.literal().is_some() {
        return;
    }
    let answers = case.host.resolver.answers.value().into_iter().flatten();
    let mut hidden: Vec<SocketAddr> = answers
        .filter_map(|answer| match &answer.answer {
            unrefuse_facts::DnsAnswer::Addresses(addresses) => Some(addresses),
            _ => None,
        })
        .flatten()
        .filter(|ip| !found.iter().any(|a| a.ip() == **ip))
        .map(|ip| match ip {
            IpAddr::V4(v4) => SocketAddr::from((*v4, case.target.port)),
            IpAddr::V6(v6) => SocketAddrV6::new(*v6, case.target.port, 0, 0).into(),
        })
        .collect();
    hidden.sort_unstable();
    hidden.dedup();
    hidden.truncate(4);
    if hidden.is_empty() {
        return;
    }
    let how = AttemptOptions {
        protocol: case.target.protocol,
        timeout: options.timeout.min(Duration::from_secs(1)),
        deadline: options.deadline,
        rounds: 1,
        sniff: false,
        watch: &|_, _| None,
    };
    case.hidden_attempts = unrefuse_probe::attempts(&hidden, &how);
}

fn both(
    before: Observed<BTreeMap<String, u64>>,
    after: Observed<BTreeMap<String, u64>>,
) -> Observed<BTreeMap<String, Counter>> {
    match (before, after) {
        (Observed::Known { value: before, source }, Observed::Known { value: after, .. }) => {
            let pair = |(name, after): (String, u64)| {
                let before = before.get(&name).copied()?;
                Some((name, Counter { before, after }))
            };
            Observed::known(after.into_iter().filter_map(pair).filter(|(_, c)| c.moved() > 0).collect(), source)
        }
        (Observed::Missing(missing), _) | (_, Observed::Missing(missing)) => Observed::Missing(missing),
    }
}

/// A fact that nobody needed.
pub(crate) fn not_needed<T>(why: &str) -> Observed<T> {
    Observed::Missing(unrefuse_facts::Missing::new(Reason::NotLooked, why))
}

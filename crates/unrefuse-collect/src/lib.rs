//! Facts of a machine, without any judgement: sockets and their owners, links, routes, names, kernel settings.
//!
//! Collectors are blocking system calls; the caller runs them side by side on threads, each under its own deadline, and
//! leaves a thread behind that does not come back. A collector changes nothing: it opens for reading only, sends nothing
//! but DNS questions ([`Host::ask_name_servers`]; and whatever getaddrinfo(3) sends), and asks no kernel interface whose
//! answer would load a module.
//!
//! What cannot be seen is an [`unrefuse_facts::Missing`] with its reason, never an empty answer.

pub mod configs;
pub mod containers;
pub mod filters;
pub mod firewall;
pub mod live;
pub mod namespace;
#[cfg(test)]
mod scratch;
pub mod services;
mod unit_files;

use containers::ContainerQuery;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use unrefuse_facts::{
    ContainerFacts, Family, HostsFile, InterfaceAddress, IpsecPolicy, Link, LinkFilter, Neighbour, NetNamespace,
    NsSwitch, Observed, Resolution, ResolvConf, Route, RouteDecision, RoutingRule, SelfFacts, ServerAnswer,
    SocketTable, Target, Transport, UnixSocket,
};

/// Where facts are read from; [`live::Live`] is this machine. Recorded and remote hosts will be further backends.
///
/// Each function looks anew. Of the live machine, what belongs to a network namespace is that of the calling thread's.
pub trait Host: Send + Sync {
    /// gethostname(2).
    fn hostname(&self) -> Observed<String>;
    /// unrefuse's own rights, namespace and proxies.
    fn own(&self) -> SelfFacts;
    /// The target's addresses as applications get them: getaddrinfo(3) of the running libc, without `AI_ADDRCONFIG`. A
    /// literal goes the same way. May block as long as libc likes.
    fn resolve(&self, target: &Target, family: Option<Family>) -> Resolution;
    /// The `hosts:` line of /etc/nsswitch.conf.
    fn nsswitch(&self) -> Observed<NsSwitch>;
    /// /etc/hosts.
    fn hosts_file(&self) -> Observed<HostsFile>;
    /// /etc/resolv.conf.
    fn resolv_conf(&self) -> Observed<ResolvConf>;
    /// What every server of `conf` says when asked for `host`: for each server in order, one answer per name that it was
    /// asked for. As libc, a server is asked for the next name of the search list after "no such name", "no address" and
    /// a failure code. All answers are there after `wait`; a server that has said nothing by then is silent.
    fn ask_name_servers(&self, conf: &ResolvConf, host: &str, wait: Duration) -> Observed<Vec<ServerAnswer>>;
    /// Listeners, with their owners where `query` wants them.
    fn sockets(&self, query: &SocketQuery) -> Observed<SocketTable>;
    /// How many TCP sockets have `address` as their peer, in any state, TIME_WAIT included.
    fn connections_to(&self, address: SocketAddr) -> Observed<u32>;
    /// Other network namespaces that have a listener `query` asks for, and those that could not be looked into.
    ///
    /// [`NetNamespace::inode`] is 0 where this user may see the sockets of a namespace but not its number.
    fn other_namespaces(&self, query: &SocketQuery) -> Observed<Vec<NetNamespace>>;
    /// Interfaces.
    fn links(&self) -> Observed<Vec<Link>>;
    /// Addresses of the interfaces.
    fn addresses(&self) -> Observed<Vec<InterfaceAddress>>;
    /// The kernel's own decision for `destination`; `scope` is the interface of a scoped address (RFC 4007).
    fn route(&self, destination: IpAddr, scope: Option<&str>) -> Observed<RouteDecision>;
    /// The kernel's own decision for what `source`, an address of this machine, sends to `destination`.
    fn route_from(&self, source: IpAddr, destination: IpAddr) -> Observed<RouteDecision>;
    /// The kernel's own decision for a packet with that mark, from `source` where that is one of this machine's addresses.
    fn route_marked(&self, mark: u32, source: Option<IpAddr>, destination: IpAddr) -> Observed<RouteDecision>;
    /// The kernel's own decision for what comes in by the interface `iif` from `source`, with that mark, for `destination`,
    /// which is another machine. IPv4 also looks whether the source may come in there (rp_filter), and fails with `EINVAL`
    /// or `EXDEV` where not.
    fn route_arriving(&self, iif: &str, mark: u32, source: IpAddr, destination: IpAddr) -> Observed<RouteDecision>;
    /// The first rule of the routing policy that stops such a packet before a table is asked; `None`: none does.
    fn stopping_rule(&self, mark: u32, source: Option<IpAddr>, destination: IpAddr) -> Observed<Option<RoutingRule>>;
    /// Entries of the routing tables that cover `destination`, without the one that decides, best first: in the order of
    /// the routing rules, then longest prefix, then metric. At most 16.
    fn alternatives(&self, destination: IpAddr) -> Observed<Vec<Route>>;
    /// The ARP or neighbour discovery entry of `address` on the interface with index `link`; absent where there is none.
    fn neighbour(&self, address: IpAddr, link: u32) -> Observed<Neighbour>;
    /// The port (interface index) of the bridge with that index behind which a link address was last seen.
    fn bridge_port(&self, bridge: u32, lladdr: &str) -> Observed<u32>;
    /// XDP programs, filters of tc(8) and lossy queueing disciplines at all interfaces.
    fn link_filters(&self) -> Observed<Vec<LinkFilter>>;
    /// IPsec policies for what this machine sends and takes, the strongest first.
    fn ipsec_policies(&self) -> Observed<Vec<IpsecPolicy>>;
    /// A kernel setting by its name as in sysctl(8), `net.ipv4.ip_local_port_range`.
    fn sysctl(&self, name: &str) -> Observed<String>;
    /// The network counters, `TcpExt.ListenOverflows`.
    fn counters(&self) -> Observed<BTreeMap<String, u64>>;
    /// What is at `path` in the file system, and whether somebody listens there.
    fn unix_socket(&self, path: &str) -> Observed<UnixSocket>;
    /// Container engines and their containers, asked over their sockets. All is there by `until`; an engine that has not
    /// answered by then says so in its own fact.
    fn containers(&self, query: &ContainerQuery, until: Instant) -> ContainerFacts;
}

/// Which listeners are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketQuery {
    /// Those of one port, or all. A question about one port gets every holder of its sockets and counts the holders' open
    /// files; the table of all listeners gets at least one holder of each socket, and no such count.
    pub port: Option<u16>,
    /// TCP, UDP or both.
    pub transports: Vec<Transport>,
    /// Whether to look for the processes that hold them.
    pub owners: Owners,
    /// Listeners, or every socket.
    pub states: States,
}

/// Which sockets are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum States {
    /// TCP sockets in LISTEN and UDP sockets without a peer.
    Listening,
    /// Connected ones as well, in any state: what may hold a port without listening on it.
    All,
}

/// Whether the processes that hold a socket are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// Not wanted: saves the walk over all processes.
    None,
    /// Wanted.
    Wanted,
}

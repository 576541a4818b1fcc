//! This machine.

mod dns;
mod dns_message;
pub(crate) mod files;
pub(crate) mod folders;
mod inet_diag;
mod inner_names;
mod ipsec;
mod kernel;
mod link_filters;
mod links;
pub(crate) mod missing;
mod modules;
mod names;
pub(crate) mod namespaces;
pub(crate) mod netlink;
pub(crate) mod own;
mod owners;
pub(crate) mod proc_dir;
mod process;
mod resolve;
mod routes;
mod rules;
mod sockets;
pub(crate) mod unix;

use crate::containers::ContainerQuery;
use crate::{Host, SocketQuery};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use unrefuse_facts::{
    ContainerFacts, Family, HostsFile, InterfaceAddress, IpsecPolicy, Link, LinkFilter, Missing, Neighbour,
    NetNamespace, NsSwitch, Observed, Protocol, Resolution, ResolvConf, Route, RouteDecision, RoutingRule, SelfFacts,
    ServerAnswer, SocketTable, Target, UnixSocket,
};

/// This machine, as the calling thread sees it: its network namespace decides.
#[derive(Debug, Default)]
pub struct Live {
    users: OnceLock<BTreeMap<u32, String>>,
    /// What decides names.
    files: names::Files,
}

impl Live {
    /// This machine. Nothing is looked at yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with names as they are in the root of process `pid`, which lives in a container: its files, its name
    /// servers. The network is still that of the calling thread.
    ///
    /// # Errors
    ///
    /// That root may not be opened.
    pub fn with_names_of(pid: u32) -> Result<Self, Missing> {
        Ok(Self { files: names::Files::below(&format!("/proc/{pid}/root"))?, ..Self::default() })
    }

    /// User names from /etc/passwd only: asking the name service could hang on a dead directory server.
    fn users(&self) -> &BTreeMap<u32, String> {
        self.users.get_or_init(|| {
            files::read("/etc/passwd").map(|bytes| unrefuse_parse::passwd::user_names(&bytes)).unwrap_or_default()
        })
    }
}

impl Host for Live {
    fn hostname(&self) -> Observed<String> {
        kernel::hostname()
    }
    fn own(&self) -> SelfFacts {
        own::own()
    }
    fn resolve(&self, target: &Target, family: Option<Family>) -> Resolution {
        if self.files.are_anothers() && target.literal().is_none() && target.protocol != Protocol::Unix {
            return inner_names::resolve(target, family, &self.files);
        }
        resolve::resolve(target, family)
    }
    fn nsswitch(&self) -> Observed<NsSwitch> {
        names::nsswitch(&self.files)
    }
    fn hosts_file(&self) -> Observed<HostsFile> {
        names::hosts_file(&self.files)
    }
    fn resolv_conf(&self) -> Observed<ResolvConf> {
        names::resolv_conf(&self.files)
    }
    fn ask_name_servers(&self, conf: &ResolvConf, host: &str, wait: Duration) -> Observed<Vec<ServerAnswer>> {
        dns::ask(conf, host, None, wait)
    }
    fn sockets(&self, query: &SocketQuery) -> Observed<SocketTable> {
        sockets::table(query, self.users())
    }
    fn connections_to(&self, address: SocketAddr) -> Observed<u32> {
        sockets::connections_to(address)
    }
    fn other_namespaces(&self, query: &SocketQuery) -> Observed<Vec<NetNamespace>> {
        namespaces::other(query, self.users())
    }
    fn links(&self) -> Observed<Vec<Link>> {
        links::links()
    }
    fn addresses(&self) -> Observed<Vec<InterfaceAddress>> {
        links::addresses()
    }
    fn route(&self, destination: IpAddr, scope: Option<&str>) -> Observed<RouteDecision> {
        routes::decide(destination, scope)
    }
    fn route_from(&self, source: IpAddr, destination: IpAddr) -> Observed<RouteDecision> {
        routes::decide_from(source, destination)
    }
    fn route_marked(&self, mark: u32, source: Option<IpAddr>, destination: IpAddr) -> Observed<RouteDecision> {
        routes::decide_marked(mark, source, destination)
    }
    fn route_arriving(&self, iif: &str, mark: u32, source: IpAddr, destination: IpAddr) -> Observed<RouteDecision> {
        routes::decide_arriving(iif, mark, source, destination)
    }
    fn stopping_rule(&self, mark: u32, source: Option<IpAddr>, destination: IpAddr) -> Observed<Option<RoutingRule>> {
        routes::stopping_rule(mark, source, destination)
    }
    fn alternatives(&self, destination: IpAddr) -> Observed<Vec<Route>> {
        routes::alternatives(destination)
    }
    fn neighbour(&self, address: IpAddr, link: u32) -> Observed<Neighbour> {
        links::neighbour(address, link)
    }
    fn bridge_port(&self, bridge: u32, lladdr: &str) -> Observed<u32> {
        links::bridge_port(bridge, lladdr)
    }
    fn link_filters(&self) -> Observed<Vec<LinkFilter>> {
        link_filters::link_filters()
    }
    fn ipsec_policies(&self) -> Observed<Vec<IpsecPolicy>> {
        ipsec::policies()
    }
    fn sysctl(&self, name: &str) -> Observed<String> {
        kernel::sysctl(name)
    }
    fn counters(&self) -> Observed<BTreeMap<String, u64>> {
        kernel::counters()
    }
    fn unix_socket(&self, path: &str) -> Observed<UnixSocket> {
        unix::unix_socket(path)
    }
    fn containers(&self, query: &ContainerQuery, until: Instant) -> ContainerFacts {
        crate::containers::containers(query, self.users(), until)
    }
}

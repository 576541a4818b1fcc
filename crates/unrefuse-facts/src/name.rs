//! Names: what the resolver of this machine says, and why.

use crate::{Location, Observed};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How getaddrinfo(3) failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameError {
    /// `EAI_NONAME`: no source knows the name.
    NotFound,
    /// `EAI_NODATA`, `EAI_ADDRFAMILY`: the name exists, without an address (of the wanted family).
    NoAddress,
    /// `EAI_AGAIN`: a temporary failure; usually no name server answered.
    TryAgain,
    /// `EAI_FAIL`: a name server answered with a failure.
    ServerFailure,
    /// It did not answer within our deadline.
    TimedOut,
    /// Any other error.
    Other,
}

/// What getaddrinfo(3) of the running libc gave: this is what applications see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// The addresses in the order applications try them, or the error.
    pub result: Result<Vec<SocketAddr>, NameError>,
    /// What the error said.
    pub detail: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Everything that decides a name on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResolverFacts {
    /// The `hosts:` line of nsswitch.conf(5).
    pub nsswitch: Observed<NsSwitch>,
    /// hosts(5).
    pub hosts: Observed<HostsFile>,
    /// resolv.conf(5).
    pub resolv_conf: Observed<ResolvConf>,
    /// What each configured name server said when it was asked for the target's name.
    pub answers: Observed<Vec<ServerAnswer>>,
}

/// The `hosts:` line of /etc/nsswitch.conf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NsSwitch {
    /// The services in order, with their actions as written: `files`, `mdns4_minimal [NOTFOUND=return]`, `dns`.
    pub services: Vec<String>,
    /// Where the line stands.
    pub location: Option<Location>,
}

/// /etc/hosts, parsed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostsFile {
    /// The entries in file order.
    pub entries: Vec<HostsEntry>,
    /// Lines that are neither entry, comment nor blank, and so are ignored by the resolver: line number and text.
    pub ignored: Vec<(u32, String)>,
}

/// One line of /etc/hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostsEntry {
    /// The address.
    pub address: IpAddr,
    /// The names it gives that address, as written.
    pub names: Vec<String>,
    /// Where it stands.
    pub location: Location,
    /// The whole line as it is in the file, without its end.
    pub text: String,
}

/// /etc/resolv.conf, parsed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResolvConf {
    /// The name servers that libc asks, in order (at most three, resolv.conf(5) MAXNS).
    pub servers: Vec<NameServer>,
    /// Name servers past the third, which libc ignores.
    pub ignored_servers: Vec<NameServer>,
    /// The search list.
    pub search: Vec<String>,
    /// `options ndots:n`, 1 where not given.
    pub ndots: u32,
    /// `options timeout:n` in seconds, 5 where not given.
    pub timeout_s: u32,
    /// `options attempts:n`, 2 where not given.
    pub attempts: u32,
    /// Where the file really is, when /etc/resolv.conf is a symbolic link.
    pub link_target: Option<String>,
}

/// One `nameserver` line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameServer {
    /// Its address; the scope of a link-local one is in `scope`.
    pub address: IpAddr,
    /// Interface of a scoped address.
    pub scope: Option<String>,
    /// The line; `None` for the built-in default (127.0.0.1 when there is no `nameserver` line).
    pub location: Option<Location>,
}

/// What one name server said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAnswer {
    /// The server and port asked.
    pub server: SocketAddr,
    /// The name asked for (after the search list, with the final dot).
    pub name: String,
    /// Its answer.
    pub answer: DnsAnswer,
    /// How long it took.
    pub elapsed: Duration,
}

/// An answer of the DNS, or why there was none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsAnswer {
    /// Addresses (A and AAAA).
    Addresses(Vec<IpAddr>),
    /// NXDOMAIN.
    NoSuchName,
    /// The name exists and has no address.
    NoAddress,
    /// SERVFAIL, REFUSED or another response code, by name.
    Failure(String),
    /// The server's port is closed: ICMP port unreachable came back.
    Refused,
    /// Nothing came back in time.
    Silent,
    /// It could not be asked: no route, not permitted …
    NotSent(String),
}

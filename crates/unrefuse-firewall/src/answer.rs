//! What a judgement says.

use std::net::IpAddr;

use crate::model::{Backend, Counters, Family, Hook, Reject};
use std::sync::Arc;

/// The judgement of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What happens to the packet.
    pub fate: Fate,
    /// What decided; `None` where nothing filters.
    pub decided_by: Option<Decider>,
    /// Other places that decide alike, where a fork came before.
    pub also: Vec<Decider>,
    /// Rules that matched, policies and decisions of the stack, in the packet's order.
    pub way: Vec<Step>,
    /// What the sender observes, the way of the answer included.
    pub client_sees: ClientSees,
    /// The mark that rules gave a packet from here, by which it was routed anew (`ip_route_me_harder`).
    pub rerouted_by: Option<u32>,
    /// The addresses after NAT, where it changed any.
    pub translated: Option<Translated>,
    /// The verdict on the answer (SYN-ACK, RST or ICMP error), where it was asked for and there is one.
    pub reply: Option<Reply>,
    /// What was taken for granted.
    pub assumptions: Vec<String>,
    /// Matches and targets that were not understood or could not be known, each with its rule.
    pub ignored: Vec<String>,
    /// Something that was not known was tested on the way, or on the answer's: another way may be the real one, which ends
    /// alike where the fate is certain.
    pub forked: bool,
}

/// What happens to a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It gets through.
    Accepted {
        /// Where to: more than one where NAT chooses.
        to: Vec<Destination>,
    },
    /// It is gone, without a word.
    Dropped,
    /// It is gone, and its sender is told.
    Rejected(Reject),
    /// It is never made: connect() or sendto() fails at once with this errno name.
    NotSent(&'static str),
    /// That cannot be said offline.
    Depends {
        /// The rule at which the ways part.
        on: Option<Decider>,
        /// Why that cannot be known.
        reason: String,
        /// What may happen.
        fates: Vec<Fate>,
    },
    /// Judging gave up.
    Unknown(String),
}

impl Fate {
    /// Whether the packet surely gets through.
    pub const fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. })
    }

    /// Whether the packet surely does not get through.
    pub const fn is_stopped(&self) -> bool {
        matches!(self, Self::Dropped | Self::Rejected(_) | Self::NotSent(_))
    }
}

/// Where a packet ends up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// Address after NAT; `None` where the kernel chooses one that is not known.
    pub address: Option<IpAddr>,
    /// Port after NAT; `None` for a transport without ports, or where it is not known.
    pub port: Option<u16>,
    /// This machine takes it.
    pub local: bool,
    /// The interface it leaves by, where it is not for this machine.
    pub oif: Option<String>,
}

/// What decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decider {
    /// A rule.
    Rule(Box<RuleRef>),
    /// The policy of a base chain.
    Policy(ChainRef),
    /// The network stack.
    Stack(StackReason),
}

/// A base chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRef {
    /// Table's family.
    pub family: Family,
    /// Table's name.
    pub table: String,
    /// Who runs the table.
    pub backend: Backend,
    /// Chain.
    pub chain: String,
    /// The hook it is reached from.
    pub hook: Hook,
    /// Packets that met the policy.
    pub counters: Option<Counters>,
}

/// A rule, with all that is needed to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRef {
    /// Table's family.
    pub family: Family,
    /// Table's name.
    pub table: String,
    /// Who runs the table.
    pub backend: Backend,
    /// Chain that holds the rule.
    pub chain: String,
    /// The hook it was reached from.
    pub hook: Hook,
    /// Number in its chain, from 1.
    pub number: u32,
    /// nft handle.
    pub handle: Option<u64>,
    /// Line in the file.
    pub line: Option<u32>,
    /// The file, where the one that was read includes it.
    pub file: Option<Arc<str>>,
    /// Text.
    pub text: String,
    /// Comment.
    pub comment: Option<String>,
    /// Counters.
    pub counters: Option<Counters>,
}

/// Why the stack, not a rule, ends a packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StackReason {
    /// Forwarding is off: the sysctl that says so.
    ForwardingOff(String),
    /// The reverse path filter: the way back to the source does not lead through the arriving interface.
    RpFilter {
        /// The sysctl in force.
        sysctl: String,
        /// The interface that leads back.
        expected: Option<String>,
    },
    /// The source is one of this machine's own, or one that no packet on a wire may have.
    MartianSource,
    /// The destination is one that no packet on a wire may have (loopback).
    MartianDestination,
    /// There is no route to the destination.
    NoRoute,
    /// A blackhole, unreachable or prohibit route.
    Route(crate::machine::RouteKind),
    /// The destination is a broadcast or multicast address: no connection.
    NotUnicast,
    /// REDIRECT on an interface without an address drops.
    RedirectWithoutAddress,
    /// TPROXY took a packet that is not routed to this machine (`ip_forward`, `ip6_forward`).
    ProxiedElsewhere,
}

/// One thing on a packet's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Hook.
    pub hook: Hook,
    /// Table and chain, rule or policy, or the stack.
    pub by: Decider,
    /// What it did: `accept`, `jump f2b-sshd`, `dnat to 10.0.0.2:80`.
    pub what: String,
}

/// What the sender observes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientSees {
    /// An answer of whatever listens there, or of the kernel where nothing does.
    Answer,
    /// Nothing: TCP tries until it times out.
    Silence,
    /// A TCP reset.
    Reset,
    /// An ICMP error (version 4 or 6, type, code).
    Icmp {
        /// ICMPv6.
        v6: bool,
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
    /// An error of its own kernel, by name, before any packet leaves.
    Errno(&'static str),
    /// Not certain.
    Unclear,
}

/// Addresses after NAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Translated {
    /// Source; `None`: not known.
    pub src: Option<IpAddr>,
    /// Source port; `None`: not known.
    pub sport: Option<u16>,
    /// Destination; `None`: not known.
    pub dst: Option<IpAddr>,
    /// Destination port; `None`: not known.
    pub dport: Option<u16>,
}

/// The verdict on the answering packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// What happens to it.
    pub fate: Fate,
    /// What decided.
    pub decided_by: Option<Decider>,
    /// Its way.
    pub way: Vec<Step>,
}

impl ClientSees {
    /// The errno of a TCP connect(), as measured on Linux 6.18 (IPv4: net/ipv4/icmp.c `icmp_err_convert`; IPv6:
    /// net/ipv6/icmp.c `icmpv6_err_convert` and `tab_unreach`). `None`: no error, or it is not known.
    pub const fn tcp_errno(&self) -> Option<&'static str> {
        match self {
            Self::Answer | Self::Unclear => None,
            Self::Silence => Some("ETIMEDOUT"),
            Self::Reset => Some("ECONNREFUSED"),
            Self::Errno(e) => Some(e),
            Self::Icmp { v6: false, kind, code } => Some(v4_errno(*kind, *code)),
            Self::Icmp { v6: true, kind, code } => Some(v6_errno(*kind, *code)),
        }
    }
}

const fn v4_errno(kind: u8, code: u8) -> &'static str {
    match (kind, code) {
        (3, 0 | 6 | 9 | 11) => "ENETUNREACH",
        (3, 2) => "ENOPROTOOPT",
        (3, 3) => "ECONNREFUSED",
        (3, 5) => "EOPNOTSUPP",
        (3, 8) => "ENONET",
        (3, 7) => "EHOSTDOWN",
        (3, 1 | 10 | 12..=15) | (11, _) => "EHOSTUNREACH",
        (12, _) => "EPROTO",
        _ => "ETIMEDOUT",
    }
}

const fn v6_errno(kind: u8, code: u8) -> &'static str {
    match (kind, code) {
        (1, 0) => "ENETUNREACH",
        (1, 1 | 5 | 6) => "EACCES",
        (1, 2 | 3) | (3, _) => "EHOSTUNREACH",
        (1, 4) => "ECONNREFUSED",
        (4, _) => "EPROTO",
        _ => "ETIMEDOUT",
    }
}

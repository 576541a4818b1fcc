//! What the packet filters of this machine do with the packets of the question, as the judge found.
//!
//! Plain data: the judge's answers, converted. What a rule file says (configured) and what the kernel holds (running) stay
//! apart: judgements are of the running rules, [`SavedRules`] of the files.

mod beyond;
mod manager;

pub use beyond::{Beyond, SharedLink};
pub use manager::{
    FirewalldFacts, RuleKeeper, RuleOwner, SavedKind, SavedRule, SavedRules, SavedSays, UfwAction, UfwFacts, UfwPlaced,
    UfwRule,
};

use crate::{AttemptOutcome, Counter, Errno, Observed, RouteDecision, RoutingRule};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// What this machine's filters do with the packets of a question.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FirewallFacts {
    /// One for each address of the target that was judged.
    pub judgements: Vec<AddressJudgement>,
    /// The client whose packets were judged on their way in. `None`: this machine itself.
    pub from: Option<IpAddr>,
    /// The connection tracking table.
    pub conntrack: Observed<Conntrack>,
    /// What files would load at the next boot or reload.
    pub saved: SavedRules,
    /// ufw; missing as absent where it is not installed.
    pub ufw: Observed<UfwFacts>,
    /// firewalld; missing as absent where it is not running.
    pub firewalld: Observed<FirewalldFacts>,
}

/// Fill of the connection tracking table (`/proc/sys/net/netfilter/nf_conntrack_count`, `nf_conntrack_max`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conntrack {
    /// Connections in it.
    pub count: u64,
    /// How many there may be.
    pub max: u64,
    /// Packets dropped because there was no room (`drop` of /proc/net/stat/nf_conntrack, all processors together).
    pub dropped: Observed<Counter>,
}

/// What the filters do with the packets of another machine, whichever it is, to an open port of this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromElsewhere {
    /// The interface that the packets come in by.
    pub interface: String,
    /// Address and port that they go to.
    pub address: SocketAddr,
    /// Their way in. Where it depends on the source, the fate depends.
    pub ingress: Judgement,
}

/// The packets of one address of the target. What does not meet this machine's filters is `None`: the way in of a remote
/// target, the way out of a client that is elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressJudgement {
    /// Address and port of the target.
    pub address: SocketAddr,
    /// The client's packet on its way out of this machine: OUTPUT to POSTROUTING.
    pub egress: Option<Judgement>,
    /// The server's answer on its way back in, where this machine is the client: PREROUTING to INPUT.
    pub egress_reply: Option<Judgement>,
    /// The client's packet on its way in, where this machine is the server: PREROUTING to INPUT, or to FORWARD.
    pub ingress: Option<Judgement>,
    /// The answer (SYN-ACK) on its way out, where this machine is the server.
    pub reply: Option<Judgement>,
    /// The mark that rules of OUTPUT give the packet, where the kernel routes it anew by that.
    #[serde(default)]
    pub marked: Option<Marking>,
    /// What the client sends next (its ACK, and all that follows), where this machine is the server and the first packet and
    /// its answer get through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub later: Option<Judgement>,
    /// Neighbour discovery of IPv6 (RFC 4861) with the next machine on the link, as it arrives: its question, where this
    /// machine is the server, else its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbour_in: Option<Judgement>,
    /// The same, as it leaves: the answer, where this machine is the server, else the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbour_out: Option<Judgement>,
    /// Where this machine passes the packets of a client elsewhere on to, where it is not their end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<Beyond>,
    /// What stops the client for a while, because it came too often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub too_often: Option<TooOften>,
}

/// A rule counts the client's packets (`-m recent --seconds --hitcount`, `ufw limit`), and would stop the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TooOften {
    /// The list that they are noted in, below /proc/net/xt_recent.
    pub list: String,
    /// Packets that were noted within the time.
    pub noted: u32,
    /// As many are too many.
    pub most: u32,
    /// The time, in seconds.
    pub seconds: u64,
}

impl AddressJudgement {
    /// Of this address nothing is judged yet.
    pub const fn of(address: SocketAddr) -> Self {
        Self {
            address,
            egress: None,
            egress_reply: None,
            ingress: None,
            reply: None,
            marked: None,
            later: None,
            neighbour_in: None,
            neighbour_out: None,
            beyond: None,
            too_often: None,
        }
    }
}

/// A packet from here that rules mark is routed anew (`ip_route_me_harder`, net/ipv4/netfilter.c).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marking {
    /// The mark.
    pub mark: u32,
    /// The last rule that set it.
    pub by: Option<FilterRule>,
    /// What the kernel decides for the marked packet.
    pub decision: Observed<RouteDecision>,
    /// The rule of the routing policy that stops it, where no entry of a table does.
    pub rule: Option<RoutingRule>,
}

/// What becomes of one packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// What happens to it.
    pub fate: Fate,
    /// What decided. `None`: nothing filters.
    pub decided_by: Option<Decider>,
    /// Rules of other base chains of filtering tables that accept the packet, before or after; policies are not listed.
    pub accepted_by: Vec<FilterRule>,
    /// A rule that stands behind the deciding one in the same chain, or after the jump that led to it, and accepts.
    pub later_accept: Option<FilterRule>,
    /// Where NAT sends it instead.
    pub translated: Option<Translation>,
    /// The interface it comes in by.
    pub arrives_by: Option<String>,
    /// It is not for this machine: the interface it is forwarded to.
    pub forwarded_by: Option<String>,
    /// The rules that matched, in the packet's order.
    pub way: Vec<WayStep>,
    /// It is stopped, and would be stopped again were it let through there: what happens then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<Box<Judgement>>,
    /// It is stopped, and would be stopped again were the deciding rule or policy gone: what happens then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<Box<Judgement>>,
    /// What the client sees of it.
    pub client_sees: ClientSees,
    /// What was taken for granted.
    pub assumptions: Vec<String>,
    /// Matches and targets that were not understood, each with its rule.
    pub ignored: Vec<String>,
}

/// What happens to a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It gets through.
    Accepted,
    /// It is gone, without a word.
    Dropped,
    /// It is gone, and its sender is told.
    Rejected(RejectKind),
    /// It is never made: the system call fails at once.
    NotSent(Errno),
    /// That cannot be said: a rate limit, a time of day, a program that decides.
    Depends {
        /// The rule at which the ways part, and why.
        reason: String,
        /// What may happen.
        fates: Vec<Fate>,
    },
    /// It was not judged to the end.
    Unknown {
        /// Why.
        reason: String,
    },
}

impl Fate {
    /// It surely does not get through.
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Dropped | Self::Rejected(_) | Self::NotSent(_))
    }
}

/// How a packet is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RejectKind {
    /// A TCP reset.
    TcpReset,
    /// An ICMP or ICMPv6 error, in the packet's own family.
    Icmp {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
}

/// What the client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientSees {
    /// The answer of whatever listens there, or of a kernel where nothing does.
    Answer,
    /// An attempt that ends so, with that error.
    Failure {
        /// How it ends.
        outcome: AttemptOutcome,
        /// With which error, where there is one.
        errno: Option<Errno>,
    },
    /// That cannot be said.
    Unclear,
}

/// What decided over a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decider {
    /// A rule.
    Rule(FilterRule),
    /// The policy of a base chain.
    Policy(ChainPolicy),
    /// The network stack itself.
    Stack(StackReason),
}

impl Decider {
    /// Table and chain, where it is not the stack.
    pub fn place(&self) -> Option<&ChainPlace> {
        match self {
            Self::Rule(rule) => Some(&rule.place),
            Self::Policy(policy) => Some(&policy.place),
            Self::Stack(_) => None,
        }
    }
    /// The rule, where it is one.
    pub fn rule(&self) -> Option<&FilterRule> {
        match self {
            Self::Rule(rule) => Some(rule),
            _ => None,
        }
    }
    /// The rule that another one must stand before to be met; `None`: the end of the chain is met.
    pub fn rule_before(&self) -> Option<&FilterRule> {
        match self {
            Self::Rule(rule) => Some(rule),
            Self::Policy(policy) => policy.left_by.as_deref(),
            Self::Stack(_) => None,
        }
    }
    /// Who made it, where it is not the stack.
    pub fn owner(&self) -> Option<&RuleOwner> {
        match self {
            Self::Rule(rule) => Some(&rule.owner),
            Self::Policy(policy) => Some(&policy.owner),
            Self::Stack(_) => None,
        }
    }
}

/// Address family of a table, as nft(8) names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are nft's own (nft(8), ADDRESS FAMILIES)")]
pub enum TableFamily {
    Ip,
    Ip6,
    Inet,
    Arp,
    Bridge,
    Netdev,
}

/// Which mechanism runs a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterBackend {
    /// x_tables: `iptables-legacy`.
    Legacy,
    /// nf_tables, spoken to in its own language.
    Nft,
    /// nf_tables, spoken to with `iptables-nft`.
    IptablesNft,
    /// iptables of a kind that is not known.
    Iptables,
}

/// Netfilter hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are netfilter's own")]
pub enum FilterHook {
    Ingress,
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
    Egress,
}

/// A chain, and from where the packet came to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChainPlace {
    /// Table's family.
    pub family: TableFamily,
    /// Table.
    pub table: String,
    /// What runs the table.
    pub backend: FilterBackend,
    /// Chain.
    pub chain: String,
    /// The hook that the chain was reached from.
    pub hook: FilterHook,
    /// Priority of the base chain it was reached from, where that is known.
    pub priority: Option<i32>,
}

/// Packets and bytes that met a rule or policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCounters {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A rule, with all that is needed to find it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterRule {
    /// Table and chain that hold it.
    pub place: ChainPlace,
    /// Number in its chain, from 1.
    pub number: u32,
    /// nft handle.
    pub handle: Option<u64>,
    /// Line in the file it was read from.
    pub line: Option<u32>,
    /// As its owner would write it: `-A INPUT -p tcp --dport 22 -j DROP`, `tcp dport 22 drop`.
    pub text: String,
    /// Comment.
    pub comment: Option<String>,
    /// Counters, where it counts.
    pub counters: Option<RuleCounters>,
    /// Who made it.
    pub owner: RuleOwner,
    /// The set that the packet was found in, where that made the rule match.
    pub set: Option<SetHit>,
}

/// A base chain's policy that decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainPolicy {
    /// Table and chain.
    pub place: ChainPlace,
    /// Packets that met it, where counted.
    pub counters: Option<RuleCounters>,
    /// Who made it.
    pub owner: RuleOwner,
    /// The chain's rule by which the packet left it before its end (`goto`, `return`): what is added behind is not met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_by: Option<Box<FilterRule>>,
}

/// What kind of set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetKind {
    /// ipset(8).
    Ipset,
    /// A set or map of nf_tables, of the rule's table.
    Nft,
}

/// The element of a set that holds the packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetHit {
    /// What kind of set.
    pub kind: SetKind,
    /// Its name.
    pub name: String,
    /// The element as the set's tool writes it: `203.0.113.7`, `203.0.113.0/24`.
    pub element: String,
    /// The packet's source address is what was looked up, or part of it.
    pub by_source: bool,
    /// Seconds until the element goes by itself.
    pub expires: Option<u64>,
    /// Comment of the element.
    pub comment: Option<String>,
}

/// Why the network stack, not a rule, ends a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StackReason {
    /// It is not for this machine, and forwarding is off.
    ForwardingOff {
        /// The setting: `net.ipv4.ip_forward`.
        sysctl: String,
    },
    /// Reverse path filter: the way back to the source does not lead through the interface it came in by (RFC 3704).
    RpFilter {
        /// The setting in force: `net.ipv4.conf.eth0.rp_filter`.
        sysctl: String,
        /// The interface that leads back.
        expected: Option<String>,
    },
    /// Another reason, in words.
    Other {
        /// What it is: `the source address is one of this machine's own`.
        text: String,
    },
}

/// A destination changed by NAT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translation {
    /// The new destination.
    pub to: SocketAddr,
    /// The rule that says so.
    pub by: FilterRule,
    /// How an attempt to the new destination ended, made from here.
    pub probed: Observed<AttemptOutcome>,
}

/// A rule or policy that the packet met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayStep {
    /// Hook.
    pub hook: FilterHook,
    /// Table, with its family: `inet filter`. Empty for the stack.
    pub table: String,
    /// Chain. Empty for the stack.
    pub chain: String,
    /// The rule and what it did.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judgements_survive_json() {
        let place = ChainPlace {
            family: TableFamily::Ip6,
            table: "filter".into(),
            backend: FilterBackend::IptablesNft,
            chain: "INPUT".into(),
            hook: FilterHook::Input,
            priority: Some(-1),
        };
        let owner = RuleOwner::Program { name: "calico".into() };
        let policy = Decider::Policy(ChainPolicy { place, counters: None, owner, left_by: None });
        let depends = Fate::Depends {
            reason: "limit".into(),
            fates: vec![
                Fate::Dropped,
                Fate::Rejected(RejectKind::Icmp { kind: 1, code: 4 }),
                Fate::NotSent(Errno::EPERM),
            ],
        };
        let stack = Decider::Stack(StackReason::ForwardingOff { sysctl: "net.ipv4.ip_forward".into() });
        let judgement = |fate, by| Judgement {
            fate,
            decided_by: Some(by),
            accepted_by: Vec::new(),
            later_accept: None,
            translated: None,
            arrives_by: Some("eth0".into()),
            forwarded_by: None,
            way: Vec::new(),
            client_sees: ClientSees::Failure { outcome: AttemptOutcome::TimedOut, errno: None },
            assumptions: Vec::new(),
            ignored: Vec::new(),
            behind: None,
            without: None,
        };
        let facts = FirewallFacts {
            judgements: vec![AddressJudgement {
                egress: Some(judgement(depends, policy)),
                ingress: Some(judgement(Fate::Dropped, stack)),
                ..AddressJudgement::of("[fd01::2]:80".parse().unwrap())
            }],
            from: Some("fd01::9".parse().unwrap()),
            ..Default::default()
        };
        let json = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<FirewallFacts>(&json).unwrap(), facts);
    }
}

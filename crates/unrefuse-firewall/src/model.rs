//! The intermediate form of a ruleset.
//!
//! Scalars are what a register or header field holds, in network byte order, read as one big-endian number: comparing
//! numbers is then comparing bytes, as nf_tables does. Interface names are their bytes, padded with zeros at the end to 16
//! (`IFNAMSIZ`). Host-endian kernel values (marks, interface indexes, user ids, connection states) are plain numbers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

mod expr;
mod rules;
mod set;
mod text;

pub use expr::{
    BitOp, Cond, Ct, Direction, Expr, FibOf, FibResult, Field, Header, Meta, Op, OptionSpace, SocketKey, TuplePart,
};
pub use rules::{Rules, RulesBuilder};
pub use set::{Element, Elements, Set};
pub(crate) use text::Given;
pub use text::{Origin, Text};

/// A field's value: at most 16 bytes.
pub type Scalar = u128;

/// All that filters packets in one network namespace.
#[derive(Debug, Clone, Default)]
pub struct Ruleset {
    /// Tables, in no order: base chains are ordered by hook and priority.
    pub tables: Vec<Table>,
    /// ipset(8) sets by name: they belong to the machine, not to a table.
    pub ipsets: BTreeMap<String, Set>,
    /// What could not be read or understood, with its place. A ruleset with problems may leave verdicts open.
    pub problems: Vec<Problem>,
}

/// Something in a ruleset that could not be read or understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File and line, or table and chain.
    pub place: String,
    /// What is wrong or not understood.
    pub text: String,
}

/// Address family of a table (`NFPROTO_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are nft's own (nft(8), ADDRESS FAMILIES)")]
pub enum Family {
    Ip,
    Ip6,
    Inet,
    Arp,
    Bridge,
    Netdev,
}

/// Which mechanism runs a table: they are separate even where they look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// x_tables (`iptables-legacy`).
    Legacy,
    /// nf_tables, written by nft(8) or a program that speaks netlink.
    Nft,
    /// nf_tables, written by `iptables-nft`.
    IptablesNft,
    /// iptables-save text that does not say which; judged like the kernel judges either.
    Iptables,
}

/// A table with its chains and sets.
#[derive(Debug, Clone)]
pub struct Table {
    /// Family.
    pub family: Family,
    /// Name (`filter`).
    pub name: String,
    /// What runs it.
    pub backend: Backend,
    /// `dormant` (nft): its base chains are not hooked in.
    pub dormant: bool,
    /// Chains by name.
    pub chains: BTreeMap<String, Chain>,
    /// Sets, maps and verdict maps by name; anonymous ones have the kernel's `__set%d` names.
    pub sets: BTreeMap<String, Set>,
}

/// A chain.
#[derive(Debug, Clone)]
pub struct Chain {
    /// Where it is hooked in; `None` for a chain that is only jumped to.
    pub base: Option<Base>,
    /// Rules in order. Shared: a large chain is read once.
    pub rules: Arc<Rules>,
    /// The rules were not read (yet): a judge must ask for them and, where it cannot, leave the verdict open.
    pub unread: bool,
    /// Packets and bytes that met the policy, where counted.
    pub policy_counters: Option<Counters>,
}

impl Default for Chain {
    fn default() -> Self {
        // All that were not read share one list: a table may have thousands.
        static NONE: LazyLock<Arc<Rules>> = LazyLock::new(Arc::default);
        Self { base: None, rules: Arc::clone(&NONE), unread: false, policy_counters: None }
    }
}

/// Where and how a base chain is hooked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Hook.
    pub hook: Hook,
    /// Priority: lower runs earlier.
    pub priority: i32,
    /// Type.
    pub kind: ChainKind,
    /// What happens to a packet that no rule decides.
    pub policy: Policy,
    /// Devices (netdev family).
    pub devices: Vec<String>,
    /// Place among all functions of its hook, as the kernel lists them (`NFNL_SUBSYS_HOOK`), where that was asked:
    /// decides between equal priorities.
    pub order: Option<u32>,
}

/// Netfilter hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are netfilter's own")]
pub enum Hook {
    Ingress,
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
    Egress,
}

/// Type of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChainKind {
    /// Decides.
    Filter,
    /// Sees only the first packet of a connection; translates.
    Nat,
    /// OUTPUT only: the packet is routed anew when its mark, TOS or addresses change.
    Route,
}

/// Policy of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "plain words")]
pub enum Policy {
    Accept,
    Drop,
}

/// Packets and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A rule: statements in order; the first test that fails ends it.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// nft handle; `None` for text.
    pub handle: Option<u64>,
    /// Line in the file or dump it was read from, from 1.
    pub line: Option<u32>,
    /// The file that holds it, where that is one that the file that was read includes.
    pub file: Option<Arc<str>>,
    /// Number in its chain, from 1, as `iptables -D CHAIN NUM` counts.
    pub number: u32,
    /// What [`Rule::text`] says.
    pub text: Text,
    /// Comment.
    pub comment: Option<String>,
    /// Counters, where the rule counts.
    pub counters: Option<Counters>,
    /// What it does.
    pub statements: Vec<Statement>,
}

/// One step of a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// Goes on only where this holds.
    If(Cond),
    /// Changes what later tests see.
    Set {
        /// What is written.
        target: SetTarget,
        /// The new value.
        value: Expr,
    },
    /// Ends the rule.
    Verdict(Verdict),
    /// Looks the key up in a verdict map; goes on where it is not in it.
    VerdictMap {
        /// The key.
        key: Vec<Expr>,
        /// The map's name in the same table.
        set: String,
    },
    /// Translates addresses or ports of the connection, and accepts (iptables) or accepts in that chain (nft).
    /// Boxed: it is large and rare, and a judge walks over tens of thousands of statements.
    Nat(Box<Nat>),
    /// Connection tracking does not see this packet.
    Notrack,
    /// Answers with an error and drops.
    Reject(Reject),
    /// Hands the packet to a local socket without changing it.
    Tproxy {
        /// Address; `None`: the packet's own.
        address: Option<IpAddr>,
        /// Port; `None`: the packet's own.
        port: Option<u16>,
        /// iptables: sets the mark `value` under `mask` as well.
        mark: Option<(u32, u32)>,
    },
    /// Changes nothing of the packet's fate: counter, log, NFLOG, TRACE, TCPMSS, CHECKSUM, comments.
    Note(String),
    /// What it does cannot be known offline (NFQUEUE, SYNPROXY): the verdict forks here.
    Fork(String),
    /// Not understood: the verdict forks here.
    Unknown(String),
}

/// What a rule may write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetTarget {
    /// The packet's mark.
    Mark,
    /// The connection's mark.
    CtMark,
    /// A part of the packet, in bits from `base`.
    Payload {
        /// Header.
        base: Header,
        /// First bit.
        offset: u16,
        /// Bits.
        len: u16,
    },
    /// Something no test here reads (priority, ct label, secmark …).
    Other(String),
}

/// A verdict statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The packet is let through by this base chain; chains of later priorities still see it.
    Accept,
    /// The packet is gone.
    Drop,
    /// To another chain of the table, and back.
    Jump(String),
    /// To another chain of the table; its end is the end of the caller.
    Goto(String),
    /// Back to the caller; in a base chain: the policy.
    Return,
    /// On with the next rule.
    Continue,
    /// To a program in user space.
    Queue,
}

/// A translation.
#[derive(Debug, Clone, PartialEq)]
pub struct Nat {
    /// Kind.
    pub kind: NatKind,
    /// `dnat ip to …` in an inet table: packets of the other family pass by (`nft_nat_inet_eval`). `None`: the table's.
    pub family: Option<Family>,
    /// First and last new address; `None`: unchanged, or chosen by the kernel.
    pub address: Option<(Expr, Expr)>,
    /// First and last new port.
    pub port: Option<(Expr, Expr)>,
    /// `NETMAP`: only the bits of this prefix length are replaced.
    pub prefix: Option<u8>,
}

/// Kind of translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are netfilter's own")]
pub enum NatKind {
    Dnat,
    Snat,
    Masquerade,
    Redirect,
}

/// How a packet is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reject {
    /// A TCP reset (for a TCP packet).
    TcpReset,
    /// An ICMP error with this type and code.
    Icmp(u8, u8),
    /// An ICMPv6 error with this type and code.
    Icmp6(u8, u8),
    /// `NFT_REJECT_ICMPX_*` (nft `reject with icmpx`): 0 no route, 1 port, 2 host unreachable, 3 prohibited, each in the
    /// packet's own family.
    Icmpx(u8),
}

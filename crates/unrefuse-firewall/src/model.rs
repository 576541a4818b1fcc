//! The intermediate form of a ruleset.
//!
//! Scalars are what a register or header field holds, in network byte order, read as one big-endian number: comparing
//! numbers is then comparing bytes, as nf_tables does. Interface names are their bytes, padded with zeros at the end to 16
//! (`IFNAMSIZ`). Host-endian kernel values (marks, interface indexes, user ids, connection states) are plain numbers.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

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
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// Where it is hooked in; `None` for a chain that is only jumped to.
    pub base: Option<Base>,
    /// Rules in order. Shared: a large chain is read once.
    pub rules: Arc<Vec<Rule>>,
    /// The rules were not read (yet): a judge must ask for them and, where it cannot, leave the verdict open.
    pub unread: bool,
    /// Packets and bytes that met the policy, where counted.
    pub policy_counters: Option<Counters>,
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
    /// Number in its chain, from 1, as `iptables -D CHAIN NUM` counts.
    pub number: u32,
    /// As its owner would write it: `-A INPUT -p tcp --dport 22 -j ACCEPT`, `tcp dport 22 accept`.
    pub text: String,
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
    Nat(Nat),
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

/// A test.
#[derive(Debug, Clone, PartialEq)]
pub enum Cond {
    /// Compares two values of the same width.
    Compare {
        /// Left.
        left: Expr,
        /// How.
        op: Op,
        /// Right.
        right: Scalar,
    },
    /// From `from` to `to`, both included.
    Range {
        /// What.
        value: Expr,
        /// Lowest.
        from: Scalar,
        /// Highest.
        to: Scalar,
        /// Turned round.
        negated: bool,
    },
    /// In a set of the same table (nft) or of the machine (ipset).
    InSet {
        /// One part for each field of the key.
        key: Vec<Expr>,
        /// Its name.
        set: String,
        /// Turned round.
        negated: bool,
    },
    /// In an ipset (`-m set --match-set NAME src,dst`): which fields of the packet make the key is up to the set's type.
    /// The key has one part for each dimension of the type's name, in order: `ip` and `net` an address (32 or 128 bits),
    /// `port` two (protocol, 8 bits; port or ICMP type and code, 16 bits), `mac` 48 bits, `iface` a name (128 bits),
    /// `mark` 32 bits. `bitmap:port` has the port alone, of TCP or UDP.
    InIpset {
        /// Its name.
        set: String,
        /// For each dimension: of the source (else the destination).
        source: Vec<bool>,
        /// Turned round.
        negated: bool,
    },
    /// One holds.
    Any(Vec<Cond>),
    /// All hold.
    All(Vec<Cond>),
    /// Does not hold.
    Not(Box<Cond>),
    /// Holds where the inner one does; a load that fails in it makes it false instead of ending the rule. x_tables
    /// modules that turn "there is none" round need it: `! --uid-owner 0` holds for a packet without a socket.
    Lenient(Box<Cond>),
    /// Always, or never.
    Const(bool),
    /// Cannot be known offline: rate limits, time, recent, quota, counters, randomness.
    Fork(String),
    /// Not understood.
    Unknown(String),
}

/// How two values are compared: as unsigned big-endian numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// A value that is computed from the packet.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A constant.
    Const(Scalar),
    /// A field.
    Field(Field),
    /// `(value & mask) ^ xor`.
    Bits {
        /// Of what.
        of: Box<Expr>,
        /// Mask.
        mask: Scalar,
        /// Exclusive or.
        xor: Scalar,
    },
    /// Shifted left (positive) or right (negative) within its width.
    Shift {
        /// Of what.
        of: Box<Expr>,
        /// By how much.
        by: i8,
    },
    /// The value that a map holds for a key; the rule ends where it holds none.
    Map {
        /// The key.
        key: Vec<Expr>,
        /// The map's name.
        set: String,
        /// Which part of the element's data (0 where it has but one).
        part: u8,
    },
    /// Two values combined bit by bit.
    Binary {
        /// How.
        op: BitOp,
        /// Left.
        left: Box<Expr>,
        /// Right.
        right: Box<Expr>,
    },
    /// Cannot be known offline (numgen, random); may be any value.
    Fork(String),
    /// Not understood; may be any value, and the load may fail.
    Unknown(String),
}

/// How two values are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum BitOp {
    And,
    Or,
    Xor,
}

/// Headers that a payload offset counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Header {
    /// Ethernet.
    Link,
    /// IPv4 or IPv6.
    Network,
    /// TCP, UDP, ICMP …
    Transport,
    /// What the transport carries.
    Inner,
}

/// Something that can be loaded. A load that does not apply (a TCP port of a UDP packet at a wrong offset, an interface
/// that is not there) fails, and a failed load ends the rule, as in nf_tables, turned round (`Ne`, `negated`) or not
/// ([`Cond::Lenient`] keeps it to the tests within).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    /// Bits of the packet.
    Payload {
        /// Counted from this header.
        base: Header,
        /// First bit.
        offset: u16,
        /// Number of bits, at most 128.
        len: u16,
    },
    /// Packet metadata.
    Meta(Meta),
    /// Connection tracking.
    Ct(Ct),
    /// A look-up in the routing tables.
    Fib {
        /// What is wanted.
        result: FibResult,
        /// Of which address, and which constraints.
        of: FibOf,
    },
    /// An IPv6 extension header or a TCP option: kind, offset and length in bytes; `present` tests only that it is there.
    Option {
        /// Which option space.
        space: OptionSpace,
        /// Header or option kind.
        kind: u8,
        /// Offset in bytes.
        offset: u16,
        /// Bytes.
        len: u16,
        /// Only whether it is there: 1 or 0.
        present: bool,
    },
    /// The local socket that the packet belongs to: 1 where there is a (transparent) one.
    Socket(SocketKey),
    /// Type of an address as the routing tables see it (iptables addrtype): `RTN_*` bit mask.
    AddrType {
        /// Of the source instead of the destination.
        source: bool,
        /// Limited to the incoming or outgoing interface.
        limit: Option<Direction>,
    },
    /// IPsec policy applies (iptables policy, nft ipsec).
    Ipsec(Direction),
    /// The packet came in by a bridge port with this name (iptables physdev), 16 bytes.
    PhysIn,
    /// It leaves by this bridge port.
    PhysOut,
    /// Whether it is bridged (physdev --physdev-is-bridged): 1 or 0.
    PhysBridged,
}

/// Packet metadata (`NFT_META_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are nft's (nft(8), META EXPRESSIONS)")]
pub enum Meta {
    Length,
    Protocol,
    NfProto,
    L4Proto,
    Priority,
    Mark,
    Iif,
    Oif,
    IifName,
    OifName,
    IifType,
    OifType,
    IifGroup,
    OifGroup,
    IifKind,
    OifKind,
    Skuid,
    Skgid,
    Rtclassid,
    Secmark,
    PktType,
    Cpu,
    Cgroup,
    Random,
    Time,
    Day,
    Hour,
    SdifName,
    Sdif,
    BriIifName,
    BriOifName,
}

/// Connection tracking keys (`NFT_CT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are nft's (nft(8), CONNTRACK EXPRESSIONS)")]
pub enum Ct {
    /// `NF_CT_STATE_*` bits: 1 invalid, 2 established, 4 related, 8 new, 64 untracked.
    State,
    Direction,
    /// `IPS_*` bits.
    Status,
    Mark,
    L3Proto,
    Proto,
    Helper,
    Expiration,
    Zone,
    Label,
    /// Addresses and ports of a direction of the connection.
    Tuple(Direction, TuplePart),
    Bytes(Direction),
    Packets(Direction),
    AvgPkt(Direction),
    Id,
}

/// Part of a connection's tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "plain words")]
pub enum TuplePart {
    Source,
    Destination,
    SourcePort,
    DestinationPort,
}

/// Original or reply; also incoming or outgoing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Original direction; incoming.
    Original,
    /// Reply direction; outgoing.
    Reply,
}

/// What a fib look-up gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FibResult {
    /// Interface index; 0: no route.
    Oif,
    /// Interface name.
    OifName,
    /// `RTN_*` number.
    Type,
    /// 1 where there is a route.
    Present,
}

/// Of which address a fib look-up is, and its constraints (`NFTA_FIB_F_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FibOf {
    /// The source address; else the destination.
    pub source: bool,
    /// With the packet's mark.
    pub mark: bool,
    /// Limited to the incoming interface.
    pub iif: bool,
    /// Limited to the outgoing interface.
    pub oif: bool,
}

/// Option spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "plain words")]
pub enum OptionSpace {
    Ipv6Header,
    TcpOption,
    Ipv4Option,
    SctpChunk,
    DccpOption,
}

/// What is asked of a packet's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are nft's (nft(8), SOCKET EXPRESSION)")]
pub enum SocketKey {
    Exists,
    /// Not nft's: the packet has a sending socket here, the kernel's own included (iptables `--socket-exists`): 1 or 0.
    Sends,
    Transparent,
    Mark,
    Wildcard,
    CgroupV2,
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

/// A set, map or verdict map.
#[derive(Debug, Clone, Default)]
pub struct Set {
    /// Widths in bits of the key's parts, in order.
    pub key: Vec<u16>,
    /// What it holds.
    pub elements: Elements,
    /// Elements have time-outs: what was read may be gone.
    pub timeout: bool,
    /// Rules may add to it (`dynamic`): its content is a matter of the past.
    pub dynamic: bool,
    /// Comment.
    pub comment: Option<String>,
    /// The element `*`: where no other holds.
    pub catch_all: Option<Element>,
    /// ipset(8) type (`hash:net,port`); `None` for an nf_tables set.
    pub ipset: Option<String>,
}

/// What a set holds.
#[derive(Debug, Clone)]
pub enum Elements {
    /// Single keys.
    Exact(HashMap<Vec<Scalar>, Element>),
    /// Ranges, both ends included, one range for each part of the key; where several hold, the first is the one.
    Ranges(Vec<(Vec<(Scalar, Scalar)>, Element)>),
    /// Other ipsets, asked in order (`list:set`).
    Sets(Vec<String>),
    /// Not read: a judge must ask for the key and, where it cannot, leave the verdict open.
    Unread,
    /// Not understood.
    Unknown(String),
}

impl Default for Elements {
    fn default() -> Self {
        Self::Exact(HashMap::new())
    }
}

/// What belongs to a key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Element {
    /// Verdict of a verdict map.
    pub verdict: Option<Verdict>,
    /// Data of a map, one part for each field.
    pub data: Option<Vec<Scalar>>,
    /// ipset `nomatch`: the key is taken out of a wider range.
    pub nomatch: bool,
    /// Comment.
    pub comment: Option<String>,
    /// Time-out in seconds that is left.
    pub expires: Option<u64>,
}

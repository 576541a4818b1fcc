//! Tests, values, and what can be loaded.

use super::Scalar;

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

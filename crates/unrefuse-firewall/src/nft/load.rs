//! Expressions that load from the packet or its surroundings, and those of the same names that write.

use super::attr::Table;
use super::program::{Done, Program};
use crate::model::{
    Ct, Direction, Expr, Family, FibOf, FibResult, Field, Header, Meta, OptionSpace, SetTarget, SocketKey, Statement,
    TuplePart,
};

/// `payload` (net/netfilter/nft_payload.c).
pub(crate) fn payload(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 9> = Table::new(data);
    let base = match t.be32(2)? {
        0 => Header::Link,
        1 => Header::Network,
        2 => Header::Transport,
        3 => Header::Inner,
        _ => return None,
    };
    let bytes = t.be32(4)? as usize;
    let offset = u16::try_from(t.be32(3)?.checked_mul(8)?).ok()?;
    let len = u16::try_from(bytes * 8).ok()?;
    match (t.be32(1), t.be32(5)) {
        // Longer than a scalar: a part of it may still be taken.
        (Some(to), _) => p.store(to, bytes, Expr::Field(Field::Payload { base, offset, len }), false),
        (None, Some(from)) => {
            let value = p.take(from, bytes, false)?;
            p.push(Statement::Set { target: SetTarget::Payload { base, offset, len }, value });
            Some(())
        }
        (None, None) => None,
    }
}

/// What a key loads: the field, its bytes, and whether they lie in the machine's order.
type Loaded = (Expr, usize, bool);

fn meta_key(key: u32) -> Option<Loaded> {
    let (meta, bytes, host) = match key {
        0 => (Meta::Length, 4, true),
        1 => (Meta::Protocol, 2, false),
        2 => (Meta::Priority, 4, true),
        3 => (Meta::Mark, 4, true),
        4 => (Meta::Iif, 4, true),
        5 => (Meta::Oif, 4, true),
        6 => (Meta::IifName, 16, false),
        7 => (Meta::OifName, 16, false),
        8 => (Meta::IifType, 2, true),
        9 => (Meta::OifType, 2, true),
        10 => (Meta::Skuid, 4, true),
        11 => (Meta::Skgid, 4, true),
        13 => (Meta::Rtclassid, 4, true),
        14 => (Meta::Secmark, 4, true),
        15 => (Meta::NfProto, 1, false),
        16 => (Meta::L4Proto, 1, false),
        17 => (Meta::BriIifName, 16, false),
        18 => (Meta::BriOifName, 16, false),
        19 => (Meta::PktType, 1, false),
        20 => (Meta::Cpu, 4, true),
        21 => (Meta::IifGroup, 4, true),
        22 => (Meta::OifGroup, 4, true),
        23 => (Meta::Cgroup, 4, true),
        24 => (Meta::Random, 4, true),
        25 => return Some((Expr::Field(Field::Ipsec(Direction::Original)), 1, false)),
        26 => (Meta::IifKind, 16, false),
        27 => (Meta::OifKind, 16, false),
        30 => (Meta::Time, 8, true),
        31 => (Meta::Day, 1, false),
        32 => (Meta::Hour, 4, true),
        33 => (Meta::Sdif, 4, true),
        34 => (Meta::SdifName, 16, false),
        28 => return Some((Expr::Unknown("meta ibrpvid".to_owned()), 2, true)),
        29 => return Some((Expr::Unknown("meta ibrvproto".to_owned()), 2, false)),
        _ => return None,
    };
    Some((Expr::Field(Field::Meta(meta)), bytes, host))
}

/// `meta` (net/netfilter/nft_meta.c).
pub(crate) fn meta(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 4> = Table::new(data);
    let key = t.be32(2)?;
    if let Some(to) = t.be32(1) {
        let (expr, bytes, host) = meta_key(key)?;
        return p.store(to, bytes, expr, host);
    }
    let from = t.be32(3)?;
    let (target, bytes, host) = match key {
        3 => (SetTarget::Mark, 4, true),
        2 => (SetTarget::Other("meta priority".to_owned()), 4, true),
        // nft_meta_set_eval: NFT_META_NFTRACE
        12 => {
            let text = if p.iptables { "-j TRACE" } else { "meta nftrace set 1" };
            p.push(Statement::Note(text.to_owned()));
            return Some(());
        }
        14 => (SetTarget::Other("meta secmark".to_owned()), 4, true),
        19 => (SetTarget::Other("meta pkttype".to_owned()), 1, false),
        36 => (SetTarget::Other("meta broute".to_owned()), 1, false),
        _ => return None,
    };
    let value = p.take(from, bytes, host)?;
    p.push(Statement::Set { target, value });
    Some(())
}

/// `ct` (net/netfilter/nft_ct.c).
pub(crate) fn ct(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 5> = Table::new(data);
    let key = t.be32(2)?;
    if let Some(from) = t.be32(4) {
        let (target, bytes, host) = match key {
            3 => (SetTarget::CtMark, 4, true),
            4 => (SetTarget::Other("ct secmark".to_owned()), 4, true),
            13 => (SetTarget::Other("ct label".to_owned()), 16, false),
            17 => (SetTarget::Other("ct zone".to_owned()), 2, true),
            18 => (SetTarget::Other("ct event".to_owned()), 4, true),
            _ => return None,
        };
        let value = p.take(from, bytes, host)?;
        p.push(Statement::Set { target, value });
        return Some(());
    }
    let to = t.be32(1)?;
    let direction = match t.u8(3) {
        Some(0) => Some(Direction::Original),
        Some(1) => Some(Direction::Reply),
        _ => None,
    };
    let tuple = |part| direction.map(|direction| Ct::Tuple(direction, part));
    let address = if p.family == Family::Ip { 4 } else { 16 };
    let (field, bytes, host) = match key {
        0 => (Some(Ct::State), 4, true),
        1 => (Some(Ct::Direction), 1, false),
        2 => (Some(Ct::Status), 4, true),
        3 => (Some(Ct::Mark), 4, true),
        5 => (Some(Ct::Expiration), 4, true),
        6 => (Some(Ct::Helper), 16, false),
        7 => (Some(Ct::L3Proto), 1, false),
        8 => (tuple(TuplePart::Source), address, false),
        9 => (tuple(TuplePart::Destination), address, false),
        10 => (Some(Ct::Proto), 1, false),
        11 => (tuple(TuplePart::SourcePort), 2, false),
        12 => (tuple(TuplePart::DestinationPort), 2, false),
        13 => (Some(Ct::Label), 16, false),
        14 => (direction.map(Ct::Packets), 8, true),
        15 => (direction.map(Ct::Bytes), 8, true),
        16 => (direction.map(Ct::AvgPkt), 8, true),
        17 => (Some(Ct::Zone), 2, true),
        19 => (tuple(TuplePart::Source), 4, false),
        20 => (tuple(TuplePart::Destination), 4, false),
        21 => (tuple(TuplePart::Source), 16, false),
        22 => (tuple(TuplePart::Destination), 16, false),
        23 => (Some(Ct::Id), 4, true),
        _ => return None,
    };
    let expr = match (field, key) {
        (Some(field), _) => Expr::Field(Field::Ct(field)),
        // Of both directions together: what went by before is not known offline.
        (None, 14..=16) => Expr::Fork("ct packets or bytes".to_owned()),
        (None, _) => return None,
    };
    p.store(to, bytes, expr, host)
}

/// `fib` (net/netfilter/nft_fib.c).
pub(crate) fn fib(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 4> = Table::new(data);
    let (to, result, flags) = (t.be32(1)?, t.be32(2)?, t.be32(3).unwrap_or(0));
    let of = FibOf { source: flags & 1 != 0, mark: flags & 4 != 0, iif: flags & 8 != 0, oif: flags & 16 != 0 };
    let present = flags & 32 != 0;
    let (result, bytes, host) = match result {
        1 | 2 if present => (FibResult::Present, 1, false),
        1 => (FibResult::Oif, 4, true),
        2 => (FibResult::OifName, 16, false),
        3 => (FibResult::Type, 4, true),
        _ => return None,
    };
    p.store(to, bytes, Expr::Field(Field::Fib { result, of }), host)
}

/// `exthdr` (net/netfilter/nft_exthdr.c): IPv6 extension headers, TCP and other options.
pub(crate) fn exthdr(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 8> = Table::new(data);
    let space = match t.be32(6).unwrap_or(0) {
        0 => OptionSpace::Ipv6Header,
        1 => OptionSpace::TcpOption,
        2 => OptionSpace::Ipv4Option,
        3 => OptionSpace::SctpChunk,
        4 => OptionSpace::DccpOption,
        _ => return None,
    };
    let Some(to) = t.be32(1) else {
        // `tcp option maxseg size set`, `reset tcp option`: the packet's fate stays.
        p.push(Statement::Note(format!("tcp option {} changed", t.u8(2)?)));
        return Some(());
    };
    let (kind, len) = (t.u8(2)?, t.be32(4)? as usize);
    let offset = u16::try_from(t.be32(3)?).ok()?;
    let present = t.be32(5).unwrap_or(0) & 1 != 0;
    let bytes = if present { 1 } else { len };
    let field = Field::Option { space, kind, offset, len: u16::try_from(len).ok()?, present };
    p.store(to, bytes, Expr::Field(field), false)
}

/// `socket` (net/netfilter/nft_socket.c).
pub(crate) fn socket(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 4> = Table::new(data);
    let (key, bytes, host) = match t.be32(1)? {
        0 => (SocketKey::Transparent, 1, false),
        1 => (SocketKey::Mark, 4, true),
        2 => (SocketKey::Wildcard, 1, false),
        3 => (SocketKey::CgroupV2, 8, true),
        _ => return None,
    };
    p.store(t.be32(2)?, bytes, Expr::Field(Field::Socket(key)), host)
}

/// `rt` (net/netfilter/nft_rt.c): of the route that the packet has.
pub(crate) fn rt(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 3> = Table::new(data);
    let unknown = |name: &str| Expr::Unknown(format!("rt {name}"));
    let (expr, bytes, host) = match t.be32(2)? {
        0 => (Expr::Field(Field::Meta(Meta::Rtclassid)), 4, true),
        1 => (unknown("nexthop"), 4, false),
        2 => (unknown("nexthop"), 16, false),
        3 => (unknown("mtu"), 2, true),
        4 => (Expr::Field(Field::Ipsec(Direction::Reply)), 1, false),
        _ => return None,
    };
    p.store(t.be32(1)?, bytes, expr, host)
}

/// Values that cannot be known offline: `hash`, `numgen`, `osf`.
pub(crate) fn fork(p: &mut Program<'_>, called: &[u8], data: &[u8]) -> Done {
    let t: Table<'_, 8> = Table::new(data);
    let (register, text, bytes) = match called {
        b"hash" if t.be32(7) == Some(1) => (2, "symhash", 4),
        b"hash" => (2, "jhash", 4),
        b"numgen" => (1, if t.be32(3) == Some(1) { "numgen random" } else { "numgen inc" }, 4),
        _ => (1, "osf name", 16),
    };
    p.store(t.be32(register)?, bytes, Expr::Fork(text.to_owned()), bytes == 4)
}

/// Values that are not understood, of a length that does not matter.
pub(crate) fn unknown(p: &mut Program<'_>, called: &[u8], data: &[u8]) -> Done {
    let t: Table<'_, 5> = Table::new(data);
    let text = String::from_utf8_lossy(called).into_owned();
    let (register, bytes) = match called {
        // NFTA_XFRM_DREG, NFTA_XFRM_KEY: addresses of IPv6 are long.
        b"xfrm" => (1, if matches!(t.be32(2), Some(2 | 4)) { 16 } else { 4 }),
        // NFTA_TUNNEL_KEY, NFTA_TUNNEL_DREG: path is a flag, id a number.
        _ => (2, if t.be32(1) == Some(0) { 1 } else { 4 }),
    };
    p.store(t.be32(register)?, bytes, Expr::Unknown(text), false)
}

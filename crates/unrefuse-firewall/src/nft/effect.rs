//! Expressions that do something: translate, reject, limit, log, add to sets; and x_tables' matches and targets.

use super::attr::{Attrs, Table, be32, name, until_nul};
use super::program::{Done, Program};
use crate::model::{Cond, Expr, Family, Nat, NatKind, Reject, Statement};
use crate::xt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use unrefuse_facts::text::from_bytes;

/// `NF_NAT_RANGE_NETMAP` (include/uapi/linux/netfilter/nf_nat.h).
const NETMAP: u32 = 1 << 6;

/// An expression that loads or compares nothing.
pub(crate) fn statement(p: &mut Program<'_>, called: &[u8], data: &[u8]) -> Done {
    match called {
        b"nat" => nat(p, data),
        b"redir" => ports(p, data, NatKind::Redirect, 1),
        b"masq" => ports(p, data, NatKind::Masquerade, 2),
        b"reject" => reject(p, data),
        b"tproxy" => tproxy(p, data),
        b"notrack" => then(p, Statement::Notrack),
        b"log" => log(p, data),
        b"last" => Some(()),
        b"limit" => limit(p, data),
        b"quota" => fork(p, "quota"),
        b"connlimit" => {
            let t: Table<'_, 3> = Table::new(data);
            let over = if t.be32(2).unwrap_or(0) & 1 != 0 { "over " } else { "" };
            fork(p, &format!("ct count {over}{}", t.be32(1)?))
        }
        b"queue" => {
            let t: Table<'_, 5> = Table::new(data);
            let number = t.get(1).and_then(|n| Some(u16::from_be_bytes(n.get(..2)?.try_into().ok()?)));
            then(p, Statement::Fork(number.map_or_else(|| "queue".to_owned(), |n| format!("queue to {n}"))))
        }
        b"synproxy" => then(p, Statement::Fork("synproxy".to_owned())),
        b"objref" => objref(p, data),
        b"dynset" => dynset(p, data),
        b"flow_offload" => {
            let t: Table<'_, 2> = Table::new(data);
            then(p, Statement::Note(format!("flow add @{}", t.name(1)?)))
        }
        b"dup" => then(p, Statement::Note("dup".to_owned())),
        _ => None,
    }
}

fn then(p: &mut Program<'_>, statement: Statement) -> Done {
    p.push(statement);
    Some(())
}

fn fork(p: &mut Program<'_>, text: &str) -> Done {
    p.test(Cond::Fork(text.to_owned()));
    Some(())
}

/// `nat` (net/netfilter/nft_nat.c).
fn nat(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 8> = Table::new(data);
    let kind = match t.be32(1)? {
        0 => NatKind::Snat,
        1 => NatKind::Dnat,
        _ => return None,
    };
    let family = match t.be32(2)? {
        2 => Some((Family::Ip, 4)),
        10 => Some((Family::Ip6, 16)),
        // Ports only, of either family.
        1 => None,
        _ => return None,
    };
    let address = match (t.be32(3), family) {
        (Some(first), Some((_, len))) => Some(pair(p, first, t.be32(4), len)?),
        (Some(_), None) => return None,
        (None, _) => None,
    };
    let port = match t.be32(5) {
        Some(first) => Some(pair(p, first, t.be32(6), 2)?),
        None => None,
    };
    let prefix = if t.be32(7).unwrap_or(0) & NETMAP != 0 { Some(netmap(address.as_ref()?, family?.1)?) } else { None };
    let family = family.map(|(family, _)| family).filter(|_| p.family == Family::Inet);
    then(p, Statement::Nat(Box::new(Nat { kind, family, address, port, prefix })))
}

/// The length of the prefix that a range of addresses is.
fn netmap((from, to): &(Expr, Expr), bytes: usize) -> Option<u8> {
    let (Expr::Const(from), Expr::Const(to)) = (from, to) else { return None };
    let host = 128 - (from ^ to).leading_zeros();
    u8::try_from((bytes as u32 * 8).checked_sub(host)?).ok()
}

/// First and last value; without a second register both are the same.
fn pair(p: &mut Program<'_>, first: u32, last: Option<u32>, len: usize) -> Option<(Expr, Expr)> {
    let from = p.take(first, len, false)?;
    let to = match last {
        Some(register) if register != first => p.take(register, len, false)?,
        _ => from.clone(),
    };
    Some((from, to))
}

/// `redir` and `masq`: registers for ports from attribute `first` on (net/netfilter/nft_redir.c, nft_masq.c).
fn ports(p: &mut Program<'_>, data: &[u8], kind: NatKind, first: usize) -> Done {
    let t: Table<'_, 4> = Table::new(data);
    let port = match t.be32(first) {
        Some(register) => Some(pair(p, register, t.be32(first + 1), 2)?),
        None => None,
    };
    then(p, Statement::Nat(Box::new(Nat { kind, family: None, address: None, port, prefix: None })))
}

/// `reject` (net/ipv4/netfilter/nft_reject_ipv4.c, net/netfilter/nft_reject_inet.c, …).
fn reject(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 3> = Table::new(data);
    let code = t.u8(2).unwrap_or(0);
    let how = match (t.be32(1)?, p.packet_family) {
        (0, Some(Family::Ip)) => Reject::Icmp(3, code),
        (0, Some(Family::Ip6)) => Reject::Icmp6(1, code),
        (1, _) => Reject::TcpReset,
        (2, _) => Reject::Icmpx(code),
        _ => return None,
    };
    then(p, Statement::Reject(how))
}

/// `tproxy` (net/netfilter/nft_tproxy.c).
fn tproxy(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 4> = Table::new(data);
    let v6 = t.be32(1)? == 10;
    let address = match t.be32(2) {
        Some(register) => Some(address(p.take(register, if v6 { 16 } else { 4 }, false)?, v6)?),
        None => None,
    };
    let port = match t.be32(3) {
        Some(register) => match p.take(register, 2, false)? {
            Expr::Const(port) => Some(u16::try_from(port).ok()?),
            _ => return None,
        },
        None => None,
    };
    then(p, Statement::Tproxy { address, port, mark: None })
}

fn address(expr: Expr, v6: bool) -> Option<IpAddr> {
    let Expr::Const(bits) = expr else { return None };
    Some(if v6 { Ipv6Addr::from_bits(bits).into() } else { Ipv4Addr::from_bits(u32::try_from(bits).ok()?).into() })
}

/// `log` (net/netfilter/nft_log.c).
fn log(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 7> = Table::new(data);
    if p.iptables {
        let prefix = t.name(2).map_or_else(String::new, |prefix| format!(" --nflog-prefix {}", xt::quoted(&prefix)));
        let group = t.get(1).and_then(|n| Some(u16::from_be_bytes(n.get(..2)?.try_into().ok()?))).unwrap_or(0);
        let group = if group == 0 { String::new() } else { format!(" --nflog-group {group}") };
        return then(p, Statement::Note(format!("-j NFLOG{prefix}{group}")));
    }
    let mut text = "log".to_owned();
    if let Some(prefix) = t.name(2) {
        text += &format!(" prefix \"{prefix}\"");
    }
    if let Some(group) = t.get(1).and_then(|n| Some(u16::from_be_bytes(n.get(..2)?.try_into().ok()?))) {
        text += &format!(" group {group}");
    }
    then(p, Statement::Note(text))
}

/// `limit` (net/netfilter/nft_limit.c).
fn limit(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 6> = Table::new(data);
    let over = if t.be32(5).unwrap_or(0) & 1 != 0 { "over " } else { "" };
    let unit = match t.be64(2)? {
        1 => "second",
        60 => "minute",
        3600 => "hour",
        86_400 => "day",
        604_800 => "week",
        _ => "period",
    };
    if p.iptables {
        // iptables' own words; five is its burst without the option.
        let (short, burst) = (unit.get(..3).unwrap_or(unit), t.be32(3).unwrap_or(0));
        let unit = if unit == "hour" || unit == "week" { unit } else { short };
        let more = if burst == 5 { String::new() } else { format!(" --limit-burst {burst}") };
        return fork(p, &format!("limit --limit {}/{unit}{more}", t.be64(1)?));
    }
    let what = if t.be32(4) == Some(1) { " bytes" } else { "" };
    fork(p, &format!("limit rate {over}{}{what}/{unit}", t.be64(1)?))
}

/// `objref` (net/netfilter/nft_objref.c): a named object, or one chosen by a map.
fn objref(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 6> = Table::new(data);
    let (kind, object) = match t.be32(1) {
        Some(kind) => (kind, t.name(2)?),
        None => {
            let set = t.name(4)?;
            let kind = p.sets.heads.get(&set)?.object()?;
            let key = p.key(t.be32(3)?, &set)?;
            // A key without an object ends the rule (nft_objref_map_eval).
            p.test(Cond::InSet { key, set: set.clone(), negated: false });
            (kind, set)
        }
    };
    match kind {
        1 => Some(()),
        2 => fork(p, &format!("quota {object}")),
        4 => fork(p, &format!("limit {object}")),
        5 => fork(p, &format!("ct count {object}")),
        3 => then(p, Statement::Note(format!("ct helper set {object}"))),
        7 => then(p, Statement::Note(format!("ct timeout set {object}"))),
        8 => then(p, Statement::Note(format!("meta secmark set {object}"))),
        9 => then(p, Statement::Note(format!("ct expectation set {object}"))),
        10 => then(p, Statement::Fork(format!("synproxy {object}"))),
        _ => None,
    }
}

/// `dynset` (net/netfilter/nft_dynset.c): goes on where the element could be added, and ends the rule where not.
fn dynset(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 11> = Table::new(data);
    let set = t.name(1)?;
    let verb = match t.be32(3)? {
        0 => "add",
        1 => "update",
        2 => "delete",
        _ => return None,
    };
    // What belongs to the element decides with it: a rate limit for each address.
    let within: Vec<&[u8]> = t
        .get(7)
        .into_iter()
        .chain(t.get(10).into_iter().flat_map(|list| Attrs(list).map(|(_, expression)| expression)))
        .filter_map(|expression| Attrs(expression).find(|(kind, _)| *kind == 1).map(|(_, value)| until_nul(value)))
        .collect();
    let decides = within.iter().any(|name| !matches!(*name, b"counter" | b"last"));
    let key = p.key(t.be32(4)?, &set)?;
    let key = super::text::key(&key, p.packet_family, p.protocol);
    let text = match within.first() {
        Some(first) => format!("{verb} @{set} {{ {key} {} }}", from_bytes(first)),
        None => format!("{verb} @{set} {{ {key} }}"),
    };
    if decides || verb == "delete" || t.be32(9).unwrap_or(0) & 1 != 0 {
        fork(p, &text)
    } else {
        then(p, Statement::Note(text))
    }
}

/// Name, revision and bytes of an x_tables extension (`NFTA_MATCH_*`, `NFTA_TARGET_*`, net/netfilter/nft_compat.c).
fn extension(data: &[u8]) -> Option<(String, u8, &[u8])> {
    let t: Table<'_, 4> = Table::new(data);
    let revision = t.get(2).and_then(be32).unwrap_or(0);
    Some((name(t.get(1)?), u8::try_from(revision).ok()?, t.get(3)?))
}

/// `match`.
pub(crate) fn xt_match(p: &mut Program<'_>, data: &[u8]) -> Done {
    let (name, revision, info) = extension(data)?;
    let found = xt::decode_match(&p.place(), &name, revision, info);
    p.add_xt(found);
    Some(())
}

/// `target`.
pub(crate) fn xt_target(p: &mut Program<'_>, data: &[u8]) -> Done {
    let (name, revision, info) = extension(data)?;
    let found = xt::decode_target(&p.place(), &name, revision, info);
    p.add_xt(found);
    Some(())
}

impl<'a> Program<'a> {
    fn place(&self) -> xt::Place<'a> {
        xt::Place { family: self.family, protocol: self.protocol, chain: self.chain, ipsets: &self.context.ipsets }
    }

    fn add_xt(&mut self, found: xt::Decoded) {
        if let Some(comment) = found.comment {
            self.comment = Some(match self.comment.take() {
                Some(before) => format!("{before} / {comment}"),
                None => comment,
            });
        }
        self.xt_text.push((self.statements.len(), found.statements.len(), found.text));
        self.statements.extend(found.statements);
    }
}

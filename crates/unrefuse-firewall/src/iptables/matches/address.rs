//! Addresses and devices: addrtype (net/netfilter/xt_addrtype.c), iprange (xt_iprange.c), mac (xt_mac.c), pkttype
//! (xt_pkttype.c), physdev (xt_physdev.c), devgroup (xt_devgroup.c), rpfilter (net/ipv4/netfilter/ipt_rpfilter.c).

use super::super::build::whole;
use super::super::cond::{all, any, any_bit, bits, compare, equal, lenient, meta, not, payload, turned, within};
use super::super::options::{Case, Given, Match, flag, has};
use super::super::values;
use super::{each, inv};
use crate::model::{Cond, Direction, Expr, Family, FibOf, FibResult, Field, Header, Meta, Op, Scalar};

pub(super) const ALL: &[Match] = &[
    Match {
        name: "addrtype",
        options: &[inv("src-type"), inv("dst-type"), flag("limit-iface-in"), flag("limit-iface-out")],
        read: addrtype,
    },
    Match { name: "iprange", options: &[inv("src-range"), inv("dst-range")], read: iprange },
    Match { name: "mac", options: &[inv("mac-source")], read: mac },
    Match { name: "pkttype", options: &[inv("pkt-type")], read: pkttype },
    Match {
        name: "physdev",
        options: &[
            inv("physdev-in"),
            inv("physdev-out"),
            flag("physdev-is-in").inv(),
            flag("physdev-is-out").inv(),
            flag("physdev-is-bridged").inv(),
        ],
        read: physdev,
    },
    Match { name: "devgroup", options: &[inv("src-group"), inv("dst-group")], read: devgroup },
    Match {
        name: "rpfilter",
        options: &[flag("loose"), flag("validmark"), flag("accept-local"), flag("invert")],
        read: rpfilter,
    },
];

/// Bits `1 << RTN_*` (linux/netfilter/xt_addrtype.h).
pub(crate) const ADDRESS_TYPES: [&str; 12] = [
    "UNSPEC",
    "UNICAST",
    "LOCAL",
    "BROADCAST",
    "ANYCAST",
    "MULTICAST",
    "BLACKHOLE",
    "UNREACHABLE",
    "PROHIBIT",
    "THROW",
    "NAT",
    "XRESOLVE",
];
const MULTICAST: Scalar = 1 << 5;
const UNICAST: Scalar = 1 << 1;
const UNSPEC: Scalar = 1;

fn addrtype(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    let limit = match (has(given, "limit-iface-in"), has(given, "limit-iface-out")) {
        (true, true) => return Err("two limits".into()),
        (true, false) => Some(Direction::Original),
        (false, true) => Some(Direction::Reply),
        (false, false) => None,
    };
    let asked = given.iter().filter(|g| g.is.ends_with("-type"));
    let mut tests = Vec::new();
    for g in asked {
        let mut mask = 0;
        for name in g.value().split(',') {
            let bit = ADDRESS_TYPES.iter().position(|t| t.len() == name.len() && t.eq_ignore_ascii_case(name));
            mask |= 1 << bit.ok_or_else(|| format!("not an address type: {name}"))?;
        }
        let field = || Expr::Field(Field::AddrType { source: g.is == "src-type", limit });
        let test = if case.v6() {
            // `match_type6`: multicast, unicast and unspecified are asked of the address itself and must all hold; the
            // others are one question to the routing tables.
            let mut parts = Vec::new();
            for bit in [MULTICAST, UNICAST, UNSPEC] {
                if mask & bit != 0 {
                    parts.push(any_bit(field(), bit, false));
                }
            }
            let routed = mask & !(MULTICAST | UNICAST | UNSPEC);
            if routed != 0 {
                parts.push(any_bit(field(), routed, false));
            }
            whole(parts, g.negated)
        } else {
            any_bit(field(), mask, g.negated)
        };
        tests.push(test);
    }
    if tests.is_empty() { Err("no type".into()) } else { Ok(tests) }
}

fn iprange(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    let (source, destination) = if case.v6() { (64, 192) } else { (96, 128) };
    each(given, |g| {
        let offset = if g.is == "src-range" { source } else { destination };
        let range = values::address_range(g.value(), case.family)?;
        Ok(within(payload(Header::Network, offset, values::width(case.family).into()), range, g.negated))
    })
}

/// Ethernet devices only: `skb->dev->type` must be `ARPHRD_ETHER`, turned round or not.
fn mac(_: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    let mut tests = vec![equal(meta(Meta::IifType), 1, false)];
    for g in given {
        tests.push(equal(payload(Header::Link, 48, 48), values::mac(g.value())?, g.negated));
    }
    if given.is_empty() { Err("no --mac-source".into()) } else { Ok(tests) }
}

fn pkttype(_: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    if given.is_empty() {
        return Err("no --pkt-type".into());
    }
    each(given, |g| {
        let kind = match g.value().to_ascii_lowercase().as_str() {
            "unicast" | "host" => 0,
            "broadcast" | "bcast" => 1,
            "multicast" | "mcast" => 2,
            "otherhost" => 3,
            other => return Err(format!("not a packet type: {other}")),
        };
        Ok(equal(meta(Meta::PktType), kind, g.negated))
    })
}

/// A packet that no bridge has seen passes each test that is turned round, and fails the others. With
/// `--physdev-out`, a bridged packet without an outgoing port fails in either case.
fn physdev(_: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    if given.is_empty() {
        return Err("no option".into());
    }
    each(given, |g| {
        let field = |of: Field| Expr::Field(of);
        let test = match g.is {
            "physdev-in" => name(field(Field::PhysIn), g.value())?,
            "physdev-out" => {
                let port = name(field(Field::PhysOut), g.value())?;
                if g.negated {
                    let no_bridge = not(compare(field(Field::PhysIn), Op::Ne, 0));
                    let other = Cond::All(vec![compare(field(Field::PhysOut), Op::Ne, 0), not(port)]);
                    return Ok(any(vec![no_bridge, lenient(other)]));
                }
                port
            }
            "physdev-is-in" => compare(field(Field::PhysIn), Op::Ne, 0),
            "physdev-is-out" => compare(field(Field::PhysOut), Op::Ne, 0),
            _ => equal(field(Field::PhysBridged), 1, false),
        };
        Ok(turned(test, g.negated))
    })
}

fn name(field: Expr, text: &str) -> Result<Cond, String> {
    Ok(match text.strip_suffix('+') {
        Some("") => compare(field, Op::Ne, 0),
        Some(begin) => {
            let value = values::name_bytes(begin)?;
            equal(bits(field, values::prefix_mask((begin.len() * 8) as u8, 128)), value, false)
        }
        None => equal(field, values::name_bytes(text)?, false),
    })
}

fn devgroup(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    each(given, |g| {
        let key = if g.is == "src-group" { Meta::IifGroup } else { Meta::OifGroup };
        match values::marked(g.value()) {
            Ok((group, mask)) => Ok(equal(bits(meta(key), mask.unwrap_or(u32::MAX).into()), group.into(), g.negated)),
            // A name of /etc/iproute2/group.
            Err(_) => Ok(Cond::Unknown(format!("-m {}", case.text))),
        }
    })
}

/// The route back to the source goes out by the device that the packet came in by (`--loose`: by any).
fn rpfilter(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    let of = FibOf { source: true, mark: has(given, "validmark"), iif: !has(given, "loose"), oif: false };
    let fib = |result, of| Expr::Field(Field::Fib { result, of });
    let mut back = vec![compare(fib(FibResult::Oif, of), Op::Ne, 0)];
    // rpfilter_lookup_reverse: a broadcast address has a route, but none that counts.
    if case.family == Family::Ip {
        let broadcast = equal(fib(FibResult::Type, FibOf { iif: false, mark: false, ..of }), 3, false);
        let of_subnet = equal(payload(Header::Network, 96, 32), u32::MAX.into(), true);
        back.push(not(Cond::All(vec![broadcast, of_subnet])));
    }
    let mut ways = vec![all(back)];
    if has(given, "accept-local") {
        // RTN_LOCAL; IPv4 wants the address to be that device's where it is not loose.
        let local = equal(fib(FibResult::Type, FibOf { iif: false, ..of }), 2, false);
        let strict = case.family == Family::Ip && of.iif;
        ways.push(if strict { Cond::All(vec![local, Cond::Fork(format!("-m {}", case.text))]) } else { local });
    }
    let holds = any(ways.into_iter().map(lenient).collect());
    Ok(vec![if has(given, "invert") { not(holds) } else { holds }])
}

//! DNAT, SNAT, MASQUERADE, REDIRECT (net/netfilter/xt_nat.c, xt_MASQUERADE.c, xt_REDIRECT.c), NETMAP (xt_NETMAP.c) and
//! TPROXY (xt_TPROXY.c).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::options::{Case, Given, Opt, Target, flag, has, one, value};
use super::super::values;
use crate::model::{Expr, Family, Nat, NatKind, Statement};

const TO_PORTS: &[Opt] = &[one("to-ports"), flag("random"), flag("random-fully"), flag("persistent")];

pub(super) const ALL: &[Target] = &[
    Target {
        name: "DNAT",
        options: &[one("to-destination"), flag("random"), flag("persistent"), flag("random-fully")],
        read: |case, given| to_address(case, given, "to-destination", NatKind::Dnat),
    },
    Target {
        name: "SNAT",
        options: &[one("to-source"), flag("random"), flag("random-fully"), flag("persistent")],
        read: |case, given| to_address(case, given, "to-source", NatKind::Snat),
    },
    Target { name: "MASQUERADE", options: TO_PORTS, read: |_, given| to_ports(given, NatKind::Masquerade) },
    Target { name: "REDIRECT", options: TO_PORTS, read: |_, given| to_ports(given, NatKind::Redirect) },
    Target { name: "NETMAP", options: &[one("to")], read: netmap },
    Target { name: "TPROXY", options: &[one("on-port"), one("on-ip"), one("tproxy-mark")], read: tproxy },
];

fn constant<T: Into<u128>>((from, to): (T, T)) -> (Expr, Expr) {
    (Expr::Const(from.into()), Expr::Const(to.into()))
}

fn nat(kind: NatKind) -> Nat {
    Nat { kind, family: None, address: None, port: None, prefix: None }
}

fn to_address(case: &Case<'_>, given: &[Given<'_>], option: &str, kind: NatKind) -> Result<Vec<Statement>, String> {
    // Since Linux 2.6.11 there is one range only.
    if given.iter().filter(|g| g.is == option).count() > 1 {
        return Err(format!("--{option} twice"));
    }
    let text = value(given, option).ok_or_else(|| format!("no --{option}"))?;
    let (addresses, ports) = split(text, case.v6())?;
    let address = match addresses {
        "" => None,
        text => Some(constant(values::address_range(&text.replace(['[', ']'], ""), case.family)?)),
    };
    let port = ports.map(port_range).transpose()?;
    if address.is_none() && port.is_none() {
        return Err("neither address nor port".into());
    }
    Ok(vec![Statement::Nat(Box::new(Nat { address, port: port.map(constant), ..nat(kind) }))])
}

/// Addresses and ports of `10.0.0.1-10.0.0.9:80-90`, `:80`, `[2001:db8::1]:80`, `2001:db8::1-2001:db8::9`.
fn split(text: &str, v6: bool) -> Result<(&str, Option<&str>), String> {
    let only_ports = text.starts_with(':') && !text.starts_with("::");
    if v6 && !text.starts_with('[') && !only_ports {
        return Ok((text, None));
    }
    let colon = match text.rfind(']') {
        Some(end) if end + 1 == text.len() => None,
        Some(end) if text.as_bytes()[end + 1] == b':' => Some(end + 1),
        Some(_) => return Err(format!("not an address: {text}")),
        None => text.find(':'),
    };
    Ok(colon.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..]))))
}

/// `80`, `80-90`. A base (`80-90/8000`) moves each port by as much, which has no name here.
fn port_range(text: &str) -> Result<(u16, u16), String> {
    if text.contains('/') {
        return Err(format!("a range of ports with a base: {text}"));
    }
    values::range(text, '-', u16::MAX, values::port)
}

fn to_ports(given: &[Given<'_>], kind: NatKind) -> Result<Vec<Statement>, String> {
    let port = value(given, "to-ports").map(port_range).transpose()?;
    Ok(vec![Statement::Nat(Box::new(Nat { port: port.map(constant), ..nat(kind) }))])
}

/// In PREROUTING and OUTPUT the destination's prefix is replaced, in POSTROUTING and INPUT the source's. A user's chain does
/// not say which: the hook by which it is reached does, and the judge goes by that.
fn netmap(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Statement>, String> {
    let (address, mask) = values::network(value(given, "to").ok_or("no --to")?, case.family)?;
    let full = values::width(case.family);
    let length = mask.count_ones() as u8;
    if mask != values::prefix_mask(length, full) {
        return Err("a mask that is no prefix".into());
    }
    let kind = match case.chain {
        "POSTROUTING" | "INPUT" => NatKind::Snat,
        _ => NatKind::Dnat,
    };
    let address = Some(constant((address, address)));
    Ok(vec![Statement::Nat(Box::new(Nat { address, prefix: Some(length), ..nat(kind) }))])
}

fn tproxy(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Statement>, String> {
    if !has(given, "on-port") {
        return Err("no --on-port".into());
    }
    // Address `::` and port 0 are "the packet's own".
    let port = value(given, "on-port").map(values::port).transpose()?.filter(|p| *p != 0);
    let address = value(given, "on-ip").map(|text| values::address(text, case.family)).transpose()?;
    let address = address.filter(|a| *a != 0).map(|a| match case.family {
        Family::Ip6 => IpAddr::V6(Ipv6Addr::from_bits(a)),
        _ => IpAddr::V4(Ipv4Addr::from_bits(a as u32)),
    });
    let mark = value(given, "tproxy-mark").map(values::marked).transpose()?;
    let mark = mark.map(|(value, mask)| (value, mask.unwrap_or(u32::MAX))).filter(|mark| *mark != (0, 0));
    Ok(vec![Statement::Tproxy { address, port, mark }])
}

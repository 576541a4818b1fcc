//! Fields of the IP header and TCP options: ttl (net/netfilter/xt_hl.c), hl, length (xt_length.c), dscp and tos
//! (xt_dscp.c), ecn (xt_ecn.c), tcpmss (xt_tcpmss.c); and comment (xt_comment.c), which always holds.

use super::super::cond::{bits, compare, equal, payload, turned, within};
use super::super::options::{Case, Given, Match, flag, one};
use super::super::values;
use super::{each, inv, ports};
use crate::model::{Cond, Expr, Field, Header, Op, OptionSpace};

pub(super) const ALL: &[Match] = &[
    Match { name: "comment", options: &[one("comment")], read: |_, _| Ok(Vec::new()) },
    // xtables-addons' and the kernel's counters that always hold (net/netfilter/xt_nfacct.c).
    Match { name: "nfacct", options: &[one("nfacct-name")], read: |_, _| Ok(Vec::new()) },
    Match {
        name: "ttl",
        options: &[inv("ttl-eq"), inv("ttl").of("ttl-eq"), one("ttl-lt"), one("ttl-gt")],
        read: hop_limit,
    },
    Match { name: "hl", options: &[inv("hl-eq"), inv("hl").of("hl-eq"), one("hl-lt"), one("hl-gt")], read: hop_limit },
    Match { name: "length", options: &[inv("length")], read: length },
    Match { name: "dscp", options: &[inv("dscp"), inv("dscp-class")], read: dscp },
    Match { name: "tos", options: &[inv("tos")], read: tos },
    Match {
        name: "ecn",
        options: &[flag("ecn-tcp-cwr").inv(), flag("ecn-tcp-ece").inv(), inv("ecn-ip-ect")],
        read: ecn,
    },
    Match { name: "tcpmss", options: &[inv("mss")], read: tcpmss },
];

fn hop_limit(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    if given.is_empty() {
        return Err("no value".into());
    }
    each(given, |g| {
        let value: u8 = values::number_to(g.value())?;
        let op = match (&g.is[g.is.len() - 2..], g.negated) {
            ("lt", _) => Op::Lt,
            ("gt", _) => Op::Gt,
            (_, false) => Op::Eq,
            (_, true) => Op::Ne,
        };
        Ok(compare(hop_limit_field(case.v6()), op, value.into()))
    })
}

pub(in crate::iptables) fn hop_limit_field(v6: bool) -> Expr {
    payload(Header::Network, if v6 { 56 } else { 64 }, 8)
}

/// The header's total length; IPv6 counts without its own 40 bytes.
fn length(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    if given.is_empty() {
        return Err("no --length".into());
    }
    each(given, |g| {
        let (from, to) = values::range::<u16>(g.value(), ':', u16::MAX, values::number_to)?;
        if !case.v6() {
            return Ok(within(payload(Header::Network, 16, 16), (from, to), g.negated));
        }
        Ok(match to.checked_sub(40) {
            None => Cond::Const(g.negated),
            // 65535 is open upwards: a payload of more than 65495 bytes is longer, too.
            Some(to) => within(payload(Header::Network, 32, 16), (from.saturating_sub(40), to), g.negated),
        })
    })
}

/// First bit of the TOS byte or traffic class.
pub(in crate::iptables) const fn tos_offset(v6: bool) -> u16 {
    if v6 { 4 } else { 8 }
}

fn dscp(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    if given.is_empty() {
        return Err("no value".into());
    }
    each(given, |g| {
        let value = if g.is == "dscp" { dscp_value(g.value())? } else { dscp_class(g.value())? };
        Ok(equal(payload(Header::Network, tos_offset(case.v6()), 6), value.into(), g.negated))
    })
}

pub(in crate::iptables) fn dscp_value(text: &str) -> Result<u8, String> {
    values::number_to::<u8>(text).and_then(|n| if n < 64 { Ok(n) } else { Err(format!("not a DSCP: {text}")) })
}

/// Names of include/xtables' dscp_helper.c.
pub(in crate::iptables) fn dscp_class(name: &str) -> Result<u8, String> {
    let upper = name.to_ascii_uppercase();
    let digits: Vec<u8> = upper.bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect();
    match (upper.trim_end_matches(|c: char| c.is_ascii_digit()), digits.as_slice()) {
        ("EF", []) => Ok(46),
        ("BE", []) => Ok(0),
        ("CS", [class @ 0..=7]) => Ok(class * 8),
        ("AF", [class @ 1..=4, drop @ 1..=3]) => Ok(class * 8 + drop * 2),
        _ => Err(format!("not a DSCP class: {name}")),
    }
}

fn tos(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    if given.is_empty() {
        return Err("no --tos".into());
    }
    each(given, |g| {
        let (value, mask) = tos_value(g.value())?;
        Ok(equal(bits(payload(Header::Network, tos_offset(case.v6()), 8), mask.into()), value.into(), g.negated))
    })
}

/// `0x10/0x3f`, or a name, which leaves the two ECN bits alone (libxtables, tos_values.c).
pub(in crate::iptables) fn tos_value(text: &str) -> Result<(u8, u8), String> {
    let named = match text.to_ascii_lowercase().as_str() {
        "minimize-delay" => Some(0x10),
        "maximize-throughput" => Some(0x08),
        "maximize-reliability" => Some(0x04),
        "minimize-cost" => Some(0x02),
        "normal-service" => Some(0),
        _ => None,
    };
    if let Some(value) = named {
        return Ok((value, 0x3f));
    }
    match text.split_once('/') {
        Some((value, mask)) => Ok((values::number_to(value)?, values::number_to(mask)?)),
        None => Ok((values::number_to(text)?, 0xff)),
    }
}

fn ecn(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    if given.is_empty() {
        return Err("no option".into());
    }
    each(given, |g| match g.is {
        "ecn-ip-ect" => {
            let value: u8 = values::number_to(g.value())?;
            Ok(equal(payload(Header::Network, tos_offset(case.v6()) + 6, 2), value.into(), g.negated))
        }
        is => {
            case.needs_protocol(&[6])?;
            Ok(ports::tcp_flag(if is == "ecn-tcp-cwr" { 0x80 } else { 0x40 }, g.negated))
        }
    })
}

/// A packet without the option passes where it is turned round (`tcpmss_mt`).
fn tcpmss(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    case.needs_protocol(&[6])?;
    if given.is_empty() {
        return Err("no --mss".into());
    }
    each(given, |g| {
        let range = values::range::<u16>(g.value(), ':', u16::MAX, values::number_to)?;
        let mss = Field::Option { space: OptionSpace::TcpOption, kind: 2, offset: 2, len: 2, present: false };
        Ok(turned(within(Expr::Field(mss), range, false), g.negated))
    })
}

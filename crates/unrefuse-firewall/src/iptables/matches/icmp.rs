//! icmp (`icmp_match`, net/netfilter/xt_tcpudp.c, formerly ip_tables.c) and icmp6 (`icmp6_match`).

use super::super::cond::{any, equal, lenient, payload, within};
use super::super::options::{Case, Given, Match};
use super::super::{names, values};
use super::inv;
use crate::model::{Cond, Header};

pub(super) const ALL: &[Match] = &[
    Match { name: "icmp", options: &[inv("icmp-type")], read },
    Match { name: "icmp6", options: &[inv("icmpv6-type"), inv("icmp6-type").of("icmpv6-type")], read },
];

fn read(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    case.needs_protocol(&[if case.v6() { 58 } else { 1 }])?;
    let (kind, low, high, negated) = match given {
        [] if case.v6() => return Err("no --icmpv6-type".into()),
        // libipt_icmp starts with "any".
        [] => (255, 0, 255, false),
        [one] => {
            let (kind, low, high) = type_code(one.value(), case)?;
            (kind, low, high, one.negated)
        }
        _ => return Err("two types".into()),
    };
    let field = |offset| payload(Header::Transport, offset, 8);
    // Type 255 is "any" for ICMP, a number for ICMPv6.
    if kind == 255 && !case.v6() {
        return Ok(vec![if negated { Cond::Const(false) } else { within(field(0), (0u8, 255), false) }]);
    }
    let kind_test = equal(field(0), kind.into(), negated);
    let code = (low, high);
    Ok(match (code == (0, 255), negated) {
        (true, _) => vec![kind_test],
        (false, false) => vec![kind_test, within(field(8), code, false)],
        (false, true) => vec![any(vec![lenient(kind_test), lenient(within(field(8), code, true))])],
    })
}

/// `echo-request`, `8`, `3/4`.
fn type_code(text: &str, case: &Case<'_>) -> Result<(u8, u8, u8), String> {
    if let Some(found) = names::icmp(text, case.family) {
        return Ok(found);
    }
    match text.split_once('/') {
        Some((kind, code)) => {
            let code = values::number_to(code)?;
            Ok((values::number_to(kind)?, code, code))
        }
        None => Ok((values::number_to(text)?, 0, 255)),
    }
}

//! tcp and udp (net/netfilter/xt_tcpudp.c), multiport (xt_multiport.c), sctp (xt_sctp.c), dccp (xt_dccp.c): none of them
//! holds for a fragment without the transport header, turned round or not.

use super::super::cond::{all, any, any_bit, bits, equal, payload, within};
use super::super::options::{Case, Given, Match, Opt, flag};
use super::super::values;
use super::{each, inv};
use crate::model::{Cond, Expr, Field, Header, OptionSpace};

const PORTS: [Opt; 4] =
    [inv("sport"), inv("source-port").of("sport"), inv("dport"), inv("destination-port").of("dport")];

const TCP: &[Opt] = &[
    PORTS[0],
    PORTS[1],
    PORTS[2],
    PORTS[3],
    inv("tcp-flags").args(super::super::options::Args::Two),
    flag("syn").inv(),
    inv("tcp-option"),
];

pub(super) const ALL: &[Match] = &[
    Match { name: "tcp", options: TCP, read: tcp },
    Match { name: "udp", options: &PORTS, read: |case, given| ports_only(case, given, &[17, 136]) },
    Match { name: "udplite", options: &PORTS, read: |case, given| ports_only(case, given, &[136]) },
    Match {
        name: "sctp",
        options: &[PORTS[0], PORTS[1], PORTS[2], PORTS[3], inv("chunk-types").args(super::super::options::Args::Two)],
        read: sctp,
    },
    Match {
        name: "dccp",
        options: &[PORTS[0], PORTS[1], PORTS[2], PORTS[3], inv("dccp-types"), inv("dccp-option")],
        read: dccp,
    },
    Match {
        name: "multiport",
        options: &[
            inv("sports"),
            inv("source-ports").of("sports"),
            inv("dports"),
            inv("destination-ports").of("dports"),
            inv("ports"),
        ],
        read: multiport,
    },
];

pub(super) fn source_port() -> Expr {
    payload(Header::Transport, 0, 16)
}

pub(super) fn destination_port() -> Expr {
    payload(Header::Transport, 16, 16)
}

/// Tests of `--sport` and `--dport`, or `None` for another option.
fn port(given: &Given<'_>) -> Option<Result<Cond, String>> {
    let field = match given.is {
        "sport" => source_port(),
        "dport" => destination_port(),
        _ => return None,
    };
    Some(values::ports(given.value()).map(|range| within(field, range, given.negated)))
}

fn ports_only(case: &Case<'_>, given: &[Given<'_>], protocols: &[u8]) -> Result<Vec<Cond>, String> {
    case.needs_protocol(protocols)?;
    each(given, |g| port(g).unwrap_or_else(|| Err(format!("--{}", g.is))))
}

fn tcp(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    case.needs_protocol(&[6])?;
    let flags =
        |mask: u8, set: u8, negated| equal(bits(payload(Header::Transport, 104, 8), mask.into()), set.into(), negated);
    each(given, |g| {
        if let Some(port) = port(g) {
            return port;
        }
        Ok(match g.is {
            // FIN, SYN, RST, ACK are looked at, SYN alone is set (libxt_tcp).
            "syn" => flags(0x17, 0x02, g.negated),
            "tcp-flags" => flags(tcp_flags(g.value())?, tcp_flags(g.values.get(1).map_or("", |v| v))?, g.negated),
            _ => match values::number_to(g.value())? {
                // `tcpinfo->option` 0 is "not asked for".
                0 => Cond::Const(true),
                kind => tcp_option(kind, g.negated),
            },
        })
    })
}

fn tcp_option(kind: u8, negated: bool) -> Cond {
    equal(
        Expr::Field(Field::Option { space: OptionSpace::TcpOption, kind, offset: 0, len: 1, present: true }),
        1,
        negated,
    )
}

/// `FIN,SYN`, `ALL`, `NONE`, or a number, as iptables prints bits without a name.
fn tcp_flags(text: &str) -> Result<u8, String> {
    let mut bits = 0;
    for name in text.split(',') {
        bits |= match name.to_ascii_uppercase().as_str() {
            "FIN" => 0x01,
            "SYN" => 0x02,
            "RST" => 0x04,
            "PSH" => 0x08,
            "ACK" => 0x10,
            "URG" => 0x20,
            "ALL" => 0x3f,
            "NONE" => 0,
            _ => return Err(format!("not a TCP flag: {name}")),
        };
    }
    Ok(bits)
}

fn sctp(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    case.needs_protocol(&[132])?;
    each(given, |g| port(g).unwrap_or_else(|| Ok(Cond::Unknown(format!("-m {}", case.text)))))
}

fn dccp(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    case.needs_protocol(&[33])?;
    each(given, |g| match (port(g), g.is) {
        (Some(port), _) => port,
        (None, "dccp-types") => {
            // `dccph_type`: bits 67 to 70 (linux/dccp.h).
            let mut types = Vec::new();
            for name in g.value().split(',') {
                let number = DCCP_TYPES.iter().position(|t| t.eq_ignore_ascii_case(name));
                let number = number.ok_or_else(|| format!("not a DCCP packet type: {name}"))?;
                types.push(equal(payload(Header::Transport, 67, 4), number as u128, g.negated));
            }
            Ok(if g.negated { all(types) } else { any(types) })
        }
        (None, _) => Ok(Cond::Unknown(format!("-m {}", case.text))),
    })
}

const DCCP_TYPES: [&str; 10] =
    ["REQUEST", "RESPONSE", "DATA", "ACK", "DATAACK", "CLOSEREQ", "CLOSE", "RESET", "SYNC", "SYNCACK"];

/// tcp, udp, udplite, sctp, dccp (`check` of xt_multiport.c); 15 ports at most, a range counts twice.
fn multiport(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    case.needs_protocol(&[6, 17, 136, 132, 33])?;
    if given.is_empty() {
        return Err("no ports".into());
    }
    each(given, |g| {
        let mut tests = Vec::new();
        for text in g.value().split(',') {
            let range = values::ports(text)?;
            if g.is != "dports" {
                tests.push(within(source_port(), range, g.negated));
            }
            if g.is != "sports" {
                tests.push(within(destination_port(), range, g.negated));
            }
        }
        Ok(if g.negated { all(tests) } else { any(tests) })
    })
}

/// ECN bits of a TCP header: CWR 0x80, ECE 0x40 in its 14th byte.
pub(super) fn tcp_flag(mask: u8, negated: bool) -> Cond {
    any_bit(payload(Header::Transport, 104, 8), mask.into(), negated)
}

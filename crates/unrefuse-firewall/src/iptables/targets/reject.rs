//! REJECT (net/ipv4/netfilter/ipt_REJECT.c, net/ipv6/netfilter/ip6t_REJECT.c; names of libipt_REJECT.c and
//! libip6t_REJECT.c).

use super::super::options::{Case, Given, Target, one};
use crate::model::{Reject, Statement};

pub(super) const ALL: &[Target] = &[Target { name: "REJECT", options: &[one("reject-with")], read }];

type Name = (&'static str, &'static str, Reject);

const V4: &[Name] = &[
    ("icmp-net-unreachable", "net-unreach", Reject::Icmp(3, 0)),
    ("icmp-host-unreachable", "host-unreach", Reject::Icmp(3, 1)),
    ("icmp-proto-unreachable", "proto-unreach", Reject::Icmp(3, 2)),
    ("icmp-port-unreachable", "port-unreach", Reject::Icmp(3, 3)),
    ("icmp-net-prohibited", "net-prohib", Reject::Icmp(3, 9)),
    ("icmp-host-prohibited", "host-prohib", Reject::Icmp(3, 10)),
    ("tcp-reset", "tcp-rst", Reject::TcpReset),
    ("icmp-admin-prohibited", "admin-prohib", Reject::Icmp(3, 13)),
];

const V6: &[Name] = &[
    ("icmp6-no-route", "no-route", Reject::Icmp6(1, 0)),
    ("icmp6-adm-prohibited", "adm-prohibited", Reject::Icmp6(1, 1)),
    ("icmp6-not-neighbour", "not-neighbour", Reject::Icmp6(1, 2)),
    ("icmp6-addr-unreachable", "addr-unreach", Reject::Icmp6(1, 3)),
    ("icmp6-port-unreachable", "port-unreach", Reject::Icmp6(1, 4)),
    ("tcp-reset", "tcp-reset", Reject::TcpReset),
    ("icmp6-policy-fail", "policy-fail", Reject::Icmp6(1, 5)),
    ("icmp6-reject-route", "reject-route", Reject::Icmp6(1, 6)),
];

fn read(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Statement>, String> {
    let with = match given {
        [] if case.v6() => Reject::Icmp6(1, 4),
        [] => Reject::Icmp(3, 3),
        [one] => named(one.value(), case.v6())?,
        _ => return Err("two ways to reject".into()),
    };
    // `reject_tg_check`: "TCP_RESET invalid for non-tcp".
    if with == Reject::TcpReset && case.protocol != Some(6) {
        return Err("tcp-reset without -p tcp".into());
    }
    Ok(vec![Statement::Reject(with)])
}

/// The first whose name or short name begins so.
fn named(text: &str, v6: bool) -> Result<Reject, String> {
    let begins =
        |name: &str| name.len() >= text.len() && name.as_bytes()[..text.len()].eq_ignore_ascii_case(text.as_bytes());
    let table = if v6 { V6 } else { V4 };
    let found = table.iter().find(|(name, short, _)| begins(name) || begins(short));
    found.filter(|_| !text.is_empty()).map(|n| n.2).ok_or_else(|| format!("not a way to reject: {text}"))
}

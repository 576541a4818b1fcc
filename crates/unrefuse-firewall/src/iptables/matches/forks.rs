//! Modules whose answer is a matter of time, traffic or chance: both ways are open. A few of their settings always give
//! the same answer, which is then taken.

use super::super::options::{Case, Given, Match, Opt, flag, has, one, value};
use super::inv;
use crate::model::Cond;

macro_rules! forks {
    ($($name:literal: [$($option:expr),* $(,)?]),* $(,)?) => {
        &[
            $(Match { name: $name, options: &[$($option),*], read: fork },)*
            Match { name: "recent", options: RECENT, read: recent },
            Match {
                name: "statistic",
                options: &[one("mode"), inv("probability"), inv("every"), one("packet")],
                read: statistic,
            },
        ]
    };
}

pub(super) const ALL: &[Match] = forks! {
    "limit": [inv("limit"), one("limit-burst")],
    "hashlimit": [
        one("hashlimit"), one("hashlimit-upto"), one("hashlimit-above"), one("hashlimit-burst"), one("hashlimit-mode"),
        one("hashlimit-name"), one("hashlimit-srcmask"), one("hashlimit-dstmask"), one("hashlimit-htable-size"),
        one("hashlimit-htable-max"), one("hashlimit-htable-expire"), one("hashlimit-htable-gcinterval"),
        flag("hashlimit-rate-match"), one("hashlimit-rate-interval"),
    ],
    "connlimit": [
        inv("connlimit-upto"), inv("connlimit-above"), one("connlimit-mask"), flag("connlimit-saddr"),
        flag("connlimit-daddr"),
    ],
    "connbytes": [inv("connbytes"), one("connbytes-dir"), one("connbytes-mode")],
    "connrate": [inv("connrate")],
    "quota": [inv("quota")],
    "quota2": [
        inv("quota"), one("name"), flag("grow"), flag("packets"), flag("no-change"),
    ],
    "time": [
        one("timestart"), one("timestop"), one("datestart"), one("datestop"), inv("monthdays"), inv("weekdays"),
        flag("kerneltz"), flag("contiguous"), flag("utc"), flag("localtz"),
    ],
    "bpf": [one("bytecode"), one("object-pinned")],
    "osf": [inv("genre"), one("ttl"), one("log")],
    "geoip": [
        inv("src-cc"), inv("source-country").of("src-cc"), inv("dst-cc"), inv("destination-country").of("dst-cc"),
    ],
    "rateest": [
        one("rateest"), one("rateest1"), one("rateest2"), one("rateest-bps"), one("rateest-pps"), one("rateest-bps1"),
        one("rateest-pps1"), one("rateest-bps2"), one("rateest-pps2"), flag("rateest-delta"), flag("rateest-lt").inv(),
        flag("rateest-gt").inv(), flag("rateest-eq").inv(),
    ],
    "cluster": [
        one("cluster-total-nodes"), inv("cluster-local-node"), inv("cluster-local-nodemask"), one("cluster-hash-seed"),
    ],
    "ipvs": [
        flag("ipvs").inv(), inv("vproto"), inv("vaddr"), inv("vport"), one("vdir"), inv("vmethod"), inv("vportctl"),
    ],
    "condition": [inv("condition")],
    "fuzzy": [one("lower-limit"), one("upper-limit")],
    "psd": [
        one("psd-weight-threshold"), one("psd-delay-threshold"), one("psd-lo-ports-weight"), one("psd-hi-ports-weight"),
    ],
};

fn fork(case: &Case<'_>, _: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    Ok(vec![Cond::Fork(case.text.to_owned())])
}

const RECENT: &[Opt] = &[
    flag("set").inv(),
    flag("rcheck").inv(),
    flag("update").inv(),
    flag("remove").inv(),
    one("seconds"),
    flag("reap"),
    one("hitcount"),
    flag("rttl"),
    one("name"),
    flag("rsource"),
    flag("rdest"),
    one("mask"),
];

/// `--set` notes the address and always holds (net/netfilter/xt_recent.c, `recent_mt`); the others ask what was noted.
fn recent(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    match given.iter().find(|g| g.is == "set") {
        // With `--rttl` too: the entry is made with the packet's own TTL.
        Some(set) if !has(given, "rttl") => Ok(vec![Cond::Const(!set.negated)]),
        _ => fork(case, given),
    }
}

/// A probability of 0 or 1 is no chance; 1 is `0x80000000`, above every 31-bit number (xt_statistic.c).
fn statistic(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    let negated = given.iter().any(|g| g.is == "probability" && g.negated);
    match value(given, "probability").and_then(|p| p.parse::<f64>().ok()) {
        Some(1.0) => Ok(vec![Cond::Const(!negated)]),
        Some(0.0) => Ok(vec![Cond::Const(negated)]),
        _ => fork(case, given),
    }
}

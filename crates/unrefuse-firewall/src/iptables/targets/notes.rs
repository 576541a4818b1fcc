//! Targets that change nothing of a packet's fate, those that take connection tracking away, and those whose outcome is
//! up to somebody else.

use super::super::options::{Args, Case, Given, Target, flag, has, one};
use crate::model::{SetTarget, Statement};

macro_rules! targets {
    ($read:ident: $($name:literal: [$($option:expr),* $(,)?]),* $(,)?) => {
        &[$(Target { name: $name, options: &[$($option),*], read: $read }),*]
    };
}

/// They return `XT_CONTINUE`.
pub(super) const NOTES: &[Target] = targets! { note:
    "LOG": [
        one("log-level"), one("log-prefix"), flag("log-tcp-sequence"), flag("log-tcp-options"), flag("log-ip-options"),
        flag("log-uid"), flag("log-macdecode"),
    ],
    "NFLOG": [one("nflog-group"), one("nflog-prefix"), one("nflog-range"), one("nflog-size"), one("nflog-threshold")],
    "ULOG": [one("ulog-nlgroup"), one("ulog-prefix"), one("ulog-cprange"), one("ulog-qthreshold")],
    "TRACE": [],
    "AUDIT": [one("type")],
    "TCPMSS": [one("set-mss"), flag("clamp-mss-to-pmtu")],
    "TCPOPTSTRIP": [one("strip-options")],
    "CHECKSUM": [flag("checksum-fill")],
    "CLASSIFY": [one("set-class")],
    "TEE": [one("gateway"), one("oif")],
    "ECN": [flag("ecn-tcp-remove"), one("ecn-tcp-cwr"), one("ecn-tcp-ece"), one("ecn-ip-ect")],
    "IDLETIMER": [one("timeout"), one("label"), flag("alarm"), one("send_nl_msg")],
    "CONNSECMARK": [flag("save"), flag("restore")],
    "SECMARK": [one("selctx")],
    "RATEEST": [one("rateest-name"), one("rateest-interval"), one("rateest-ewmalog")],
    "LED": [one("led-trigger-id"), one("led-delay"), flag("led-always-blink")],
    "ACCOUNT": [one("addr"), one("tname")],
    "FLOWOFFLOAD": [flag("hw")],
};

/// A program or proxy decides.
pub(super) const FORKS: &[Target] = targets! { fork:
    "NFQUEUE": [one("queue-num"), one("queue-balance"), flag("queue-bypass"), flag("queue-cpu-fanout")],
    "QUEUE": [],
    "SYNPROXY": [flag("sack-perm"), flag("timestamp"), flag("timestamps"), one("wscale"), one("mss"), flag("ecn")],
    "CLUSTERIP": [
        flag("new"), one("hashmode"), one("clustermac"), one("total-nodes"), one("local-node"), one("hash-init"),
    ],
};

pub(super) const OTHERS: &[Target] = &[
    Target { name: "NOTRACK", options: &[], read: |_, _| Ok(vec![Statement::Notrack]) },
    Target {
        name: "CT",
        options: &[
            flag("notrack"),
            one("helper"),
            one("timeout"),
            one("ctevents"),
            one("expevents"),
            one("zone"),
            one("zone-orig"),
            one("zone-reply"),
        ],
        read: |case, given| {
            Ok(vec![if has(given, "notrack") { Statement::Notrack } else { Statement::Note(case.text.to_owned()) }])
        },
    },
    Target {
        name: "SET",
        options: &[
            one("add-set").args(Args::Two),
            one("del-set").args(Args::Two),
            one("map-set").args(Args::Two),
            flag("exist"),
            one("timeout"),
            flag("map-mark"),
            flag("map-prio"),
            flag("map-queue"),
        ],
        read: set,
    },
];

fn note(case: &Case<'_>, _: &[Given<'_>]) -> Result<Vec<Statement>, String> {
    Ok(vec![Statement::Note(case.text.to_owned())])
}

fn fork(case: &Case<'_>, _: &[Given<'_>]) -> Result<Vec<Statement>, String> {
    Ok(vec![Statement::Fork(case.text.to_owned())])
}

/// Adds to a set or takes from it: what later packets meet, and later rules of this one, but the sets are read as they
/// were. A mark out of a set is not known.
fn set(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Statement>, String> {
    if has(given, "map-mark") {
        let value = crate::model::Expr::Unknown(case.text.to_owned());
        return Ok(vec![Statement::Set { target: SetTarget::Mark, value }]);
    }
    note(case, given)
}

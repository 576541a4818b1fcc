//! What the sending process or the receiving socket is: owner (net/netfilter/xt_owner.c), cgroup (xt_cgroup.c), socket
//! (xt_socket.c), policy (xt_policy.c).

use super::super::cond::{any, equal, lenient, meta, not, turned, within};
use super::super::options::{Case, Given, Match, flag, has, one, value};
use super::super::values;
use super::{each, inv};
use crate::model::{Cond, Direction, Expr, Field, Meta, SocketKey};

pub(super) const ALL: &[Match] = &[
    Match {
        name: "owner",
        options: &[inv("uid-owner"), inv("gid-owner"), flag("socket-exists").inv(), flag("suppl-groups")],
        read: owner,
    },
    Match { name: "cgroup", options: &[inv("cgroup"), inv("path")], read: cgroup },
    Match {
        name: "socket",
        options: &[flag("nowildcard"), flag("transparent"), flag("restore-skmark")],
        read: |_, given| Ok(socket(given)),
    },
    Match {
        name: "policy",
        options: &[
            one("dir"),
            one("pol"),
            flag("strict"),
            inv("reqid"),
            inv("spi"),
            inv("proto"),
            inv("mode"),
            inv("tunnel-src"),
            inv("tunnel-dst"),
            flag("next"),
        ],
        read: policy,
    },
];

/// A packet without a socket passes each test that is turned round, and fails the others (`owner_mt`).
fn owner(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    let mut tests = Vec::new();
    for g in given {
        let test = match g.is {
            "uid-owner" => id(Meta::Skuid, g, case),
            "gid-owner" => {
                let own = id(Meta::Skgid, g, case);
                if has(given, "suppl-groups") {
                    let fork = Cond::All(vec![
                        within(meta(Meta::Skgid), (0u32, u32::MAX), false),
                        Cond::Fork(format!("{}: supplementary groups of the process", case.text)),
                    ]);
                    any(vec![lenient(own), lenient(fork)])
                } else {
                    own
                }
            }
            // The kernel's own sockets, which send RSTs, are there without a file that has an owner.
            "socket-exists" => equal(Expr::Field(Field::Socket(SocketKey::Sends)), 1, false),
            _ => continue,
        };
        tests.push(turned(test, g.negated));
    }
    if tests.is_empty() { Err("no option".into()) } else { Ok(tests) }
}

/// `0`, `1000-2000`, `root`. Another name cannot be told without the machine's /etc/passwd.
fn id(key: Meta, g: &Given<'_>, case: &Case<'_>) -> Cond {
    let text = if g.value() == "root" { "0" } else { g.value() };
    match values::range::<u32>(text, '-', u32::MAX, values::number_to) {
        Ok(range) => within(meta(key), range, false),
        Err(_) => Cond::Unknown(format!("-m {}", case.text)),
    }
}

/// net_cls class, or a path of cgroup v2. Without a socket neither holds.
fn cgroup(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    if given.is_empty() {
        return Err("no option".into());
    }
    each(given, |g| match g.is {
        "cgroup" => Ok(equal(meta(Meta::Cgroup), values::number_to::<u32>(g.value())?.into(), g.negated)),
        _ => Ok(Cond::Fork(case.text.to_owned())),
    })
}

/// A socket is found, and is not bound to every address unless `--nowildcard` says not to look at that.
fn socket(given: &[Given<'_>]) -> Vec<Cond> {
    let key = |key| Expr::Field(Field::Socket(key));
    let mut tests = vec![equal(key(SocketKey::Exists), 1, false)];
    if !has(given, "nowildcard") {
        tests.push(equal(key(SocketKey::Wildcard), 0, false));
    }
    if has(given, "transparent") {
        tests.push(equal(key(SocketKey::Transparent), 1, false));
    }
    tests
}

fn policy(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    let direction = match value(given, "dir") {
        Some("in") => Direction::Original,
        Some("out") => Direction::Reply,
        _ => return Err("neither --dir in nor --dir out".into()),
    };
    let applies = equal(Expr::Field(Field::Ipsec(direction)), 1, false);
    match value(given, "pol") {
        Some("none") => Ok(vec![not(applies)]),
        Some("ipsec") => {
            let mut tests = vec![applies];
            if given.iter().any(|g| !matches!(g.is, "dir" | "pol" | "strict")) {
                tests.push(Cond::Unknown(format!("-m {}", case.text)));
            }
            Ok(tests)
        }
        _ => Err("neither --pol none nor --pol ipsec".into()),
    }
}

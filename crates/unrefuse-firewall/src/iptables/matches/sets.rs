//! set (net/netfilter/xt_set.c).

use super::super::options::{Args, Case, Given, Match, flag, one};
use super::inv;
use crate::model::Cond;

pub(super) const ALL: &[Match] = &[Match {
    name: "set",
    options: &[
        inv("match-set").args(Args::Two),
        inv("set").of("match-set").args(Args::Two),
        flag("return-nomatch").inv(),
        flag("update-counters").inv(),
        flag("update-subcounters").inv(),
        inv("packets-eq"),
        one("packets-lt"),
        one("packets-gt"),
        inv("bytes-eq"),
        one("bytes-lt"),
        one("bytes-gt"),
    ],
    read,
}];

fn read(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    let mut tests = Vec::new();
    let mut wanted = None;
    for g in given {
        match g.is {
            "match-set" => {
                let flags = g.values.get(1).map_or("", |v| v);
                let mut source = Vec::new();
                for flag in flags.split(',') {
                    source.push(match flag {
                        "src" => true,
                        "dst" => false,
                        _ => return Err(format!("not src or dst: {flag}")),
                    });
                }
                // `IPSET_DIM_MAX` is 3; libxt_set takes 6 flags.
                if source.len() > 6 || g.value().is_empty() {
                    return Err("a set's name and up to six flags".into());
                }
                wanted = Some(());
                tests.push(Cond::InIpset { set: g.value().to_owned(), source, negated: g.negated });
            }
            // What is counted does not decide.
            "update-counters" | "update-subcounters" => {}
            // Turned round it is what is without it.
            "return-nomatch" if g.negated => {}
            // Only elements with `nomatch` count then.
            "return-nomatch" => return Ok(vec![Cond::Unknown(format!("-m {}", case.text))]),
            _ => tests.push(Cond::Fork(case.text.to_owned())),
        }
    }
    wanted.map(|()| tests).ok_or_else(|| "no --match-set".into())
}

//! Extension headers: rt, hbh, dst, frag, ah, ipv6header, mh, eui64, srh (net/ipv6/netfilter/ip6t_*.c), and esp (net/netfilter/
//! xt_esp.c). A packet without the header fails, turned round or not. Details of a header that is there are not read.

use super::super::cond::{all, compare, equal, meta, not, payload, turned, within};
use super::super::options::{Case, Given, Match, flag, has, one, value};
use super::super::values;
use super::inv;
use crate::model::{Cond, Expr, Field, Header, Meta, Op, OptionSpace};

const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;

pub(super) const ALL: &[Match] = &[
    Match {
        name: "rt",
        options: &[
            inv("rt-type"),
            inv("rt-segsleft"),
            inv("rt-len"),
            flag("rt-0-res"),
            one("rt-0-addrs"),
            flag("rt-0-not-strict"),
        ],
        read: routing,
    },
    Match {
        name: "srh",
        options: &[
            inv("srh-next-hdr"),
            inv("srh-hdr-len-eq"),
            inv("srh-hdr-len-gt"),
            inv("srh-hdr-len-lt"),
            inv("srh-segs-left-eq"),
            inv("srh-segs-left-gt"),
            inv("srh-segs-left-lt"),
            inv("srh-last-entry-eq"),
            inv("srh-last-entry-gt"),
            inv("srh-last-entry-lt"),
            inv("srh-tag"),
            inv("srh-psid"),
            inv("srh-nsid"),
            inv("srh-lsid"),
        ],
        read: |case, given| Ok(present(ROUTING, case, given)),
    },
    Match { name: "hbh", options: &[inv("hbh-len"), one("hbh-opts")], read: |case, given| Ok(present(0, case, given)) },
    Match {
        name: "dst",
        options: &[inv("dst-len"), one("dst-opts")],
        read: |case, given| Ok(present(60, case, given)),
    },
    Match {
        name: "frag",
        options: &[
            inv("fragid"),
            inv("fraglen"),
            flag("fragres"),
            flag("fragfirst"),
            flag("fragmore"),
            flag("fraglast"),
        ],
        read: |case, given| Ok(present(FRAGMENT, case, given)),
    },
    Match { name: "ah", options: &[inv("ahspi"), inv("ahlen"), flag("ahres")], read: authentication },
    Match { name: "esp", options: &[inv("espspi")], read: esp },
    Match { name: "mh", options: &[inv("mh-type")], read: mobility },
    Match { name: "ipv6header", options: &[inv("header"), flag("soft")], read: headers },
    Match { name: "eui64", options: &[], read: |case, _| Ok(vec![Cond::Unknown(format!("-m {}", case.text))]) },
];

fn header(kind: u8) -> Cond {
    let field = Field::Option { space: OptionSpace::Ipv6Header, kind, offset: 0, len: 1, present: true };
    equal(Expr::Field(field), 1, false)
}

/// The header is there; what else is asked of it is not understood.
fn present(kind: u8, case: &Case<'_>, given: &[Given<'_>]) -> Vec<Cond> {
    let mut tests = vec![header(kind)];
    if !given.is_empty() {
        tests.push(Cond::Unknown(format!("-m {}", case.text)));
    }
    tests
}

/// `ip6t_rt.c`: type is the third byte of the header, segments left the fourth.
fn routing(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    let byte = |offset| Field::Option { space: OptionSpace::Ipv6Header, kind: ROUTING, offset, len: 1, present: false };
    let mut tests = vec![header(ROUTING)];
    for g in given {
        tests.push(match g.is {
            "rt-type" => equal(Expr::Field(byte(2)), values::number_to::<u8>(g.value())?.into(), g.negated),
            "rt-segsleft" => {
                let (from, to) = values::range::<u32>(g.value(), ':', u32::MAX, values::number_to)?;
                if from > 255 {
                    Cond::Const(g.negated)
                } else {
                    within(Expr::Field(byte(3)), (from, to.min(255)), g.negated)
                }
            }
            _ => Cond::Unknown(format!("-m {}", case.text)),
        });
    }
    Ok(tests)
}

fn authentication(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    if case.v6() {
        return Ok(present(AUTHENTICATION, case, given));
    }
    // ipt_ah.c: the SPI stands at byte 4.
    case.needs_protocol(&[AUTHENTICATION])?;
    spis(given, "ahspi", 32, case)
}

fn esp(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    case.needs_protocol(&[50])?;
    spis(given, "espspi", 0, case)
}

fn spis(given: &[Given<'_>], option: &str, offset: u16, case: &Case<'_>) -> Result<Vec<Cond>, String> {
    super::each(given, |g| {
        if g.is != option {
            return Ok(Cond::Unknown(format!("-m {}", case.text)));
        }
        let range = values::range::<u32>(g.value(), ':', u32::MAX, values::number_to)?;
        Ok(within(payload(Header::Transport, offset, 32), range, g.negated))
    })
}

/// `mh_type_match`: the type is the third byte of the mobility header.
fn mobility(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    case.needs_protocol(&[135])?;
    super::each(given, |g| match values::range::<u8>(g.value(), ':', u8::MAX, values::number_to) {
        Ok(range) => Ok(within(payload(Header::Transport, 16, 8), range, g.negated)),
        Err(_) => Ok(Cond::Unknown(format!("-m {}", case.text))),
    })
}

/// `ipv6header_mt6`: which of eight kinds of headers the packet has; all that are named and no other, or, with `--soft`,
/// all that are named at least.
fn headers(_: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    let names = value(given, "header").ok_or("no --header")?;
    let negated = given.iter().any(|g| g.is == "header" && g.negated);
    let mut wanted = Vec::new();
    for name in names.split(',') {
        let kind = match name.to_ascii_lowercase().as_str() {
            "hop" | "hop-by-hop" | "hopopt" | "0" => 0,
            "dst" | "ipv6-opts" | "60" => 60,
            "route" | "ipv6-route" | "43" => ROUTING,
            "frag" | "ipv6-frag" | "44" => FRAGMENT,
            "auth" | "ah" | "51" => AUTHENTICATION,
            "esp" | "50" => 50,
            "none" | "ipv6-nonxt" | "59" => 59,
            "prot" | "proto" | "protocol" | "255" => 255,
            _ => return Err(format!("not an IPv6 header: {name}")),
        };
        wanted.push(kind);
    }
    let protocol = |number: u8| equal(meta(Meta::L4Proto), number.into(), false);
    let has_header = |kind: u8| match kind {
        50 | 59 => protocol(kind),
        255 => all(vec![compare(meta(Meta::L4Proto), Op::Ne, 50), compare(meta(Meta::L4Proto), Op::Ne, 59)]),
        _ => header(kind),
    };
    if has(given, "soft") {
        // Turned round, each that is named is turned round.
        return Ok(wanted.into_iter().map(|kind| turned(has_header(kind), negated)).collect());
    }
    let kinds = [0, 60, ROUTING, FRAGMENT, AUTHENTICATION, 50, 59, 255];
    let exact = kinds.into_iter().map(|kind| turned(has_header(kind), !wanted.contains(&kind))).collect();
    Ok(vec![if negated { not(Cond::All(exact)) } else { Cond::All(exact) }])
}

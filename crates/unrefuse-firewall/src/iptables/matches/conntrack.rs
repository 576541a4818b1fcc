//! state (net/netfilter/xt_state.c), conntrack (xt_conntrack.c), helper (xt_helper.c), connlabel (xt_connlabel.c).

use super::super::cond::{all, any, any_bit, bits, equal, lenient, not, turned, within};
use super::super::options::{Case, Given, Match, has, one};
use super::super::{names, values};
use super::{each, inv};
use crate::model::{Cond, Ct, Direction, Expr, Field, Scalar, TuplePart};

pub(super) const ALL: &[Match] = &[
    Match { name: "state", options: &[inv("state")], read: conntrack },
    Match {
        name: "conntrack",
        options: &[
            inv("ctstate"),
            inv("ctproto"),
            inv("ctorigsrc"),
            inv("ctorigdst"),
            inv("ctreplsrc"),
            inv("ctrepldst"),
            inv("ctorigsrcport"),
            inv("ctorigdstport"),
            inv("ctreplsrcport"),
            inv("ctrepldstport"),
            inv("ctstatus"),
            inv("ctexpire"),
            one("ctdir"),
        ],
        read: conntrack,
    },
    Match { name: "helper", options: &[inv("helper")], read: helper },
    Match {
        name: "connlabel",
        options: &[inv("label"), super::super::options::flag("set")],
        read: |case, _| Ok(vec![Cond::Fork(case.text.to_owned())]),
    },
];

fn ct(key: Ct) -> Expr {
    Expr::Field(Field::Ct(key))
}

const INVALID: Scalar = 1;
const ESTABLISHED: Scalar = 2;
const RELATED: Scalar = 4;
const NEW: Scalar = 8;
const UNTRACKED: Scalar = 64;
/// Virtual states are bits of the connection's status: `IPS_SRC_NAT`, `IPS_DST_NAT`.
const SRC_NAT: Scalar = 16;
const DST_NAT: Scalar = 32;

fn conntrack(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    if given.is_empty() {
        return Err("no option".into());
    }
    let with_state = given.iter().any(|g| matches!(g.is, "state" | "ctstate"));
    let (mut states, mut others) = (Vec::new(), Vec::new());
    for g in given {
        match g.is {
            "state" | "ctstate" => states.push(state(g)?),
            _ => others.push(other(case, g)?),
        }
    }
    if with_state && !others.is_empty() {
        // "if (ct == NULL) return info->match_flags & XT_CONNTRACK_STATE": without a connection nothing else is asked.
        let none = any_bit(ct(Ct::State), INVALID | UNTRACKED, false);
        states.push(any(vec![none, lenient(all(others))]));
        return Ok(states);
    }
    states.extend(others);
    Ok(states)
}

fn state(g: &Given<'_>) -> Result<Cond, String> {
    let (mut mask, mut status) = (0, 0);
    for name in g.value().split(',') {
        match name.to_ascii_uppercase().as_str() {
            "INVALID" => mask |= INVALID,
            "ESTABLISHED" => mask |= ESTABLISHED,
            "RELATED" => mask |= RELATED,
            "NEW" => mask |= NEW,
            "UNTRACKED" => mask |= UNTRACKED,
            "SNAT" if g.is == "ctstate" => status |= SRC_NAT,
            "DNAT" if g.is == "ctstate" => status |= DST_NAT,
            _ => return Err(format!("not a state: {name}")),
        }
    }
    let state = || any_bit(ct(Ct::State), mask, g.negated);
    if status == 0 {
        return Ok(state());
    }
    // Without a connection there is no status: its bits count as not set.
    let status = turned(lenient(any_bit(ct(Ct::Status), status, false)), g.negated);
    Ok(match (mask, g.negated) {
        (0, _) => status,
        (_, false) => any(vec![state(), status]),
        (_, true) => all(vec![state(), status]),
    })
}

fn other(case: &Case<'_>, g: &Given<'_>) -> Result<Cond, String> {
    let text = g.value();
    Ok(match g.is {
        "ctproto" => match names::protocol(text).or_else(|| values::number(text).and_then(|n| u8::try_from(n).ok())) {
            Some(number) if number != 0 => equal(ct(Ct::Proto), number.into(), g.negated),
            _ => return Err(format!("not a protocol: {text}")),
        },
        "ctstatus" => {
            // A mask of 0 (NONE) never has a bit set. The load asks for a connection in either case.
            let mut mask = 0;
            for name in text.split(',') {
                mask |= match name.to_ascii_uppercase().as_str() {
                    "NONE" => 0,
                    "EXPECTED" => 1,
                    "SEEN_REPLY" => 2,
                    "ASSURED" => 4,
                    "CONFIRMED" => 8,
                    _ => return Err(format!("not a status: {name}")),
                };
            }
            any_bit(ct(Ct::Status), mask, g.negated)
        }
        "ctexpire" => {
            values::range::<u32>(text, ':', u32::MAX, values::number_to)?;
            Cond::Fork(case.text.to_owned())
        }
        "ctdir" => match text.to_ascii_uppercase().as_str() {
            "ORIGINAL" => equal(ct(Ct::Direction), 0, false),
            "REPLY" => equal(ct(Ct::Direction), 1, false),
            _ => return Err(format!("not a direction: {text}")),
        },
        is => {
            let direction = if is.starts_with("ctorig") { Direction::Original } else { Direction::Reply };
            let part = match (is.ends_with("port"), is.contains("src")) {
                (false, true) => TuplePart::Source,
                (false, false) => TuplePart::Destination,
                (true, true) => TuplePart::SourcePort,
                (true, false) => TuplePart::DestinationPort,
            };
            let field = ct(Ct::Tuple(direction, part));
            if is.ends_with("port") {
                within(field, values::ports(text)?, g.negated)
            } else {
                let (address, mask) = values::network(text, case.family)?;
                equal(bits(field, mask), address, g.negated)
            }
        }
    })
}

/// Only a connection that another one expected has a master with a helper; every other one "does not match", which
/// turned round holds. An empty name asks for any helper.
fn helper(_: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    if given.is_empty() || has(given, "label") {
        return Err("no --helper".into());
    }
    each(given, |g| {
        let test = match g.value() {
            "" => super::super::cond::compare(ct(Ct::Helper), crate::model::Op::Ne, 0),
            name => equal(ct(Ct::Helper), values::name_bytes(name)?, false),
        };
        Ok(if g.negated { not(test) } else { test })
    })
}

//! Marks and other numbers that are kept beside a packet: mark (net/netfilter/xt_mark.c), connmark (xt_connmark.c), realm
//! (xt_realm.c), cpu (xt_cpu.c).

use super::super::cond::{bits, equal, meta};
use super::super::options::{Case, Given, Match};
use super::super::values;
use super::{each, inv};
use crate::model::{Cond, Ct, Expr, Field, Meta};

pub(super) const ALL: &[Match] = &[
    Match { name: "mark", options: &[inv("mark")], read: |_, given| marks(given, || meta(Meta::Mark)) },
    // Without a connection it does not hold, turned round or not.
    Match {
        name: "connmark",
        options: &[inv("mark")],
        read: |_, given| marks(given, || Expr::Field(Field::Ct(Ct::Mark))),
    },
    Match { name: "realm", options: &[inv("realm")], read: realm },
    Match { name: "cpu", options: &[inv("cpu")], read: |_, given| marks(given, || meta(Meta::Cpu)) },
];

/// `(mark & mask) == value`; the value is not masked.
fn marks(given: &[Given<'_>], field: impl Fn() -> Expr) -> Result<Vec<Cond>, String> {
    if given.is_empty() {
        return Err("no value".into());
    }
    each(given, |g| {
        let (value, mask) = values::marked(g.value())?;
        let field = match mask {
            None | Some(u32::MAX) => field(),
            Some(mask) => bits(field(), mask.into()),
        };
        Ok(equal(field, value.into(), g.negated))
    })
}

fn realm(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    // A name of /etc/iproute2/rt_realms cannot be told here.
    marks(given, || meta(Meta::Rtclassid)).or_else(|_| Ok(vec![Cond::Unknown(format!("-m {}", case.text))]))
}

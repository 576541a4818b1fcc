//! Whether conntrack sees the packets of a family at all: its hooks are registered when a rule first needs them
//! (`nf_ct_netns_get`), and without it no chain of type nat is run (net/netfilter/nf_nat_core.c `nf_nat_inet_fn`).

use crate::model::{Cond, Expr, Family, Field, SetTarget, Statement};

use super::Judge;

impl Judge<'_> {
    /// Whether some rule needs conntrack. What was not read or understood is taken to need it.
    pub(crate) fn tracks(&self, family: Family) -> bool {
        let place = match family {
            Family::Bridge => 2,
            Family::Ip6 => 1,
            _ => 0,
        };
        *self.tracks[place].get_or_init(|| {
            // Something beside the rulesets may need it, too; what a bridge tracks, its own rules asked for.
            family != Family::Bridge && self.machine.sysctl("net.netfilter.nf_conntrack_count").is_some_and(|n| n > 0)
                || self.rules_need_it(family)
        })
    }

    fn rules_need_it(&self, family: Family) -> bool {
        let sees = |f: Family| f == family || (f == Family::Inet && family != Family::Bridge);
        let tables = self.ruleset.tables.iter().filter(|t| sees(t.family));
        tables.flat_map(|t| t.chains.values()).any(|chain| chain.unread || chain.rules.digest().tracked)
    }
}

/// Matches that cannot be known offline, and need no conntrack.
const WITHOUT: &[&str] = &[
    "limit",
    "hashlimit",
    "quota",
    "recent",
    "statistic",
    "time",
    "owner",
    "cgroup",
    "rpfilter",
    "string",
    "bpf",
    "osf",
];

/// Whether a statement needs conntrack, or may.
pub(crate) fn needs(statement: &Statement) -> bool {
    match statement {
        Statement::If(cond) => tests(cond),
        Statement::Set { target, value } => *target == SetTarget::CtMark || value_needs(value),
        Statement::VerdictMap { key, .. } => key.iter().any(value_needs),
        Statement::Nat(_) | Statement::Fork(_) | Statement::Unknown(_) => true,
        // What a note stands for (a helper, a timeout) may need it.
        Statement::Note(text) => text.contains("ct ") || text.contains("CT ") || text.contains("flow"),
        Statement::Verdict(_) | Statement::Notrack | Statement::Reject(_) | Statement::Tproxy { .. } => false,
    }
}

fn tests(cond: &Cond) -> bool {
    match cond {
        Cond::Compare { left, .. } => value_needs(left),
        Cond::Range { value, .. } => value_needs(value),
        Cond::InSet { key, .. } => key.iter().any(value_needs),
        Cond::Any(conds) | Cond::All(conds) => conds.iter().any(tests),
        Cond::Not(inner) | Cond::Lenient(inner) => tests(inner),
        Cond::Fork(text) => {
            let name = text.strip_prefix("-m ").unwrap_or(text).split(' ').next().unwrap_or_default();
            !WITHOUT.contains(&name)
        }
        Cond::Unknown(_) => true,
        Cond::InIpset { .. } | Cond::Const(_) => false,
    }
}

fn value_needs(expr: &Expr) -> bool {
    match expr {
        Expr::Field(field) => matches!(field, Field::Ct(_)),
        Expr::Bits { of, .. } | Expr::Shift { of, .. } => value_needs(of),
        Expr::Binary { left, right, .. } => value_needs(left) || value_needs(right),
        Expr::Map { key, .. } => key.iter().any(value_needs),
        Expr::Const(_) | Expr::Fork(_) => false,
        Expr::Unknown(_) => true,
    }
}

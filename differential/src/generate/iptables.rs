//! Random iptables rulesets, for either backend.

mod matches;
mod targets;

use super::ipset;
use crate::rng::Rng;
use crate::ruleset::{Backend, Chain, Rule, Rules, Table};

/// Hooks from which a chain is reached, one bit each.
pub(crate) type Hooks = u8;
pub(crate) const PRE: Hooks = 1;
pub(crate) const IN: Hooks = 2;
pub(crate) const FWD: Hooks = 4;
pub(crate) const OUT: Hooks = 8;
pub(crate) const POST: Hooks = 16;

const NAMES: [(Hooks, &str); 5] =
    [(PRE, "PREROUTING"), (IN, "INPUT"), (FWD, "FORWARD"), (OUT, "OUTPUT"), (POST, "POSTROUTING")];

/// Tables, the hooks of their chains, and how often they are used.
const TABLES: &[(&str, Hooks, usize)] = &[
    ("raw", PRE | OUT, 25),
    ("mangle", PRE | IN | FWD | OUT | POST, 40),
    ("nat", PRE | IN | OUT | POST, 55),
    ("filter", IN | FWD | OUT, 95),
    ("security", IN | FWD | OUT, 8),
];

/// Where a rule stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) v6: bool,
    pub(crate) legacy: bool,
    pub(crate) table: &'a str,
    pub(crate) hooks: Hooks,
    /// ipsets with their dimensions.
    pub(crate) sets: &'a [(String, usize)],
    /// Chains that may be jumped to.
    pub(crate) below: &'a [String],
    /// Of a chain of the ruleset itself, not of the user.
    pub(crate) builtin: bool,
}

impl Place<'_> {
    /// Whether something that works in these hooks only may stand here.
    pub(crate) const fn within(&self, hooks: Hooks) -> bool {
        self.hooks & !hooks == 0
    }
}

/// Fills the ruleset's tables and ipsets.
pub(crate) fn tables(rng: &mut Rng, number: u64, rules: &mut Rules) {
    let sets = ipset::sets(rng, number, rules.v6);
    let names: Vec<_> = sets.iter().map(|(s, n)| (s.name.clone(), *n)).collect();
    rules.ipsets = sets.into_iter().map(|(s, _)| s).collect();
    for (name, hooks, often) in TABLES {
        if rng.percent(*often) {
            let table = table(rng, rules, &names, name, *hooks);
            rules.tables.push(table);
        }
    }
}

fn table(rng: &mut Rng, rules: &Rules, sets: &[(String, usize)], name: &str, hooks: Hooks) -> Table {
    let mut chains = Vec::new();
    let mut all: Vec<(String, Hooks, bool)> = Vec::new();
    for (hook, chain) in NAMES.iter().filter(|(h, _)| h & hooks != 0) {
        let policy = if name != "nat" && rng.percent(12) { "DROP" } else { "ACCEPT" };
        chains.push(Chain { name: (*chain).into(), base: policy.into(), rules: Vec::new() });
        all.push(((*chain).into(), *hook, true));
    }
    for n in 0..rng.between(0, 4) {
        // Reached from one hook, or from several.
        let mut mask = 0;
        for (hook, _) in NAMES {
            if rng.percent(45) {
                mask |= hook & hooks;
            }
        }
        if mask == 0 {
            mask = hooks;
        }
        chains.push(Chain { name: format!("{}{n}", &name[..1]), base: String::new(), rules: Vec::new() });
        all.push((format!("{}{n}", &name[..1]), mask, false));
    }
    for (n, chain) in chains.iter_mut().enumerate() {
        let (_, hooks, builtin) = all[n];
        let below: Vec<_> =
            all[n + 1..].iter().filter(|(_, h, b)| !b && hooks & !h == 0).map(|(name, ..)| name.clone()).collect();
        let legacy = rules.backend == Backend::Legacy;
        let place = Place { v6: rules.v6, legacy, table: name, hooks, sets, below: &below, builtin };
        let most = if name == "filter" { 7 } else { 4 };
        for _ in 0..rng.between(0, most) {
            chain.rules.push(rule(rng, &place));
        }
    }
    Table { family: String::new(), name: name.into(), sets: Vec::new(), chains }
}

fn rule(rng: &mut Rng, place: &Place<'_>) -> Rule {
    let target = targets::random(rng, place);
    let mut matches = matches::random(rng, place, target.protocol);
    if let Some(needs) = target.needs {
        matches.retain(|m| !m.contains("--tcp-flags") && !m.contains("--syn"));
        matches.push(needs.into());
    }
    // iptables takes a match twice in a row, but not with another between that has the same option.
    let mut marks = 0;
    matches.retain(|m| {
        marks += usize::from(m.starts_with("-m mark ") || m.starts_with("-m connmark "));
        marks < 2 || !m.contains("mark ")
    });
    Rule { matches, action: target.text }
}

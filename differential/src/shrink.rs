//! Makes a failing case small: leaves out what it can while the judge and the kernel still differ in the same way.

use crate::ruleset::Rules;
use anyhow::Result;

/// The smallest ruleset found for which `fails` holds.
pub(crate) fn shrink(mut rules: Rules, mut fails: impl FnMut(&Rules) -> Result<bool>) -> Result<Rules> {
    loop {
        let before = rules.clone();
        for step in [tables, chains, halves, single_rules, unused, matches, actions, bases, sets, elements, sysctls] {
            let mut at = 0;
            while let Some(smaller) = step(&rules, at) {
                if smaller != rules && fails(&smaller)? {
                    rules = smaller;
                } else {
                    at += 1;
                }
            }
        }
        if rules == before {
            return Ok(rules);
        }
    }
}

fn tables(rules: &Rules, at: usize) -> Option<Rules> {
    let mut rules = rules.clone();
    (at < rules.tables.len()).then(|| rules.tables.remove(at))?;
    Some(rules)
}

/// The places of all chains: table and number in it.
fn places(rules: &Rules) -> Vec<(usize, usize)> {
    let each = |(t, table): (usize, &crate::ruleset::Table)| (0..table.chains.len()).map(move |c| (t, c));
    rules.tables.iter().enumerate().flat_map(each).collect()
}

/// The places of all rules.
fn rule_places(rules: &Rules) -> Vec<(usize, usize, usize)> {
    let each = |(t, c): (usize, usize)| (0..rules.tables[t].chains[c].rules.len()).map(move |r| (t, c, r));
    places(rules).into_iter().flat_map(each).collect()
}

fn chains(rules: &Rules, at: usize) -> Option<Rules> {
    let (t, c) = *places(rules).get(at)?;
    let mut rules = rules.clone();
    rules.tables[t].chains[c].rules.clear();
    Some(rules)
}

fn halves(rules: &Rules, at: usize) -> Option<Rules> {
    let (t, c) = *places(rules).get(at / 2)?;
    let mut rules = rules.clone();
    let all = &mut rules.tables[t].chains[c].rules;
    let half = all.len() / 2;
    if at.is_multiple_of(2) {
        all.drain(..half)
    } else {
        all.drain(half..)
    };
    Some(rules)
}

fn single_rules(rules: &Rules, at: usize) -> Option<Rules> {
    let (t, c, r) = *rule_places(rules).get(at)?;
    let mut rules = rules.clone();
    rules.tables[t].chains[c].rules.remove(r);
    Some(rules)
}

/// Chains themselves: one that is still jumped to cannot go, which the tool that loads says. Base chains of iptables stay.
fn unused(rules: &Rules, at: usize) -> Option<Rules> {
    let (t, c) = *places(rules).get(at)?;
    let mut rules = rules.clone();
    let table = &mut rules.tables[t];
    if table.family.is_empty() && !table.chains[c].base.is_empty() {
        return Some(rules);
    }
    table.chains.remove(c);
    Some(rules)
}

fn matches(rules: &Rules, at: usize) -> Option<Rules> {
    let all = rule_places(rules).into_iter();
    let each = |(t, c, r): (usize, usize, usize)| {
        (0..rules.tables[t].chains[c].rules[r].matches.len()).map(move |m| (t, c, r, m))
    };
    let (t, c, r, m) = all.flat_map(each).nth(at)?;
    let mut rules = rules.clone();
    rules.tables[t].chains[c].rules[r].matches.remove(m);
    Some(rules)
}

fn actions(rules: &Rules, at: usize) -> Option<Rules> {
    let (t, c, r) = *rule_places(rules).get(at)?;
    let mut rules = rules.clone();
    rules.tables[t].chains[c].rules[r].action.clear();
    Some(rules)
}

/// Policies.
fn bases(rules: &Rules, at: usize) -> Option<Rules> {
    let (t, c) = *places(rules).get(at)?;
    let mut rules = rules.clone();
    let base = &mut rules.tables[t].chains[c].base;
    *base = base.replace("DROP", "ACCEPT").replace("policy drop", "policy accept");
    Some(rules)
}

fn sets(rules: &Rules, at: usize) -> Option<Rules> {
    let mut rules = rules.clone();
    if at < rules.ipsets.len() {
        rules.ipsets.remove(at);
        return Some(rules);
    }
    let mut at = at - rules.ipsets.len();
    for table in &mut rules.tables {
        if at < table.sets.len() {
            table.sets.remove(at);
            return Some(rules);
        }
        at -= table.sets.len();
    }
    None
}

fn elements(rules: &Rules, mut at: usize) -> Option<Rules> {
    let mut rules = rules.clone();
    let sets = rules.ipsets.iter_mut().chain(rules.tables.iter_mut().flat_map(|t| &mut t.sets));
    for set in sets {
        if at < set.elements.len() {
            set.elements.remove(at);
            return Some(rules);
        }
        at -= set.elements.len();
    }
    None
}

fn sysctls(rules: &Rules, at: usize) -> Option<Rules> {
    let mut rules = rules.clone();
    let name = rules.sysctls.keys().nth(at)?.clone();
    let usual = if name.ends_with("rp_filter") { "0" } else { "1" };
    rules.sysctls.insert(name, usual.into());
    Some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate;
    use crate::ruleset::Backend;

    #[test]
    fn only_what_is_needed_stays() {
        let mut found = 0;
        for n in 0..40 {
            let rules = generate::round(3, n, Backend::Nft, false, 0).rules;
            let is_it = |r: &Rules| r.script().ruleset.contains("tcp dport");
            if !is_it(&rules) {
                continue;
            }
            found += 1;
            let small = shrink(rules, |r| Ok(is_it(r))).unwrap();
            assert_eq!(small.len(), 1, "{}", small.script().ruleset);
        }
        assert!(found > 10);
    }
}

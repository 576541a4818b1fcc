//! The causes, one file each, by gate.
//!
//! To add one: write `src/rules/GATE/SLUG.rs` with its page, its check and its tests, name it in the `causes!` list of
//! its gate's `mod.rs`, add its lab scenario, and run `cargo xtask gen`.

use crate::Rule;

mod access;
mod config;
pub(crate) mod container;
mod egress;
mod ingress;
pub(crate) mod listener;
mod name;
mod path;
pub(crate) mod route;
mod service;

/// Declares the modules of a gate's causes and their list. Of equally sure findings of one gate the one listed first is
/// reported, so the more specific cause stands before the more general one.
macro_rules! causes {
    ($($cause:ident),* $(,)?) => {
        $(mod $cause;)*
        pub(crate) static RULES: &[&crate::Rule] = &[$(&$cause::RULE),*];
    };
}
pub(crate) use causes;

/// Every rule, by gate in the packet's order.
pub fn registry() -> impl Iterator<Item = &'static Rule> {
    [
        name::RULES,
        route::RULES,
        egress::RULES,
        path::RULES,
        ingress::RULES,
        listener::RULES,
        access::RULES,
        service::RULES,
        config::RULES,
        container::RULES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The rule with that id.
pub fn find(id: &str) -> Option<&'static Rule> {
    registry().find(|rule| rule.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gate, HEADINGS};

    #[test]
    fn every_rule_has_its_gate_and_a_unique_id() {
        let mut ids: Vec<&str> = registry().map(|r| r.id).collect();
        for id in &ids {
            assert!(Gate::of_id(id).is_some(), "{id} names no gate");
        }
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "an id is used twice");
    }

    #[test]
    fn every_page_has_its_headings_in_order() {
        for rule in registry() {
            let page = rule.markdown();
            let found: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
            assert_eq!(found, HEADINGS, "page of {}", rule.id);
            assert!(!rule.title.is_empty(), "{} has no title", rule.id);
        }
    }

    #[test]
    fn every_reference_names_a_rule() {
        for rule in registry() {
            for id in rule.explains.iter().chain(rule.instead_of).filter(|id| !id.ends_with("/*")) {
                assert!(find(id).is_some(), "{} speaks of {id}, which is no rule", rule.id);
            }
            assert!(rule.begins || !rule.explains.is_empty(), "{} is never asked", rule.id);
        }
    }
}

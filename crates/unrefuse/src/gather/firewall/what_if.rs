//! What would become of a packet if a rule were not there.

use super::super::machine::LiveMachine;
use std::sync::Arc;
use unrefuse_firewall::answer::{Answer, RuleRef};
use unrefuse_firewall::judge::{Question, judge};
use unrefuse_firewall::machine::Machine;
use unrefuse_firewall::model::{Rule, Ruleset, Statement};

/// The judgement without that rule; `None` where its chain cannot be read.
pub(super) fn without(machine: &LiveMachine, question: &Question, gone: &RuleRef) -> Option<Answer> {
    let mut ruleset: Ruleset = machine.ruleset().clone();
    let table = ruleset
        .tables
        .iter_mut()
        .find(|t| t.family == gone.family && t.name == gone.table && t.backend == gone.backend)?;
    let chain = table.chains.get_mut(&gone.chain)?;
    let rules = if chain.unread { machine.chain(gone.family, &gone.table, &gone.chain)? } else { chain.rules.clone() };
    // The rule is emptied, not taken out, so that the others keep their numbers.
    let rest = rules.iter().map(|rule| match rule.number == gone.number {
        true => Rule { statements: vec![Statement::Note("taken away".to_owned())], ..rule.clone() },
        false => rule.clone(),
    });
    chain.rules = Arc::new(rest.collect());
    chain.unread = false;
    Some(judge(&ruleset, machine, question))
}

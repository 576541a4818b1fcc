//! What would become of a packet if a rule were not there, or let it through.

use super::super::machine::LiveMachine;
use std::sync::Arc;
use unrefuse_firewall::answer::{Answer, Decider};
use unrefuse_firewall::judge::{Question, judge};
use unrefuse_firewall::machine::Machine;
use unrefuse_firewall::model::{Base, Cond, Expr, Field, Header, Op, Policy, Rule, Ruleset, Statement, Verdict};

/// The judgement without that rule, or with another policy; `None` where the stack decided, or the chain cannot be read.
pub(super) fn without(machine: &LiveMachine, question: &Question, gone: &Decider) -> Option<Answer> {
    changed(machine, question, gone, |rules, base| match gone {
        Decider::Rule(rule) => {
            // The rule is emptied, not taken out, so that the others keep their numbers.
            if let Some(other) = rules.iter_mut().find(|other| other.number == rule.number) {
                other.statements = vec![Statement::Note("taken away".to_owned())];
            }
        }
        _ => {
            if let Some(base) = base {
                base.policy = Policy::Accept;
            }
        }
    })
}

/// The judgement with a rule before the deciding one, or before the policy, that lets packets to the question's port
/// through, and those only: what becomes of the answers then.
pub(super) fn letting_in(machine: &LiveMachine, question: &Question, decider: &Decider) -> Option<Answer> {
    let port = Field::Payload { base: Header::Transport, offset: 16, len: 16 };
    let to_port = Cond::Compare { left: Expr::Field(port), op: Op::Eq, right: question.packet.dport()?.into() };
    let statements = vec![Statement::If(to_port), Statement::Verdict(Verdict::Accept)];
    changed(machine, question, decider, |rules, _| {
        let at = match decider {
            Decider::Rule(rule) => rules.iter().position(|other| other.number == rule.number),
            _ => None,
        };
        let new = Rule { text: "a rule for the port".into(), statements, ..Rule::default() };
        rules.insert(at.unwrap_or(rules.len()), new);
    })
}

fn changed(
    machine: &LiveMachine,
    question: &Question,
    decider: &Decider,
    change: impl FnOnce(&mut Vec<Rule>, Option<&mut Base>),
) -> Option<Answer> {
    let mut ruleset: Ruleset = machine.ruleset().clone();
    let (family, table, backend, name) = match decider {
        Decider::Rule(rule) => (rule.family, &rule.table, rule.backend, &rule.chain),
        Decider::Policy(policy) => (policy.family, &policy.table, policy.backend, &policy.chain),
        Decider::Stack(_) => return None,
    };
    let mut tables = ruleset.tables.iter_mut();
    let chain =
        tables.find(|t| t.family == family && t.name == *table && t.backend == backend)?.chains.get_mut(name)?;
    let mut rules = if chain.unread { machine.chain(family, table, name)?.to_vec() } else { chain.rules.to_vec() };
    change(&mut rules, chain.base.as_mut());
    chain.rules = Arc::new(rules.into());
    chain.unread = false;
    Some(judge(&ruleset, machine, question))
}

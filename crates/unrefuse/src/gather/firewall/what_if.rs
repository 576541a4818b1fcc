//! What would become of a packet if a rule were not there, or let it through.

use super::super::machine::LiveMachine;
use super::imagined::Imagined;
use std::sync::Arc;
use unrefuse_firewall::answer::{Answer, Decider, StackReason};
use unrefuse_firewall::judge::{Question, judge};
use unrefuse_firewall::machine::Machine;
use unrefuse_firewall::model::{Base, Cond, Expr, Field, Header, Op, Policy, Rule, Ruleset, Statement, Verdict};

/// The judgement without that rule, or with another policy; `None` where the stack decided, or the chain cannot be read.
pub(super) fn without(machine: &LiveMachine, question: &Question, gone: &Decider) -> Option<Answer> {
    let mut ruleset: Ruleset = machine.ruleset().clone();
    changed(&mut ruleset, machine, gone, |rules, base| match gone {
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
    })?;
    Some(judge(&ruleset, machine, question))
}

/// So many places that stop a packet one after the other are looked for.
const STOPS: usize = 4;

/// What becomes of a packet that is stopped, were it let through there, and wherever it is stopped then.
#[derive(Default)]
pub(super) struct LetIn {
    /// The later places that stop it, in order.
    pub(super) stops: Vec<Answer>,
    /// What is said of it at last, where it gets through.
    pub(super) passes: Option<Answer>,
}

/// Lets packets to the question's port through, and those only, by a rule before the deciding one, or before the policy;
/// where forwarding is off, by switching it on.
pub(super) fn let_in(machine: &LiveMachine, question: &Question, answer: &Answer) -> LetIn {
    let mut found = LetIn::default();
    let mut machine = Imagined::of(machine);
    let mut ruleset: Ruleset = if answer.fate.is_stopped() { machine.machine.ruleset().clone() } else { return found };
    let ports = [question.packet.dport(), answer.translated.as_ref().and_then(|t| t.dport)];
    let mut last = answer.clone();
    for _ in 0..STOPS {
        let Some(decider) = last.decided_by.clone() else { break };
        match &decider {
            Decider::Stack(StackReason::ForwardingOff(_)) if !machine.forwards => machine.forwards = true,
            Decider::Stack(_) => break,
            _ => {
                let statements = vec![Statement::If(to_one_of(ports)), Statement::Verdict(Verdict::Accept)];
                let inserted = changed(&mut ruleset, machine.machine, &decider, |rules, _| {
                    let at = match &decider {
                        Decider::Rule(rule) => rules.iter().position(|other| other.number == rule.number),
                        _ => None,
                    };
                    let new = Rule { text: "a rule for the port".into(), statements, ..Rule::default() };
                    rules.insert(at.unwrap_or(rules.len()), new);
                });
                if inserted.is_none() {
                    break;
                }
            }
        }
        let next = judge(&ruleset, &machine, question);
        if next.fate.is_accepted() {
            found.passes = Some(next);
            break;
        }
        // The same again: the rule for the port does not meet the packet there.
        if !next.fate.is_stopped() || next.decided_by.as_ref() == Some(&decider) {
            break;
        }
        found.stops.push(next.clone());
        last = next;
    }
    found
}

/// Behind a translation the port is another one.
fn to_one_of(ports: [Option<u16>; 2]) -> Cond {
    let field = || Expr::Field(Field::Payload { base: Header::Transport, offset: 16, len: 16 });
    let to = |port: u16| Cond::Compare { left: field(), op: Op::Eq, right: port.into() };
    Cond::Any(ports.into_iter().flatten().map(to).collect())
}

/// Changes the chain that decided; `None` where the stack did, or the chain cannot be read.
fn changed(
    ruleset: &mut Ruleset,
    machine: &LiveMachine,
    decider: &Decider,
    change: impl FnOnce(&mut Vec<Rule>, Option<&mut Base>),
) -> Option<()> {
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
    Some(())
}

//! Packets that this machine's filters mark are routed anew by that: their way is another one than the one that connect(2)
//! was told.

use super::super::machine::LiveMachine;
use super::super::{next_hop, stopping_rule};
use super::convert::filter_rule;
use std::sync::Arc;
use unrefuse_collect::Host;
use unrefuse_facts::{Case, Marking};
use unrefuse_firewall::answer::{Answer, Decider};
use unrefuse_firewall::judge::Question;
use unrefuse_firewall::model::Hook;

/// The mark by which the question's packet is routed anew, the rule that sets it, and what the kernel says of such a packet.
pub(super) fn marking(
    machine: &LiveMachine,
    question: &Question,
    answer: &Answer,
    host: &Arc<dyn Host>,
) -> Option<Marking> {
    let mark = answer.rerouted_by?;
    let by = answer.way.iter().rev().find_map(|step| match &step.by {
        Decider::Rule(rule) if step.hook == Hook::Output && step.what.starts_with("meta mark set") => Some(rule),
        _ => None,
    });
    let (source, destination) = (machine.source(question.packet.dst), question.packet.dst);
    let decision = host.route_marked(mark, source, destination);
    Some(Marking {
        mark,
        by: by.map(|rule| filter_rule(machine, question, rule)),
        rule: stopping_rule(&decision, mark, source, destination, host),
        decision,
    })
}

/// The way of marked packets takes the place of the other one, which stays as an alternative.
pub(in crate::gather) fn apply(case: &mut Case, host: &Arc<dyn Host>) {
    let marked: Vec<_> = case.firewall.value().into_iter().flat_map(|facts| &facts.judgements).cloned().collect();
    for (address, marking) in marked.into_iter().filter_map(|judged| Some((judged.address.ip(), judged.marked?))) {
        let Some(index) = case.routing.iter().position(|routing| routing.destination == address) else { continue };
        let usual = case.routing[index].decision.value().and_then(|decision| decision.via()).cloned();
        let routing = &mut case.routing[index];
        if let (Some(usual), unrefuse_facts::Observed::Known { value, .. }) = (usual, &mut routing.alternatives) {
            value.insert(0, usual);
        }
        (routing.decision, routing.rule, routing.mark) = (marking.decision, marking.rule, Some(marking.mark));
        if let Some((hop, link)) = next_hop(case, address) {
            case.routing[index].neighbour = host.neighbour(hop, link);
        }
    }
}

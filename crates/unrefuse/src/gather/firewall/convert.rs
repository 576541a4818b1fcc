//! The judge's answers as facts.

use super::super::machine::LiveMachine;
use super::set_hit::set_hit;
use super::what_if::{self, LetIn};
use std::net::{IpAddr, SocketAddr};
use unrefuse_facts as facts;
use unrefuse_facts::{AttemptOutcome, Errno, Observed};
use unrefuse_firewall::answer::{Answer, ChainRef, ClientSees, Decider, Fate, Reply, RuleRef, StackReason, Step};
use unrefuse_firewall::judge::{Question, Way};
use unrefuse_firewall::machine::Machine;
use unrefuse_firewall::model::{self, Backend, Hook, Reject, Rule, Table};
use unrefuse_firewall::owner::{self, Owner};

/// What the judge says of the question's packet, and of the answer to it.
pub(super) fn both_ways(
    machine: &LiveMachine,
    question: &Question,
    answer: &Answer,
    let_in: &LetIn,
) -> (facts::Judgement, Option<facts::Judgement>) {
    (told(machine, question, answer, let_in), reply(machine, question, answer, let_in))
}

/// What the judge says of the question's packet.
pub(super) fn judgement(machine: &LiveMachine, question: &Question, answer: &Answer) -> facts::Judgement {
    told(machine, question, answer, &what_if::let_in(machine, question, answer))
}

fn told(machine: &LiveMachine, question: &Question, answer: &Answer, let_in: &LetIn) -> facts::Judgement {
    let to = match &answer.fate {
        Fate::Accepted { to } => to.first(),
        _ => None,
    };
    // What the later chains do shows only where the deciding one is thought away.
    let rest = answer.decided_by.as_ref().filter(|_| answer.fate.is_stopped());
    let rest = rest.and_then(|decider| what_if::without(machine, question, decider));
    let whole_way = rest.as_ref().map_or(answer.way.as_slice(), |rest| rest.way.as_slice());
    facts::Judgement {
        fate: fate(&answer.fate, question.packet.dst),
        decided_by: answer.decided_by.as_ref().map(|d| decider(machine, question, d, &answer.way)),
        accepted_by: accepted_by(machine, question, whole_way, answer.decided_by.as_ref()),
        later_accept: match (&answer.decided_by, &rest) {
            (Some(Decider::Rule(rule)), Some(rest)) => later_accept(machine, question, rule, rest),
            _ => None,
        },
        translated: translated(machine, question, answer),
        arrives_by: match &question.way {
            Way::In { iif } => iif.clone(),
            Way::Out => None,
        },
        forwarded_by: to.filter(|to| !to.local && matches!(question.way, Way::In { .. })).and_then(|to| to.oif.clone()),
        way: answer.way.iter().map(way_step).collect(),
        client_sees: client_sees(&answer.client_sees),
        assumptions: answer.assumptions.clone(),
        ignored: answer.ignored.clone(),
        behind: behind(machine, question, let_in),
        without: rest
            .as_ref()
            .filter(|rest| rest.fate.is_stopped())
            .map(|rest| Box::new(stop(machine, question, rest))),
    }
}

/// What stops the packet behind the place that stops it first, and so on.
fn behind(machine: &LiveMachine, question: &Question, let_in: &LetIn) -> Option<Box<facts::Judgement>> {
    let mut found = None;
    for later in let_in.stops.iter().rev() {
        found = Some(Box::new(facts::Judgement { behind: found.take(), ..stop(machine, question, later) }));
    }
    found
}

/// What stops the packet, and no more.
fn stop(machine: &LiveMachine, question: &Question, answer: &Answer) -> facts::Judgement {
    facts::Judgement {
        decided_by: answer.decided_by.as_ref().map(|d| decider(machine, question, d, &answer.way)),
        ..plain(fate(&answer.fate, question.packet.dst))
    }
}

/// Only that much is known of the packet.
pub(super) fn plain(fate: facts::Fate) -> facts::Judgement {
    facts::Judgement {
        fate,
        decided_by: None,
        accepted_by: Vec::new(),
        later_accept: None,
        translated: None,
        arrives_by: None,
        forwarded_by: None,
        way: Vec::new(),
        client_sees: facts::ClientSees::Unclear,
        assumptions: Vec::new(),
        ignored: Vec::new(),
        behind: None,
        without: None,
    }
}

/// What the judge says of the answer to the question's packet; of a packet that is stopped, what it would say of the
/// answer were it let through.
fn reply(machine: &LiveMachine, question: &Question, answer: &Answer, let_in: &LetIn) -> Option<facts::Judgement> {
    let answer = if answer.fate.is_stopped() { let_in.passes.as_ref()? } else { answer };
    let judgement = later(machine, question, answer.reply.as_ref()?);
    Some(facts::Judgement { client_sees: client_sees(&answer.client_sees), ..judgement })
}

/// What the judge says of a packet that follows the question's.
pub(super) fn later(machine: &LiveMachine, question: &Question, packet: &Reply) -> facts::Judgement {
    facts::Judgement {
        decided_by: packet.decided_by.as_ref().map(|d| decider(machine, question, d, &packet.way)),
        way: packet.way.iter().map(way_step).collect(),
        ..plain(fate(&packet.fate, question.packet.dst))
    }
}

fn fate(fate: &Fate, destination: IpAddr) -> facts::Fate {
    match fate {
        Fate::Accepted { .. } => facts::Fate::Accepted,
        Fate::Dropped => facts::Fate::Dropped,
        Fate::Rejected(reject) => facts::Fate::Rejected(match reject {
            Reject::TcpReset => facts::RejectKind::TcpReset,
            Reject::Icmp(kind, code) | Reject::Icmp6(kind, code) => {
                facts::RejectKind::Icmp { kind: *kind, code: *code }
            }
            Reject::Icmpx(code) => {
                let (kind, code) = icmpx(*code, destination.is_ipv6());
                facts::RejectKind::Icmp { kind, code }
            }
        }),
        Fate::NotSent(errno) => match Errno::from_name(errno) {
            Some(errno) => facts::Fate::NotSent(errno),
            None => facts::Fate::Unknown { reason: format!("the call fails with {errno}") },
        },
        Fate::Depends { reason, fates, .. } => facts::Fate::Depends {
            reason: reason.clone(),
            fates: fates.iter().map(|f| self::fate(f, destination)).collect(),
        },
        Fate::Unknown(reason) => facts::Fate::Unknown { reason: reason.clone() },
    }
}

/// `nft_reject_icmp_code` and `nft_reject_icmpv6_code` of net/netfilter/nft_reject.c.
fn icmpx(code: u8, v6: bool) -> (u8, u8) {
    match (code, v6) {
        (0, false) => (3, 0),
        (1, false) => (3, 3),
        (2, false) => (3, 1),
        (_, false) => (3, 13),
        (0, true) => (1, 0),
        (1, true) => (1, 4),
        (2, true) => (1, 3),
        (_, true) => (1, 1),
    }
}

fn client_sees(sees: &ClientSees) -> facts::ClientSees {
    let errno = sees.tcp_errno().and_then(Errno::from_name);
    let outcome = match (sees, errno) {
        (ClientSees::Answer, _) => return facts::ClientSees::Answer,
        (ClientSees::Unclear, _) => return facts::ClientSees::Unclear,
        (ClientSees::Silence, _) => AttemptOutcome::TimedOut,
        (_, Some(Errno::ECONNREFUSED)) => AttemptOutcome::Refused,
        (_, Some(Errno::EACCES | Errno::EPERM)) => AttemptOutcome::Denied,
        _ => AttemptOutcome::Unreachable,
    };
    facts::ClientSees::Failure { outcome, errno }
}

pub(super) fn family(family: model::Family) -> facts::TableFamily {
    match family {
        model::Family::Ip => facts::TableFamily::Ip,
        model::Family::Ip6 => facts::TableFamily::Ip6,
        model::Family::Inet => facts::TableFamily::Inet,
        model::Family::Arp => facts::TableFamily::Arp,
        model::Family::Bridge => facts::TableFamily::Bridge,
        model::Family::Netdev => facts::TableFamily::Netdev,
    }
}

pub(super) fn backend(backend: Backend) -> facts::FilterBackend {
    match backend {
        Backend::Legacy => facts::FilterBackend::Legacy,
        Backend::Nft => facts::FilterBackend::Nft,
        Backend::IptablesNft => facts::FilterBackend::IptablesNft,
        Backend::Iptables => facts::FilterBackend::Iptables,
    }
}

fn hook(hook: Hook) -> facts::FilterHook {
    match hook {
        Hook::Ingress => facts::FilterHook::Ingress,
        Hook::Prerouting => facts::FilterHook::Prerouting,
        Hook::Input => facts::FilterHook::Input,
        Hook::Forward => facts::FilterHook::Forward,
        Hook::Output => facts::FilterHook::Output,
        Hook::Postrouting => facts::FilterHook::Postrouting,
        Hook::Egress => facts::FilterHook::Egress,
    }
}

fn counters(counters: Option<model::Counters>) -> Option<facts::RuleCounters> {
    counters.map(|c| facts::RuleCounters { packets: c.packets, bytes: c.bytes })
}

/// The table that a rule or policy belongs to.
pub(super) fn table<'m>(
    machine: &'m LiveMachine,
    family: model::Family,
    name: &str,
    backend: Backend,
) -> Option<&'m Table> {
    machine.ruleset().tables.iter().find(|t| t.family == family && t.name == name && t.backend == backend)
}

/// The rule itself, read again where the chain is read only on demand.
fn rule_itself(machine: &LiveMachine, at: &RuleRef) -> Option<Rule> {
    let chain = table(machine, at.family, &at.table, at.backend)?.chains.get(&at.chain)?;
    let rules = if chain.unread { machine.chain(at.family, &at.table, &at.chain)? } else { chain.rules.clone() };
    rules.iter().find(|r| r.number == at.number && (at.handle.is_none() || r.handle == at.handle)).cloned()
}

fn owner(
    machine: &LiveMachine,
    at: (model::Family, &str, Backend),
    chain: &str,
    rule: Option<&Rule>,
) -> facts::RuleOwner {
    let Some(table) = table(machine, at.0, at.1, at.2) else { return facts::RuleOwner::Hand };
    match owner::owner_read(table, machine, chain, rule) {
        Owner::Ufw => facts::RuleOwner::Ufw { rule: None },
        Owner::Firewalld { zone } => facts::RuleOwner::Firewalld { zone },
        Owner::Docker => facts::RuleOwner::Docker,
        Owner::KubeProxy { service } => facts::RuleOwner::KubeProxy { service },
        Owner::Fail2ban { jail } => facts::RuleOwner::Fail2ban { jail },
        Owner::Program(name) => facts::RuleOwner::Program { name: name.to_owned() },
        Owner::Hand => facts::RuleOwner::Hand,
    }
}

pub(super) fn filter_rule(machine: &LiveMachine, question: &Question, at: &RuleRef) -> facts::FilterRule {
    let itself = rule_itself(machine, at);
    facts::FilterRule {
        place: facts::ChainPlace {
            family: family(at.family),
            table: at.table.clone(),
            backend: backend(at.backend),
            chain: at.chain.clone(),
            hook: hook(at.hook),
            priority: priority(machine, at.family, &at.table, at.backend, &at.chain),
        },
        number: at.number,
        handle: at.handle,
        line: at.line,
        text: at.text.clone(),
        comment: at.comment.clone(),
        counters: counters(at.counters),
        owner: owner(machine, (at.family, &at.table, at.backend), &at.chain, itself.as_ref()),
        set: itself.and_then(|rule| {
            let table = table(machine, at.family, &at.table, at.backend);
            set_hit(machine, question, table, at, &rule)
        }),
    }
}

fn priority(machine: &LiveMachine, family: model::Family, name: &str, backend: Backend, chain: &str) -> Option<i32> {
    Some(table(machine, family, name, backend)?.chains.get(chain)?.base.as_ref()?.priority)
}

fn decider(machine: &LiveMachine, question: &Question, decider: &Decider, way: &[Step]) -> facts::Decider {
    match decider {
        Decider::Rule(at) => facts::Decider::Rule(filter_rule(machine, question, at)),
        Decider::Policy(at) => facts::Decider::Policy(facts::ChainPolicy {
            place: facts::ChainPlace {
                family: family(at.family),
                table: at.table.clone(),
                backend: backend(at.backend),
                chain: at.chain.clone(),
                hook: hook(at.hook),
                priority: priority(machine, at.family, &at.table, at.backend, &at.chain),
            },
            counters: counters(at.counters),
            owner: owner(machine, (at.family, &at.table, at.backend), &at.chain, None),
            left_by: left_by(at, way).map(|rule| Box::new(filter_rule(machine, question, rule))),
        }),
        Decider::Stack(reason) => facts::Decider::Stack(stack(reason)),
    }
}

/// The rule of a base chain by which the packet left it for its policy.
fn left_by<'a>(chain: &ChainRef, way: &'a [Step]) -> Option<&'a RuleRef> {
    way.iter().rev().find_map(|step| match &step.by {
        Decider::Rule(rule)
            if (rule.family, rule.backend, &rule.table, &rule.chain)
                == (chain.family, chain.backend, &chain.table, &chain.chain)
                && (step.what == "return" || step.what.starts_with("goto ")) =>
        {
            Some(&**rule)
        }
        _ => None,
    })
}

fn stack(reason: &StackReason) -> facts::StackReason {
    match reason {
        StackReason::ForwardingOff(sysctl) => facts::StackReason::ForwardingOff { sysctl: sysctl.clone() },
        StackReason::RpFilter { sysctl, expected } => {
            facts::StackReason::RpFilter { sysctl: sysctl.clone(), expected: expected.clone() }
        }
        other => facts::StackReason::Other { text: stack_text(other) },
    }
}

fn stack_text(reason: &StackReason) -> String {
    match reason {
        StackReason::ForwardingOff(sysctl) => format!("forwarding is off ({sysctl})"),
        StackReason::RpFilter { sysctl, .. } => format!("the reverse path filter ({sysctl})"),
        StackReason::MartianSource => "the source is an address that no packet on a wire may have".to_owned(),
        StackReason::MartianDestination => "the destination is an address that no packet on a wire may have".to_owned(),
        StackReason::NoRoute => "there is no route to the destination".to_owned(),
        StackReason::Route(kind) => format!("a {kind:?} route").to_lowercase(),
        StackReason::NotUnicast => "the destination is a broadcast or multicast address".to_owned(),
        StackReason::RedirectWithoutAddress => "REDIRECT on an interface without an address".to_owned(),
        StackReason::ProxiedElsewhere => "TPROXY of a packet that is routed to another host".to_owned(),
    }
}

/// Accepting rules of chains in other tables than the deciding one's.
fn accepted_by(
    machine: &LiveMachine,
    question: &Question,
    way: &[Step],
    decided: Option<&Decider>,
) -> Vec<facts::FilterRule> {
    let decider = match decided {
        Some(Decider::Rule(rule)) => Some((rule.family, rule.table.clone(), rule.backend, rule.hook)),
        Some(Decider::Policy(policy)) => Some((policy.family, policy.table.clone(), policy.backend, policy.hook)),
        _ => None,
    };
    way.iter()
        .filter(|step| step.what.starts_with("accept"))
        .filter_map(|step| match &step.by {
            Decider::Rule(rule) => Some(rule),
            _ => None,
        })
        .filter(|rule| decider.as_ref() != Some(&(rule.family, rule.table.clone(), rule.backend, rule.hook)))
        .map(|rule| filter_rule(machine, question, rule))
        .collect()
}

/// The rule that would accept the packet if the deciding rule were not there, where it stands in the same table.
fn later_accept(
    machine: &LiveMachine,
    question: &Question,
    rule: &RuleRef,
    answer: &Answer,
) -> Option<facts::FilterRule> {
    if !answer.fate.is_accepted() {
        return None;
    }
    let accepts = answer.way.iter().rev().find_map(|step| match &step.by {
        Decider::Rule(other) if step.what.starts_with("accept") => Some(other),
        _ => None,
    })?;
    let same_chain = accepts.table == rule.table
        && accepts.family == rule.family
        && accepts.backend == rule.backend
        && accepts.hook == rule.hook
        && !(accepts.chain == rule.chain && accepts.number < rule.number);
    same_chain.then(|| filter_rule(machine, question, accepts))
}

fn translated(machine: &LiveMachine, question: &Question, answer: &Answer) -> Option<facts::Translation> {
    let new = answer.translated.as_ref()?;
    let to = SocketAddr::new(new.dst.unwrap_or(question.packet.dst), new.dport.or(question.packet.dport())?);
    if to.ip() == question.packet.dst && Some(to.port()) == question.packet.dport() {
        return None;
    }
    let by = filter_rule(machine, question, translating(answer)?);
    Some(facts::Translation { to, by, probed: Observed::default() })
}

/// The rule that changed the packet's destination.
pub(super) fn translating(answer: &Answer) -> Option<&RuleRef> {
    answer.way.iter().find_map(|step| match &step.by {
        Decider::Rule(rule) if step.what.starts_with("dnat") || step.what.starts_with("redirect") => Some(&**rule),
        _ => None,
    })
}

fn way_step(step: &Step) -> facts::WayStep {
    let at = |hook, table: String, chain: &str, text: String| facts::WayStep { hook, table, chain: chain.into(), text };
    match &step.by {
        Decider::Rule(rule) => {
            let table = format!("{} {}", family_name(rule.family), rule.table);
            at(hook(step.hook), table, &rule.chain, format!("{}: {}", rule.text, step.what))
        }
        Decider::Policy(policy) => {
            let table = format!("{} {}", family_name(policy.family), policy.table);
            at(hook(step.hook), table, &policy.chain, format!("policy: {}", step.what))
        }
        Decider::Stack(reason) => {
            at(hook(step.hook), String::new(), "", format!("{}: {}", stack_text(reason), step.what))
        }
    }
}

fn family_name(family: model::Family) -> &'static str {
    match family {
        model::Family::Ip => "ip",
        model::Family::Ip6 => "ip6",
        model::Family::Inet => "inet",
        model::Family::Arp => "arp",
        model::Family::Bridge => "bridge",
        model::Family::Netdev => "netdev",
    }
}

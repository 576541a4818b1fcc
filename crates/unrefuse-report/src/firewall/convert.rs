//! From the judge's answer to the report.

use super::words::{self, backend, family, hook};
use super::{
    ClientSees, Counters, Decider, Destination, Fate, Owner, Question, Reply, Report, SCHEMA, Step, Translated,
};
use unrefuse_firewall::answer::{self, Answer};
use unrefuse_firewall::model;
use unrefuse_firewall::owner;

/// Tells which program made a rule or policy, and which file holds it.
pub type Made<'a> = &'a dyn Fn(&answer::Decider) -> (Option<owner::Owner>, Option<String>);

/// The report of `answer` to `question`. `problems` are those of the rulesets.
pub fn report(question: Question, answer: &Answer, problems: Vec<String>, made: Made<'_>) -> Report {
    let udp = question.protocol == "udp";
    let decided_by = answer.decided_by.as_ref().map(|by| decider(by, None, made));
    let (reason, may_be) = open(&answer.fate);
    Report {
        schema: SCHEMA,
        fate: fate(&answer.fate),
        rejected_with: match &answer.fate {
            answer::Fate::Rejected(reject) => Some(words::reject(*reject)),
            answer::Fate::NotSent(errno) => Some((*errno).to_owned()),
            _ => None,
        },
        reason,
        may_be,
        destinations: match &answer.fate {
            answer::Fate::Accepted { to } => to.iter().map(destination).collect(),
            _ => Vec::new(),
        },
        also_decided_by: answer.also.iter().map(|by| decider(by, None, made)).collect(),
        way: way(&answer.way, answer.decided_by.as_ref(), made),
        decided_by,
        client_sees: sees(&answer.client_sees, udp),
        translated: answer.translated.as_ref().map(|t| Translated {
            from: t.src,
            source_port: t.sport,
            to: t.dst,
            port: t.dport,
        }),
        reply: answer.reply.as_ref().map(|reply| Reply {
            fate: fate(&reply.fate),
            reason: open(&reply.fate).0,
            decided_by: reply.decided_by.as_ref().map(|by| decider(by, None, made)),
            way: way(&reply.way, reply.decided_by.as_ref(), made),
        }),
        assumptions: answer.assumptions.clone(),
        ignored: answer.ignored.clone(),
        problems,
        question,
    }
}

fn fate(fate: &answer::Fate) -> Fate {
    match fate {
        answer::Fate::Accepted { .. } => Fate::Accepted,
        answer::Fate::Dropped => Fate::Dropped,
        answer::Fate::Rejected(_) => Fate::Rejected,
        answer::Fate::NotSent(_) => Fate::NotSent,
        answer::Fate::Depends { .. } => Fate::Depends,
        answer::Fate::Unknown(_) => Fate::Unknown,
    }
}

/// Why a fate is open, and what it may be.
fn open(open: &answer::Fate) -> (Option<String>, Vec<Fate>) {
    match open {
        answer::Fate::Depends { reason, fates, .. } => {
            let mut may_be: Vec<Fate> = Vec::new();
            for one in fates.iter().map(fate) {
                if !may_be.contains(&one) {
                    may_be.push(one);
                }
            }
            (Some(reason.clone()), may_be)
        }
        answer::Fate::Unknown(reason) => (Some(reason.clone()), Vec::new()),
        _ => (None, Vec::new()),
    }
}

fn destination(to: &answer::Destination) -> Destination {
    Destination { address: to.address, port: to.port, local: to.local, iface: to.oif.clone() }
}

fn way(steps: &[answer::Step], decided_by: Option<&answer::Decider>, made: Made<'_>) -> Vec<Step> {
    // A rule may be met several times; the last time is when it decided.
    let decides = steps.iter().rposition(|step| Some(&step.by) == decided_by);
    let step = |(index, step): (usize, &answer::Step)| Step {
        by: decider(&step.by, Some(step.hook), made),
        does: step.what.clone(),
        decides: Some(index) == decides,
    };
    steps.iter().enumerate().map(step).collect()
}

fn decider(by: &answer::Decider, at: Option<model::Hook>, made: Made<'_>) -> Decider {
    let counted = |c: model::Counters| Counters { packets: c.packets, bytes: c.bytes };
    let (owner, file) = made(by);
    let owner = owner.and_then(named);
    match by {
        answer::Decider::Rule(rule) => Decider {
            kind: "rule",
            hook: hook(at.unwrap_or(rule.hook)),
            family: Some(family(rule.family)),
            table: Some(rule.table.clone()),
            backend: Some(backend(rule.backend)),
            chain: Some(rule.chain.clone()),
            number: Some(rule.number),
            handle: rule.handle,
            file,
            line: rule.line,
            text: Some(rule.text.clone()),
            comment: rule.comment.clone(),
            counters: rule.counters.map(counted),
            owner,
        },
        answer::Decider::Policy(chain) => Decider {
            kind: "policy",
            hook: hook(at.unwrap_or(chain.hook)),
            family: Some(family(chain.family)),
            table: Some(chain.table.clone()),
            backend: Some(backend(chain.backend)),
            chain: Some(chain.chain.clone()),
            number: None,
            handle: None,
            file,
            line: None,
            text: None,
            comment: None,
            counters: chain.counters.map(counted),
            owner,
        },
        answer::Decider::Stack(reason) => Decider {
            kind: "stack",
            // The stack decides where a packet goes on between PREROUTING and what follows, unless a step says otherwise.
            hook: hook(at.unwrap_or(model::Hook::Prerouting)),
            family: None,
            table: None,
            backend: None,
            chain: None,
            number: None,
            handle: None,
            file: None,
            line: None,
            text: Some(words::stack(reason)),
            comment: None,
            counters: None,
            owner: None,
        },
    }
}

fn named(owner: owner::Owner) -> Option<Owner> {
    let (name, part) = match owner {
        owner::Owner::Ufw => ("ufw", None),
        owner::Owner::Firewalld { zone } => ("firewalld", zone),
        owner::Owner::Docker => ("Docker", None),
        owner::Owner::KubeProxy { service } => ("kube-proxy", service),
        owner::Owner::Fail2ban { jail } => ("fail2ban", jail),
        owner::Owner::Program(name) => (name, None),
        owner::Owner::Hand => return None,
    };
    Some(Owner { name: name.to_owned(), part })
}

fn sees(seen: &answer::ClientSees, udp: bool) -> ClientSees {
    let plain = |kind| ClientSees { kind, icmp_version: None, icmp_type: None, icmp_code: None, errno: None };
    let errno = if udp { udp_errno(seen) } else { seen.tcp_errno() };
    match seen {
        answer::ClientSees::Answer => plain("answer"),
        answer::ClientSees::Silence => ClientSees { errno, ..plain("silence") },
        answer::ClientSees::Reset => ClientSees { errno, ..plain("reset") },
        answer::ClientSees::Icmp { v6, kind, code } => ClientSees {
            icmp_version: Some(if *v6 { 6 } else { 4 }),
            icmp_type: Some(*kind),
            icmp_code: Some(*code),
            errno,
            ..plain("icmp")
        },
        answer::ClientSees::Errno(errno) => ClientSees { errno: Some(errno), ..plain("errno") },
        answer::ClientSees::Unclear => plain("unclear"),
    }
}

/// The error of a connected UDP socket: ICMP errors that are not "fatal" in the kernel's tables do not reach it
/// (net/ipv4/icmp.c `icmp_err_convert`, net/ipv6/icmp.c `tab_unreach`; net/ipv4/udp.c `__udp4_lib_err`).
fn udp_errno(seen: &answer::ClientSees) -> Option<&'static str> {
    match seen {
        answer::ClientSees::Icmp { v6: false, kind: 3, code } => {
            (!matches!(code, 0 | 1 | 4 | 5 | 11 | 12)).then(|| seen.tcp_errno()).flatten()
        }
        answer::ClientSees::Icmp { v6: true, kind: 1, code } => {
            matches!(code, 1 | 4..=6).then(|| seen.tcp_errno()).flatten()
        }
        answer::ClientSees::Errno(errno) => Some(errno),
        _ => None,
    }
}

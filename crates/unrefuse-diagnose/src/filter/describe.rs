//! Rules, chains and their owners in words.

use super::{Leg, Stop};
use crate::View;
use crate::report::Evidence;
use unrefuse_facts::text::{clip, visible};
use unrefuse_facts::{
    ChainPlace, Decider, Fate, FilterBackend, FilterRule, RuleCounters, RuleOwner, SetKind, StackReason, TableFamily,
};

/// Longest rule text that is shown whole.
const LONGEST: usize = 300;

/// How much of what was taken for granted is shown.
const ASSUMPTIONS: usize = 3;

/// Text from a ruleset, safe and of bounded length.
pub(crate) fn safe(text: &str) -> String {
    clip(&visible(text), LONGEST)
}

/// `chain INPUT (iptables, table filter)`, `chain input (nft, table inet filter)`.
pub(crate) fn place(place: &ChainPlace) -> String {
    format!("chain {} ({})", safe(&place.chain), table(place))
}

fn table(place: &ChainPlace) -> String {
    let v6 = place.family == TableFamily::Ip6;
    let tool = match place.backend {
        FilterBackend::Nft => return format!("nft, table {} {}", family(place.family), safe(&place.table)),
        FilterBackend::Legacy if v6 => "ip6tables-legacy",
        FilterBackend::Legacy => "iptables-legacy",
        _ if v6 => "ip6tables",
        _ => "iptables",
    };
    format!("{tool}, table {}", safe(&place.table))
}

/// nft's word for a family.
pub(crate) fn family(family: TableFamily) -> &'static str {
    match family {
        TableFamily::Ip => "ip",
        TableFamily::Ip6 => "ip6",
        TableFamily::Inet => "inet",
        TableFamily::Arp => "arp",
        TableFamily::Bridge => "bridge",
        TableFamily::Netdev => "netdev",
    }
}

/// A rule in a few words: `rule 3 of chain INPUT (iptables, table filter)`.
pub(crate) fn short(rule: &FilterRule) -> String {
    format!("rule {} of {}", rule.number, place(&rule.place))
}

/// A rule with its text, handle, line and counters.
pub(crate) fn rule(rule: &FilterRule) -> String {
    let handle = rule.handle.map(|h| format!(", handle {h}")).unwrap_or_default();
    let line = rule.line.map(|l| format!(", line {l}")).unwrap_or_default();
    format!("{}{handle}{line}: {}{}", short(rule), safe(&rule.text), counted(rule.counters))
}

fn counted(counters: Option<RuleCounters>) -> String {
    match counters {
        Some(RuleCounters { packets: 1, .. }) => " (1 packet so far)".to_owned(),
        Some(RuleCounters { packets, .. }) => format!(" ({packets} packets so far)"),
        None => String::new(),
    }
}

/// What decided, for a title: the rule's or policy's place.
pub(crate) fn decider(stop: &Stop<'_>) -> String {
    match stop.decider() {
        Some(Decider::Rule(rule)) => short(rule),
        Some(Decider::Policy(policy)) => format!("the policy of {}", place(&policy.place)),
        Some(Decider::Stack(reason)) => stack(reason),
        None => "its rules".to_owned(),
    }
}

fn stack(reason: &StackReason) -> String {
    match reason {
        StackReason::ForwardingOff { sysctl } => format!("{} is 0", safe(sysctl)),
        StackReason::RpFilter { sysctl, .. } => format!("{} is on", safe(sysctl)),
        StackReason::Other { text } => format!("the network stack: {}", safe(text)),
    }
}

/// ` of ufw`; empty where nothing shows a program.
pub(crate) fn owned_by(owner: Option<&RuleOwner>) -> String {
    owner.and_then(RuleOwner::name).map(|name| format!(", made by {}", safe(name))).unwrap_or_default()
}

/// Where the rules were read.
pub(crate) fn source(view: &View<'_>) -> String {
    view.case.firewall.source().map_or_else(|| "packet filter".to_owned(), |source| source.what.clone())
}

/// What shows that the filters stop it, strongest first.
pub(crate) fn evidence(view: &View<'_>, stop: &Stop<'_>) -> Vec<Evidence> {
    let source = source(view);
    let mut texts = Vec::new();
    match stop.decider() {
        Some(Decider::Rule(found)) => {
            texts.push(rule(found));
            texts.extend(found.comment.as_ref().map(|comment| format!("its comment: {}", safe(comment))));
            if let Some(set) = &found.set {
                let kind = if set.kind == SetKind::Ipset { "ipset" } else { "nft set" };
                let expires = set.expires.map(|s| format!(", for {s} s more")).unwrap_or_default();
                texts.push(format!("{kind} {} holds {}{expires}", safe(&set.name), safe(&set.element)));
            }
        }
        Some(Decider::Policy(policy)) => {
            texts.push(format!(
                "no rule of {} lets it through, and its policy is drop{}: closed by default, as whoever set it wanted",
                place(&policy.place),
                counted(policy.counters)
            ));
        }
        Some(Decider::Stack(reason)) => texts.push(stack(reason)),
        None => {}
    }
    if let Fate::Depends { reason, .. } = &stop.judgement.fate {
        texts.push(format!("it depends: {}", safe(reason)));
    }
    texts.extend(stop.decider().and_then(Decider::owner).and_then(made_by));
    let mut next = stop.judgement.behind.as_deref().or(stop.judgement.without.as_deref());
    while let Some(judgement) = next {
        let later = Stop { leg: stop.leg, judgement, fate: &judgement.fate, certain: true };
        texts.push(match judgement.decided_by.as_ref().and_then(Decider::rule) {
            Some(found) => format!("let through there, it would be stopped by {}", rule(found)),
            None => format!("let through there, it would be stopped by {}", decider(&later)),
        });
        next = judgement.behind.as_deref();
    }
    if stop.leg == Leg::In
        && let Some(asker) = view.asker()
    {
        texts.push(format!("judged for packets from {asker}"));
    }
    let taken = stop.judgement.assumptions.iter().take(ASSUMPTIONS);
    texts.extend(taken.map(|assumption| format!("taken for granted: {}", safe(assumption))));
    texts.into_iter().map(|text| Evidence::new(text, source.clone())).collect()
}

fn made_by(owner: &RuleOwner) -> Option<String> {
    let name = owner.name()?;
    let detail = match owner {
        RuleOwner::Ufw { rule: Some(number) } => format!(": rule {number} of `ufw status numbered`"),
        RuleOwner::Firewalld { zone: Some(zone) } => format!(": zone {}", safe(zone)),
        RuleOwner::Fail2ban { jail: Some(jail) } => format!(": jail {}", safe(jail)),
        RuleOwner::KubeProxy { service: Some(service) } => format!(": Service {}", safe(service)),
        _ => String::new(),
    };
    Some(format!("made by {}{detail}", safe(name)))
}

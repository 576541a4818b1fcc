//! Fixes that take a rule out, or open a policy.

use super::Stop;
use super::command::{iptables_table, nft_chain, specification};
use super::describe::{place, safe, short};
use crate::View;
use crate::fix::quote;
use crate::report::{Fix, Risk};
use unrefuse_facts::{ChainPolicy, Decider, FilterBackend, FilterRule};

/// Takes out what decided, where it was made by hand.
pub(crate) fn remove(view: &View<'_>, stop: &Stop<'_>) -> Option<Fix> {
    match stop.decider()? {
        Decider::Rule(rule) => remove_rule(view, rule),
        Decider::Policy(policy) => open(view, policy),
        Decider::Stack(_) => None,
    }
}

/// Takes one rule out. A rule of a program is that program's business: then a sentence.
pub(crate) fn remove_rule(view: &View<'_>, rule: &FilterRule) -> Option<Fix> {
    if let Some(name) = rule.owner.name() {
        let title = format!("take {} out in {}, which made it", short(rule), safe(name));
        return Some(Fix::new(view, Risk::High, title));
    }
    let title = format!("take {} out, for all packets that it names", short(rule));
    let fix = Fix::new(view, Risk::High, title);
    if rule.place.backend == FilterBackend::Nft {
        let chain = nft_chain(&rule.place)?;
        let (handle, text) = (rule.handle?, quote(&rule.text)?);
        // The rule goes back behind the one that stood before it; `index` counts from 0 (nft(8)).
        let undo = match rule.number {
            0 | 1 => format!("nft insert rule {chain} {text}"),
            number => format!("nft add rule {chain} index {} {text}", number - 2),
        };
        return Some(fix.command(format!("nft delete rule {chain} handle {handle}")).undo(undo));
    }
    let (program, chain) = (iptables_table(&rule.place)?, quote(&rule.place.chain)?);
    let spec = specification(rule)?;
    Some(
        fix.command(format!("{program} -D {chain} {spec}"))
            .undo(format!("{program} -I {chain} {} {spec}", rule.number)),
    )
}

fn open(view: &View<'_>, policy: &ChainPolicy) -> Option<Fix> {
    let chain = place(&policy.place);
    if let Some(name) = policy.owner.name() {
        return Some(Fix::new(
            view,
            Risk::High,
            format!("change the policy of {chain} in {}, which set it", safe(name)),
        ));
    }
    let fix = Fix::new(view, Risk::High, format!("let everything through {chain} that no rule names"));
    if policy.place.backend == FilterBackend::Nft {
        let set = |word| {
            Some(format!("nft chain {} {}", nft_chain(&policy.place)?, quote(&format!("{{ policy {word}; }}"))?))
        };
        return Some(fix.command(set("accept")?).undo(set("drop")?));
    }
    let (program, chain) = (iptables_table(&policy.place)?, quote(&policy.place.chain)?);
    Some(fix.command(format!("{program} -P {chain} ACCEPT")).undo(format!("{program} -P {chain} DROP")))
}

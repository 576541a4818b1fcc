//! Fixes for neighbour discovery that a filter stops: no packet of IPv6 is sent to who does not answer it (RFC 4861).

use super::command::{iptables_table, keep, nft_chain};
use super::describe::{place, safe, short};
use super::managers::firewalld_neighbours;
use super::{Leg, Stop};
use crate::View;
use crate::fix::quote;
use crate::report::{Fix, Risk, Step};
use unrefuse_facts::{ChainPlace, Decider, FilterBackend, RuleOwner};

/// Both messages in each chain that stops one of them: either side asks and answers, again and again.
pub(super) fn allow(view: &View<'_>) -> Option<Fix> {
    let stops: Vec<Stop<'_>> = stops(view).collect();
    let mut fix: Option<Fix> = None;
    for stop in &stops {
        let next = one(view, stop)?;
        fix = Some(match fix {
            None => next,
            Some(mut fix) => {
                fix.steps.extend(next.steps);
                fix.undo.splice(0..0, next.undo);
                fix
            }
        });
    }
    fix
}

/// A rule for the port helps nobody while the two machines cannot find each other.
pub(super) fn neighbours_too(mut fix: Fix, view: &View<'_>) -> Fix {
    if let Some(more) = allow(view).filter(|_| !fix.steps.is_empty()) {
        fix.title.push_str("; with neighbour discovery, which is stopped as well");
        fix.steps.extend(more.steps);
        fix.undo.splice(0..0, more.undo);
    }
    fix
}

fn stops<'a>(view: &'a View<'_>) -> impl Iterator<Item = Stop<'a>> {
    let judged = view.judged().into_iter();
    judged
        .flat_map(|judged| {
            let stop = |leg, judgement| super::stopped_leg(leg, judgement);
            [stop(Leg::NeighbourIn, &judged.neighbour_in), stop(Leg::NeighbourOut, &judged.neighbour_out)]
        })
        .flatten()
}

fn one(view: &View<'_>, stop: &Stop<'_>) -> Option<Fix> {
    const WHAT: &str = "neighbour discovery (ICMPv6 types 135 and 136)";
    let (place, rule) = (stop.decider()?.place()?, stop.decider().and_then(Decider::rule));
    let owner = stop.decider()?.owner()?;
    if matches!(owner, RuleOwner::Firewalld { .. })
        && let Some(fix) = firewalld_neighbours(view, place)
    {
        return Some(fix);
    }
    if !matches!(owner, RuleOwner::Hand) {
        let name = safe(owner.name()?);
        return Some(Fix::new(
            view,
            Risk::Low,
            format!("let {WHAT} through in {name}, which made {}", self::place(place)),
        ));
    }
    let before = match rule {
        Some(rule) => format!("before {}", short(rule)),
        None => format!("at the end of {}, before its policy", self::place(place)),
    };
    let fix = Fix::new(view, Risk::Low, format!("let {WHAT} through {before}: IPv6 does not work without it"));
    let fix = match place.backend {
        FilterBackend::Nft => nft(fix, place, rule.and_then(|rule| rule.handle))?,
        _ => iptables(fix, place, rule.map(|rule| rule.number))?,
    };
    Some(keep(fix, place, view.firewall().and_then(|f| f.saved.keeper.value())))
}

fn nft(fix: Fix, place: &ChainPlace, before: Option<u64>) -> Option<Fix> {
    let chain = nft_chain(place)?;
    let new = "'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept comment \"unrefuse-nd\"'";
    let handle = format!("\"$(nft -a list chain {chain} | sed -n '/\"unrefuse-nd\"/s/.* # handle //p' | head -n 1)\"");
    let fix = match before {
        Some(handle) => fix.command(format!("nft insert rule {chain} position {handle} {new}")),
        None => fix.command(format!("nft add rule {chain} {new}")),
    };
    Some(fix.undo(format!("nft delete rule {chain} handle {handle}")))
}

fn iptables(fix: Fix, place: &ChainPlace, before: Option<u32>) -> Option<Fix> {
    let (program, chain) = (iptables_table(place)?, quote(&place.chain)?);
    let mut fix = fix;
    for kind in ["neighbour-solicitation", "neighbour-advertisement"] {
        let new = format!("-p ipv6-icmp --icmpv6-type {kind} -j ACCEPT");
        let command = match before {
            Some(number) => format!("{program} -I {chain} {number} {new}"),
            None => format!("{program} -A {chain} {new}"),
        };
        fix.steps.push(Step::Command { command });
        fix.undo.push(Step::Command { command: format!("{program} -D {chain} {new}") });
    }
    Some(fix)
}

//! Rules about ARP (nf_tables' family `arp`): where they drop a question or its answer, no packet is sent at all. They are
//! shown, not judged.

use unrefuse_collect::firewall::{Live, Scope};
use unrefuse_facts::{Case, LinkFilter, LinkHook, NeighbourState, Observed};
use unrefuse_firewall::model::{Base, Family, Hook, Policy};

/// Adds them to what was found at the interfaces, where a neighbour does not answer.
pub(in crate::gather) fn add(case: &mut Case) {
    let more = filters(case);
    if let Observed::Known { value, .. } = &mut case.link_filters {
        value.extend(more);
    }
}

/// The chains that ARP meets here, where a neighbour that was asked by it does not answer.
fn filters(case: &Case) -> Vec<LinkFilter> {
    let unanswered = case.routing.iter().find_map(|routing| {
        let neighbour = routing.neighbour.value().filter(|neighbour| neighbour.address.is_ipv4())?;
        let silent = matches!(neighbour.state, NeighbourState::Failed | NeighbourState::Incomplete);
        case.host.link(neighbour.link).filter(|_| silent)
    });
    let (Some(link), Some(live)) = (unanswered, unanswered.and_then(|_| Live::open(Scope::Arp).into_value().ok()))
    else {
        return Vec::new();
    };
    let ruleset = live.ruleset();
    let mut found = Vec::new();
    for table in ruleset.tables.iter().filter(|table| table.family == Family::Arp) {
        for (name, chain) in &table.chains {
            let Some(hook) = chain.base.as_ref().and_then(hook) else { continue };
            let rules = live.chain(Family::Arp, &table.name, name);
            let accepts = chain.base.as_ref().is_some_and(|base| base.policy == Policy::Accept);
            if accepts && rules.is_some_and(|rules| rules.is_empty()) {
                continue;
            }
            found.push(LinkFilter {
                interface: link.name.clone(),
                links: vec![link.index],
                hook,
                what: format!("ARP chain {name} of table arp {}", table.name),
                source: "nf_tables".to_owned(),
            });
        }
    }
    found
}

fn hook(base: &Base) -> Option<LinkHook> {
    match base.hook {
        Hook::Input => Some(LinkHook::In),
        Hook::Output => Some(LinkHook::Out),
        _ => None,
    }
}

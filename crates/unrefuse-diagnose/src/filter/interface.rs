//! What may drop packets at an interface, where no rule of the packet filters shows it.

use crate::View;
use crate::finding::CannotTell;
use crate::fix::quote;
use unrefuse_facts::{LinkFilter, LinkHook, text::visible};

/// The question stays open where a program or filter of that kind stands at the interface that the packets use.
pub(crate) fn at_interface(view: &View<'_>) -> Option<CannotTell> {
    let by_route = || view.routing()?.decision.value()?.via()?.link;
    let link = if view.judged_only() { view.clients_link()? } else { by_route()? };
    let meets = |filter: &&LinkFilter| filter.links.contains(&link);
    let filters = view.case.link_filters.value()?.iter().filter(meets);
    // What comes first on the way of the first packet.
    let first = if view.judged_only() { LinkHook::In } else { LinkHook::Out };
    let filter = filters.min_by_key(|filter| filter.hook != first)?;
    let at = if filter.interface.is_empty() { String::new() } else { format!(" on {}", visible(&filter.interface)) };
    let device = quote(&filter.interface).unwrap_or_else(|| "DEVICE".to_owned());
    let list = match (filter.what.split(' ').next(), filter.hook) {
        (Some("XDP"), _) => format!("ip -details link show dev {device}; bpftool net show dev {device}"),
        (Some("IPsec"), _) => "ip xfrm policy; ip xfrm state; cat /proc/net/xfrm_stat".to_owned(),
        (Some("ARP"), _) => "nft list tables arp; nft list ruleset arp".to_owned(),
        (Some("queueing"), _) => format!("tc -s qdisc show dev {device}"),
        (_, LinkHook::In) => format!("tc -s filter show dev {device} ingress; bpftool net show dev {device}"),
        (_, LinkHook::Out) => format!("tc -s filter show dev {device} egress; bpftool net show dev {device}"),
    };
    Some(CannotTell::new(
        format!("whether the {}{at} lets the packets through", visible(&filter.what)),
        "no rule of the packet filter shows what it does with them".to_owned(),
        format!("{list}: its counters, or the words of whoever attached it"),
    ))
}

#[cfg(test)]
mod tests {
    use crate::report::Outcome;
    use crate::testing::Scene;
    use crate::testing::filter::accepted;
    use unrefuse_facts::{LinkFilter, LinkHook, Observed, Source};

    fn at(scene: Scene, links: &[u32], hook: LinkHook) -> crate::Report {
        let filter = LinkFilter {
            interface: "eth0".into(),
            links: links.to_vec(),
            hook,
            what: "XDP program 7".into(),
            source: "RTM_GETLINK".into(),
        };
        scene.with(|case| case.link_filters = Observed::known(vec![filter], Source::running("RTM_GETLINK"))).report()
    }

    fn from_elsewhere(links: &[u32]) -> crate::Report {
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx");
        let scene = scene.filtered(None, Some(accepted())).filters(|facts| {
            facts.judgements[0].ingress.as_mut().unwrap().arrives_by = Some("eth0".into());
        });
        at(scene.asked_from("10.1.0.9"), links, LinkHook::In)
    }

    #[test]
    fn a_program_before_the_filter_leaves_a_clients_way_in_open() {
        let report = from_elsewhere(&[2]);
        assert!(report.blockers.is_empty() && report.is_undecided(), "{:?}", report.unknown);
        assert!(report.unknown.iter().any(|unknown| unknown.what.contains("XDP program 7 on eth0")));
        assert_eq!(report.exit_code(), 3);
    }

    #[test]
    fn one_of_another_interface_does_not() {
        let report = from_elsewhere(&[3]);
        assert_eq!((report.outcome, report.unknown.len(), report.exit_code()), (Outcome::Open, 0, 0));
    }

    #[test]
    fn it_may_be_the_silence_of_an_attempt() {
        let scene = || Scene::remote("10.1.0.9:80").silent();
        let report = at(scene(), &[2], LinkHook::Out);
        assert_eq!(report.blockers[0].root, "path/filtered");
        assert!(report.unknown.iter().any(|unknown| unknown.how_to_know.contains("eth0")), "{:?}", report.unknown);
        let refused = at(Scene::remote("10.1.0.9:80").rst(), &[2], LinkHook::Out);
        assert!(refused.unknown.iter().all(|unknown| !unknown.what.contains("XDP")), "it was answered");
    }
}

//! egress/firewall-drop

use crate::View;
use crate::filter::{Kind, Leg, allow, at_interface, decider, owned_by, stopped_out, unread};
use crate::finding::{CannotTell, Finding};
use crate::rule::cause;
use unrefuse_facts::AttemptOutcome;

cause! {
    /// ## What it means
    ///
    /// A rule or a policy of this machine's own packet filter drops the packet on its way out, or drops the server's
    /// answer on its way back in.
    ///
    /// ## How it shows
    ///
    /// TCP takes the drop for a loss, sends again and times out after more than two minutes. A UDP send fails with
    /// `EPERM` (operation not permitted). No packet to the server is on the wire, or its answers are and nobody takes
    /// them.
    ///
    /// ## How to confirm by hand
    ///
    /// `iptables-save -c`, `ip6tables-save -c` or `nft list ruleset`: the counter of a rule in OUTPUT (or of its policy)
    /// rises with each attempt; for the answers, of a rule in INPUT.
    ///
    /// ## How to fix
    ///
    /// Allow the destination before the rule that drops, in the tool that made it. For answers:
    /// `iptables -I INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT`.
    ///
    /// ## What it is often mistaken for
    ///
    /// `path/filtered` and `ingress/firewall-drop`: silence all the same, but nobody else had a part in it.
    /// `egress/unit-ip-deny`: a unit's own filter, which no rule list shows.
    id: "egress/firewall-drop",
    title: "a rule of this machine drops it on the way out",
    instead_of: &["path/filtered", "path/host-down"],
    needs: &["firewall rules"],
    likes: &["answer packet"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(stop) = stopped_out(view).filter(|s| !s.rejects() && s.kind() != Kind::NoEndpoints) else {
        let silent = matches!(view.outcome(), Some(AttemptOutcome::TimedOut | AttemptOutcome::Denied));
        let egress = view.judged().and_then(|j| j.egress.as_ref());
        let question = "whether this machine's own rules stop it on the way out";
        // Before the packet the kernel asks for the next hop's link address, which no rule of these tables sees.
        let unanswered = silent || view.outcome() == Some(AttemptOutcome::Unreachable);
        let open = unread(view, egress, question).filter(|_| silent);
        return open.or_else(|| at_interface(view).filter(|_| unanswered)).map_or(Ok(Finding::Clear), Err);
    };
    let endpoint = view.endpoint();
    let what = match stop.leg {
        Leg::AnswerIn => format!("this machine itself drops the answers of {endpoint} on their way in"),
        leg if leg.is_neighbours() => {
            format!("this machine itself drops neighbour discovery, and so never finds {endpoint}")
        }
        _ => format!("this machine itself drops packets to {endpoint} on their way out"),
    };
    let owner = owned_by(stop.decider().and_then(|d| d.owner()));
    let mut fired = stop.fired(view, format!("{what}: {}{owner}", decider(&stop)));
    fired.fixes = allow(view, &stop);
    Ok(fired.fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::filter::{accepted, chain, commands, dropped, iptables, policy};
    use unrefuse_facts::{
        Decider, Errno, Fate, FilterBackend, FilterHook, Judgement, Missing, Observed, Protocol, Reason, RuleOwner,
    };

    fn scene() -> Scene {
        let rule = iptables(FilterHook::Output, "-A OUTPUT -d 10.9.0.1/32 -j DROP");
        Scene::remote("10.9.0.1:80").filtered(Some(dropped(Decider::Rule(rule))), None)
    }

    #[test]
    fn neighbour_discovery_is_dropped_here() {
        use unrefuse_facts::NeighbourState;
        let input = || policy(chain(FilterBackend::Nft, "in", FilterHook::Input), RuleOwner::Hand);
        let scene = |state| {
            let scene = Scene::remote("[fd01::2]:80").filtered(Some(accepted()), None).silent();
            scene.filters(|f| f.judgements[0].neighbour_in = Some(dropped(input()))).neighbour(2, state)
        };
        let roots = scene(NeighbourState::Failed).roots();
        assert_eq!(roots, ["egress/firewall-drop"]);
        // It was found before the rules came.
        assert!(!scene(NeighbourState::Reachable).roots().contains(&"egress/firewall-drop".to_owned()));
    }

    #[test]
    fn an_output_rule_drops() {
        let report = scene().silent().report();
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("egress/firewall-drop", Certainty::Proven));
        assert!(blocker.whys[0].evidence[0].text.contains("-A OUTPUT -d 10.9.0.1/32 -j DROP (5 packets so far)"));
    }

    #[test]
    fn a_datagram_gets_eperm_and_a_stream_does_not() {
        let udp = scene().with(|c| c.target.protocol = Protocol::Udp).local_error(Errno::EPERM).report();
        assert_eq!(udp.blockers[0].certainty, Certainty::Proven);
        let tcp = scene().local_error(Errno::EPERM).report();
        assert_eq!(tcp.blockers[0].certainty, Certainty::Likely, "an OUTPUT drop never gives EPERM to TCP");
    }

    #[test]
    fn answered_otherwise_it_is_less_sure() {
        assert_eq!(scene().rst().report().blockers[0].certainty, Certainty::Likely);
        assert!(scene().open().roots().is_empty());
    }

    #[test]
    fn the_answer_is_dropped_on_its_way_in() {
        let input = dropped(policy(chain(FilterBackend::Legacy, "INPUT", FilterHook::Input), RuleOwner::Hand));
        let scene = Scene::remote("10.9.0.1:80").filtered(Some(accepted()), None);
        let report = scene.filters(|f| f.judgements[0].egress_reply = Some(input)).silent().report();
        let blocker = &report.blockers[0];
        assert!(blocker.whys[0].title.starts_with("this machine itself drops the answers of 10.9.0.1:80"));
        assert_eq!(
            commands(&blocker.fixes[0].steps),
            ["iptables-legacy -A INPUT -s 10.9.0.1 -p tcp --sport 80 -m conntrack --ctstate ESTABLISHED -j ACCEPT"]
        );
    }

    #[test]
    fn ufw_closed_on_the_way_out() {
        let owner = RuleOwner::Ufw { rule: None };
        let output = dropped(policy(chain(FilterBackend::IptablesNft, "OUTPUT", FilterHook::Output), owner));
        let report = Scene::remote("10.9.0.1:80").filtered(Some(output), None).silent().report();
        let fix = &report.blockers[0].fixes[0];
        assert_eq!(commands(&fix.steps), ["ufw allow out to 10.9.0.1 port 80 proto tcp"]);
        assert!(report.blockers[0].whys[0].title.ends_with("made by ufw"));
    }

    #[test]
    fn it_may_depend() {
        let depends = |seen: fn(Scene) -> Scene| {
            let fate = Fate::Depends { reason: "limit 5/second".into(), fates: vec![Fate::Accepted, Fate::Dropped] };
            let judgement = Judgement { fate, ..accepted() };
            seen(Scene::remote("10.9.0.1:80").filtered(Some(judgement), None)).report().blockers
        };
        let silent = depends(Scene::silent);
        assert_eq!((silent[0].root.as_str(), silent[0].certainty), ("egress/firewall-drop", Certainty::Likely));
        assert_eq!(depends(Scene::rst)[0].root, "listener/none");
    }

    #[test]
    fn rules_that_may_not_be_read_leave_the_question_open() {
        let missing = Missing::new(Reason::Forbidden, "NFNL_SUBSYS_NFTABLES: operation not permitted");
        let report = Scene::remote("10.9.0.1:80")
            .with(|c| c.firewall = Observed::Missing(missing.remedy("run unrefuse as root")))
            .silent()
            .report();
        assert_eq!(report.blockers[0].root, "path/filtered");
        assert!(report.unknown.iter().any(|u| u.what.contains("on the way out")), "{:?}", report.unknown);
    }
}

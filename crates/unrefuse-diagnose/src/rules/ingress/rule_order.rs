//! ingress/rule-order

use crate::View;
use crate::filter::{Kind, allow, decider, owned_by, rule_text, short, source, stopped_in};
use crate::finding::{CannotTell, Finding};
use crate::report::Evidence;
use crate::rule::cause;
use unrefuse_facts::Decider;

cause! {
    /// ## What it means
    ///
    /// A rule that lets the packet in exists, but a rule that stops it stands before it. The first rule that matches
    /// decides; the other one is never asked.
    ///
    /// ## How it shows
    ///
    /// The port "is allowed" in the list of rules, and the client is refused or hears nothing. It happens when `iptables
    /// -A` or `ufw allow` appends behind a catch-all `REJECT`, `DROP` or `deny`.
    ///
    /// ## How to confirm by hand
    ///
    /// `iptables -nvL INPUT --line-numbers`, `nft -a list ruleset` or `ufw status numbered`: the counter of the earlier
    /// rule rises, that of the accepting one stays where it is.
    ///
    /// ## How to fix
    ///
    /// Put the accepting rule before the other: `iptables -I INPUT NUMBER …`, `nft insert rule … position HANDLE …`,
    /// `ufw insert NUMBER allow …`.
    ///
    /// ## What it is often mistaken for
    ///
    /// `ingress/not-persisted`: there the accepting rule is not in the kernel at all.
    id: "ingress/rule-order",
    title: "a rule that stops it stands before the one that lets it in",
    instead_of: &["path/filtered"],
    needs: &["firewall rules"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(stop) = stopped_in(view).filter(|s| s.kind() == Kind::RuleOrder) else { return Ok(Finding::Clear) };
    let Some(later) = stop.later_accept() else { return Ok(Finding::Clear) };
    let does = if stop.rejects() { "rejects" } else { "drops" };
    let owner = owned_by(stop.decider().and_then(Decider::owner));
    let title = format!(
        "{} {does} packets to {} before {} would let them in{owner}",
        decider(&stop),
        view.endpoint(),
        short(later)
    );
    let second = Evidence::new(format!("never asked: {}", rule_text(later)), source(view));
    let mut fired = stop.fired(view, title);
    fired.evidence.insert(1.min(fired.evidence.len()), second);
    fired.fixes = allow(view, &stop);
    Ok(fired.fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::filter::{PORT_UNREACHABLE, accepted, commands, dropped, iptables, rejected, rule};
    use unrefuse_facts::{Decider, FilterBackend, FilterHook, FilterRule, Judgement, RuleOwner};

    fn later() -> FilterRule {
        FilterRule { number: 9, ..iptables(FilterHook::Input, "-A INPUT -p tcp --dport 80 -j ACCEPT") }
    }
    fn scene(judgement: Judgement) -> Scene {
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx");
        scene.filtered(Some(accepted()), Some(judgement))
    }

    #[test]
    fn an_accept_behind_a_catch_all_reject() {
        let by = Decider::Rule(iptables(FilterHook::Input, "-A INPUT -j REJECT"));
        let judgement = Judgement { later_accept: Some(later()), ..rejected(PORT_UNREACHABLE, by) };
        let report = scene(judgement).rst().report();
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("ingress/rule-order", Certainty::Proven));
        assert!(blocker.whys[0].title.contains("before rule 9 of chain INPUT"), "{}", blocker.whys[0].title);
        assert!(blocker.whys[0].evidence[1].text.starts_with("never asked: rule 9"));
        assert_eq!(commands(&blocker.fixes[0].steps), ["iptables-nft -I INPUT 3 -p tcp --dport 80 -j ACCEPT"]);
    }

    #[test]
    fn a_ufw_deny_before_the_allow() {
        let mut deny =
            rule(FilterBackend::IptablesNft, "ufw-user-input", FilterHook::Input, "-A ufw-user-input -j DROP");
        deny.owner = RuleOwner::Ufw { rule: Some(1) };
        let later = FilterRule { owner: RuleOwner::Ufw { rule: Some(4) }, ..later() };
        let judgement = Judgement { later_accept: Some(later), ..dropped(Decider::Rule(deny)) };
        let report = scene(judgement).asked_from("10.5.0.9").report();
        let fixes = &report.blockers[0].fixes;
        assert_eq!(commands(&fixes[0].steps), ["ufw insert 1 allow from 10.5.0.9 to any port 80 proto tcp"]);
        // ufw would skip the insertion of a rule that it has further down.
        assert_eq!(commands(&fixes[1].steps), ["ufw delete allow 80/tcp", "ufw insert 1 allow 80/tcp"]);
        assert_eq!(commands(&fixes[1].undo), ["ufw delete allow 80/tcp", "ufw allow 80/tcp"]);
    }

    #[test]
    fn ufws_tracking_is_nobodys_wish() {
        let by = Decider::Rule(iptables(FilterHook::Input, "-A INPUT -j DROP"));
        let tracks = rule(FilterBackend::IptablesNft, "ufw-track-input", FilterHook::Input, "-j ACCEPT");
        let judgement = Judgement { later_accept: Some(tracks), ..dropped(by) };
        assert_eq!(scene(judgement).silent().roots(), ["ingress/firewall-drop"]);
    }

    #[test]
    fn without_a_later_accept_it_is_a_plain_drop() {
        let by = Decider::Rule(iptables(FilterHook::Input, "-A INPUT -j DROP"));
        assert_eq!(scene(dropped(by)).silent().roots(), ["ingress/firewall-drop"]);
    }
}

//! ingress/mixed-backends

use crate::View;
use crate::filter::{Kind, allow, and_without, decider, owned_by, remove, rule_text, short, source, stopped_in};
use crate::finding::{CannotTell, Finding};
use crate::report::Evidence;
use crate::rule::cause;
use unrefuse_facts::Decider;

cause! {
    /// ## What it means
    ///
    /// Two rulesets filter side by side, and the packet must pass both: one accepts it, the other stops it. It may be
    /// iptables-legacy beside nftables, two nft tables with a base chain at the same hook, or two tools that each think
    /// they are alone.
    ///
    /// ## How it shows
    ///
    /// The port is allowed where one looks, and the packets are stopped all the same. `iptables -L` shows one backend only.
    ///
    /// ## How to confirm by hand
    ///
    /// `iptables-legacy-save -c; iptables-nft-save -c; nft list ruleset` (and the ip6 twins). `iptables-nft` warns:
    /// "iptables-legacy tables present". An `accept` ends its own base chain only; a later one may still drop (nft(8)).
    ///
    /// ## How to fix
    ///
    /// Allow the port in the ruleset that stops it, or take that ruleset away and keep to one tool.
    ///
    /// ## What it is often mistaken for
    ///
    /// `ingress/rule-order`: there both rules stand in one chain.
    id: "ingress/mixed-backends",
    title: "another ruleset stops what this one accepts",
    instead_of: &["path/filtered"],
    needs: &["firewall rules"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(stop) = stopped_in(view).filter(|s| s.kind() == Kind::MixedBackends) else { return Ok(Finding::Clear) };
    let Some(accepts) = stop.accepted_elsewhere() else { return Ok(Finding::Clear) };
    let does = if stop.rejects() { "rejects" } else { "drops" };
    let owner = owned_by(stop.decider().and_then(Decider::owner));
    let title = format!(
        "{}{owner} {does} packets to {}, though {}{} accepts them",
        decider(&stop),
        view.endpoint(),
        short(accepts),
        owned_by(Some(&accepts.owner))
    );
    let second = Evidence::new(format!("accepts it, in vain: {}", rule_text(accepts)), source(view));
    let mut fired = stop.fired(view, title);
    fired.evidence.insert(1.min(fired.evidence.len()), second);
    fired.fixes = allow(view, &stop);
    fired.fixes.extend(remove(view, &stop).map(|fix| and_without(fix, view, &stop)));
    Ok(fired.fires())
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Risk};
    use crate::testing::Scene;
    use crate::testing::filter::{accepted, chain, commands, dropped, iptables, policy, rule};
    use unrefuse_facts::{Decider, FilterBackend, FilterHook, FilterRule, Judgement, RuleOwner};

    fn scene(by: Decider, accepts: FilterRule) -> Scene {
        let judgement = Judgement { accepted_by: vec![accepts], ..dropped(by) };
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx");
        scene.filtered(Some(accepted()), Some(judgement)).silent()
    }
    fn nft() -> FilterRule {
        rule(FilterBackend::Nft, "input", FilterHook::Input, "tcp dport 80 accept")
    }

    #[test]
    fn a_legacy_policy_beside_nft() {
        let legacy = policy(chain(FilterBackend::Legacy, "INPUT", FilterHook::Input), RuleOwner::Hand);
        let report = scene(legacy, nft()).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("ingress/mixed-backends", Certainty::Proven));
        assert_eq!(
            blocker.whys[0].title,
            "the policy of chain INPUT (iptables-legacy, table filter) drops packets to 10.1.0.2:80, \
             though rule 3 of chain input (nft, table inet filter) accepts them"
        );
        assert_eq!(commands(&blocker.fixes[0].steps), ["iptables-legacy -A INPUT -p tcp --dport 80 -j ACCEPT"]);
        assert_eq!(commands(&blocker.fixes[1].steps), ["iptables-legacy -P INPUT ACCEPT"]);
        assert_eq!(commands(&blocker.fixes[1].undo), ["iptables-legacy -P INPUT DROP"]);
        assert_eq!(blocker.fixes[1].risk, Risk::High);
    }

    #[test]
    fn two_nft_tables() {
        let mut other = rule(FilterBackend::Nft, "input", FilterHook::Input, "tcp dport 80 drop");
        other.place.table = "old".into();
        let report = scene(Decider::Rule(other), nft()).report();
        assert_eq!(report.blockers[0].root, "ingress/mixed-backends");
        let removal = &report.blockers[0].fixes[1];
        assert_eq!(commands(&removal.steps), ["nft delete rule inet old input handle 7"]);
        assert_eq!(commands(&removal.undo), ["nft add rule inet old input index 1 'tcp dport 80 drop'"]);
    }

    #[test]
    fn an_accept_at_another_hook_or_in_a_table_that_does_not_filter_is_none() {
        let by = || Decider::Rule(iptables(FilterHook::Input, "-A INPUT -j DROP"));
        let mut mangle = iptables(FilterHook::Input, "-A INPUT -j ACCEPT");
        mangle.place.table = "mangle".into();
        assert_eq!(scene(by(), mangle).roots(), ["ingress/firewall-drop"]);
        let early = rule(FilterBackend::Nft, "prerouting", FilterHook::Prerouting, "accept");
        assert_eq!(scene(by(), early).roots(), ["ingress/firewall-drop"]);
        let mut unsaid = iptables(FilterHook::Input, "-A INPUT -i lo -j ACCEPT");
        unsaid.place.priority = None;
        assert_eq!(scene(by(), unsaid).roots(), ["ingress/firewall-drop"]);
        let same = iptables(FilterHook::Input, "-A INPUT -i lo -j ACCEPT");
        assert_eq!(scene(by(), same).roots(), ["ingress/firewall-drop"]);
    }
}

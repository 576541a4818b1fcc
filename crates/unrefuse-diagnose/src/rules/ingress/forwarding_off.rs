//! ingress/forwarding-off

use crate::View;
use crate::filter::{Kind, allow, and_behind, decider, keep_setting, owned_by, safe, stopped_in};
use crate::finding::{CannotTell, Finding};
use crate::report::{Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::{Decider, StackReason};

cause! {
    /// ## What it means
    ///
    /// The packet is for another machine, container or virtual machine behind this one, and this one does not forward:
    /// `ip_forward` is 0, or the policy of the FORWARD chain is drop and no rule lets it through.
    ///
    /// ## How it shows
    ///
    /// Silence from outside, while the service behind answers to this machine itself. Docker sets the FORWARD policy to
    /// drop, so virtual machines and other bridges beside it lose their connections.
    ///
    /// ## How to confirm by hand
    ///
    /// `sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding`; `iptables -S FORWARD`; the policy's counter rises with
    /// each attempt.
    ///
    /// ## How to fix
    ///
    /// `sysctl -w net.ipv4.ip_forward=1`, kept in /etc/sysctl.d; for the policy, a rule in FORWARD (beside Docker: in
    /// DOCKER-USER) that lets this traffic through. Forwarding makes the machine a router: filter what it may forward.
    ///
    /// ## What it is often mistaken for
    ///
    /// `ingress/firewall-drop` in INPUT: a rule there has no part in forwarded packets.
    id: "ingress/forwarding-off",
    title: "this machine does not forward it",
    instead_of: &["path/filtered"],
    needs: &["settings", "firewall rules"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(stop) = stopped_in(view).filter(|s| s.kind() == Kind::ForwardingOff) else { return Ok(Finding::Clear) };
    let to = stop.judgement.translated.as_ref().map(|t| format!(" (sent on to {})", t.to)).unwrap_or_default();
    let by = stop.judgement.forwarded_by.as_deref().map(|name| format!(" by {}", safe(name))).unwrap_or_default();
    let endpoint = view.endpoint();
    let owner = owned_by(stop.decider().and_then(Decider::owner));
    let title = format!("packets to {endpoint}{to} are not forwarded{by}: {}{owner}", decider(&stop));
    let fired = stop.fired(view, title);
    let Some(Decider::Stack(StackReason::ForwardingOff { sysctl })) = stop.decider() else {
        let mut fired = fired;
        fired.fixes = allow(view, &stop);
        return Ok(fired.fires());
    };
    // Documentation/networking/ip-sysctl.rst, accept_ra.
    let v6 = if sysctl.contains("ipv6") { ", and it takes no more router advertisements" } else { "" };
    let title = format!("forward packets: this makes the machine a router for all its networks{v6}");
    let fix = Fix::new(view, Risk::Medium, title);
    let fix = keep_setting(view, fix, sysctl, "1", Some("0")).map(|fix| and_behind(fix, view, &stop));
    Ok(fired.fix(fix).fires())
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::filter::{chain, commands, dropped, iptables, policy};
    use unrefuse_facts::{
        AttemptOutcome, Decider, FilterBackend, FilterHook, Judgement, Observed, RuleOwner, Source, StackReason,
        Translation,
    };

    fn scene(by: Decider) -> Scene {
        let translated = Some(Translation {
            to: "172.17.0.2:8080".parse().unwrap(),
            by: iptables(FilterHook::Prerouting, "-j DNAT"),
            probed: Observed::known(AttemptOutcome::Open, Source::probed("connect(2)")),
        });
        let judgement = Judgement { translated, forwarded_by: Some("docker0".into()), ..dropped(by) };
        Scene::local("10.1.0.2:80").filtered(None, Some(judgement)).asked_from("10.5.0.9")
    }

    #[test]
    fn the_setting_is_off() {
        let report =
            scene(Decider::Stack(StackReason::ForwardingOff { sysctl: "net.ipv4.ip_forward".into() })).report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "ingress/forwarding-off");
        assert_eq!(
            blocker.whys[0].title,
            "packets to 10.1.0.2:80 (sent on to 172.17.0.2:8080) are not forwarded by docker0: net.ipv4.ip_forward is 0"
        );
        let fix = &blocker.fixes[0];
        assert_eq!(commands(&fix.steps)[0], "sysctl -w net.ipv4.ip_forward=1");
        assert_eq!(
            commands(&fix.undo),
            [
                "sysctl -w net.ipv4.ip_forward=0",
                "sed -i '\\|^net\\.ipv4\\.ip_forward = 1$|d' /etc/sysctl.d/90-unrefuse.conf"
            ]
        );
    }

    #[test]
    fn dockers_forward_policy() {
        let place = chain(FilterBackend::IptablesNft, "FORWARD", FilterHook::Forward);
        let report = scene(policy(place, RuleOwner::Docker)).report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "ingress/forwarding-off");
        assert_eq!(
            commands(&blocker.fixes[0].steps),
            ["iptables-nft -I DOCKER-USER 1 -s 10.5.0.9 -d 172.17.0.2 -p tcp --dport 8080 -j ACCEPT"]
        );
    }

    #[test]
    fn a_rule_of_forward_is_a_firewalls() {
        let rule = iptables(FilterHook::Forward, "-A FORWARD -j DROP");
        let place = chain(FilterBackend::IptablesNft, "INPUT", FilterHook::Input);
        for by in [Decider::Rule(rule), policy(place, RuleOwner::Hand)] {
            let roots = scene(by).roots();
            assert!(roots.contains(&"ingress/firewall-drop".to_owned()), "{roots:?}");
            assert!(!roots.contains(&"ingress/forwarding-off".to_owned()), "{roots:?}");
        }
    }
}

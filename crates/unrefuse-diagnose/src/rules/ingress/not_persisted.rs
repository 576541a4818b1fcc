//! ingress/not-persisted

use crate::View;
use crate::filter::{decider, safe, stopped_in};
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::quote;
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::{Decider, FilterBackend, Observed, RuleOwner, SavedKind, SavedRule, SavedSays};

cause! {
    /// ## What it means
    ///
    /// The saved configuration lets the packet in, the rules in the kernel do not: the file was written and never
    /// loaded, or something changed the rules since.
    ///
    /// ## How it shows
    ///
    /// The rule stands in /etc/iptables/rules.v4, /etc/nftables.conf, ufw's or firewalld's permanent configuration, and
    /// the client is refused or hears nothing. `firewall-cmd --permanent` without a reload does it, and so does a flush by
    /// another tool.
    ///
    /// ## How to confirm by hand
    ///
    /// Compare the file with the kernel: `iptables-save`, `nft list ruleset`, `firewall-cmd --list-all` against
    /// `firewall-cmd --permanent --list-all`.
    ///
    /// ## How to fix
    ///
    /// Load the configuration: `firewall-cmd --reload`, `ufw reload`, `systemctl restart nftables`,
    /// `netfilter-persistent reload`. Look first at what it would change: rules that only the kernel has (Docker's, bans)
    /// are lost where the file replaces them.
    ///
    /// ## What it is often mistaken for
    ///
    /// `ingress/rule-order`: there both rules are in the kernel.
    id: "ingress/not-persisted",
    title: "the saved rules let it in, the kernel's do not",
    explains: &["ingress/firewall-drop", "ingress/firewall-reject"],
    begins: false,
    needs: &["firewall rules", "saved rules"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let (Some(stop), Some(firewall)) = (stopped_in(view), view.firewall()) else { return Ok(Finding::Clear) };
    let v6 = view.ip().is_some_and(|ip| ip.is_ipv6());
    let serves = |kind| match kind {
        SavedKind::Iptables => !v6,
        SavedKind::Ip6tables => v6,
        SavedKind::Nftables | SavedKind::Ufw | SavedKind::Firewalld => true,
    };
    let accepting = firewall.saved.rules.iter().filter(|saved| serves(saved.kind)).find_map(|saved| {
        let Observed::Known { value, source } = &saved.says else { return None };
        // A file that holds no rule for it says nothing: Debian's own /etc/nftables.conf lets everything in.
        (value.accepts && value.by_rule).then_some((saved, value, source))
    });
    let Some((saved, says, source)) = accepting else { return Ok(Finding::Clear) };
    let path = safe(&saved.path);
    let title = format!(
        "{path} lets {} in, the kernel does not: it was never loaded, or changed since ({})",
        view.port(),
        decider(&stop)
    );
    let same_tool = stop.decider().is_some_and(|decider| is_of(decider, saved.kind));
    let certainty = if stop.certain && same_tool { Certainty::Proven } else { Certainty::Likely };
    Ok(Fired::new(certainty, title)
        .evidence(said(says, &source.what))
        .evidences(boot(saved))
        .fix(load(view, saved, stop.decider().and_then(|d| d.place()).map(|place| place.backend)))
        .fires())
}

/// What decides was made by the tool that reads the file; else another one decides, and loading may not help.
fn is_of(decider: &Decider, kind: SavedKind) -> bool {
    let (Some(place), Some(owner)) = (decider.place(), decider.owner()) else { return false };
    let nft = place.backend == FilterBackend::Nft;
    match kind {
        SavedKind::Iptables | SavedKind::Ip6tables => !nft && *owner == RuleOwner::Hand,
        SavedKind::Nftables => nft && *owner == RuleOwner::Hand,
        SavedKind::Ufw => matches!(owner, RuleOwner::Ufw { .. }),
        SavedKind::Firewalld => matches!(owner, RuleOwner::Firewalld { .. }),
    }
}

fn said(says: &SavedSays, source: &str) -> Evidence {
    let evidence = Evidence::new(format!("saved: {}", safe(&says.text)), source);
    match &says.location {
        Some(location) => evidence.at(location),
        None => evidence,
    }
}

fn boot(saved: &SavedRule) -> Option<Evidence> {
    let Observed::Known { value, source } = &saved.loaded_at_boot else { return None };
    let text = if *value { "it is loaded at boot" } else { "nothing loads it at boot" };
    Some(Evidence::new(text, source.what.clone()))
}

/// Loads what is saved. The files of iptables and nft replace the kernel's rules: what stood there is kept for the undo.
fn load(view: &View<'_>, saved: &SavedRule, backend: Option<FilterBackend>) -> Option<Fix> {
    const KEPT: &str = "/run/unrefuse-rules";
    let path = quote(&saved.path)?;
    let v6 = saved.kind == SavedKind::Ip6tables;
    let fix = |risk, tool: &str| {
        let replaces = if risk == Risk::High { "; rules that only the kernel has are lost" } else { "" };
        Fix::new(view, risk, format!("load the saved rules of {tool}{replaces}")).persistent()
    };
    Some(match saved.kind {
        SavedKind::Iptables | SavedKind::Ip6tables => {
            let program = match (v6, backend) {
                (false, Some(FilterBackend::Legacy)) => "iptables-legacy",
                (true, Some(FilterBackend::Legacy)) => "ip6tables-legacy",
                (false, Some(FilterBackend::IptablesNft)) => "iptables-nft",
                (true, Some(FilterBackend::IptablesNft)) => "ip6tables-nft",
                (false, _) => "iptables",
                (true, _) => "ip6tables",
            };
            fix(Risk::High, &safe(&saved.path))
                .command(format!("{program}-save > {KEPT}"))
                .command(format!("{program}-restore < {path}"))
                .undo(format!("{program}-restore < {KEPT}"))
        }
        SavedKind::Nftables => fix(Risk::High, &safe(&saved.path))
            .command(format!("{{ echo 'flush ruleset'; nft list ruleset; }} > {KEPT}"))
            .command(format!("nft -f {path}"))
            .undo(format!("nft -f {KEPT}")),
        SavedKind::Ufw => fix(Risk::Medium, "ufw").command("ufw reload"),
        SavedKind::Firewalld => fix(Risk::Medium, "firewalld").command("firewall-cmd --reload"),
    })
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Risk};
    use crate::testing::Scene;
    use crate::testing::filter::{accepted, chain, commands, dropped, iptables, policy};
    use unrefuse_facts::{
        Decider, FilterBackend, FilterHook, Judgement, Location, Observed, RuleOwner, SavedKind, SavedRule, SavedSays,
        Source,
    };

    fn saved(kind: SavedKind, path: &str, accepts: bool) -> SavedRule {
        let location = Some(Location { path: path.into(), line: 12 });
        let says = SavedSays { accepts, by_rule: true, text: "-A INPUT -p tcp --dport 80 -j ACCEPT".into(), location };
        SavedRule {
            kind,
            path: path.into(),
            says: Observed::known(says, Source::configured(path)),
            loaded_at_boot: Observed::known(true, Source::configured("systemd")),
        }
    }
    fn scene(judgement: Judgement, rule: SavedRule) -> Scene {
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx");
        scene.filtered(Some(accepted()), Some(judgement)).filters(|f| f.saved.rules = vec![rule])
    }
    fn closed() -> Judgement {
        dropped(policy(chain(FilterBackend::IptablesNft, "INPUT", FilterHook::Input), RuleOwner::Hand))
    }

    #[test]
    fn saved_and_never_loaded() {
        let report = scene(closed(), saved(SavedKind::Iptables, "/etc/iptables/rules.v4", true)).silent().report();
        let blocker = &report.blockers[0];
        let ids: Vec<&str> = blocker.whys.iter().map(|w| w.id.as_str()).collect();
        assert_eq!(ids, ["ingress/firewall-drop", "ingress/not-persisted"]);
        assert_eq!(blocker.whys[1].evidence[0].location.as_deref(), Some("/etc/iptables/rules.v4:12"));
        let fix = &blocker.fixes[0];
        assert_eq!(
            commands(&fix.steps),
            ["iptables-nft-save > /run/unrefuse-rules", "iptables-nft-restore < /etc/iptables/rules.v4"]
        );
        assert_eq!(fix.risk, Risk::High);
        assert_eq!(blocker.certainty, Certainty::Proven);
        assert!(blocker.fixes.len() > 1, "the narrow way stays: {:?}", blocker.fixes);
    }

    #[test]
    fn the_other_tools_have_a_word_for_it() {
        let first = |kind, path: &str| {
            let report = scene(closed(), saved(kind, path, true)).silent().report();
            commands(&report.blockers[0].fixes[0].steps).last().map(|command| (*command).to_owned())
        };
        assert_eq!(first(SavedKind::Ufw, "/etc/ufw/user.rules").as_deref(), Some("ufw reload"));
        assert_eq!(first(SavedKind::Firewalld, "/etc/firewalld/zones/public.xml").as_deref(), Some("firewall-cmd --reload"));
        assert_eq!(first(SavedKind::Nftables, "/etc/nftables.conf").as_deref(), Some("nft -f /etc/nftables.conf"));
    }

    #[test]
    fn another_tools_rules_decide() {
        let report = scene(closed(), saved(SavedKind::Nftables, "/etc/nftables.conf", true)).silent().report();
        assert_eq!(report.blockers[0].certainty, Certainty::Likely);
    }

    #[test]
    fn saved_alike_or_for_the_other_family_explains_nothing() {
        let roots = |rule| scene(closed(), rule).silent().roots();
        assert_eq!(roots(saved(SavedKind::Iptables, "/etc/iptables/rules.v4", false)), ["ingress/firewall-drop"]);
        assert_eq!(roots(saved(SavedKind::Ip6tables, "/etc/iptables/rules.v6", true)), ["ingress/firewall-drop"]);
        let unknown = SavedRule { says: Observed::default(), ..saved(SavedKind::Nftables, "/etc/nftables.conf", true) };
        assert_eq!(roots(unknown), ["ingress/firewall-drop"]);
        let mut shipped = saved(SavedKind::Nftables, "/etc/nftables.conf", true);
        let Observed::Known { value, .. } = &mut shipped.says else { panic!() };
        value.by_rule = false;
        assert_eq!(roots(shipped), ["ingress/firewall-drop"], "an empty file lets everything in");
        let by = Decider::Rule(iptables(FilterHook::Input, "-A INPUT -j DROP"));
        let accepts = Judgement { later_accept: Some(iptables(FilterHook::Input, "-j ACCEPT")), ..dropped(by) };
        let order = scene(accepts, saved(SavedKind::Iptables, "/etc/iptables/rules.v4", true));
        assert_eq!(order.silent().roots(), ["ingress/rule-order"]);
    }
}

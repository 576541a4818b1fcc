//! ingress/not-persisted

use crate::View;
use crate::filter::{Stop, decider, safe, stopped_in};
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::quote;
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::{Decider, FilterBackend, Observed, Reason, RuleOwner, SavedKind, SavedRule, SavedSays};

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
    let zone = firewall.firewalld.value().and_then(|firewalld| firewalld.zone.as_deref());
    let lacks = |saved: &&SavedRule| stop.decider().is_some_and(|decider| lacks(decider, saved.kind, zone));
    let accepting = firewall.saved.rules.iter().filter(|saved| serves(saved.kind)).filter(lacks).find_map(|saved| {
        let Observed::Known { value, source } = &saved.says else { return None };
        // A file that holds no rule for it says nothing: Debian's own /etc/nftables.conf lets everything in.
        (value.accepts && value.by_rule).then_some((saved, value, source))
    });
    let Some((saved, says, source)) = accepting else { return unread(&stop, &firewall.saved.rules) };
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

/// The kernel lacks what the tool's configuration lets in. A file of a whole ruleset differs from it then in any case; of
/// the rules of ufw and of a zone that is so only where what decides comes after them.
fn lacks(decider: &Decider, kind: SavedKind, zone: Option<&str>) -> bool {
    let chain = decider.place().map_or("", |place| place.chain.as_str());
    match (kind, decider.owner()) {
        (SavedKind::Iptables | SavedKind::Ip6tables | SavedKind::Nftables, _) => true,
        // ufw asks these chains before the user's rules (ufw-framework(8)).
        (SavedKind::Ufw, Some(RuleOwner::Ufw { .. })) => !chain.contains("before") && !chain.contains("not-local"),
        // A zone asks these before its services and ports (firewalld.richlanguage(5)).
        (SavedKind::Firewalld, Some(RuleOwner::Firewalld { zone: running })) => {
            let same = running.is_none() || running.as_deref() == zone;
            same && !["_pre", "_log", "_deny"].iter().any(|end| chain.ends_with(end))
        }
        _ => false,
    }
}

/// An nft file that is not understood to its end may let it in.
fn unread(stop: &Stop<'_>, saved: &[SavedRule]) -> Result<Finding, CannotTell> {
    let by_hand = stop.decider().is_some_and(|decider| is_of(decider, SavedKind::Nftables));
    let files = saved.iter().filter(|saved| saved.kind == SavedKind::Nftables && by_hand);
    let mut missing = files.filter_map(|saved| saved.says.missing()).filter(|m| m.reason != Reason::NotLooked);
    let what = "whether the saved rules let it in and were not loaded";
    missing.next().map_or(Ok(Finding::Clear), |missing| Err(CannotTell::because(what, missing)))
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
    use crate::testing::filter::{accepted, chain, commands, dropped, iptables, policy, rule};
    use unrefuse_facts::{
        Decider, FilterBackend, FilterHook, FilterRule, Judgement, Location, Missing, Observed, Reason, RuleOwner,
        SavedKind, SavedRule, SavedSays, Source, UfwAction, UfwFacts, UfwRule,
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
        let first = |kind, path: &str, owner| {
            let closed = dropped(policy(chain(FilterBackend::IptablesNft, "INPUT", FilterHook::Input), owner));
            let report = scene(closed, saved(kind, path, true)).silent().report();
            commands(&report.blockers[0].fixes[0].steps).last().map(|command| (*command).to_owned())
        };
        let ufw = first(SavedKind::Ufw, "/etc/ufw/user.rules", RuleOwner::Ufw { rule: None });
        assert_eq!(ufw.as_deref(), Some("ufw reload"));
        let firewalld = RuleOwner::Firewalld { zone: None };
        let firewalld = first(SavedKind::Firewalld, "/etc/firewalld/zones/public.xml", firewalld);
        assert_eq!(firewalld.as_deref(), Some("firewall-cmd --reload"));
        let nft = first(SavedKind::Nftables, "/etc/nftables.conf", RuleOwner::Hand);
        assert_eq!(nft.as_deref(), Some("nft -f /etc/nftables.conf"));
    }

    #[test]
    fn what_comes_before_the_saved_rules_of_a_tool_explains_the_drop_alone() {
        let roots = |decider, kind, path: &str| scene(dropped(decider), saved(kind, path, true)).silent().roots();
        let by = |name: &str, owner| {
            Decider::Rule(FilterRule { owner, ..rule(FilterBackend::IptablesNft, name, FilterHook::Input, "-j DROP") })
        };
        let ufw = RuleOwner::Ufw { rule: None };
        let user = "/etc/ufw/user.rules";
        assert_eq!(roots(by("ufw-user-input", ufw.clone()), SavedKind::Ufw, user), ["ingress/not-persisted"]);
        assert_eq!(roots(by("ufw-before-input", ufw), SavedKind::Ufw, user), ["ingress/firewall-drop"]);
        assert_eq!(roots(by("INPUT", RuleOwner::Hand), SavedKind::Ufw, user), ["ingress/firewall-drop"]);
        let zone = RuleOwner::Firewalld { zone: Some("dmz".into()) };
        let public = "/etc/firewalld/zones/public.xml";
        assert_eq!(roots(by("IN_dmz", zone), SavedKind::Firewalld, public), ["ingress/firewall-drop"]);
    }

    #[test]
    fn an_nft_file_that_names_the_port_leaves_the_question_open() {
        let place = chain(FilterBackend::Nft, "input", FilterHook::Input);
        let closed = dropped(policy(place, RuleOwner::Hand));
        let file = |reason| SavedRule {
            says: Observed::Missing(Missing::new(reason, "/etc/nftables.conf:3 names port 80")),
            ..saved(SavedKind::Nftables, "/etc/nftables.conf", true)
        };
        let report = scene(closed.clone(), file(Reason::Failed)).silent().report();
        assert_eq!(report.blockers[0].root, "ingress/firewall-drop");
        assert!(report.unknown.iter().any(|u| u.why.contains("/etc/nftables.conf:3")), "{:?}", report.unknown);
        let report = scene(closed, file(Reason::NotLooked)).silent().report();
        assert!(!report.unknown.iter().any(|u| u.why.contains("nftables.conf")), "{:?}", report.unknown);
    }

    #[test]
    fn what_ufw_has_already_is_not_offered_again() {
        let place = chain(FilterBackend::IptablesNft, "INPUT", FilterHook::Input);
        let closed = dropped(policy(place, RuleOwner::Ufw { rule: None }));
        let rule = UfwRule {
            number: 1,
            out: false,
            action: UfwAction::Allow,
            to: "80/tcp".into(),
            from: "Anywhere".into(),
            v6: false,
            comment: None,
        };
        let facts = UfwFacts { enabled: true, rules: vec![rule], ..UfwFacts::default() };
        let scene = scene(closed, saved(SavedKind::Ufw, "/etc/ufw/user.rules", true));
        let scene = scene.filters(|f| f.ufw = Observed::known(facts, Source::configured("/etc/ufw/user.rules")));
        let report = scene.silent().report();
        let all: Vec<&str> = report.blockers[0].fixes.iter().flat_map(|fix| commands(&fix.steps)).collect();
        assert_eq!(all, ["ufw reload"], "ufw would skip `allow 80/tcp`");
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

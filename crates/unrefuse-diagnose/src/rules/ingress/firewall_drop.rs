//! ingress/firewall-drop

use crate::View;
use crate::filter::{Kind, Leg, Stop, allow, at_interface, decider, owned_by, stopped_in, unread};
use crate::finding::{CannotTell, Finding};
use crate::report::{Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::text::visible;
use unrefuse_facts::{AttemptOutcome, Decider, Fate, RuleOwner, TooOften};

cause! {
    /// ## What it means
    ///
    /// A rule or the policy of a chain of the server's packet filter drops the packet, or drops the server's answer on its
    /// way out. The service may well run and listen behind it.
    ///
    /// ## How it shows
    ///
    /// `connect()` times out, by default after more than two minutes; nothing comes back. Where the answer is dropped, the
    /// server counts half-open connections (`ss -tn state syn-recv`).
    ///
    /// ## How to confirm by hand
    ///
    /// On the server: `iptables-save -c`, `ip6tables-save -c`, `nft list ruleset`; the counter of the rule or policy rises
    /// with each attempt. `tcpdump -n port PORT` shows the packets all the same: it looks before the filter does.
    ///
    /// ## How to fix
    ///
    /// Allow the port in the tool that made the rule: `ufw allow PORT/tcp`, `firewall-cmd --add-port=PORT/tcp`, or a rule
    /// before the one that drops. Where the policy is drop, the firewall is closed on purpose: open it for one client
    /// rather than for all.
    ///
    /// ## What it is often mistaken for
    ///
    /// `path/filtered`: the same silence, made elsewhere. `listener/queue-full`: a full accept queue is silent too.
    id: "ingress/firewall-drop",
    title: "the server's firewall drops it",
    instead_of: &["path/filtered"],
    needs: &["firewall rules"],
    likes: &["sockets"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let mine = |stop: &Stop<'_>| !stop.rejects() && stop.kind() == Kind::Firewall && !sent_to_loopback(stop);
    let Some(stop) = stopped_in(view).filter(mine) else {
        let question = "whether this machine's own rules let it in";
        let ingress = view.judged().and_then(|j| j.ingress.as_ref());
        if let Some(depends) = undecided(view).or_else(|| at_interface(view).filter(|_| view.judged_only())) {
            return Err(depends);
        }
        let open =
            (view.is_local() == Some(true) || view.judged_only()) && view.outcome() != Some(AttemptOutcome::Refused);
        return unread(view, ingress, question).filter(|_| open).map_or(Ok(Finding::Clear), Err);
    };
    let by = decider(&stop);
    let owner = owned_by(stop.decider().and_then(Decider::owner));
    let endpoint = view.endpoint();
    let title = match stop.leg {
        Leg::AnswerOut => format!("the answer of {endpoint} is dropped on its way out: {by}{owner}"),
        Leg::Later => format!("connections to {endpoint} open, and then the client's packets are dropped: {by}{owner}"),
        leg if leg.is_neighbours() => {
            let ip = endpoint_ip(view);
            format!("neighbour discovery for {ip} is dropped, so that nobody on its link finds it: {by}{owner}")
        }
        _ => format!("packets to {endpoint} are dropped: {by}{owner}"),
    };
    let mut fired = stop.fired(view, title).evidences(zone(view, &stop));
    fired.fixes = allow(view, &stop);
    fired.fixes.extend(other_zone(view, &stop));
    Ok(fired.fires())
}

/// NAT gave it a loopback address: `ingress/dnat-dead-end` says so.
fn sent_to_loopback(stop: &Stop<'_>) -> bool {
    let to = stop.judgement.translated.as_ref().map(|translation| translation.to.ip());
    matches!(stop.decider(), Some(Decider::Stack(_))) && to.is_some_and(|to| to.is_loopback())
}

fn endpoint_ip(view: &View<'_>) -> String {
    view.ip().map_or_else(|| view.endpoint(), |ip| ip.to_string())
}

/// Nobody tried (`--from`), and what the rules do depends on more than rates, which one attempt keeps to.
fn undecided(view: &View<'_>) -> Option<CannotTell> {
    let judged = view.judged().filter(|_| view.judged_only())?;
    let client = view.asker().map_or_else(|| "the client".to_owned(), |ip| ip.to_string());
    let question = format!("whether this machine's rules let {client} in to {}", view.endpoint());
    if let Some(TooOften { list, noted, most, seconds }) = &judged.too_often {
        return Some(CannotTell::new(
            question,
            format!(
                "{noted} packets of it within {seconds} s are in the list {}, of which the rules take {most} for too many: it \
                 is shut out until it has been quiet so long",
                visible(list)
            ),
            format!("ask again in {seconds} s; the list is /proc/net/xt_recent/{}", visible(list)),
        ));
    }
    let open = [&judged.ingress, &judged.reply].into_iter().flatten().find_map(|judgement| match &judgement.fate {
        Fate::Depends { reason, fates } if fates.iter().any(Fate::is_stopped) && !is_rate(reason) => Some(reason),
        _ => None,
    })?;
    Some(CannotTell::new(
        question,
        format!("it depends: {}", crate::filter::safe(open)),
        "connect from there; the rule's counter tells (iptables-save -c, nft list ruleset)",
    ))
}

/// A limit of how often or how many: it stops who exceeds it.
fn is_rate(reason: &str) -> bool {
    const RATES: [&str; 6] = ["limit", "hashlimit", "connlimit", "ct count", "quota", "add @"];
    let counted = reason.starts_with("recent") && reason.contains("--hitcount");
    counted || RATES.iter().any(|rate| reason.trim_start_matches("-m ").starts_with(rate))
}

/// The interface's zone, where firewalld decides.
pub(super) fn zone(view: &View<'_>, stop: &Stop<'_>) -> Option<Evidence> {
    let RuleOwner::Firewalld { .. } = stop.decider()?.owner()? else { return None };
    let known = &view.firewall()?.firewalld;
    let facts = known.value()?;
    let (zone, source) = (visible(facts.zone.as_deref()?), known.source()?.what.clone());
    let interface = facts.interface.as_deref().map(|name| format!("{} is in ", visible(name))).unwrap_or_default();
    let open = match facts.open_in_zone.as_deref() {
        Some(other) => format!("; zone {} lets {} in", visible(other), view.port()),
        None => String::new(),
    };
    let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { visible(&items.join(" ")) };
    let text =
        format!("{interface}zone {zone}: services {}, ports {}{open}", list(&facts.services), list(&facts.ports));
    Some(Evidence::new(text, source))
}

/// The interface belongs into another zone, perhaps: a sentence of its own, for it moves all its traffic.
pub(super) fn other_zone(view: &View<'_>, stop: &Stop<'_>) -> Option<Fix> {
    let RuleOwner::Firewalld { .. } = stop.decider()?.owner()? else { return None };
    let facts = view.firewall()?.firewalld.value()?;
    let quote = crate::fix::quote;
    let (old, new) = (quote(facts.zone.as_deref()?)?, quote(facts.open_in_zone.as_deref()?)?);
    let interface = quote(facts.interface.as_deref()?)?;
    let title = format!("move {interface} to zone {new}, which lets {} in, with all its traffic", view.port());
    Some(
        Fix::new(view, Risk::High, title)
            .command(format!("firewall-cmd --zone={new} --change-interface={interface}"))
            .command(format!("firewall-cmd --permanent --zone={new} --change-interface={interface}"))
            .undo(format!("firewall-cmd --zone={old} --change-interface={interface}"))
            .undo(format!("firewall-cmd --permanent --zone={old} --change-interface={interface}"))
            .persistent(),
    )
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Risk};
    use crate::testing::Scene;
    use crate::testing::filter::{accepted, chain, commands, dropped, iptables, policy, rule};
    use unrefuse_facts::{
        Decider, Fate, FilterBackend, FilterHook, FirewalldFacts, Judgement, Observed, RuleOwner, Source, UfwAction,
        UfwFacts, UfwRule,
    };

    fn scene(by: Decider) -> Scene {
        Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx").filtered(Some(accepted()), Some(dropped(by)))
    }
    fn input(owner: RuleOwner) -> Decider {
        policy(chain(FilterBackend::IptablesNft, "INPUT", FilterHook::Input), owner)
    }

    #[test]
    fn a_drop_policy_is_closed_on_purpose() {
        let report = scene(input(RuleOwner::Hand)).silent().report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("ingress/firewall-drop", Certainty::Proven));
        assert_eq!(report.blockers.len(), 1);
        assert!(blocker.whys[0].evidence[0].text.contains("closed by default"), "{:?}", blocker.whys[0].evidence);
        assert_eq!(commands(&blocker.fixes[0].steps), ["iptables-nft -A INPUT -p tcp --dport 80 -j ACCEPT"]);
        assert_eq!(blocker.fixes[0].risk, Risk::High);
        assert!(blocker.fixes[0].title.contains("everybody to port 80/tcp"), "{}", blocker.fixes[0].title);
    }

    #[test]
    fn from_another_machine_the_narrow_fix_comes_first_and_nothing_is_proven() {
        let by = Decider::Rule(rule(FilterBackend::Legacy, "INPUT", FilterHook::Input, "-A INPUT -j DROP"));
        let report = scene(by).asked_from("10.5.0.9").report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("ingress/firewall-drop", Certainty::Likely));
        let steps: Vec<&str> = blocker.fixes.iter().flat_map(|f| commands(&f.steps)).collect();
        assert_eq!(
            steps,
            [
                "iptables-legacy -I INPUT 3 -s 10.5.0.9 -p tcp --dport 80 -j ACCEPT",
                "iptables-legacy -I INPUT 3 -p tcp --dport 80 -j ACCEPT"
            ]
        );
        assert_eq!(blocker.fixes[0].risk, Risk::Medium);
        assert_eq!(blocker.fixes[0].verify, "unrefuse --from 10.5.0.9 10.1.0.2:80");
    }

    #[test]
    fn ufw_closed_by_default_and_ufw_with_a_deny_before() {
        let report = scene(input(RuleOwner::Ufw { rule: None })).asked_from("10.5.0.9").report();
        let fixes = &report.blockers[0].fixes;
        assert_eq!(commands(&fixes[0].steps), ["ufw allow from 10.5.0.9 to any port 80 proto tcp"]);
        assert_eq!(commands(&fixes[0].undo), ["ufw delete allow from 10.5.0.9 to any port 80 proto tcp"]);
        assert_eq!(commands(&fixes[1].steps), ["ufw allow 80/tcp"]);
        assert!(fixes[0].persistent);

        let mut deny =
            rule(FilterBackend::IptablesNft, "ufw-user-input", FilterHook::Input, "-A ufw-user-input -j DROP");
        deny.owner = RuleOwner::Ufw { rule: None };
        let user = UfwRule {
            number: 2,
            out: false,
            action: UfwAction::Deny,
            to: "80/tcp".into(),
            from: "Anywhere".into(),
            v6: false,
            comment: None,
        };
        let facts =
            UfwFacts { enabled: true, rules: vec![user], default_input: Some("DROP".into()), ..UfwFacts::default() };
        let report = |deny| {
            let facts = Observed::known(facts.clone(), Source::configured("/etc/ufw/user.rules"));
            scene(Decider::Rule(deny)).filters(|f| f.ufw = facts).silent().report()
        };
        let by_port = report(deny.clone());
        assert_eq!(commands(&by_port.blockers[0].fixes[0].steps), ["ufw delete deny 80/tcp", "ufw allow 80/tcp"]);
        // Where it is known which rule it is, that one may be taken out.
        (deny.owner, deny.comment) = (RuleOwner::Ufw { rule: Some(2) }, Some("no web".into()));
        let by_number = report(deny);
        let blocker = &by_number.blockers[0];
        assert_eq!(commands(&blocker.fixes[0].steps), ["ufw delete deny 80/tcp", "ufw allow 80/tcp"]);
        let last = blocker.fixes.last().unwrap();
        assert_eq!(
            (commands(&last.steps), commands(&last.undo)),
            (vec!["ufw --force delete 2"], vec!["ufw deny 80/tcp"])
        );
        assert_eq!((last.risk, last.persistent), (Risk::High, true));
        let evidence: Vec<&str> = blocker.whys[0].evidence.iter().map(|e| e.text.as_str()).collect();
        assert!(evidence.contains(&"its comment: no web"), "{evidence:?}");
        assert!(evidence.contains(&"made by ufw: rule 2 of `ufw status numbered`"), "{evidence:?}");
    }

    #[test]
    fn firewalld_in_the_wrong_zone() {
        let mut drop = rule(FilterBackend::Nft, "filter_IN_drop", FilterHook::Input, "drop");
        drop.owner = RuleOwner::Firewalld { zone: Some("drop".into()) };
        let facts = FirewalldFacts {
            zone: Some("drop".into()),
            interface: Some("eth0".into()),
            open_in_zone: Some("home".into()),
            ..Default::default()
        };
        let report = scene(Decider::Rule(drop))
            .filters(|f| f.firewalld = Observed::known(facts, Source::running("org.fedoraproject.FirewallD1")))
            .asked_from("10.5.0.9")
            .report();
        let fixes = &report.blockers[0].fixes;
        assert_eq!(
            commands(&fixes[0].steps)[0],
            "firewall-cmd --zone=drop --add-rich-rule='rule family=\"ipv4\" source address=\"10.5.0.9\" \
             port port=\"80\" protocol=\"tcp\" accept'"
        );
        assert_eq!(
            commands(&fixes[1].steps),
            ["firewall-cmd --zone=drop --add-port=80/tcp", "firewall-cmd --permanent --zone=drop --add-port=80/tcp"]
        );
        assert!(fixes[2].title.starts_with("move eth0 to zone home"));
        assert!(report.blockers[0].whys[0].evidence.iter().any(|e| e.text.contains("zone home lets 80/tcp in")));
    }

    #[test]
    fn the_answer_is_dropped() {
        let output = dropped(Decider::Rule(iptables(FilterHook::Output, "-A OUTPUT -p tcp --sport 80 -j DROP")));
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx");
        let report =
            scene.filtered(None, Some(accepted())).filters(|f| f.judgements[0].reply = Some(output)).silent().report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "ingress/firewall-drop");
        assert!(blocker.whys[0].title.starts_with("the answer of 10.1.0.2:80 is dropped on its way out: rule 3 of"));
        assert_eq!(commands(&blocker.fixes[0].steps), ["iptables-nft -I OUTPUT 3 -p tcp --sport 80 -j ACCEPT"]);
    }

    #[test]
    fn what_this_machine_sends_itself_is_let_through_by_lo() {
        let input = dropped(Decider::Rule(iptables(FilterHook::Input, "-A INPUT -j DROP")));
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx");
        let report =
            scene.filtered(None, Some(accepted())).filters(|f| f.judgements[0].reply = Some(input)).silent().report();
        let fixes = &report.blockers[0].fixes;
        assert_eq!(commands(&fixes[0].steps), ["iptables-nft -I INPUT 1 -i lo -j ACCEPT"]);
        assert_eq!(fixes[0].risk, Risk::Low);
    }

    #[test]
    fn two_tables_that_drop_are_opened_together() {
        let nft = policy(chain(FilterBackend::Nft, "in", FilterHook::Input), RuleOwner::Hand);
        let first = Judgement { behind: Some(Box::new(dropped(nft))), ..dropped(input(RuleOwner::Hand)) };
        let report = Scene::local("10.1.0.2:80").filtered(None, Some(first)).asked_from("10.5.0.9").report();
        let fixes = &report.blockers.iter().find(|b| b.root == "ingress/firewall-drop").expect("a drop").fixes;
        assert_eq!(
            commands(&fixes[0].steps),
            [
                "iptables-nft -A INPUT -s 10.5.0.9 -p tcp --dport 80 -j ACCEPT",
                "nft add rule inet filter in 'ip saddr 10.5.0.9 tcp dport 80 accept comment \"unrefuse-80-tcp\"'"
            ]
        );
        assert_eq!(commands(&fixes[0].undo).len(), 2);
        assert!(commands(&fixes[0].undo)[0].starts_with("nft delete rule"), "undone in the other order");
    }

    #[test]
    fn a_connection_that_only_begins() {
        let later = dropped(input(RuleOwner::Hand));
        let scene = || Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx").filtered(None, Some(accepted()));
        let report = scene().filters(|f| f.judgements[0].later = Some(later)).asked_from("10.5.0.9").report();
        assert_eq!(report.outcome, crate::report::Outcome::Open);
        let blocker = &report.blockers[0];
        assert!(blocker.whys[0].title.starts_with("connections to 10.1.0.2:80 open, and then"), "{:?}", blocker.whys);
        assert_eq!(
            commands(&blocker.fixes[0].steps),
            ["iptables-nft -I INPUT 1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"]
        );
        assert!(scene().asked_from("10.5.0.9").report().blockers.is_empty());
    }

    #[test]
    fn neighbour_discovery_is_dropped() {
        let by = || dropped(policy(chain(FilterBackend::Nft, "in", FilterHook::Input), RuleOwner::Hand));
        let scene = |ingress| Scene::local("[fd01::2]:80").listener("[::]:80", "nginx").filtered(None, Some(ingress));
        let asked = |scene: Scene| scene.filters(|f| f.judgements[0].neighbour_in = Some(by())).asked_from("fd01::9");
        let report = asked(scene(accepted())).report();
        assert_eq!(report.outcome, crate::report::Outcome::Unreachable);
        let whys = &report.blockers[0].whys;
        assert!(whys[0].title.starts_with("neighbour discovery for fd01::2 is dropped"), "{whys:?}");
        let rule = "nft add rule inet filter in 'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept \
                    comment \"unrefuse-nd\"'";
        assert_eq!(commands(&report.blockers[0].fixes[0].steps), [rule]);
        // Where the port is shut as well, one fix opens both.
        let both = asked(scene(by())).report();
        let steps = commands(&both.blockers[0].fixes[0].steps);
        assert_eq!((steps.len(), steps[1]), (2, rule), "{steps:?}");
    }

    #[test]
    fn what_depends_is_not_called_open() {
        let depends = |reason: &str| {
            let fate = Fate::Depends { reason: reason.into(), fates: vec![Fate::Dropped, Fate::Accepted] };
            let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx");
            scene.filtered(None, Some(Judgement { fate, ..accepted() })).asked_from("10.5.0.9").report()
        };
        let ban = depends("recent --rcheck --name bad --rsource");
        assert_eq!((ban.blockers.len(), ban.exit_code()), (0, 3));
        assert!(ban.unknown[0].why.contains("recent --rcheck"), "{:?}", ban.unknown);
        // One attempt keeps to a rate.
        assert_eq!(depends("limit --limit 10/second").exit_code(), 0);
    }

    #[test]
    fn a_drop_behind_a_translation_is_passed_with_the_new_port() {
        let forward = iptables(FilterHook::Forward, "-A DOCKER ! -i docker0 -o docker0 -j DROP");
        let by = unrefuse_facts::FilterRule { owner: RuleOwner::Docker, ..forward };
        let to = unrefuse_facts::Translation {
            to: "172.17.0.2:8080".parse().unwrap(),
            by: iptables(FilterHook::Prerouting, "-j DNAT"),
            probed: Observed::known(unrefuse_facts::AttemptOutcome::Open, Source::probed("connect(2)")),
        };
        let judgement = Judgement { translated: Some(to), ..dropped(Decider::Rule(by)) };
        let scene = Scene::local("10.1.0.2:80").filtered(None, Some(judgement));
        let report = scene.asked_from("10.5.0.9").report();
        let blocker = report.blockers.iter().find(|b| b.root == "ingress/firewall-drop").expect("a drop");
        assert_eq!(
            commands(&blocker.fixes[0].steps),
            ["iptables-nft -I DOCKER-USER 1 -s 10.5.0.9 -d 172.17.0.2 -p tcp --dport 8080 -j ACCEPT"]
        );
    }

    #[test]
    fn accepted_or_answered_it_is_no_drop() {
        let scene = || Scene::local("10.1.0.2:80").filtered(Some(accepted()), Some(accepted()));
        assert!(scene().silent().roots().iter().all(|root| root != "ingress/firewall-drop"));
        assert!(self::scene(input(RuleOwner::Hand)).open().roots().is_empty());
        let refused = self::scene(input(RuleOwner::Hand)).rst().report();
        assert!(refused.blockers.iter().all(|b| b.certainty < Certainty::Proven), "{:?}", refused.blockers);
    }
}

//! ingress/banned

use crate::View;
use crate::filter::{Kind, allow, and_without, owned_by, safe, short, stopped_in, take_out};
use crate::finding::{CannotTell, Finding};
use crate::fix::quote;
use crate::report::{Fix, Risk};
use crate::rule::cause;
use std::net::IpAddr;
use unrefuse_facts::{FilterRule, RuleOwner};

cause! {
    /// ## What it means
    ///
    /// The client's own address is banned: it is in a set (fail2ban, ipset, nft) or in a chain of banned addresses.
    /// Others reach the service.
    ///
    /// ## How it shows
    ///
    /// It worked, and suddenly it does not, from this client only: "connection refused" where the ban rejects (fail2ban's
    /// default), silence where it drops. Often after some failed log-ins.
    ///
    /// ## How to confirm by hand
    ///
    /// `fail2ban-client status JAIL`, `ipset test SET ADDRESS`, `nft get element FAMILY TABLE SET '{ ADDRESS }'`,
    /// `cscli decisions list --ip ADDRESS`.
    ///
    /// ## How to fix
    ///
    /// Take the address out: `fail2ban-client set JAIL unbanip ADDRESS`, `ipset del SET ADDRESS`, `nft delete element …`.
    /// Then find what earned it the ban, or it comes back.
    ///
    /// ## What it is often mistaken for
    ///
    /// `ingress/firewall-drop` and `path/filtered`: a ban is made for one address only, so try from another one.
    id: "ingress/banned",
    title: "the client's address is banned",
    instead_of: &["path/filtered"],
    needs: &["firewall rules", "sets"],
    likes: &["the client's address"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(stop) = stopped_in(view).filter(|s| s.kind() == Kind::Banned) else { return Ok(Finding::Clear) };
    let Some(rule) = stop.decider().and_then(|d| d.rule()) else { return Ok(Finding::Clear) };
    let address = banned(view, rule);
    let who = address.map_or_else(|| "the client's address".to_owned(), |ip| ip.to_string());
    let by = match (&rule.owner, &rule.set) {
        (RuleOwner::Fail2ban { jail: Some(jail) }, _) => format!("fail2ban's jail {}", safe(jail)),
        (_, Some(set)) => format!("the set {}{}", safe(&set.name), owned_by(Some(&rule.owner))),
        _ => format!("{}{}", short(rule), owned_by(Some(&rule.owner))),
    };
    let does = if stop.rejects() { "rejected" } else { "dropped" };
    let title = format!("{who} is banned by {by}: its packets to {} are {does}", view.endpoint());
    let mut fired = stop.fired(view, title);
    fired.fixes.extend(address.and_then(|ip| unban(view, rule, ip)).map(|fix| and_without(fix, view, &stop)));
    if fired.fixes.is_empty() {
        let taken = rule.set.as_ref().and_then(|set| take_out(view, rule, set));
        fired.fixes.extend(taken.map(|fix| and_without(fix, view, &stop)));
    }
    if fired.fixes.is_empty() {
        fired.fixes = allow(view, &stop).into_iter().take(1).collect();
    }
    Ok(fired.fires())
}

/// The address that is banned: the client's, or the element where it is a single one.
fn banned(view: &View<'_>, rule: &FilterRule) -> Option<IpAddr> {
    let from = view.firewall().and_then(|f| f.from);
    from.or_else(|| rule.set.as_ref().and_then(|set| set.element.parse().ok()))
}

/// In the words of the program that banned it: it would ban again what is only taken out of its set.
fn unban(view: &View<'_>, rule: &FilterRule, ip: IpAddr) -> Option<Fix> {
    let fix = |by: &str| Fix::new(view, Risk::Low, format!("take the ban of {ip} back in {by}")).persistent();
    match &rule.owner {
        RuleOwner::Fail2ban { jail: Some(jail) } => {
            let name = quote(jail)?;
            Some(
                fix(&format!("fail2ban's jail {}", safe(jail)))
                    .command(format!("fail2ban-client set {name} unbanip {ip}"))
                    .undo(format!("fail2ban-client set {name} banip {ip}")),
            )
        }
        RuleOwner::Fail2ban { jail: None } => Some(fix("fail2ban").command(format!("fail2ban-client unban {ip}"))),
        RuleOwner::Program { name } if name == "crowdsec" => Some(
            fix("CrowdSec")
                .command(format!("cscli decisions delete --ip {ip}"))
                .undo(format!("cscli decisions add --ip {ip}")),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::filter::{PORT_UNREACHABLE, accepted, commands, dropped, iptables, rejected, rule};
    use unrefuse_facts::{Decider, FilterBackend, FilterHook, FilterRule, RuleOwner, SetHit, SetKind};

    fn hit(kind: SetKind, element: &str, by_source: bool) -> Option<SetHit> {
        let (name, element) = ("bad".into(), element.into());
        Some(SetHit { kind, name, element, by_source, expires: Some(300), comment: None })
    }
    fn scene(by: FilterRule) -> Scene {
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx");
        scene.filtered(None, Some(dropped(Decider::Rule(by)))).asked_from("10.5.0.9")
    }

    #[test]
    fn by_an_ipset() {
        let by = FilterRule { set: hit(SetKind::Ipset, "10.5.0.9", true), ..iptables(FilterHook::Input, "-j DROP") };
        let report = scene(by).report();
        assert_eq!(report.blockers.len(), 1);
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "ingress/banned");
        assert_eq!(blocker.whys[0].title, "10.5.0.9 is banned by the set bad: its packets to 10.1.0.2:80 are dropped");
        assert_eq!(commands(&blocker.fixes[0].steps), ["ipset del bad 10.5.0.9"]);
        assert_eq!(commands(&blocker.fixes[0].undo), ["ipset add bad 10.5.0.9 timeout 300"]);
    }

    #[test]
    fn by_an_nft_set_that_holds_its_network() {
        let by = rule(FilterBackend::Nft, "input", FilterHook::Input, "ip saddr @bad drop");
        let report = scene(FilterRule { set: hit(SetKind::Nft, "10.5.0.0/24", true), ..by }).report();
        let fix = &report.blockers[0].fixes[0];
        assert_eq!(commands(&fix.steps), ["nft delete element inet filter bad '{ 10.5.0.0/24 }'"]);
        assert_eq!(commands(&fix.undo), ["nft add element inet filter bad '{ 10.5.0.0/24 timeout 300s }'"]);
        assert!(fix.title.contains("lets in all that it covers"));
    }

    #[test]
    fn by_fail2ban() {
        let mut by =
            rule(FilterBackend::IptablesNft, "f2b-sshd", FilterHook::Input, "-A f2b-sshd -s 10.5.0.9/32 -j REJECT");
        by.owner = RuleOwner::Fail2ban { jail: Some("sshd".into()) };
        let report = Scene::local("10.1.0.2:22")
            .filtered(None, Some(rejected(PORT_UNREACHABLE, Decider::Rule(by))))
            .asked_from("10.5.0.9")
            .report();
        let fixes = &report.blockers[0].fixes;
        assert_eq!(commands(&fixes[0].steps), ["fail2ban-client set sshd unbanip 10.5.0.9"]);
        assert_eq!(commands(&fixes[0].undo), ["fail2ban-client set sshd banip 10.5.0.9"]);
    }

    #[test]
    fn a_set_of_ports_bans_nobody() {
        let by = FilterRule { set: hit(SetKind::Ipset, "80", false), ..iptables(FilterHook::Input, "-j DROP") };
        let report = scene(by).report();
        assert_eq!(report.blockers[0].root, "ingress/firewall-drop");
        assert_eq!(commands(&report.blockers[0].fixes[0].steps), ["ipset del bad 80"]);
    }

    #[test]
    fn a_list_inside_the_rule_is_a_plain_rule() {
        let by = rule(FilterBackend::Nft, "input", FilterHook::Input, "ip saddr { 10.5.0.8, 10.5.0.9 } drop");
        let set = hit(SetKind::Nft, "10.5.0.9", true).map(|hit| SetHit { name: "__set0".into(), ..hit });
        let report = scene(FilterRule { set, ..by }).report();
        assert_eq!(report.blockers[0].root, "ingress/firewall-drop");
        assert!(commands(&report.blockers[0].fixes[0].steps)[0].starts_with("nft insert rule"));
    }

    #[test]
    fn who_is_let_in_is_not_banned() {
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx");
        assert!(scene.filtered(None, Some(accepted())).asked_from("10.5.0.9").roots().is_empty());
    }
}

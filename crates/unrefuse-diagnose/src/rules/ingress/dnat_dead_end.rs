//! ingress/dnat-dead-end

use crate::View;
use crate::containers::{self, Inside};
use crate::filter::{
    end_of, keep_setting, listener_beside, owned_by, remove_rule, rule_text, safe, setting_name, short, source,
    stopped_in,
};
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::{AttemptOutcome, Decider, Translation};

cause! {
    /// ## What it means
    ///
    /// A nat rule of the server (DNAT, REDIRECT, a published port) sends the packet on to an address or port where
    /// nothing takes it. What listens on the port that the client asked has no part in it.
    ///
    /// ## How it shows
    ///
    /// "Connection refused" where the new address lives and has no listener, "no route to host" or silence where it is
    /// gone, as after a container got another address.
    ///
    /// ## How to confirm by hand
    ///
    /// `iptables-save -t nat -c` or `nft list ruleset`: the counter of the DNAT rule rises. Then connect to the rule's
    /// target from the server itself.
    ///
    /// ## How to fix
    ///
    /// Let something listen where the rule sends it, point the rule to where the service is, or take it out.
    ///
    /// ## What it is often mistaken for
    ///
    /// `listener/none`: `ss -ltn` may even show a listener on the port that was asked. `ingress/forwarding-off`: then the
    /// new address answers to the server, and not to others.
    id: "ingress/dnat-dead-end",
    title: "a nat rule sends it where nothing listens",
    instead_of: &["listener/*"],
    apart: true,
    needs: &["firewall rules"],
    likes: &["sockets", "an attempt to the new address"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    if let Some(fired) = to_loopback(view) {
        return Ok(fired.fires());
    }
    let Some(translation) = translation(view) else { return Ok(Finding::Clear) };
    if Some(translation.to) == view.address {
        return Ok(Finding::Clear);
    }
    let (certainty, seen) = match end_of(view, translation) {
        Some(end) if end.alive => return Ok(Finding::Clear),
        Some(end) if listens_inside(view, translation) => {
            return Err(CannotTell::new(
                format!("what stops packets to {}, where {} is sent on to", translation.to, view.endpoint()),
                format!("{}, though a socket inside that container takes it", end.evidence.text),
                "rules, links and routes in the container's own network namespace, and what leads there",
            ));
        }
        Some(end) => (end.certainty, Some(end.evidence)),
        None if view.outcome() == Some(AttemptOutcome::Refused) => (Certainty::Likely, None),
        None if view.judged_only() => {
            let to = translation.to;
            return Err(CannotTell::new(
                format!("whether something answers at {to}, where {} is sent on to", view.endpoint()),
                "no attempt was made to it",
                view.again().for_this_machine().said(&to.to_string()),
            ));
        }
        None => (Certainty::Possible, None),
    };
    let (rule, to) = (&translation.by, translation.to);
    let owner = owned_by(Some(&rule.owner));
    // A container's engine made the rule for it, and it is as it should be.
    let to_container = containers::known(view).and_then(|facts| containers::by_address(facts, to.ip())).is_some();
    let title =
        format!("packets to {} are sent on to {to}, where nothing answers: {}{owner}", view.endpoint(), short(rule));
    let program = rule.owner.name().map(|name| format!(" ({} sends it there)", safe(name))).unwrap_or_default();
    let who = listener_beside(view, translation).map_or_else(
        || "something".to_owned(),
        |beside| format!("{}, which listens on {},", beside.name, beside.local),
    );
    Ok(Fired::new(certainty, title)
        .evidence(Evidence::new(rule_text(rule), source(view)))
        .evidences(rule.comment.as_ref().map(|c| Evidence::new(format!("its comment: {}", safe(c)), source(view))))
        .evidences(seen)
        .fix(Fix::new(view, Risk::Low, format!("let {who} listen on {to}{program}")))
        .fix(remove_rule(view, rule).filter(|_| !to_container && taken_here(view)))
        .fires())
}

/// It is sent on to a container, in which a socket that others reach was seen.
fn listens_inside(view: &View<'_>, translation: &Translation) -> bool {
    let container = containers::known(view).and_then(|facts| containers::by_address(facts, translation.to.ip()));
    let (Some((_, container)), Some(transport)) = (container, view.transport()) else { return false };
    let found = containers::inside(container, transport, translation.to.port());
    matches!(found, Inside::Listens(socket) if socket.takes(translation.to.ip()) == Some(true))
}

/// Without the rule something would take the packet: the address is not this machine's, or a socket listens there. Where
/// that is not known, it may be so.
fn taken_here(view: &View<'_>) -> bool {
    let (Some(address), Some(table)) = (view.address, view.case.host.sockets.value()) else { return true };
    view.is_local() != Some(true)
        || table.listeners.iter().any(|socket| {
            Some(socket.transport) == view.transport()
                && socket.local.port() == address.port()
                && socket.takes(address.ip()) != Some(false)
        })
}

/// NAT gives a packet from a wire a loopback address: the kernel takes that for a forgery (RFC 1122, 3.2.1.3), but for
/// IPv4 where `route_localnet` says otherwise (Documentation/networking/ip-sysctl.rst).
fn to_loopback(view: &View<'_>) -> Option<Fired> {
    let stop = stopped_in(view).filter(|stop| matches!(stop.decider(), Some(Decider::Stack(_))))?;
    let translation = stop.judgement.translated.as_ref().filter(|translation| translation.to.ip().is_loopback())?;
    let (rule, to) = (&translation.by, translation.to);
    let by = format!("{}{}", short(rule), owned_by(Some(&rule.owner)));
    let title =
        format!("packets to {} are sent on to {to}, a loopback address, and dropped for it: {by}", view.endpoint());
    let interface = stop.judgement.arrives_by.as_deref().or_else(|| facing(view)).filter(|_| to.is_ipv4());
    let allowed = interface.and_then(|interface| {
        let title = format!("let packets that come in by {} reach loopback addresses", safe(interface));
        let setting = setting_name("ipv4", interface, "route_localnet");
        keep_setting(view, Fix::new(view, Risk::High, title), &setting, "1", Some("0"))
    });
    let who = end_of(view, translation).filter(|end| end.alive).map_or("something", |_| "what listens there");
    let beside = format!("let {who} listen on an address that is no loopback one, and the rule lead to that");
    let fired = stop.fired(view, title).evidence(Evidence::new(rule_text(rule), source(view)));
    Some(fired.fix(Fix::new(view, Risk::Medium, beside)).fix(allowed))
}

/// The interface that answers to the client leave by: it most likely comes in by that.
fn facing<'a>(view: &View<'a>) -> Option<&'a str> {
    let route = view.case.way_back.as_ref()?.decision.value()?.via()?;
    view.case.host.link(route.link?).map(|link| link.name.as_str())
}

/// The translation on the way in; for what this machine sends to one of its own addresses, the one in OUTPUT.
fn translation<'a>(view: &'a View<'_>) -> Option<&'a Translation> {
    let judged = view.judged()?;
    let own = judged.egress.as_ref().filter(|_| view.is_local() == Some(true));
    let judgements = [judged.ingress.as_ref(), own];
    judgements.into_iter().flatten().find_map(|j| j.translated.as_ref())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::filter::{accepted, chain, commands, dropped, iptables, policy};
    use unrefuse_facts::{
        AttemptOutcome, Decider, FilterBackend, FilterHook, Judgement, Observed, RuleOwner, Source, StackReason,
        Translation,
    };

    fn to(target: &str, probed: Option<AttemptOutcome>) -> Judgement {
        let mut by =
            iptables(FilterHook::Prerouting, "-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.1.0.2:8080");
        by.place.table = "nat".into();
        let probed = probed.map_or_else(Observed::default, |seen| Observed::known(seen, Source::probed("connect(2)")));
        Judgement { translated: Some(Translation { to: target.parse().unwrap(), by, probed }), ..accepted() }
    }

    #[test]
    fn redirected_to_a_port_of_this_machine_without_a_listener() {
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx");
        let report = scene.filtered(None, Some(to("10.1.0.2:8080", None))).asked_from("10.5.0.9").report();
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("ingress/dnat-dead-end", Certainty::Likely));
        assert!(
            blocker.whys[0]
                .evidence
                .iter()
                .any(|e| e.text == "no socket of this machine takes tcp packets to 10.1.0.2:8080")
        );
        assert_eq!(
            commands(&blocker.fixes[1].steps),
            ["iptables-nft -t nat -D PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.1.0.2:8080"]
        );
    }

    #[test]
    fn a_published_port_of_a_dead_container_asked_on_the_host() {
        let mut egress = to("172.17.0.2:80", Some(AttemptOutcome::Refused));
        egress.translated.as_mut().unwrap().by.owner = RuleOwner::Docker;
        let report = Scene::local("10.1.0.2:80").filtered(Some(egress), None).rst().report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("ingress/dnat-dead-end", Certainty::Proven));
        assert_eq!(report.blockers.len(), 1, "a listener on the published port has no part in it");
        assert!(blocker.fixes[0].title.contains("Docker sends it there"));
    }

    #[test]
    fn its_listener_at_another_address_is_named() {
        let scene = Scene::local("10.1.0.2:80").listener("127.0.0.1:8080", "app");
        let report = scene.filtered(None, Some(to("10.1.0.2:8080", None))).asked_from("10.5.0.9").report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "ingress/dnat-dead-end");
        assert!(blocker.whys[0].evidence.iter().any(|e| e.text.ends_with(": app[800] listens on 127.0.0.1:8080")));
        assert_eq!(blocker.fixes[0].title, "let app[800], which listens on 127.0.0.1:8080, listen on 10.1.0.2:8080");
    }

    #[test]
    fn a_loopback_address_is_none_for_packets_of_a_wire() {
        let stack =
            Decider::Stack(StackReason::Other { text: "the destination is an address that no packet…".into() });
        let judgement = Judgement {
            translated: to("127.0.0.1:8080", None).translated,
            arrives_by: Some("eth0".into()),
            ..dropped(stack)
        };
        let scene = Scene::local("10.1.0.2:80").listener("127.0.0.1:8080", "app").filtered(None, Some(judgement));
        let report = scene.asked_from("10.5.0.9").report();
        let blocker = &report.blockers[0];
        assert_eq!((report.blockers.len(), blocker.root.as_str()), (1, "ingress/dnat-dead-end"));
        assert_eq!(commands(&blocker.fixes[1].steps)[0], "sysctl -w net.ipv4.conf.eth0.route_localnet=1");
    }

    #[test]
    fn it_is_told_beside_what_stops_the_packet() {
        let place = chain(FilterBackend::IptablesNft, "FORWARD", FilterHook::Forward);
        let stopped = |probed| Judgement {
            translated: to("172.17.0.77:80", Some(probed)).translated,
            ..dropped(policy(place.clone(), RuleOwner::Hand))
        };
        let roots =
            |probed| Scene::local("10.1.0.2:80").filtered(None, Some(stopped(probed))).asked_from("10.5.0.9").roots();
        assert_eq!(roots(AttemptOutcome::TimedOut), ["ingress/forwarding-off", "ingress/dnat-dead-end"]);
        assert_eq!(roots(AttemptOutcome::Open), ["ingress/forwarding-off"]);
    }

    #[test]
    fn something_answers_there() {
        let local = Scene::local("10.1.0.2:80").listener("0.0.0.0:8080", "app");
        assert!(local.filtered(None, Some(to("10.1.0.2:8080", None))).asked_from("10.5.0.9").roots().is_empty());
        let open = Some(AttemptOutcome::Open);
        let far = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "proxy");
        assert!(far.filtered(None, Some(to("172.17.0.2:80", open))).asked_from("10.5.0.9").roots().is_empty());
    }
}

//! ingress/no-way-back

use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::quote;
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use crate::rules::route::by_hand::ByHand;
use crate::rules::route::ways;
use std::net::IpAddr;
use unrefuse_facts::{AttemptOutcome, Errno, InterfaceAddress, NeighbourState, RouteDecision, Routing, text, within};

cause! {
    /// ## What it means
    ///
    /// The client's packets arrive, and this machine has no route for its answers: no entry of the routing tables leads to
    /// the client, one stops what goes there, or a rule of the routing policy does for answers from this address. Or it has
    /// a route, and a neighbour entry that somebody set by hand hands the answers to another machine, or nobody answers for
    /// the router that they go by.
    ///
    /// ## How it shows
    ///
    /// Silence: the client's attempt times out, whatever listens. `tcpdump` on the server shows SYNs that come in and
    /// nothing that leaves; no firewall rule counts them.
    ///
    /// ## How to confirm by hand
    ///
    /// On the server: `ip route get CLIENT from ADDRESS`, with the address that the client asks. `ip rule` and `ip route show
    /// table all` show which rule and entry say so. `ip neigh show nud permanent` lists entries that were set by hand;
    /// `arping CLIENT` shows who has the address.
    ///
    /// ## How to fix
    ///
    /// Give this machine a route to the client's network: by the gateway that the client's packets come from, or a default
    /// route. Where an entry stops the answers, take it out; where an interface is down, switch it on.
    ///
    /// ## What it is often mistaken for
    ///
    /// A firewall that drops (`ingress/firewall-drop`, `path/filtered`). `ingress/rp-filter` is near: there a way back
    /// exists, by another interface.
    id: "ingress/no-way-back",
    title: "the server has no route for its answers",
    instead_of: &["ingress/rp-filter"],
    needs: &["routes"],
    likes: &["addresses", "links"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(way) = view.case.way_back.as_ref().filter(|_| view.judged_only()) else { return Ok(Finding::Clear) };
    let client = way.destination;
    let question = || format!("whether this machine has a way for its answers to {client}");
    let decision = way.decision.get().map_err(|missing| CannotTell::because(question(), missing))?;
    let RouteDecision::No { errno, entry } = decision else { return Ok(misled(view, way)) };
    let entry = entry.as_ref().filter(|route| ways::stops(route.kind));
    let answers = match view.ip() {
        Some(own) if view.is_local() == Some(true) => format!("answers from {own} to {client}"),
        _ => format!("answers to {client}"),
    };
    let title = match (entry, *errno) {
        (Some(route), _) => format!("the route {} stops {answers}", ways::described(view, route)),
        (None, Errno::ENETUNREACH) => format!("this machine has no route for {answers}"),
        (None, _) => format!("a rule of the routing policy stops {answers}"),
    };
    let source = way.decision.source().map_or("RTM_GETROUTE", |source| source.what.as_str());
    let fired = Fired::new(Certainty::Proven, title)
        .predicts(&[AttemptOutcome::TimedOut])
        .evidence(Evidence::new(format!("the lookup for {answers} ends with {errno}"), source));
    if let Some(route) = entry {
        return Ok(fired.fix(ways::take_out(view, client, route)).fires());
    }
    if let Some(rule) = &way.rule {
        let said = Evidence::new(ways::rule_text(rule), "RTM_GETRULE");
        return Ok(fired.evidence(said).fix(ways::take_rule_out(view, client, rule)).fires());
    }
    let off = switched_off(view, client);
    let said = off.map(|(own, name)| {
        let said = format!("{}, which has {}/{}, is switched off", text::visible(name), own.address, own.prefix);
        Evidence::new(said, "RTM_GETLINK")
    });
    let on = off.and_then(|(_, name)| {
        let name = quote(name)?;
        let fix = Fix::new(view, Risk::Low, format!("switch {name} on"));
        Some(fix.command(format!("ip link set dev {name} up")).undo(format!("ip link set dev {name} down")))
    });
    let ip = ways::ip(client);
    let by_hand = format!(
        "give this machine a route to {client}, by the gateway that its packets come from; `{ip} rule` and `{ip} route show \
         table all` show what there is"
    );
    Ok(fired.evidences(said).fix(on).fix(Fix::new(view, Risk::Medium, by_hand)).fires())
}

/// There is a way, and the neighbour entry of its next hop leads to another machine.
fn misled(view: &View<'_>, way: &Routing) -> Finding {
    let client = way.destination;
    if let Some(fired) = unanswered(view, way) {
        return fired.fires();
    }
    let Some(entry) = ByHand::of(view, way).filter(ByHand::is_wrong) else { return Finding::Clear };
    let title = format!("answers to {client} are handed to another machine: {}", entry.said());
    // Who answers for an address does not always have it: see path/static-neighbour.
    let fired = Fired::new(Certainty::Likely, title).predicts(&[AttemptOutcome::TimedOut]).evidences(entry.evidence());
    entry.fixes(view).fold(fired, |fired, fix| fired.fix(fix)).fires()
}

/// There is a way, and nobody answers for its next hop: a router, or a neighbour that did not answer the kernel either when
/// it last asked (`NUD_FAILED`, arp(7)).
fn unanswered(view: &View<'_>, way: &Routing) -> Option<Fired> {
    let route = way.decision.value().and_then(RouteDecision::via)?;
    let client = way.destination;
    let failed = way.neighbour.value().map(|next| next.state == NeighbourState::Failed);
    if !failed.unwrap_or(route.gateway.is_some()) {
        return None;
    }
    way.claimants.value().filter(|answering| answering.is_empty())?;
    let device = view.case.host.link(route.link?).map(|link| text::visible(&link.name))?;
    let hop = route.gateway.unwrap_or(client);
    let by = if hop == client { String::new() } else { format!(" go by {hop} and") };
    let title = format!("answers to {client}{by} reach nobody: {hop} does not answer on {device}");
    let asked = way.claimants.source().map_or("ARP, neighbour discovery", |source| source.what.as_str());
    let looked = way.decision.source().map_or("RTM_GETROUTE", |source| source.what.as_str());
    let known = failed.map(|_| ", whose neighbour entry is in state FAILED").unwrap_or_default();
    let right = "let the route to the client lead to a next hop that is there, or bring that one up";
    let fired = Fired::new(Certainty::Likely, title)
        .predicts(&[AttemptOutcome::TimedOut])
        .evidence(Evidence::new(format!("nobody on {device} answers for {hop}{known}"), asked))
        .evidence(Evidence::new(format!("{client} goes by {}", ways::described(view, route)), looked))
        .fix(Fix::new(view, Risk::Medium, right));
    Some(fired)
}

/// This machine's address in the client's network, on an interface that is switched off, and that interface's name.
fn switched_off<'a>(view: &View<'a>, client: IpAddr) -> Option<(&'a InterfaceAddress, &'a str)> {
    let own = view.case.host.addresses.value()?.iter();
    let near =
        own.filter(|a| !a.address.is_loopback() && within(client, a.address, a.prefix)).max_by_key(|a| a.prefix)?;
    let link = view.case.host.link(near.link).filter(|link| !link.up)?;
    Some((near, &link.name))
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Outcome};
    use crate::testing::Scene;
    use crate::testing::filter::{accepted, commands, dropped};
    use unrefuse_facts::{
        Decider, Errno, Neighbour, NeighbourState, Observed, Route, RouteDecision, RouteKind, Routing, RoutingRule,
        Source, StackReason,
    };

    fn scene(client: &str, decision: RouteDecision) -> Scene {
        let way = Routing {
            destination: client.parse().unwrap(),
            decision: Observed::known(decision, Source::running("RTM_GETROUTE")),
            alternatives: Observed::default(),
            neighbour: Observed::default(),
            claimants: Observed::default(),
            rule: None,
            mark: None,
        };
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx").filtered(None, Some(accepted()));
        scene.asked_from(client).with(|case| case.way_back = Some(way))
    }
    fn entry(kind: RouteKind) -> Route {
        Route {
            kind,
            destination: "10.5.0.0".parse().unwrap(),
            prefix: 16,
            gateway: None,
            link: None,
            source: None,
            table: 254,
            metric: 0,
            dead: false,
        }
    }
    fn no(errno: Errno, entry: Option<Route>) -> RouteDecision {
        RouteDecision::No { errno, entry }
    }

    #[test]
    fn answers_have_no_route() {
        let report = scene("10.5.0.9", no(Errno::ENETUNREACH, None)).report();
        assert_eq!((report.outcome, report.blockers.len()), (Outcome::TimedOut, 1));
        let blocker = &report.blockers[0];
        // Nothing was sent from there.
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("ingress/no-way-back", Certainty::Likely));
        assert!(blocker.fixes[0].steps.is_empty(), "nobody here knows the gateway");
    }

    #[test]
    fn an_entry_stops_them() {
        let report = scene("10.5.0.9", no(Errno::EINVAL, Some(entry(RouteKind::Blackhole)))).report();
        assert_eq!(commands(&report.blockers[0].fixes[0].steps), ["ip route del blackhole 10.5.0.0/16"]);
    }

    #[test]
    fn the_interface_is_off() {
        let report = scene("10.1.0.9", no(Errno::ENETUNREACH, None))
            .with(|case| {
                let Observed::Known { value: links, .. } = &mut case.host.links else { panic!() };
                links[1].up = false;
            })
            .report();
        assert_eq!(commands(&report.blockers[0].fixes[0].steps), ["ip link set dev eth0 up"]);
    }

    #[test]
    fn the_reverse_path_filter_is_not_blamed_for_it() {
        let sysctl = "net.ipv4.conf.all.rp_filter".into();
        let strict = Decider::Stack(StackReason::RpFilter { sysctl, expected: None });
        let scene = scene("10.5.0.9", no(Errno::ENETUNREACH, None)).filtered(None, Some(dropped(strict)));
        assert_eq!(scene.asked_from("10.5.0.9").roots(), ["ingress/no-way-back"]);
    }

    #[test]
    fn a_rule_of_the_policy_stops_them() {
        let selector = Some("from 10.1.0.2/32".into());
        let rule = RoutingRule { priority: 70, kind: RouteKind::Unreachable, selector };
        let scene = scene("10.5.0.9", no(Errno::ENETUNREACH, None));
        let report = scene.with(|case| case.way_back.as_mut().unwrap().rule = Some(rule)).report();
        let commands = commands(&report.blockers[0].fixes[0].steps);
        assert_eq!(commands, ["ip rule del pref 70 from 10.1.0.2/32 unreachable"]);
    }

    fn by_hand(claimants: Observed<Vec<String>>) -> crate::Report {
        let neighbour = Neighbour {
            address: "10.1.0.9".parse().unwrap(),
            link: 2,
            state: NeighbourState::Permanent,
            lladdr: Some("02:00:00:00:00:01".into()),
            probes: 0,
        };
        let scene = scene("10.1.0.9", RouteDecision::Via(entry(RouteKind::Unicast))).with(|case| {
            let way = case.way_back.as_mut().unwrap();
            way.neighbour = Observed::known(neighbour, Source::running("RTM_GETNEIGH"));
            way.claimants = claimants;
        });
        scene.report()
    }

    #[test]
    fn an_entry_set_by_hand_is_wrong_where_another_one_answers() {
        let answered = |mac: &str| Observed::known(vec![mac.to_owned()], Source::probed("ARP"));
        let report = by_hand(answered("02:00:00:00:00:02"));
        assert_eq!((report.blockers[0].root.as_str(), report.outcome), ("ingress/no-way-back", Outcome::TimedOut));
        assert_eq!(commands(&report.blockers[0].fixes[0].steps), ["ip neigh del 10.1.0.9 dev eth0"]);
        let right = by_hand(answered("02:00:00:00:00:01"));
        assert!(right.blockers.is_empty() && right.notes.is_empty(), "{:?}", right.notes);
        // Nobody answers: the client may be off, or the entry right.
        let open = by_hand(Observed::known(Vec::new(), Source::probed("ARP")));
        assert!(open.blockers.is_empty());
        assert!(open.notes.iter().any(|note| note.text.contains("set by hand")), "{:?}", open.notes);
    }

    #[test]
    fn a_router_that_nobody_answers_for_leads_nowhere() {
        let by_router = |gateway: bool, answering: Vec<String>| {
            let mut route = entry(RouteKind::Unicast);
            (route.gateway, route.link) = (gateway.then(|| "10.1.0.1".parse().unwrap()), Some(2));
            let scene = scene("10.5.0.9", RouteDecision::Via(route)).with(|case| {
                case.way_back.as_mut().unwrap().claimants = Observed::known(answering, Source::probed("ARP"));
            });
            scene.roots()
        };
        assert_eq!(by_router(true, Vec::new()), ["ingress/no-way-back"]);
        assert!(by_router(true, vec!["02:00:00:00:00:01".into()]).is_empty());
        // A client on the link that is not there now may be asked for all the same.
        assert!(by_router(false, Vec::new()).is_empty());
    }

    #[test]
    fn a_way_back_is_no_fault() {
        assert!(scene("10.5.0.9", RouteDecision::Via(entry(RouteKind::Unicast))).roots().is_empty());
    }
}

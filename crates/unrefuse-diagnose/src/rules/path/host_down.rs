//! path/host-down

use super::on_link::Wide;
use crate::filter::at_interface;
use crate::finding::{CannotTell, Finding, Fired};
use crate::refuser::icmp_name;
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use crate::rules::route::ways;
use crate::{View, Who};
use std::net::IpAddr;
use unrefuse_facts::text::visible;
use unrefuse_facts::{AnswerKind, Attempt, AttemptOutcome, Errno, Neighbour, NeighbourState};

cause! {
    /// ## What it means
    ///
    /// Before a packet goes out on a link, the kernel asks who has the next address (ARP for IPv4, neighbour discovery for
    /// IPv6). Nobody answered: the host, or the gateway on the way to it, is off, not there, or not on that link.
    ///
    /// ## How it shows
    ///
    /// `connect()` fails with `EHOSTUNREACH` ("no route to host") after about 3 s, though there is a route. Where it is a
    /// router that asked in vain, the router says so with ICMP host unreachable (3/1, ICMPv6 1/3).
    ///
    /// ## How to confirm by hand
    ///
    /// `ip neigh show ADDRESS` shows `FAILED` or `INCOMPLETE`; `arping -I DEVICE ADDRESS` gets no answer.
    ///
    /// ## How to fix
    ///
    /// Start the host, see that the address is still its own, that cable, Wi-Fi or VLAN are the right ones, and that the
    /// prefix length is right: with one too short (10.0.0.5/8 in a network of /24), the kernel looks on its own link for
    /// hosts that live behind a router. Until it is right, `ip route add ADDRESS/32 via GATEWAY` leads to one of them.
    ///
    /// ## What it is often mistaken for
    ///
    /// A missing route, because of the words "no route to host" (that is `route/none`, with `ENETUNREACH`). firewalld, whose
    /// reject gives the same error number at once: see who sent the ICMP (`ingress/firewall-reject`).
    id: "path/host-down",
    title: "nobody answers for that address on its link",
    needs: &["answer"],
    likes: &["neighbours", "routes", "links"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let (Some(attempt), Some(target)) = (view.attempt(), view.ip()) else { return Ok(Finding::Clear) };
    if view.is_local() == Some(true)
        || !matches!(attempt.outcome, AttemptOutcome::TimedOut | AttemptOutcome::Unreachable)
    {
        return Ok(Finding::Clear);
    }
    let who = view.refuser.as_ref().map(|r| r.who);
    match (who, host_unreachable(attempt)) {
        (Some(Who::Router), true) => return Ok(behind_a_router(view, attempt, target)),
        (Some(Who::ThisMachine), true) => {}
        // Somebody answered, so it is not silence on the link.
        _ if attempt.answer.as_ref().is_some_and(|a| a.kind != AnswerKind::Local) => return Ok(Finding::Clear),
        _ if !matches!(attempt.errno, None | Some(Errno::EHOSTUNREACH | Errno::ETIMEDOUT)) => {
            return Ok(Finding::Clear);
        }
        _ => {}
    }
    let own = who == Some(Who::ThisMachine) && host_unreachable(attempt);
    let Some(routing) = view.routing() else {
        return Ok(if own { fire(view, attempt, target, None) } else { Finding::Clear });
    };
    if routing.decision.value().is_some_and(|d| d.via().is_none()) {
        return Ok(Finding::Clear);
    }
    let neighbour = routing.neighbour.value();
    let silent = neighbour.is_some_and(|n| matches!(n.state, NeighbourState::Failed | NeighbourState::Incomplete));
    Ok(if own || silent { fire(view, attempt, target, neighbour) } else { Finding::Clear })
}

fn fire(view: &View<'_>, attempt: &Attempt, target: IpAddr, neighbour: Option<&Neighbour>) -> Finding {
    let route = view.routing().and_then(|r| r.decision.value()).and_then(|d| d.via());
    let asked = neighbour.map(|n| n.address).or_else(|| route.and_then(|r| r.gateway)).unwrap_or(target);
    let index = neighbour.map(|n| n.link).or_else(|| route.and_then(|r| r.link));
    let device = index.and_then(|i| view.case.host.link(i)).map(|link| visible(&link.name));
    let on = device.as_ref().map(|d| format!(" on {d}")).unwrap_or_default();
    let wide = Wide::of(view, target).filter(|_| asked == target);
    let title = if asked == target {
        let wide = wide.as_ref().map(Wide::title).unwrap_or_default();
        format!("nobody answers for {target}{on}: the host is down, or not on that link{wide}")
    } else {
        format!("the gateway {asked}{on} does not answer: {target} cannot be reached through it")
    };
    let told = attempt.errno == Some(Errno::EHOSTUNREACH);
    let certainty = match neighbour.map(|n| n.state) {
        // Perhaps nobody was asked.
        _ if at_interface(view).is_some() => Certainty::Possible,
        _ if told => Certainty::Proven,
        Some(NeighbourState::Failed) => Certainty::Proven,
        Some(NeighbourState::Incomplete) if attempt.given_up.is_none() && neighbour.is_some_and(|n| n.probes < 2) => {
            Certainty::Possible
        }
        _ => Certainty::Likely,
    };
    let question = if asked.is_ipv4() { "ARP" } else { "neighbour discovery" };
    let mut fired = Fired::new(certainty, title).predicts(&[AttemptOutcome::Unreachable, AttemptOutcome::TimedOut]);
    if let Some(neighbour) = neighbour {
        let state = neighbour.state.name();
        let source = view.routing().and_then(|r| r.neighbour.source()).map_or("RTM_GETNEIGH", |s| &s.what);
        let times = if neighbour.probes > 0 { format!(" after {} questions", neighbour.probes) } else { String::new() };
        fired = fired.evidence(Evidence::new(
            format!("the neighbour entry of {asked}{on} is {state}{times} ({question})"),
            source,
        ));
    }
    if let Some(errno) = attempt.errno {
        fired = fired.evidence(Evidence::new(format!("connect to {}: {errno}", view.endpoint()), "connect(2)"));
    }
    let own = view.refuser.iter().filter(|r| r.who == Who::ThisMachine);
    fired = fired.evidences(own.flat_map(|r| r.evidence.clone()));
    if let Some(reason) = &attempt.given_up {
        fired = fired.evidence(Evidence::new(format!("not waited for longer: {reason}"), "RTM_GETNEIGH"));
    }
    let title = if asked == target {
        format!(
            "start the host that has {target}, or ask it by the address that it has now; see the cable and the VLAN{on}"
        )
    } else {
        format!("start the gateway {asked}, or set a route to {target} by one that works")
    };
    if let Some(wide) = &wide {
        fired = fired.evidences(wide.evidence(view, target));
        fired = wide.fixes(view, target).fold(fired, |fired, fix| fired.fix(fix));
    }
    fired.evidences(ways::marked(view)).fix(Fix::new(view, Risk::Low, title)).fix(ways::unmark(view)).fires()
}

/// A router asked on its own link in vain, and says so.
fn behind_a_router(view: &View<'_>, attempt: &Attempt, target: IpAddr) -> Finding {
    let Some(answer) = attempt.answer.as_ref() else { return Finding::Clear };
    let (Some(router), Some(kind), Some(code)) = (answer.from, answer.icmp_type, answer.icmp_code) else {
        return Finding::Clear;
    };
    let title = format!("the router {router} cannot reach {target}: {}", icmp_name(target, kind, code));
    Fired::new(Certainty::Likely, title)
        .predicts(&[AttemptOutcome::Unreachable])
        .evidences(view.refuser.iter().flat_map(|r| r.evidence.clone()))
        .evidence(Evidence::new("routers say so when nobody answers for the address on the last link", "RFC 1812 5.2.7.1"))
        .fix(Fix::new(
            view,
            Risk::Low,
            format!("start the host that has {target}; else see on {router} why it cannot reach it (its neighbours, its filter)"),
        ))
        .fires()
}

/// ICMP host unreachable (3/1) or ICMPv6 address unreachable (1/3).
pub(super) fn host_unreachable(attempt: &Attempt) -> bool {
    attempt.answer.as_ref().is_some_and(|a| {
        a.kind == AnswerKind::Icmp
            && matches!(
                (attempt.address.is_ipv4(), a.icmp_type, a.icmp_code),
                (true, Some(3), Some(1)) | (false, Some(1), Some(3))
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scene;
    use unrefuse_facts::{Answer, Case, Observed, RouteDecision, Source};

    fn host_unreachable_from(from: &str) -> Option<Answer> {
        let mut answer = Answer::bare(AnswerKind::Icmp);
        let code = if from.contains(':') { (1, 3) } else { (3, 1) };
        (answer.icmp_type, answer.icmp_code, answer.from) = (Some(code.0), Some(code.1), Some(from.parse().unwrap()));
        Some(answer)
    }

    fn unreachable(endpoint: &str, answer: Option<Answer>) -> Scene {
        Scene::remote(endpoint).attempt(endpoint, AttemptOutcome::Unreachable, Some(Errno::EHOSTUNREACH), answer)
    }

    fn neighbour(address: &str, state: NeighbourState, probes: u32) -> impl FnOnce(&mut Case) {
        let neighbour = Neighbour { address: address.parse().unwrap(), link: 2, state, lladdr: None, probes };
        move |case| case.routing[0].neighbour = Observed::known(neighbour, Source::running("RTM_GETNEIGH"))
    }

    fn on_link(case: &mut Case) {
        if let Observed::Known { value: RouteDecision::Via(route), .. } = &mut case.routing[0].decision {
            route.gateway = None;
        }
    }

    #[test]
    fn the_kernel_asked_in_vain() {
        for (endpoint, own) in [("10.1.0.9:80", "10.1.0.2"), ("[fd01::9]:80", "fd01::2")] {
            let report = unreachable(endpoint, host_unreachable_from(own)).with(on_link).report();
            let blocker = &report.blockers[0];
            assert_eq!((blocker.root.as_str(), blocker.certainty), ("path/host-down", Certainty::Proven), "{endpoint}");
            assert!(blocker.whys[0].title.contains("on eth0"), "{}", blocker.whys[0].title);
        }
    }

    #[test]
    fn a_prefix_that_is_too_short_hides_the_gateway() {
        let scene = |endpoint: &str, own: u8| {
            let mut other =
                Scene::remote("10.9.0.1:80").case().routing[0].decision.value().unwrap().via().unwrap().clone();
            other.gateway = Some("10.1.0.254".parse().unwrap());
            unreachable(endpoint, host_unreachable_from("10.1.0.2")).with(on_link).alternatives(&[other]).with(|case| {
                let Observed::Known { value, .. } = &mut case.host.addresses else { panic!() };
                value[2].prefix = own;
                let Observed::Known { value: RouteDecision::Via(route), .. } = &mut case.routing[0].decision else {
                    panic!()
                };
                (route.destination, route.prefix) = ("10.0.0.0".parse().unwrap(), own);
            })
        };
        let report = scene("10.9.0.1:80", 8).report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "path/host-down");
        assert!(blocker.whys[0].title.contains("10.1.0.2/8 takes all of 10.0.0.0/8"), "{}", blocker.whys[0].title);
        assert_eq!(
            crate::testing::filter::commands(&blocker.fixes[0].steps),
            ["ip route add 10.9.0.1/32 via 10.1.0.254 dev eth0"]
        );
        // A neighbour in the nearest network, and a prefix as usual.
        for (endpoint, own) in [("10.1.0.9:80", 8), ("10.1.0.9:80", 24)] {
            let report = scene(endpoint, own).report();
            assert!(report.blockers[0].fixes.iter().all(|fix| fix.steps.is_empty()), "{:?}", report.blockers[0].fixes);
        }
    }

    #[test]
    fn an_attempt_given_up_is_likely_and_a_failed_entry_proves_it() {
        let seen = |state, probes, given_up: bool| {
            let case = Scene::remote("10.1.0.9:80").silent().with(on_link).with(neighbour("10.1.0.9", state, probes));
            let reason = given_up.then(|| "nobody answered for 10.1.0.9 on its link after 2 questions".to_owned());
            case.with(|c| c.attempts[0].given_up = reason).report().blockers[0].certainty
        };
        assert_eq!(seen(NeighbourState::Incomplete, 2, true), Certainty::Likely);
        assert_eq!(seen(NeighbourState::Incomplete, 1, false), Certainty::Possible);
        assert_eq!(seen(NeighbourState::Failed, 3, false), Certainty::Proven);
    }

    #[test]
    fn a_dead_gateway_is_named() {
        let scene = unreachable("10.9.0.1:80", None).with(neighbour("10.1.0.254", NeighbourState::Failed, 3));
        let report = scene.report();
        assert_eq!(
            report.blockers[0].whys[0].title,
            "the gateway 10.1.0.254 on eth0 does not answer: 10.9.0.1 cannot be reached through it"
        );
    }

    #[test]
    fn a_router_that_asked_in_vain() {
        let report = unreachable("10.9.0.1:80", host_unreachable_from("10.8.0.1")).report();
        assert_eq!(
            (report.blockers[0].root.as_str(), report.blockers[0].certainty),
            ("path/host-down", Certainty::Likely)
        );
    }

    #[test]
    fn a_server_that_says_so_itself_is_not_down() {
        let roots = unreachable("10.9.0.1:80", host_unreachable_from("10.9.0.1")).roots();
        assert!(!roots.contains(&"path/host-down".to_owned()), "{roots:?}");
    }

    #[test]
    fn a_neighbour_that_answers_is_not_down() {
        let scene = Scene::remote("10.9.0.1:80").silent().with(neighbour("10.1.0.254", NeighbourState::Reachable, 0));
        assert!(!scene.roots().contains(&"path/host-down".to_owned()));
    }

    #[test]
    fn an_unreachable_route_is_no_matter_of_the_link() {
        let no = RouteDecision::No { errno: Errno::EHOSTUNREACH, entry: None };
        let scene = unreachable("10.9.0.1:80", Some(Answer::bare(AnswerKind::Local)))
            .with(neighbour("10.9.0.1", NeighbourState::Failed, 3))
            .with(|c| c.routing[0].decision = Observed::known(no, Source::running("RTM_GETROUTE")));
        assert!(!scene.roots().contains(&"path/host-down".to_owned()));
    }
}

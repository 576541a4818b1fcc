//! route/blackhole

use super::ways;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use std::net::IpAddr;
use unrefuse_facts::{AttemptOutcome, Errno, Route, RouteDecision, RoutingRule};

cause! {
    /// ## What it means
    ///
    /// An entry of the routing tables, or a rule of the routing policy, is there to stop packets: `blackhole`,
    /// `unreachable`, `prohibit`, or a `throw` after which no other table knows the way. Somebody, or a daemon, put it
    /// there: against spoofed or private networks, for a ban, or as a guard route of a VPN or of a container network.
    ///
    /// ## How it shows
    ///
    /// `connect()` fails at once, without a packet: `EINVAL` for blackhole, `EHOSTUNREACH` for unreachable, `EACCES`
    /// for prohibit, `ENETUNREACH` for throw. Where a firewall rule of OUTPUT marks the packet, the kernel looks its
    /// way up again by the mark: then TCP is silent until it times out, though `ip route get ADDRESS` shows a way.
    ///
    /// ## How to confirm by hand
    ///
    /// `ip route get ADDRESS` prints the error; `ip route show table all type blackhole` (`unreachable`, `prohibit`,
    /// `throw`) and `ip rule` show the entry. With a mark: `ip route get ADDRESS mark MARK`.
    ///
    /// ## How to fix
    ///
    /// Take the entry out: `ip route del blackhole NETWORK`, or `ip rule del pref NUMBER`. If it comes back, find what
    /// sets it: the network configuration, a routing daemon (FRR, BIRD), fail2ban's `route` action, a VPN.
    ///
    /// ## What it is often mistaken for
    ///
    /// A firewall ("permission denied", "invalid argument") or a dead host ("no route to host").
    id: "route/blackhole",
    title: "a blackhole, unreachable, prohibit or throw route stops it",
    instead_of: &["route/none"],
    needs: &["routes"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let (Some(ip), Some(RouteDecision::No { errno, entry })) = (view.ip(), ways::decision(view)) else {
        return Ok(Finding::Clear);
    };
    let routing = view.routing();
    let marked = routing.is_some_and(|routing| routing.mark.is_some());
    // What happens to a marked packet connect(2) is not told.
    let silent = marked && view.outcome() == Some(AttemptOutcome::TimedOut);
    if !silent && ways::local_error(view).is_none_or(|(_, seen)| seen != *errno) {
        return Ok(Finding::Clear);
    }
    let predicts: &'static [AttemptOutcome] = match *errno {
        _ if silent => &[AttemptOutcome::TimedOut],
        Errno::EACCES => &[AttemptOutcome::Denied],
        _ => &[AttemptOutcome::Unreachable],
    };
    match entry {
        Some(route) if ways::stops(route.kind) => Ok(by_entry(view, ip, route, *errno).predicts(predicts).fires()),
        Some(_) => Ok(Finding::Clear),
        None => match routing.and_then(|routing| routing.rule.as_ref()) {
            Some(rule) => Ok(by_rule(view, ip, rule, *errno).predicts(predicts).fires()),
            // An unscoped link-local address gives EINVAL, too (`route/missing-scope`).
            None if matches!(*errno, Errno::EINVAL | Errno::EACCES | Errno::EHOSTUNREACH) || marked => {
                Ok(by_unseen_rule(view, ip, *errno).predicts(predicts).fires())
            }
            None => Ok(Finding::Clear),
        },
    }
}

fn by_entry(view: &View<'_>, ip: IpAddr, route: &Route, errno: Errno) -> Fired {
    let said = ways::described(view, route);
    let kind = route.kind.name();
    let then =
        view.routing().and_then(|r| r.alternatives.value()).and_then(|all| all.iter().find(|r| !ways::stops(r.kind)));
    Fired::new(Certainty::Proven, format!("the route {said} stops packets to {ip}"))
        .evidence(ways::decided(view, format!("{} ends with {errno}", ways::lookup(view, ip))))
        .evidence(Evidence::new(said, "RTM_GETROUTE dump"))
        .evidences(ways::marked(view))
        .evidences(then.map(|r| Evidence::new(format!("without it {ip} goes by {}", ways::described(view, r)), "RTM_GETROUTE dump")))
        .fix(ways::take_out(view, ip, route))
        .fix(ways::unmark(view))
        .fix(Fix::new(view, Risk::Medium, format!("take the {kind} route out of what sets it: the network configuration, a routing daemon, a ban, a VPN")).persistent())
}

fn by_rule(view: &View<'_>, ip: IpAddr, rule: &RoutingRule, errno: Errno) -> Fired {
    let said = ways::rule_text(rule);
    Fired::new(Certainty::Proven, format!("the rule {said} of the routing policy stops packets to {ip}"))
        .evidence(ways::decided(view, format!("{} ends with {errno}", ways::lookup(view, ip))))
        .evidence(Evidence::new(said, "RTM_GETRULE"))
        .evidences(ways::marked(view))
        .fix(ways::take_rule_out(view, ip, rule))
        .fix(ways::unmark(view))
}

fn by_unseen_rule(view: &View<'_>, ip: IpAddr, errno: Errno) -> Fired {
    let kind = match errno {
        Errno::EINVAL => "blackhole",
        Errno::EACCES => "prohibit",
        _ => "unreachable",
    };
    let show = format!("{} rule", ways::ip(ip));
    Fired::new(Certainty::Likely, format!("a {kind} rule of the routing policy stops packets to {ip}"))
        .evidence(ways::decided(
            view,
            format!("{} ends with {errno}, and no entry of the tables says so", ways::lookup(view, ip)),
        ))
        .evidences(ways::marked(view))
        .fix(Fix::new(view, Risk::Medium, format!("take the {kind} rule out of the routing policy: {show} shows it")))
        .fix(ways::unmark(view))
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use crate::testing::filter::{accepted, commands, dropped, iptables};
    use unrefuse_facts::{
        ChainPlace, Decider, Errno, FilterHook, FilterRule, Marking, Observed, Route, RouteDecision, RouteKind,
        RoutingRule, Source, StackReason,
    };

    fn route(kind: RouteKind, destination: &str, prefix: u8, metric: u32) -> Route {
        Route {
            kind,
            destination: destination.parse().unwrap(),
            prefix,
            gateway: None,
            link: None,
            source: None,
            table: 254,
            metric,
            dead: false,
        }
    }
    fn scene(endpoint: &str, errno: Errno, entry: Option<Route>) -> Scene {
        Scene::remote(endpoint).decided(RouteDecision::No { errno, entry }).alternatives(&[]).local_error(errno)
    }
    fn command(report: &crate::Report) -> &str {
        match report.blockers[0].fixes[0].steps.first() {
            Some(Step::Command { command }) => command,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_kind_with_its_error() {
        for (kind, errno) in [
            (RouteKind::Blackhole, Errno::EINVAL),
            (RouteKind::Unreachable, Errno::EHOSTUNREACH),
            (RouteKind::Prohibit, Errno::EACCES),
            (RouteKind::Throw, Errno::ENETUNREACH),
        ] {
            let report = scene("10.9.0.1:80", errno, Some(route(kind, "10.9.0.0", 24, 0))).report();
            assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
            assert_eq!(
                (report.blockers[0].root.as_str(), report.blockers[0].certainty),
                ("route/blackhole", Certainty::Proven)
            );
            assert_eq!(command(&report), format!("ip route del {} 10.9.0.0/24", kind.name()));
        }
    }

    #[test]
    fn in_ipv6_with_metric_and_table() {
        let entry = Route { table: 100, ..route(RouteKind::Prohibit, "::", 0, 1024) };
        let report = scene("[fd09::1]:80", Errno::EACCES, Some(entry)).report();
        assert_eq!(command(&report), "ip -6 route del prohibit default table 100 metric 1024");
    }

    #[test]
    fn a_rule_of_the_policy_has_no_entry() {
        let report = scene("10.9.0.1:80", Errno::EACCES, None).report();
        assert_eq!(
            (report.blockers[0].root.as_str(), report.blockers[0].certainty),
            ("route/blackhole", Certainty::Likely)
        );
    }

    #[test]
    fn a_rule_of_the_policy_that_was_read_is_taken_out() {
        let stops = |kind, selector: &str| RoutingRule { priority: 90, kind, selector: Some(selector.into()) };
        for (errno, kind) in [(Errno::EINVAL, RouteKind::Blackhole), (Errno::ENETUNREACH, RouteKind::Unreachable)] {
            let scene = scene("10.9.0.1:80", errno, None);
            let report = scene.with(|case| case.routing[0].rule = Some(stops(kind, "to 10.9.0.0/24"))).report();
            assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
            let blocker = &report.blockers[0];
            assert_eq!((blocker.root.as_str(), blocker.certainty), ("route/blackhole", Certainty::Proven));
            assert_eq!(command(&report), format!("ip rule del pref 90 to 10.9.0.0/24 {}", kind.name()));
        }
    }

    fn marked(decision: RouteDecision, rule: Option<RoutingRule>) -> Scene {
        let by = iptables(FilterHook::Output, "-A OUTPUT -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x7/0xffffffff");
        let by = FilterRule { place: ChainPlace { table: "mangle".into(), ..by.place.clone() }, ..by };
        let decided = Observed::known(decision.clone(), Source::running("RTM_GETROUTE"));
        let marking = Marking { mark: 7, by: Some(by), decision: decided, rule: rule.clone() };
        let stack = Decider::Stack(StackReason::Other { text: "a blackhole route".into() });
        let scene = Scene::remote("10.9.0.1:80").silent().decided(decision).alternatives(&[]);
        scene
            .filtered(Some(dropped(stack)), None)
            .filters(|facts| facts.judgements[0].marked = Some(marking))
            .with(|case| (case.routing[0].rule, case.routing[0].mark) = (rule, Some(7)))
    }

    #[test]
    fn a_marked_packet_is_stopped_in_silence() {
        let rule = RoutingRule { priority: 9, kind: RouteKind::Blackhole, selector: Some("fwmark 0x7".into()) };
        let report = marked(RouteDecision::No { errno: Errno::EINVAL, entry: None }, Some(rule)).report();
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("route/blackhole", Certainty::Proven));
        assert_eq!(command(&report), "ip rule del pref 9 fwmark 0x7 blackhole");
        assert_eq!(
            commands(&blocker.fixes[1].steps),
            ["iptables-nft -t mangle -D OUTPUT -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x7/0xffffffff"]
        );
        assert!(blocker.whys[0].evidence.iter().any(|e| e.text.contains("--set-xmark 0x7")), "{blocker:?}");
    }

    #[test]
    fn a_mark_with_a_way_is_no_fault() {
        let way = RouteDecision::Via(route(RouteKind::Unicast, "0.0.0.0", 0, 0));
        let roots = marked(way, None).filtered(Some(accepted()), None).roots();
        assert!(!roots.contains(&"route/blackhole".to_owned()), "{roots:?}");
    }

    #[test]
    fn permission_denied_with_a_way_there_is_another_matter() {
        let roots = Scene::remote("10.9.0.1:80").local_error(Errno::EACCES).roots();
        assert!(!roots.contains(&"route/blackhole".to_owned()), "{roots:?}");
        let roots = scene("10.9.0.1:80", Errno::ENETUNREACH, None).roots();
        assert_eq!(roots, ["route/none"]);
    }
}

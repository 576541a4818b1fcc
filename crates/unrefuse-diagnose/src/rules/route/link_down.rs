//! route/link-down

use super::ways;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::quote;
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::{When, cause};
use std::net::IpAddr;
use unrefuse_facts::{AttemptOutcome, Errno, InterfaceAddress, Link, RouteDecision, text};

cause! {
    /// ## What it means
    ///
    /// The interface that leads to the target is down: switched off (`ip link set … down`), or without a carrier, because
    /// the cable, the radio, the other end of a veth or the hypervisor's port is missing. An interface that is switched off
    /// takes its routes with it; one without carrier keeps them and drops the packets.
    ///
    /// ## How it shows
    ///
    /// Switched off: `ENETUNREACH` at once. Without carrier: `EHOSTUNREACH` after about three seconds, because nobody
    /// answers ARP or neighbour discovery, or silence.
    ///
    /// ## How to confirm by hand
    ///
    /// `ip -br link`: `DOWN`, `LOWERLAYERDOWN`, or `NO-CARRIER` in the flags; `ip route get ADDRESS` shows the interface.
    ///
    /// ## How to fix
    ///
    /// `ip link set dev NAME up`; then the routes by gateways that were lost with it must be added again, which the
    /// network configuration does (`ifup`, `nmcli`, `networkctl reconfigure`). Without carrier: plug in the other end.
    ///
    /// ## What it is often mistaken for
    ///
    /// A missing route (`route/none`) or a dead host (`path/host-down`).
    id: "route/link-down",
    title: "the interface that carries the route is down",
    instead_of: &["route/none", "path/host-down", "path/filtered"],
    needs: &["links"],
    likes: &["routes", "addresses"],
    when: When::Always,
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(ip) = view.ip().filter(|_| view.failed()) else { return Ok(Finding::Clear) };
    let lost = ways::local_error(view).is_some_and(|(_, errno)| matches!(errno, Errno::ENETUNREACH | Errno::ENETDOWN));
    match ways::decision(view) {
        Some(RouteDecision::Via(route)) => {
            let waits = matches!(view.outcome(), Some(AttemptOutcome::Unreachable | AttemptOutcome::TimedOut));
            match ways::link(view, route).filter(|_| waits) {
                Some(link) if !link.up => Ok(switched_off(view, ip, link, Certainty::Proven, None).fires()),
                // A bridge for guests has no carrier while it has no guest; then the route to it is the question.
                Some(link) if !link.carrier && !link.loopback && !ways::is_for_guests(view, link) => {
                    Ok(no_carrier(view, ip, link).fires())
                }
                _ => Ok(Finding::Clear),
            }
        }
        Some(RouteDecision::No { entry, .. }) if lost => {
            if let Some(link) = entry.as_ref().filter(|route| route.dead).and_then(|route| ways::link(view, route)) {
                let fired = if link.up {
                    no_carrier(view, ip, link)
                } else {
                    switched_off(view, ip, link, Certainty::Proven, None)
                };
                return Ok(fired.fires());
            }
            if entry.is_some() { Ok(Finding::Clear) } else { without_entry(view, ip) }
        }
        _ => Ok(Finding::Clear),
    }
}

/// No route at all: an interface that is switched off may have taken it along.
fn without_entry(view: &View<'_>, ip: IpAddr) -> Result<Finding, CannotTell> {
    let Some(links) = view.case.host.links.value() else {
        let missing = view.case.host.links.get().err();
        return missing.map_or(Ok(Finding::Clear), |m| {
            Err(CannotTell::because(format!("whether the interface that leads to {ip} is down"), m))
        });
    };
    // The loopback interface gets its addresses as it is switched on (inetdev_event in net/ipv4/devinet.c, init_loopback
    // in net/ipv6/addrconf.c): before, as in a new network namespace, it has none that could be looked for.
    if let Some(lo) = links.iter().find(|link| link.loopback && !link.up && ip.is_loopback()) {
        return Ok(switched_off(view, ip, lo, Certainty::Proven, None).fires());
    }
    let own = view.case.host.addresses.value().map(Vec::as_slice).unwrap_or_default();
    let covers = |a: &&InterfaceAddress| a.prefix > 0 && unrefuse_facts::within(ip, a.address, a.prefix);
    let in_network =
        own.iter().filter(covers).find_map(|a| Some((a, view.case.host.link(a.link).filter(|link| !link.up)?)));
    if let Some((address, link)) = in_network {
        return Ok(switched_off(view, ip, link, Certainty::Proven, Some(address)).fires());
    }
    let mut outward = links.iter().filter(|link| ways::carries(link));
    match (outward.clone().all(|link| !link.up), outward.next()) {
        (true, Some(link)) => Ok(switched_off(view, ip, link, Certainty::Likely, None).fires()),
        _ => Ok(Finding::Clear),
    }
}

fn state(view: &View<'_>, link: &Link) -> Evidence {
    let flags = match (link.up, link.carrier) {
        (false, _) => "switched off (no IFF_UP)",
        (true, false) => "switched on, without carrier (NO-CARRIER)",
        (true, true) => "up",
    };
    let source = view.case.host.links.source().map_or("RTM_GETLINK", |source| &source.what);
    Evidence::new(
        format!("{} is {flags}, operational state {}", text::visible(&link.name), text::visible(&link.operstate)),
        source,
    )
}

fn switched_off(
    view: &View<'_>,
    ip: IpAddr,
    link: &Link,
    certainty: Certainty,
    address: Option<&InterfaceAddress>,
) -> Fired {
    let name = text::visible(&link.name);
    let why = match address {
        Some(_) => format!("{name}, in whose network {ip} is, is switched off"),
        None if certainty == Certainty::Proven => format!("{name}, which leads to {ip}, is switched off"),
        None => format!("no way to {ip}: {name}, and every other interface to the outside, is switched off"),
    };
    let fix = quote(&link.name).map(|quoted| {
        Fix::new(view, Risk::Low, format!("switch {name} on"))
            .command(format!("ip link set dev {quoted} up"))
            .undo(format!("ip link set dev {quoted} down"))
    });
    let again = "let the network configuration bring it up with its routes, as at boot (ifup, nmcli, networkctl)";
    Fired::new(certainty, why)
        .predicts(&[AttemptOutcome::Unreachable, AttemptOutcome::TimedOut])
        .evidence(state(view, link))
        .evidences(address.map(|a| Evidence::new(format!("{name} has {}/{}", a.address, a.prefix), "RTM_GETADDR")))
        .evidences(ways::decision(view).map(|decision| match decision {
            RouteDecision::Via(route) => ways::decided(view, format!("{ip} goes by {}", ways::described(view, route))),
            RouteDecision::No { errno, .. } => ways::decided(view, format!("the lookup of {ip} ends with {errno}")),
        }))
        .fix(fix)
        .fix((!link.loopback && !view.is_apart()).then(|| Fix::new(view, Risk::Low, again).persistent()))
}

fn no_carrier(view: &View<'_>, ip: IpAddr, link: &Link) -> Fired {
    let name = text::visible(&link.name);
    let other_end = match link.kind.as_deref() {
        Some("veth") => "switch on the other end of the veth pair",
        Some("bridge" | "bond") => "bring up a member of it",
        Some("wireguard" | "tun" | "ppp") => "start the tunnel's daemon",
        _ => "plug in its cable, or look at the switch or hypervisor port at its other end",
    };
    Fired::new(Certainty::Proven, format!("{name}, which leads to {ip}, has no carrier"))
        .predicts(&[AttemptOutcome::Unreachable, AttemptOutcome::TimedOut])
        .evidence(state(view, link))
        .evidences(
            ways::decision(view)
                .and_then(RouteDecision::via)
                .map(|route| ways::decided(view, format!("{ip} goes by {}", ways::described(view, route)))),
        )
        .fix(Fix::new(view, Risk::Low, format!("give {name} a carrier: {other_end}")))
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use unrefuse_facts::{Errno, Link, NeighbourState, Observed, RouteDecision};

    fn eth0(scene: Scene, change: impl FnOnce(&mut Link)) -> Scene {
        scene.with(|case| {
            let Observed::Known { value, .. } = &mut case.host.links else { panic!() };
            change(&mut value[1]);
        })
    }
    fn lost(endpoint: &str) -> Scene {
        Scene::remote(endpoint)
            .decided(RouteDecision::No { errno: Errno::ENETUNREACH, entry: None })
            .alternatives(&[])
            .local_error(Errno::ENETUNREACH)
    }

    #[test]
    fn switched_off_with_the_targets_network() {
        let report = eth0(lost("10.1.0.9:80"), |link| link.up = false).report();
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("route/link-down", Certainty::Proven));
        let Some(Step::Command { command }) = blocker.fixes[0].steps.first() else { panic!("{:?}", blocker.fixes) };
        assert_eq!(command, "ip link set dev eth0 up");
    }

    #[test]
    fn every_interface_switched_off_is_likely() {
        let report = eth0(lost("10.9.0.1:80"), |link| link.up = false)
            .link(3, "tunl0", Some("ipip"), |link| link.up = true)
            .report();
        assert_eq!(
            (report.blockers[0].root.as_str(), report.blockers[0].certainty),
            ("route/link-down", Certainty::Likely)
        );
    }

    #[test]
    fn without_carrier_the_route_stays() {
        let report = eth0(Scene::remote("10.9.0.1:80").neighbour(2, NeighbourState::Failed).silent(), |link| {
            (link.carrier, link.operstate) = (false, "DOWN".into());
        })
        .report();
        assert_eq!(report.blockers[0].root, "route/link-down");
        assert!(report.blockers[0].fixes.iter().all(|f| f.steps.is_empty()), "a cable is no command");
    }

    #[test]
    fn another_interface_that_is_down_is_no_matter() {
        let roots = lost("10.9.0.1:80").link(3, "eth1", None, |link| link.up = false).roots();
        assert_eq!(roots, ["route/none"]);
        let roots = Scene::remote("10.9.0.1:80").silent().link(3, "eth1", None, |link| link.up = false).roots();
        assert!(!roots.contains(&"route/link-down".to_owned()), "{roots:?}");
    }

    #[test]
    fn loopback_never_switched_on() {
        let lost = || {
            Scene::local("127.0.0.1:80")
                .decided(RouteDecision::No { errno: Errno::ENETUNREACH, entry: None })
                .local_error(Errno::ENETUNREACH)
        };
        assert_eq!(lost().report().blockers[0].root, "route/none", "a lo that is up took no route along");
        let scene = lost().with(|case| {
            let Observed::Known { value, .. } = &mut case.host.links else { panic!() };
            (value[0].up, value[0].carrier) = (false, false);
        });
        let report = scene.report();
        assert_eq!(report.blockers[0].root, "route/link-down");
        let Some(Step::Command { command }) = report.blockers[0].fixes[0].steps.first() else { panic!("{report:?}") };
        assert_eq!(command, "ip link set dev lo up");
    }

    #[test]
    fn loopback_switched_off() {
        let scene = Scene::local("127.0.0.1:80").silent().with(|case| {
            let Observed::Known { value, .. } = &mut case.host.links else { panic!() };
            (value[0].up, value[0].carrier) = (false, false);
        });
        assert_eq!(scene.report().blockers[0].root, "route/link-down");
    }
}

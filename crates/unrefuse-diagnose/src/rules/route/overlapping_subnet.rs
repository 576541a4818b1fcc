//! route/overlapping-subnet

use super::ways;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk, Unknown};
use crate::rule::{When, cause};
use std::net::IpAddr;
use unrefuse_facts::{AttemptOutcome, Link, NeighbourState, Route, RouteKind, text};

cause! {
    /// ## What it means
    ///
    /// A bridge of this machine, made for containers or virtual machines (docker0, br-…, virbr0, cni0 …), has a network that
    /// the target's real network lies in. Packets for the target go onto the bridge, where nobody has that address, in place
    /// of out to the network where it lives.
    ///
    /// ## How it shows
    ///
    /// "No route to host" after about three seconds, or silence, from this machine only; others reach the target. Often
    /// it began when Docker created a network or a VPN came up: Docker takes 172.17.0.0/16 to 172.31.0.0/16 and
    /// 192.168.0.0/16 by default.
    ///
    /// ## How to confirm by hand
    ///
    /// `ip route get ADDRESS` names the bridge; `ip neigh show ADDRESS` says `FAILED` or `INCOMPLETE`.
    ///
    /// ## How to fix
    ///
    /// At once: a host route by the real way, `ip route add ADDRESS/32 via GATEWAY`. For good: give the bridge another
    /// network (`default-address-pools` and `bip` in /etc/docker/daemon.json, then make the networks anew; the network's
    /// XML for libvirt).
    ///
    /// ## What it is often mistaken for
    ///
    /// A dead host or a firewall (`path/host-down`, `path/filtered`). A container that is gone looks the same when the
    /// address was its own.
    id: "route/overlapping-subnet",
    title: "a local bridge owns the subnet that the target lives in",
    instead_of: &["route/link-down", "path/host-down", "path/filtered"],
    needs: &["routes", "links"],
    likes: &["neighbours"],
    when: When::Always,
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let waits = matches!(view.outcome(), Some(AttemptOutcome::Unreachable | AttemptOutcome::TimedOut));
    let (Some(ip), Some(routing)) = (view.ip().filter(|_| waits), view.routing()) else { return Ok(Finding::Clear) };
    let Some(route) = ways::decision(view).and_then(|d| d.via()) else { return Ok(Finding::Clear) };
    let on_link = route.kind == RouteKind::Unicast && route.gateway.is_none() && route.prefix > 0;
    let Some(link) = ways::link(view, route).filter(|link| on_link && ways::is_for_guests(view, link)) else {
        return Ok(Finding::Clear);
    };
    let absent =
        matches!(routing.neighbour.value().map(|n| n.state), Some(NeighbourState::Failed | NeighbourState::Incomplete));
    // A dummy asks no neighbour; a bridge without carrier has nobody on it, and may have no entry for the address either.
    let nobody = absent || link.kind.as_deref() == Some("dummy") || !link.carrier;
    if !nobody {
        return Ok(Finding::Clear);
    }
    let bridge = text::visible(&link.name);
    let others = routing.alternatives.get().map_err(|missing| {
        CannotTell::because(format!("whether {ip} lives behind another interface than the bridge {bridge}"), missing)
    })?;
    let other = |r: &&Route| r.kind == RouteKind::Unicast && r.link != route.link && r.link.is_some() && !r.dead;
    let Some(other) = others.iter().find(other) else { return Ok(Finding::Clear) };
    Ok(fired(view, ip, link, route, other).fires())
}

fn fired(view: &View<'_>, ip: IpAddr, link: &Link, route: &Route, other: &Route) -> Fired {
    let bridge = text::visible(&link.name);
    let what = if link.kind.as_deref() == Some("dummy") { "dummy interface" } else { "bridge" };
    // Another network that has the address beside the bridge's: two claim it. A default route claims everything.
    let certainty = if other.prefix > 0 { Certainty::Proven } else { Certainty::Likely };
    let title = format!("packets to {ip} go onto the local {what} {bridge}, which owns {}", ways::prefix(route));
    let mut fired = Fired::new(certainty, title)
        .predicts(&[AttemptOutcome::Unreachable, AttemptOutcome::TimedOut])
        .evidence(ways::decided(view, format!("{ip} goes by {}", ways::described(view, route))));
    if let Some(neighbour) = view.routing().and_then(|r| r.neighbour.value()) {
        let said = format!("nobody on {bridge} answers for {} ({})", neighbour.address, neighbour.state.name());
        fired = fired.evidence(Evidence::new(said, "RTM_GETNEIGH"));
    }
    if !link.carrier {
        fired = fired.evidence(Evidence::new(format!("{bridge} has no carrier: no guest is on it"), "RTM_GETLINK"));
    }
    fired = fired
        .evidence(Evidence::new(
            format!("without it {ip} goes by {}", ways::described(view, other)),
            "RTM_GETROUTE dump",
        ))
        .fix(ways::host_route(view, ip, other, format!("lead {ip} past the bridge")))
        .fix(other_network(view, link));
    if certainty == Certainty::Likely {
        fired = fired.unknown(Unknown {
            what: format!("whether {ip} is a host elsewhere, or a guest of this machine that is gone"),
            why: format!("{bridge}'s own guests have addresses of {} too", ways::prefix(route)),
            how_to_know: "docker ps -a; virsh list --all; ask whose address it is".to_owned(),
        });
    }
    fired
}

fn other_network(view: &View<'_>, link: &Link) -> Fix {
    let name = text::visible(&link.name);
    let how = if link.name == "docker0" || link.name.starts_with("br-") {
        "set \"bip\" and \"default-address-pools\" in /etc/docker/daemon.json, and make its networks anew"
    } else if link.name.starts_with("virbr") {
        "change the network with virsh net-edit, and start it anew"
    } else {
        "in the configuration of what made it"
    };
    Fix::new(view, Risk::High, format!("give {name} a network that nobody else uses: {how}")).persistent()
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use unrefuse_facts::{NeighbourState, Route, RouteDecision, RouteKind};

    fn route(destination: &str, prefix: u8, gateway: Option<&str>, link: u32) -> Route {
        Route {
            kind: RouteKind::Unicast,
            destination: destination.parse().unwrap(),
            prefix,
            gateway: gateway.map(|g| g.parse().unwrap()),
            link: Some(link),
            source: None,
            table: 254,
            metric: 0,
            dead: false,
        }
    }
    fn scene(kind: Option<&str>, state: NeighbourState, alternatives: &[Route]) -> Scene {
        Scene::remote("172.17.3.4:80")
            .link(5, "docker0", kind, |_| {})
            .decided(RouteDecision::Via(route("172.17.0.0", 16, None, 5)))
            .alternatives(alternatives)
            .neighbour(5, state)
            .silent()
    }

    #[test]
    fn a_bridge_without_that_guest_and_a_way_elsewhere() {
        let default = route("0.0.0.0", 0, Some("10.1.0.254"), 2);
        let report = scene(Some("bridge"), NeighbourState::Failed, &[default]).report();
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("route/overlapping-subnet", Certainty::Likely));
        let Some(Step::Command { command }) = blocker.fixes[0].steps.first() else { panic!("{:?}", blocker.fixes) };
        assert_eq!(command, "ip route add 172.17.3.4/32 via 10.1.0.254 dev eth0");
    }

    #[test]
    fn two_networks_that_claim_it_prove_it() {
        let other = route("172.17.0.0", 16, Some("10.1.0.253"), 2);
        let report = scene(Some("bridge"), NeighbourState::Failed, &[other]).report();
        assert_eq!(report.blockers[0].certainty, Certainty::Proven);
    }

    #[test]
    fn a_guest_that_answers_lives_there() {
        let default = route("0.0.0.0", 0, Some("10.1.0.254"), 2);
        let roots = scene(Some("bridge"), NeighbourState::Reachable, &[default]).roots();
        assert!(!roots.contains(&"route/overlapping-subnet".to_owned()), "{roots:?}");
    }

    #[test]
    fn no_other_way_no_overlap() {
        let roots = scene(Some("bridge"), NeighbourState::Failed, &[]).roots();
        assert!(!roots.contains(&"route/overlapping-subnet".to_owned()), "{roots:?}");
    }

    #[test]
    fn a_bridge_with_a_physical_member_is_the_network_itself() {
        let default = route("0.0.0.0", 0, Some("10.1.0.254"), 2);
        let roots = scene(Some("bridge"), NeighbourState::Failed, &[default])
            .link(6, "eno1", None, |link| link.master = Some(5))
            .roots();
        assert!(!roots.contains(&"route/overlapping-subnet".to_owned()), "{roots:?}");
    }
}

//! route/none

use super::ways;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::quote;
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use std::net::IpAddr;
use unrefuse_facts::{AttemptOutcome, Errno, Family, InterfaceAddress, RouteDecision, network};

cause! {
    /// ## What it means
    ///
    /// This machine's routing tables have no entry for the address, not even a default route of its family. The kernel
    /// refuses before any packet is made.
    ///
    /// ## How it shows
    ///
    /// `connect()` fails at once with `ENETUNREACH`, "network is unreachable". Often it is IPv6: the name has an AAAA
    /// record, and this machine has no IPv6 connection to the world.
    ///
    /// ## How to confirm by hand
    ///
    /// `ip route get ADDRESS` says "Network is unreachable"; `ip route` (`ip -6 route`) shows no entry that covers it.
    ///
    /// ## How to fix
    ///
    /// Add a default route by the gateway of your network, or a route to that network: `ip route add NETWORK via GATEWAY`.
    /// Make it last in the network configuration (netplan, NetworkManager, ifupdown, systemd-networkd, DHCP).
    ///
    /// ## What it is often mistaken for
    ///
    /// An interface that is down takes its routes with it (`route/link-down`). A router that answers "network
    /// unreachable" (`path/router-reject`) gives the same error: there this machine does have a route.
    id: "route/none",
    title: "no route to that network",
    needs: &["routes"],
    likes: &["addresses", "links"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(ip) = view.ip() else { return Ok(Finding::Clear) };
    let Some((_, errno)) = ways::local_error(view) else { return Ok(Finding::Clear) };
    if errno != Errno::ENETUNREACH {
        return Ok(Finding::Clear);
    }
    if let Some(missing) = view.routing().and_then(|r| r.decision.missing()) {
        return Err(CannotTell::because(format!("which entry of the routing tables makes {ip} unreachable"), missing));
    }
    let Some(RouteDecision::No { errno: Errno::ENETUNREACH, entry: None }) = ways::decision(view) else {
        return Ok(Finding::Clear);
    };
    let family = Family::of(&ip);
    let lonely = usable_addresses(view, family).is_some_and(|own| own.is_empty());
    let title = if lonely {
        format!("no route to {ip}: this machine has no {} address but loopback and link-local", family.name())
    } else {
        format!("no route to {ip}: no entry of the routing tables covers it")
    };
    let mut fired = Fired::new(Certainty::Proven, title)
        .predicts(&[AttemptOutcome::Unreachable])
        .evidence(ways::decided(view, format!("the lookup of {ip} ends with {errno}")));
    if view.routing().and_then(|r| r.alternatives.value()).is_some_and(Vec::is_empty) {
        let said = format!("no entry covers {ip}: not a network, not a default route");
        fired = fired.evidence(Evidence::new(said, "RTM_GETROUTE dump"));
    }
    fired = fired.evidences(usable_addresses(view, family).filter(|own| !own.is_empty()).map(|own| {
        let list: Vec<String> = own.iter().map(|a| format!("{}/{}", a.address, a.prefix)).collect();
        Evidence::new(format!("this machine's own addresses: {}", list.join(", ")), "RTM_GETADDR")
    }));
    let add = Fix::new(
        view,
        Risk::Medium,
        format!(
            "add a default route, or a route to {ip}, by the gateway of this network; nothing here tells which one that is"
        ),
    );
    Ok(fired.fix(connected(view, ip)).fix(add).fires())
}

/// This machine's addresses that other networks could answer.
fn usable_addresses<'a>(view: &View<'a>, family: Family) -> Option<Vec<&'a InterfaceAddress>> {
    let link_local = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let usable =
        |a: &&InterfaceAddress| Family::of(&a.address) == family && !a.address.is_loopback() && !link_local(a.address);
    Some(view.case.host.addresses.value()?.iter().filter(usable).collect())
}

/// The target is in the network of an address of this machine, whose link is up, and the entry for it is gone.
fn connected(view: &View<'_>, ip: IpAddr) -> Option<Fix> {
    let own = view.case.host.addresses.value()?.iter();
    let covers =
        |a: &&InterfaceAddress| a.prefix > 0 && !a.address.is_loopback() && unrefuse_facts::within(ip, a.address, a.prefix);
    let address = own.filter(covers).max_by_key(|a| a.prefix)?;
    let link = view.case.host.link(address.link).filter(|link| link.up)?;
    let name = quote(&link.name)?;
    let network = network(address.address, address.prefix);
    let ip_command = ways::ip(ip);
    let fix = Fix::new(view, Risk::Low, format!("give the network {network} of {} its entry again", link.name));
    let entry = format!("{network} dev {name}");
    Some(fix.command(format!("{ip_command} route add {entry}")).undo(format!("{ip_command} route del {entry}")))
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use crate::testing::filter::dropped;
    use unrefuse_facts::{
        Answer, AnswerKind, AttemptOutcome, Decider, Errno, Observed, RouteDecision, StackReason,
    };

    fn no_route(endpoint: &str) -> Scene {
        let decision = RouteDecision::No { errno: Errno::ENETUNREACH, entry: None };
        Scene::remote(endpoint).decided(decision).alternatives(&[]).local_error(Errno::ENETUNREACH)
    }

    #[test]
    fn nothing_covers_the_address() {
        let report = no_route("10.9.0.1:80").report();
        assert_eq!((report.blockers[0].root.as_str(), report.blockers[0].certainty), ("route/none", Certainty::Proven));
        assert!(report.blockers[0].fixes[0].steps.is_empty(), "nobody here knows the gateway");
    }

    #[test]
    fn the_packet_filter_is_not_blamed_for_it() {
        let stack = Decider::Stack(StackReason::Other { text: "there is no route to the destination".into() });
        let roots = no_route("10.9.0.1:80").filtered(Some(dropped(stack)), None).roots();
        assert_eq!(roots, ["route/none"]);
    }

    #[test]
    fn nor_on_the_way_in_to_an_own_address() {
        let stack = Decider::Stack(StackReason::Other { text: "there is no route to the destination".into() });
        let decision = RouteDecision::No { errno: Errno::ENETUNREACH, entry: None };
        let scene = Scene::local("[::1]:80").decided(decision).alternatives(&[]).local_error(Errno::ENETUNREACH);
        let roots = scene.listener("[::1]:80", "nginx").filtered(None, Some(dropped(stack))).roots();
        assert_eq!(roots, ["route/none"]);
    }

    #[test]
    fn without_an_address_of_the_family_it_says_so() {
        let report = no_route("[2001:db8::1]:80")
            .with(|case| {
                let Observed::Known { value, .. } = &mut case.host.addresses else { panic!() };
                value.retain(|a| a.address.is_ipv4());
            })
            .report();
        assert!(report.blockers[0].whys[0].title.contains("no IPv6 address"), "{:?}", report.blockers);
    }

    #[test]
    fn the_lost_entry_of_an_own_network_is_given_again() {
        let report = no_route("10.1.0.9:80").report();
        let Some(Step::Command { command }) = report.blockers[0].fixes[0].steps.first() else {
            panic!("{:?}", report.blockers)
        };
        assert_eq!(command, "ip route add 10.1.0.0/24 dev eth0");
    }

    #[test]
    fn a_routers_answer_is_another_matter() {
        let mut answer = Answer::bare(AnswerKind::Icmp);
        (answer.icmp_type, answer.icmp_code, answer.from) = (Some(3), Some(0), Some("10.1.0.254".parse().unwrap()));
        let roots = Scene::remote("10.9.0.1:80")
            .attempt("10.9.0.1:80", AttemptOutcome::Unreachable, Some(Errno::ENETUNREACH), Some(answer))
            .roots();
        assert!(!roots.contains(&"route/none".to_owned()), "{roots:?}");
    }

    #[test]
    fn without_the_tables_it_cannot_tell() {
        let report = no_route("10.9.0.1:80").with(|case| case.routing[0].decision = Observed::default()).report();
        assert!(report.blockers.is_empty());
        assert!(report.unknown.iter().any(|u| u.what.contains("routing tables")), "{:?}", report.unknown);
    }
}

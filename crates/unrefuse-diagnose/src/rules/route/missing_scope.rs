//! route/missing-scope

use super::ways;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use unrefuse_facts::{AttemptOutcome, Errno, InterfaceAddress, Link, text};

cause! {
    /// ## What it means
    ///
    /// Link-local IPv6 addresses (fe80::/10) are the same on every link, so the kernel must be told which one is meant: the
    /// interface is part of the address, as its scope (RFC 4007). Here it is missing.
    ///
    /// ## How it shows
    ///
    /// `connect()` fails at once with `EINVAL`, "invalid argument".
    ///
    /// ## How to confirm by hand
    ///
    /// `ip -6 -br addr show scope link` lists the interfaces that have link-local addresses; `ping -c1 ADDRESS%INTERFACE` on
    /// each shows where the other machine is.
    ///
    /// ## How to fix
    ///
    /// Write the interface behind the address: `[fe80::1%eth0]:80`. In a configuration that knows no scopes take a global or
    /// unique local address (fd00::/8) of the server instead.
    ///
    /// ## What it is often mistaken for
    ///
    /// A blackhole route, which gives `EINVAL`, too (`route/blackhole`).
    id: "route/missing-scope",
    title: "a link-local address without its interface",
    needs: &["attempt"],
    likes: &["links", "addresses"],
    check: check,
}

/// Interfaces that are offered.
const MOST: usize = 4;

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(SocketAddr::V6(address)) = view.address else { return Ok(Finding::Clear) };
    let unscoped = address.scope_id() == 0 && address.ip().is_unicast_link_local();
    let refused = ways::local_error(view).is_some_and(|(_, errno)| errno == Errno::EINVAL);
    let no_way = ways::decision(view).is_some_and(|decision| decision.via().is_none());
    if !unscoped || !refused || no_way {
        return Ok(Finding::Clear);
    }
    let ip = *address.ip();
    let title = format!("{ip} is a link-local address, and which interface it is on is not said");
    let seen = format!("connect to {}: {}", view.endpoint(), Errno::EINVAL);
    let fired = Fired::new(Certainty::Proven, title).predicts(&[AttemptOutcome::Unreachable]);
    Ok(offered(view, ip, fired.evidence(Evidence::new(seen, "connect(2)"))).fires())
}

/// The interfaces that could be meant, each with the question that says so.
fn offered(view: &View<'_>, ip: Ipv6Addr, mut fired: Fired) -> Fired {
    let could = candidates(view, ip);
    for (link, own) in could.iter().take(MOST) {
        let name = text::visible(&link.name);
        let said = if own.address == IpAddr::V6(ip) {
            format!("{ip} is this machine's own address on {name}")
        } else {
            format!("{name} is on such a link: it has {}", own.address)
        };
        let ask = format!("[{ip}%{}]:{}", link.name, view.case.target.port);
        let fix = Fix::new(view, Risk::Low, format!("ask {ip} on {name}: {}", text::visible(&ask)));
        fired = fired.evidence(Evidence::new(said, "RTM_GETADDR")).fix(fix.verify(view.verify_at(&ask)));
    }
    if could.is_empty() {
        let title = "switch on the interface that leads to it: none that is up has a link-local address";
        fired = fired.fix(Fix::new(view, Risk::Low, title));
    }
    fired
}

/// Interfaces that are up, with their link-local address; the one alone whose own address it is.
fn candidates<'a>(view: &View<'a>, ip: Ipv6Addr) -> Vec<(&'a Link, &'a InterfaceAddress)> {
    let addresses = view.case.host.addresses.value().into_iter().flatten();
    let local = |a: &&InterfaceAddress| matches!(a.address, IpAddr::V6(own) if own.is_unicast_link_local());
    let with_link = |a: &'a InterfaceAddress| Some((view.case.host.link(a.link)?, a));
    let mut could: Vec<_> =
        addresses.filter(local).filter_map(with_link).filter(|(link, _)| link.up && !link.loopback).collect();
    if let Some(own) = could.iter().find(|(_, a)| a.address == IpAddr::V6(ip)).copied() {
        return vec![own];
    }
    could.dedup_by_key(|(link, _)| link.index);
    could
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use unrefuse_facts::{Errno, InterfaceAddress, Observed};

    fn with_addresses(scene: Scene) -> Scene {
        scene.link(3, "wlan0", None, |_| {}).link(4, "eth9", None, |link| link.up = false).with(|case| {
            let Observed::Known { value, .. } = &mut case.host.addresses else { panic!() };
            let own = |link, address: &str| InterfaceAddress {
                link,
                address: address.parse().unwrap(),
                prefix: 64,
                tentative: false,
            };
            value.extend([own(2, "fe80::22"), own(3, "fe80::33"), own(4, "fe80::44")]);
        })
    }

    fn asked(endpoint: &str) -> Scene {
        with_addresses(Scene::remote(endpoint).local_error(Errno::EINVAL))
    }

    #[test]
    fn the_interfaces_that_are_up_could_be_meant() {
        let report = asked("[fe80::1]:80").report();
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("route/missing-scope", Certainty::Proven));
        let verify: Vec<&str> = blocker.fixes.iter().map(|fix| fix.verify.as_str()).collect();
        assert_eq!(verify, ["unrefuse '[fe80::1%eth0]:80'", "unrefuse '[fe80::1%wlan0]:80'"]);
    }

    #[test]
    fn an_own_address_has_one_interface() {
        let report = asked("[fe80::33]:80").report();
        assert_eq!(report.blockers[0].fixes.len(), 1);
        assert_eq!(report.blockers[0].fixes[0].verify, "unrefuse '[fe80::33%wlan0]:80'");
    }

    #[test]
    fn other_addresses_and_errors_are_another_matter() {
        for (endpoint, errno) in [("[fd09::1]:80", Errno::EINVAL), ("[fe80::1]:80", Errno::ENETUNREACH)] {
            let roots = with_addresses(Scene::remote(endpoint).local_error(errno)).roots();
            assert!(!roots.contains(&"route/missing-scope".to_owned()), "{roots:?}");
        }
    }
}

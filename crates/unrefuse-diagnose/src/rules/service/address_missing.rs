//! service/address-missing

use super::meant::meant;
use super::{act, drop_in, log};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use std::net::IpAddr;

cause! {
    /// ## What it means
    ///
    /// The service shall listen on an address that this machine does not have, or did not have yet when the service was
    /// started: an old address in its configuration, an interface that comes up later at boot, a floating address that is
    /// on another machine.
    ///
    /// ## How it shows
    ///
    /// The service's log says "Cannot assign requested address" (EADDRNOTAVAIL, 99). Often it only fails at boot and can
    /// be started by hand a minute later.
    ///
    /// ## How to confirm by hand
    ///
    /// `ip -brief address` against the address in the log; `systemd-analyze critical-chain UNIT` for the order at boot.
    ///
    /// ## How to fix
    ///
    /// Where the address is old: change it in the configuration. Where it comes late: start the service after
    /// `network-online.target`, or let it bind before the address is there (`net.ipv4.ip_nonlocal_bind=1`).
    ///
    /// ## What it is often mistaken for
    ///
    /// A port that is taken (`service/address-in-use`): both end in "could not bind".
    id: "service/address-missing",
    title: "the service wants an address that this machine does not have",
    explains: &["service/failed", "service/crash-loop", "listener/none", "listener/loopback-only", "listener/other-address"],
    begins: false,
    needs: &["journal", "addresses"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(meant) = meant(view)? else { return Ok(Finding::Clear) };
    let unit = meant.culprit();
    let Some(line) = log::find(unit, log::NO_ADDRESS) else { return Ok(Finding::Clear) };
    let name = act::name(unit);
    let addresses = view.case.host.addresses.value();
    let wanted = addresses_in(&line.line.message);
    let has = |ip: &IpAddr| addresses.map(|own| own.iter().any(|a| a.address == *ip));
    let absent = wanted.iter().copied().find(|ip| has(ip) == Some(false));
    let now_here = absent.is_none() && wanted.iter().any(|ip| has(ip) == Some(true));
    let shown = absent.or_else(|| wanted.first().copied());
    let which = shown.map_or_else(|| "an address".to_owned(), |ip| ip.to_string());
    let title = if now_here {
        format!("{name} was started before this machine had {which}")
    } else {
        format!("{name} wants to listen on {which}, which this machine does not have")
    };
    let certainty = if absent.is_some() || now_here { meant.certainty } else { meant.certainty.min(Certainty::Likely) };
    let own: Vec<String> = addresses.into_iter().flatten().map(|a| a.address.to_string()).collect();
    let mut fired = Fired::new(certainty, title).evidence(line.evidence(unit));
    if !own.is_empty() {
        fired = fired.evidence(Evidence::new(format!("this machine has {}", own.join(", ")), "RTM_GETADDR"));
    }
    if now_here {
        fired.fixes.extend(late(view, unit));
    } else {
        let setting = if shown.is_some_and(|ip| ip.is_ipv6()) { "net.ipv6.ip_nonlocal_bind" } else { "net.ipv4.ip_nonlocal_bind" };
        fired.fixes.push(act::advice(
            view,
            Risk::Low,
            format!("change {which} in the service's configuration to an address that this machine has, and start {name} again"),
        ));
        fired.fixes.push(act::advice(
            view,
            Risk::Medium,
            format!("or, where {which} floats between machines: sysctl -w {setting}=1, and start {name} again"),
        ));
    }
    Ok(fired.fires())
}

/// The address came late: start again, and wait for the network at the next boot.
fn late(view: &View<'_>, unit: &unrefuse_facts::UnitFacts) -> Option<Fix> {
    let name = act::name(unit);
    if unit.user.is_some() {
        // A user's manager has no network-online.target.
        return act::start(view, unit, format!("start {name} again"));
    }
    let fix = Fix::new(view, Risk::Low, format!("start {name} again, and at boot only when the network is online"));
    drop_in::written(view, fix, unit, "online", "Unit", &["Wants=network-online.target", "After=network-online.target"])
}

/// The addresses in a line; wildcards are none.
fn addresses_in(message: &str) -> Vec<IpAddr> {
    let words = message.split([' ', '"', '\'', '(', ')', ',', '=', '<', '>']);
    let one = |word: &str| {
        let word = word.trim_end_matches(['.', ':', ';']);
        let bare = word.trim_start_matches('[');
        let (host, _) = bare.split_once(']').unwrap_or((bare, ""));
        let ip = host.parse::<IpAddr>().ok().or_else(|| host.rsplit_once(':')?.0.trim_end_matches(']').parse().ok());
        ip.filter(|ip| !ip.is_unspecified())
    };
    words.filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scene;
    use crate::testing::service::failed;

    fn report(line: &str) -> crate::Report {
        Scene::local("10.1.0.2:80").rst().units(vec![failed("nginx.service", &[line])]).report()
    }

    #[test]
    fn an_address_of_another_machine() {
        let report = report("nginx: [emerg] bind() to 192.0.2.7:80 failed (99: Cannot assign requested address)");
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "service/address-missing");
        assert!(blocker.whys.last().unwrap().title.contains("192.0.2.7"));
    }

    #[test]
    fn an_address_that_came_late() {
        let report = report("nginx: [emerg] bind() to 10.1.0.2:80 failed (99: Cannot assign requested address)");
        assert!(report.blockers[0].whys.last().unwrap().title.contains("before this machine had 10.1.0.2"));
        assert!(report.blockers[0].fixes[0].persistent);
    }

    #[test]
    fn another_failure_is_none() {
        let report = report("nginx: [emerg] bind() to 192.0.2.7:80 failed (98: Address already in use)");
        assert_ne!(report.blockers[0].root, "service/address-missing");
    }

    #[test]
    fn addresses_of_lines() {
        let ip = |text: &str| vec![text.parse::<IpAddr>().unwrap()];
        assert_eq!(addresses_in("could not bind IPv4 address \"10.9.9.9\": Cannot"), ip("10.9.9.9"));
        assert_eq!(addresses_in("for [10.9.9.9:80]"), ip("10.9.9.9"));
        assert_eq!(addresses_in("bind() to [fd00::1]:80 failed"), ip("fd00::1"));
        assert!(addresses_in("bind() to 0.0.0.0:80 failed").is_empty());
    }
}

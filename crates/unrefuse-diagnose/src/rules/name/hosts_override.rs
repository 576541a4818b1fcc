//! name/hosts-override

use super::lines;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::without_name;
use crate::report::{Certainty, Edit, Evidence, Fix, Risk};
use crate::rule::{When, cause};
use std::net::{IpAddr, SocketAddr};
use unrefuse_facts::{Attempt, AttemptOutcome, HostsEntry, Observed, Reason, text};

cause! {
    /// ## What it means
    ///
    /// A line of the hosts file gives the name an address, and the DNS gives it another one. The hosts file is asked
    /// first, so this machine goes where the line says, and there the service is not (any more).
    ///
    /// ## How it shows
    ///
    /// It fails on this machine only; other machines reach the same name. The address in the error message is not the
    /// one that `dig NAME` prints, because `dig` never reads the hosts file.
    ///
    /// ## How to confirm by hand
    ///
    /// `getent ahosts NAME` (as programs see it) against `dig +short NAME` (the DNS alone). `grep -n NAME /etc/hosts`.
    ///
    /// ## How to fix
    ///
    /// Take the name out of the line, or correct its address.
    ///
    /// ## What it is often mistaken for
    ///
    /// A dead server or a firewall: the packets go to the wrong machine. A stale DNS cache: the DNS is not even asked.
    id: "name/hosts-override",
    title: "a line of the hosts file sends the name elsewhere than the DNS does",
    instead_of: &["route/*", "path/*", "ingress/*", "listener/*"],
    needs: &["hosts file", "name servers' answers", "attempts to the DNS addresses"],
    likes: &["nsswitch"],
    when: When::Always,
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let (Some(name), Some(ip)) = (lines::name(view), view.address.map(|a| a.ip())) else { return Ok(Finding::Clear) };
    let resolver = &view.case.host.resolver;
    let given = lines::giving(view, name);
    // RFC 6761: localhost is never a matter of the DNS.
    if !view.failed() || name.eq_ignore_ascii_case("localhost") || !given.iter().any(|entry| entry.address == ip) {
        return Ok(Finding::Clear);
    }
    if resolver.nsswitch.value().is_some_and(|switch| !lines::files_first(switch)) {
        return Ok(Finding::Clear);
    }
    let line = &given.iter().find(|entry| entry.address == ip).map(|e| e.location.to_string()).unwrap_or_default();
    let shown = text::visible(name);
    let Some((server, addresses)) = lines::dns_addresses(view) else {
        return match &resolver.answers {
            // Loopback is said on purpose far more often than by mistake: not worth a question.
            Observed::Missing(missing) if missing.reason != Reason::Absent && !ip.is_loopback() => {
                Err(CannotTell::because(format!("whether the DNS gives {shown} another address than {line}"), missing))
            }
            _ => Ok(Finding::Clear),
        };
    };
    if addresses.contains(&ip) {
        return Ok(Finding::Clear);
    }
    let Some(open) = hidden(view, &addresses).find(|a| a.outcome == AttemptOutcome::Open) else {
        return not_shown(view, &shown, line, &addresses);
    };
    let dns = open.address.ip();
    let fired = Fired::new(Certainty::Proven, format!("{line} gives {shown} the address {ip}, and the DNS says {dns}"))
        .evidences(given.iter().map(|entry| lines::line(entry)))
        .evidence(Evidence::new(format!("{shown} is {}", list(&addresses)), format!("DNS {server}")))
        .evidence(Evidence::new(format!("{} is open", open.address), "connect(2)"))
        .fix(take_out(view, name, &shown, &given));
    Ok(fired.fires())
}

/// The attempts to the addresses that the line hides.
fn hidden<'a>(view: &View<'a>, addresses: &[IpAddr]) -> impl Iterator<Item = &'a Attempt> {
    view.case.hidden_attempts.iter().filter(|a| addresses.contains(&a.address.ip()))
}

/// The two differ, and nothing shows that the other address is any better: then the line is not known to be the fault.
fn not_shown(view: &View<'_>, shown: &str, line: &str, addresses: &[IpAddr]) -> Result<Finding, CannotTell> {
    let port = view.case.target.port;
    let Some(first) = addresses.first().map(|ip| SocketAddr::new(*ip, port).to_string()) else {
        return Ok(Finding::Clear);
    };
    let tried = hidden(view, addresses).next();
    let why = match tried.map(|a| (a.address, a.errno)) {
        Some((address, Some(errno))) => {
            format!("{line} hides what the DNS says, {}, and {address} fails too: {errno}", list(addresses))
        }
        Some((address, None)) => {
            format!("{line} hides what the DNS says, {}, and {address} does not answer either", list(addresses))
        }
        None => format!("{line} hides what the DNS says, {}, and that was not tried", list(addresses)),
    };
    let how = view.again().at(&first).unwrap_or_else(|| "ask for the other address".to_owned());
    Err(CannotTell::new(format!("whether {line} is wrong about {shown}"), why, how))
}

/// Every line that gives the name must lose it, else the DNS is still not asked.
fn take_out(view: &View<'_>, name: &str, shown: &str, given: &[&HostsEntry]) -> Option<Fix> {
    let edits: Vec<Edit> = given.iter().map(|entry| without_name(entry, name)).collect::<Option<_>>()?;
    let path = given.first().map(|entry| entry.location.path.as_str())?;
    let fix = Fix::new(view, Risk::Medium, format!("take {shown} out of {path}, so that the DNS is asked"));
    Some(edits.into_iter().fold(fix, Fix::edit).persistent())
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use unrefuse_facts::{Attempt, AttemptOutcome, DnsAnswer};

    fn scene(outcome: AttemptOutcome) -> Scene {
        Scene::remote("10.9.0.66:80")
            .named("db.example", &["10.9.0.66:80"])
            .nsswitch("files dns")
            .hosts(&["127.0.0.1 localhost", "10.9.0.66 db.example db # old"])
            .dns("10.1.0.53", DnsAnswer::Addresses(vec!["10.9.0.1".parse().unwrap()]))
            .silent()
            .with(|case| {
                let address = "10.9.0.1:80".parse().unwrap();
                case.hidden_attempts = vec![Attempt { address, outcome, ..case.attempts[0].clone() }];
            })
    }

    #[test]
    fn the_address_that_the_dns_gives_is_open() {
        let report = scene(AttemptOutcome::Open).report();
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("name/hosts-override", Certainty::Proven));
        let Step::Edit { edit } = &blocker.fixes[0].steps[0] else { panic!("{:?}", blocker.fixes) };
        assert_eq!((edit.line, edit.new.as_str()), (2, "10.9.0.66\tdb # old"));
    }

    #[test]
    fn where_the_dns_address_fails_too_the_line_is_not_blamed() {
        let report = scene(AttemptOutcome::TimedOut).report();
        assert!(report.blockers.iter().all(|b| b.root != "name/hosts-override"), "{:?}", report.blockers);
        assert!(report.unknown.iter().any(|u| u.what.contains("/etc/hosts:2")), "{:?}", report.unknown);
    }

    #[test]
    fn hosts_and_dns_agree() {
        let agree = |case: &mut unrefuse_facts::Case| {
            case.host.resolver.answers = unrefuse_facts::Observed::default();
        };
        let roots = scene(AttemptOutcome::Open)
            .with(agree)
            .dns("10.1.0.53", DnsAnswer::Addresses(vec!["10.9.0.66".parse().unwrap()]))
            .roots();
        assert!(!roots.contains(&"name/hosts-override".to_owned()), "{roots:?}");
    }

    #[test]
    fn the_dns_is_asked_first() {
        let roots = scene(AttemptOutcome::Open).nsswitch("dns files").roots();
        assert!(!roots.contains(&"name/hosts-override".to_owned()), "{roots:?}");
    }
}

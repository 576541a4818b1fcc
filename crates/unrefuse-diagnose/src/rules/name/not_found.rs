//! name/not-found

use super::lines;
use super::switch;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::{DnsAnswer, NameError, text};

cause! {
    /// ## What it means
    ///
    /// No source that this machine asks knows the name: it is in no line of the hosts file, and the name servers say that
    /// it does not exist, or that it has no address. Or a source that does know it is not asked, because the `hosts:`
    /// line of nsswitch.conf leaves it out.
    ///
    /// ## How it shows
    ///
    /// "Name or service not known" (`EAI_NONAME`), "No address associated with hostname" (`EAI_NODATA`), "could not
    /// resolve host". No packet goes to the target.
    ///
    /// ## How to confirm by hand
    ///
    /// `getent ahosts NAME` prints nothing. `dig NAME` says `NXDOMAIN`. `grep hosts: /etc/nsswitch.conf` shows who is asked.
    ///
    /// ## How to fix
    ///
    /// Correct the name; add it to the DNS or to the hosts file; add the search domain that a short name needs; or let
    /// nsswitch.conf ask the source that knows it.
    ///
    /// ## What it is often mistaken for
    ///
    /// A name server that does not answer (`name/resolver-unreachable`): there the name may be right. `dig` and `host` ask
    /// the DNS alone, so they differ from what programs see.
    id: "name/not-found",
    title: "the name does not exist",
    needs: &["getaddrinfo"],
    likes: &["hosts file", "nsswitch", "name servers' answers"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(name) = lines::name(view).filter(|_| view.address.is_none()) else { return Ok(Finding::Clear) };
    let error = match &view.case.resolution.result {
        Err(error @ (NameError::NotFound | NameError::NoAddress)) => *error,
        _ => return Ok(Finding::Clear),
    };
    let answers = lines::answers(view);
    let dns_asked = view.case.host.resolver.nsswitch.value().is_none_or(lines::asks_dns);
    let says_no = |a: &DnsAnswer| matches!(a, DnsAnswer::NoSuchName | DnsAnswer::NoAddress);
    let knows = |a: &DnsAnswer| matches!(a, DnsAnswer::Addresses(_));
    let answered = answers.iter().any(|a| says_no(&a.answer) || knows(&a.answer));
    // Nobody said that the name does not exist: that is a matter of the name servers.
    if dns_asked && !answers.is_empty() && !answered {
        return Ok(Finding::Clear);
    }
    let in_hosts = lines::giving(view, name);
    // The hosts file is compared letter by letter, and its names have no dot at their end.
    let dotted = view.case.target.host.ends_with('.') && !in_hosts.is_empty();
    if let Some(fired) = switch::hides(view, name).filter(|_| !dotted) {
        return Ok(fired.evidence(failed(view, error)).fires());
    }
    let shown = text::visible(name);
    let hosts_read = view.case.host.resolver.hosts.value().is_some();
    let denied = answers.iter().any(|a| says_no(&a.answer));
    let certainty =
        if hosts_read && (in_hosts.is_empty() || dotted) && (denied || !dns_asked) { Certainty::Proven } else { Certainty::Likely };
    let title = match error {
        NameError::NoAddress => format!("{shown} has no address that could be used here"),
        _ if dotted => format!("{shown}. with a dot at its end is asked of the DNS only, which does not know it"),
        _ if !dns_asked => format!("{shown} is not in the hosts file, and this machine does not ask the DNS"),
        _ => format!("the name {shown} does not exist"),
    };
    let mut fired = Fired::new(certainty, title).evidence(failed(view, error));
    if hosts_read && in_hosts.is_empty() {
        fired = fired.evidence(Evidence::new(format!("no line gives {shown}"), "/etc/hosts"));
    }
    fired = fired.evidences(in_hosts.iter().map(|entry| lines::line(entry)));
    fired = fired.evidences(dns_asked.then(|| answers.iter().map(lines::said)).into_iter().flatten());
    fired = fired.evidences((!dns_asked).then(|| switch::evidence(view)).flatten());
    fired = fired.evidences(ignored(view, name));
    if dotted {
        let fix = Fix::new(view, Risk::Low, format!("ask for {shown} without the dot"));
        fired = fired.fix(match view.again().at(&format!("{name}:{}", view.case.target.port)) {
            Some(verify) => fix.verify(verify),
            None => fix,
        });
        return Ok(fired.fires());
    }
    Ok(suggestions(view, name, &shown, fired).fires())
}

fn failed(view: &View<'_>, error: NameError) -> Evidence {
    let code = match error {
        NameError::NoAddress => "EAI_NODATA",
        _ => "EAI_NONAME",
    };
    let detail = view.case.resolution.detail.as_deref().map(|d| format!(": {}", text::visible(d))).unwrap_or_default();
    Evidence::new(format!("{code}{detail}"), "getaddrinfo")
}

/// A line of the hosts file that names it, and that the resolver does not understand.
fn ignored(view: &View<'_>, name: &str) -> Option<Evidence> {
    let file = view.case.host.resolver.hosts.value()?;
    let names_it = |line: &str| line.split_whitespace().any(|word| word.eq_ignore_ascii_case(name));
    let (number, line) = file.ignored.iter().find(|(_, line)| names_it(line))?;
    let text = format!(
        "the resolver ignores this line, which begins with no address: {}",
        text::clip(&text::visible(line), 80)
    );
    let location = unrefuse_facts::Location { path: "/etc/hosts".to_owned(), line: *number };
    Some(Evidence::new(text, "/etc/hosts").at(&location))
}

/// What may have been meant. None of it can be a command: who asks for the wrong name is not known.
fn suggestions(view: &View<'_>, name: &str, shown: &str, mut fired: Fired) -> Fired {
    for near in near_names(view, name).into_iter().take(2) {
        let fix = Fix::new(view, Risk::Low, format!("use {}, which {} gives", text::visible(near.0), near.1));
        let verify = view.again().at(&format!("{}:{}", near.0, view.case.target.port));
        fired = match verify {
            Some(verify) => fired.fix(fix.verify(verify)),
            None => fired.fix(fix),
        };
    }
    let conf = view.case.host.resolver.resolv_conf.value();
    let short = !name.contains('.');
    if short && conf.is_some_and(|conf| conf.search.is_empty()) {
        fired = fired.evidence(Evidence::new(
            "no search domain is set, so a short name is asked for as it is",
            "/etc/resolv.conf",
        ));
        fired = fired.fix(Fix::new(
            view,
            Risk::Low,
            format!("ask for {shown} with its domain, or set the search domain in /etc/resolv.conf"),
        ));
    }
    fired.fix(Fix::new(view, Risk::Low, format!("add {shown} to the DNS, or to /etc/hosts with its address")))
}

/// Names of the hosts file that differ by one or two letters, nearest first.
fn near_names<'a>(view: &View<'a>, name: &str) -> Vec<(&'a str, String)> {
    let allowed = if name.chars().count() < 5 { 1 } else { 2 };
    let entries = view.case.host.resolver.hosts.value().map(|file| file.entries.as_slice()).unwrap_or_default();
    let mut near: Vec<(usize, &str, String)> = Vec::new();
    for entry in entries {
        for other in &entry.names {
            let distance = distance(name, other);
            if (1..=allowed).contains(&distance) && !near.iter().any(|(_, have, _)| *have == other.as_str()) {
                near.push((distance, other, entry.location.to_string()));
            }
        }
    }
    near.sort_by_key(|(distance, ..)| *distance);
    near.into_iter().map(|(_, name, at)| (name, at)).collect()
}

/// Letters to change, add, take away or swap with their neighbour (optimal string alignment), without regard to case.
fn distance(a: &str, b: &str) -> usize {
    // A name is at most 253 bytes (RFC 1035); a longer word is none and is not worth the table.
    if a.len() > 255 || b.len() > 255 {
        return usize::MAX;
    }
    strsim::osa_distance(&a.to_ascii_lowercase(), &b.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::distance;
    use crate::report::{Certainty, Outcome};
    use crate::testing::Scene;
    use unrefuse_facts::{DnsAnswer, NameError};

    fn scene(name: &str) -> Scene {
        Scene::remote("10.9.0.1:80")
            .unresolved(name, NameError::NotFound)
            .nsswitch("files dns")
            .hosts(&["127.0.0.1 localhost", "10.9.0.1 db-server"])
    }

    #[test]
    fn the_name_server_says_nxdomain() {
        let report = scene("db-sevrer").dns("10.1.0.53", DnsAnswer::NoSuchName).report();
        assert_eq!(report.outcome, Outcome::Unresolved);
        assert_eq!(report.blockers[0].root, "name/not-found");
        assert_eq!(report.blockers[0].certainty, Certainty::Proven);
        assert_eq!(report.blockers[0].fixes[0].verify, "unrefuse db-server:80", "{:?}", report.blockers[0].fixes);
        assert_eq!(report.exit_code(), 1);
    }

    #[test]
    fn where_nobody_was_asked_it_is_likely_only() {
        let report = scene("nowhere").report();
        assert_eq!(
            (report.blockers[0].root.as_str(), report.blockers[0].certainty),
            ("name/not-found", Certainty::Likely)
        );
    }

    #[test]
    fn a_name_without_address_exists() {
        let report = scene("mail.example")
            .with(|case| case.resolution.result = Err(NameError::NoAddress))
            .dns("10.1.0.53", DnsAnswer::NoAddress)
            .report();
        assert!(report.blockers[0].whys[0].title.contains("no address"), "{:?}", report.blockers);
    }

    #[test]
    fn a_dot_at_the_end_keeps_it_out_of_the_hosts_file() {
        let report = scene("db-server.").dns("10.1.0.53", DnsAnswer::NoSuchName).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("name/not-found", Certainty::Proven));
        assert_eq!(blocker.fixes[0].verify, "unrefuse db-server:80", "{:?}", blocker.fixes);
        let without = scene("db-server").dns("10.1.0.53", DnsAnswer::NoSuchName).report();
        assert_eq!(without.blockers[0].certainty, Certainty::Likely, "a line gives it");
    }

    #[test]
    fn a_silent_name_server_says_nothing_about_the_name() {
        let roots = scene("db").dns("10.1.0.53", DnsAnswer::Silent).roots();
        assert!(!roots.contains(&"name/not-found".to_owned()), "{roots:?}");
    }

    #[test]
    fn distances() {
        assert_eq!(distance("db", "DB"), 0);
        assert_eq!(distance("sevrer", "server"), 1);
        assert_eq!(distance("web1", "web12"), 1);
        assert_eq!(distance("a", &"b".repeat(256)), usize::MAX);
    }
}

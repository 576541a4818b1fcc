//! Sources of names that know the name and are not asked: what the `hosts:` line of nsswitch.conf(5) leaves out.

use super::lines::{self, first_word};
use crate::View;
use crate::finding::Fired;
use crate::fix::quote;
use crate::report::{Certainty, Evidence, Fix, Risk};
use unrefuse_facts::{NsSwitch, text};

/// The line as evidence.
pub(super) fn evidence(view: &View<'_>) -> Option<Evidence> {
    let switch = view.case.host.resolver.nsswitch.value()?;
    let evidence = Evidence::new(format!("hosts: {}", text::visible(&switch.services.join(" "))), "/etc/nsswitch.conf");
    Some(match &switch.location {
        Some(location) => evidence.at(location),
        None => evidence,
    })
}

/// The finding that a source knows the name and the line does not get to it.
pub(super) fn hides(view: &View<'_>, name: &str) -> Option<Fired> {
    let switch = view.case.host.resolver.nsswitch.value()?;
    let shown = text::visible(name);
    let entry = lines::giving(view, name).into_iter().next();
    let words: Vec<&str> = switch.services.iter().map(|s| first_word(s)).collect();
    if let Some(entry) = entry.filter(|_| !words.contains(&"files")) {
        let title = format!("{} gives {shown}, and nsswitch.conf leaves the hosts file out", entry.location);
        let services: Vec<&str> = ["files"].into_iter().chain(switch.services.iter().map(String::as_str)).collect();
        let fired = Fired::new(Certainty::Proven, title).evidence(lines::line(entry)).evidences(evidence(view));
        return Some(fired.fix(rewritten(view, switch, &services)));
    }
    let (server, _) = lines::dns_addresses(view)?;
    let said = lines::answers(view)
        .iter()
        .find(|a| a.server == server && matches!(a.answer, unrefuse_facts::DnsAnswer::Addresses(_)));
    if !lines::asks_dns(switch) {
        let title = format!("the DNS knows {shown}, and nsswitch.conf does not let this machine ask it");
        let services: Vec<&str> = switch.services.iter().map(String::as_str).chain(["dns"]).collect();
        let fired = Fired::new(Certainty::Proven, title).evidences(evidence(view)).evidences(said.map(lines::said));
        return Some(fired.fix(rewritten(view, switch, &services)));
    }
    // A service before the DNS that ends the search, as mdns4_minimal does for every name in .local.
    let dns = words.iter().position(|word| matches!(*word, "dns" | "resolve"))?;
    let ends = |s: &String| s.to_ascii_lowercase().contains("notfound=return");
    let at = switch.services[..dns].iter().position(ends)?;
    let title = format!(
        "the DNS knows {shown}, and {} in nsswitch.conf ends the search before the DNS is asked",
        text::visible(&switch.services[at])
    );
    let services: Vec<&str> = switch
        .services
        .iter()
        .enumerate()
        .map(|(i, s)| if i == at { first_word(s) } else { s.as_str() })
        .filter(|s| !s.starts_with('['))
        .collect();
    let fired = Fired::new(Certainty::Likely, title).evidences(evidence(view)).evidences(said.map(lines::said));
    Some(fired.fix(rewritten(view, switch, &services)))
}

/// The line with other services. Its text is not a fact, so it is rewritten in its place by number.
fn rewritten(view: &View<'_>, switch: &NsSwitch, services: &[&str]) -> Option<Fix> {
    let location = switch.location.as_ref()?;
    let (old, new) = (switch.services.join(" "), services.join(" "));
    // sed's own signs (& \ / newline) have no place in the name of a service.
    let plain = |c: char| c.is_ascii_alphanumeric() || " _-=[]!".contains(c);
    if !old.chars().chain(new.chars()).all(plain) {
        return None;
    }
    let command = |services: &str| {
        let script = quote(&format!("{}s/^[[:space:]]*hosts:.*/hosts: {services}/", location.line))?;
        Some(format!("sed -i {script} {}", quote(&location.path)?))
    };
    let title = format!("let {location} say: hosts: {new}");
    Some(Fix::new(view, Risk::Medium, title).command(command(&new)?).undo(command(&old)?).persistent())
}

#[cfg(test)]
mod tests {
    use crate::report::Step;
    use crate::testing::Scene;
    use unrefuse_facts::{DnsAnswer, NameError};

    fn scene(switch: &str, answer: DnsAnswer) -> crate::Report {
        Scene::remote("10.9.0.1:80")
            .unresolved("db.local", NameError::NotFound)
            .hosts(&["10.9.0.7 other"])
            .nsswitch(switch)
            .dns("10.1.0.53", answer)
            .report()
    }
    fn known() -> DnsAnswer {
        DnsAnswer::Addresses(vec!["10.9.0.1".parse().unwrap()])
    }
    fn command(report: &crate::Report) -> &str {
        match report.blockers[0].fixes[0].steps.first() {
            Some(Step::Command { command }) => command,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_dns_is_left_out() {
        let report = scene("files", known());
        assert_eq!(report.blockers[0].root, "name/not-found");
        assert_eq!(command(&report), "sed -i '12s/^[[:space:]]*hosts:.*/hosts: files dns/' /etc/nsswitch.conf");
    }

    #[test]
    fn a_service_ends_the_search() {
        let report = scene("files mdns4_minimal [NOTFOUND=return] dns", known());
        assert!(report.blockers[0].whys[0].title.contains("ends the search"), "{:?}", report.blockers);
        assert!(command(&report).contains("hosts: files mdns4_minimal dns"), "{}", command(&report));
    }

    #[test]
    fn the_hosts_file_is_left_out() {
        let report = Scene::remote("10.9.0.1:80")
            .unresolved("db", NameError::NotFound)
            .hosts(&["10.9.0.1 db"])
            .nsswitch("dns")
            .dns("10.1.0.53", DnsAnswer::NoSuchName)
            .report();
        assert!(command(&report).contains("hosts: files dns"), "{}", command(&report));
    }

    #[test]
    fn a_name_that_the_dns_does_not_know_is_not_hidden() {
        let report = scene("files", DnsAnswer::NoSuchName);
        assert!(report.blockers[0].whys[0].title.contains("does not ask the DNS"), "{:?}", report.blockers);
        assert!(report.blockers[0].fixes.iter().all(|f| f.steps.is_empty()));
    }
}

//! name/address-family

use super::lines;
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::without_name;
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::{When, cause};
use crate::{View, Who};
use std::net::SocketAddr;
use unrefuse_facts::{Attempt, AttemptOutcome, Family, text};

cause! {
    /// ## What it means
    ///
    /// The name has addresses of both families, and the service is there in one family only: the AAAA (or A) record
    /// leads to a machine that refuses. Clients that try the dead family first, or alone, fail; others work.
    ///
    /// ## How it shows
    ///
    /// Of one name, the IPv6 address refuses and the IPv4 address is open, or the reverse.
    ///
    /// ## How to confirm by hand
    ///
    /// `getent ahosts NAME` shows both addresses. `nc -6zv NAME PORT` and `nc -4zv NAME PORT` show which one fails.
    ///
    /// ## How to fix
    ///
    /// Let the service listen in both families, or take the record of the dead family away. Until then let the client
    /// ask the family that works.
    ///
    /// ## What it is often mistaken for
    ///
    /// A service that is down, because the first error that a client prints is that of the dead family. A family that
    /// this machine cannot route at all is another matter (`route/none`), and so is a filter that rejects one family.
    id: "name/address-family",
    title: "the name has an address of a family that the service does not serve",
    instead_of: &["listener/*", "path/*"],
    needs: &["attempts to both families"],
    likes: &["answer packet", "sockets", "hosts file"],
    when: When::Always,
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let (Some(name), Some(address)) = (lines::name(view), view.address) else { return Ok(Finding::Clear) };
    let refused = |a: &&Attempt| matches!(a.outcome, AttemptOutcome::Refused | AttemptOutcome::Reset);
    if !view.failed() || !view.rounds.iter().all(refused) || address.ip().is_loopback() {
        return Ok(Finding::Clear);
    }
    // A filter or this machine's own refusal is no matter of the record.
    if view.refuser.as_ref().is_some_and(|r| r.who != Who::ServerKernel && r.certainty > Certainty::Possible) {
        return Ok(Finding::Clear);
    }
    let Some(open) = open_family(view, address) else { return Ok(Finding::Clear) };
    let (dead, alive) = (Family::of(&address.ip()), Family::of(&open.ip()));
    let record = if dead == Family::V6 { "AAAA" } else { "A" };
    let shown = text::visible(name);
    let given: Vec<_> = lines::giving(view, name).into_iter().filter(|entry| entry.address == address.ip()).collect();
    let title = format!(
        "{shown} has the {} address {}, where the service does not listen: {open} is open",
        dead.name(),
        address.ip()
    );
    let mut fired = Fired::new(certainty(view), title)
        .predicts(&[AttemptOutcome::Refused, AttemptOutcome::Reset])
        .evidence(Evidence::new(format!("{address} refuses, {open} is open"), "connect(2)"))
        .evidences(view.refuser.iter().flat_map(|r| r.evidence.clone()))
        .evidences(lines::resolved(view));
    for entry in &given {
        let edit = without_name(entry, name);
        let title = format!("take {shown} out of the line that gives it {}", address.ip());
        fired = fired
            .evidence(lines::line(entry))
            .fix(edit.map(|edit| Fix::new(view, Risk::Medium, title).edit(edit).persistent()));
    }
    let client =
        Fix::new(view, Risk::Low, format!("let the client use {} for {shown}, or give it {}", alive.name(), open.ip()));
    fired = fired.fix(client.verify(view.again().only(alive).said(&view.case.target.endpoint())));
    let source = if given.is_empty() { format!(", or take the {record} record out of the DNS") } else { String::new() };
    let serve = Fix::new(view, Risk::Medium, format!("let the service listen on {address} as well{source}"));
    Ok(fired.fix(serve.persistent()).fires())
}

/// An open address of the other family, where every address of this one fails.
fn open_family(view: &View<'_>, address: SocketAddr) -> Option<SocketAddr> {
    let dead = Family::of(&address.ip());
    let mut open = view.case.attempts.iter().filter(|a| a.outcome == AttemptOutcome::Open).map(|a| a.address);
    if open.clone().any(|a| Family::of(&a.ip()) == dead) {
        return None;
    }
    open.find(|a| !a.ip().is_loopback())
}

/// Read is what decides: the server's sockets, or its kernel's own answer.
fn certainty(view: &View<'_>) -> Certainty {
    if let (Ok(Some(table)), Some(transport)) = (view.server_sockets(""), view.transport()) {
        let taken = view.on_port(table, transport).into_iter().any(|s| view.takes(s) != Some(false));
        return if taken { Certainty::Likely } else { Certainty::Proven };
    }
    match view.refuser.as_ref() {
        Some(refuser) if refuser.who == Who::ServerKernel => refuser.certainty,
        _ => Certainty::Likely,
    }
}

#[cfg(test)]
mod tests {
    use crate::report::Step;
    use crate::testing::Scene;
    use unrefuse_facts::{Answer, AnswerKind, AttemptOutcome, Errno};

    fn scene() -> Scene {
        Scene::remote("[fd09::1]:80")
            .named("db", &["[fd09::1]:80", "10.9.0.1:80"])
            .hosts(&["fd09::1 db", "10.9.0.1 db"])
    }

    #[test]
    fn one_family_refused_and_the_other_open() {
        let report = scene().rst().attempt("10.9.0.1:80", AttemptOutcome::Open, None, None).report();
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        assert_eq!(report.blockers[0].root, "name/address-family");
        let Step::Edit { edit } = &report.blockers[0].fixes[0].steps[0] else {
            panic!("{:?}", report.blockers[0].fixes)
        };
        assert_eq!((edit.line, edit.new.as_str()), (1, "# fd09::1 db"));
        assert_eq!(report.blockers[0].fixes[1].verify, "unrefuse -4 db:80");
    }

    #[test]
    fn no_route_in_one_family_is_not_the_names_fault() {
        let roots =
            scene().local_error(Errno::ENETUNREACH).attempt("10.9.0.1:80", AttemptOutcome::Open, None, None).roots();
        assert!(!roots.contains(&"name/address-family".to_owned()), "{roots:?}");
    }

    #[test]
    fn a_router_that_rejects_one_family_is_not_the_names_fault() {
        let mut answer = Answer::bare(AnswerKind::Icmp);
        (answer.icmp_type, answer.icmp_code, answer.from) = (Some(1), Some(4), Some("fd01::ff".parse().unwrap()));
        let roots = scene().refused(answer).attempt("10.9.0.1:80", AttemptOutcome::Open, None, None).roots();
        assert!(!roots.contains(&"name/address-family".to_owned()), "{roots:?}");
    }

    #[test]
    fn another_address_of_the_family_that_is_open_clears_it() {
        let report = Scene::remote("[fd09::1]:80")
            .named("db", &["[fd09::1]:80", "[fd09::2]:80", "10.9.0.1:80"])
            .rst()
            .attempt("[fd09::2]:80", AttemptOutcome::Open, None, None)
            .attempt("10.9.0.1:80", AttemptOutcome::Open, None, None)
            .roots();
        assert!(!report.contains(&"name/address-family".to_owned()), "{report:?}");
    }
}

//! name/localhost-v6-first

use super::lines;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::without_name;
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::{When, cause};
use std::net::{IpAddr, SocketAddr};
use unrefuse_facts::{AttemptOutcome, Family, text};

cause! {
    /// ## What it means
    ///
    /// The name, usually `localhost`, has two addresses: `::1` and `127.0.0.1`. The service listens on one of them only.
    /// A client that tries the other one first, or alone, is refused, although the service runs on this very machine.
    ///
    /// ## How it shows
    ///
    /// `[::1]:PORT` refuses and `127.0.0.1:PORT` is open, or the reverse. `curl` tries both and works; a client that
    /// takes the first address only (older Node.js, many drivers and health checks) fails with `ECONNREFUSED ::1`.
    ///
    /// ## How to confirm by hand
    ///
    /// `getent ahosts localhost` shows the order. `ss -ltn 'sport = :PORT'` shows the one address that is listened on.
    ///
    /// ## How to fix
    ///
    /// Give the client the address that is open in place of the name; or let the service listen on both loopback
    /// addresses; or take the name `localhost` out of the `::1` line of the hosts file.
    ///
    /// ## What it is often mistaken for
    ///
    /// A service that is not running (`listener/none`): it runs, on the other loopback address. A firewall: nothing
    /// filters here.
    id: "name/localhost-v6-first",
    title: "localhost has two addresses, and the service listens on one of them",
    instead_of: &["listener/*", "path/*"],
    needs: &["attempts to both addresses"],
    likes: &["sockets", "hosts file"],
    when: When::Always,
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let (Some(name), Some(address)) = (lines::name(view), view.address) else { return Ok(Finding::Clear) };
    let refused = view.rounds.iter().all(|a| a.outcome == AttemptOutcome::Refused);
    if !view.failed() || !refused || !address.ip().is_loopback() {
        return Ok(Finding::Clear);
    }
    let Some(open) = open_twin(view, address) else { return Ok(Finding::Clear) };
    let shown = text::visible(name);
    let holder = holder(view, open);
    let certainty = if holder.is_some() { Certainty::Proven } else { Certainty::Likely };
    let title = format!("{shown} is both {} and {}, and the service listens on {open} only", address.ip(), open.ip());
    let mut fired = Fired::new(certainty, title)
        .predicts(&[AttemptOutcome::Refused])
        .evidence(Evidence::new(format!("{address} refuses, {open} is open"), "connect(2)"))
        .evidences(holder)
        .evidences(lines::resolved(view))
        .fix(literal(view, open));
    for entry in lines::giving(view, name).into_iter().filter(|entry| entry.address == address.ip()) {
        fired = fired.evidence(lines::line(entry));
        // libc reads a ::1 line as 127.0.0.1 too when it wants IPv4 (nss/nss_files/files-hosts.c), and much else counts
        // on 127.0.0.1 being localhost: only the ::1 line can be changed with profit.
        if address.is_ipv6()
            && let Some(edit) = without_name(entry, name)
        {
            let title = format!("no longer give ::1 the name {shown}");
            fired = fired.fix(Fix::new(view, Risk::Medium, title).edit(edit).persistent());
        }
    }
    Ok(fired.fires())
}

/// The open loopback address of the other family.
fn open_twin(view: &View<'_>, address: SocketAddr) -> Option<SocketAddr> {
    let twin = |ip: IpAddr| ip.is_loopback() && Family::of(&ip) != Family::of(&address.ip());
    let attempts = view.case.attempts.iter();
    attempts.filter(|a| a.outcome == AttemptOutcome::Open && twin(a.address.ip())).map(|a| a.address).next()
}

/// The listener that takes the other address and not this one.
fn holder(view: &View<'_>, open: SocketAddr) -> Option<Evidence> {
    let table = view.server_sockets("").ok()??;
    let listeners = view.on_port(table, view.transport()?);
    if listeners.iter().any(|s| view.takes(s) == Some(true)) {
        return None;
    }
    let socket = listeners.into_iter().find(|s| s.takes(open.ip()) == Some(true))?;
    let owner = table.owners(socket).first().map_or_else(|| "a socket".to_owned(), |p| text::visible(&p.label()));
    let source = view.case.host.sockets.source().map_or("socket table", |s| &s.what);
    Some(Evidence::new(format!("{owner} listens on {} and on no other address of that port", socket.local), source))
}

/// The client's own cure. It has no command: where a client has its address from is not known.
fn literal(view: &View<'_>, open: SocketAddr) -> Fix {
    Fix::new(view, Risk::Low, format!("give the client {open} in place of the name"))
        .verify(view.verify_at(&open.to_string()))
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use unrefuse_facts::{Answer, AnswerKind, AttemptOutcome, Errno};

    fn scene() -> Scene {
        Scene::local("[::1]:3000")
            .named("localhost", &["[::1]:3000", "127.0.0.1:3000"])
            .hosts(&["127.0.0.1 localhost", "::1 localhost ip6-localhost"])
            .listener("127.0.0.1:3000", "node")
    }

    fn refused(scene: Scene, endpoint: &str) -> Scene {
        scene.attempt(endpoint, AttemptOutcome::Refused, Some(Errno::ECONNREFUSED), Some(Answer::bare(AnswerKind::Rst)))
    }

    #[test]
    fn v6_refused_and_v4_open() {
        let report =
            refused(scene(), "[::1]:3000").attempt("127.0.0.1:3000", AttemptOutcome::Open, None, None).report();
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("name/localhost-v6-first", Certainty::Proven));
        assert_eq!(report.exit_code(), 1, "applications try ::1 first");
        let Step::Edit { edit } = &blocker.fixes[1].steps[0] else { panic!("{:?}", blocker.fixes) };
        assert_eq!((edit.line, edit.new.as_str()), (2, "::1\tip6-localhost"));
        assert_eq!(blocker.fixes[0].verify, "unrefuse 127.0.0.1:3000");
    }

    #[test]
    fn the_reverse_gets_no_edit_of_127_0_0_1() {
        let scene = Scene::local("127.0.0.1:3000")
            .named("localhost", &["127.0.0.1:3000", "[::1]:3000"])
            .hosts(&["127.0.0.1 localhost", "::1 localhost"])
            .socket("[::1]:3000", "node", |s| s.v6only = Some(true));
        let report = refused(scene, "127.0.0.1:3000").attempt("[::1]:3000", AttemptOutcome::Open, None, None).report();
        assert_eq!(report.blockers[0].root, "name/localhost-v6-first");
        assert!(report.blockers[0].fixes.iter().all(|f| f.steps.is_empty()));
    }

    #[test]
    fn both_refused_is_no_matter_of_the_name() {
        let roots = refused(refused(scene(), "[::1]:3000"), "127.0.0.1:3000").roots();
        assert!(!roots.contains(&"name/localhost-v6-first".to_owned()), "{roots:?}");
    }
}

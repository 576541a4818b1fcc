//! path/router-reject

use super::host_down::host_unreachable;
use crate::finding::{CannotTell, Finding, Fired};
use crate::refuser::icmp_name;
use crate::report::{Evidence, Fix, Risk};
use crate::rule::cause;
use crate::{View, Who};
use unrefuse_facts::{AnswerKind, AttemptOutcome};

cause! {
    /// ## What it means
    ///
    /// A router or firewall between this machine and the server turned the packet away and said so: with an ICMP error
    /// under its own address, or with a RST that it sent in the server's name. The server never saw the packet.
    ///
    /// ## How it shows
    ///
    /// At once, with an error number that depends on the code: refused (port unreachable, RST), no route to host (host
    /// prohibited, administratively prohibited), network unreachable (network unreachable, network prohibited), and for
    /// ICMPv6 permission denied (administratively prohibited, policy).
    ///
    /// ## How to confirm by hand
    ///
    /// `tcpdump -n icmp or icmp6` while connecting shows who sends the error; `traceroute -T -p PORT HOST` ends at the
    /// router with `!X`, `!H` or `!N`. A RST of a router comes with another TTL than the server's own answers.
    ///
    /// ## How to fix
    ///
    /// Allow the port on that router (its rules, a security group, an access list), or give it the route that it lacks
    /// ("network unreachable", "no route to destination").
    ///
    /// ## What it is often mistaken for
    ///
    /// The server's own firewall (`ingress/firewall-reject`), which signs with the server's address; a service that is
    /// down, where the answer is port unreachable or a RST.
    id: "path/router-reject",
    title: "a router on the way rejects it",
    needs: &["answer"],
    likes: &["answer packet"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let (Some(attempt), Some(target)) = (view.attempt(), view.ip()) else { return Ok(Finding::Clear) };
    let Some(refuser) = view.refuser.as_ref().filter(|r| r.who == Who::Router) else { return Ok(Finding::Clear) };
    let Some(answer) = attempt.answer.as_ref() else { return Ok(Finding::Clear) };
    if view.is_local() == Some(true) || host_unreachable(attempt) {
        return Ok(Finding::Clear);
    }
    let (title, by) = match (answer.kind, answer.icmp_type, answer.icmp_code) {
        (AnswerKind::Icmp, Some(kind), Some(code)) if kind == if target.is_ipv4() { 3 } else { 1 } => {
            let said = icmp_name(target, kind, code);
            match answer.from.filter(|from| *from != target) {
                Some(router) => {
                    (format!("the router {router} rejects {}: {said}", view.endpoint()), format!("the router {router}"))
                }
                None => (
                    format!("a router on the way rejects {} in the server's name: {said}", view.endpoint()),
                    "the router that is nearer than the server".to_owned(),
                ),
            }
        }
        (AnswerKind::Rst, ..) => (
            format!("a router on the way resets connections to {} in the server's name", view.endpoint()),
            "the router that is nearer than the server".to_owned(),
        ),
        // Time exceeded and the like are no rejection.
        _ => return Ok(Finding::Clear),
    };
    let mut fired = Fired::new(refuser.certainty, title)
        .predicts(&[AttemptOutcome::Refused, AttemptOutcome::Unreachable, AttemptOutcome::Denied])
        .evidences(refuser.evidence.clone());
    if let Some(errno) = attempt.errno {
        fired = fired.evidence(Evidence::new(format!("connect to {}: {errno}", view.endpoint()), "connect(2)"));
    }
    let allow = format!("allow {} to {target} on {by}, or see there why it has no way to it", view.port());
    Ok(fired.fix(Fix::new(view, Risk::Medium, allow)).fires())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Certainty;
    use crate::testing::Scene;
    use unrefuse_facts::{Answer, Errno, Observed, Reference, Source};

    fn icmp(from: &str, kind: u8, code: u8) -> Option<Answer> {
        let mut answer = Answer::bare(AnswerKind::Icmp);
        (answer.icmp_type, answer.icmp_code, answer.from) = (Some(kind), Some(code), Some(from.parse().unwrap()));
        Some(answer)
    }

    fn scene(endpoint: &str, outcome: AttemptOutcome, errno: Errno, answer: Option<Answer>) -> Scene {
        Scene::remote(endpoint).attempt(endpoint, outcome, Some(errno), answer)
    }

    #[test]
    fn icmp_of_a_router_names_it() {
        let answer = icmp("10.8.0.1", 3, 13);
        let report = scene("10.9.0.1:80", AttemptOutcome::Unreachable, Errno::EHOSTUNREACH, answer).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("path/router-reject", Certainty::Proven));
        assert_eq!(
            blocker.whys[0].title,
            "the router 10.8.0.1 rejects 10.9.0.1:80: ICMP administratively prohibited (3/13)"
        );
        let answer = icmp("fd08::1", 1, 1);
        assert_eq!(
            scene("[fd09::1]:80", AttemptOutcome::Denied, Errno::EACCES, answer).roots(),
            ["path/router-reject"]
        );
        let answer = icmp("10.8.0.1", 3, 3);
        assert_eq!(
            scene("10.9.0.1:80", AttemptOutcome::Refused, Errno::ECONNREFUSED, answer).roots(),
            ["path/router-reject"]
        );
    }

    #[test]
    fn a_reset_from_nearer_than_the_server() {
        let mut answer = Answer::bare(AnswerKind::Rst);
        (answer.tos_sent, answer.tos, answer.ttl) = (Some(0x48), Some(0), Some(64));
        let reference = Reference { what: "echo reply".into(), ttl: Some(63), tos_kept: Some(true) };
        answer.reference = Observed::known(reference, Source::probed("echo"));
        let report = Scene::remote("10.9.0.1:80").refused(answer).report();
        assert_eq!(
            (report.blockers[0].root.as_str(), report.blockers[0].certainty),
            ("path/router-reject", Certainty::Likely)
        );
    }

    #[test]
    fn the_server_itself_is_no_router() {
        let answer = icmp("10.9.0.1", 3, 13);
        let roots = scene("10.9.0.1:80", AttemptOutcome::Unreachable, Errno::EHOSTUNREACH, answer).roots();
        assert!(!roots.contains(&"path/router-reject".to_owned()), "{roots:?}");
    }

    #[test]
    fn time_exceeded_and_host_unreachable_are_other_faults() {
        for (kind, code) in [(11, 0), (3, 1)] {
            let answer = icmp("10.8.0.1", kind, code);
            let roots = scene("10.9.0.1:80", AttemptOutcome::Unreachable, Errno::EHOSTUNREACH, answer).roots();
            assert!(!roots.contains(&"path/router-reject".to_owned()), "{roots:?}");
        }
    }
}

//! path/intermittent

use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence};
use crate::rule::{When, cause};
use unrefuse_facts::AttemptOutcome;

cause! {
    /// ## What it means
    ///
    /// Of several attempts to the same address some are open and some fail. Each attempt meets something different: another
    /// server behind a load balancer, another of several listening processes, a service that restarts, a limit that is
    /// sometimes reached.
    ///
    /// ## How it shows
    ///
    /// Clients work after trying again. The ratio of failures says something: one half, one third and so on hint at that
    /// many servers behind one address, one of which is down.
    ///
    /// ## How to confirm by hand
    ///
    /// Repeat: `unrefuse --count 20 HOST:PORT`.
    ///
    /// ## How to fix
    ///
    /// Find out which of the servers behind the address fails and take it out or mend it; for a service that restarts again
    /// and again see its log.
    ///
    /// ## What it is often mistaken for
    ///
    /// A fault that is over, because the next attempt worked. A name with several addresses, of which one fails: that shows
    /// per address and is another cause each.
    id: "path/intermittent",
    title: "some attempts are open, some fail",
    root: false,
    instead_of: &["path/*", "ingress/*", "listener/*"],
    asks: Some("which of the servers or processes behind the address fails, and when"),
    needs: &["repeated attempts (--count)"],
    // A failed round may show that the packet passed this gate; that another one was open is the finding.
    when: When::Always,
    check: check,
}

/// The ways to fail, in words, in the order in which they are told.
const FAILURES: [(AttemptOutcome, &str); 6] = [
    (AttemptOutcome::Refused, "refused"),
    (AttemptOutcome::Reset, "reset"),
    (AttemptOutcome::TimedOut, "timed out"),
    (AttemptOutcome::Unreachable, "unreachable"),
    (AttemptOutcome::Denied, "denied"),
    (AttemptOutcome::ClosedOnAccept, "closed at once"),
];

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let all = view.rounds.len();
    let open = view.rounds.iter().filter(|a| a.outcome == AttemptOutcome::Open).count();
    // Some refused and some silent is no mix: ICMP errors are rate limited (net.ipv4.icmp_ratelimit).
    if open == 0 || open == all {
        return Ok(Finding::Clear);
    }
    let count = |outcome| view.rounds.iter().filter(|a| a.outcome == outcome).count();
    let ways: Vec<(usize, &str)> =
        FAILURES.iter().map(|(o, text)| (count(*o), *text)).filter(|(count, _)| *count > 0).collect();
    let how = match ways.as_slice() {
        [(_, only)] => (*only).to_owned(),
        several => several.iter().map(|(count, text)| format!("{count} {text}")).collect::<Vec<_>>().join(", "),
    };
    let order: String =
        view.rounds.iter().map(|a| if a.outcome == AttemptOutcome::Open { '+' } else { '-' }).take(60).collect();
    Ok(Fired::new(Certainty::Proven, format!("{} of {all} attempts to {} failed ({how})", all - open, view.endpoint()))
        .evidence(Evidence::new(format!("{open} of {all} attempts were open, in this order: {order}"), "connect(2)"))
        .evidences(view.refuser.iter().flat_map(|r| r.evidence.clone()))
        .fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use unrefuse_facts::{Answer, AnswerKind};

    #[test]
    fn open_and_refused() {
        let report = Scene::remote("10.9.0.1:80").open().rst().open().rst().report();
        assert_eq!(report.blockers.len(), 1, "what the failed rounds show is not told beside it");
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("path/intermittent", Certainty::Proven));
        assert_eq!(blocker.whys[0].title, "2 of 4 attempts to 10.9.0.1:80 failed (refused)");
        assert!(blocker.whys[0].evidence[0].text.ends_with("+-+-"));
        assert_eq!(report.exit_code(), 1);
    }

    #[test]
    fn a_reset_that_surely_came_from_the_server_is_mixed_all_the_same() {
        let mut answer = Answer::bare(AnswerKind::Rst);
        (answer.tos_sent, answer.tos) = (Some(0x48), Some(0x48));
        let scene = Scene::remote("10.9.0.1:80").refused(answer).silent().open();
        let report = scene.report();
        assert_eq!(report.blockers[0].root, "path/intermittent");
        assert!(report.blockers[0].whys[0].title.ends_with("(1 refused, 1 timed out)"));
    }

    #[test]
    fn all_alike_or_failing_differently_is_not_intermittent() {
        assert!(Scene::remote("10.9.0.1:80").open().open().roots().is_empty());
        let mut icmp = Answer::bare(AnswerKind::Icmp);
        (icmp.icmp_type, icmp.icmp_code, icmp.from) = (Some(3), Some(3), Some("10.8.0.1".parse().unwrap()));
        let roots = Scene::remote("10.9.0.1:80").refused(icmp).silent().silent().roots();
        assert_eq!(roots, ["path/router-reject"]);
    }
}

//! egress/ipsec-policy

use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::AttemptOutcome;

cause! {
    /// ## What it means
    ///
    /// An IPsec policy of this machine (ip-xfrm(8)) stands for this address. It blocks the packets; or it wants them encrypted,
    /// and there is no state to do that with, because the tunnel or the other side's daemon is down; or it throws away answers
    /// that did not come encrypted.
    ///
    /// ## How it shows
    ///
    /// A policy that blocks ends `connect()` at once with `EPERM` (operation not permitted). Without a state TCP is silent until
    /// it times out, and no packet leaves. No rule of the packet filter counts anything.
    ///
    /// ## How to confirm by hand
    ///
    /// `cat /proc/net/xfrm_stat` before and after an attempt: `XfrmOutPolBlock`, `XfrmOutNoStates` or `XfrmInTmplMismatch`
    /// rises. `ip xfrm policy` shows the policies, `ip xfrm state` what there is to encrypt with.
    ///
    /// ## How to fix
    ///
    /// Bring the tunnel up: `swanctl --list-sas` and `swanctl --initiate --child NAME` (strongSwan), `ipsec status` and `ipsec
    /// up NAME` (Libreswan). Where the policy is a left-over, `ip xfrm policy delete` with the words that it is listed with.
    ///
    /// ## What it is often mistaken for
    ///
    /// A firewall on the way (`path/filtered`), or one of this machine (`egress/firewall-reject`).
    id: "egress/ipsec-policy",
    title: "an IPsec policy of this machine stops it",
    instead_of: &["path/filtered", "path/host-down"],
    needs: &["counters"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let stopped = matches!(view.outcome(), Some(AttemptOutcome::TimedOut | AttemptOutcome::Denied));
    let counters = &view.case.host.counters;
    let Some(moved) = counters.value().filter(|_| stopped && view.is_local() == Some(false)) else {
        return Ok(Finding::Clear);
    };
    // Documentation/networking/xfrm_proc.rst. What goes out first: where nothing left, nothing was answered.
    let rose = |group: &str| moved.iter().find(|(name, counter)| name.starts_with(group) && counter.moved() > 0);
    let Some((name, counter)) = rose("xfrm.XfrmOut").or_else(|| rose("xfrm.XfrmIn")) else {
        return Ok(Finding::Clear);
    };
    let name = name.trim_start_matches("xfrm.");
    let endpoint = view.endpoint();
    let title = match name {
        "XfrmOutPolBlock" => format!("an IPsec policy of this machine blocks packets to {endpoint}"),
        _ if name.starts_with("XfrmOut") => {
            format!("an IPsec policy of this machine wants packets to {endpoint} encrypted, and that cannot be done")
        }
        _ => format!("an IPsec policy of this machine throws away answers of {endpoint} that are not as it wants them"),
    };
    let said = format!("{name} rose by {} during the attempt", counter.moved());
    let advice = "bring the tunnel up (swanctl --list-sas, ipsec status), or take away the policy, which ip xfrm policy lists";
    // Another program's packets may have moved it.
    Ok(Fired::new(Certainty::Likely, title)
        .predicts(&[AttemptOutcome::TimedOut, AttemptOutcome::Denied])
        .evidence(Evidence::new(said, counters.source().map_or("/proc/net/xfrm_stat", |source| &source.what)))
        .fix(Fix::new(view, Risk::Medium, advice))
        .fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use unrefuse_facts::{Counter, Errno, Observed, Source};

    fn moved(scene: Scene, name: &str) -> crate::Report {
        let counters = [(name.to_owned(), Counter { before: 1, after: 3 })].into();
        let source = Source::running("/proc/net/xfrm_stat");
        scene.with(|case| case.host.counters = Observed::known(counters, source)).report()
    }

    #[test]
    fn what_cannot_be_encrypted_is_silence() {
        let report = moved(Scene::remote("10.9.0.1:80").silent(), "xfrm.XfrmOutNoStates");
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("egress/ipsec-policy", Certainty::Likely));
    }

    #[test]
    fn a_policy_that_blocks_is_told_at_once() {
        let report = moved(Scene::remote("10.9.0.1:80").local_error(Errno::EPERM), "xfrm.XfrmOutPolBlock");
        assert_eq!(report.blockers[0].root, "egress/ipsec-policy");
        assert!(report.blockers[0].whys[0].title.contains("blocks"));
    }

    #[test]
    fn other_counters_and_other_outcomes_say_nothing() {
        let silent = || Scene::remote("10.9.0.1:80").silent();
        assert_eq!(moved(silent(), "TcpExt.TCPTimeouts").blockers[0].root, "path/filtered");
        assert!(!moved(Scene::remote("10.9.0.1:80").rst(), "xfrm.XfrmInNoPols").blockers[0].root.starts_with("egress"));
    }
}

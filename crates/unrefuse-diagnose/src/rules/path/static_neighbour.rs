//! path/static-neighbour

use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence};
use crate::rule::cause;
use crate::rules::route::by_hand::ByHand;
use unrefuse_facts::AttemptOutcome;

cause! {
    /// ## What it means
    ///
    /// Somebody set the link-layer address of the target, or of the gateway on the way to it, by hand (a permanent neighbour
    /// entry), and another machine has that address now: a network card or a virtual machine was replaced, or the entry was
    /// wrong from the beginning. The kernel believes such an entry and never asks the link.
    ///
    /// It is never more than likely: that another machine answers for the address does not prove that it has it. A router may
    /// answer for others (proxy ARP), and an entry may have been set because somebody on the link lies.
    ///
    /// ## How it shows
    ///
    /// Silence: the packets leave, and the machine that they are handed to is not there, or throws them away. Other machines
    /// on the link reach the target.
    ///
    /// ## How to confirm by hand
    ///
    /// `ip neigh show nud permanent` shows the entry; `arping -I DEVICE ADDRESS` (IPv6: `ndisc6 ADDRESS DEVICE`) shows who
    /// answers for the address.
    ///
    /// ## How to fix
    ///
    /// `ip neigh del ADDRESS dev DEVICE`: the kernel asks by itself then. Take the entry out of what sets it, too: /etc/ethers,
    /// the network configuration, a script.
    ///
    /// ## What it is often mistaken for
    ///
    /// A firewall that drops (`path/filtered`), or a host that is down (`path/host-down`).
    id: "path/static-neighbour",
    title: "a neighbour entry set by hand leads to the wrong machine",
    instead_of: &["path/filtered"],
    needs: &["neighbours", "who answers for the address on the link"],
    likes: &["links"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let silent = view.outcome() == Some(AttemptOutcome::TimedOut) && view.is_local() != Some(true);
    let Some(entry) = view.routing().filter(|_| silent).and_then(|way| ByHand::of(view, way)) else {
        return Ok(Finding::Clear);
    };
    if entry.is_open() {
        // It may be right, and the packets dropped behind it.
        let how = "arping (IPv6: ndisc6) on that interface, as root; or take the entry out and ask again";
        return Err(CannotTell::new(format!("whether {} is right", entry.said()), entry.unanswered(), how));
    }
    if !entry.is_wrong() {
        return Ok(Finding::Clear);
    }
    let title = format!("packets to {} are handed to the wrong machine: {}", view.endpoint(), entry.said());
    // Another one that answers is no proof: proxy ARP answers for others, and some lie, which entries are set against.
    let fired = Fired::new(Certainty::Likely, title)
        .predicts(&[AttemptOutcome::TimedOut])
        .evidences(entry.evidence())
        .evidence(Evidence::new(format!("no answer from {}", view.endpoint()), "connect(2)"));
    Ok(entry.fixes(view).fold(fired, |fired, fix| fired.fix(fix)).fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::filter::commands;
    use unrefuse_facts::{Missing, NeighbourState, Observed, Reason, Source};

    fn scene(claimants: Observed<Vec<String>>) -> Scene {
        Scene::remote("10.1.0.9:80").silent().neighbour(2, NeighbourState::Permanent).with(|case| {
            let Observed::Known { value, .. } = &mut case.routing[0].neighbour else { panic!() };
            value.lladdr = Some("02:00:00:00:00:01".into());
            case.routing[0].claimants = claimants;
        })
    }

    #[test]
    fn another_machine_answers_for_it() {
        let report = scene(Observed::known(vec!["02:00:00:00:00:02".into()], Source::probed("ARP"))).report();
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("path/static-neighbour", Certainty::Likely));
        assert_eq!(commands(&blocker.fixes[0].steps), ["ip neigh del 10.1.0.9 dev eth0"]);
    }

    #[test]
    fn an_entry_that_is_right_is_no_fault() {
        let right = || scene(Observed::known(vec!["02:00:00:00:00:01".into()], Source::probed("ARP")));
        assert_eq!(right().roots(), ["path/filtered"]);
        let report = right().report();
        assert!(report.unknown.iter().all(|unknown| !unknown.what.contains("set by hand")));
    }

    #[test]
    fn without_an_answer_it_cannot_tell() {
        let forbidden = Missing::new(Reason::Forbidden, "ARP: operation not permitted");
        for claimants in [Observed::known(Vec::new(), Source::probed("ARP")), Observed::Missing(forbidden)] {
            let report = scene(claimants).report();
            assert_eq!(report.blockers[0].root, "path/filtered");
            assert!(report.unknown.iter().any(|unknown| unknown.what.contains("set by hand")), "{:?}", report.unknown);
        }
    }
}

//! ingress/duplicate-address

use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::{AttemptOutcome, text};

cause! {
    /// ## What it means
    ///
    /// The address stands at this machine's interface, and the kernel does not use it: duplicate address detection (RFC 4862,
    /// 5.4) found that another machine on the link has it, or has not ended yet. Packets for it are not taken, and nobody is
    /// told this machine's link address.
    ///
    /// ## How it shows
    ///
    /// Clients reach the other machine, or nobody. A service that is bound to every address listens as ever; one that is
    /// bound to this address fails with "cannot assign requested address".
    ///
    /// ## How to confirm by hand
    ///
    /// `ip -6 address show` marks it `tentative` or `dadfailed`; the kernel's log says "IPv6 duplicate address … detected!".
    /// `ndisc6 ADDRESS DEVICE` on another machine of the link shows who answers for it.
    ///
    /// ## How to fix
    ///
    /// Give one of the two machines another address. The kernel does not try again by itself: take the address away and add it
    /// again (`ip address del`, `ip address add`), or restart the network's configuration.
    ///
    /// ## What it is often mistaken for
    ///
    /// A host that is down (`path/host-down`), or a firewall: the service runs, listens, and no rule drops.
    id: "ingress/duplicate-address",
    title: "the kernel does not use the address: another machine has it, or it is still asked for",
    instead_of: &["path/host-down", "path/filtered"],
    apart: true,
    needs: &["addresses"],
    likes: &["links"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let unanswered = matches!(view.outcome(), Some(AttemptOutcome::TimedOut | AttemptOutcome::Unreachable));
    let own = view.case.host.addresses.value().into_iter().flatten();
    let mut same = own.filter(|own| Some(own.address) == view.ip());
    let Some(unused) = same.next().filter(|own| own.tentative && (unanswered || view.judged_only())) else {
        return Ok(Finding::Clear);
    };
    // Another interface may have it, too.
    if same.any(|own| !own.tentative) {
        return Ok(Finding::Clear);
    }
    let device =
        view.case.host.link(unused.link).map_or_else(|| "its interface".to_owned(), |l| text::visible(&l.name));
    let (address, prefix) = (unused.address, unused.prefix);
    let title =
        format!("the kernel does not use {address} of {device}: another machine has it, or is still asked for it");
    let said = format!("{address}/{prefix} of {device} is tentative, or its duplicate address detection failed");
    let source = view.case.host.addresses.source().map_or("RTM_GETADDR", |source| &source.what);
    let advice = format!(
        "give this machine another address, or the machine that has {address}; once nobody else has it, take it away and add \
         it again: the kernel asks once only"
    );
    Ok(Fired::new(Certainty::Proven, title)
        .predicts(&[AttemptOutcome::TimedOut, AttemptOutcome::Unreachable])
        .evidence(Evidence::new(said, source))
        .fix(Fix::new(view, Risk::Medium, advice))
        .fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Outcome;
    use crate::testing::Scene;
    use crate::testing::filter::accepted;
    use unrefuse_facts::Observed;

    fn scene(tentative: bool) -> Scene {
        Scene::local("[fd01::2]:80").listener("[::]:80", "nginx").with(|case| {
            let Observed::Known { value, .. } = &mut case.host.addresses else { panic!() };
            let own = value.iter_mut().find(|own| own.address.to_string() == "fd01::2").expect("the scene has it");
            own.tentative = tentative;
        })
    }

    #[test]
    fn clients_do_not_reach_an_address_that_is_not_used() {
        let judged = |tentative| scene(tentative).filtered(None, Some(accepted())).asked_from("fd01::9").report();
        let report = judged(true);
        assert_eq!((report.outcome, report.blockers.len()), (Outcome::Unreachable, 1));
        assert_eq!(report.blockers[0].root, "ingress/duplicate-address");
        assert!(judged(false).blockers.is_empty());
    }

    #[test]
    fn nor_does_this_machine() {
        assert_eq!(scene(true).silent().roots(), ["ingress/duplicate-address"]);
        assert!(scene(true).open().roots().is_empty());
    }
}

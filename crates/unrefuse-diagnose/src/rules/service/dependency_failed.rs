//! service/dependency-failed

use super::act;
use super::failed::ending;
use super::meant::meant;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Evidence, Risk};
use crate::rule::cause;
use unrefuse_facts::text::visible;

cause! {
    /// ## What it means
    ///
    /// The service that should listen was not started at all, because a unit that it cannot do without (`Requires=`,
    /// `BindsTo=`) failed: a mount, a network unit, another service.
    ///
    /// ## How it shows
    ///
    /// The connection is refused at once. `systemctl status UNIT` says only `inactive (dead)`; its journal has
    /// "Dependency failed for UNIT".
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl list-dependencies UNIT` shows which one is red; `systemctl status` of that one says why.
    ///
    /// ## How to fix
    ///
    /// Mend the unit that failed, start it, then start the service.
    ///
    /// ## What it is often mistaken for
    ///
    /// A service that nobody started (`service/stopped`): starting it fails again with "a dependency job failed".
    id: "service/dependency-failed",
    title: "a unit that the service requires failed",
    root: false,
    explains: &["listener/none", "listener/other-port", "listener/stale-socket"],
    begins: false,
    needs: &["units"],
    asks: Some("why the required unit failed"),
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(meant) = meant(view)? else { return Ok(Finding::Clear) };
    let (unit, Some(needed)) = (meant.unit, meant.failed_need()) else { return Ok(Finding::Clear) };
    let (name, other) = (act::name(unit), act::name(needed));
    let said = unit.journal.value().into_iter().flatten().rev().find(|line| line.message.contains("Dependency failed"));
    let now = meant.facts.now_ms;
    let mut fired = Fired::new(meant.certainty, format!("{name} was not started: {other}, which it requires, failed"))
        .evidence(Evidence::new(format!("{name} is inactive and requires {other}"), meant.source()))
        .evidence(Evidence::new(
            format!("{other} is failed{} ({})", act::since(now, needed.since_ms), ending(needed)),
            meant.source(),
        ))
        .evidences(said.map(|line| Evidence::new(visible(&line.message), "journalctl")))
        .evidences(meant.because(view));
    fired.unknown.extend(meant.open());
    let then = act::systemctl(view, "start", unit).map(|command| format!(", then {command}")).unwrap_or_default();
    let says = act::journalctl(needed).map(|command| format!(" ({command})")).unwrap_or_default();
    let title = format!("mend {other} as its log says{says}, start it{then}");
    fired = fired.fix(act::advice(view, Risk::Low, title));
    Ok(fired.fires())
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::service::{failed, unit};
    use unrefuse_facts::ActiveState;

    fn roots(requires: &str) -> Vec<String> {
        let mut web = unit("nginx.service", ActiveState::Inactive, "dead");
        web.requires = vec!["sysinit.target".into(), requires.into()];
        let mut store = failed("store.service", &["error: no such disk"]);
        store.clues.clear();
        let report = Scene::local("127.0.0.1:80").rst().units(vec![web, store]).report();
        report.blockers[0].whys.iter().map(|why| why.id.clone()).collect()
    }

    #[test]
    fn the_chain_goes_on_to_the_unit_that_failed() {
        assert_eq!(roots("store.service"), ["listener/none", "service/dependency-failed", "service/failed"]);
    }

    #[test]
    fn what_failed_and_is_not_required_is_no_reason() {
        assert_eq!(roots("other.service"), ["listener/none", "service/stopped"]);
        assert!(!roots("other.service").contains(&"service/dependency-failed".to_owned()));
    }
}

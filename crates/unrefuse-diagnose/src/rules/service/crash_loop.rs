//! service/crash-loop

use super::meant::meant;
use super::{act, failed, log};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::Evidence;
use crate::rule::cause;
use unrefuse_facts::text::visible;
use unrefuse_facts::{ActiveState, UnitFacts};

cause! {
    /// ## What it means
    ///
    /// The service that should listen starts, ends, and is started again by the manager (`Restart=`), again and again.
    /// Between two starts nobody listens. After too many starts in a row the manager gives up (`StartLimitBurst=`).
    ///
    /// ## How it shows
    ///
    /// Connections are refused, or some succeed and some do not. `systemctl status UNIT` says `activating
    /// (auto-restart)`, or `failed` after "start request repeated too quickly".
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl show -p NRestarts,SubState,Result UNIT` twice, a few seconds apart; `journalctl -u UNIT -n 50`.
    ///
    /// ## How to fix
    ///
    /// Mend what makes it end: the line before each "Main process exited". Then `systemctl reset-failed UNIT` and
    /// `systemctl restart UNIT`.
    ///
    /// ## What it is often mistaken for
    ///
    /// A network that loses packets now and then (`path/intermittent`), and a service that is only slow to start
    /// (`service/not-ready`).
    id: "service/crash-loop",
    title: "the service starts and ends again and again",
    explains: &["listener/none", "listener/other-port", "listener/stale-socket", "service/dependency-failed"],
    begins: false,
    needs: &["units"],
    likes: &["journal"],
    check: check,
}

/// It was restarted by itself, and does not run now.
pub(super) fn is_looping(unit: &UnitFacts) -> bool {
    let waits = unit.sub == "auto-restart" || unit.sub == "auto-restart-queued";
    // The count begins anew with each start by hand (`NRestarts`, org.freedesktop.systemd1(5)).
    let starting = unit.active == ActiveState::Activating && unit.restarts > 0;
    let gave_up = unit.active == ActiveState::Failed && unit.restarts > 0;
    waits || starting || gave_up
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(meant) = meant(view)? else { return Ok(Finding::Clear) };
    let unit = meant.culprit();
    if !is_looping(unit) {
        return Ok(Finding::Clear);
    }
    let name = act::name(unit);
    let how = failed::ending(unit);
    let title = match (unit.active, unit.start_limit) {
        (ActiveState::Failed, Some((burst, interval))) => format!(
            "{name} ended {} times, and is started no more: {burst} starts in {} s are its limit",
            unit.restarts,
            interval / 1_000_000
        ),
        _ if unit.restarts == 0 => format!("{name} ended, and is about to be started again"),
        _ => format!("{name} ends again and again: restarted {}", times(unit.restarts)),
    };
    let mut fired = Fired::new(meant.certainty, title)
        .evidence(Evidence::new(
            format!("{name} is {} ({}), restarted {}: {how}", state(unit), visible(&unit.sub), times(unit.restarts)),
            meant.source(),
        ))
        .evidences(log::error(unit).map(|line| line.evidence(unit)))
        .evidences(meant.because(view));
    fired.unknown.extend(meant.open());
    Ok(fired.fix(act::mend(view, unit)).fires())
}

fn times(count: u32) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        _ => format!("{count} times"),
    }
}

fn state(unit: &UnitFacts) -> &'static str {
    if unit.active == ActiveState::Failed { "failed" } else { "activating" }
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::service::failed;
    use unrefuse_facts::{ActiveState, UnitFacts};

    fn roots(change: impl FnOnce(&mut UnitFacts)) -> Vec<String> {
        let mut nginx = failed("nginx.service", &["some error"]);
        change(&mut nginx);
        Scene::local("127.0.0.1:80").rst().units(vec![nginx]).roots()
    }

    #[test]
    fn between_two_starts_and_after_the_last() {
        let waits = |u: &mut UnitFacts| (u.active, u.sub, u.restarts) = (ActiveState::Activating, "auto-restart".into(), 1);
        assert_eq!(roots(waits), ["service/crash-loop"]);
        assert_eq!(roots(|u| (u.restarts, u.start_limit) = (5, Some((5, 10_000_000)))), ["service/crash-loop"]);
    }

    #[test]
    fn one_failure_is_no_loop() {
        assert_eq!(roots(|u| u.restarts = 0), ["service/failed"]);
        assert_eq!(roots(|u| (u.active, u.sub) = (ActiveState::Activating, "start".into())), ["service/not-ready"]);
    }
}

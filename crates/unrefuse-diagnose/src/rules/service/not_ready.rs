//! service/not-ready

use super::meant::meant;
use super::{act, crash_loop};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::text::{shell_quote, visible};
use unrefuse_facts::{ActiveState, Process, Protocol, UnitFacts};

cause! {
    /// ## What it means
    ///
    /// The service that should listen is still starting: it was started a moment ago, and opens its port only when it is
    /// done with its own preparations (recovery of a database, a virtual machine that warms up, a check before the start).
    ///
    /// ## How it shows
    ///
    /// Connections are refused for a while after a start or a boot, and then succeed by themselves.
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl status UNIT` says `activating (start)`, or `active` since a few seconds; `journalctl -fu UNIT` moves on.
    ///
    /// ## How to fix
    ///
    /// Wait. `systemctl start UNIT` returns when the start is done. Who depends on the service should order itself after
    /// it and retry.
    ///
    /// ## What it is often mistaken for
    ///
    /// A service that crashes and is started anew each time (`service/crash-loop`).
    id: "service/not-ready",
    title: "the service is still starting",
    explains: &["listener/none", "listener/other-port", "listener/stale-socket"],
    begins: false,
    needs: &["units"],
    check: check,
}

/// A service of a plain type counts as started at once; so long it may still prepare.
const YOUNG_MS: i64 = 60_000;

/// What has opened a port opens its others soon.
const SETTLED_MS: i64 = 3_000;

/// So long a fix waits for the port.
const PATIENCE_S: u32 = 120;

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(meant) = meant(view)? else { return Ok(Finding::Clear) };
    let unit = meant.unit;
    let now = meant.facts.now_ms;
    let starting = unit.active == ActiveState::Activating && !crash_loop::is_looping(unit);
    let age = unit.started_ms.or(unit.since_ms).map(|then| now.saturating_sub(then));
    // Other rules say why an older one listens elsewhere or not at all.
    let patience = if listens(view, unit) { SETTLED_MS } else { YOUNG_MS };
    let young = unit.is_running() && age.is_some_and(|age| (0..patience).contains(&age));
    if !starting && !young {
        return Ok(Finding::Clear);
    }
    let name = act::name(unit);
    // It runs, but may be set to listen elsewhere.
    let certainty = if starting { meant.certainty } else { meant.certainty.min(Certainty::Likely).lowered() };
    let since = act::since(now, unit.started_ms.or(unit.since_ms));
    let title = if starting {
        format!("{name} is still starting{since}")
    } else {
        format!("{name} has just been started{since}")
    };
    let mut fired = Fired::new(certainty, title)
        .evidence(Evidence::new(
            format!("{name} is {} ({})", if starting { "activating" } else { "active" }, visible(&unit.sub)),
            meant.source(),
        ))
        .evidences(
            unit.journal
                .value()
                .and_then(|lines| lines.last())
                .map(|line| Evidence::new(format!("its last words: {}", visible(&line.message)), "journalctl")),
        )
        .evidences(meant.because(view));
    fired.unknown.extend(meant.open());
    let fix = Fix::new(view, Risk::Low, format!("wait until {name} listens"));
    if let Some(waits) = if starting { act::systemctl(view, "start", unit) } else { poll(view) } {
        fired = fired.fix(fix.command(waits));
    }
    Ok(fired.fires())
}

/// One of its processes listens, on whatever port.
fn listens(view: &View<'_>, unit: &UnitFacts) -> bool {
    let Ok(Some(table)) = view.server_sockets("") else { return false };
    let own = |process: &&Process| {
        process.running_as.unit.as_deref() == Some(unit.name.as_str())
            && process.running_as.user_unit == unit.user.is_some()
    };
    let of_transport = table.listeners.iter().filter(|socket| Some(socket.transport) == view.transport());
    of_transport.into_iter().any(|socket| table.owners(socket).iter().any(own))
}

/// Waits for a listener on the port, without connecting to it.
fn poll(view: &View<'_>) -> Option<String> {
    if view.case.target.protocol != Protocol::Tcp {
        return None;
    }
    let wait = format!("until ss -Hltn 'sport = :{}' | grep -q .; do sleep 1; done", view.case.target.port);
    Some(format!("timeout {PATIENCE_S} sh -c {}", shell_quote(&wait)?))
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use crate::testing::service::unit;
    use unrefuse_facts::{ActiveState, UnitFacts};

    fn report(unit: UnitFacts) -> crate::Report {
        Scene::local("127.0.0.1:9200").rst().units(vec![unit]).report()
    }

    #[test]
    fn a_start_that_is_under_way() {
        let report = report(unit("elasticsearch.service", ActiveState::Activating, "start"));
        assert_eq!(report.blockers[0].root, "service/not-ready");
        let Step::Command { command } = &report.blockers[0].fixes[0].steps[0] else { panic!() };
        assert_eq!(command, "systemctl start elasticsearch.service");
    }

    #[test]
    fn a_young_process_may_still_prepare() {
        let mut young = unit("elasticsearch.service", ActiveState::Active, "running");
        young.started_ms = Some(1_170_000);
        let report = report(young);
        assert_eq!(
            (report.blockers[0].root.as_str(), report.blockers[0].certainty),
            ("service/not-ready", Certainty::Possible)
        );
        let Step::Command { command } = &report.blockers[0].fixes[0].steps[0] else { panic!() };
        assert!(command.contains("sport = :9200"), "{command}");
    }

    #[test]
    fn what_listens_elsewhere_is_ready_soon() {
        let root = |started: i64| {
            let mut young = unit("elasticsearch.service", ActiveState::Active, "running");
            young.started_ms = Some(started);
            let scene = Scene::local("127.0.0.1:9200").listener("127.0.0.1:9201", "java").with(|case| {
                let unrefuse_facts::Observed::Known { value, .. } = &mut case.host.sockets else { panic!() };
                let own = Some("elasticsearch.service".to_owned());
                value.processes.values_mut().for_each(|process| process.running_as.unit.clone_from(&own));
            });
            scene.rst().units(vec![young]).report().blockers[0].root.clone()
        };
        assert_eq!(root(1_178_000), "service/not-ready");
        assert_ne!(root(1_170_000), "service/not-ready");
    }

    #[test]
    fn an_old_process_is_ready() {
        let mut old = unit("elasticsearch.service", ActiveState::Active, "running");
        old.started_ms = Some(1_000);
        assert_ne!(report(old).blockers[0].root, "service/not-ready");
    }
}

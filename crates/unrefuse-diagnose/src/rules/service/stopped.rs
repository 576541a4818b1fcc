//! service/stopped

use super::meant::{Meant, meant};
use super::{act, others};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use crate::rules::config::{self, OnceStarted};
use unrefuse_facts::text::visible;
use unrefuse_facts::{ActiveState, LoadState, OtherService, UnitFacts};

cause! {
    /// ## What it means
    ///
    /// The service that should listen on the port is not running: its unit is inactive. Nobody started it, or somebody
    /// stopped it. A unit that is disabled as well will not start at the next boot either.
    ///
    /// ## How it shows
    ///
    /// The connection is refused at once. `systemctl status UNIT` says `inactive (dead)`.
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl status UNIT`; `systemctl is-enabled UNIT`; who stopped it: `journalctl -u UNIT -n 5`.
    ///
    /// ## How to fix
    ///
    /// `systemctl start UNIT`; `systemctl enable --now UNIT` also starts it at each boot. Where something else starts
    /// services: `service NAME start`, `rc-service NAME start`, `sv start NAME`, `supervisorctl start NAME`.
    ///
    /// A unit that systemd skips for a condition (`ConditionPathExists=` and the like) is skipped again, and one that ended
    /// by itself right after its start ends again: what it waits for, or why it ends, comes first.
    ///
    /// Where its configuration gives it another port, or an address that is not the asked one, a start alone opens the wrong
    /// door: that line is named as the deeper cause, and must be changed first.
    ///
    /// ## What it is often mistaken for
    ///
    /// A service that failed (`service/failed`): that one was started and gave up, and starting it again fails again.
    id: "service/stopped",
    title: "the service is not running",
    explains: &["listener/none", "listener/stale-socket", "listener/other-port"],
    begins: false,
    needs: &["units"],
    check: check,
}

/// The unit that is meant, and no other, where all that is the matter with it is that nobody started it.
pub(in crate::rules) fn stopped<'a>(view: &View<'a>) -> Option<&'a UnitFacts> {
    let meant = meant(view).ok()??;
    let alone = meant.others.is_empty() && meant.unit.conditions_failed.is_empty();
    (alone && is_stopped(&meant)).then_some(meant.unit)
}

/// Nothing but a start is missing.
fn is_stopped(meant: &Meant<'_>) -> bool {
    let unit = meant.unit;
    // Another rule tells why none of that user's units runs.
    let has_manager = unit.user.as_ref().is_none_or(|user| user.has_manager);
    let wrong_file = unit.load == LoadState::BadSetting;
    if unit.active != ActiveState::Inactive || unit.is_masked() || wrong_file || meant.failed_need().is_some() {
        return false;
    }
    // A service that systemd listens for is inactive until the first connection comes.
    let waits = |socket: &UnitFacts| socket.triggers.contains(&unit.name) && socket.is_running();
    has_manager && !meant.beside().any(|other| other.is_socket() && waits(other))
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(meant) = meant(view)? else { return others::stopped(view) };
    let unit = meant.unit;
    if unit.active == ActiveState::Unknown && !unit.is_masked() {
        return without_manager(view, &meant);
    }
    if !is_stopped(&meant) {
        return Ok(Finding::Clear);
    }
    let name = act::name(unit);
    let disabled = unit.is_enabled() == Some(false);
    let mut title = format!("{name} is not running");
    if !unit.conditions_failed.is_empty() {
        let does = if unit.load == LoadState::NotLoaded { "is not running, and does" } else { "did" };
        title = format!("{name} {does} not start: a condition of its unit does not hold");
    } else if disabled {
        title.push_str(", and will not start at boot");
    }
    let ended = ended_after(unit);
    if let Some(after) = ended.filter(|_| unit.conditions_failed.is_empty()) {
        title = format!("{name} is not running: it ended by itself, {} s after its start, with success", after / 1000);
    }
    let state = unit.file_state.as_deref().map(|state| format!(", {}", visible(state))).unwrap_or_default();
    let now = meant.facts.now_ms;
    // A disabled unit whose port is served by another running service, moved to another port, was hardly meant.
    let moved = disabled && config::runs_elsewhere(view);
    let mut fired = Fired::new(if moved { meant.certainty.lowered() } else { meant.certainty }, title)
        .evidence(Evidence::new(format!("{name} is inactive{}{state}", act::since(now, unit.since_ms)), meant.source()))
        .evidences(unit.conditions_failed.iter().map(|condition| {
            Evidence::new(format!("{name} needs {}, which does not hold", visible(condition)), meant.source())
        }))
        .evidences(last_words(unit))
        .evidences(meant.because(view));
    fired.unknown.extend(meant.open());
    if let OnceStarted::CannotTell(unknown) = config::once_started(view, unit) {
        fired.unknown.extend(unknown);
    }
    if ended.is_some_and(|after| after < AT_ONCE_MS) {
        let show = act::journalctl(unit).map(|command| format!(": {command}")).unwrap_or_default();
        let title = format!(
            "see why {name} ends at once (a program that goes on in the background wants Type=forking), and start it \
             again{show}"
        );
        fired.fixes.push(act::advice(view, Risk::Low, title));
    } else if unit.conditions_failed.is_empty() {
        fired.fixes.extend(fixes(view, &meant));
    } else if let Some(start) = act::systemctl(view, "start", unit) {
        let conditions = unit.conditions_failed.iter().map(|condition| visible(condition)).collect::<Vec<_>>();
        let title = format!("see to it that {} holds, then {start}", conditions.join(" and "));
        fired.fixes.push(act::advice(view, Risk::Low, title));
    }
    Ok(fired.fires())
}

/// No manager tells of units: that none of the service's processes runs must do.
fn without_manager(view: &View<'_>, meant: &Meant<'_>) -> Result<Finding, CannotTell> {
    let facts = meant.facts;
    let name = visible(&meant.unit.name);
    if let (Some("systemd"), Some(missing)) = (facts.init.value().map(String::as_str), facts.manager.missing()) {
        return Err(CannotTell::because(format!("whether {name} runs, and why not"), missing));
    }
    let (Some(service), Some(running)) = (meant.service(), facts.processes.value()) else { return Ok(Finding::Clear) };
    let installed = facts.installed.iter().find(|found| found.service == service.id);
    let Some(installed) = installed.filter(|_| !running.iter().any(|command| service.has_process(command))) else {
        return Ok(Finding::Clear);
    };
    let init = facts.init.value().map_or_else(|| "not known".to_owned(), |init| visible(init));
    let mut fired =
        Fired::new(meant.certainty.min(Certainty::Likely), format!("{} is installed and does not run", service.name))
            .evidence(Evidence::new(format!("no process is called {}", service.processes.join(" or ")), "/proc/*/comm"))
            .evidence(Evidence::new(format!("{} is {}", visible(&installed.path), service.name), "the file system"))
            .evidence(Evidence::new(
                format!("process 1 is {init}, and no manager of services was found"),
                "/proc/1/comm",
            ))
            .evidences(meant.because(view));
    fired.unknown.extend(meant.open());
    let own = |other: &&OtherService| other.service.as_deref() == Some(service.id);
    let other = facts.others.iter().filter(own).max_by_key(|other| other.supervisor);
    let fix = match other.and_then(|other| others::start(view, other)) {
        Some(fix) => fix,
        None => act::advice(view, Risk::Low, format!("start {} as this machine starts its services", service.name)),
    };
    Ok(fired.fix(fix).fires())
}

/// What ends so soon after its start ends so again.
const AT_ONCE_MS: i64 = 10_000;

/// How long after its last start it ended with success, in milliseconds, where nobody stopped it.
fn ended_after(unit: &UnitFacts) -> Option<i64> {
    let lines = unit.journal.value()?.iter().filter(|line| line.identifier.as_deref() == Some("systemd"));
    let (mut started, mut ended) = (None, None);
    for line in lines {
        let says = |words: &str| line.message.starts_with(words);
        match () {
            () if says("Started ") => (started, ended) = (line.time_ms, None),
            () if says("Stopping ") || says("Stopped ") => (started, ended) = (None, None),
            // "Succeeded." before systemd 246.
            () if line.message.ends_with(": Deactivated successfully.") || line.message.ends_with(": Succeeded.") => {
                ended = line.time_ms;
            }
            () => {}
        }
    }
    ended?.checked_sub(started?).filter(|after| *after >= 0)
}

/// Who stopped it and when, as far as the manager wrote it down.
fn last_words(unit: &UnitFacts) -> Option<Evidence> {
    let lines = unit.journal.value()?;
    let said =
        lines.iter().rev().find(|line| line.message.starts_with("Stopp") || line.message.contains("Deactivated"))?;
    Some(Evidence::new(visible(&said.message), "journalctl"))
}

fn fixes(view: &View<'_>, meant: &Meant<'_>) -> Vec<Fix> {
    let mut fixes = Vec::new();
    for unit in std::iter::once(meant.unit).chain(meant.others.iter().copied()) {
        let shown = act::name(unit);
        if let OnceStarted::Misses(does) = config::once_started(view, unit) {
            // Starting alone would not help. The line that decides comes with a fix, which stands in place of this.
            let title = format!("start {shown}, and change its configuration: {does}");
            fixes.push(act::advice(view, Risk::Medium, title));
            continue;
        }
        let pair = |one: &str, other: &str| act::systemctl(view, one, unit).zip(act::systemctl(view, other, unit));
        let enable = pair("enable --now", "disable --now");
        let (Some((start, stop)), Some((enable, disable))) = (pair("start", "stop"), enable) else { continue };
        if unit.is_enabled() == Some(false) && meant.certainty > Certainty::Possible {
            fixes.push(
                Fix::new(view, Risk::Low, format!("start {shown}, now and at each boot"))
                    .command(enable)
                    .undo(disable)
                    .persistent(),
            );
        }
        fixes.push(Fix::new(view, Risk::Low, format!("start {shown}")).command(start).undo(stop));
    }
    fixes
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::service::unit;
    use unrefuse_facts::{ActiveState, Clue, ClueKind, Installed, LoadState, Missing, Observed, Reason, Source};

    fn scene() -> Scene {
        Scene::local("127.0.0.1:80").rst()
    }

    #[test]
    fn an_inactive_unit_is_the_root() {
        let report = scene().units(vec![unit("nginx.service", ActiveState::Inactive, "dead")]).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("service/stopped", Certainty::Likely));
        assert_eq!(blocker.whys[1].title, "nginx.service is not running");
        assert!(blocker.whys[1].evidence[0].text.contains("3 minutes ago"), "{:?}", blocker.whys[1].evidence);
    }

    #[test]
    fn a_plain_clue_proves_it_and_a_disabled_one_is_said() {
        let mut nginx = unit("nginx.service", ActiveState::Inactive, "dead");
        nginx.file_state = Some("disabled".into());
        nginx.clues.push(Clue { kind: ClueKind::UnitFile, text: "x".into(), source: "y".into() });
        let apache = unit("apache2.service", ActiveState::Failed, "failed");
        let report = scene().units(vec![apache, nginx]).report();
        assert_eq!(report.blockers[0].certainty, Certainty::Proven);
        assert!(report.blockers[0].whys[1].title.ends_with("will not start at boot"));
        assert!(report.blockers[0].fixes[0].persistent);
    }

    #[test]
    fn a_condition_that_does_not_hold_is_no_matter_of_a_start() {
        let mut app = unit("nginx.service", ActiveState::Inactive, "dead");
        app.load = LoadState::NotLoaded;
        app.conditions_failed = vec!["ConditionPathExists=/etc/x".into()];
        let report = scene().units(vec![app]).report();
        let blocker = &report.blockers[0];
        assert_eq!(
            blocker.whys[1].title,
            "nginx.service is not running, and does not start: a condition of its unit does not hold"
        );
        assert!(blocker.fixes.iter().all(|fix| fix.steps.is_empty()));
        assert!(blocker.fixes[0].title.starts_with("see to it that ConditionPathExists=/etc/x holds"));
    }

    #[test]
    fn what_ended_by_itself_at_once_is_not_started_again() {
        let said = |lines: &[&str]| {
            let mut app = crate::testing::service::failed("nginx.service", lines);
            (app.active, app.result, app.exit) = (ActiveState::Inactive, None, None);
            if let Observed::Known { value, .. } = &mut app.journal {
                value.iter_mut().for_each(|line| line.identifier = Some("systemd".into()));
            }
            scene().units(vec![app]).report()
        };
        let lines = ["Started nginx.service - x.", "nginx.service: Deactivated successfully."];
        let report = said(&lines);
        assert!(report.blockers[0].whys[1].title.contains("ended by itself, 0 s after its start"));
        assert!(report.blockers[0].fixes.iter().all(|fix| fix.steps.is_empty()));
        let stopped = said(&[lines[0], "Stopping nginx.service - x...", lines[1], "Stopped nginx.service - x."]);
        assert_eq!(stopped.blockers[0].whys[1].title, "nginx.service is not running");
        assert!(!stopped.blockers[0].fixes[0].steps.is_empty());
    }

    #[test]
    fn without_a_manager_a_process_that_is_missing_must_do() {
        let scene = |init: &str, running: &[&str]| {
            let nginx = unit("nginx.service", ActiveState::Unknown, "");
            let (init, running) = (init.to_owned(), running.iter().map(|r| (*r).to_owned()).collect());
            scene().services(|f| {
                f.units = vec![nginx];
                f.init = Observed::known(init, Source::running("/proc/1/comm"));
                f.manager = Observed::Missing(Missing::new(Reason::Absent, "no system bus"));
                f.processes = Observed::known(running, Source::running("/proc"));
                f.installed = vec![Installed { service: "nginx".into(), path: "/usr/sbin/nginx".into() }];
            })
        };
        assert_eq!(scene("tini", &[]).roots(), ["service/stopped"]);
        assert_eq!(scene("tini", &["nginx"]).roots(), ["listener/none"]);
        let report = scene("systemd", &[]).report();
        assert_eq!(report.blockers[0].root, "listener/none");
        assert!(report.unknown.iter().any(|u| u.what.starts_with("whether nginx.service runs")));
    }

    #[test]
    fn of_two_alike_none_is_picked() {
        let units = ["apache2.service", "nginx.service"].map(|name| unit(name, ActiveState::Inactive, "dead"));
        let report = scene().units(units.to_vec()).report();
        assert_eq!(report.blockers[0].certainty, Certainty::Possible);
        assert!(report.unknown.iter().any(|u| u.what.contains("apache2.service or nginx.service")));
        assert_eq!(report.blockers[0].fixes.len(), 2);
    }

    #[test]
    fn a_running_unit_is_not_stopped() {
        let roots = scene().units(vec![unit("nginx.service", ActiveState::Active, "running")]).roots();
        assert_eq!(roots, ["listener/none"]);
    }

    #[test]
    fn a_service_that_systemd_listens_for_is_not_stopped() {
        let mut socket = unit("ssh.socket", ActiveState::Active, "listening");
        socket.triggers = vec!["ssh.service".into()];
        let service = unit("ssh.service", ActiveState::Inactive, "dead");
        let roots = Scene::local("127.0.0.1:22").rst().units(vec![service, socket]).roots();
        assert!(!roots.contains(&"service/stopped".to_owned()), "{roots:?}");
    }

    #[test]
    fn an_open_port_asks_nothing() {
        let nginx = unit("nginx.service", ActiveState::Inactive, "dead");
        let open = Scene::local("127.0.0.1:80").listener("0.0.0.0:80", "python3").open().units(vec![nginx]);
        assert!(open.report().blockers.is_empty());
    }
}

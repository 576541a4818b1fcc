//! service/failed

use super::meant::meant;
use super::{act, log};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Risk, Unknown};
use crate::rule::cause;
use crate::rules::config::{self, OnceStarted};
use unrefuse_facts::text::visible;
use unrefuse_facts::{ActiveState, UnitFacts};

cause! {
    /// ## What it means
    ///
    /// The service that should listen was started and failed: its process ended with an error, was killed, or took too
    /// long. Its own last words stand in the journal, or in its own log file.
    ///
    /// ## How it shows
    ///
    /// The connection is refused at once. `systemctl status UNIT` says `failed` with a result such as `exit-code`.
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl status UNIT`; `journalctl -u UNIT -n 50`; the service's own log.
    ///
    /// ## How to fix
    ///
    /// Mend what the last error line says, then `systemctl restart UNIT`. After many failures in a row the manager
    /// refuses to start it ("start request repeated too quickly"): `systemctl reset-failed UNIT` first.
    ///
    /// ## What it is often mistaken for
    ///
    /// A service that was never started (`service/stopped`), and a firewall that rejects.
    id: "service/failed",
    title: "the service failed",
    explains: &["listener/none", "listener/other-port", "listener/stale-socket", "service/dependency-failed"],
    begins: false,
    needs: &["units"],
    likes: &["journal"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(meant) = meant(view)? else { return Ok(Finding::Clear) };
    let unit = meant.culprit();
    if unit.active != ActiveState::Failed {
        return Ok(Finding::Clear);
    }
    let name = act::name(unit);
    let how = ending(unit);
    let now = meant.facts.now_ms;
    let mut fired = Fired::new(meant.certainty, format!("{name} failed: {how}"))
        .evidence(Evidence::new(format!("{name} is failed{} ({how})", act::since(now, unit.since_ms)), meant.source()))
        .evidences(log::error(unit).map(|line| line.evidence(unit)))
        .evidences(act::failed_socket(view, unit).map(|socket| {
            Evidence::new(format!("{}, which listens for it, was given up, too", act::name(socket)), meant.source())
        }))
        .evidences(meant.because(view));
    fired.unknown.extend(meant.open());
    if let Some(missing) = log::missing(unit) {
        fired.unknown.push(Unknown {
            what: format!("why {name} failed"),
            why: missing.detail.clone(),
            how_to_know: missing.remedy.clone().or_else(|| act::journalctl(unit)).unwrap_or_default(),
        });
    }
    if meant.certainty == Certainty::Possible {
        return Ok(fired.fires());
    }
    // What ended it from outside, or was late once, may be over; what it said itself is not.
    let by_signal = unit.exit.as_ref().is_some_and(|exit| exit.by_signal);
    let outside = how != STARTED_LATE && (by_signal || unit.result.as_deref() == Some("timeout"));
    let again = format!("start {name} again");
    let fix = match config::once_started(view, unit) {
        OnceStarted::Misses(does) => {
            Some(act::advice(view, Risk::Low, format!("{again}, and change its configuration: {does}")))
        }
        _ if outside => act::start(view, unit, again),
        _ if how == STARTED_LATE => Some(act::advice(
            view,
            Risk::Low,
            format!(
                "see why {name} is not ready (one of Type=notify must say so by sd_notify(3)), or raise its \
                 TimeoutStartSec=, then start it again"
            ),
        )),
        _ => Some(act::mend(view, unit)),
    };
    Ok(fired.fix(fix).fires())
}

/// How it ended, in words.
pub(super) fn ending(unit: &UnitFacts) -> String {
    let of = |command: &Option<String>| command.as_ref().map(|c| format!(" of {}", visible(c))).unwrap_or_default();
    match (unit.result.as_deref(), &unit.exit) {
        (Some("timeout"), _) => late(unit).to_owned(),
        (Some("start-limit-hit"), _) => "it was started too often in a short time".to_owned(),
        (Some("watchdog"), _) => "it did not answer its watchdog".to_owned(),
        (Some("protocol"), _) => "it did not tell the manager that it is ready".to_owned(),
        (Some("oom-kill"), _) => "the kernel killed it for memory".to_owned(),
        (_, Some(exit)) if exit.by_signal => format!("signal {}{} ended it", exit.status, of(&exit.command)),
        (_, Some(exit)) => format!("exit status {}{}{}", exit.status, of(&exit.command), step(exit.status)),
        (Some(result), None) => visible(result),
        (None, None) => "for a reason that is not known".to_owned(),
    }
}

/// For what it was too late, as the manager says.
fn late(unit: &UnitFacts) -> &'static str {
    let says = |words| log::manager_says(unit, words);
    match () {
        () if says("start operation timed out") => STARTED_LATE,
        () if says("reached runtime time limit") => "it ran into its RuntimeMaxSec=",
        () => "it did not start or stop in time",
    }
}

const STARTED_LATE: &str = "it did not say in time that it is ready (TimeoutStartSec=)";

/// What the manager could not do before it ran the program (systemd.exec(5), "PROCESS EXIT CODES").
fn step(status: i32) -> &'static str {
    match status {
        200 => " (its WorkingDirectory= cannot be entered)",
        203 => " (its command cannot be run)",
        209 => " (its standard output cannot be set up)",
        216 => " (its Group= cannot be taken on)",
        217 => " (its User= cannot be taken on)",
        226 => " (its namespaces cannot be set up: a path of its sandbox may not be there)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::service::{failed, unit};
    use unrefuse_facts::{ActiveState, Missing, Observed, Reason};

    fn scene() -> Scene {
        Scene::local("127.0.0.1:80").rst()
    }

    #[test]
    fn its_own_words_are_shown() {
        let report = scene().units(vec![failed("nginx.service", &["hello", "some error of its own", "bye"])]).report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "service/failed");
        assert!(blocker.whys[1].evidence.iter().any(|e| e.text.ends_with("says: some error of its own")));
        assert_eq!(blocker.whys[1].title, "nginx.service failed: exit status 1");
    }

    #[test]
    fn the_line_that_names_the_place_is_shown_before_the_last_one() {
        let lines = [
            "nginx: [emerg] open() \"/etc/nginx/no.conf\" failed (2: No such file or directory) in /etc/nginx/nginx.conf:60",
            "nginx: configuration file /etc/nginx/nginx.conf test failed",
        ];
        let report = scene().units(vec![failed("nginx.service", &lines)]).report();
        let blocker = &report.blockers[0];
        assert!(blocker.whys[1].evidence.iter().any(|e| e.text.ends_with("nginx.conf:60")), "{blocker:?}");
        assert_eq!(blocker.root, "service/config-error");
        assert!(blocker.whys[2].title.ends_with("/etc/nginx/nginx.conf:60"));
    }

    #[test]
    fn what_the_manager_could_not_do_is_said() {
        let mut app = failed("nginx.service", &[]);
        app.exit = app.exit.map(|exit| unrefuse_facts::UnitExit { status: 217, ..exit });
        let report = scene().units(vec![app]).report();
        assert!(report.blockers[0].whys[1].title.ends_with("exit status 217 (its User= cannot be taken on)"));
    }

    #[test]
    fn a_start_that_was_late_is_not_only_made_again() {
        let steps = |line: &str| {
            let mut app = failed("nginx.service", &[line]);
            app.result = Some("timeout".into());
            if let Observed::Known { value, .. } = &mut app.journal {
                value[0].identifier = Some("systemd".into());
            }
            let report = scene().units(vec![app]).report();
            (report.blockers[0].whys[1].title.clone(), report.blockers[0].fixes[0].steps.len())
        };
        let (title, count) = steps("nginx.service: start operation timed out. Terminating.");
        assert!(title.contains("TimeoutStartSec="), "{title}");
        assert_eq!(count, 0);
        let (title, count) = steps("nginx.service: Service reached runtime time limit. Stopping.");
        assert!(title.contains("RuntimeMaxSec="), "{title}");
        assert_ne!(count, 0);
    }

    #[test]
    fn a_journal_that_is_closed_leaves_the_question_open() {
        let mut nginx = failed("nginx.service", &[]);
        nginx.journal = Observed::Missing(Missing::new(Reason::Forbidden, "closed to this user").remedy("run as root"));
        let report = scene().units(vec![nginx]).report();
        assert_eq!(report.blockers[0].root, "service/failed");
        assert!(report.unknown.iter().any(|u| u.what == "why nginx.service failed" && u.how_to_know == "run as root"));
    }

    #[test]
    fn what_failed_and_is_not_meant_is_silent() {
        let mut other = failed("backup.service", &["error"]);
        other.clues.clear();
        let roots = scene().units(vec![other, unit("nginx.service", ActiveState::Inactive, "dead")]).roots();
        assert_eq!(roots, ["service/stopped"]);
    }
}

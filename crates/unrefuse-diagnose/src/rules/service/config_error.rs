//! service/config-error

use super::meant::{Meant, meant};
use super::{act, log, reload};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Risk};
use crate::rule::cause;
use unrefuse_facts::text::visible;
use unrefuse_facts::{LoadState, Location, UnitFacts};

cause! {
    /// ## What it means
    ///
    /// The service does not start because it cannot read its own configuration: a typing mistake, a directive of another
    /// version, a file that is not there. The service says so itself, mostly with the file and the line. A service that
    /// runs refuses to reload it, and goes on with what it read before.
    ///
    /// ## How it shows
    ///
    /// The service failed at once when it was started, often after an edit or an upgrade that went unnoticed until then.
    /// Or it runs, and what was added to its configuration is not there, although it was reloaded.
    ///
    /// ## How to confirm by hand
    ///
    /// The service's own check: `nginx -t`, `apachectl configtest`, `haproxy -c -f FILE`, `sshd -t`, `named-checkconf`;
    /// else the first error in `journalctl -u UNIT`.
    ///
    /// ## How to fix
    ///
    /// Mend the line, check, and only then start the service.
    ///
    /// ## What it is often mistaken for
    ///
    /// A port that is taken, which many services report in the same breath (`service/address-in-use`).
    id: "service/config-error",
    title: "the service cannot read its configuration",
    explains: &["service/failed", "service/crash-loop", "config/not-reloaded", "listener/none"],
    begins: false,
    needs: &["journal"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(meant) = meant(view)? else { return Ok(Finding::Clear) };
    let unit = meant.culprit();
    if unit.is_masked() {
        return Ok(Finding::Clear);
    }
    if unit.is_running() {
        let refused = reload::refused(view, unit);
        return Ok(refused.map_or(Finding::Clear, |(line, place)| fired(view, &meant, line, place).fires()));
    }
    let name = act::name(unit);
    if unit.load == LoadState::BadSetting {
        // The unit's own file: the manager does not even try.
        let path = unit.fragment.as_deref().map(visible).unwrap_or_else(|| "its file".into());
        return Ok(Fired::new(meant.certainty, format!("the unit file of {name} is wrong: {path}"))
            .evidence(Evidence::new(format!("{name} is loaded as bad-setting"), meant.source()))
            .fix(act::advice(view, Risk::Low, verified(view, unit, &path)))
            .fires());
    }
    if !matches!(unit.active, unrefuse_facts::ActiveState::Failed | unrefuse_facts::ActiveState::Activating) {
        return Ok(Finding::Clear);
    }
    let Some((line, place)) = log::config(unit) else { return Ok(Finding::Clear) };
    Ok(fired(view, &meant, line, place).fires())
}

fn fired(view: &View<'_>, meant: &Meant<'_>, line: log::Line<'_>, place: Option<Location>) -> Fired {
    let unit = meant.culprit();
    let name = act::name(unit);
    // A line that names no place may speak of something else.
    let certainty = if place.is_some() { meant.certainty } else { meant.certainty.min(Certainty::Likely) };
    let (cannot, verb) = if unit.is_running() {
        ("could not reload its configuration", "reload")
    } else {
        ("cannot read its configuration", "restart")
    };
    let title = match &place {
        Some(place) => format!("{name} {cannot}: {}", visible(&place.to_string())),
        None => format!("{name} {cannot}"),
    };
    let mut evidence = line.evidence(unit);
    if let Some(place) = &place {
        evidence = evidence.at(place);
    }
    let check = meant.service().filter(|_| unit.name == meant.unit.name).and_then(|service| service.check);
    let what = place.map_or_else(|| "the line that its log names".to_owned(), |place| visible(&place.to_string()));
    let checked = check.map(|words| format!(", check with `{}`", words.join(" "))).unwrap_or_default();
    let again = act::systemctl(view, verb, unit).map(|command| format!(", then {command}")).unwrap_or_default();
    Fired::new(certainty, title).evidence(evidence).fix(act::advice(
        view,
        Risk::Low,
        format!("mend {what}{checked}{again}"),
    ))
}

/// How a unit's file is mended.
fn verified(view: &View<'_>, unit: &UnitFacts, path: &str) -> String {
    let user = if unit.user.is_some() { "--user " } else { "" };
    let reload =
        act::manager(view, unit.user.as_ref()).map(|m| format!(", then {m} daemon-reload")).unwrap_or_default();
    format!("mend {path} as `systemd-analyze {user}verify {}` says{reload}", visible(&unit.name))
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::service::{failed, unit};
    use unrefuse_facts::{ActiveState, LoadState};

    fn report(line: &str) -> crate::Report {
        Scene::local("127.0.0.1:80").rst().units(vec![failed("nginx.service", &[line])]).report()
    }

    #[test]
    fn the_services_own_words_with_their_place() {
        let report = report("nginx: [emerg] unknown directive \"lissten\" in /etc/nginx/nginx.conf:12");
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "service/config-error");
        assert_eq!(blocker.whys.last().unwrap().evidence[0].location.as_deref(), Some("/etc/nginx/nginx.conf:12"));
        assert!(blocker.fixes[0].title.contains("nginx -t"));
    }

    #[test]
    fn a_port_that_is_taken_is_no_mistake_in_the_configuration() {
        let root =
            report("nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)").blockers.remove(0).root;
        assert_ne!(root, "service/config-error");
    }

    #[test]
    fn a_warning_with_a_place_is_no_error() {
        let root = report("[warn] low memory in /etc/nginx/nginx.conf:12").blockers.remove(0).root;
        assert_ne!(root, "service/config-error");
    }

    /// nginx runs since 1,000 s, and its log has that line of a later time.
    fn running(line: &str) -> unrefuse_facts::UnitFacts {
        let mut nginx = failed("nginx.service", &[line]);
        (nginx.active, nginx.sub, nginx.result) = (ActiveState::Active, "running".into(), None);
        nginx.started_ms = Some(1_000);
        nginx
    }

    #[test]
    fn a_reload_that_was_refused() {
        let nginx = running("nginx: [emerg] unknown directive \"nosuch\" in /etc/nginx/sites-enabled/x:1");
        let report = Scene::local("127.0.0.1:80").rst().units(vec![nginx.clone()]).report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "service/config-error");
        assert!(blocker.fixes[0].title.ends_with("then systemctl reload nginx.service"), "{blocker:?}");
        let mut again = nginx;
        let mut well = again.journal.value().unwrap()[0].clone();
        well.identifier = Some("systemd".into());
        well.message = "Reloaded nginx.service - A web server.".into();
        well.time_ms = well.time_ms.map(|time| time + 5);
        if let unrefuse_facts::Observed::Known { value, .. } = &mut again.journal {
            value.push(well);
        }
        let report = Scene::local("127.0.0.1:80").rst().units(vec![again]).report();
        assert_ne!(report.blockers[0].root, "service/config-error");
    }

    #[test]
    fn a_unit_file_that_is_wrong() {
        let mut nginx = unit("nginx.service", ActiveState::Inactive, "dead");
        nginx.load = LoadState::BadSetting;
        assert_eq!(Scene::local("127.0.0.1:80").rst().units(vec![nginx]).roots(), ["service/config-error"]);
    }
}

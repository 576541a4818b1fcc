//! service/config-error

use super::meant::meant;
use super::{act, log};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::quote;
use crate::report::{Certainty, Evidence, Risk};
use crate::rule::cause;
use unrefuse_facts::LoadState;
use unrefuse_facts::text::visible;

cause! {
    /// ## What it means
    ///
    /// The service does not start because it cannot read its own configuration: a typing mistake, a directive of another
    /// version, a file that is not there. The service says so itself, mostly with the file and the line.
    ///
    /// ## How it shows
    ///
    /// The service failed at once when it was started, often after an edit or an upgrade that went unnoticed until then.
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
    explains: &["service/failed", "service/crash-loop", "listener/none"],
    begins: false,
    needs: &["journal"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(meant) = meant(view)? else { return Ok(Finding::Clear) };
    let unit = meant.culprit();
    if unit.is_running() || unit.is_masked() {
        return Ok(Finding::Clear);
    }
    let name = visible(&unit.name);
    if unit.load == LoadState::BadSetting {
        // The unit's own file: the manager does not even try.
        let path = unit.fragment.as_deref().map(visible).unwrap_or_else(|| "its file".into());
        return Ok(Fired::new(meant.certainty, format!("the unit file of {name} is wrong: {path}"))
            .evidence(Evidence::new(format!("{name} is loaded as bad-setting"), meant.source()))
            .fix(act::advice(view, Risk::Low, format!("mend {path} as `systemd-analyze verify {name}` says, then systemctl daemon-reload")))
            .fires());
    }
    if !matches!(unit.active, unrefuse_facts::ActiveState::Failed | unrefuse_facts::ActiveState::Activating) {
        return Ok(Finding::Clear);
    }
    let Some((line, place)) = log::config(unit) else { return Ok(Finding::Clear) };
    // A line that names no place may speak of something else.
    let certainty = if place.is_some() { meant.certainty } else { meant.certainty.min(Certainty::Likely) };
    let title = match &place {
        Some(place) => format!("{name} cannot read its configuration: {}", visible(&place.to_string())),
        None => format!("{name} cannot read its configuration"),
    };
    let mut evidence = line.evidence(unit);
    if let Some(place) = &place {
        evidence = evidence.at(place);
    }
    let mut fired = Fired::new(certainty, title).evidence(evidence);
    let check = meant.service().filter(|_| unit.name == meant.unit.name).and_then(|service| service.check);
    let what = place.map_or_else(|| "the line that its log names".to_owned(), |place| visible(&place.to_string()));
    let checked = check.map(|words| format!(", check with `{}`", words.join(" "))).unwrap_or_default();
    let again = quote(&unit.name).map(|n| format!(", then systemctl restart {n}")).unwrap_or_default();
    fired = fired.fix(act::advice(view, Risk::Low, format!("mend {what}{checked}{again}")));
    Ok(fired.fires())
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
        let root = report("nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)").blockers.remove(0).root;
        assert_ne!(root, "service/config-error");
    }

    #[test]
    fn a_warning_with_a_place_is_no_error() {
        let root = report("[warn] low memory in /etc/nginx/nginx.conf:12").blockers.remove(0).root;
        assert_ne!(root, "service/config-error");
    }

    #[test]
    fn a_unit_file_that_is_wrong() {
        let mut nginx = unit("nginx.service", ActiveState::Inactive, "dead");
        nginx.load = LoadState::BadSetting;
        assert_eq!(Scene::local("127.0.0.1:80").rst().units(vec![nginx]).roots(), ["service/config-error"]);
    }
}

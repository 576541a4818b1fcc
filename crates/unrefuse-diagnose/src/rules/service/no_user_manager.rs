//! service/no-user-manager

use super::act;
use super::meant::{Meant, facts, meant};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::quote;
use crate::report::{Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::UnitUser;
use unrefuse_facts::text::visible;

cause! {
    /// ## What it means
    ///
    /// The service is a unit of a user's own manager (`systemctl --user`), and that manager does not run. It is started
    /// when the user logs in and ends with the last session, and all of the user's services with it, unless the user
    /// lingers.
    ///
    /// ## How it shows
    ///
    /// The connection is refused. The service worked while the user was logged in, and is gone after the logout or the
    /// reboot, though its unit is enabled.
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl status user@UID.service`; `loginctl show-user USER -p Linger`; `ls /var/lib/systemd/linger`.
    ///
    /// ## How to fix
    ///
    /// `loginctl enable-linger USER` starts the user's manager now and at each boot. Or make the service a unit of the
    /// system, with `User=`.
    ///
    /// ## What it is often mistaken for
    ///
    /// A service that was stopped (`service/stopped`): starting it does not help, for it ends at the next logout.
    id: "service/no-user-manager",
    title: "the manager of the user whose service it is does not run",
    explains: &["listener/none", "listener/other-port", "listener/stale-socket"],
    begins: false,
    needs: &["units"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(meant) = meant(view)? else { return closed(view) };
    let unit = meant.unit;
    let Some(user) = unit.user.as_ref().filter(|user| !user.has_manager && !unit.is_masked()) else {
        return Ok(Finding::Clear);
    };
    let (name, who) = (act::name(unit), visible(&user.name));
    let file_state = unit.file_state.as_deref().map(|state| format!(" ({})", visible(state))).unwrap_or_default();
    let lingers = if user.lingers {
        format!("{who} lingers: the manager should run")
    } else {
        format!("{who} does not linger: the manager ends with the last session")
    };
    let mut fired = Fired::new(meant.certainty, format!("{name} cannot run: {who} has no manager of services now"))
        .evidence(Evidence::new(format!("systemd does not run for {who}"), format!("/run/user/{}", user.uid)))
        .evidence(Evidence::new(lingers, format!("/var/lib/systemd/linger/{who}")))
        .evidences(unit.fragment.iter().map(|path| Evidence::new(format!("{name} is there{file_state}"), visible(path))))
        .evidences(meant.because(view));
    fired.unknown.extend(meant.open());
    Ok(fired.fix(fix(view, &meant, user)).fires())
}

/// Nothing is meant as far as it was seen: units of users who could not be asked about were not.
fn closed(view: &View<'_>) -> Result<Finding, CannotTell> {
    let users: Vec<String> = facts(view)?.into_iter().flat_map(|facts| &facts.closed_users).map(|u| visible(u)).collect();
    if users.is_empty() {
        return Ok(Finding::Clear);
    }
    let who = users.join(", ");
    let why = "their managers do not let this user ask";
    Err(CannotTell::new(format!("whether a user's own unit should listen there: of {who}"), why, "run unrefuse as root"))
}

/// The manager is started, and the unit by it.
fn fix(view: &View<'_>, meant: &Meant<'_>, user: &UnitUser) -> Option<Fix> {
    let (name, who) = (act::name(meant.unit), quote(&user.name)?);
    // The user's message bus comes up a moment later than the manager: nothing may go by it yet.
    let mut unit = meant.unit.clone();
    unit.user = Some(UnitUser { has_bus: false, ..user.clone() });
    let manager = format!("user@{}.service", user.uid);
    let fix = if user.lingers {
        Fix::new(view, Risk::Low, format!("start the manager of {who}, and {name}"))
            .undo(format!("systemctl stop {manager}"))
    } else {
        let title = format!("let {who} linger, so that {name} runs without a session and from boot on");
        Fix::new(view, Risk::Low, title)
            .command(format!("loginctl enable-linger {who}"))
            .undo(format!("loginctl disable-linger {who}"))
            .persistent()
    };
    let fix = fix.command(format!("systemctl start {manager}"));
    let verb = if unit.is_enabled() == Some(false) { "enable --now" } else { "start" };
    Some(fix.command(act::systemctl(view, verb, &unit)?))
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::service::{commands, unit, user};
    use unrefuse_facts::{ActiveState, UnitUser};

    fn scene(user: UnitUser) -> Scene {
        let mut app = unit("redis-server.service", ActiveState::Inactive, "dead");
        app.user = Some(user);
        Scene::local("127.0.0.1:6379").rst().services(|f| f.user_units = vec![app])
    }

    #[test]
    fn after_the_logout_of_a_user_who_does_not_linger() {
        let report = scene(UnitUser { has_manager: false, ..user() }).report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "service/no-user-manager");
        assert!(blocker.whys[1].title.starts_with("user unit redis-server.service of alice cannot run"));
        assert_eq!(commands(&report, 0), [
            "loginctl enable-linger alice",
            "systemctl start user@1000.service",
            "runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/1000 systemctl --user start redis-server.service"
        ]);
    }

    #[test]
    fn who_lingers_has_a_manager_to_be_started() {
        let report = scene(UnitUser { has_manager: false, lingers: true, ..user() }).report();
        assert_eq!(commands(&report, 0)[0], "systemctl start user@1000.service");
    }

    #[test]
    fn users_who_cannot_be_asked_about_are_named() {
        let report = Scene::local("127.0.0.1:6379").rst().services(|f| f.closed_users = vec!["bob".into()]).report();
        assert!(report.unknown.iter().any(|u| u.what.ends_with("of bob")), "{:?}", report.unknown);
    }

    #[test]
    fn with_a_manager_the_unit_is_only_stopped() {
        assert_eq!(scene(user()).roots(), ["service/stopped"]);
    }
}

//! What may be done with a unit, in commands; and times in words.

use crate::View;
use crate::fix::quote;
use crate::report::{Fix, Risk};
use crate::times::ago;
use unrefuse_facts::text::visible;
use unrefuse_facts::{ActiveState, UnitFacts, UnitUser};

/// The first version of systemd whose `--machine=USER@` means a user of this machine (systemctl(1)).
const MACHINE_OF_USER: u32 = 248;

/// A unit in words: `app.service`, `user unit app.service of alice`.
pub(in crate::rules) fn name(unit: &UnitFacts) -> String {
    let name = visible(&unit.name);
    match &unit.user {
        Some(user) => format!("user unit {name} of {}", visible(&user.name)),
        None => name,
    }
}

/// `systemctl WORDS UNIT`, as it works for who called unrefuse; `None` where a name cannot be quoted.
pub(in crate::rules) fn systemctl(view: &View<'_>, words: &str, unit: &UnitFacts) -> Option<String> {
    Some(format!("{} {words} {}", manager(view, unit.user.as_ref())?, quote(&unit.name)?))
}

/// `systemctl`, for the system's manager or for a user's.
pub(in crate::rules) fn manager(view: &View<'_>, user: Option<&UnitUser>) -> Option<String> {
    let Some(user) = user else { return Some("systemctl".to_owned()) };
    let runtime = format!("XDG_RUNTIME_DIR=/run/user/{}", user.uid);
    if user.uid == view.case.host.own.uid {
        return Some(if user.in_session {
            "systemctl --user".to_owned()
        } else {
            format!("{runtime} systemctl --user")
        });
    }
    let name = quote(&user.name)?;
    let version = view.case.host.services.value().and_then(|facts| version(facts.manager.value()?));
    let by_machine = user.has_bus && version.is_some_and(|version| version >= MACHINE_OF_USER);
    Some(if by_machine {
        format!("systemctl --user --machine={name}@")
    } else {
        format!("runuser -u {name} -- env {runtime} systemctl --user")
    })
}

/// 252 of `systemd 252.39-1~deb12u1`.
fn version(manager: &str) -> Option<u32> {
    let text = manager.strip_prefix("systemd ")?;
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The command that shows what the journal has of a unit; `None` where its name cannot be quoted.
pub(super) fn journalctl(unit: &UnitFacts) -> Option<String> {
    let name = quote(&unit.name)?;
    Some(match &unit.user {
        Some(user) => format!("journalctl -b _SYSTEMD_USER_UNIT={name} _UID={}", user.uid),
        None => format!("journalctl -u {name}"),
    })
}

/// The socket unit that listens for a service, and failed with it: systemd gives it up where what it starts fails again
/// and again (`TriggerLimitBurst=`, systemd.socket(5)), and starting the service does not bring it back.
pub(super) fn failed_socket<'a>(view: &View<'a>, unit: &UnitFacts) -> Option<&'a UnitFacts> {
    let facts = view.case.host.services.value()?;
    let units = if unit.user.is_some() { &facts.user_units } else { &facts.units };
    let starts = |socket: &&UnitFacts| {
        let listens = socket.is_socket() && socket.active == ActiveState::Failed && socket.user == unit.user;
        listens && (socket.triggers.contains(&unit.name) || unit.triggered_by.contains(&socket.name))
    };
    units.iter().find(starts)
}

/// The words for systemctl that start a unit anew, each with the unit that they are for.
fn again<'a>(view: &View<'a>, unit: &'a UnitFacts) -> Vec<(&'static str, &'a UnitFacts)> {
    if let Some(socket) = failed_socket(view, unit) {
        return vec![("reset-failed", unit), ("reset-failed", socket), ("start", socket)];
    }
    match unit.active {
        ActiveState::Failed | ActiveState::Activating => vec![("reset-failed", unit), ("restart", unit)],
        _ if unit.is_running() => vec![("restart", unit)],
        _ => vec![("start", unit)],
    }
}

/// The commands that start a unit anew, after a failure or a start limit too.
pub(super) fn start_again(view: &View<'_>, mut fix: Fix, unit: &UnitFacts) -> Option<Fix> {
    for (words, unit) in again(view, unit) {
        fix = fix.command(systemctl(view, words, unit)?);
    }
    Some(fix)
}

/// Starting a unit, as a fix of its own.
pub(super) fn start(view: &View<'_>, unit: &UnitFacts, title: String) -> Option<Fix> {
    start_again(view, Fix::new(view, Risk::Low, title), unit)
}

/// Starting a unit anew helps only when what it stumbles over is mended: no command can know what that is.
pub(super) fn mend(view: &View<'_>, unit: &UnitFacts) -> Fix {
    let mut words = vec![("reset-failed", unit), ("restart", unit)];
    if failed_socket(view, unit).is_some() {
        words = again(view, unit);
    }
    let commands: Option<Vec<String>> = words.into_iter().map(|(words, unit)| systemctl(view, words, unit)).collect();
    let commands = commands.map(|commands| format!(": {}", commands.join("; ")));
    let name = name(unit);
    advice(
        view,
        Risk::Low,
        format!("mend what the log of {name} says, then start it again{}", commands.unwrap_or_default()),
    )
}

/// `, since 3 minutes ago`; nothing where the time is not known.
pub(super) fn since(now_ms: i64, then_ms: Option<i64>) -> String {
    then_ms.map(|then| format!(", since {}", ago(now_ms, then))).unwrap_or_default()
}

/// What one does by hand where a fix cannot be a command.
pub(super) fn advice(view: &View<'_>, risk: Risk, title: impl Into<String>) -> Fix {
    Fix::new(view, risk, title)
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::service::{commands, failed, unit, user};
    use unrefuse_facts::{ActiveState, UnitExit, UnitFacts, UnitUser};

    fn scene(own: u32, user: UnitUser, mut app: UnitFacts) -> Scene {
        app.user = Some(user);
        let scene = Scene::local("127.0.0.1:6379").rst().services(|facts| facts.user_units = vec![app]);
        scene.with(|case| case.host.own.uid = own)
    }

    #[test]
    fn commands_for_a_users_manager_as_they_work_for_who_asks() {
        let start = |own, user| {
            let app = unit("redis-server.service", ActiveState::Inactive, "dead");
            commands(&scene(own, user, app).report(), 0).remove(0)
        };
        let words = |how: &str| format!("{how} start redis-server.service");
        let by_bus = UnitUser { has_bus: true, ..user() };
        assert_eq!(start(0, by_bus.clone()), words("systemctl --user --machine=alice@"));
        let as_alice = "runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/1000 systemctl --user";
        assert_eq!(start(0, user()), words(as_alice));
        assert_eq!(start(1000, UnitUser { in_session: true, ..by_bus.clone() }), words("systemctl --user"));
        assert_eq!(start(1000, by_bus), words("XDG_RUNTIME_DIR=/run/user/1000 systemctl --user"));
    }

    #[test]
    fn a_socket_unit_that_was_given_up_is_what_is_started() {
        let mut service = failed("app@.service", &["some error"]);
        service.name = "app.service".into();
        service.exit = Some(UnitExit { by_signal: true, status: 9, command: None });
        let mut socket = unit("app.socket", ActiveState::Failed, "failed");
        socket.clues.clear();
        socket.triggers = vec!["app.service".into()];
        let report = Scene::local("127.0.0.1:6379").rst().units(vec![service, socket]).report();
        let wanted = ["reset-failed app.service", "reset-failed app.socket", "start app.socket"];
        assert_eq!(commands(&report, 0), wanted.map(|words| format!("systemctl {words}")));
        let evidence = &report.blockers[0].whys[1].evidence;
        assert!(
            evidence.iter().any(|e| e.text == "app.socket, which listens for it, was given up, too"),
            "{evidence:?}"
        );
    }

    #[test]
    fn a_users_unit_of_the_same_name_is_another_one() {
        let app = failed("redis-server.service", &["some error"]);
        let system = unit("redis-server.service", ActiveState::Inactive, "dead");
        let report = scene(0, user(), app).services(|facts| facts.units = vec![system]).report();
        let why = &report.blockers[0].whys[1];
        assert_eq!(why.title, "user unit redis-server.service of alice failed: exit status 1");
    }
}

//! Services that something other than systemd starts: which one was meant, and how it is started.

use super::act;
use super::meant::facts;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::quote;
use crate::report::{Certainty, Evidence, Fix, Risk, Unknown};
use unrefuse_facts::catalogue;
use unrefuse_facts::text::visible;
use unrefuse_facts::{OtherService, ServiceFacts, Supervisor};

/// The finding that the one that was meant does not run, where no unit was meant.
pub(super) fn stopped(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(facts) = facts(view)? else { return Ok(Finding::Clear) };
    // What names the port beats what only has the name of a service that may be meant.
    let Some(strongest) = facts.others.iter().map(|other| other.clue.is_some()).max() else {
        return Ok(Finding::Clear);
    };
    let meant = facts.others.iter().filter(|other| other.clue.is_some() == strongest);
    let meant: Vec<&OtherService> = meant.filter(|other| runs(facts, other) == Some(false)).collect();
    let Some(first) = meant.first() else { return Ok(Finding::Clear) };
    let certainty = match () {
        () if meant.len() > 1 => Certainty::Possible,
        () if strongest && first.up.is_some() => Certainty::Proven,
        () => Certainty::Likely,
    };
    let name = words(first);
    let how = match first.up {
        Some(_) => Evidence::new(format!("{name} is down"), state_of(first)),
        None => Evidence::new(format!("no process is called {}", visible(&first.command)), "/proc/*/comm"),
    };
    let path = visible(&first.path);
    let because = match &first.clue {
        Some(clue) => Evidence::new(format!("{name} is meant: {}", visible(&clue.text)), visible(&clue.source)),
        None => Evidence::new(format!("{name} is meant: the port is customary for it"), path.clone()),
    };
    let mut fired = Fired::new(certainty, format!("{name} does not run")).evidence(how).evidence(because);
    if meant.len() > 1 {
        let names: Vec<String> = meant.iter().map(|other| words(other)).collect();
        fired.unknown.push(Unknown {
            what: format!("which service was meant: {}", names.join(" or ")),
            why: "as much speaks for each of them, and none runs".into(),
            how_to_know: "the service that should answer on that port; its configuration names it".into(),
        });
    }
    for other in meant {
        let told = || act::advice(view, Risk::Low, format!("start {} as {} says", words(other), visible(&other.path)));
        fired = fired.fix(start(view, other).unwrap_or_else(told));
    }
    Ok(fired.fires())
}

/// Whether it runs, as its supervisor says or its processes show; `None` where neither tells.
fn runs(facts: &ServiceFacts, other: &OtherService) -> Option<bool> {
    let known = other.service.as_deref().and_then(catalogue::by_id);
    let own = |command: &String| known.is_some_and(|service| service.has_process(command)) || *command == other.command;
    let processes = || Some(facts.processes.value()?.iter().any(own));
    other.up.or_else(processes)
}

/// Starting it, as its supervisor wants it.
pub(super) fn start(view: &View<'_>, other: &OtherService) -> Option<Fix> {
    let (name, path) = (quote(&other.name)?, quote(&other.path)?);
    let (start, stop) = match other.supervisor {
        Supervisor::SysV => (format!("{path} start"), format!("{path} stop")),
        Supervisor::OpenRc => (format!("rc-service {name} start"), format!("rc-service {name} stop")),
        Supervisor::Runit => (format!("sv start {path}"), format!("sv stop {path}")),
        Supervisor::S6 => (format!("s6-svc -u {path}"), format!("s6-svc -d {path}")),
        Supervisor::Supervisord => (format!("supervisorctl start {name}"), format!("supervisorctl stop {name}")),
    };
    Some(Fix::new(view, Risk::Low, format!("start {}", words(other))).command(start).undo(stop))
}

/// `runit's service app`.
fn words(other: &OtherService) -> String {
    let name = visible(&other.name);
    match other.supervisor {
        Supervisor::SysV => format!("the service {name} of init"),
        Supervisor::OpenRc => format!("OpenRC's service {name}"),
        Supervisor::Runit => format!("runit's service {name}"),
        Supervisor::S6 => format!("s6's service {name}"),
        Supervisor::Supervisord => format!("supervisord's program {name}"),
    }
}

/// Where its supervisor says whether it runs.
fn state_of(other: &OtherService) -> String {
    match other.supervisor {
        Supervisor::OpenRc => "/run/openrc/started".to_owned(),
        _ => visible(&format!("{}/supervise/stat", other.path)),
    }
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::service::commands;
    use unrefuse_facts::{Clue, ClueKind, Installed, Observed, OtherService, Source, Supervisor};

    fn other(supervisor: Supervisor, up: Option<bool>) -> OtherService {
        let clue = Clue { kind: ClueKind::UnitFile, text: "it names port 8090".into(), source: "/x:2".into() };
        let (name, path) = ("app".to_owned(), "/etc/service/app".to_owned());
        OtherService { supervisor, command: name.clone(), name, path, service: None, clue: Some(clue), up }
    }

    fn scene(others: Vec<OtherService>, running: &[&str]) -> Scene {
        let running = running.iter().map(|name| (*name).to_owned()).collect();
        let source = Source::running("/proc");
        Scene::local("127.0.0.1:8090")
            .rst()
            .services(|f| (f.others, f.processes) = (others, Observed::known(running, source)))
    }

    #[test]
    fn each_supervisor_has_its_command() {
        for (supervisor, command) in [
            (Supervisor::SysV, "/etc/service/app start"),
            (Supervisor::OpenRc, "rc-service app start"),
            (Supervisor::Runit, "sv start /etc/service/app"),
            (Supervisor::S6, "s6-svc -u /etc/service/app"),
            (Supervisor::Supervisord, "supervisorctl start app"),
        ] {
            let report = scene(vec![other(supervisor, None)], &[]).report();
            assert_eq!(report.blockers[0].root, "service/stopped", "{supervisor:?}");
            assert_eq!(commands(&report, 0), [command]);
        }
    }

    #[test]
    fn what_the_supervisor_wrote_proves_it() {
        let report = scene(vec![other(Supervisor::Runit, Some(false))], &[]).report();
        assert_eq!(report.blockers[0].certainty, Certainty::Proven);
        assert_eq!(report.blockers[0].whys[1].title, "runit's service app does not run");
    }

    #[test]
    fn what_runs_is_not_stopped() {
        assert_eq!(scene(vec![other(Supervisor::Runit, Some(true))], &[]).roots(), ["listener/none"]);
        assert_eq!(scene(vec![other(Supervisor::SysV, None)], &["app"]).roots(), ["listener/none"]);
    }

    #[test]
    fn of_two_alike_none_is_picked_and_an_executable_has_a_supervisor() {
        let mut second = other(Supervisor::Runit, Some(false));
        second.name = "second".into();
        let report = scene(vec![other(Supervisor::Runit, Some(false)), second], &[]).report();
        assert_eq!(report.blockers[0].certainty, Certainty::Possible);
        assert!(report.unknown.iter().any(|u| u.what.contains("runit's service app or runit's service second")));
        let found = Installed { service: "redis".into(), path: "/usr/bin/redis-server".into() };
        let roots = scene(vec![other(Supervisor::SysV, None)], &[]).services(|f| f.installed = vec![found]).roots();
        assert_eq!(roots, ["service/stopped"]);
    }
}

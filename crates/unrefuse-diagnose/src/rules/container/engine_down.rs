//! container/engine-down

use super::meant::{facts, is_down};
use super::run::of_container;
use super::state::{State, state};
use super::words;
use crate::View;
use crate::containers::{self, is_up, name};
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use crate::rules::service;
use unrefuse_facts::text::visible;
use unrefuse_facts::{ActiveState, Engine, UnitFacts};

cause! {
    /// ## What it means
    ///
    /// The container engine itself does not run, so none of its containers has a port: Docker's daemon keeps the ports of
    /// all its containers, and stops them when it is stopped (without `live-restore`).
    ///
    /// ## How it shows
    ///
    /// Every published port is refused. `docker ps` says "Cannot connect to the Docker daemon … Is the docker daemon
    /// running?".
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl status docker.service docker.socket`; `journalctl -u docker.service -n 30`.
    ///
    /// ## How to fix
    ///
    /// `systemctl start docker`; `systemctl enable docker` for the next boot. Containers without a restart policy must be
    /// started by hand then. Where the daemon fails, its journal says why: often `/etc/docker/daemon.json` or a full disk.
    ///
    /// ## What it is often mistaken for
    ///
    /// One container that is stopped (`container/stopped`). "Permission denied" on the socket, which is no reason for a
    /// refused port.
    id: "container/engine-down",
    title: "the container engine does not run",
    explains: &["listener/none", "listener/other-port", "ingress/dnat-dead-end", "access/closed-on-accept"],
    begins: false,
    needs: &["containers"],
    likes: &["units"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let state = match state(view) {
        Ok(state) => state,
        // Another engine could not be asked: what is known of this one counts all the same.
        Err(open) => {
            return match unknown_containers(view)? {
                Finding::Fires(mut fired) => {
                    fired.unknown.push(open.0);
                    Ok(Finding::Fires(fired))
                }
                Finding::Clear => Err(open),
            };
        }
    };
    match state {
        Some((meant, State::EngineDown)) => {
            let container = meant.container;
            let title = format!("{} does not run, and with it not {}", meant.engine.kind.name(), name(container));
            let mut fired = Fired::new(meant.certainty, title)
                .evidence(daemon(meant.engine))
                .evidences(unit(view).map(unit_evidence))
                .evidence(words::described(meant.engine, container));
            fired.unknown.extend(meant.open());
            let again = container.restart_policy.as_deref().unwrap_or("no");
            // The daemon starts what has a policy, and what it was told to keep.
            let by_hand = again == "no" || again.starts_with("on-failure") || !is_up(container) && again != "always";
            let start = if by_hand { of_container(view, meant.engine, container, "start") } else { None };
            fired.fixes = fixes(view, start);
            Ok(fired.fires())
        }
        Some(_) => Ok(Finding::Clear),
        None => unknown_containers(view),
    }
}

/// Nothing is known of its containers: it may be the reason, where nothing else is.
fn unknown_containers(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(facts) = facts(view)?.filter(|facts| containers::stood_in(facts).is_none()) else {
        return Ok(Finding::Clear);
    };
    let down = |engine: &&Engine| is_down(engine) && engine.containers.value().is_none();
    let Some(engine) = facts.engines.iter().find(down).filter(|_| view.is_local() == Some(true)) else {
        return Ok(Finding::Clear);
    };
    if service::meant_certainty(view).is_some() {
        return Ok(Finding::Clear);
    }
    let title = format!("{} does not run: none of its containers can have {}", engine.kind.name(), view.port());
    let mut fired =
        Fired::new(Certainty::Possible, title).evidence(daemon(engine)).evidences(unit(view).map(unit_evidence));
    fired.fixes = fixes(view, None);
    let missing = engine.containers.missing();
    fired.unknown.push(crate::report::Unknown {
        what: format!("whether a container of {} published {}", engine.kind.name(), view.port()),
        why: missing.map_or_else(|| "its containers are not known".to_owned(), |m| m.detail.clone()),
        how_to_know: missing.and_then(|m| m.remedy.clone()).unwrap_or_else(|| "start it, then docker ps -a".into()),
    });
    Ok(fired.fires())
}

fn daemon(engine: &Engine) -> Evidence {
    let installed =
        engine.installed.as_ref().map(|path| format!("; {} is installed", visible(path))).unwrap_or_default();
    let text = format!("no daemon of {} answers at {}{installed}", engine.kind.name(), visible(&engine.socket));
    Evidence::new(text, "/proc/net/unix")
}

/// Docker's unit, where units were looked at.
fn unit<'a>(view: &View<'a>) -> Option<&'a UnitFacts> {
    view.case.host.services.value()?.units.iter().find(|unit| unit.name == "docker.service")
}

fn unit_evidence(unit: &UnitFacts) -> Evidence {
    let state = match unit.active {
        ActiveState::Failed => "failed",
        ActiveState::Inactive => "inactive",
        ActiveState::Activating => "starting",
        ActiveState::Deactivating => "stopping",
        _ => "in another state",
    };
    let masked = if unit.is_masked() { ", and masked" } else { "" };
    Evidence::new(format!("{} is {state}{masked}", visible(&unit.name)), "systemctl")
}

fn fixes(view: &View<'_>, container: Option<String>) -> Vec<Fix> {
    let masked = unit(view).is_some_and(UnitFacts::is_masked);
    let failed = unit(view).is_some_and(|unit| unit.active == ActiveState::Failed);
    let start = |verb: &str, title: &str| {
        let mut fix = Fix::new(view, Risk::Low, title);
        if masked {
            fix = fix.command("systemctl unmask docker.service docker.socket");
        }
        if failed {
            fix = fix.command("systemctl reset-failed docker.service docker.socket");
        }
        fix = fix.command(format!("systemctl {verb} docker.service"));
        if let Some(container) = &container {
            fix = fix.command(container.clone());
        }
        fix
    };
    vec![
        start("start", "start Docker, and with it the containers that it starts by itself")
            .undo("systemctl stop docker.service docker.socket"),
        start("enable --now", "start Docker, now and at each boot")
            .undo("systemctl disable --now docker.service docker.socket")
            .persistent(),
    ]
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::container::Made;
    use crate::testing::filter::commands;
    use crate::testing::service::unit;
    use unrefuse_facts::{ActiveState, EngineKind, Missing, Observed, Reason};

    fn scene(made: Vec<Made>) -> Scene {
        Scene::local("127.0.0.1:8001").containers(made).engine(|e| e.running = Some(false)).rst()
    }

    fn nothing_known(scene: Scene) -> Scene {
        let missing = Missing::new(Reason::Absent, "connect /run/docker.sock: connection refused");
        scene.engine(|e| e.containers = Observed::Missing(missing))
    }

    #[test]
    fn its_files_say_what_it_would_publish() {
        let report = scene(vec![Made::new("web").publish("8001:80").exited(0)]).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("container/engine-down", Certainty::Proven));
        assert_eq!(blocker.whys[1].title, "Docker does not run, and with it not container web");
        assert_eq!(commands(&blocker.fixes[0].steps), ["systemctl start docker.service", "docker start web"]);
        let kept = Made::new("web").publish("8001:80").with(|c| c.restart_policy = Some("always".into()));
        let report = scene(vec![kept]).report();
        assert_eq!(commands(&report.blockers[0].fixes[1].steps), ["systemctl enable --now docker.service"]);
    }

    #[test]
    fn without_its_files_it_is_possible_only() {
        let report = nothing_known(scene(Vec::new())).report();
        assert_eq!(report.blockers[0].root, "container/engine-down");
        assert_eq!(report.blockers[0].certainty, Certainty::Possible);
        assert!(report.unknown.iter().any(|u| u.what.contains("whether a container of Docker published 8001/tcp")));
    }

    #[test]
    fn another_port_a_service_or_an_engine_without_a_daemon_are_no_reason() {
        assert_eq!(scene(vec![Made::new("web").publish("9001:80").exited(0)]).roots(), ["listener/none"]);
        let nginx = unit("nginx.service", ActiveState::Inactive, "dead");
        assert_eq!(nothing_known(scene(Vec::new())).units(vec![nginx]).roots(), ["service/stopped"]);
        let podman = nothing_known(scene(Vec::new())).engine(|e| (e.kind, e.running) = (EngineKind::Podman, None));
        assert_eq!(podman.roots(), ["listener/none"]);
    }
}

//! container/stopped

use super::meant::Meant;
use super::run::{Cli, of_container};
use super::start_error::{self, StartError};
use super::state::{State, state};
use super::words;
use crate::View;
use crate::containers::{name, pod, short, source};
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk, Unknown};
use crate::rule::cause;
use unrefuse_facts::text::{clip, visible};
use unrefuse_facts::{Container, ContainerStatus, Engine, EngineKind, Reason};

/// So many last lines of a log are shown.
const LINES: usize = 3;

/// Longest words of an engine that are shown whole.
const LONGEST: usize = 300;

cause! {
    /// ## What it means
    ///
    /// The container that has the port does not run: it ended, was never started, waits for its next start in a loop, or
    /// is paused. The engine publishes ports only while a container runs.
    ///
    /// ## How it shows
    ///
    /// Connection refused; in a loop of restarts, sometimes open and sometimes refused or closed at once. With a paused
    /// container the connection opens and nothing answers. `docker ps` does not list it, `docker ps -a` does.
    ///
    /// ## How to confirm by hand
    ///
    /// `docker ps -a`; `docker inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Error}}'
    /// NAME`; `docker logs --tail 20 NAME`.
    ///
    /// ## How to fix
    ///
    /// `docker start NAME` where it was only stopped; `docker unpause NAME`. Where it failed, mend what its log says first.
    /// Exit code 137 is SIGKILL: for want of memory, or by hand; 143 is SIGTERM; 126 and 127 say that its command cannot
    /// be run. `docker update --restart=unless-stopped NAME` starts it again after a failure and at boot.
    ///
    /// ## What it is often mistaken for
    ///
    /// `container/engine-down`, which stops all containers at once. `container/not-published`.
    id: "container/stopped",
    title: "the container does not run",
    explains: &[
        "listener/none",
        "listener/other-namespace",
        "listener/other-port",
        "listener/loopback-only",
        "listener/other-address",
        "listener/other-family",
        "ingress/dnat-dead-end",
        "access/closed-on-accept",
        "access/proxied-to-nothing",
        "path/filtered",
    ],
    begins: false,
    needs: &["containers"],
    likes: &["its log"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some((meant, State::Stopped)) = state(view)? else { return Ok(Finding::Clear) };
    let (engine, container) = (meant.engine, meant.container);
    let hindered = start_error::of(view, container);
    if !matches!(hindered, Some(StartError::PortTaken(_))) && start_error::holders(view).is_some_and(|h| !h.is_empty()) {
        // Somebody else has the port, and was as likely meant.
        return Ok(Finding::Clear);
    }
    let mut fired = Fired::new(meant.certainty, title(view, &meant, hindered.as_ref()))
        .evidence(words::described(engine, container))
        .evidences(container.error.as_ref().map(|error| {
            let text = format!("{} says: {}", engine.kind.name(), clip(&visible(error.trim()), LONGEST));
            Evidence::new(text, source(engine))
        }))
        .evidences(words::log(engine, container, LINES));
    if container.restarts > 0 {
        let text = format!("{} started it {} times anew", engine.kind.name(), container.restarts);
        fired = fired.evidence(Evidence::new(text, source(engine)));
    }
    fired.unknown.extend(meant.open());
    fired.unknown.extend(unread_log(&meant));
    fired.fixes.extend(fixes(view, engine, container));
    if meant.certainty > Certainty::Possible {
        return Ok(fired.fires());
    }
    for (engine, other) in meant.others.iter().take(2).filter(|(_, c)| !crate::containers::is_up(c)) {
        fired.fixes.extend(fixes(view, engine, other));
    }
    Ok(fired.fires())
}

fn title(view: &View<'_>, meant: &Meant<'_>, hindered: Option<&StartError>) -> String {
    let container = meant.container;
    let who = name(container);
    let ended = container.exit.map(|exit| words::since(meant, exit.at_ms)).unwrap_or_default();
    match container.status {
        ContainerStatus::Created | ContainerStatus::Exited if hindered.is_some() => {
            match hindered {
                Some(StartError::PortTaken(Some(holder))) => {
                    format!("{who} could not be started: {holder} has port {}", view.port())
                }
                Some(StartError::PortTaken(None)) => {
                    format!("{who} could not be started: port {} was taken, and is free now", view.port())
                }
                Some(StartError::NoCommand) => format!("{who} could not be started: its image has no such command"),
                Some(StartError::Other) | None => format!("{who} could not be started"),
            }
        }
        ContainerStatus::Created if meant.engine.kind == EngineKind::Podman => {
            format!("{who} was created and never ran; Podman keeps no word of a start that failed")
        }
        ContainerStatus::Created => format!("{who} was created and never started"),
        ContainerStatus::Paused => format!("{who} is paused: its processes are frozen"),
        ContainerStatus::Running | ContainerStatus::Restarting => {
            let last = container.exit.map(|exit| format!(", each time {}", code(exit.code, exit.out_of_memory)));
            let last = last.unwrap_or_default();
            format!("{who} ends and is started again and again ({} times so far){last}", container.restarts)
        }
        ContainerStatus::Exited => match container.exit {
            Some(exit) => format!("{who} ended{ended}: {}", code(exit.code, exit.out_of_memory)),
            None => format!("{who} does not run"),
        },
        _ => format!("{who} is {}", words::status(container)),
    }
}

/// What an exit code means, by the shells' custom and `docker run`'s own (docker-run(1), EXIT STATUS).
fn code(code: i32, out_of_memory: bool) -> String {
    match code {
        _ if out_of_memory => format!("killed for want of memory (code {code})"),
        0 => "its command was done (code 0)".to_owned(),
        125 => "the engine itself failed to run it (code 125)".to_owned(),
        126 => "its command cannot be executed (code 126)".to_owned(),
        127 => "its command was not found (code 127)".to_owned(),
        130 => "interrupted, signal INT (code 130)".to_owned(),
        137 => "killed, signal KILL (code 137)".to_owned(),
        143 => "told to end, signal TERM (code 143)".to_owned(),
        129..=192 => format!("signal {} (code {code})", code - 128),
        _ => format!("with code {code}"),
    }
}

/// It did not end by its own fault, so that starting it may be all.
fn ended_from_outside(container: &Container) -> bool {
    match (container.status, container.exit) {
        // Nobody saw it end: the machine did, or the engine's own monitor.
        (ContainerStatus::Created, _) | (ContainerStatus::Exited, None) => container.error.is_none(),
        (ContainerStatus::Exited, Some(exit)) => {
            !exit.out_of_memory && container.error.is_none() && matches!(exit.code, 0 | 130 | 137 | 143)
        }
        _ => false,
    }
}

fn fixes(view: &View<'_>, engine: &Engine, container: &Container) -> Vec<Fix> {
    let shown = short(container);
    let command = |verb: &str| match pod(container) {
        // The container that holds a pod's network has nothing else: all of the pod is meant.
        Some(id) => Cli::of(view, engine)?.run(&format!("pod {verb} {id}")),
        None => of_container(view, engine, container, verb),
    };
    let fix = |title: String, verb: &str, back: &str| {
        Some(Fix::new(view, Risk::Low, title).command(command(verb)?).undo(command(back)?))
    };
    let engine_name = engine.kind.command();
    if container.status == ContainerStatus::Paused {
        return fix(format!("let {shown} run on"), "unpause", "pause").into_iter().collect();
    }
    let hindered = start_error::of(view, container);
    if ended_from_outside(container) || hindered == Some(StartError::PortTaken(None)) {
        let mut fixes: Vec<Fix> = fix(format!("start {shown}"), "start", "stop").into_iter().collect();
        let kept = container.restart_policy.as_deref().is_some_and(|policy| !policy.is_empty() && policy != "no");
        // Podman changes the policy of a container from 5.1 on only.
        if engine.kind == EngineKind::Docker && !kept {
            let title = format!("start {shown}, also after each failure and at boot");
            let both = command("update --restart=unless-stopped").zip(command("start"));
            let back = command("stop").zip(command("update --restart=no"));
            if let (Some((update, start)), Some((stop, no))) = (both, back) {
                let fix = Fix::new(view, Risk::Low, title).command(update).command(start).undo(stop).undo(no);
                fixes.push(fix.persistent());
            }
        }
        return fixes;
    }
    let log = format!("{engine_name} logs {shown}");
    let title = match (hindered, container.exit) {
        (Some(StartError::PortTaken(Some(holder))), _) => {
            format!("stop {holder}, or give one of them another port; then `{engine_name} start {shown}`")
        }
        (Some(StartError::NoCommand), _) => {
            format!("run {shown} anew with a command that its image has; it never ran, so it has no log")
        }
        (Some(_), _) => format!("mend what {} says, then `{engine_name} start {shown}`", engine.kind.name()),
        (None, Some(exit)) if exit.out_of_memory => {
            format!("give {shown} more memory (--memory, or a larger machine) or let it use less, then start it again")
        }
        (None, _) => format!("mend what stopped {shown} ({log}), then `{engine_name} start {shown}`"),
    };
    vec![Fix::new(view, Risk::Low, title)]
}

fn unread_log(meant: &Meant<'_>) -> Option<Unknown> {
    let ran = !matches!(meant.container.status, ContainerStatus::Paused | ContainerStatus::Created);
    let failed = ran && !ended_from_outside(meant.container);
    let missing = meant.container.log.missing().filter(|m| failed && m.reason != Reason::NotLooked)?;
    let how = format!("{} logs {}", meant.engine.kind.command(), visible(&meant.container.name));
    Some(Unknown {
        what: format!("why {} ended", name(meant.container)),
        why: missing.detail.clone(),
        how_to_know: missing.remedy.clone().unwrap_or(how),
    })
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::container::Made;
    use crate::testing::filter::commands;
    use unrefuse_facts::{AttemptOutcome, ContainerStatus, EngineKind, Errno, NetworkMode, Observed, Source};

    fn made() -> Made {
        Made::new("web").publish("8005:80").listens("0.0.0.0:80", "nginx")
    }

    fn report(made: Made) -> crate::Report {
        Scene::local("127.0.0.1:8005").containers(vec![made]).rst().report()
    }

    #[test]
    fn it_ended_from_outside_and_is_started() {
        let report = report(made().exited(143));
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("container/stopped", Certainty::Proven));
        assert_eq!(blocker.whys[1].title, "container web ended, 2 minutes ago: told to end, signal TERM (code 143)");
        assert_eq!(commands(&blocker.fixes[0].steps), ["docker start web"]);
        assert_eq!(
            commands(&blocker.fixes[1].steps),
            ["docker update --restart=unless-stopped web", "docker start web"]
        );
    }

    #[test]
    fn what_failed_by_itself_is_not_only_started() {
        let log = vec!["starting".to_owned(), "fatal: no such file \u{1b}[31m/etc/app.conf".to_owned(), String::new()];
        let made = made().exited(3).with(|c| c.log = Observed::known(log, Source::running("docker logs")));
        let report = report(made);
        let why = &report.blockers[0].whys[1];
        assert!(why.title.ends_with("with code 3"), "{}", why.title);
        assert!(why.evidence.iter().any(|e| e.text == "its log says: fatal: no such file \\x1b[31m/etc/app.conf"));
        assert!(report.blockers[0].fixes.iter().all(|fix| fix.steps.is_empty()));
    }

    #[test]
    fn out_of_memory_created_and_paused() {
        let oom = made().exited(137).with(|c| c.exit.as_mut().unwrap().out_of_memory = true);
        assert!(report(oom).blockers[0].whys[1].title.contains("killed for want of memory"));
        let created = made().exited(0).with(|c| (c.status, c.exit) = (ContainerStatus::Created, None));
        assert_eq!(commands(&report(created.clone()).blockers[0].fixes[0].steps), ["docker start web"]);
        let failed = created.with(|c| c.error = Some("driver failed programming external connectivity".into()));
        let failed = report(failed);
        assert_eq!(failed.blockers[0].whys[1].title, "container web could not be started");
        assert!(failed.blockers[0].whys[1].evidence[1].text.starts_with("Docker says: driver failed"));
        let paused =
            Scene::local("127.0.0.1:8005").containers(vec![made().with(|c| c.status = ContainerStatus::Paused)]);
        assert!(paused.open().report().blockers.is_empty(), "open is open");
    }

    #[test]
    fn a_port_that_was_taken_is_looked_at_anew() {
        let error = "driver failed programming external connectivity: Bind for 0.0.0.0:8005 failed: port is already allocated";
        let created = |error: &str| {
            let created = made().exited(0).with(|c| (c.status, c.exit) = (ContainerStatus::Created, None));
            created.with(|c| c.error = Some(error.to_owned()))
        };
        let free = report(created(error));
        let (title, fixes) = (&free.blockers[0].whys[1].title, &free.blockers[0].fixes);
        assert_eq!(title, "container web could not be started: port 8005/tcp was taken, and is free now");
        assert_eq!(commands(&fixes[0].steps), ["docker start web"]);
        let held = |made| Scene::local("10.1.0.2:8005").listener("127.0.0.1:8005", "nginx").containers(vec![made]).rst().report();
        let blocker = held(created(error)).blockers.remove(0);
        assert_eq!(blocker.root, "container/stopped");
        assert_eq!(blocker.whys[1].title, "container web could not be started: nginx[800] has port 8005/tcp");
        assert!(blocker.fixes[0].title.starts_with("stop nginx[800], or"), "{:?}", blocker.fixes);
        // Another port of it was taken, or it ended by itself: who has the port was as likely meant.
        assert_eq!(held(created(&error.replace("8005", "80050"))).blockers[0].root, "listener/loopback-only");
        assert_eq!(held(made().exited(0)).blockers[0].root, "listener/loopback-only");
        let command = report(created("runc create failed: exec: \"/x\": stat /x: no such file or directory"));
        assert!(command.blockers[0].fixes[0].title.contains("it never ran, so it has no log"));
    }

    #[test]
    fn a_pod_is_started_whole_and_its_stopped_container_alone() {
        let infra = || Made::new("0123456789ab-infra").publish("8005:80").with(|c| c.id = "ab".repeat(32));
        let app = || {
            let app = Made::new("app").exited(0).with(|c| c.network_mode = NetworkMode::Container("ab".repeat(32)));
            app.with(|c| c.networks.clear())
        };
        let podman = |e: &mut unrefuse_facts::Engine| e.kind = EngineKind::Podman;
        let scene = |all| Scene::local("127.0.0.1:8005").containers(all).engine(podman);
        let whole = scene(vec![infra().exited(137), app()]).rst().report();
        assert!(whole.blockers[0].whys[1].title.starts_with("pod 0123456789ab ended"), "{:?}", whole.blockers[0].whys);
        assert_eq!(commands(&whole.blockers[0].fixes[0].steps), ["podman pod start 0123456789ab"]);
        let alone = scene(vec![infra(), app()]).listener("0.0.0.0:8005", "rootlessport");
        let closed = alone.attempt("127.0.0.1:8005", AttemptOutcome::ClosedOnAccept, None, None).report();
        assert_eq!(closed.blockers[0].root, "container/stopped");
        assert_eq!(commands(&closed.blockers[0].fixes[0].steps), ["podman start app"]);
    }

    #[test]
    fn a_loop_is_one_between_its_starts_too() {
        let looping = |status| {
            let made = made().exited(1).with(|c| (c.status, c.restarts, c.started_ms) = (status, 7, Some(1_179_000)));
            made.with(|c| {
                c.sockets = Scene::local("127.0.0.1:1").case().host.sockets;
                c.bound = c.published.clone();
            })
        };
        let waiting = report(looping(ContainerStatus::Restarting));
        assert_eq!(waiting.blockers[0].root, "container/stopped");
        assert_eq!(
            waiting.blockers[0].whys[1].title,
            "container web ends and is started again and again (7 times so far), each time with code 1"
        );
        let scene = Scene::local("127.0.0.1:8005").listener("0.0.0.0:8005", "docker-proxy");
        let scene = scene.containers(vec![looping(ContainerStatus::Running)]);
        let closed = scene.attempt("127.0.0.1:8005", AttemptOutcome::ClosedOnAccept, Some(Errno::ECONNRESET), None);
        assert_eq!(closed.roots(), ["container/stopped"]);
    }

    #[test]
    fn what_published_another_port_or_was_replaced_is_not_meant() {
        let other = Made::new("old").publish("8006:80").exited(0);
        assert_eq!(report(other).blockers[0].root, "listener/none");
        let two = vec![made().exited(0), Made::new("other").publish("8005:80").exited(0)];
        let report = Scene::local("127.0.0.1:8005").containers(two).rst().report();
        assert_eq!(report.blockers[0].certainty, Certainty::Possible);
        let replaced = vec![made().exited(0), made()];
        let roots = Scene::local("127.0.0.1:8005").containers(replaced).rst().roots();
        assert_ne!(roots, ["container/stopped"]);
    }
}

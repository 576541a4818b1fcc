//! container/app-on-loopback

use super::bind;
use super::fixes::remade;
use super::run::Change;
use super::state::{State, state};
use super::words;
use crate::View;
use crate::containers::{name, short, socket_evidence};
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Fix, Risk};
use crate::rule::cause;

cause! {
    /// ## What it means
    ///
    /// The application in the container listens on the container's own loopback address. Each container has a loopback
    /// interface of its own; what the engine sends comes in by another, and finds no socket.
    ///
    /// ## How it shows
    ///
    /// Inside, `localhost` answers. On the host by `localhost` the connection is made and closed at once, since
    /// docker-proxy accepts before it asks the container; by the host's own address and from other machines it is refused.
    ///
    /// ## How to confirm by hand
    ///
    /// `docker exec NAME ss -ltn`, or `nsenter -t PID -n ss -ltn`, shows `127.0.0.1:PORT` (or `[::1]:PORT`).
    ///
    /// ## How to fix
    ///
    /// Let the application listen on every address of its container: `--host 0.0.0.0`, `--bind 0.0.0.0`, `HOST=0.0.0.0`
    /// or what it is called there. Who reaches it is then decided by what is published: `-p 127.0.0.1:8080:80` keeps it
    /// to the host. Development servers bind loopback by default.
    ///
    /// ## What it is often mistaken for
    ///
    /// `container/published-loopback`, where the engine outside binds loopback. `container/other-container-port`.
    id: "container/app-on-loopback",
    title: "the application inside listens on the container's loopback",
    explains: &[
        "access/closed-on-accept",
        "access/proxied-to-nothing",
        "ingress/dnat-dead-end",
        "listener/none",
        "listener/loopback-only",
    ],
    begins: false,
    needs: &["containers", "sockets inside"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some((meant, State::AppOnLoopback(to, socket))) = state(view)? else { return Ok(Finding::Clear) };
    let container = meant.container;
    let Some(socket) = socket else {
        return Ok(on_hosts_loopback(view, &meant).fires());
    };
    let title = format!(
        "port {} of {} is listened on by {} only, its own loopback",
        words::port(to),
        name(container),
        socket.local
    );
    let mut fired = Fired::new(meant.certainty, title)
        .evidence(socket_evidence(container, socket))
        .evidence(words::described(meant.engine, container));
    fired.unknown.extend(meant.open());
    let process = container.sockets.value().and_then(|table| table.owners(socket).first().map(|p| p.command.as_str()));
    if let Some(command) = bind::everywhere(container, process, to.port) {
        let change = Change { command: Some(command), ..Change::default() };
        let title = format!("let {} listen on every address of its container", short(container));
        fired.fixes.push(remade(view, &meant, Risk::Medium, &title, &change));
    } else {
        let how = process.and_then(bind::option).map(|how| format!(" ({how})")).unwrap_or_default();
        let title = format!(
            "let the application in {} listen on 0.0.0.0 (or ::), in its arguments, environment or configuration{how}, and start it anew",
            short(container)
        );
        fired.fixes.push(Fix::new(view, Risk::Medium, title));
    }
    Ok(fired.fires())
}

/// With the host's network the loopback address is the host's.
fn on_hosts_loopback(view: &View<'_>, meant: &super::meant::Meant<'_>) -> Fired {
    let who = name(meant.container);
    let title = format!("{who} uses the host's network, and its application listens on loopback");
    let fix = format!("let the application in {who} listen on {} or on every address", view.endpoint());
    Fired::new(meant.certainty, title).evidence(words::described(meant.engine, meant.container)).fix(Fix::new(
        view,
        Risk::Medium,
        fix,
    ))
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::container::Made;
    use crate::testing::filter::commands;
    use unrefuse_facts::{AttemptOutcome, ContainerHint, Errno, NetworkMode};

    fn closed(made: Made) -> crate::Report {
        let scene = Scene::local("127.0.0.1:8003").listener("0.0.0.0:8003", "docker-proxy").containers(vec![made]);
        scene.attempt("127.0.0.1:8003", AttemptOutcome::ClosedOnAccept, Some(Errno::ECONNRESET), None).report()
    }

    fn made(words: &[&str]) -> Made {
        let command = words.iter().map(|word| (*word).to_owned()).collect();
        Made::new("app").publish("8003:80").listens("127.0.0.1:80", "httpd").with(|c| c.recipe.command = command)
    }

    #[test]
    fn the_word_that_binds_loopback_is_changed() {
        let report = closed(made(&["httpd", "-f", "-p", "127.0.0.1:80", "-h", "/www"]));
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("container/app-on-loopback", Certainty::Proven));
        assert_eq!(
            blocker.whys[1].title,
            "port 80/tcp of container app is listened on by 127.0.0.1:80 only, its own loopback"
        );
        assert_eq!(
            commands(&blocker.fixes[0].steps)[2],
            "docker run -d --name app -p 8003:80 nginx:1.25 httpd -f -p 0.0.0.0:80 -h /www"
        );
    }

    #[test]
    fn where_no_word_says_so_it_is_a_sentence() {
        let report = closed(made(&["sh", "-c", "httpd -f -p 127.0.0.1:80"]));
        assert_eq!(report.blockers[0].root, "container/app-on-loopback");
        assert!(report.blockers[0].fixes.iter().all(|fix| fix.steps.is_empty()));
        let url = closed(made(&["app", "--db", "postgres://127.0.0.1:80/x"]));
        assert!(url.blockers[0].fixes.iter().all(|fix| fix.steps.is_empty()));
    }

    #[test]
    fn with_the_hosts_network() {
        let made = Made::new("app").with(|c| c.network_mode = NetworkMode::Host);
        let hint = ContainerHint { engine: "docker".into(), id: "0123456789ab".into() };
        let scene = Scene::local("10.1.0.2:8003")
            .listener("127.0.0.1:8003", "node")
            .process(|p| p.running_as.container = Some(hint));
        let report = scene.containers(vec![made]).rst().report();
        assert_eq!(report.blockers[0].root, "container/app-on-loopback");
    }

    #[test]
    fn on_every_address_it_is_no_reason() {
        let well = Made::new("app").publish("8003:80").listens("0.0.0.0:80", "httpd").listens("127.0.0.1:80", "x");
        assert_ne!(closed(well).blockers[0].root, "container/app-on-loopback");
    }
}

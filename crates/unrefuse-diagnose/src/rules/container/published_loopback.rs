//! container/published-loopback

use super::fixes::publish;
use super::state::{NOT_TAKEN, State, state};
use super::words;
use crate::View;
use crate::containers::{name, source};
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::Evidence;
use crate::rule::cause;
use unrefuse_facts::AttemptOutcome;

cause! {
    /// ## What it means
    ///
    /// The container's port is published on a loopback address of the host only (`-p 127.0.0.1:8080:80`). The engine takes
    /// packets to that address and to no other.
    ///
    /// ## How it shows
    ///
    /// It answers on the host by `localhost`, and is refused by the host's own network address and from every other
    /// machine. `docker ps` shows `127.0.0.1:8080->80/tcp`.
    ///
    /// ## How to confirm by hand
    ///
    /// `docker port NAME`; `ss -ltnp 'sport = :PORT'` shows docker-proxy on 127.0.0.1.
    ///
    /// ## How to fix
    ///
    /// Publish it on the address that is asked, or on every address (`-p 8080:80`), in the compose file or with a new
    /// `docker run`. Loopback may be meant: a database, or a service behind a reverse proxy on the host. Published ports
    /// pass by ufw's rules, so what is published on every address is open to everybody.
    ///
    /// ## What it is often mistaken for
    ///
    /// `container/app-on-loopback`: there the application inside binds loopback, and not the engine outside. A firewall.
    id: "container/published-loopback",
    title: "the container's port is published on loopback only",
    explains: NOT_TAKEN,
    begins: false,
    needs: &["containers"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some((meant, State::PublishedLoopback(publications))) = state(view)? else { return Ok(Finding::Clear) };
    let container = meant.container;
    let title = format!(
        "{} has port {} published on {} only, not on {}",
        name(container),
        view.port(),
        words::host_addresses(&publications),
        view.endpoint()
    );
    let shown = publications.iter().map(words::publication).collect::<Vec<_>>().join(", ");
    let mut fired = Fired::new(meant.certainty, title)
        .predicts(&[AttemptOutcome::Refused])
        .evidence(Evidence::new(format!("{} publishes {shown}", name(container)), source(meant.engine)))
        .evidence(words::described(meant.engine, container));
    fired.unknown.extend(meant.open());
    if let Some(first) = publications.first() {
        fired.fixes = publish(view, &meant, first.container, Some(*first));
    }
    Ok(fired.fires())
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use crate::testing::container::Made;
    use crate::testing::filter::commands;

    fn scene(entry: &str, made: Made) -> Scene {
        let made = made.publish(entry).listens("0.0.0.0:80", "nginx");
        Scene::local("10.1.0.2:8002").listener("127.0.0.1:8002", "docker-proxy").containers(vec![made]).rst()
    }

    #[test]
    fn published_on_loopback_and_asked_by_the_network_address() {
        let report = scene("127.0.0.1:8002:80", Made::new("web")).report();
        assert_eq!(report.blockers.len(), 1);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("container/published-loopback", Certainty::Proven));
        assert_eq!(blocker.whys[0].id, "listener/loopback-only");
        assert_eq!(
            blocker.whys[1].title,
            "container web has port 8002/tcp published on 127.0.0.1 only, not on 10.1.0.2:8002"
        );
        let run = |n: usize| commands(&blocker.fixes[n].steps)[2];
        assert_eq!(run(0), "docker run -d --name web -p 127.0.0.1:8002:80 -p 10.1.0.2:8002:80 nginx:1.25");
        assert_eq!(run(1), "docker run -d --name web -p 8002:80 nginx:1.25");
        assert!(!blocker.fixes.iter().any(|fix| fix.title.contains("let docker-proxy")), "{:?}", blocker.fixes);
    }

    #[test]
    fn the_entry_of_the_compose_file_is_changed() {
        let made = Made::new("app-web-1").compose(&["    ports:", "      - \"127.0.0.1:8002:80\""]);
        let report = scene("127.0.0.1:8002:80", made).report();
        let Step::Edit { edit } = &report.blockers[0].fixes[1].steps[0] else { panic!() };
        assert_eq!((edit.line, edit.new.as_str()), (6, "      - \"8002:80\""));
        assert_eq!(edit.old, "      - \"127.0.0.1:8002:80\"");
    }

    #[test]
    fn without_a_proxy_nothing_listens_on_the_host() {
        let made = Made::new("web").publish("127.0.0.1:8002:80").listens("0.0.0.0:80", "nginx");
        let report = Scene::local("10.1.0.2:8002").containers(vec![made]).rst().report();
        let ids: Vec<&str> = report.blockers[0].whys.iter().map(|w| w.id.as_str()).collect();
        assert_eq!(ids, ["listener/none", "container/published-loopback"]);
    }

    #[test]
    fn a_process_of_the_host_on_loopback_is_its_own_matter() {
        let other = Made::new("web").publish("127.0.0.1:9000:80").listens("0.0.0.0:80", "nginx");
        let scene = Scene::local("10.1.0.2:8002").listener("127.0.0.1:8002", "redis-server").containers(vec![other]);
        assert_eq!(scene.rst().roots(), ["listener/loopback-only"]);
    }
}

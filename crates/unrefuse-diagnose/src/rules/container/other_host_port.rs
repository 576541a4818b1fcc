//! container/other-host-port

use super::fixes::publish;
use super::state::{State, state};
use super::words;
use crate::View;
use crate::containers::{Inside, inside, name, socket_evidence, source};
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::ask_instead;
use crate::report::Evidence;
use crate::rule::cause;
use std::net::SocketAddr;
use unrefuse_facts::{AttemptOutcome, PublishedPort};

cause! {
    /// ## What it means
    ///
    /// The container's port is published, on another port of the host than the one that is asked. In `-p 8080:80` the
    /// first number is the host's, the second the container's; `-P` and `ports: ["80"]` take any free port of the host.
    ///
    /// ## How it shows
    ///
    /// Connection refused on the asked port. `docker ps` shows `0.0.0.0:8080->80/tcp`.
    ///
    /// ## How to confirm by hand
    ///
    /// `docker port NAME` lists the container's ports, each with the host's.
    ///
    /// ## How to fix
    ///
    /// Ask the host's port that is published, or publish the asked one.
    ///
    /// ## What it is often mistaken for
    ///
    /// The two numbers of `-p` exchanged, which is `container/other-container-port`. `container/not-published`.
    id: "container/other-host-port",
    title: "the container is published on another port of the host",
    explains: &["listener/none", "listener/other-namespace", "listener/other-port"],
    begins: false,
    needs: &["containers"],
    likes: &["sockets inside"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some((meant, State::OtherHostPort(publication))) = state(view)? else { return Ok(Finding::Clear) };
    let (container, to) = (meant.container, publication.container);
    let Some(port) = publication.host_port else { return Ok(Finding::Clear) };
    let title = format!(
        "port {} of {} is published on port {port} of this host, not on {}",
        words::port(to),
        name(container),
        view.case.target.port
    );
    let mut fired = Fired::new(meant.certainty, title)
        .predicts(&[AttemptOutcome::Refused])
        .evidence(Evidence::new(
            format!("{} publishes {}", name(container), words::publication(&publication)),
            source(meant.engine),
        ))
        .evidence(words::described(meant.engine, container));
    if let Inside::Listens(socket) = inside(container, to.transport, to.port) {
        fired = fired.evidence(socket_evidence(container, socket));
    }
    fired.unknown.extend(meant.open());
    fired.fixes.extend(there(view, &publication).map(|address| ask_instead(view, address)));
    fired.fixes.extend(publish(view, &meant, to, None));
    Ok(fired.fires())
}

/// Where it is published, on the asked address where that is published.
fn there(view: &View<'_>, publication: &PublishedPort) -> Option<SocketAddr> {
    let ip = publication.host_address.filter(|ip| !ip.is_unspecified()).or(view.ip())?;
    Some(SocketAddr::new(ip, publication.host_port?))
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::container::Made;
    use crate::testing::filter::commands;

    fn scene(endpoint: &str, made: Made) -> Scene {
        Scene::local(endpoint).listener("0.0.0.0:8001", "docker-proxy").containers(vec![made]).rst()
    }

    #[test]
    fn the_containers_port_is_not_the_hosts() {
        let made = Made::new("web").publish("8001:80").listens("0.0.0.0:80", "nginx");
        let report = scene("127.0.0.1:80", made).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("container/other-host-port", Certainty::Likely));
        assert_eq!(
            blocker.whys[1].title,
            "port 80/tcp of container web is published on port 8001 of this host, not on 80"
        );
        assert_eq!(blocker.fixes[0].verify, "unrefuse 127.0.0.1:8001");
        assert_eq!(
            commands(&blocker.fixes[1].steps)[2],
            "docker run -d --name web -p 8001:80 -p 127.0.0.1:80:80 nginx:1.25"
        );
    }

    #[test]
    fn the_scheme_means_a_database_by_its_image() {
        let made = Made::new("pg")
            .publish("8001:5432")
            .listens("0.0.0.0:5432", "postgres")
            .with(|c| c.image = "docker.io/library/postgres:16".into());
        let report = scene("127.0.0.1:15432", made.clone()).with_scheme("postgresql").report();
        assert_eq!(report.blockers[0].root, "container/other-host-port");
        assert_eq!(scene("127.0.0.1:15432", made).roots(), ["listener/none"]);
    }

    #[test]
    fn a_web_servers_scheme_means_no_container() {
        let made = Made::new("web").publish("8001:80").listens("0.0.0.0:80", "nginx");
        assert_eq!(scene("127.0.0.1:7777", made).with_scheme("http").roots(), ["listener/none"]);
    }

    #[test]
    fn the_published_port_itself_and_a_port_of_nobody_are_silent() {
        let made = || Made::new("web").publish("8001:80").listens("0.0.0.0:80", "nginx");
        assert_eq!(scene("127.0.0.1:9999", made()).roots(), ["listener/none"]);
        let open = Scene::local("127.0.0.1:8001").listener("0.0.0.0:8001", "docker-proxy").containers(vec![made()]);
        assert!(open.open().roots().is_empty());
    }
}

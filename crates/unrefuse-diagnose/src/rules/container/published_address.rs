//! container/published-address

use super::fixes::publish;
use super::state::{NOT_TAKEN, State, state};
use super::words;
use crate::View;
use crate::containers::{name, source};
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::ask_instead;
use crate::report::Evidence;
use crate::rule::cause;
use std::net::SocketAddr;
use unrefuse_facts::{AttemptOutcome, PublishedPort};

cause! {
    /// ## What it means
    ///
    /// The container's port is published, but not on the address that is asked: on another address of the host, or for the
    /// other family only (`-p 0.0.0.0:8080:80` takes IPv4 and no IPv6).
    ///
    /// ## How it shows
    ///
    /// One of the host's addresses answers, the asked one refuses. `docker ps` names the address in front of the arrow.
    ///
    /// ## How to confirm by hand
    ///
    /// `docker port NAME`; `ss -ltnp 'sport = :PORT'` shows the address of docker-proxy.
    ///
    /// ## How to fix
    ///
    /// Ask the address that it is published on; or publish it on the asked one, too, or on all (`-p 8080:80`), in the
    /// compose file or with a new `docker run`.
    ///
    /// ## What it is often mistaken for
    ///
    /// `container/published-loopback`, where that address is the loopback one. `name/address-family`: the name has an
    /// address of a family that nothing serves.
    id: "container/published-address",
    title: "the container's port is published on another address only",
    explains: NOT_TAKEN,
    begins: false,
    needs: &["containers"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some((meant, State::PublishedAddress(publications))) = state(view)? else { return Ok(Finding::Clear) };
    let (container, asked) = (meant.container, view.ip());
    let any = |p: &&PublishedPort| p.host_address.is_some_and(|ip| ip.is_unspecified());
    let family = |v6: bool| if v6 { "IPv6" } else { "IPv4" };
    let place = match publications.iter().find(any).and_then(|p| p.host_address) {
        Some(ip) => format!("for {} only", family(ip.is_ipv6())),
        None => format!("on {} only", words::host_addresses(&publications)),
    };
    let title = format!("{} has port {} published {place}, not on {}", name(container), view.port(), view.endpoint());
    let shown: Vec<String> = publications
        .iter()
        .map(|p| {
            format!(
                "{}{}",
                p.host_address.filter(|ip| ip.is_unspecified()).map(|ip| format!("{ip} ")).unwrap_or_default(),
                words::publication(p)
            )
        })
        .collect();
    let mut fired = Fired::new(meant.certainty, title)
        .predicts(&[AttemptOutcome::Refused])
        .evidence(Evidence::new(format!("{} publishes {}", name(container), shown.join(", ")), source(meant.engine)))
        .evidence(words::described(meant.engine, container));
    fired.unknown.extend(meant.open());
    let concrete = publications
        .iter()
        .find_map(|p| Some(SocketAddr::new(p.host_address.filter(|ip| !ip.is_unspecified())?, p.host_port?)));
    fired.fixes.extend(
        concrete
            .filter(|there| asked.is_some_and(|ip| ip.is_loopback() || !there.ip().is_loopback()))
            .map(|there| ask_instead(view, there)),
    );
    if let Some(first) = publications.first() {
        fired.fixes.extend(publish(view, &meant, first.container, Some(*first)));
    }
    Ok(fired.fires())
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::container::Made;

    #[test]
    fn another_address_of_the_host() {
        let made = Made::new("web").publish("10.7.0.1:8002:80").listens("0.0.0.0:80", "nginx");
        let scene = Scene::local("10.1.0.2:8002").listener("10.7.0.1:8002", "docker-proxy").containers(vec![made]);
        let report = scene.rst().report();
        assert_eq!(report.blockers[0].root, "container/published-address");
        assert_eq!(
            report.blockers[0].whys[1].title,
            "container web has port 8002/tcp published on 10.7.0.1 only, not on 10.1.0.2:8002"
        );
        assert_eq!(report.blockers[0].fixes[0].verify, "unrefuse 10.7.0.1:8002");
    }

    #[test]
    fn the_other_family_only() {
        let made = Made::new("web").publish("0.0.0.0:8002:80").listens("0.0.0.0:80", "nginx");
        let scene = Scene::local("[fd01::2]:8002").listener("0.0.0.0:8002", "docker-proxy").containers(vec![made]);
        let report = scene.rst().report();
        assert_eq!(report.blockers[0].root, "container/published-address");
        assert!(report.blockers[0].whys[1].title.contains("published for IPv4 only"));
    }

    #[test]
    fn loopback_is_another_cause_and_every_address_is_none() {
        let roots = |entry: &str, held: &str| {
            let made = Made::new("web").publish(entry).listens("0.0.0.0:80", "nginx");
            Scene::local("10.1.0.2:8002").listener(held, "docker-proxy").containers(vec![made]).rst().roots()
        };
        assert_eq!(roots("127.0.0.1:8002:80", "127.0.0.1:8002"), ["container/published-loopback"]);
        assert!(!roots("8002:80", "0.0.0.0:8002").contains(&"container/published-address".to_owned()));
    }
}

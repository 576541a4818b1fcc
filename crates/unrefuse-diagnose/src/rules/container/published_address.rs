//! container/published-address

use super::fixes::publish;
use super::state::{NOT_TAKEN, State, state, without_v6};
use super::words;
use crate::View;
use crate::containers::{name, short, source};
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::ask_instead;
use crate::report::{Evidence, Fix, Risk};
use crate::rule::cause;
use std::net::{IpAddr, SocketAddr};
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
    let lacks_v6 = asked.is_some_and(|ip| ip.is_ipv6()) && without_v6(&meant);
    let place = match publications.iter().find(any).and_then(|p| p.host_address) {
        Some(ip) => format!("for {} only", family(ip.is_ipv6())),
        None if lacks_v6 => "for IPv4 only".to_owned(),
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
    let published_on = publications.iter().filter_map(|p| p.host_address.filter(|ip| !ip.is_unspecified()));
    let is_gone = |ip: &IpAddr| view.case.is_local(*ip) == Some(false);
    for gone in published_on.filter(is_gone) {
        fired = fired.evidence(Evidence::new(format!("{gone} is no address of this machine"), "rtnetlink"));
    }
    let concrete = publications
        .iter()
        .find_map(|p| Some(SocketAddr::new(p.host_address.filter(|ip| !ip.is_unspecified() && !is_gone(ip))?, p.host_port?)));
    if lacks_v6 {
        let title = format!(
            "ask an IPv4 address; or make {} anew in a network that has IPv6 (podman network create --ipv6)",
            short(container)
        );
        return Ok(fired.fix(Fix::new(view, Risk::Low, title)).fires());
    }
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
    use crate::testing::filter::commands;
    use unrefuse_facts::{EngineKind, InterfaceAddress, Observed};

    fn on_another(of_the_host: bool) -> crate::Report {
        let made = Made::new("web").publish("10.7.0.1:8002:80").listens("0.0.0.0:80", "nginx");
        let scene = Scene::local("10.1.0.2:8002").listener("10.7.0.1:8002", "docker-proxy").containers(vec![made]);
        let second = |case: &mut unrefuse_facts::Case| {
            if let Observed::Known { value, .. } = &mut case.host.addresses {
                let second = InterfaceAddress { address: "10.7.0.1".parse().unwrap(), ..value[0].clone() };
                value.extend(of_the_host.then_some(second));
            }
        };
        scene.with(second).rst().report()
    }

    #[test]
    fn an_address_that_the_host_has_no_more_is_not_asked() {
        let report = on_another(false);
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "container/published-address");
        assert!(blocker.whys[1].evidence.iter().any(|e| e.text == "10.7.0.1 is no address of this machine"));
        assert!(blocker.fixes.iter().all(|fix| !fix.verify.contains("10.7.0.1")), "{:?}", blocker.fixes);
        let runs = blocker.fixes.iter().filter_map(|fix| commands(&fix.steps).last().map(|run| (*run).to_owned()));
        let runs: Vec<String> = runs.collect();
        assert!(runs[0].contains("-p 10.1.0.2:8002:80") && !runs.concat().contains("10.7.0.1"), "{runs:?}");
    }

    #[test]
    fn podman_publishes_nothing_for_ipv6_where_the_container_has_none() {
        let asked = |v6: bool| {
            let made = Made::new("web").publish("8002:80").listens("[::]:80", "nginx");
            let made = made.with(|c| c.networks[0].addresses.extend(v6.then(|| std::net::IpAddr::from([0xfd77, 0, 0, 0, 0, 0, 0, 2]))));
            let scene = Scene::local("[::1]:8002").listener("0.0.0.0:8002", "conmon").containers(vec![made]);
            scene.engine(|e| e.kind = EngineKind::Podman).rst().report().blockers.remove(0)
        };
        let lacking = asked(false);
        assert_eq!(lacking.root, "container/published-address");
        assert!(lacking.whys[1].title.contains("published for IPv4 only"), "{:?}", lacking.whys);
        assert_ne!(asked(true).root, "container/published-address");
    }

    #[test]
    fn another_address_of_the_host() {
        let report = on_another(true);
        let asks = report.blockers[0].fixes.iter().filter(|fix| fix.verify == "unrefuse 10.7.0.1:8002").count();
        assert_eq!(asks, 1, "told once: {:?}", report.blockers[0].fixes);
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

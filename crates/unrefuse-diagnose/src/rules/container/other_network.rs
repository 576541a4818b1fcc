//! container/other-network

use super::run::{Cli, argument};
use super::words;
use crate::View;
use crate::containers::{self, is_up, name, network_owner, source};
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::text::visible;
use unrefuse_facts::{Container, ContainerFacts, Engine, NetworkMode};

cause! {
    /// ## What it means
    ///
    /// The client runs in a container, and what it asks for is a container that shares no network with it. Engines keep
    /// their networks apart: a name is known only on its own network, and packets from one to another are dropped (Docker's
    /// chains DOCKER-ISOLATION-STAGE-1 and -2). Each compose project has a network of its own.
    ///
    /// ## How it shows
    ///
    /// By name: the name is not found. By address: silence. From the host, both containers answer.
    ///
    /// ## How to confirm by hand
    ///
    /// `docker inspect -f '{{json .NetworkSettings.Networks}}' NAME` of both has no name in common.
    ///
    /// ## How to fix
    ///
    /// Put both on one network: `docker network connect NETWORK NAME`; in compose files the same `networks:`, one of them
    /// `external: true`. Or publish the port and ask the host.
    ///
    /// ## What it is often mistaken for
    ///
    /// A firewall on the way (`path/filtered`). A misspelt name (`name/not-found`). `container/not-published`: containers
    /// on one network need no published ports.
    id: "container/other-network",
    title: "the container asked for is on another network",
    explains: &["path/filtered", "name/not-found", "ingress/firewall-drop", "path/router-reject"],
    begins: false,
    needs: &["the container stood in", "containers"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(facts) = containers::known(view) else { return Ok(Finding::Clear) };
    let Some((engine, me)) = containers::stood_in(facts).and_then(|own| facts.find(&own.name)) else {
        return Ok(Finding::Clear);
    };
    let Some(me) = network_owner(facts, me).filter(|me| !me.networks.is_empty()) else { return Ok(Finding::Clear) };
    let (other, certainty) = match view.ip() {
        // Whether another rule of the host drops it as well was not judged from inside.
        Some(ip) => (containers::by_address(facts, ip).map(|(_, other)| other), Certainty::Likely),
        None => (by_name(facts, &view.case.target.host), Certainty::Proven),
    };
    let Some(other) = other.filter(|other| other.id != me.id && apart(me, other)) else { return Ok(Finding::Clear) };
    let title = format!(
        "{} is on network {}, and {} is not (it is on {})",
        name(other),
        networks(other),
        name(me),
        networks(me)
    );
    Ok(Fired::new(certainty, title)
        .evidence(Evidence::new(format!("networks of {}: {}", name(other), networks(other)), source(engine)))
        .evidence(Evidence::new(format!("networks of {}: {}", name(me), networks(me)), source(engine)))
        .evidence(words::described(engine, other))
        .fix(join(view, engine, me, other))
        .fires())
}

/// The running container that has that name on a network.
fn by_name<'a>(facts: &'a ContainerFacts, host: &str) -> Option<&'a Container> {
    let is = |name: &str| name.eq_ignore_ascii_case(host);
    let has = |c: &Container| {
        is(&c.name)
            || c.compose.as_ref().is_some_and(|compose| is(&compose.service))
            || c.networks.iter().flat_map(|network| &network.aliases).any(|alias| is(alias))
    };
    facts.all().map(|(_, c)| c).find(|c| is_up(c) && c.network_mode == NetworkMode::Bridge && has(c))
}

fn apart(me: &Container, other: &Container) -> bool {
    !other.networks.is_empty() && !other.networks.iter().any(|n| me.networks.iter().any(|own| own.name == n.name))
}

fn networks(container: &Container) -> String {
    container.networks.iter().map(|network| visible(&network.name)).collect::<Vec<_>>().join(", ")
}

fn join(view: &View<'_>, engine: &Engine, me: &Container, other: &Container) -> Option<Fix> {
    let cli = Cli::of(view, engine)?;
    // The default networks have no names.
    let named = |n: &&unrefuse_facts::ContainerNetwork| !matches!(n.name.as_str(), "bridge" | "podman");
    let Some(network) = other.networks.iter().find(named) else {
        let title = format!("put {} and {} on one network of their own", name(me), name(other));
        return Some(Fix::new(view, Risk::Medium, title));
    };
    let words = format!("{} {}", argument(&network.name)?, argument(&me.name)?);
    let title =
        format!("put {} on network {}, too: it then reaches all that is there", name(me), visible(&network.name));
    let fix = Fix::new(view, Risk::Medium, title);
    Some(
        fix.command(cli.run(&format!("network connect {words}"))?)
            .undo(cli.run(&format!("network disconnect {words}"))?)
            .persistent(),
    )
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::container::Made;
    use crate::testing::filter::commands;
    use unrefuse_facts::{NameError, Observed, OwnContainer};

    fn on(made: Made, network: &str, address: &str) -> Made {
        made.with(|c| {
            c.id = c.name.repeat(20);
            c.networks[0].name = network.into();
            c.networks[0].addresses = vec![address.parse().unwrap()];
        })
    }

    fn inside(scene: Scene, network: &str) -> Scene {
        let app = on(Made::new("app"), "front", "172.21.0.2");
        let web = on(Made::new("web").listens("0.0.0.0:80", "nginx"), network, "172.30.0.2");
        scene.containers(vec![app, web]).with(|case| {
            let Observed::Known { value, .. } = &mut case.host.containers else { unreachable!() };
            value.own = Some(OwnContainer { engine: Some("docker".into()), name: "app".into(), entered: true });
        })
    }

    #[test]
    fn by_address_it_is_silent() {
        let report = inside(Scene::remote("172.30.0.2:80").silent(), "back").report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "container/other-network");
        assert_eq!(
            blocker.whys[1].title,
            "container web is on network back, and container app is not (it is on front)"
        );
        assert_eq!(commands(&blocker.fixes[0].steps), ["docker network connect back app"]);
    }

    #[test]
    fn by_name_it_is_not_found() {
        let scene = || Scene::remote("172.30.0.2:80").unresolved("web", NameError::NotFound);
        let report = inside(scene(), "back").report();
        assert_eq!(report.blockers[0].root, "container/other-network");
        assert_eq!(report.blockers[0].whys[1].certainty, Certainty::Proven);
        let misspelt = Scene::remote("172.30.0.2:80").unresolved("wbe", NameError::NotFound);
        assert_eq!(inside(misspelt, "back").roots(), ["name/not-found"]);
    }

    #[test]
    fn on_one_network_it_is_another_matter() {
        assert_eq!(inside(Scene::remote("172.30.0.2:80").silent(), "front").roots(), ["path/filtered"]);
        let outside =
            Scene::remote("172.30.0.2:80").silent().containers(vec![on(Made::new("web"), "back", "172.30.0.2")]);
        assert_eq!(outside.roots(), ["path/filtered"]);
    }
}

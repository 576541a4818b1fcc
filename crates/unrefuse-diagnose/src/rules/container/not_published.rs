//! container/not-published

use super::fixes::publish;
use super::meant::Clue;
use super::own_macvlan::keeps_host_out;
use super::run::{Cli, argument};
use super::state::{State, state};
use super::words;
use crate::View;
use crate::containers::{self, Inside, inside, name};
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::ask_instead;
use crate::report::{Evidence, Fix, Risk};
use crate::rule::cause;
use std::net::SocketAddr;
use unrefuse_facts::{AttemptOutcome, Container, ContainerPort, NetworkMode, PublishedPort, Transport};

cause! {
    /// ## What it means
    ///
    /// The container runs and has the port, but the port is not published: no packet to an address of the host is sent on
    /// to it. `EXPOSE` in an image and `expose:` in a compose file publish nothing, they only document. A port that is
    /// published for TCP is not published for UDP.
    ///
    /// ## How it shows
    ///
    /// Connection refused on the host's port, while the container's own address answers on the host, and the service
    /// answers inside. `docker ps` shows `80/tcp` without an arrow.
    ///
    /// ## How to confirm by hand
    ///
    /// `docker port NAME` prints nothing for it; `docker exec NAME wget -O- localhost:PORT` answers.
    ///
    /// ## How to fix
    ///
    /// Publish it: `docker run -p HOSTPORT:PORT …`, or `ports: ["HOSTPORT:PORT"]` in the compose file and `docker compose
    /// up -d`. A container that exists cannot get a port; it is made anew. `127.0.0.1:HOSTPORT:PORT` publishes it for the
    /// host alone. Other containers need no published port: they ask the container's name.
    ///
    /// ## What it is often mistaken for
    ///
    /// A service that is down (`listener/none`): inside, it runs. `container/other-host-port`: published, on another port.
    id: "container/not-published",
    title: "the container's port is not published",
    explains: &["listener/none", "listener/other-namespace", "listener/other-protocol"],
    begins: false,
    needs: &["containers"],
    likes: &["sockets inside"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some((meant, State::NotPublished)) = state(view)? else { return Ok(Finding::Clear) };
    let (container, target) = (meant.container, view.case.target.port);
    let Some(transport) = view.transport() else { return Ok(Finding::Clear) };
    let (who, asked) = (name(container), view.port());
    let to = match meant.clue {
        Clue::OtherTransport(other) => ContainerPort { transport, ..other.container },
        Clue::Published => wanted(container, target, transport).unwrap_or(ContainerPort { port: target, transport }),
        Clue::Named(service) => {
            let own = service.ports.iter().find(|p| p.transport == transport);
            ContainerPort { port: own.map_or(target, |p| p.port), transport }
        }
        _ => ContainerPort { port: target, transport },
    };
    let within = inside(container, transport, to.port);
    let title = match (&meant.clue, &container.network_mode) {
        (Clue::OtherTransport(other), _) => {
            let only = other.container.transport.name();
            format!("{who} has port {target} published for {only} only, not for {}", transport.name())
        }
        (Clue::Published, NetworkMode::Host) => {
            format!("{who} uses the host's network, and {target} -> {} is not published there", words::port(to))
        }
        (Clue::Published, NetworkMode::Bridge) if container.networks.is_empty() => {
            format!("{who} is in no network, so {target} -> {} is not published", words::port(to))
        }
        (Clue::Published, NetworkMode::Bridge) => format!(
            "{who} is in a network that publishes nothing ({}), so {target} -> {} is not published",
            words::networks(container),
            words::port(to)
        ),
        (_, NetworkMode::None) => format!("{who} has no network: nothing reaches its port {}", words::port(to)),
        (_, NetworkMode::Other(network)) => format!(
            "port {} of {who} is not published: network {} publishes nothing",
            words::port(to),
            unrefuse_facts::text::visible(network)
        ),
        _ if matches!(within, Inside::Listens(_)) => {
            format!("{who} listens on {}, which is not published", words::port(to))
        }
        _ => format!("port {} of {who} is not published", words::port(to)),
    };
    let mut fired = Fired::new(meant.certainty, title)
        .predicts(&[AttemptOutcome::Refused])
        .evidence(words::described(meant.engine, container));
    match &within {
        Inside::Listens(socket) => fired = fired.evidence(containers::socket_evidence(container, socket)),
        Inside::Loopback(socket) => {
            let remark = "; it must listen on an address that others reach, too";
            let mut evidence = containers::socket_evidence(container, socket);
            evidence.text.push_str(remark);
            fired = fired.evidence(evidence);
        }
        Inside::Other(others) if !others.is_empty() => {
            let text = format!("inside it listens on {}", words::sockets(container, others));
            fired = fired.evidence(Evidence::new(text, "sockets of its network namespace"));
        }
        _ => {}
    }
    if container.exposed.contains(&to) {
        let text = format!(
            "{who} exposes {}, which documents the port and opens nothing ({asked} of the host)",
            words::port(to)
        );
        fired = fired.evidence(Evidence::new(text, containers::source(meant.engine)));
    }
    fired.unknown.extend(meant.open());
    match (&meant.clue, &container.network_mode) {
        (Clue::Published, NetworkMode::Host) => {
            let text = "with --network host `-p` is discarded: the application listens on the host's own ports";
            let there = view.ip().filter(|_| to.port != target).map(|ip| ask_instead(view, SocketAddr::new(ip, to.port)));
            let title = format!("run {} anew without --network host, so that -p counts", containers::short(container));
            return Ok(fired
                .evidence(Evidence::new(text, "docker-run(1)"))
                .fix(there)
                .fix(Fix::new(view, Risk::Medium, title))
                .fires());
        }
        (Clue::Published, NetworkMode::Bridge) => return Ok(fired.fix(into_bridge(view, &meant)).fires()),
        _ => {}
    }
    if !matches!(container.network_mode, NetworkMode::Bridge | NetworkMode::User(_)) {
        let title = "give the container a network that can publish ports (--network bridge), and publish it with -p";
        return Ok(fired.fix(own_address(view, &meant, to)).fix(Fix::new(view, Risk::Medium, title)).fires());
    }
    fired.fixes = publish(view, &meant, to, None);
    Ok(fired.fix(own_address(view, &meant, to)).fires())
}

/// The container's port that was to get the host's.
fn wanted(container: &Container, target: u16, transport: Transport) -> Option<ContainerPort> {
    let its = |p: &&PublishedPort| p.host_port == Some(target) && p.container.transport == transport;
    container.published.iter().find(its).map(|p| p.container)
}

/// The engine's default network, which publishes what the container asked for as soon as it is in it.
fn into_bridge(view: &View<'_>, meant: &super::meant::Meant<'_>) -> Option<Fix> {
    let cli = Cli::of(view, meant.engine)?;
    let name = argument(&meant.container.name)?;
    let title = format!("put {} into the network bridge, too", containers::short(meant.container));
    Some(
        Fix::new(view, Risk::Medium, title)
            .command(cli.run(&format!("network connect bridge {name}"))?)
            .undo(cli.run(&format!("network disconnect bridge {name}"))?)
            .persistent(),
    )
}

/// The container's own address, where this machine reaches it.
fn own_address(view: &View<'_>, meant: &super::meant::Meant<'_>, to: ContainerPort) -> Option<Fix> {
    if meant.engine.rootless_uid.is_some() || view.judged_only() {
        return None;
    }
    let same_family = |ip: &&std::net::IpAddr| view.ip().is_some_and(|asked| asked.is_ipv4() == ip.is_ipv4());
    let addresses = containers::addresses(meant.container);
    let ip = *addresses.iter().find(same_family)?;
    if keeps_host_out(meant.container) {
        let title = format!("ask {} from another machine: this one does not reach it", SocketAddr::new(ip, to.port));
        return Some(Fix::new(view, Risk::Low, title));
    }
    let mut fix = ask_instead(view, SocketAddr::new(ip, to.port));
    fix.title = format!(
        "from this host only: ask {}, the container's own address until its next start",
        SocketAddr::new(ip, to.port)
    );
    Some(fix)
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use crate::testing::container::Made;
    use crate::testing::filter::commands;
    use crate::testing::service::unit;
    use unrefuse_facts::{ActiveState, AttemptOutcome, EngineKind, NetworkMode, Protocol};

    fn scene(made: Made) -> Scene {
        Scene::local("127.0.0.1:80").containers(vec![made]).rst()
    }

    #[test]
    fn it_listens_inside_and_nothing_leads_to_it() {
        let report = scene(Made::new("web").listens("0.0.0.0:80", "nginx")).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("container/not-published", Certainty::Likely));
        assert_eq!(blocker.whys[1].title, "container web listens on 80/tcp, which is not published");
        assert_eq!(
            commands(&blocker.fixes[0].steps),
            [
                "docker stop web",
                "docker rename web web-before",
                "docker run -d --name web -p 127.0.0.1:80:80 nginx:1.25"
            ]
        );
        assert_eq!(
            commands(&blocker.fixes[0].undo),
            ["docker rm -f web", "docker rename web-before web", "docker start web"]
        );
        assert_eq!(commands(&blocker.fixes[1].steps)[2], "docker run -d --name web -p 80:80 nginx:1.25");
    }

    #[test]
    fn the_environment_is_taken_over_unseen() {
        let made = Made::new("db").listens("0.0.0.0:80", "x").with(|c| {
            c.recipe.environment = vec!["POSTGRES_PASSWORD".into()];
            c.recipe.arguments = vec!["-v".into(), "my data:/data".into()];
            c.recipe.command = vec!["httpd".into(), "-f".into()];
        });
        let report = scene(made).report();
        assert_eq!(
            commands(&report.blockers[0].fixes[0].steps),
            [
                "( umask 077; docker inspect -f '{{range .Config.Env}}{{println .}}{{end}}' db >/run/unrefuse-db.env )",
                "docker stop db",
                "docker rename db db-before",
                "docker run -d --name db -v 'my data:/data' --env-file /run/unrefuse-db.env -p 127.0.0.1:80:80 nginx:1.25 httpd -f",
                "rm /run/unrefuse-db.env"
            ]
        );
    }

    #[test]
    fn what_a_run_line_would_lose_gives_no_command() {
        let made = Made::new("web").listens("0.0.0.0:80", "x").with(|c| c.recipe.incomplete = vec!["sysctls".into()]);
        let report = scene(made).report();
        let fix = &report.blockers[0].fixes[0];
        assert!(fix.steps.is_empty());
        assert!(fix.title.contains("with -p 127.0.0.1:80:80") && fix.title.contains("(sysctls)"), "{}", fix.title);
        let hostile = Made::new("web").listens("0.0.0.0:80", "x").with(|c| c.image = "x\u{1b}[2J".into());
        let image = Made::new("web").listens("0.0.0.0:80", "x").with(|c| c.image = "--privileged".into());
        let option = Made::new("-v/:/x").listens("0.0.0.0:80", "x");
        let path =
            Made::new("../../etc/x").listens("0.0.0.0:80", "x").with(|c| c.recipe.environment = vec!["A".into()]);
        let unit = Made::new("web").listens("0.0.0.0:80", "x");
        let unit = unit.with(|c| c.recipe.arguments = vec!["--label".into(), "PODMAN_SYSTEMD_UNIT=web.service".into()]);
        for made in [hostile, image, option, path, unit] {
            let report = scene(made).report();
            assert!(report.blockers[0].fixes.iter().all(|fix| fix.steps.is_empty()), "{:?}", report.blockers[0].fixes);
        }
    }

    #[test]
    fn a_compose_file_is_changed_where_it_stands() {
        let made =
            Made::new("app-web-1").listens("0.0.0.0:80", "nginx").compose(&["    ports:", "      - \"443:443\""]);
        let report = scene(made).report();
        let fix = &report.blockers[0].fixes[0];
        let Step::Edit { edit } = &fix.steps[0] else { panic!("{fix:?}") };
        assert_eq!((edit.path.as_str(), edit.line), ("/srv/app/compose.yaml", 6));
        assert_eq!((edit.old.as_str(), edit.new.as_str()), ("", "      - \"127.0.0.1:80:80\""));
        assert_eq!(
            commands(&fix.steps[1..]),
            ["docker compose -p app --project-directory /srv/app -f /srv/app/compose.yaml up -d web"]
        );
        let without = Made::new("app-web-1").listens("0.0.0.0:80", "nginx").compose(&[]);
        let report = scene(without).report();
        let Step::Edit { edit } = &report.blockers[0].fixes[1].steps[0] else { panic!() };
        assert_eq!((edit.line, edit.new.as_str()), (4, "    ports: [\"80:80\"]"));
    }

    #[test]
    fn both_addresses_of_localhost_are_published_at_once() {
        let web = Made::new("web").listens("0.0.0.0:80", "nginx");
        let scene = Scene::local("[::1]:80").named("localhost", &["[::1]:80", "127.0.0.1:80"]).containers(vec![web]);
        let report = scene.rst().attempt("127.0.0.1:80", AttemptOutcome::Refused, None, None).report();
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        let runs: Vec<&str> =
            report.blockers[0].fixes.iter().filter_map(|fix| commands(&fix.steps).get(2).copied()).collect();
        assert_eq!(
            runs,
            [
                "docker run -d --name web -p 127.0.0.1:80:80 -p '[::1]:80:80' nginx:1.25",
                "docker run -d --name web -p 80:80 nginx:1.25"
            ]
        );
    }

    #[test]
    fn published_for_the_other_transport() {
        let made = Made::new("dns").publish("53:53").listens("0.0.0.0:53", "named");
        let udp = |c: &mut unrefuse_facts::Case| c.target.protocol = Protocol::Udp;
        let scene = Scene::local("10.1.0.2:53").listener("0.0.0.0:53", "docker-proxy").containers(vec![made]);
        let report = scene.with(udp).rst().report();
        assert_eq!(report.blockers[0].root, "container/not-published");
        assert!(report.blockers[0].fixes[0].steps.iter().any(|s| format!("{s:?}").contains("-p 10.1.0.2:53:53/udp")));
    }

    #[test]
    fn what_was_to_be_published_and_is_not() {
        let asked = |change: &dyn Fn(&mut unrefuse_facts::Container)| {
            let made = Made::new("web").publish("80:8080").listens("0.0.0.0:8080", "nginx");
            let made = made.with(|c| {
                c.bound.clear();
                change(c);
            });
            scene(made).report().blockers.remove(0)
        };
        let hosts = asked(&|c| c.network_mode = NetworkMode::Host);
        assert_eq!((hosts.root.as_str(), hosts.certainty), ("container/not-published", Certainty::Proven));
        assert_eq!(hosts.whys[1].title, "container web uses the host's network, and 80 -> 8080/tcp is not published there");
        assert_eq!(hosts.fixes[0].verify, "unrefuse 127.0.0.1:8080");
        let none = asked(&|c| c.network_mode = NetworkMode::None);
        assert!(none.whys[1].title.starts_with("container web has no network"), "{:?}", none.whys);
        let inner = asked(&|c| c.networks[0].name = "inner".into());
        assert!(inner.whys[1].title.contains("a network that publishes nothing (inner)"), "{:?}", inner.whys);
        assert_eq!(commands(&inner.fixes[0].steps), ["docker network connect bridge web"]);
        let nowhere = asked(&|c| c.networks.clear());
        assert!(nowhere.whys[1].title.starts_with("container web is in no network"), "{:?}", nowhere.whys);
    }

    #[test]
    fn a_pod_gets_no_port_by_a_run_line() {
        let infra = Made::new("0123456789ab-infra").listens("0.0.0.0:80", "nginx");
        let report = scene(infra).engine(|e| e.kind = EngineKind::Podman).report();
        let fix = &report.blockers[0].fixes[0];
        assert!(fix.steps.is_empty() && fix.title.contains("make the pod and its containers anew"), "{fix:?}");
    }

    #[test]
    fn of_several_none_is_claimed_and_a_service_goes_first() {
        let two = vec![Made::new("a").listens("0.0.0.0:80", "x"), Made::new("b").listens("0.0.0.0:80", "x")];
        let report = Scene::local("127.0.0.1:80").containers(two).rst().report();
        assert_eq!(report.blockers[0].certainty, Certainty::Possible);
        assert!(report.unknown.iter().any(|u| u.what == "which container was meant: a or b"), "{:?}", report.unknown);
        let nginx = unit("nginx.service", ActiveState::Inactive, "dead");
        let roots = scene(Made::new("web").listens("0.0.0.0:80", "nginx")).units(vec![nginx]).roots();
        assert_eq!(roots, ["service/stopped"]);
    }

    #[test]
    fn a_users_engine_publishes_no_low_port() {
        let made = || Made::new("web").listens("0.0.0.0:80", "nginx").with(|c| c.networks[0].addresses.clear());
        let rootless = |endpoint: &str, made: Made| {
            let scene = Scene::local(endpoint).containers(vec![made]).rst();
            let user = |e: &mut unrefuse_facts::Engine| (e.kind, e.rootless_uid) = (EngineKind::Podman, Some(1000));
            scene.engine(user).report().blockers.remove(0)
        };
        let low = rootless("127.0.0.1:80", made());
        assert_eq!(low.root, "container/not-published");
        assert!(low.fixes.iter().all(|fix| fix.steps.is_empty()), "{:?}", low.fixes);
        let high = rootless("127.0.0.1:8080", Made::new("web").listens("0.0.0.0:8080", "nginx"));
        assert_eq!(
            commands(&high.fixes[0].steps)[0],
            "runuser -l \"$(id -nu 1000)\" -c 'export XDG_RUNTIME_DIR=/run/user/1000; podman stop web'"
        );
    }

    #[test]
    fn other_ports_and_other_networks_are_no_reason() {
        assert_eq!(
            scene(Made::new("web").listens("0.0.0.0:9999", "x").with(|c| c.image = "x".into())).roots(),
            ["listener/none"]
        );
        let hosts = Made::new("web").with(|c| c.network_mode = NetworkMode::Host);
        assert_eq!(scene(hosts).roots(), ["listener/none"]);
    }
}

//! Containers in scenes.

use super::Scene;
use unrefuse_facts::*;

/// A container under construction: `nginx:1.25`, running, at 172.17.0.2, without ports.
#[derive(Debug, Clone)]
pub(crate) struct Made(Container);

impl Made {
    pub(crate) fn new(name: &str) -> Self {
        let network = ContainerNetwork {
            name: "bridge".into(),
            addresses: vec!["172.17.0.2".parse().unwrap()],
            gateways: vec!["172.17.0.1".parse().unwrap()],
            aliases: Vec::new(),
        };
        let table = SocketTable {
            holders: Observed::known(Default::default(), Source::running("/proc")),
            ..Default::default()
        };
        Self(Container {
            id: "0123456789abcdef".repeat(4),
            name: name.into(),
            image: "nginx:1.25".into(),
            command: Vec::new(),
            status: ContainerStatus::Running,
            exit: None,
            error: None,
            pid: Some(4000),
            started_ms: Some(1_000_000),
            restarts: 0,
            restart_policy: Some("no".into()),
            health: None,
            network_mode: NetworkMode::Bridge,
            published: Vec::new(),
            bound: Vec::new(),
            publish_all: false,
            exposed: Vec::new(),
            networks: vec![network],
            compose: None,
            recipe: Recipe::default(),
            sockets: Observed::known(table, Source::running("inet_diag")),
            addresses: Observed::default(),
            log: Observed::default(),
        })
    }
    /// `-p`: `8080:80`, `127.0.0.1:8080:80`, bound so by the engine.
    pub(crate) fn publish(mut self, entry: &str) -> Self {
        let mut parts = entry.rsplitn(3, ':');
        let port = parts.next().unwrap().parse().unwrap();
        let published = PublishedPort {
            container: ContainerPort { port, transport: Transport::Tcp },
            host_port: Some(parts.next().unwrap().parse().unwrap()),
            host_address: parts.next().map(|ip| ip.trim_matches(['[', ']']).parse().unwrap()),
        };
        self.0.published.push(published);
        self.0.bound.push(published);
        self
    }
    /// A TCP listener inside.
    pub(crate) fn listens(mut self, local: &str, command: &str) -> Self {
        let inside = Scene::local("127.0.0.1:1").listener(local, command).case().host.sockets;
        let (Observed::Known { value: table, .. }, Observed::Known { value: new, .. }) = (&mut self.0.sockets, inside)
        else {
            panic!("the container's sockets are not known")
        };
        let listeners = table.listeners.drain(..).chain(new.listeners).collect();
        *table = SocketTable { listeners, ..new };
        self
    }
    /// It ended with that code, a minute after it started.
    pub(crate) fn exited(mut self, code: i32) -> Self {
        self.0.status = ContainerStatus::Exited;
        self.0.exit = Some(ContainerExit { code, out_of_memory: false, at_ms: Some(1_060_000) });
        self.0.bound.clear();
        self.0.pid = None;
        self.0.networks[0].addresses.clear();
        self.0.sockets = Observed::default();
        self
    }
    /// Made by the service `web` on line 3 of /srv/app/compose.yaml, with those lines from line 5 on as its `ports:`.
    pub(crate) fn compose(mut self, ports: &[&str]) -> Self {
        let at = |line| Location { path: "/srv/app/compose.yaml".into(), line };
        let line = |(index, text): (usize, &&str)| {
            let value = text.find("- \"").map(|start| (start + 3, text.len() - 1));
            ConfigLine { location: at(index as u32 + 5), text: (*text).to_owned(), value }
        };
        self.0.compose = Some(ComposeService {
            project: "app".into(),
            service: "web".into(),
            directory: Some("/srv/app".into()),
            files: vec!["/srv/app/compose.yaml".into()],
            service_line: Some(at(3)),
            ports_line: (!ports.is_empty()).then(|| at(5)),
            ports: ports.iter().enumerate().map(line).collect(),
            key_indent: Some("    ".into()),
        });
        self
    }
    /// What a function says of it.
    pub(crate) fn container<T>(&self, of: impl FnOnce(&Container) -> T) -> T {
        of(&self.0)
    }
    /// Anything else.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Container)) -> Self {
        change(&mut self.0);
        self
    }
}

impl Scene {
    /// Docker with those containers; it is 1,180,000 ms after 1970.
    pub(crate) fn containers(self, made: Vec<Made>) -> Self {
        let containers: Vec<Container> = made.into_iter().map(|made| made.0).collect();
        let engine = Engine {
            kind: EngineKind::Docker,
            socket: "/run/docker.sock".into(),
            rootless_uid: None,
            installed: Some("/usr/bin/dockerd".into()),
            running: Some(true),
            version: Some("20.10.24".into()),
            total: containers.len() as u32,
            containers: Observed::known(containers, Source::running("/run/docker.sock")),
        };
        let facts = ContainerFacts { now_ms: 1_180_000, engines: vec![engine], own: None };
        self.with(|case| case.host.containers = Observed::known(facts, Source::running("container engines")))
    }
    /// Its engine, changed to taste.
    pub(crate) fn engine(self, change: impl FnOnce(&mut Engine)) -> Self {
        self.with(|case| {
            let Observed::Known { value, .. } = &mut case.host.containers else {
                panic!("the scene has no containers")
            };
            change(&mut value.engines[0]);
        })
    }
}

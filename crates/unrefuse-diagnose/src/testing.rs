//! Scenes for tests: cases built in a few words.

pub(crate) mod container;
pub(crate) mod filter;
pub(crate) mod service;

use std::net::SocketAddr;
use std::time::Duration;
use unrefuse_facts::*;

/// A case under construction. This machine is 10.1.0.2 and fd01::2 on eth0 (index 2), lo is index 1.
pub(crate) struct Scene {
    case: Case,
}

impl Scene {
    /// A target at another machine, `10.9.0.1:80`; the attempt is still to be said.
    pub(crate) fn remote(endpoint: &str) -> Self {
        Self::new(endpoint)
    }
    /// A target at this machine (`127.0.0.1:80`, `10.1.0.2:80`).
    pub(crate) fn local(endpoint: &str) -> Self {
        let mut scene = Self::new(endpoint);
        scene.case.host.sockets = Observed::known(
            SocketTable {
                holders: Observed::known(Default::default(), Source::running("/proc")),
                ..Default::default()
            },
            Source::running("inet_diag"),
        );
        scene
    }
    fn new(endpoint: &str) -> Self {
        let address: SocketAddr = endpoint.parse().unwrap();
        let link = |index, name: &str| Link {
            index,
            name: name.into(),
            up: true,
            carrier: true,
            loopback: name == "lo",
            operstate: "UP".into(),
            kind: None,
            master: None,
            mtu: 1500,
        };
        let own = |link, address: &str, prefix| InterfaceAddress {
            link,
            address: address.parse().unwrap(),
            prefix,
            tentative: false,
        };
        let netlink = || Source::running("rtnetlink");
        let host = Host {
            hostname: Observed::known("here".into(), Source::running("gethostname")),
            links: Observed::known(vec![link(1, "lo"), link(2, "eth0")], netlink()),
            addresses: Observed::known(
                vec![own(1, "127.0.0.1", 8), own(1, "::1", 128), own(2, "10.1.0.2", 24), own(2, "fd01::2", 64)],
                netlink(),
            ),
            own: SelfFacts { uid: 0, capabilities: vec!["NET_ADMIN".into(), "NET_RAW".into()], ..Default::default() },
            other_namespaces: Observed::known(Vec::new(), Source::running("/proc")),
            ..Default::default()
        };
        let target = Target {
            input: endpoint.into(),
            host: address.ip().to_string(),
            scope: None,
            port: address.port(),
            protocol: Protocol::Tcp,
            scheme: None,
        };
        let vantage = Vantage {
            kind: VantageKind::Local,
            host: "here".into(),
            privileged: true,
            from: None,
            netns: None,
            container: None,
            container_pid: None,
            family: None,
        };
        let resolution = Resolution { result: Ok(vec![address]), detail: None, elapsed: Duration::ZERO };
        let case = Case {
            target,
            vantage,
            resolution,
            attempts: Vec::new(),
            hidden_attempts: Vec::new(),
            routing: Vec::new(),
            way_back: None,
            other_ports: Observed::default(),
            proxy: Observed::known(None, Source::running("environment")),
            elsewhere: Observed::default(),
            link_filters: Observed::default(),
            firewall: Observed::default(),
            host,
        };
        Self { case }.routed()
    }
    /// A route out of eth0 via 10.1.0.254 (lo for local targets) to every address that has none yet.
    fn routed(mut self) -> Self {
        let addresses = self.case.resolution.result.clone().unwrap_or_default();
        for address in addresses {
            let ip = address.ip();
            if self.case.routing(ip).is_some() {
                continue;
            }
            let local = self.case.is_local(ip) == Some(true);
            let route = Route {
                kind: if local { RouteKind::Local } else { RouteKind::Unicast },
                destination: if ip.is_ipv4() { "0.0.0.0".parse().unwrap() } else { "::".parse().unwrap() },
                prefix: 0,
                gateway: (!local && ip.is_ipv4()).then(|| "10.1.0.254".parse().unwrap()),
                link: Some(if local { 1 } else { 2 }),
                source: None,
                table: 254,
                metric: 0,
                dead: false,
            };
            self.case.routing.push(Routing {
                destination: ip,
                decision: Observed::known(RouteDecision::Via(route), Source::running("RTM_GETROUTE")),
                alternatives: Observed::default(),
                neighbour: Observed::default(),
                claimants: Observed::default(),
                rule: None,
                mark: None,
            });
        }
        self
    }
    /// The name that was asked for, with the addresses it gave; the first one is the one of the scene.
    pub(crate) fn named(mut self, name: &str, addresses: &[&str]) -> Self {
        self.case.target.host = name.into();
        self.case.target.input = format!("{name}:{}", self.case.target.port);
        self.case.resolution.result = Ok(addresses.iter().map(|a| a.parse().unwrap()).collect());
        self.routed()
    }
    /// An attempt to `endpoint` that ended so.
    pub(crate) fn attempt(
        mut self,
        endpoint: &str,
        outcome: AttemptOutcome,
        errno: Option<Errno>,
        answer: Option<Answer>,
    ) -> Self {
        let address = endpoint.parse().unwrap();
        let round = self.case.attempts.iter().filter(|a| a.address == address).count() as u32;
        let elapsed = Duration::from_millis(1);
        self.case.attempts.push(Attempt {
            address,
            round,
            outcome,
            errno,
            answer,
            local: None,
            elapsed,
            given_up: None,
        });
        self
    }
    fn own_endpoint(&self) -> String {
        self.case.resolution.result.as_ref().unwrap()[0].to_string()
    }
    /// The scene's address refused with that answer.
    pub(crate) fn refused(self, answer: Answer) -> Self {
        let endpoint = self.own_endpoint();
        self.attempt(&endpoint, AttemptOutcome::Refused, Some(Errno::ECONNREFUSED), Some(answer))
    }
    /// The scene's address refused with a plain RST of which no more was seen.
    pub(crate) fn rst(self) -> Self {
        self.refused(Answer::bare(AnswerKind::Rst))
    }
    /// The scene's address did not answer.
    pub(crate) fn silent(self) -> Self {
        let endpoint = self.own_endpoint();
        self.attempt(&endpoint, AttemptOutcome::TimedOut, None, None)
    }
    /// The scene's address is open.
    pub(crate) fn open(self) -> Self {
        let endpoint = self.own_endpoint();
        self.attempt(&endpoint, AttemptOutcome::Open, None, Some(Answer::bare(AnswerKind::Accept)))
    }
    /// A TCP listener of this machine, held by a process of that name.
    pub(crate) fn listener(self, local: &str, command: &str) -> Self {
        self.socket(local, command, |_| {})
    }
    /// The same, changed to taste (UDP, v6only, device, queues).
    pub(crate) fn socket(mut self, local: &str, command: &str, change: impl FnOnce(&mut Socket)) -> Self {
        let Observed::Known { value: table, .. } = &mut self.case.host.sockets else {
            panic!("the scene has no socket table")
        };
        let local: SocketAddr = local.parse().unwrap();
        let inode = 1000 + table.listeners.len() as u64;
        let pid = 800 + table.listeners.len() as u32;
        let mut socket = Socket {
            transport: Transport::Tcp,
            state: SocketState::Listen,
            local,
            remote: None,
            inode,
            uid: 0,
            v6only: local.is_ipv6().then_some(false),
            device: None,
            recv_queue: 0,
            send_queue: Some(128),
            md5: Some(false),
            cgroup: None,
        };
        change(&mut socket);
        table.listeners.push(socket);
        if let Observed::Known { value: holders, .. } = &mut table.holders {
            holders.insert(inode, vec![Holder { pid, fd: 3 }]);
        }
        table.processes.insert(pid, process(pid, command));
        self
    }
    /// The last listener's process, changed to taste.
    pub(crate) fn process(mut self, change: impl FnOnce(&mut Process)) -> Self {
        let Observed::Known { value: table, .. } = &mut self.case.host.sockets else {
            panic!("the scene has no socket table")
        };
        change(table.processes.values_mut().next_back().expect("a listener comes first"));
        self
    }
    /// A local refusal of the scene's address: the kernel of this machine says `errno` at once.
    pub(crate) fn local_error(self, errno: Errno) -> Self {
        let outcome = match errno {
            Errno::EACCES | Errno::EPERM => AttemptOutcome::Denied,
            _ => AttemptOutcome::Unreachable,
        };
        let endpoint = self.own_endpoint();
        self.attempt(&endpoint, outcome, Some(errno), Some(Answer::bare(AnswerKind::Local)))
    }
    /// The kernel's decision for the scene's address, in place of the usual one.
    pub(crate) fn decided(mut self, decision: RouteDecision) -> Self {
        self.case.routing[0].decision = Observed::known(decision, Source::running("RTM_GETROUTE"));
        self
    }
    /// The other entries that cover the scene's address.
    pub(crate) fn alternatives(mut self, routes: &[Route]) -> Self {
        self.case.routing[0].alternatives = Observed::known(routes.to_vec(), Source::running("RTM_GETROUTE dump"));
        self
    }
    /// What the kernel knows of the neighbour that the packet must be handed to.
    pub(crate) fn neighbour(mut self, link: u32, state: NeighbourState) -> Self {
        let address = self.case.routing[0].destination;
        let neighbour = Neighbour { address, link, state, lladdr: None, probes: 3 };
        self.case.routing[0].neighbour = Observed::known(neighbour, Source::running("RTM_GETNEIGH"));
        self
    }
    /// One more link.
    pub(crate) fn link(mut self, index: u32, name: &str, kind: Option<&str>, change: impl FnOnce(&mut Link)) -> Self {
        let Observed::Known { value: links, .. } = &mut self.case.host.links else { panic!("the scene has no links") };
        let mut link = links[1].clone();
        (link.index, link.name, link.kind) = (index, name.into(), kind.map(str::to_owned));
        change(&mut link);
        links.push(link);
        self
    }
    /// A kernel setting.
    pub(crate) fn sysctl(mut self, name: &str, value: &str) -> Self {
        self.case.host.sysctls.insert(name.into(), Observed::known(value.into(), Source::running("/proc/sys")));
        self
    }
    /// The name that was asked for did not resolve.
    pub(crate) fn unresolved(mut self, name: &str, error: NameError) -> Self {
        self.case.target.host = name.into();
        self.case.target.input = format!("{name}:{}", self.case.target.port);
        self.case.resolution.result = Err(error);
        self.case.routing.clear();
        self
    }
    /// Lines of /etc/hosts, each with an address and names.
    pub(crate) fn hosts(mut self, lines: &[&str]) -> Self {
        let entry = |(index, text): (usize, &&str)| {
            let mut words = text.split('#').next().unwrap_or_default().split_whitespace();
            HostsEntry {
                address: words.next().unwrap().parse().unwrap(),
                names: words.map(str::to_owned).collect(),
                location: Location { path: "/etc/hosts".into(), line: index as u32 + 1 },
                text: (*text).to_owned(),
            }
        };
        let entries = lines.iter().enumerate().map(entry).collect();
        let file = HostsFile { entries, ignored: Vec::new() };
        self.case.host.resolver.hosts = Observed::known(file, Source::configured("/etc/hosts"));
        self
    }
    /// The `hosts:` line of /etc/nsswitch.conf.
    pub(crate) fn nsswitch(mut self, services: &str) -> Self {
        let services = services.split_whitespace().map(str::to_owned).collect();
        let location = Some(Location { path: "/etc/nsswitch.conf".into(), line: 12 });
        self.case.host.resolver.nsswitch =
            Observed::known(NsSwitch { services, location }, Source::configured("/etc/nsswitch.conf"));
        self
    }
    /// A name server of /etc/resolv.conf, on the next line, and what it says of the target's name.
    pub(crate) fn dns(mut self, server: &str, answer: DnsAnswer) -> Self {
        let address = server.parse().unwrap();
        let resolver = &mut self.case.host.resolver;
        let mut conf = resolver.resolv_conf.value().cloned().unwrap_or_default();
        let location = Some(Location { path: "/etc/resolv.conf".into(), line: conf.servers.len() as u32 + 1 });
        conf.servers.push(NameServer { address, scope: None, location });
        resolver.resolv_conf = Observed::known(conf, Source::configured("/etc/resolv.conf"));
        let mut answers = resolver.answers.value().cloned().unwrap_or_default();
        let name = format!("{}.", self.case.target.host);
        answers.push(ServerAnswer {
            server: SocketAddr::new(address, 53),
            name,
            answer,
            elapsed: Duration::from_millis(1),
        });
        resolver.answers = Observed::known(answers, Source::probed("DNS"));
        self
    }
    /// The target was given as a URL of that scheme.
    pub(crate) fn with_scheme(self, scheme: &str) -> Self {
        self.with(|case| case.target.scheme = Some(scheme.into()))
    }
    /// Anything else.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Case)) -> Self {
        change(&mut self.case);
        self
    }
    /// The case.
    pub(crate) fn case(self) -> Case {
        self.case
    }
    /// Its report.
    pub(crate) fn report(self) -> crate::Report {
        crate::again::held::to_the_question(&self.case);
        crate::diagnose(&self.case, Duration::from_millis(7))
    }
    /// The roots of its report's blockers.
    pub(crate) fn roots(self) -> Vec<String> {
        self.report().blockers.into_iter().map(|b| b.root).collect()
    }
}

/// A sleeping process of root.
pub(crate) fn process(pid: u32, command: &str) -> Process {
    Process {
        pid,
        command: command.into(),
        exe: Observed::known(format!("/usr/sbin/{command}"), Source::running("/proc/PID/exe")),
        uid: 0,
        user: Some("root".into()),
        state: ProcessState::Sleeping,
        running_as: RunningAs::default(),
        files: Observed::known((12, 1024), Source::running("/proc/PID/fd")),
        start_ticks: 100,
        netns: None,
    }
}

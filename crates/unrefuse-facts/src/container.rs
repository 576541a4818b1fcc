//! Containers, as their engines describe them, and the sockets inside.

use crate::{ConfigLine, InterfaceAddress, Location, Observed, SocketTable, Transport};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Command names of engines' processes that take connections for a container: they accept first and ask the container then.
/// Cut at 15 bytes, as the kernel keeps them (`rootlesskit-docker-proxy`).
pub const FORWARDERS: [&str; 7] =
    ["docker-proxy", "rootlesskit", "rootlesskit-doc", "rootlessport", "slirp4netns", "pasta", "pasta.avx2"];

/// Command names of engines' processes that only keep a published port, so that nobody else takes it, and never accept:
/// Podman's monitor (libpod's `bindPorts`), and Docker's daemon with `"userland-proxy": false` (moby's `newDummyProxy`).
pub const HOLDERS: [&str; 2] = ["conmon", "dockerd"];

/// A process of that name holds a published port for an engine, whether it takes connections or not.
pub fn is_engine_helper(command: &str) -> bool {
    FORWARDERS.contains(&command) || HOLDERS.contains(&command)
}

/// What was seen of container engines and their containers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerFacts {
    /// When it was looked, milliseconds since 1970.
    pub now_ms: i64,
    /// Each engine of which a trace was found: a socket, an installed executable, or a context that names it.
    pub engines: Vec<Engine>,
    /// The container that unrefuse itself runs or stands in, as far as its own cgroup or `--container` says.
    pub own: Option<OwnContainer>,
}

impl ContainerFacts {
    /// All containers of all engines, each with its engine.
    pub fn all(&self) -> impl Iterator<Item = (&Engine, &Container)> {
        self.engines.iter().flat_map(|engine| engine.containers.value().into_iter().flatten().map(move |c| (engine, c)))
    }

    /// The container whose id begins so, or that has that name.
    pub fn find(&self, id_or_name: &str) -> Option<(&Engine, &Container)> {
        let asked = id_or_name;
        self.all().find(|(_, c)| c.name == asked || (asked.len() >= 12 && c.id.starts_with(asked)))
    }
}

/// The container stood in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnContainer {
    /// `docker`, `podman`, …, where that is known.
    pub engine: Option<String>,
    /// Name, or id where there is no name.
    pub name: String,
    /// unrefuse was told to stand there (`--container`) and sees the host, too; else it was started inside.
    pub entered: bool,
}

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// Docker Engine (moby).
    Docker,
    /// Podman's Docker-compatible API.
    Podman,
}

impl EngineKind {
    /// The name of its command: `docker`, `podman`.
    pub fn command(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }

    /// Its name: `Docker`, `Podman`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "Docker",
            Self::Podman => "Podman",
        }
    }
}

/// A container engine of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// Which.
    pub kind: EngineKind,
    /// The unix socket of its API.
    pub socket: String,
    /// The user whose engine it is, where it runs without root; `None` for the system's.
    pub rootless_uid: Option<u32>,
    /// Its executable is installed (`/usr/bin/dockerd`, `/usr/bin/podman`), where that was looked for.
    pub installed: Option<String>,
    /// Its daemon runs: a process listens on its socket. `false` also where systemd only keeps the socket for a daemon that
    /// does not run. `None` where that is not known, and for Podman, whose containers need no daemon.
    #[serde(default)]
    pub running: Option<bool>,
    /// Version, as the engine says it.
    pub version: Option<String>,
    /// Containers that matter to the question, stopped ones included. Missing: the engine doesn't run, may not be asked, did
    /// not answer in time. Of a daemon that does not run they may be known from its files (then the source is a configured
    /// one): what they publish is meant, their state is that of the last run.
    pub containers: Observed<Vec<Container>>,
    /// How many containers it has in all; those that surely have nothing to do with the port are only counted.
    pub total: u32,
}

/// State of a container (`State.Status` of the Engine API).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerStatus {
    /// Made, never started (Podman: also `configured`, `initialized`).
    Created,
    /// Runs.
    Running,
    /// Its processes are frozen (cgroup freezer).
    Paused,
    /// Ended and waits for its next start.
    Restarting,
    /// Is being removed or stopped.
    Removing,
    /// Ended.
    Exited,
    /// Could not be removed.
    Dead,
    /// A word that this version does not know.
    Unknown,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Id, 64 hexadecimal digits.
    pub id: String,
    /// Name, without the leading slash.
    pub name: String,
    /// Image, as it was asked for.
    pub image: String,
    /// Entry point and arguments, as started; secrets masked.
    pub command: Vec<String>,
    /// State.
    pub status: ContainerStatus,
    /// How it ended, where it did.
    pub exit: Option<ContainerExit>,
    /// The engine's own words on why it could not start (`driver failed programming external connectivity …`).
    pub error: Option<String>,
    /// Process id of its first process in the host's pid namespace, while it runs.
    pub pid: Option<u32>,
    /// Last start, milliseconds since 1970.
    pub started_ms: Option<i64>,
    /// How often the engine restarted it.
    pub restarts: u32,
    /// Restart policy: `no`, `always`, `unless-stopped`, `on-failure`.
    pub restart_policy: Option<String>,
    /// Health check: `starting`, `healthy`, `unhealthy`; `None` where it has none.
    pub health: Option<String>,
    /// How it is connected.
    pub network_mode: NetworkMode,
    /// Ports that were asked to be published (`HostConfig.PortBindings`).
    pub published: Vec<PublishedPort>,
    /// Ports that the engine has published now (`NetworkSettings.Ports`); empty while it does not run.
    pub bound: Vec<PublishedPort>,
    /// `-P`: exposed ports get host ports of the engine's choice.
    pub publish_all: bool,
    /// Ports that the image or the container exposes: documentation only, they open nothing.
    pub exposed: Vec<ContainerPort>,
    /// Its networks.
    pub networks: Vec<ContainerNetwork>,
    /// Where a compose file made it.
    pub compose: Option<ComposeService>,
    /// What a `run` line that makes it anew needs.
    pub recipe: Recipe,
    /// Listening sockets in its own network namespace, with their owners. Missing while it does not run, and where its
    /// namespace may not be entered.
    pub sockets: Observed<SocketTable>,
    /// Addresses in its own network namespace.
    pub addresses: Observed<Vec<InterfaceAddress>>,
    /// Its last log lines, oldest first, only of a container that does not run well.
    pub log: Observed<Vec<String>>,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerExit {
    /// Exit code; 128 + N for signal N, by the shells' custom.
    pub code: i32,
    /// The kernel killed a process of it for want of memory.
    pub out_of_memory: bool,
    /// When, milliseconds since 1970.
    pub at_ms: Option<i64>,
}

/// `HostConfig.NetworkMode`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// The engine's default network, or a named one: its own namespace behind a bridge.
    Bridge,
    /// The host's own namespace: nothing is published, sockets are the host's.
    Host,
    /// Only a loopback interface.
    None,
    /// The namespace of another container, by its id or name.
    Container(String),
    /// Rootless: slirp4netns, pasta: published ports are held by a process of the user.
    User(String),
    /// Another, by its name (macvlan, ns:PATH …).
    Other(String),
}

/// A port of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContainerPort {
    /// Number.
    pub port: u16,
    /// TCP or UDP; SCTP is left out.
    pub transport: Transport,
}

/// A published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PublishedPort {
    /// In the container.
    pub container: ContainerPort,
    /// The host's address it is published on; `None`: all of both families.
    pub host_address: Option<IpAddr>,
    /// On the host; `None` where the engine chooses.
    pub host_port: Option<u16>,
}

/// A network that a container is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerNetwork {
    /// Name.
    pub name: String,
    /// Addresses in it; none while the container does not run.
    pub addresses: Vec<IpAddr>,
    /// The host's addresses in it.
    pub gateways: Vec<IpAddr>,
    /// Names of the container there, beside its own.
    pub aliases: Vec<String>,
}

/// The compose project that made a container (labels `com.docker.compose.*`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComposeService {
    /// Project.
    pub project: String,
    /// Service in it.
    pub service: String,
    /// The project's folder on the machine that ran compose.
    pub directory: Option<String>,
    /// Its files, as the label names them.
    pub files: Vec<String>,
    /// The service's line in a file, where it could be read.
    pub service_line: Option<Location>,
    /// Its `ports:` line, where it has one.
    pub ports_line: Option<Location>,
    /// The lines of `ports:` as they stand, the key's own first, then an entry each; the value is what is published.
    #[serde(default)]
    pub ports: Vec<ConfigLine>,
    /// The white space in front of the service's keys, where it was read: what a new key needs.
    #[serde(default)]
    pub key_indent: Option<String>,
}

/// What was given to `run`, as far as it can be said without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Recipe {
    /// Arguments of `run` before the image, without `-p`, `--name` and environment: volumes, networks, restart policy, user …
    pub arguments: Vec<String>,
    /// Names of environment variables that the image does not set itself; values are never kept.
    pub environment: Vec<String>,
    /// Arguments after the image.
    pub command: Vec<String>,
    /// The container has settings that `arguments` do not carry, named here: a `run` line from it would not be the same.
    pub incomplete: Vec<String>,
}

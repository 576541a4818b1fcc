//! Containers, their state and their ports in words and as evidence.

use super::meant::{Meant, publications};
use crate::containers::{is_up, name, source};
use crate::report::Evidence;
use crate::times;
use std::net::{IpAddr, SocketAddr};
use unrefuse_facts::text::{clip, visible};
use unrefuse_facts::{
    Container, ContainerPort, ContainerStatus, Engine, EngineKind, NetworkMode, PublishedPort, Socket,
};

/// Longest line of a container's log that is shown whole.
const LONGEST: usize = 200;

/// More ports than these are counted, not listed.
const LISTED: usize = 6;

/// `80/tcp`.
pub(super) fn port(port: ContainerPort) -> String {
    format!("{}/{}", port.port, port.transport.name())
}

/// `127.0.0.1:8002 -> 80/tcp`.
pub(super) fn publication(p: &PublishedPort) -> String {
    let host = match (p.host_address.filter(|ip| !ip.is_unspecified()), p.host_port) {
        (Some(ip), Some(port)) => SocketAddr::new(ip, port).to_string(),
        (None, Some(port)) => port.to_string(),
        (Some(ip), None) => format!("{ip}, any port"),
        (None, None) => "any port".to_owned(),
    };
    format!("{host} -> {}", port(p.container))
}

/// `127.0.0.1 and ::1`: the host's addresses of publications.
pub(super) fn host_addresses(publications: &[PublishedPort]) -> String {
    let mut all: Vec<String> =
        publications.iter().filter_map(|p| p.host_address).map(|ip| SocketAddr::new(ip, 0).ip().to_string()).collect();
    all.dedup();
    all.join(" and ")
}

/// `8080/tcp (nginx[812]), 9000/tcp`: what listens inside.
pub(super) fn sockets(container: &Container, sockets: &[&Socket]) -> String {
    let table = container.sockets.value();
    let one = |socket: &&Socket| {
        let owner = table.and_then(|t| t.owners(socket).first().map(|p| format!(" ({})", visible(&p.label()))));
        let address = match socket.local.ip().to_canonical() {
            ip if ip.is_unspecified() => String::new(),
            IpAddr::V6(ip) => format!("[{ip}]:"),
            ip => format!("{ip}:"),
        };
        format!("{address}{}/{}{}", socket.local.port(), socket.transport.name(), owner.unwrap_or_default())
    };
    let mut all: Vec<String> = sockets.iter().take(LISTED).map(one).collect();
    if sockets.len() > LISTED {
        all.push(format!("{} more", sockets.len() - LISTED));
    }
    all.join(", ")
}

/// `inner, other`: the names of its networks.
pub(super) fn networks(container: &Container) -> String {
    let names: Vec<String> = container.networks.iter().take(LISTED).map(|network| visible(&network.name)).collect();
    names.join(", ")
}

/// `running`, `exited with code 3`.
pub(super) fn status(container: &Container) -> String {
    let code = || container.exit.map(|exit| format!(" with code {}", exit.code)).unwrap_or_default();
    match container.status {
        ContainerStatus::Created => "created and was never started".to_owned(),
        ContainerStatus::Running => "running".to_owned(),
        ContainerStatus::Paused => "paused".to_owned(),
        ContainerStatus::Restarting => format!("waiting for its next start: it ended{}", code()),
        ContainerStatus::Removing => "being removed".to_owned(),
        ContainerStatus::Exited => format!("exited{}", code()),
        ContainerStatus::Dead => "dead: it could not be removed".to_owned(),
        ContainerStatus::Unknown => "in a state that is not known".to_owned(),
    }
}

/// What the engine says of the container: image, state, ports.
pub(super) fn described(engine: &Engine, container: &Container) -> Evidence {
    // One for every address is shown as one for each family.
    let mut ports: Vec<String> = publications(container).iter().map(publication).collect();
    ports.dedup();
    ports.truncate(LISTED);
    let ports = match (&container.network_mode, ports.as_slice()) {
        (NetworkMode::Container(of), _) => {
            let id = of.len() == 64 && of.bytes().all(|b| b.is_ascii_hexdigit());
            format!("uses the network of container {}", visible(if id { &of[..12] } else { of }))
        }
        (NetworkMode::Host, []) => "uses the host's network".to_owned(),
        (NetworkMode::None, []) => "has no network".to_owned(),
        (NetworkMode::Host, ports) => format!("uses the host's network, with -p {}", ports.join(", ")),
        (NetworkMode::None, ports) => format!("has no network, with -p {}", ports.join(", ")),
        (_, []) => "publishes no port".to_owned(),
        (NetworkMode::Bridge, ports)
            if is_up(container) && engine.kind == EngineKind::Docker && container.bound.is_empty() =>
        {
            format!("was to publish {}, and publishes nothing", ports.join(", "))
        }
        (_, ports) => format!("publishes {}", ports.join(", ")),
    };
    let what = format!("{} (image {})", name(container), clip(&visible(&container.image), LONGEST));
    Evidence::new(
        format!("{what} is {}, and {ports}", status(container)),
        format!("{}, {}", engine.kind.name(), source(engine)),
    )
}

/// `, 3 minutes ago`.
pub(super) fn since(meant: &Meant<'_>, then_ms: Option<i64>) -> String {
    then_ms.map(|then| format!(", {}", times::ago(meant.facts.now_ms, then))).unwrap_or_default()
}

/// Last lines of the container's log, oldest first.
pub(super) fn log(engine: &Engine, container: &Container, lines: usize) -> Vec<Evidence> {
    let Some(log) = container.log.value() else { return Vec::new() };
    let said: Vec<&String> = log.iter().filter(|line| !line.trim().is_empty()).collect();
    let from = format!("{} logs {}", engine.kind.command(), visible(&container.name));
    said.iter()
        .skip(said.len().saturating_sub(lines))
        .map(|line| Evidence::new(format!("its log says: {}", clip(&visible(line.trim()), LONGEST)), from.clone()))
        .collect()
}

//! One container in full (`GET /containers/ID/json`), and what its image sets (`GET /images/ID/json`).

use super::words::{self, entries, items, labels, number, published, string, text};
use super::{id, recipe};
use crate::journal::{clean, rfc3339};
use crate::unit::without_secrets;
use serde_json::Value;
use unrefuse_facts::{
    ComposeService, Container, ContainerExit, ContainerNetwork, ContainerStatus, NetworkMode, Observed, Recipe,
};

/// What an image sets by itself: what a `run` line need not repeat.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageDefaults {
    pub(super) config: Value,
}

/// The defaults of an image.
pub fn image(json: &[u8]) -> Option<ImageDefaults> {
    let mut value: Value = serde_json::from_slice(json).ok()?;
    Some(ImageDefaults { config: value.get_mut("Config")?.take() })
}

/// A container as the engine describes it, read once for what is asked of it one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected(Value);

impl Inspected {
    /// The answer of `GET /containers/ID/json`; `None` for what is no JSON.
    pub fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok().map(Self)
    }

    pub(super) fn new(value: Value) -> Self {
        Self(value)
    }

    /// The id of the image that it was made from, `sha256:…`; nothing else, for it becomes a part of paths.
    pub fn image(&self) -> Option<String> {
        let id = string(&self.0["Image"]);
        let digits = id.strip_prefix("sha256:").unwrap_or(id);
        (digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_owned())
    }

    /// What was given to `run` for `container`, this one, without what its image sets anyhow.
    pub fn recipe(&self, container: &Container, image: Option<&ImageDefaults>) -> Recipe {
        recipe::recipe(&self.0, &container.id, &container.network_mode, image)
    }

    /// The container; `None` for what is none. Its recipe repeats what its image sets.
    ///
    /// Sockets, addresses and log lines are not part of the answer.
    pub fn container(&self) -> Option<Container> {
        container(&self.0)
    }
}

fn container(value: &Value) -> Option<Container> {
    let (state, config, host) = (&value["State"], &value["Config"], &value["HostConfig"]);
    let status = status(state);
    let runs = matches!(status, ContainerStatus::Running | ContainerStatus::Paused);
    let id = id(&value["Id"])?;
    let name = string(&value["Name"]).trim_start_matches('/').to_owned();
    let network_mode = words::network_mode(string(&host["NetworkMode"]));
    let shares = matches!(network_mode, NetworkMode::Container(_));
    Some(Container {
        command: without_secrets(&command(value)),
        status,
        exit: exit(state, status),
        error: text(&state["Error"]).map(|error| clean(&error)),
        pid: number(&state["Pid"]).filter(|&pid: &u32| pid > 0),
        started_ms: time(&state["StartedAt"]),
        restarts: number(&value["RestartCount"]).unwrap_or(0),
        restart_policy: host["RestartPolicy"]["Name"].as_str().map(|policy| match policy {
            "" => "no".to_owned(),
            policy => unrefuse_facts::text::clip(policy, 64),
        }),
        health: [&state["Health"], &state["Healthcheck"]]
            .into_iter()
            .find_map(|health| text(&health["Status"]))
            .filter(|health| health != "none"),
        // Podman shows the ports of the container that has the namespace.
        published: if shares { Vec::new() } else { published(&host["PortBindings"]) },
        bound: if runs && !shares { published(&value["NetworkSettings"]["Ports"]) } else { Vec::new() },
        publish_all: host["PublishAllPorts"].as_bool().unwrap_or(false),
        exposed: exposed(config),
        networks: if shares { Vec::new() } else { networks(value, &id, &name, runs) },
        compose: compose(config),
        recipe: recipe::recipe(value, &id, &network_mode, None),
        image: text(&config["Image"]).unwrap_or_default(),
        network_mode,
        id,
        name,
        sockets: Observed::default(),
        addresses: Observed::default(),
        log: Observed::default(),
    })
}

/// `State.Status`; engines before 1.21 of the API have only the flags.
fn status(state: &Value) -> ContainerStatus {
    let flag = |name: &str| state[name].as_bool().unwrap_or(false);
    match words::status(string(&state["Status"])) {
        ContainerStatus::Unknown if state["Status"].is_null() && flag("Paused") => ContainerStatus::Paused,
        ContainerStatus::Unknown if state["Status"].is_null() && flag("Running") => ContainerStatus::Running,
        status => status,
    }
}

/// What its first process was started with. `Path` and `Args` say the same, but for Podman's containers that never ran.
pub(super) fn command(value: &Value) -> Vec<String> {
    let config = &value["Config"];
    let made: Vec<String> = items(&config["Entrypoint"]).chain(items(&config["Cmd"])).collect();
    if made.is_empty() { text(&value["Path"]).into_iter().chain(items(&value["Args"])).collect() } else { made }
}

fn exit(state: &Value, status: ContainerStatus) -> Option<ContainerExit> {
    let ended = matches!(status, ContainerStatus::Exited | ContainerStatus::Restarting | ContainerStatus::Dead);
    // A container that could not be started has a code too, and never ran.
    time(&state["StartedAt"]).filter(|_| ended)?;
    Some(ContainerExit {
        code: number(&state["ExitCode"])?,
        out_of_memory: state["OOMKilled"].as_bool().unwrap_or(false),
        at_ms: time(&state["FinishedAt"]),
    })
}

/// Engines write the year 1 for never.
fn time(value: &Value) -> Option<i64> {
    rfc3339(string(value)).filter(|&ms| ms > 0)
}

fn exposed(config: &Value) -> Vec<unrefuse_facts::ContainerPort> {
    let mut ports: Vec<_> = entries(&config["ExposedPorts"]).filter_map(|(name, _)| words::port(name)).collect();
    ports.sort_by_key(|port| (port.transport, port.port));
    ports
}

fn networks(value: &Value, id: &str, name: &str, runs: bool) -> Vec<ContainerNetwork> {
    let one = |(network, entry): (&str, &Value)| {
        let gateways = [&entry["Gateway"], &entry["IPv6Gateway"]];
        let mut aliases: Vec<String> = items(&entry["Aliases"]).chain(items(&entry["DNSNames"])).collect();
        aliases.sort();
        aliases.dedup();
        aliases.retain(|alias| alias != name && !id.starts_with(alias.as_str()));
        ContainerNetwork {
            name: network.to_owned(),
            addresses: if runs { words::addresses(entry).collect() } else { Vec::new() },
            gateways: gateways.into_iter().filter_map(|gateway| string(gateway).parse().ok()).collect(),
            aliases,
        }
    };
    entries(&value["NetworkSettings"]["Networks"]).map(one).collect()
}

/// The labels that `docker compose` and podman-compose set (compose's `api.ProjectLabel` and its neighbours).
fn compose(config: &Value) -> Option<ComposeService> {
    let label = |what: &str| labels(config).find(|(name, _)| words::is_compose(name, what)).map(|(_, value)| value);
    let directory = label("project.working_dir").filter(|directory| directory.starts_with('/'));
    let place = |file: &str| match &directory {
        Some(directory) if !file.starts_with('/') => format!("{directory}/{file}"),
        _ => file.to_owned(),
    };
    let files = label("project.config_files").unwrap_or_default();
    Some(ComposeService {
        project: label("project")?,
        service: label("service")?,
        files: files.split(',').map(str::trim).filter(|file| !file.is_empty()).take(16).map(place).collect(),
        directory,
        service_line: None,
        ports_line: None,
        ports: Vec::new(),
        key_indent: None,
    })
}

#[cfg(test)]
mod tests;

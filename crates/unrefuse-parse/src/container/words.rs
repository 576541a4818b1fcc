//! Words and small forms that several answers of the API share.

use serde_json::Value;
use std::net::IpAddr;
use unrefuse_facts::{ContainerPort, ContainerStatus, NetworkMode, PublishedPort, Transport, text::clip};

/// So many entries of one list or map are kept.
pub(super) const MOST: usize = 1000;
/// So many characters of one text.
const LONGEST: usize = 4096;

/// The text, `""` for what is none.
pub(super) fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A text that is not empty, shortened.
pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(|text| clip(text, LONGEST))
}

/// The texts of a list; a single text is a list of one (`Entrypoint` of older engines).
pub(super) fn items(value: &Value) -> impl Iterator<Item = String> {
    let alone = value.as_str().map(|text| clip(text, LONGEST));
    let list = value.as_array().into_iter().flatten().take(MOST);
    alone.into_iter().chain(list.filter_map(|item| item.as_str().map(|text| clip(text, LONGEST))))
}

/// The entries of a map.
pub(super) fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().take(MOST).map(|(key, value)| (key.as_str(), value))
}

/// A number that fits.
pub(super) fn number<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    T::try_from(value.as_i64()?).ok()
}

/// The labels of a container in the list, or of a `Config`.
pub(super) fn labels(value: &Value) -> impl Iterator<Item = (&str, String)> {
    entries(&value["Labels"]).filter_map(|(name, value)| Some((name, value.as_str().map(|text| clip(text, LONGEST))?)))
}

/// Whether a label is compose's `what`: Docker's compose and podman-compose name them alike.
pub(super) fn is_compose(label: &str, what: &str) -> bool {
    ["com.docker.compose.", "io.podman.compose."].iter().any(|prefix| label.strip_prefix(prefix) == Some(what))
}

pub(super) fn transport(word: &str) -> Option<Transport> {
    match word {
        "tcp" => Some(Transport::Tcp),
        "udp" => Some(Transport::Udp),
        _ => None,
    }
}

/// `80/tcp`.
pub(super) fn port(text: &str) -> Option<ContainerPort> {
    let (port, transport) = text.split_once('/').unwrap_or((text, "tcp"));
    Some(ContainerPort { port: port.parse().ok()?, transport: self::transport(transport)? })
}

/// `{"80/tcp":[{"HostIp":"","HostPort":"8001"}], "53/udp":null}`: a port with `null` is only exposed. A range of host
/// ports (`8000-8010`) leaves the choice to the engine.
pub(super) fn published(bindings: &Value) -> Vec<PublishedPort> {
    let mut found = Vec::new();
    for (name, hosts) in entries(bindings) {
        let Some(container) = port(name) else { continue };
        for host in hosts.as_array().into_iter().flatten().take(MOST) {
            found.push(PublishedPort {
                container,
                host_address: string(&host["HostIp"]).parse().ok(),
                host_port: string(&host["HostPort"]).parse().ok().filter(|&port| port != 0),
            });
        }
    }
    found.sort_by_key(|p| (p.container.transport, p.container.port, p.host_port, p.host_address));
    found
}

/// Addresses of one entry of `Networks`.
pub(super) fn addresses(network: &Value) -> impl Iterator<Item = IpAddr> {
    [&network["IPAddress"], &network["GlobalIPv6Address"]]
        .into_iter()
        .filter_map(|address| string(address).parse().ok())
}

/// `State` and `State.Status`: Docker's words, and those that Podman has beside them.
pub(super) fn status(word: &str) -> ContainerStatus {
    match word {
        "created" | "configured" | "initialized" => ContainerStatus::Created,
        "running" => ContainerStatus::Running,
        "paused" => ContainerStatus::Paused,
        "restarting" => ContainerStatus::Restarting,
        "removing" | "stopping" => ContainerStatus::Removing,
        "exited" | "stopped" => ContainerStatus::Exited,
        "dead" => ContainerStatus::Dead,
        _ => ContainerStatus::Unknown,
    }
}

/// `HostConfig.NetworkMode`; the name of a network is a bridge unless its driver says otherwise.
pub(super) fn network_mode(word: &str) -> NetworkMode {
    let head = word.split(':').next().unwrap_or_default();
    match (head, word.strip_prefix("container:")) {
        (_, Some(other)) => NetworkMode::Container(clip(other, LONGEST)),
        ("host", _) => NetworkMode::Host,
        ("none", _) => NetworkMode::None,
        ("slirp4netns" | "pasta", _) => NetworkMode::User(head.to_owned()),
        ("ns", _) => NetworkMode::Other(clip(word, LONGEST)),
        _ => NetworkMode::Bridge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports() {
        let found = published(&json!({
            "80/tcp": [{"HostIp": "", "HostPort": "8001"}, {"HostIp": "::1", "HostPort": "8000-8010"}],
            "81/tcp": null, "x": [{}], "9/sctp": [{"HostPort": "9"}], "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "0"}],
        }));
        let brief: Vec<_> = found.iter().map(|p| (p.container.port, p.host_address, p.host_port)).collect();
        let address = |text: &str| Some(text.parse().unwrap());
        assert_eq!(brief, [(80, address("::1"), None), (80, None, Some(8001)), (53, address("127.0.0.1"), None)]);
    }

    #[test]
    fn modes() {
        for (word, mode) in [
            ("default", NetworkMode::Bridge),
            ("proj_default", NetworkMode::Bridge),
            ("host", NetworkMode::Host),
            ("none", NetworkMode::None),
            ("container:abc", NetworkMode::Container("abc".to_owned())),
            ("slirp4netns:port_handler=slirp4netns", NetworkMode::User("slirp4netns".to_owned())),
            ("ns:/run/netns/x", NetworkMode::Other("ns:/run/netns/x".to_owned())),
        ] {
            assert_eq!(network_mode(word), mode, "{word}");
        }
    }
}

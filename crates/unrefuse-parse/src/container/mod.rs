//! Answers of a container engine's API: Docker's Engine API 1.41 and Podman's compatible one, which differs in places.
//!
//! `GET /containers/json?all=1`, as Docker 20.10 writes it (shortened):
//!
//! ```json
//! [{"Id":"6dd26d60c3b2…","Names":["/web"],"Image":"tiny","Command":"httpd -f -p 80 -h /www","Created":1795383651,
//!   "Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8001,"Type":"tcp"}],"Labels":{},"State":"running",
//!   "HostConfig":{"NetworkMode":"default"},
//!   "NetworkSettings":{"Networks":{"bridge":{"Gateway":"172.30.0.1","IPAddress":"172.30.0.2"}}}}]
//! ```
//!
//! `GET /containers/ID/json` has the same under `State`, `Config`, `HostConfig` and `NetworkSettings`. What Podman 4.3
//! does otherwise: no `HostConfig` in the list; the ports of a stopped container and of another container's namespace are
//! shown as if they were open; `null` or `[]` where Docker has nothing; `Args` of a container that never ran repeat `Path`.

mod bolt;
pub mod compose;
mod data_root;
mod inspect;
mod kept;
mod libpod;
mod log;
mod recipe;
mod words;

pub use data_root::{data_root, data_root_option};
pub use inspect::{ImageDefaults, Inspected, image};
pub use kept::kept;
pub use libpod::{Kept, libpod, libpod_change};
pub use log::log_lines;

use serde_json::Value;
use std::net::IpAddr;
use unrefuse_facts::{ContainerStatus, EngineKind, NetworkMode, Transport};
use words::{entries, items, number, string, text};

/// A list of more containers than this is cut; `total` still counts them.
const MOST_CONTAINERS: usize = 10_000;

/// A container as the list shows it: enough to say whether it may matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Hexadecimal digits: safe in a path of the API.
    pub id: String,
    /// Name, without the leading slash.
    pub name: String,
    /// Image, as it was asked for.
    pub image: String,
    /// State.
    pub status: ContainerStatus,
    /// How it is connected; `None` where the list does not say (Podman).
    pub network_mode: Option<NetworkMode>,
    /// Ports: inside, and on the host where published. Docker's list shows none of a stopped container.
    pub ports: Vec<(Transport, u16, Option<u16>)>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Compose service.
    pub service: Option<String>,
}

/// The list of containers, newest first as the engine gives it, and how many there are in all; `None` for what is no list.
pub fn list(json: &[u8]) -> Option<(Vec<Listed>, usize)> {
    let value: Value = serde_json::from_slice(json).ok()?;
    if value.is_null() {
        // An empty list of Go's.
        return Some((Vec::new(), 0));
    }
    let all = value.as_array()?;
    Some((all.iter().take(MOST_CONTAINERS).filter_map(listed).collect(), all.len()))
}

fn listed(value: &Value) -> Option<Listed> {
    let networks = &value["NetworkSettings"]["Networks"];
    let port = |port: &Value| {
        let transport = words::transport(port["Type"].as_str().unwrap_or("tcp"))?;
        Some((transport, number(&port["PrivatePort"])?, number(&port["PublicPort"]).filter(|&port| port != 0)))
    };
    Some(Listed {
        id: id(&value["Id"])?,
        name: items(&value["Names"]).next().map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default(),
        image: text(&value["Image"]).unwrap_or_default(),
        status: words::status(string(&value["State"])),
        network_mode: value["HostConfig"].get("NetworkMode").map(|mode| words::network_mode(string(mode))),
        ports: value["Ports"].as_array().into_iter().flatten().take(words::MOST).filter_map(port).collect(),
        addresses: entries(networks).flat_map(|(_, network)| words::addresses(network)).collect(),
        service: words::labels(value).find(|(name, _)| words::is_compose(name, "service")).map(|(_, service)| service),
    })
}

/// An id of 64 hexadecimal digits; whatever else is refused, for it becomes a part of paths.
pub(crate) fn id(value: &Value) -> Option<String> {
    safe_id(value.as_str()?)
}

/// The text, where it is such an id.
pub fn safe_id(id: &str) -> Option<String> {
    (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_owned())
}

/// Which engine answers with that `Server` header, and its version. Asking for `/version` instead makes Docker run its
/// helpers for their versions, which takes 20 ms.
///
/// ```
/// use unrefuse_facts::EngineKind;
/// use unrefuse_parse::container::server;
/// assert_eq!(server(b"Docker/20.10.24+dfsg1 (linux)"), Some((EngineKind::Docker, "20.10.24+dfsg1".to_owned())));
/// assert_eq!(server(b"Libpod/4.3.1 (linux)"), Some((EngineKind::Podman, "4.3.1".to_owned())));
/// assert_eq!(server(b"nginx/1.22"), None);
/// ```
pub fn server(header: &[u8]) -> Option<(EngineKind, String)> {
    let header = unrefuse_facts::text::from_bytes(header);
    let (name, rest) = header.split_once('/')?;
    let kind = match name {
        "Docker" => EngineKind::Docker,
        "Libpod" => EngineKind::Podman,
        _ => return None,
    };
    Some((kind, unrefuse_facts::text::clip(rest.split(' ').next()?, 64)))
}

/// The engine's own words on why it refused a request: `{"message":"No such container: x"}`.
pub fn message(json: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(json).ok()?;
    text(&value["message"])
}

/// Drivers of networks by their names: `GET /networks`.
pub fn networks(json: &[u8]) -> Vec<(String, String)> {
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    let one = |network: &Value| Some((text(&network["Name"])?, text(&network["Driver"])?));
    value.as_array().into_iter().flatten().take(words::MOST).filter_map(one).collect()
}

/// The unix socket of a context: `~/.docker/contexts/meta/*/meta.json` (docker-context(1)).
///
/// ```
/// let meta = br#"{"Name":"rootless","Endpoints":{"docker":{"Host":"unix:///run/user/1000/docker.sock"}}}"#;
/// assert_eq!(unrefuse_parse::container::context(meta).as_deref(), Some("/run/user/1000/docker.sock"));
/// assert_eq!(unrefuse_parse::container::context(br#"{"Endpoints":{"docker":{"Host":"ssh://u@h"}}}"#), None);
/// ```
pub fn context(json: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(json).ok()?;
    unix_path(value["Endpoints"]["docker"]["Host"].as_str()?)
}

/// The path of `unix:///run/docker.sock`, the form of `DOCKER_HOST`.
pub fn unix_path(host: &str) -> Option<String> {
    let path = host.strip_prefix("unix://")?;
    (path.starts_with('/') && !path.contains('\0') && path.len() < 108).then(|| path.to_owned())
}

/// The container that a process lives in, by what is mounted over its /etc/hostname or /etc/hosts (proc_pid_mountinfo(5)):
/// engines keep these files in a folder named by the id. With a cgroup namespace the cgroup's path says nothing.
///
/// ```text
/// 612 600 254:1 /var/lib/docker/containers/6dd2…/hostname /etc/hostname rw,relatime - ext4 /dev/vda1 rw
/// ```
pub fn id_of_mounts(mountinfo: &[u8]) -> Option<String> {
    crate::lines::numbered(mountinfo).take(10_000).find_map(|(_, line)| {
        let line = unrefuse_facts::text::from_bytes(line);
        let mut fields = line.split(' ').skip(3);
        let (root, place) = (fields.next()?, fields.next()?);
        let of_engine = matches!(place, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf");
        let id = root.split('/').find(|part| part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit()))?;
        of_engine.then(|| id.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6dd26d60c3b200f5f9303773a0b2479220dfa237200c9aa1380906098465ce31";

    #[test]
    fn a_list_of_docker() {
        let json = r#"[{"Id":"ID","Names":["/web"],"Image":"tiny","Created":1795383651,"Ports":[
            {"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8001,"Type":"tcp"},{"PrivatePort":53,"Type":"udp"},
            {"PrivatePort":9,"Type":"sctp"}],"Labels":{"com.docker.compose.service":"front"},"State":"running",
            "HostConfig":{"NetworkMode":"default"},
            "NetworkSettings":{"Networks":{"bridge":{"IPAMConfig":null,"IPAddress":"172.30.0.2","GlobalIPv6Address":""}}}}]"#;
        let (list, total) = list(json.replace("ID", ID).as_bytes()).unwrap();
        assert_eq!((list.len(), total), (1, 1));
        assert_eq!((list[0].name.as_str(), list[0].status), ("web", ContainerStatus::Running));
        assert_eq!(list[0].ports, [(Transport::Tcp, 80, Some(8001)), (Transport::Udp, 53, None)]);
        assert_eq!(list[0].addresses, ["172.30.0.2".parse::<IpAddr>().unwrap()]);
        assert_eq!(
            (list[0].network_mode.clone(), list[0].service.as_deref()),
            (Some(NetworkMode::Bridge), Some("front"))
        );
    }

    #[test]
    fn a_list_of_podman_has_nulls_and_no_network_mode() {
        let json = r#"[{"Id":"ID","Names":["/hostnet"],"Image":"localhost/tiny:latest","Ports":[],"Labels":{},
            "State":"configured","NetworkSettings":{"Networks":null},"Config":null},
            {"Id":"../../etc","Names":["/evil"],"State":"running"}, 7]"#;
        let (list, total) = list(json.replace("ID", ID).as_bytes()).unwrap();
        assert_eq!((list.len(), total), (1, 3));
        assert_eq!((list[0].status, list[0].network_mode.clone()), (ContainerStatus::Created, None));
        assert!(list[0].addresses.is_empty());
    }

    #[test]
    fn the_own_id_by_mounts() {
        let docker =
            format!("612 600 254:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n");
        assert_eq!(id_of_mounts(docker.as_bytes()).as_deref(), Some(ID));
        let other = docker.replace(" /etc/hostname", " /data");
        assert_eq!(id_of_mounts(other.as_bytes()), None);
        assert_eq!(id_of_mounts(b"612 600\n\xff"), None);
    }

    #[test]
    fn what_is_no_list() {
        assert_eq!(super::list(b"null"), Some((vec![], 0)));
        for json in [&b""[..], b"{}", b"[", b"\xff"] {
            assert_eq!(super::list(json), None);
        }
        assert_eq!(message(br#"{"message":"No such container: x"}"#).as_deref(), Some("No such container: x"));
        assert_eq!(
            networks(br#"[{"Name":"lan","Driver":"macvlan"}, null]"#),
            [("lan".to_owned(), "macvlan".to_owned())]
        );
    }
}

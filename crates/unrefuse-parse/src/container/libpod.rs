//! Containers as Podman keeps them for itself: what is left to look at while nobody runs who could be asked.
//!
//! `bolt_state.db` has a bucket for each container in the bucket `ctr`, with these values (libpod's `ContainerConfig` and
//! `ContainerState`; Podman 4.3, shortened):
//!
//! ```json
//! {"id":"f6a9d0de0e72…","name":"web","rootfsImageName":"localhost/tiny:latest","command":["httpd","-f"],
//!  "newPortMappings":[{"host_ip":"","container_port":80,"host_port":8001,"range":1,"protocol":"tcp"}],
//!  "networkMode":"bridge","restart_policy":"always"}
//! ```
//! ```json
//! {"state":3,"pid":145,"conmonPid":135,"startedTime":"2026-11-23T01:43:20.985657796Z","exitCode":0,
//!  "networkStatus":{"podman":{"interfaces":{"eth0":{"subnets":[{"ipnet":"10.88.0.2/16","gateway":"10.88.0.1"}]}}}}}
//! ```

use super::bolt::{Bucket, Database};
use super::inspect::Inspected;
use super::words::{MOST, entries, number, string};
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use unrefuse_facts::Container;

/// A longer range of ports is cut.
const LONGEST_RANGE: u16 = 1024;

/// What the database at hand has.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The containers, as they were when Podman last wrote of them: who runs is still to be held against its process.
    pub containers: Vec<Container>,
    /// The number of the last change to the file.
    pub change: u64,
}

/// The containers of a `bolt_state.db`; `None` for what is none.
pub fn libpod(file: &[u8]) -> Option<Kept> {
    let database = Database::read(file)?;
    let all = database.bucket("ctr")?.buckets();
    Some(Kept { containers: all.into_iter().filter_map(|(_, one)| container(one)).collect(), change: database.change })
}

/// The number of the last change, from the first 128 KiB of a `bolt_state.db`: its heads are there.
pub fn libpod_change(head: &[u8]) -> Option<u64> {
    Some(Database::read(head)?.change)
}

fn container(bucket: Bucket<'_>) -> Option<Container> {
    let read = |name| serde_json::from_slice::<Value>(bucket.value(name)?).ok();
    let (config, state) = (read("config")?, read("state")?);
    let mut container = Inspected::new(as_inspected(&config, &state)).container()?;
    // Volumes, capabilities and limits are spread over the specification for the runtime.
    container.recipe.incomplete.push("what Podman alone can tell".to_owned());
    Some(container)
}

/// The same in the words of `GET /containers/ID/json`.
fn as_inspected(config: &Value, state: &Value) -> Value {
    let bindings = bindings(&config["newPortMappings"]);
    let mode = match string(&config["netNsCtr"]) {
        "" => string(&config["networkMode"]).to_owned(),
        other => format!("container:{other}"),
    };
    let exposed = entries(&config["exposedPorts"]).flat_map(|(port, transports)| {
        let transports = transports.as_array().into_iter().flatten().take(MOST);
        transports.map(move |transport| (format!("{port}/{}", string(transport)), Value::Null))
    });
    json!({
        "Id": config["id"], "Name": config["name"], "Image": config["rootfsImageID"], "RestartCount": state["restartCount"],
        "State": {
            "Status": status(state), "Pid": state["pid"], "ExitCode": state["exitCode"], "OOMKilled": state["oomKilled"],
            "StartedAt": state["startedTime"], "FinishedAt": state["finishedTime"],
        },
        "Config": {
            "Image": config["rootfsImageName"], "Cmd": config["command"], "Entrypoint": config["entrypoint"],
            "Labels": config["labels"], "ExposedPorts": exposed.collect::<Map<_, _>>(),
        },
        "HostConfig": {
            "NetworkMode": mode, "PortBindings": bindings, "RestartPolicy": { "Name": config["restart_policy"] },
        },
        "NetworkSettings": { "Ports": bindings, "Networks": networks(&state["networkStatus"]) },
    })
}

/// `ContainerStatus` of libpod/define/containerstate.go.
fn status(state: &Value) -> &'static str {
    match state["state"].as_u64() {
        Some(1 | 2) => "created",
        Some(3) => "running",
        Some(5) => "paused",
        Some(4 | 6) => "exited",
        Some(7 | 8) => "removing",
        _ => "unknown",
    }
}

fn bindings(mappings: &Value) -> Value {
    let mut found = Map::new();
    for mapping in mappings.as_array().into_iter().flatten().take(MOST) {
        let port = |name: &str| number::<u16>(&mapping[name]);
        let (Some(inside), outside) = (port("container_port"), port("host_port")) else { continue };
        for step in 0..port("range").unwrap_or(1).clamp(1, LONGEST_RANGE) {
            let (Some(inside), outside) = (inside.checked_add(step), outside.and_then(|port| port.checked_add(step)))
            else {
                break;
            };
            for transport in string(&mapping["protocol"]).split(',').take(3) {
                let outside = outside.map(|port| port.to_string()).unwrap_or_default();
                let binding = json!({ "HostIp": mapping["host_ip"], "HostPort": outside });
                let of_port = found.entry(format!("{inside}/{transport}")).or_insert_with(|| Value::Array(Vec::new()));
                of_port.as_array_mut().into_iter().for_each(|all| all.push(binding.clone()));
            }
        }
    }
    Value::Object(found)
}

fn networks(status: &Value) -> Value {
    let one = |(name, network): (&str, &Value)| {
        let mut entry = Map::new();
        let interfaces = entries(&network["interfaces"]).map(|(_, interface)| interface);
        for subnet in interfaces.flat_map(|interface| interface["subnets"].as_array().into_iter().flatten()) {
            let address = string(&subnet["ipnet"]).split('/').next().unwrap_or_default();
            let Ok(ip) = address.parse::<IpAddr>() else { continue };
            let (own, gateway) =
                if ip.is_ipv4() { ("IPAddress", "Gateway") } else { ("GlobalIPv6Address", "IPv6Gateway") };
            entry.insert(own.to_owned(), address.into());
            entry.insert(gateway.to_owned(), subnet["gateway"].clone());
        }
        (name.to_owned(), Value::Object(entry))
    };
    Value::Object(entries(status).map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::super::bolt::tests::{bucket, database};
    use super::*;
    use unrefuse_facts::{ContainerStatus, NetworkMode, Transport};

    const ID: &str = "f6a9d0de0e72325f05445646b9928be804371946ef0551dfa0dfbfc5e27d3098";

    fn one(config: &str, state: &str) -> Option<Container> {
        let (config, state) = (config.replace("ID", ID).into_bytes(), state.as_bytes().to_vec());
        let values = [(0, &b"config"[..], config), (0, &b"state"[..], state)];
        libpod(&database(&[bucket(b"ctr", &[bucket(ID.as_bytes(), &values)])])).unwrap().containers.pop()
    }

    #[test]
    fn one_that_runs() {
        let config = r#"{"spec":{"process":{"env":["PASSWORD=hush"]}},"id":"ID","name":"web","rootfsImageName":"tiny",
            "newPortMappings":[{"host_ip":"127.0.0.1","container_port":80,"host_port":8001,"range":2,"protocol":"tcp"}],
            "networkMode":"bridge","command":["httpd","-f"],"restart_policy":"always",
            "exposedPorts":{"53":["udp"]},"labels":{"com.docker.compose.project":"p","com.docker.compose.service":"s"}}"#;
        let state = r#"{"state":3,"pid":145,"startedTime":"2026-11-23T01:43:20.985657796Z","networkStatus":{"podman":
            {"interfaces":{"eth0":{"subnets":[{"ipnet":"10.88.0.2/16","gateway":"10.88.0.1"}]}}}}}"#;
        let web = one(config, state).unwrap();
        assert_eq!((web.name.as_str(), web.image.as_str(), web.status), ("web", "tiny", ContainerStatus::Running));
        assert_eq!((web.pid, web.network_mode.clone()), (Some(145), NetworkMode::Bridge));
        let ports: Vec<_> = web.published.iter().map(|p| (p.host_port, p.container.port)).collect();
        assert_eq!(ports, [(Some(8001), 80), (Some(8002), 81)]);
        assert_eq!(web.bound, web.published);
        assert_eq!(web.networks[0].addresses, ["10.88.0.2".parse::<IpAddr>().unwrap()]);
        assert_eq!((web.exposed[0].port, web.exposed[0].transport), (53, Transport::Udp));
        assert_eq!(web.compose.as_ref().unwrap().service, "s");
        assert!(!web.recipe.incomplete.is_empty() && !format!("{web:?}").contains("hush"));
    }

    #[test]
    fn one_that_ended_and_one_in_the_network_of_another() {
        let ended = r#"{"state":6,"exitCode":137,"exited":true,"startedTime":"2026-11-23T01:59:32Z",
            "finishedTime":"2026-11-23T01:59:33Z","oomKilled":true}"#;
        let config = r#"{"id":"ID","name":"app","netNsCtr":"ID","newPortMappings":null}"#;
        let app = one(config, ended).unwrap();
        assert_eq!((app.status, app.network_mode), (ContainerStatus::Exited, NetworkMode::Container(ID.to_owned())));
        assert_eq!(app.exit.map(|exit| (exit.code, exit.out_of_memory)), Some((137, true)));
        assert!(app.published.is_empty() && app.bound.is_empty());
    }

    #[test]
    fn what_is_no_container() {
        assert_eq!(one(r#"{"id":"../x"}"#, "{}"), None);
        assert_eq!(one("[", "{}"), None);
        assert!(libpod(&database(&[])).is_none());
        assert!(libpod(b"").is_none());
        assert_eq!(libpod_change(&database(&[])[..8192]), Some(8));
    }
}

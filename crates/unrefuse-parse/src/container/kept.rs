//! A container as Docker keeps it on disk: what is left to look at while its daemon does not run.

use super::inspect::Inspected;
use serde_json::Value;
use unrefuse_facts::Container;

/// A container of `config.v2.json` and `hostconfig.json` in `/var/lib/docker/containers/ID`; `None` for what is none.
///
/// The first holds what `GET /containers/ID/json` has but for `HostConfig`, with `ID` in place of `Id` and without
/// `State.Status` (moby's `container.Container`):
///
/// ```json
/// {"State":{"Running":false,"Paused":false,"ExitCode":143,"StartedAt":"2026-11-22T13:24:59.1Z",
///   "FinishedAt":"2026-11-22T13:25:20.8Z"},"ID":"6dd26d60c3b2…","Config":{"Image":"tiny","Cmd":["httpd"]},
///  "Name":"/web","RestartCount":0,"NetworkSettings":{"Networks":{"bridge":{}}}}
/// ```
pub fn kept(config: &[u8], host_config: &[u8]) -> Option<Container> {
    let mut value: Value = serde_json::from_slice(config).ok()?;
    let host: Value = serde_json::from_slice(host_config).ok()?;
    let all = value.as_object_mut()?;
    let id = all.remove("ID")?;
    all.insert("Id".to_owned(), id);
    all.insert("HostConfig".to_owned(), host);
    let state = all.get_mut("State")?.as_object_mut()?;
    // Whatever ran when the daemon ended runs no more.
    let never = state.get("StartedAt").and_then(Value::as_str).is_none_or(|time| time.starts_with("0001"));
    state.insert("Status".to_owned(), if never { "created" } else { "exited" }.into());
    Inspected::new(value).container()
}

#[cfg(test)]
mod tests {
    use super::*;
    use unrefuse_facts::ContainerStatus;

    /// Docker 20.10.24, shortened.
    const CONFIG: &str = r#"{"StreamConfig":{},"State":{"Running":true,"Paused":false,"Restarting":false,"OOMKilled":false,
        "RemovalInProgress":false,"Dead":false,"Pid":4242,"ExitCode":0,"Error":"","StartedAt":"2026-11-22T13:24:59.1Z",
        "FinishedAt":"0001-01-01T00:00:00Z","Health":null},
        "ID":"6dd26d60c3b200f5f9303773a0b2479220dfa237200c9aa1380906098465ce31","Created":"2026-11-22T13:24:58Z",
        "Config":{"Image":"tiny","Cmd":["httpd","-f"],"Env":["PASSWORD=hush"],"ExposedPorts":{"80/tcp":{}}},
        "NetworkSettings":{"Networks":{"bridge":{"IPAddress":"172.17.0.2","Gateway":"172.17.0.1"}}},
        "Name":"/web","RestartCount":2}"#;
    const HOST: &str = r#"{"NetworkMode":"default","RestartPolicy":{"Name":"unless-stopped"},
        "PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8001"}]}}"#;

    #[test]
    fn what_it_would_publish() {
        let found = kept(CONFIG.as_bytes(), HOST.as_bytes()).unwrap();
        assert_eq!((found.name.as_str(), found.status, found.restarts), ("web", ContainerStatus::Exited, 2));
        assert_eq!(found.published[0].host_port, Some(8001));
        assert_eq!(found.restart_policy.as_deref(), Some("unless-stopped"));
        assert!(!format!("{found:?}").contains("hush"));
    }

    #[test]
    fn what_is_no_container() {
        for config in ["", "[]", "{}", r#"{"ID":"../x","State":{}}"#] {
            assert!(kept(config.as_bytes(), HOST.as_bytes()).is_none());
        }
        assert!(kept(CONFIG.as_bytes(), b"{").is_none());
    }
}

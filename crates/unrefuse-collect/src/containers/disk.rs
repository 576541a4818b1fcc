//! What Docker keeps of its containers on disk, for the time that its daemon does not run.

use super::ContainerQuery;
use super::engine::matters;
use crate::live::{files, folders};
use unrefuse_facts::{Container, Missing, Observed, Source};
use unrefuse_parse::container::kept;

/// The sockets of the engine whose folder it is.
const SOCKETS: [&str; 2] = ["/run/docker.sock", "/var/run/docker.sock"];

/// Docker's folder where nobody moved it (`data-root` of dockerd(8)).
const FOLDER: &str = "/var/lib/docker/containers";

/// So many containers are read; files of some 10 kB each.
const MOST: usize = 200;

/// The containers that matter, as their files say: none where nothing was ever made; `missing` where they may not be read.
pub(super) fn containers(
    root: &str,
    socket: &str,
    query: &ContainerQuery,
    missing: Missing,
) -> (Observed<Vec<Container>>, u32) {
    if !SOCKETS.contains(&socket) {
        return (Observed::Missing(missing), 0);
    }
    let folder = format!("{root}{FOLDER}");
    let Ok(ids) = folders::names(&folder) else { return (Observed::Missing(missing), 0) };
    let one = |id: &String| {
        let read = |file: &str| files::read(&format!("{folder}/{id}/{file}")).ok();
        kept(&read("config.v2.json")?, &read("hostconfig.json")?)
    };
    let mut found: Vec<Container> = ids.iter().take(MOST).filter_map(one).collect();
    found.retain(|container| matters(container, query));
    let total = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    (Observed::known(found, Source::configured(FOLDER)), total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;
    use unrefuse_facts::Reason;

    fn absent() -> Missing {
        Missing::new(Reason::Absent, "/run/docker.sock: no such file")
    }

    #[test]
    fn what_would_publish_the_port() {
        let root = Root::new("docker-on-disk");
        let query = ContainerQuery { port: 8001, ..ContainerQuery::default() };
        assert_eq!(containers(root.path(), SOCKETS[0], &query, absent()).0.value(), Some(&Vec::new()));
        assert_eq!(containers(root.path(), "/srv/d.sock", &query, absent()).0.missing(), Some(&absent()));
        for (digit, port) in [("a", 8001), ("b", 9001)] {
            let id = digit.repeat(64);
            let config = format!(
                r#"{{"ID":"{id}","Name":"/{digit}","State":{{"StartedAt":"2026-11-22T13:24:59Z"}},"Config":{{"Image":"x"}}}}"#
            );
            let host = format!(r#"{{"NetworkMode":"default","PortBindings":{{"80/tcp":[{{"HostPort":"{port}"}}]}}}}"#);
            root.file(&format!("{FOLDER}/{id}/config.v2.json"), &config);
            root.file(&format!("{FOLDER}/{id}/hostconfig.json"), &host);
        }
        let (found, total) = containers(root.path(), SOCKETS[0], &query, absent());
        let names: Vec<&str> = found.value().unwrap().iter().map(|c| c.name.as_str()).collect();
        assert_eq!((names, total), (vec!["a"], 2));
    }
}

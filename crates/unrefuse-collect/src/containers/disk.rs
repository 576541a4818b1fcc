//! What Docker keeps of its containers on disk, for the time that its daemon does not run.

use super::ContainerQuery;
use super::engine::matters;
use crate::live::{files, folders};
use crate::unit_files::UnitFiles;
use unrefuse_facts::{Container, Missing, Observed, Source, text};
use unrefuse_parse::container::{self, data_root_option, kept};
use unrefuse_parse::unit::words;

/// The sockets of the engine whose folder it is.
const SOCKETS: [&str; 2] = ["/run/docker.sock", "/var/run/docker.sock"];

/// Its settings: of the snap, too, whose daemon listens at the same socket.
const DAEMON_JSON: [&str; 2] = ["/etc/docker/daemon.json", "/var/snap/docker/current/config/daemon.json"];

/// Options of the daemon that its unit takes over (`$DOCKER_OPTS`, `$OPTIONS`).
const OPTIONS: [&str; 2] = ["/etc/default/docker", "/etc/sysconfig/docker"];

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
    let Some(place) = data_root(root) else {
        let detail = format!("{}; its data-root cannot be read from {}", missing.detail, DAEMON_JSON[0]);
        return (Observed::Missing(Missing { detail, ..missing }), 0);
    };
    let folder = format!("{root}{place}/containers");
    let Ok(ids) = folders::names(&folder) else { return (Observed::Missing(missing), 0) };
    let one = |id: &String| {
        let read = |file: &str| files::read(&format!("{folder}/{id}/{file}")).ok();
        kept(&read("config.v2.json")?, &read("hostconfig.json")?)
    };
    let mut found: Vec<Container> = ids.iter().take(MOST).filter_map(one).collect();
    found.retain(|container| matters(container, query));
    let total = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    (Observed::known(found, Source::configured(format!("{place}/containers"))), total)
}

/// Where the daemon keeps its data, by its command line and its settings; `None` where these say so and cannot be read.
fn data_root(root: &str) -> Option<String> {
    let lines = UnitFiles::list(root).read("docker.service").into_iter().flat_map(|(_, assignments)| assignments);
    let mut starts: Vec<String> = Vec::new();
    for assignment in lines.filter(|one| one.section == "Service" && one.key == "ExecStart") {
        // An empty assignment takes back those before (systemd.service(5)).
        if assignment.value.is_empty() { starts.clear() } else { starts.push(assignment.value) }
    }
    // A script of init.d has no unit, and takes them over, too.
    let takes_options = starts.is_empty() || starts.iter().any(|line| line.contains('$'));
    for file in OPTIONS.iter().filter_map(|path| files::read(&format!("{root}{path}")).ok().filter(|_| takes_options)) {
        let lines = file.split(|&byte| byte == b'\n').map(text::from_bytes);
        let values = lines.filter_map(|line| {
            Some(line.trim_start().split_once('=')?.1.to_owned()).filter(|_| !line.starts_with('#'))
        });
        starts.extend(values.map(|value| format!("dockerd {}", value.trim().trim_matches(['"', '\'']))));
    }
    let by_option = starts.iter().filter_map(|line| data_root_option(&words(line))).next_back();
    by_option.or_else(|| {
        let settings = DAEMON_JSON.iter().find_map(|path| files::read(&format!("{root}{path}")).ok());
        container::data_root(&settings.unwrap_or_default())
    })
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
        fill(&root, "/var/lib/docker", [("a", 8001), ("b", 9001)]);
        let (found, total) = containers(root.path(), SOCKETS[0], &query, absent());
        let names: Vec<&str> = found.value().unwrap().iter().map(|c| c.name.as_str()).collect();
        assert_eq!((names, total), (vec!["a"], 2));
    }

    fn fill<const N: usize>(root: &Root, folder: &str, made: [(&str, u16); N]) {
        for (digit, port) in made {
            let id = digit.repeat(64);
            let config = format!(
                r#"{{"ID":"{id}","Name":"/{digit}","State":{{"StartedAt":"2026-11-22T13:24:59Z"}},"Config":{{"Image":"x"}}}}"#
            );
            let host = format!(r#"{{"NetworkMode":"default","PortBindings":{{"80/tcp":[{{"HostPort":"{port}"}}]}}}}"#);
            root.file(&format!("{folder}/containers/{id}/config.v2.json"), &config);
            root.file(&format!("{folder}/containers/{id}/hostconfig.json"), &host);
        }
    }

    /// Names, and where they were found.
    fn found(root: &Root) -> (Vec<String>, String) {
        let query = ContainerQuery { port: 8001, ..ContainerQuery::default() };
        match containers(root.path(), SOCKETS[0], &query, absent()).0 {
            Observed::Known { value, source } => (value.into_iter().map(|c| c.name).collect(), source.what),
            Observed::Missing(missing) => (Vec::new(), missing.detail),
        }
    }

    #[test]
    fn a_moved_data_root_is_followed() {
        let root = Root::new("docker-moved");
        // What was left behind at the usual place counts no more.
        fill(&root, "/var/lib/docker", [("a", 8001)]);
        fill(&root, "/srv/json", [("b", 8001)]);
        fill(&root, "/srv/unit", [("c", 8001)]);
        fill(&root, "/srv/default", [("d", 8001)]);
        let is = |name: &str, folder: &str| (vec![name.to_owned()], format!("{folder}/containers"));
        assert_eq!(found(&root), is("a", "/var/lib/docker"));
        root.file(DAEMON_JSON[0], r#"{"data-root": "/srv/json/"}"#);
        assert_eq!(found(&root), is("b", "/srv/json"));
        root.file(
            "/usr/lib/systemd/system/docker.service",
            "[Service]\nExecStart=/usr/bin/dockerd -H fd:// $DOCKER_OPTS\n",
        );
        let drop_in =
            "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd --data-root /srv/unit \\\n -H fd:// $DOCKER_OPTS\n";
        root.file("/etc/systemd/system/docker.service.d/root.conf", drop_in);
        assert_eq!(found(&root), is("c", "/srv/unit"));
        root.file(OPTIONS[0], "# DOCKER_OPTS=\"-g /srv/old\"\nDOCKER_OPTS=\"--data-root=/srv/default -D\"\n");
        assert_eq!(found(&root), is("d", "/srv/default"));
    }

    #[test]
    fn a_broken_setting_of_it_is_not_guessed() {
        let root = Root::new("docker-broken");
        fill(&root, "/var/lib/docker", [("a", 8001)]);
        root.file(DAEMON_JSON[0], r#"{"data-root": "/srv/docker","#);
        let (names, detail) = found(&root);
        assert!(
            names.is_empty() && detail.ends_with("its data-root cannot be read from /etc/docker/daemon.json"),
            "{detail}"
        );
    }
}

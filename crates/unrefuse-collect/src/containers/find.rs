//! Where engines are: their sockets, and their executables.

use super::podman;
use crate::live::{files, folders};
use std::collections::BTreeSet;
use unrefuse_facts::EngineKind;
use unrefuse_parse::container::{context, unix_path};

/// So many users' and contexts' sockets are looked at.
const MOST: usize = 32;

/// Where packages install them (Debian's docker.io has the daemon in /usr/sbin).
const DOCKERD: [&str; 4] =
    ["/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd", "/snap/bin/docker.dockerd"];
const PODMAN: [&str; 2] = ["/usr/bin/podman", "/usr/local/bin/podman"];

/// A place where an engine listens, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// By the socket's path; the engine's own answer says it for sure.
    pub(super) kind: EngineKind,
    /// As it was found.
    pub(super) socket: String,
    /// Its user; root is 0.
    pub(super) uid: u32,
    pub(super) installed: Option<String>,
    /// The socket's file is there.
    pub(super) exists: bool,
}

/// Where the environment says engines are.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// `DOCKER_HOST`, `CONTAINER_HOST`.
    pub(super) hosts: Vec<String>,
    /// `HOME`.
    pub(super) home: Option<String>,
}

impl Environment {
    pub(super) fn own() -> Self {
        let variable = |name| std::env::var(name).ok();
        Self {
            hosts: ["DOCKER_HOST", "CONTAINER_HOST"].into_iter().filter_map(variable).collect(),
            home: variable("HOME"),
        }
    }
}

/// All places below `root`, each socket once.
pub(super) fn places(root: &str, environment: &Environment) -> Vec<Place> {
    use EngineKind::{Docker, Podman};
    let mut sockets = vec![(Docker, "/run/docker.sock".to_owned(), 0), (Docker, "/var/run/docker.sock".to_owned(), 0)];
    sockets.push((Podman, "/run/podman/podman.sock".to_owned(), 0));
    for uid in names(&format!("{root}/run/user")).iter().filter_map(|name| name.parse::<u32>().ok()) {
        sockets.push((Docker, format!("/run/user/{uid}/docker.sock"), uid));
        sockets.push((Podman, format!("/run/user/{uid}/podman/podman.sock"), uid));
    }
    let contexts = environment.home.iter().flat_map(|home| {
        let folder = format!("{root}{home}/.docker/contexts/meta");
        let file = move |name: String| files::read(&format!("{folder}/{name}/meta.json")).ok();
        names(&format!("{root}{home}/.docker/contexts/meta")).into_iter().filter_map(file)
    });
    let told = environment.hosts.iter().filter_map(|host| unix_path(host));
    for socket in told.chain(contexts.filter_map(|meta| context(&meta))) {
        let kind = if socket.contains("podman") { Podman } else { Docker };
        let uid = socket.strip_prefix("/run/user/").and_then(|rest| rest.split('/').next()?.parse().ok());
        sockets.push((kind, socket, uid.unwrap_or(0)));
    }
    let installed = |paths: &[&str]| {
        paths.iter().find(|path| rustix::fs::stat(format!("{root}{path}")).is_ok()).map(|path| (*path).to_owned())
    };
    let (dockerd, podman) = (installed(&DOCKERD), installed(&PODMAN));
    let (mut seen, mut found) = (BTreeSet::new(), Vec::<Place>::new());
    for (kind, socket, uid) in sockets {
        let stat = rustix::fs::stat(format!("{root}{socket}")).ok();
        // One engine has several names: /var/run is a link to /run, podman-docker makes /run/docker.sock one.
        let new = stat.is_some_and(|stat| seen.insert((stat.st_dev, stat.st_ino)));
        let installed = if kind == Docker { dockerd.clone() } else { podman.clone() };
        let system = matches!(socket.as_str(), "/run/docker.sock" | "/run/podman/podman.sock");
        // Podman's containers need no daemon, so its socket is mostly not there.
        let kept = || system || kind == Podman && podman::storage(root, uid).is_some();
        if new || stat.is_none() && installed.is_some() && kept() {
            found.push(Place { kind, socket, uid, installed, exists: stat.is_some() });
        }
    }
    found
}

/// The first names in a folder; none where it cannot be listed.
fn names(folder: &str) -> Vec<String> {
    let mut names = folders::names(folder).unwrap_or_default();
    names.truncate(MOST);
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    fn brief(root: &Root, environment: &Environment) -> Vec<(EngineKind, String, u32, bool)> {
        places(root.path(), environment).into_iter().map(|p| (p.kind, p.socket, p.uid, p.exists)).collect()
    }

    #[test]
    fn sockets_of_the_system_of_users_and_of_contexts_each_once() {
        let root = Root::new("engines-found");
        root.file("/run/docker.sock", "");
        root.link("/var/run", "../run");
        root.file("/run/user/1000/podman/podman.sock", "");
        root.file("/srv/d.sock", "");
        let meta = r#"{"Endpoints":{"docker":{"Host":"unix:///srv/d.sock"}}}"#;
        root.file("/srv/u/.docker/contexts/meta/aa/meta.json", meta);
        let hosts = vec!["unix:///run/docker.sock".to_owned(), "tcp://10.0.0.1:2375".to_owned()];
        let environment = Environment { hosts, home: Some("/srv/u".to_owned()) };
        assert_eq!(
            brief(&root, &environment),
            [
                (EngineKind::Docker, "/run/docker.sock".to_owned(), 0, true),
                (EngineKind::Podman, "/run/user/1000/podman/podman.sock".to_owned(), 1000, true),
                (EngineKind::Docker, "/srv/d.sock".to_owned(), 0, true),
            ]
        );
    }

    #[test]
    fn an_installed_engine_without_its_socket() {
        let root = Root::new("engines-installed");
        assert!(brief(&root, &Environment::default()).is_empty());
        root.file("/usr/sbin/dockerd", "");
        assert_eq!(
            brief(&root, &Environment::default()),
            [(EngineKind::Docker, "/run/docker.sock".to_owned(), 0, false)]
        );
    }
}

//! The container that unrefuse itself was started in.

use crate::live::files;
use unrefuse_facts::OwnContainer;
use unrefuse_facts::text::from_bytes;
use unrefuse_parse::{container::id_of_mounts, proc_pid};

/// By its own cgroup, what engines mount and the files they leave in a container's root (`/.dockerenv`,
/// `/run/.containerenv`).
pub(super) fn own(root: &str) -> Option<OwnContainer> {
    let read = |path: &str| files::read(&format!("{root}{path}")).ok();
    let found = |engine: Option<&str>, name: String| {
        Some(OwnContainer { engine: engine.map(str::to_owned), name, entered: false })
    };
    let by_cgroup = read("/proc/self/cgroup").and_then(|cgroup| proc_pid::cgroup(&cgroup).container);
    if let Some(hint) = by_cgroup {
        return found(Some(&hint.engine), hint.id);
    }
    let id = || read("/proc/self/mountinfo").and_then(|mounts| id_of_mounts(&mounts));
    if let Some(facts) = read("/run/.containerenv") {
        // Podman fills it in for privileged containers only (podman-run(1)).
        let text = from_bytes(&facts);
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.map(|value| value.trim_matches('"').to_owned()).filter(|value| !value.is_empty())
        };
        return found(Some("podman"), value("name").or_else(|| value("id")).or_else(id).unwrap_or_else(hostname));
    }
    // The file alone says nothing: machines made from an image have it, too.
    let docker = rustix::fs::stat(format!("{root}/.dockerenv")).is_ok();
    id().and_then(|id| found(docker.then_some("docker"), id))
}

/// Engines name a container's host by its short id.
fn hostname() -> String {
    from_bytes(rustix::system::uname().nodename().to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    #[test]
    fn by_cgroup_mounts_and_files() {
        let id = "6dd26d60c3b200f5f9303773a0b2479220dfa237200c9aa1380906098465ce31";
        let root = Root::new("own-container");
        assert_eq!(own(root.path()), None);
        root.file("/.dockerenv", "");
        assert_eq!(own(root.path()), None, "made from an image of Docker's, and no container");
        let mount = format!("1 2 0:1 /var/lib/docker/containers/{id}/hosts /etc/hosts rw - ext4 /dev/vda rw\n");
        root.file("/proc/self/mountinfo", &mount);
        let docker = own(root.path()).unwrap();
        assert_eq!((docker.engine.as_deref(), docker.name.as_str(), docker.entered), (Some("docker"), id, false));
        root.file("/run/.containerenv", "engine=\"podman-4.3.1\"\nname=\"web\"\n");
        assert_eq!(own(root.path()).unwrap().name, "web");
        root.file("/proc/self/cgroup", &format!("0::/system.slice/docker-{id}.scope\n"));
        assert_eq!(own(root.path()).unwrap().name, id[..12]);
    }
}

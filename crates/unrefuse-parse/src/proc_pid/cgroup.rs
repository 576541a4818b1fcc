//! /proc/PID/cgroup: which unit and which container a process belongs to.

use crate::lines;
use unrefuse_facts::{ContainerHint, RunningAs, text};

/// Components of one path that are looked at.
const MAX_DEPTH: usize = 64;

/// The unit and the container that a process runs as, from /proc/PID/cgroup (cgroups(7)).
///
/// ```text
/// 9:name=systemd:/
/// 4:memory:/process_api/941496ac8cf1ddaf2ffb405342b30a94
/// 0::/
/// ```
/// One line with `0::` on cgroup v2, one per hierarchy on v1; the unit is read from `0::` or systemd's own hierarchy, the
/// container from whichever line shows one. The unit is the innermost `.service`, named as `systemctl` takes it
/// (escapes such as `\x2d` belong to the name); a session's scope is no unit. Of containers in containers the outermost
/// counts: that is the one this machine's engine knows. A path is what this process's cgroup namespace shows: seen from
/// inside a container it often says nothing.
///
/// ```
/// let line = b"0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n";
/// let found = unrefuse_parse::proc_pid::cgroup(line);
/// assert_eq!(found.unit.as_deref(), Some("postgresql@15-main.service"));
/// ```
pub fn cgroup(bytes: &[u8]) -> RunningAs {
    let mut found = RunningAs::default();
    for (_, line) in lines::numbered(bytes).take(256) {
        let mut fields = line.splitn(3, |&b| b == b':');
        let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let path = text::from_bytes(path);
        let path = path.strip_suffix(" (deleted)").unwrap_or(&path);
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).take(MAX_DEPTH).collect();
        if found.container.is_none() {
            found.container = container(&parts);
        }
        if found.unit.is_none() && (controllers == b"name=systemd" || id == b"0" && controllers.is_empty()) {
            (found.unit, found.user_unit) = unit(&parts);
        }
    }
    found
}

/// The innermost service, and whether it belongs to a user's manager: that is itself a service, `user@1000.service`.
fn unit(parts: &[&str]) -> (Option<String>, bool) {
    let Some(at) = parts.iter().rposition(|part| is_service(part)) else { return (None, false) };
    // systemd puts `_` before a name that the kernel would take for its own (systemd's cg_escape).
    let name = parts[at].strip_prefix('_').unwrap_or(parts[at]);
    let user = parts[..at].iter().any(|part| part.starts_with("user@") && is_service(part));
    // A user's container or session scope is not a service of the manager that it lives under.
    if name.starts_with("user@") && parts[at + 1..].iter().any(|part| part.ends_with(".scope") && *part != "init.scope")
    {
        return (None, false);
    }
    (Some(name.to_owned()), user)
}

fn is_service(part: &str) -> bool {
    part.len() > ".service".len() && part.ends_with(".service")
}

/// The outermost container of a path.
fn container(parts: &[&str]) -> Option<ContainerHint> {
    parts.iter().enumerate().find_map(|(at, part)| {
        let before = at.checked_sub(1).map(|at| parts[at]);
        of_name(part).or_else(|| of_place(before, part, &parts[..at]))
    })
}

/// Names that say it all: `docker-<id>.scope`, `lxc.payload.web`, `machine-web.scope`.
fn of_name(part: &str) -> Option<ContainerHint> {
    let scope = part.strip_suffix(".scope").unwrap_or(part);
    for (prefix, engine) in [
        ("docker-", "docker"),
        ("libpod-", "podman"),
        ("cri-containerd-", "containerd"),
        ("nerdctl-", "containerd"),
        ("crio-", "crio"),
    ] {
        if let Some(id) = scope.strip_prefix(prefix).and_then(short_id) {
            return Some(hint(engine, id));
        }
    }
    // containerd with the cgroupfs driver's name under systemd: `kubepods-….slice:cri-containerd:<id>`.
    if let Some((_, id)) = part.split_once(":cri-containerd:") {
        return short_id(id).map(|id| hint("containerd", id));
    }
    if let Some(name) = part.strip_prefix("lxc.payload.").filter(|name| !name.is_empty()) {
        return Some(hint("lxc", name));
    }
    // systemd-nspawn registers `machine-NAME.scope`; libvirt's virtual machines have `machine-qemu\x2d…`.
    if let Some(name) = part.strip_prefix("machine-").and_then(|rest| rest.strip_suffix(".scope")) {
        let name = unescape(name);
        return (!name.is_empty() && !name.starts_with("qemu-"))
            .then(|| ContainerHint { engine: "nspawn".to_owned(), id: name });
    }
    let name = part.strip_prefix("systemd-nspawn@")?.strip_suffix(".service")?;
    (!name.is_empty()).then(|| ContainerHint { engine: "nspawn".to_owned(), id: unescape(name) })
}

/// Names that mean a container only where they stand: `/docker/<id>`, `/kubepods/…/<id>`, `/lxc/<name>`.
fn of_place(before: Option<&str>, part: &str, above: &[&str]) -> Option<ContainerHint> {
    match before {
        Some("docker") => return short_id(part).map(|id| hint("docker", id)),
        Some("lxc" | "lxc.payload") => return Some(hint("lxc", part)),
        _ => {}
    }
    // A bare id below kubepods does not tell which engine made it.
    if above.iter().any(|part| part.starts_with("kubepods")) {
        return short_id(part).map(|id| hint("kubernetes", id));
    }
    None
}

fn hint(engine: &str, id: &str) -> ContainerHint {
    ContainerHint { engine: engine.to_owned(), id: id.to_owned() }
}

/// The first 12 digits of a container id, which is 64 hexadecimal ones.
fn short_id(id: &str) -> Option<&str> {
    (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| &id[..12])
}

/// systemd's `\xNN` (systemd.unit(5), "string escaping for inclusion in unit names") undone; what is not such an escape
/// stays. A dash stands for a slash there, but machine names have none.
fn unescape(name: &str) -> String {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = rest
            .strip_prefix(b"\\x")
            .and_then(|digits| digits.get(..2))
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match escaped {
            Some(byte) => {
                out.push(byte);
                rest = &rest[4..];
            }
            None => {
                out.push(first);
                rest = tail;
            }
        }
    }
    text::from_bytes(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "941496ac8cf1ddaf2ffb405342b30a94941496ac8cf1ddaf2ffb405342b30a94";

    fn of(path: &str) -> RunningAs {
        cgroup(format!("0::{}\n", path.replace("ID", ID)).as_bytes())
    }

    #[test]
    fn units() {
        for (path, unit, user) in [
            ("/system.slice/nginx.service", Some("nginx.service"), false),
            ("/system.slice/docker.service", Some("docker.service"), false),
            ("/system.slice/dev-disk\\x2dby.service", Some("dev-disk\\x2dby.service"), false),
            ("/system.slice/_cgroup.service", Some("cgroup.service"), false),
            ("/system.slice/foo.service/payload/worker", Some("foo.service"), false),
            ("/system.slice/foo.service (deleted)", Some("foo.service"), false),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", Some("foo.service"), true),
            ("/user.slice/user-1000.slice/user@1000.service/init.scope", Some("user@1000.service"), false),
            ("/user.slice/user-1000.slice/session-3.scope", None, false),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/vte-1.scope", None, false),
            ("/init.scope", None, false),
            ("/.service", None, false),
            ("/", None, false),
        ] {
            let found = of(path);
            assert_eq!((found.unit.as_deref(), found.user_unit), (unit, user), "{path}");
            assert_eq!(found.container, None, "{path}");
        }
    }

    #[test]
    fn containers() {
        let kube = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice";
        for (path, engine, id) in [
            ("/system.slice/docker-ID.scope", "docker", "941496ac8cf1"),
            ("/docker/ID", "docker", "941496ac8cf1"),
            ("/docker/ID/docker/beefID", "docker", "941496ac8cf1"),
            ("/machine.slice/libpod-ID.scope/container", "podman", "941496ac8cf1"),
            ("/user.slice/user-1.slice/user@1.service/user.slice/libpod-ID.scope/container", "podman", "941496ac8cf1"),
            (&format!("{kube}/cri-containerd-ID.scope"), "containerd", "941496ac8cf1"),
            (&format!("{kube}/crio-ID.scope"), "crio", "941496ac8cf1"),
            ("/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:ID", "containerd", "941496ac8cf1"),
            ("/kubepods/besteffort/pod12/ID", "kubernetes", "941496ac8cf1"),
            ("/lxc/web", "lxc", "web"),
            ("/lxc.payload.web/system.slice/nginx.service", "lxc", "web"),
            ("/machine.slice/machine-web\\x2d1.scope", "nspawn", "web-1"),
            ("/machine.slice/systemd-nspawn@web.service/payload", "nspawn", "web"),
        ] {
            let found = of(path).container.unwrap_or_else(|| panic!("no container in {path}"));
            assert_eq!((found.engine.as_str(), found.id.as_str()), (engine, id), "{path}");
        }
    }

    #[test]
    fn what_only_looks_like_a_container() {
        for path in [
            "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope",
            "/machine.slice/libpod-conmon-ID.scope",
            "/system.slice/docker-proxy.scope",
            "/docker/buildx",
            "/kubepods/besteffort/pod12",
            "/process_api/941496ac8cf1ddaf2ffb405342b30a94",
        ] {
            assert_eq!(of(path).container, None, "{path}");
        }
    }

    #[test]
    fn a_users_container_is_no_unit_of_the_user() {
        let found = of("/user.slice/user-1.slice/user@1.service/user.slice/libpod-ID.scope/container");
        assert_eq!(found.unit, None);
    }

    #[test]
    fn version_1_has_the_unit_in_systemds_own_hierarchy() {
        let both = format!("9:name=systemd:/system.slice/ssh.service\n5:devices:/docker/{ID}\n0::/\n");
        let found = cgroup(both.as_bytes());
        assert_eq!(found.unit.as_deref(), Some("ssh.service"));
        assert_eq!(found.container.unwrap().id, "941496ac8cf1");
        assert_eq!(cgroup(b"4:memory:/system.slice/ssh.service\n").unit, None);
    }

    #[test]
    fn hostile_paths() {
        assert_eq!(of("/a\u{1b}b.service").unit.as_deref(), Some("a\u{1b}b.service"));
        assert_eq!(cgroup(b"0::/x\xff.service").unit.as_deref(), Some("x\\xff.service"));
        assert_eq!(cgroup(&[&b"0::"[..], &b"/a".repeat(40_000), b"/deep.service"].concat()).unit, None);
        assert_eq!(of("/machine-\\x.scope").container.unwrap().id, "\\x");
        assert_eq!(cgroup(b"0:\n::\n\n"), RunningAs::default());
    }
}

//! What is installed: executables of known services, the distribution, container engines, pid files.

use crate::live::missing::missing;
use crate::live::{files, folders};
use crate::unit_files::{holds, line_naming, small};
use unrefuse_facts::catalogue::KnownService;
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::{Clue, ClueKind, Installed, Observed, Source};

/// So many files of a service's configuration are searched for a number.
const MOST_FILES: usize = 256;

/// Executables of container engines.
const ENGINES: [(&str, &str); 5] = [
    ("docker", "/usr/bin/dockerd"),
    // Debian's docker.io.
    ("docker", "/usr/sbin/dockerd"),
    ("podman", "/usr/bin/podman"),
    ("containerd", "/usr/bin/containerd"),
    ("k3s", "/usr/local/bin/k3s"),
];

/// The paths below `root` that `pattern` means and that lead to something.
pub(super) fn paths(root: &str, pattern: &str) -> Vec<String> {
    let mut found = folders::list(root, pattern).unwrap_or_default();
    found.retain(|path| rustix::fs::stat(format!("{root}{path}")).is_ok());
    found
}

/// Names in a folder; none where it cannot be listed.
pub(super) fn names(folder: &str) -> Vec<String> {
    folders::names(folder).unwrap_or_default()
}

/// The installed executables of `services`, the first of each.
pub(super) fn installed(root: &str, services: &[&'static KnownService]) -> Vec<Installed> {
    let one = |service: &&'static KnownService| {
        let path = service.binaries.iter().find_map(|pattern| paths(root, pattern).into_iter().next())?;
        Some(Installed { service: service.id.to_owned(), path })
    };
    services.iter().filter_map(one).collect()
}

/// The first line of a service's configuration that has the port's number where a port may stand. What it means is not
/// looked at: comments alone are left out.
pub(super) fn configuration(root: &str, service: &KnownService, port: u16) -> Option<Clue> {
    let number = port.to_string();
    let mut left = MOST_FILES;
    let mut paths: Vec<String> = service.config_files.iter().flat_map(|pattern| paths(root, pattern)).collect();
    // What it includes lies beside it or one folder below (`sites-enabled`, `conf.d`).
    let folders: Vec<String> = paths.iter().filter_map(|p| Some(p.rsplit_once('/')?.0.to_owned())).collect();
    for folder in folders.into_iter().filter(|folder| folder != "/etc") {
        for name in names(&format!("{root}{folder}")) {
            let path = format!("{folder}/{name}");
            let below = names(&format!("{root}{path}"));
            if below.is_empty() {
                paths.push(path);
            } else if name.ends_with("-enabled") || name.ends_with(".d") {
                paths.extend(below.into_iter().map(|name| format!("{path}/{name}")));
            }
        }
    }
    for path in paths {
        left = left.checked_sub(1)?;
        let Some(bytes) = small(&format!("{root}{path}")).filter(|bytes| holds(bytes, number.as_bytes())) else {
            continue;
        };
        if let Some(line) = line_naming(&bytes, port) {
            return Some(Clue {
                kind: ClueKind::Configuration,
                text: format!("the configuration of {} has the number {port}", service.name),
                source: format!("{path}:{line}"),
            });
        }
    }
    None
}

/// Container engines that are here.
pub(super) fn engines(root: &str) -> Vec<String> {
    let here = |(_, path): &&(&str, &str)| rustix::fs::stat(format!("{root}{path}")).is_ok();
    let mut names: Vec<String> = ENGINES.iter().filter(here).map(|(name, _)| (*name).to_owned()).collect();
    // /usr/sbin may be a link to /usr/bin.
    names.dedup();
    names
}

/// `ID` and the words of `ID_LIKE` of os-release(5).
pub(super) fn distribution(root: &str) -> Vec<String> {
    let read = |path: &str| files::read(&format!("{root}{path}")).ok();
    let Some(bytes) = read("/etc/os-release").or_else(|| read("/usr/lib/os-release")) else { return Vec::new() };
    let text = from_bytes(&bytes);
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim().trim_matches(['"', '\'']).to_owned()).unwrap_or_default()
    };
    let all = format!("{} {}", value("ID"), value("ID_LIKE"));
    all.split_whitespace().map(str::to_owned).collect()
}

/// Command names of the processes that run and are of `services` or have one of `names`, each once.
pub(super) fn processes(services: &[&'static KnownService], names: &[&str]) -> Observed<Vec<String>> {
    let entries = match std::fs::read_dir("/proc") {
        Ok(entries) => entries,
        Err(error) => {
            let errno = rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO);
            return Observed::Missing(missing("list /proc", errno));
        }
    };
    let mut found = Vec::new();
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let Some(pid) = name.to_str().filter(|name| name.bytes().all(|b| b.is_ascii_digit())) else { continue };
        let Ok(bytes) = files::read(&format!("/proc/{pid}/comm")) else { continue };
        let command = from_bytes(&bytes).trim_end().to_owned();
        let sought = services.iter().any(|service| service.has_process(&command)) || names.contains(&command.as_str());
        if sought && !found.contains(&command) {
            found.push(command);
        }
    }
    Observed::known(found, Source::running("/proc/*/comm"))
}

/// Pid files of `services` under /run whose process is gone.
pub(super) fn stale_pid_files(root: &str, services: &[&'static KnownService]) -> Vec<String> {
    let mut found = Vec::new();
    for service in services {
        for name in service.processes.iter().chain([&service.id]) {
            for path in [format!("/run/{name}.pid"), format!("/run/{name}/{name}.pid")] {
                let Ok(bytes) = files::read(&format!("{root}{path}")) else { continue };
                let Ok(pid) = from_bytes(&bytes).trim().parse::<u32>() else { continue };
                if rustix::fs::stat(format!("/proc/{pid}")).is_err() && !found.contains(&path) {
                    found.push(path);
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;
    use unrefuse_facts::catalogue::by_id;

    #[test]
    fn what_is_installed_is_found_by_its_files() {
        let root = Root::new("installed");
        root.file("/usr/lib/postgresql/15/bin/postgres", "");
        root.file("/etc/os-release", "NAME=x\nID=ubuntu\nID_LIKE=\"debian x\"\n");
        root.file("/run/postgres.pid", "4294967\n");
        root.file("/run/nginx.pid", "1\n");
        let services = [by_id("postgresql").unwrap(), by_id("nginx").unwrap()];
        let found = installed(root.path(), &services);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "/usr/lib/postgresql/15/bin/postgres");
        assert_eq!(distribution(root.path()), ["ubuntu", "debian", "x"]);
        assert_eq!(stale_pid_files(root.path(), &services), ["/run/postgres.pid"]);
        assert!(engines(root.path()).is_empty());
        let own = from_bytes(&files::read("/proc/self/comm").unwrap()).trim().to_owned();
        assert_eq!(processes(&[], &[&own, "no such name"]).value(), Some(&vec![own.clone()]));
        root.file("/etc/nginx/nginx.conf", "# listen 8088;\ninclude sites-enabled/*;\n");
        root.file("/etc/nginx/sites-enabled/app", "server {\n    listen 127.0.0.1:8088;\n}\n");
        let clue = configuration(root.path(), services[1], 8088).unwrap();
        assert_eq!(clue.source, "/etc/nginx/sites-enabled/app:2");
        assert_eq!(configuration(root.path(), services[1], 808), None);
        assert_eq!(configuration(root.path(), services[0], 8088), None);
        assert!(paths(root.path(), "/usr/lib/*/16/bin/postgres").is_empty());
    }
}

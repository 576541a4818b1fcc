//! unrefuse's own process.

use super::files;
use rustix::fs::CWD;
use unrefuse_facts::{Location, ProxySetting, SelfFacts, text::from_bytes};
use unrefuse_parse::{environment, proc_pid, proxy};

/// The variables that clients look at (curl(1), "ENVIRONMENT"; both cases are in use).
const PROXIES: [&str; 10] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "ftp_proxy",
    "FTP_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// Rights, namespace and proxies.
pub(super) fn own() -> SelfFacts {
    let status = files::read("/proc/thread-self/status").unwrap_or_default();
    let netns = namespace("/proc/thread-self/ns/net");
    SelfFacts {
        uid: rustix::process::geteuid().as_raw(),
        capabilities: proc_pid::capabilities(&status).unwrap_or_default(),
        netns,
        netns_is_init: is_init(netns),
        proxies: proxies(),
    }
}

/// The inode of a namespace, by the link that names it.
pub(crate) fn namespace(path: &str) -> Option<u64> {
    let target = rustix::fs::readlinkat(CWD, path, Vec::new()).ok()?;
    super::proc_dir::magic_inode(target.as_bytes(), b"net:[")
}

/// Whether we stand where process 1 stands. Its namespace's number is for root; the number of its table of sockets,
/// which differs between namespaces too, is for everybody.
fn is_init(netns: Option<u64>) -> Option<bool> {
    let by_table = || Some(table_number("thread-self")? == table_number("1")?);
    match netns.zip(namespace("/proc/1/ns/net")) {
        Some((own, init)) => Some(own == init),
        None => by_table(),
    }
}

/// The number of a process's table of TCP sockets: each network namespace has its own (`proc_alloc_inum`,
/// fs/proc/generic.c).
pub(super) fn table_number(process: &str) -> Option<u64> {
    rustix::fs::stat(format!("/proc/{process}/net/tcp")).ok().map(|stat| stat.st_ino)
}

fn proxies() -> Vec<ProxySetting> {
    const FILE: &str = "/etc/environment";
    let set: Vec<(&str, String)> = PROXIES
        .iter()
        .filter_map(|&name| Some((name, from_bytes(std::env::var_os(name)?.as_encoded_bytes()))))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    if set.is_empty() {
        return Vec::new();
    }
    let everywhere = files::read(FILE).map(|bytes| environment::variables(FILE, &bytes)).unwrap_or_default();
    let location = |name: &str, value: &str| -> Option<Location> {
        // The last line that sets it wins; another value there is not where ours comes from.
        let (_, set_to, location) = everywhere.iter().rev().find(|(variable, _, _)| variable == name)?;
        (set_to == value).then(|| location.clone())
    };
    set.iter()
        .map(|(name, value)| ProxySetting {
            variable: (*name).to_owned(),
            location: location(name, value),
            value: proxy::redact(value),
        })
        .collect()
}

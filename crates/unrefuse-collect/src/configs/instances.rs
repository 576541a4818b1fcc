//! What runs a service: each first process with those that it started; or the unit that would start it.

use crate::live::{files, own};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use unrefuse_facts::catalogue::KnownService;
use unrefuse_facts::text::from_bytes;
use unrefuse_parse::proc_pid;

/// Ticks of a second in /proc/PID/stat: `USER_HZ`, 100 on every architecture of today (include/asm-generic/param.h).
const TICKS: u64 = 100;
/// Processes looked at.
const MOST_PROCESSES: usize = 100_000;

/// What of a process matters here.
#[derive(Debug, Clone)]
pub(super) struct Sketch {
    pub(super) pid: u32,
    pub(super) command: String,
    parent: u32,
    start_ticks: u64,
}

/// One service that runs, or that a unit would start.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    /// `None`: it does not run.
    pub(super) pid: Option<u32>,
    pub(super) command: String,
    /// Its system unit; of what does not run, its user's, too.
    pub(super) unit: Option<String>,
    /// The user with whose manager it runs, and its unit there.
    pub(super) user_unit: Option<(u32, String)>,
    /// When it read its configuration, milliseconds since 1970.
    pub(super) loaded_ms: Option<i64>,
    /// It and those that it started.
    pub(super) pids: Vec<u32>,
}

/// Every process by its id.
pub(super) fn processes() -> Result<BTreeMap<u32, Sketch>, Errno> {
    let entries = std::fs::read_dir("/proc").map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let pid = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<u32>().ok();
    let sketch = |pid: u32| {
        let stat = proc_pid::stat(&files::read(&format!("/proc/{pid}/stat")).ok()?)?;
        Some((pid, Sketch { pid, command: stat.comm, parent: stat.ppid, start_ticks: stat.start_ticks }))
    };
    Ok(entries.filter_map(pid).take(MOST_PROCESSES).filter_map(sketch).collect())
}

/// The instances of a service in this network namespace; those in containers have files of their own, and what listens in
/// another namespace does not answer in this one.
pub(super) fn of(service: &KnownService, processes: &BTreeMap<u32, Sketch>) -> Vec<Instance> {
    let is_its = |process: &Sketch| service.has_process(&process.command);
    let first = |process: &&Sketch| is_its(process) && !processes.get(&process.parent).is_some_and(is_its);
    let here = own::namespace("/proc/thread-self/ns/net");
    // In this namespace, or perhaps: another user's is not told.
    let is_here = |pid: u32| {
        let its = here.and_then(|_| own::namespace(&format!("/proc/{pid}/ns/net")));
        its.is_none() || its == here
    };
    processes
        .values()
        .filter(first)
        .filter(|process| !in_container(process.pid) && is_here(process.pid))
        .map(|process| Instance::of(process, processes))
        .collect()
}

fn in_container(pid: u32) -> bool {
    running_as(pid).is_some_and(|known| known.container.is_some())
}

fn running_as(pid: u32) -> Option<unrefuse_facts::RunningAs> {
    Some(proc_pid::cgroup(&files::read(&format!("/proc/{pid}/cgroup")).ok()?))
}

impl Instance {
    pub(super) fn of(process: &Sketch, processes: &BTreeMap<u32, Sketch>) -> Self {
        let children: Vec<&Sketch> = processes.values().filter(|other| other.parent == process.pid).collect();
        // nginx, Apache and HAProxy start their workers anew with each reload: the oldest of those that are left tells
        // when, where it is clearly younger than the first process. Others read their files when they start.
        let reloads = matches!(process.command.as_str(), "nginx" | "apache2" | "httpd" | "httpd-prefork" | "haproxy");
        let workers = children.iter().filter(|child| child.command == process.command).map(|child| child.start_ticks);
        let oldest = workers.filter(|_| reloads).min().filter(|ticks| *ticks > process.start_ticks + 2 * TICKS);
        let ticks = oldest.unwrap_or(process.start_ticks);
        let known = running_as(process.pid);
        let own = known.as_ref().and_then(|known| known.unit.clone()).filter(|unit| unit.ends_with(".service"));
        let of_user = known.is_some_and(|known| known.user_unit);
        let uid = rustix::fs::stat(format!("/proc/{}", process.pid)).map(|stat| stat.st_uid).ok().filter(|_| of_user);
        let (unit, user_unit) = if of_user { (None, uid.zip(own)) } else { (own, None) };
        let mut pids = vec![process.pid];
        pids.extend(children.iter().map(|child| child.pid));
        let (pid, command) = (Some(process.pid), process.command.clone());
        Self { pid, command, unit, user_unit, loaded_ms: since_1970(ticks), pids }
    }

    /// What `unit` would start as `command`.
    pub(super) fn of_unit(unit: &str, command: String) -> Self {
        Self { pid: None, command, unit: Some(unit.to_owned()), user_unit: None, loaded_ms: None, pids: Vec::new() }
    }

    /// The arguments behind the program's own name; of a process that wrote a title over them, what the title shows.
    pub(super) fn arguments(&self) -> Vec<String> {
        let read = |pid: u32| files::read(&format!("/proc/{pid}/cmdline")).ok();
        arguments(&self.pid.and_then(read).unwrap_or_default())
    }
}

/// The arguments in /proc/PID/cmdline (proc_pid_cmdline(5)).
///
/// `nginx: master process /usr/sbin/nginx -c x` and `sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups` are titles
/// in one piece (setproctitle(3)): what follows the program's path are its arguments.
fn arguments(bytes: &[u8]) -> Vec<String> {
    let trimmed = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let parts: Vec<String> = trimmed.split(|&b| b == 0).filter(|p| !p.is_empty()).map(from_bytes).collect();
    match parts.as_slice() {
        [title] if title.contains(' ') => {
            let words: Vec<&str> = title.split_whitespace().collect();
            let program = match title.contains(": ") {
                true => words.iter().position(|word| word.starts_with('/')),
                false => Some(0),
            };
            let behind = program.map_or(words.len(), |at| at + 1);
            let end = words.iter().position(|word| word.starts_with("[listener]")).unwrap_or(words.len());
            words.get(behind..end).unwrap_or_default().iter().map(|word| (*word).to_owned()).collect()
        }
        [_, arguments @ ..] => arguments.to_vec(),
        [] => Vec::new(),
    }
}

/// Ticks since boot as milliseconds since 1970.
fn since_1970(ticks: u64) -> Option<i64> {
    let milliseconds = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec.checked_mul(1000)?.checked_add(time.tv_nsec / 1_000_000)
    };
    let boot = milliseconds(ClockId::Realtime)?.checked_sub(milliseconds(ClockId::Boottime)?)?;
    // A tick is the end of its ten milliseconds: what was written just before the start is not later.
    boot.checked_add(i64::try_from((ticks + 1).checked_mul(1000 / TICKS)?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_titles() {
        let of = |line: &str| arguments(line.as_bytes()).join(" ");
        assert_eq!(of("/usr/bin/x\0-a\0b c\0"), "-a b c");
        assert_eq!(of("nginx: master process /usr/sbin/nginx -c /x -g daemon off;"), "-c /x -g daemon off;");
        assert_eq!(of("sshd: /usr/sbin/sshd -D -p 23 [listener] 0 of 10-100 startups\0\0\0"), "-D -p 23");
        assert_eq!(of("/usr/bin/redis-server 127.0.0.1:6379"), "127.0.0.1:6379");
        assert_eq!(of("nginx: worker process"), "");
        assert_eq!(of(""), "");
    }

    #[test]
    fn this_process_started_a_moment_ago() {
        let own = std::process::id();
        let processes = processes().unwrap();
        let instance = Instance::of(&processes[&own], &processes);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
        let loaded = instance.loaded_ms.unwrap();
        assert!(loaded <= now + 20 && loaded > now - 3_600_000, "{loaded} {now}");
        assert!(instance.pids.contains(&own));
    }
}

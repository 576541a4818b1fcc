//! What is known of a process from /proc/PID (proc(5)).

use super::files;
use super::missing::missing;
use super::proc_dir;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use unrefuse_facts::{Missing, Observed, Process, Reason, RunningAs, Source, text::from_bytes};
use unrefuse_parse::proc_pid;

/// More open files than this are not counted one by one.
const MOST_FILES: u64 = 1 << 20;

/// The process `pid`, or `None` when it is gone. `files`: count its open files too.
pub(super) fn process(proc: impl AsFd, pid: u32, users: &BTreeMap<u32, String>, files: bool) -> Option<Process> {
    let dir = proc_dir::open(proc, pid.to_string()).ok()?;
    let stat = proc_pid::stat(&read(&dir, "stat").ok()?)?;
    // The directory belongs to the effective user, whatever its dumpable flag (task_dump_owner, fs/proc/base.c).
    let uid = rustix::fs::fstat(&dir).ok()?.st_uid;
    Some(Process {
        pid,
        command: stat.comm,
        exe: exe(&dir, pid),
        uid,
        user: users.get(&uid).cloned(),
        state: stat.state,
        running_as: running_as(&dir),
        files: if files { open_files(&dir, pid) } else { Observed::not_looked("open files were not counted") },
        start_ticks: stat.start_ticks,
        netns: netns(&dir),
    })
}

/// Command name and supervisor: both may be read by everybody.
pub(super) fn sketch(proc: impl AsFd, pid: u32) -> Option<(String, RunningAs)> {
    let dir = proc_dir::open(proc, pid.to_string()).ok()?;
    let stat = proc_pid::stat(&read(&dir, "stat").ok()?)?;
    Some((stat.comm, running_as(&dir)))
}

fn running_as(dir: &OwnedFd) -> RunningAs {
    read(dir, "cgroup").map(|bytes| proc_pid::cgroup(&bytes)).unwrap_or_default()
}

/// A small file of /proc. The kernel makes such a file in one piece (`single_open`, fs/seq_file.c), so a read that
/// does not fill the buffer had all of it: one call less for each of hundreds of processes.
fn read(dir: &OwnedFd, name: &str) -> Result<Vec<u8>, Errno> {
    const USUAL: usize = 4096;
    let file = rustix::fs::openat(dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = vec![0; USUAL];
    let length = rustix::io::read(&file, bytes.as_mut_slice())?;
    bytes.truncate(length);
    if length == USUAL {
        files::fill(&file, &mut bytes, 1 << 16)?;
    }
    Ok(bytes)
}

fn exe(dir: &OwnedFd, pid: u32) -> Observed<String> {
    match rustix::fs::readlinkat(dir, "exe", Vec::new()) {
        Ok(path) => Observed::known(from_bytes(path.as_bytes()), Source::running(format!("/proc/{pid}/exe"))),
        Err(e) => Observed::Missing(missing(&format!("readlink /proc/{pid}/exe"), e)),
    }
}

fn netns(dir: &OwnedFd) -> Option<u64> {
    let target = rustix::fs::readlinkat(dir, "ns/net", Vec::new()).ok()?;
    proc_dir::magic_inode(target.as_bytes(), b"net:[")
}

fn open_files(dir: &OwnedFd, pid: u32) -> Observed<(u64, u64)> {
    let what = format!("/proc/{pid}/fd and limits");
    let failed = |detail: &str| Observed::Missing(Missing::new(Reason::Failed, format!("{what}: {detail}")));
    let count = match count_files(dir) {
        Ok(count) => count,
        Err(e) => return Observed::Missing(missing(&what, e)),
    };
    let limits = match read(dir, "limits") {
        Ok(bytes) => bytes,
        Err(e) => return Observed::Missing(missing(&what, e)),
    };
    match proc_pid::nofile_limit(&limits) {
        Some(limit) => Observed::known((count, limit), Source::running(what)),
        None => failed("no line `Max open files`"),
    }
}

/// Since Linux 6.2 the directory's size is the number of open files; before it is 0 and they are counted.
fn count_files(dir: &OwnedFd) -> Result<u64, Errno> {
    let files = proc_dir::open(dir, "fd")?;
    let size = rustix::fs::statat(&files, "", AtFlags::EMPTY_PATH)?.st_size;
    if size > 0 {
        return Ok(size.unsigned_abs());
    }
    let mut count = 0;
    proc_dir::numbers(&files, |_, _| {
        count += 1;
        if count < MOST_FILES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(count)
}

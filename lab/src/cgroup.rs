//! A part of the machine's cgroup tree for each systemd host (cgroups(7)).

use crate::sys;
use anyhow::{Context as _, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What the names begin with; the lab's process and a number follow.
const PREFIX: &str = "unrefuse-lab-";

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A cgroup that a host takes for the root of the tree. It is removed at the end.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes it, in the version 2 hierarchy.
    ///
    /// # Errors
    /// There is no such hierarchy, or it can't be written.
    pub(crate) fn new() -> Result<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let top = version2(&mounts).context("no cgroup2 file system is mounted here")?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        if number == 0 {
            sweep(&top);
        }
        let path = top.join(format!("{PREFIX}{}-{number}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        // Where the lab's own commands run: systemd keeps out of what it has not made.
        std::fs::create_dir(path.join("lab"))?;
        Ok(Self { path })
    }

    /// A process that writes `0` there moves into the host's root.
    pub(crate) fn door(&self) -> Result<File> {
        open(&self.path)
    }

    /// A process that writes `0` there moves into the group of the lab's own commands.
    pub(crate) fn commands(&self) -> Result<File> {
        open(&self.path.join("lab"))
    }

    /// The same for the group of a system unit that runs.
    pub(crate) fn unit(&self, unit: &str) -> Result<File> {
        open(&self.path.join("system.slice").join(unit))
    }
}

fn open(path: &Path) -> Result<File> {
    let file = path.join("cgroup.procs");
    File::options().write(true).open(&file).with_context(|| format!("open {}", file.display()))
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Busy until the last of its processes is buried.
        sys::poll_until(Instant::now() + Duration::from_secs(5), || remove(&self.path).is_ok());
    }
}

/// Removes what labs left behind that were killed.
fn sweep(top: &Path) {
    for entry in std::fs::read_dir(top).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some((pid, _)) = name.to_str().and_then(|n| n.strip_prefix(PREFIX)).and_then(|n| n.split_once('-')) else {
            continue;
        };
        if !Path::new("/proc").join(pid).exists() {
            let _ = remove(&entry.path());
        }
    }
}

/// Removes a cgroup and all below it. The files in it go by themselves.
fn remove(path: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(path)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    std::fs::remove_dir(path)
}

/// The mount point of the version 2 hierarchy in a text of proc_pid_mountinfo(5).
fn version2(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        right.starts_with("cgroup2 ").then(|| left.split(' ').nth(4).map(PathBuf::from))?
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn version_2_is_found_beside_version_1() {
        let mounts = "31 24 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
            40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(super::version2(mounts).unwrap().to_str(), Some("/sys/fs/cgroup/unified"));
        assert_eq!(super::version2("31 24 0:28 / /sys rw - sysfs sysfs rw\n"), None);
    }
}

//! The inside of a systemd host: its root file system, and how the holder becomes its process 1.
//!
//! What a container manager has to prepare is written in systemd's "Container Interface"
//! (<https://systemd.io/CONTAINER_INTERFACE/>). No manager is used: the holder already has every namespace that one would
//! make, and the network must be wired before systemd starts.

use crate::hold::NODE_DIR;
use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

/// The socket to which systemd says that it has started, as sd_notify(3) describes.
pub(crate) const NOTIFY: &str = "/run/lab/notify";

/// Character devices: name, major, minor (Documentation/admin-guide/devices.txt).
const DEVICES: &[(&str, u64, u64)] =
    &[("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Links in /dev, as udev makes them.
const LINKS: &[(&str, &str)] = &[
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// Stacks a writable layer in memory over `root` and mounts what systemd expects, but /run. Says where it is.
pub(crate) fn mount_root(root: &Path) -> Result<PathBuf> {
    let none = None::<&str>;
    // Opened first: it may lie beneath /run.
    let lower = std::fs::File::open(root).with_context(|| format!("open {}", root.display()))?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755")).context("mount /run")?;
    for directory in ["upper", "work", "root"] {
        std::fs::create_dir_all(Path::new(NODE_DIR).join(directory))?;
    }
    let base = Path::new(NODE_DIR).join("root");
    // `volatile`: nothing is ever synced to a layer that dies with its host (Documentation/filesystems/overlayfs.rst).
    let options = format!(
        "lowerdir=/proc/self/fd/{},upperdir={NODE_DIR}/upper,workdir={NODE_DIR}/work,volatile",
        std::os::fd::AsRawFd::as_raw_fd(&lower)
    );
    mount(Some("root"), &base, Some("overlay"), MsFlags::empty(), Some(options.as_str())).context("mount the root")?;
    let at = |path: &str| base.join(path);
    mount(Some("proc"), &at("proc"), Some("proc"), MsFlags::empty(), none).context("mount /proc")?;
    protect_settings(&at("proc/sys"))?;
    mount(Some("sysfs"), &at("sys"), Some("sysfs"), MsFlags::MS_RDONLY, none).context("mount /sys")?;
    mount(Some("cgroup2"), &at("sys/fs/cgroup"), Some("cgroup2"), MsFlags::empty(), none).context("mount cgroups")?;
    devices(&at("dev"))?;
    Ok(base)
}

/// Settings outside of /proc/sys/net belong to the whole machine: they can be read only.
fn protect_settings(sys: &Path) -> Result<()> {
    let none = None::<&str>;
    let bind = |path: &Path| mount(Some(path), path, none, MsFlags::MS_BIND, none);
    let net = sys.join("net");
    bind(sys).and_then(|()| bind(&net)).context("bind /proc/sys")?;
    let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(none, sys, none, read_only, none).context("make /proc/sys read-only")
}

fn devices(dev: &Path) -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_STRICTATIME;
    mount(Some("tmpfs"), dev, Some("tmpfs"), flags, Some("mode=755")).context("mount /dev")?;
    let old = umask(Mode::empty());
    for (name, major, minor) in DEVICES {
        let mode = Mode::from_bits_truncate(0o666);
        mknod(&dev.join(name), SFlag::S_IFCHR, mode, makedev(*major, *minor))
            .with_context(|| format!("make {name}"))?;
    }
    umask(old);
    for (target, name) in LINKS {
        std::os::unix::fs::symlink(target, dev.join(name))?;
    }
    let pts = dev.join("pts");
    std::fs::create_dir(&pts)?;
    let options = Some("newinstance,ptmxmode=0666,mode=620,gid=5");
    mount(Some("devpts"), &pts, Some("devpts"), MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, options).context("mount pts")
}

/// Makes `base` the root of this mount namespace; the old one is gone from it.
pub(crate) fn enter(base: &Path) -> Result<()> {
    std::env::set_current_dir(base)?;
    // pivot_root(2): with "." twice the old root lies on top of the new one, and is unmounted from there.
    nix::unistd::pivot_root(".", ".").context("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).context("leave the old root")?;
    std::env::set_current_dir("/").context("cd /")
}

/// Runs systemd in this process's place. It comes back only with an error.
pub(crate) fn become_systemd() -> Result<()> {
    let null = || std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    // SAFETY: SIG_DFL installs no handler.
    unsafe { nix::sys::signal::signal(nix::sys::signal::Signal::SIGCHLD, nix::sys::signal::SigHandler::SigDfl)? };
    let error = std::process::Command::new("/lib/systemd/systemd")
        // In a container these take the place of the kernel's command line (systemd(1)).
        .args(["systemd.show_status=no", "systemd.log_target=journal"])
        .env_clear()
        .envs([("container", "unrefuse-lab"), ("NOTIFY_SOCKET", NOTIFY)])
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(null()?)
        .stdout(null()?)
        .stderr(null()?)
        .exec();
    Err(error).context("start systemd")
}

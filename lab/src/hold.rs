//! The process that a node's namespaces live in: process 1 of the node.
//!
//! It arranges the node's own view of the files (everything is gone with the namespace), says so, and then waits for
//! the end of its standard input. On a systemd host it waits for one line instead, and becomes systemd. When process 1
//! ends, the kernel kills every process of the node (pid_namespaces(7)).

use crate::system;
use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Where a node's own files are: executables in `bin`, the rest is scratch.
pub(crate) const NODE_DIR: &str = "/run/lab";

/// What the holder is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Hold {
    /// The root file system of a systemd host, which is only read.
    #[arg(long)]
    root: Option<PathBuf>,
    /// Host name of the node.
    hostname: String,
    /// `NAME=PATH`: executables that the node shall have.
    binaries: Vec<String>,
}

/// Settings that make timing steady and addresses usable at once. ICMP unreachables are rate limited by default
/// (icmp(7)), so the same REJECT would answer at once or never, by chance.
const SETTINGS: &[(&str, &str)] = &[
    ("net/ipv4/icmp_ratelimit", "0"),
    ("net/ipv6/icmp/ratelimit", "0"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/ip_forward", "0"),
    ("net/ipv6/conf/all/disable_ipv6", "0"),
    ("net/ipv6/conf/default/disable_ipv6", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
];

/// Name resolution as on a plain machine without DNS.
const FILES: &[(&str, &str)] = &[
    ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("/etc/resolv.conf", ""),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ("/etc/gai.conf", ""),
    ("/etc/environment", ""),
];

/// Runs until standard input ends; as systemd, until it is killed.
pub(crate) fn hold(arguments: &Hold) -> Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("make mounts private")?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none).context("mount /proc")?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none).context("mount /sys")?;
    let binaries: Vec<(&str, PathBuf)> = arguments
        .binaries
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, path)| (name, PathBuf::from(path)))
        .collect();
    // Opened before /run is covered: they may lie beneath it, or beneath a directory that other users can't enter.
    let opened = binaries
        .iter()
        .map(|(_, path)| std::fs::File::open(path).with_context(|| format!("open {}", path.display())))
        .collect::<Result<Vec<_>>>()?;
    let base = match &arguments.root {
        None => PathBuf::from("/"),
        Some(root) => system::mount_root(root)?,
    };
    let run = base.join("run");
    mount(Some("tmpfs"), &run, Some("tmpfs"), MsFlags::empty(), Some("mode=755")).context("mount /run")?;
    let node_dir = base.join(NODE_DIR.trim_start_matches('/'));
    for directory in ["bin", "etc", "work"] {
        std::fs::create_dir_all(node_dir.join(directory))?;
    }
    for ((name, _), file) in binaries.iter().zip(&opened) {
        let place = node_dir.join("bin").join(name);
        std::fs::write(&place, "")?;
        let source = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
        mount(Some(source.as_str()), &place, none, MsFlags::MS_BIND, none).with_context(|| format!("bind {name}"))?;
    }
    match &arguments.root {
        None => own_etc()?,
        Some(_) => system::enter(&base)?,
    }
    nix::unistd::sethostname(&arguments.hostname).context("set the host name")?;
    for (key, value) in SETTINGS {
        // A kernel without IPv6 lacks some of them; scenarios that need IPv6 then fail by their own expectation.
        let _ = std::fs::write(Path::new("/proc/sys").join(key), value);
    }
    for (path, text) in FILES {
        // A symbolic link (resolv.conf into /run) is replaced, not followed.
        let _ = std::fs::remove_file(path);
        std::fs::write(path, text).with_context(|| format!("write {path}"))?;
    }
    // The kernel then buries orphans by itself (wait(2)).
    // SAFETY: SIG_IGN installs no handler.
    unsafe { nix::sys::signal::signal(nix::sys::signal::Signal::SIGCHLD, nix::sys::signal::SigHandler::SigIgn)? };
    println!("ready");
    std::io::stdout().flush()?;
    let mut byte = [0_u8; 1];
    while std::io::stdin().read(&mut byte)? > 0 {
        if byte == *b"\n" && arguments.root.is_some() {
            system::become_systemd()?;
        }
    }
    Ok(())
}

/// A writable /etc that only this node sees: an overlay, or a copy where the kernel can't stack one here.
fn own_etc() -> Result<()> {
    let options = format!("lowerdir=/etc,upperdir={NODE_DIR}/etc,workdir={NODE_DIR}/work");
    let stacked = mount(Some("etc"), "/etc", Some("overlay"), MsFlags::empty(), Some(options.as_str()));
    if stacked.is_ok() {
        return Ok(());
    }
    let copied = std::process::Command::new("cp").args(["-a", "/etc/.", &format!("{NODE_DIR}/etc")]).status()?;
    anyhow::ensure!(copied.success(), "copy /etc: {copied}");
    let none = None::<&str>;
    mount(Some(format!("{NODE_DIR}/etc").as_str()), "/etc", none, MsFlags::MS_BIND, none).context("bind /etc")
}

//! The files that decide names.

use super::files;
use super::missing::missing;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::path::DecInt;
use unrefuse_facts::{HostsFile, Missing, NsSwitch, Observed, Reason, ResolvConf, Source, text::from_bytes};
use unrefuse_parse::{hosts, nsswitch, resolv_conf};

/// Whose files: this process's, or those of another root.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The root, and its path from here.
    root: Option<(OwnedFd, String)>,
}

impl Files {
    /// The files below `root`, whose symbolic links are followed within it.
    pub(super) fn below(root: &str) -> Result<Self, Missing> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(CWD, root, flags, Mode::empty());
        Ok(Self { root: Some((opened.map_err(|e| missing(&format!("open {root}"), e))?, root.to_owned())) })
    }

    /// Not this process's own files.
    pub(super) fn are_anothers(&self) -> bool {
        self.root.is_some()
    }

    /// Where the file is, seen from here.
    pub(super) fn path(&self, path: &str) -> String {
        let root = self.root.as_ref().map_or("", |(_, root)| root);
        format!("{root}{path}")
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, Missing> {
        match &self.root {
            Some((root, name)) => files::read_within(root, name, path),
            None => files::read(path),
        }
    }
}

/// The `hosts:` line of nsswitch.conf(5).
pub(super) fn nsswitch(files: &Files) -> Observed<NsSwitch> {
    let path = &files.path("/etc/nsswitch.conf");
    match files.read("/etc/nsswitch.conf").map(|bytes| nsswitch::hosts_line(path, &bytes)) {
        Ok(Some(line)) => Observed::known(line, Source::configured(path)),
        Ok(None) => Observed::Missing(Missing::new(Reason::Absent, format!("{path} has no line `hosts:`"))),
        Err(missing) => Observed::Missing(missing),
    }
}

/// hosts(5).
pub(super) fn hosts_file(files: &Files) -> Observed<HostsFile> {
    let path = files.path("/etc/hosts");
    match files.read("/etc/hosts") {
        Ok(bytes) => Observed::known(hosts::parse(&path, &bytes), Source::configured(path)),
        Err(missing) => Observed::Missing(missing),
    }
}

/// resolv.conf(5), and where it really is when it is a symbolic link.
pub(super) fn resolv_conf(files: &Files) -> Observed<ResolvConf> {
    let path = files.path("/etc/resolv.conf");
    match files.read("/etc/resolv.conf") {
        Ok(bytes) => {
            let mut conf = resolv_conf::parse(&path, &bytes);
            conf.link_target = real_path(&path).filter(|_| !files.are_anothers());
            Observed::known(conf, Source::configured(path))
        }
        Err(missing) => Observed::Missing(missing),
    }
}

/// The path that the kernel reached, where `path` is a symbolic link.
fn real_path(path: &str) -> Option<String> {
    rustix::fs::readlinkat(CWD, path, Vec::new()).ok()?;
    let file = files::open(path).ok()?;
    let link = format!("/proc/thread-self/fd/{}", DecInt::from_fd(&file).as_str());
    let target = rustix::fs::readlinkat(CWD, link, Vec::new()).ok()?;
    Some(from_bytes(target.as_bytes()))
}

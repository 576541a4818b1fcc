//! The files that decide names.

use super::files;
use rustix::fs::CWD;
use rustix::path::DecInt;
use unrefuse_facts::{HostsFile, Missing, NsSwitch, Observed, Reason, ResolvConf, Source, text::from_bytes};
use unrefuse_parse::{hosts, nsswitch, resolv_conf};

/// The `hosts:` line of nsswitch.conf(5).
pub(super) fn nsswitch(path: &str) -> Observed<NsSwitch> {
    match files::read(path).map(|bytes| nsswitch::hosts_line(path, &bytes)) {
        Ok(Some(line)) => Observed::known(line, Source::configured(path)),
        Ok(None) => Observed::Missing(Missing::new(Reason::Absent, format!("{path} has no line `hosts:`"))),
        Err(missing) => Observed::Missing(missing),
    }
}

/// hosts(5).
pub(super) fn hosts_file(path: &str) -> Observed<HostsFile> {
    match files::read(path) {
        Ok(bytes) => Observed::known(hosts::parse(path, &bytes), Source::configured(path)),
        Err(missing) => Observed::Missing(missing),
    }
}

/// resolv.conf(5), and where it really is when it is a symbolic link.
pub(super) fn resolv_conf(path: &str) -> Observed<ResolvConf> {
    match files::read(path) {
        Ok(bytes) => {
            let mut conf = resolv_conf::parse(path, &bytes);
            conf.link_target = real_path(path);
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

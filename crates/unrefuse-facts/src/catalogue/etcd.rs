//! etcd.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "etcd",
    name: "etcd",
    units: &["etcd.service", "etcd2.service"],
    sockets: &[],
    processes: &["etcd"],
    binaries: &["/usr/bin/etcd", "/usr/local/bin/etcd"],
    packages: &[package("debian", "etcd-server"), package("fedora", "etcd"), package("suse", "etcd"), package("arch", "etcd"), package("alpine", "etcd")],
    ports: &[tcp(2379), tcp(2380)],
    schemes: &["etcd"],
    default_bind: &[bind(Bind::Loopback, "")],
    config_files: &["/etc/default/etcd", "/etc/etcd/etcd.conf", "/etc/etcd/etcd.conf.yml"],
    log_files: &[],
    check: None,
    apply: Apply::Restart,
};

//! BIND.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "bind",
    name: "BIND",
    units: &["named.service", "bind9.service", "named-chroot.service"],
    sockets: &[],
    processes: &["named"],
    binaries: &["/usr/sbin/named"],
    packages: &[package("debian", "bind9"), package("fedora", "bind"), package("suse", "bind"), package("arch", "bind"), package("alpine", "bind")],
    ports: &[udp(53), tcp(53), tcp(953), tcp(853)],
    schemes: &["dns", "domain"],
    default_bind: &[bind(Bind::Any, "the server itself"), bind(Bind::Loopback, "Fedora's packaged named.conf")],
    config_files: &["/etc/bind/named.conf", "/etc/named.conf"],
    log_files: &["/var/named/data/named.run"],
    check: Some(&["named-checkconf"]),
    apply: Apply::Reload,
};

//! memcached.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "memcached",
    name: "memcached",
    units: &["memcached.service", "memcached@?*.service"],
    sockets: &[],
    processes: &["memcached"],
    binaries: &["/usr/bin/memcached", "/usr/local/bin/memcached"],
    packages: &[
        package("debian", "memcached"),
        package("fedora", "memcached"),
        package("suse", "memcached"),
        package("arch", "memcached"),
        package("alpine", "memcached"),
    ],
    ports: &[tcp(11211), udp(11211)],
    schemes: &["memcached", "memcache"],
    // UDP is off since 1.5.6.
    default_bind: &[bind(Bind::Any, "the server itself"), bind(Bind::Loopback, "packaged memcached.conf (-l 127.0.0.1)")],
    config_files: &["/etc/memcached.conf", "/etc/sysconfig/memcached"],
    log_files: &[],
    check: None,
    apply: Apply::Restart,
};

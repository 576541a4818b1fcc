//! Redis and Valkey.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "redis",
    name: "Redis/Valkey",
    units: &[
        "redis-server.service",
        "redis.service",
        "valkey-server.service",
        "valkey.service",
        "redis-server@?*.service",
        "redis@?*.service",
        "valkey@?*.service",
    ],
    sockets: &[],
    processes: &["redis-server", "valkey-server"],
    binaries: &["/usr/bin/redis-server", "/usr/bin/valkey-server", "/usr/local/bin/redis-server"],
    packages: &[
        package("debian", "redis-server"),
        package("fedora", "redis"),
        package("suse", "redis"),
        package("arch", "valkey"),
        package("alpine", "redis"),
    ],
    ports: &[tcp(6379)],
    schemes: &["redis", "rediss", "valkey", "valkeys"],
    // Without `bind` every address, guarded by protected-mode; the shipped redis.conf says 127.0.0.1 -::1.
    default_bind: &[bind(Bind::Any, "the server itself"), bind(Bind::Loopback, "the shipped redis.conf")],
    config_files: &[
        "/etc/redis/redis.conf",
        "/etc/redis.conf",
        "/etc/valkey/valkey.conf",
        "/etc/redis/redis-*.conf",
    ],
    log_files: &["/var/log/redis/redis-server.log", "/var/log/redis/redis.log", "/var/log/valkey/valkey.log"],
    check: None,
    apply: Apply::Restart,
};

//! MongoDB.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "mongodb",
    name: "MongoDB",
    units: &["mongod.service", "mongodb.service"],
    sockets: &[],
    processes: &["mongod", "mongos"],
    binaries: &["/usr/bin/mongod", "/usr/bin/mongos"],
    // Its maker has its own repositories; distributions do not ship it.
    packages: &[],
    ports: &[tcp(27017), tcp(27018), tcp(27019)],
    schemes: &["mongodb"],
    default_bind: &[bind(Bind::Loopback, "since 3.6")],
    config_files: &["/etc/mongod.conf", "/etc/mongodb.conf"],
    log_files: &["/var/log/mongodb/mongod.log", "/var/log/mongodb/mongodb.log"],
    check: None,
    apply: Apply::Restart,
};

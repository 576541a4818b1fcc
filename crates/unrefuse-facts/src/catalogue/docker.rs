//! Docker's engine: it listens on a unix socket, and on TCP only where told.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "docker",
    name: "Docker",
    units: &["docker.service"],
    sockets: &["docker.socket"],
    processes: &["dockerd"],
    binaries: &["/usr/bin/dockerd"],
    packages: &[package("debian", "docker.io"), package("fedora", "moby-engine"), package("suse", "docker"), package("arch", "docker"), package("alpine", "docker")],
    ports: &[tcp(2375), tcp(2376)],
    schemes: &["docker"],
    default_bind: &[bind(Bind::Nothing, "")],
    config_files: &["/etc/docker/daemon.json"],
    log_files: &[],
    check: Some(&["dockerd", "--validate"]),
    apply: Apply::Restart,
};

//! The registry of container images (CNCF distribution).

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "registry",
    name: "container registry",
    units: &["docker-registry.service", "docker-distribution.service", "registry.service"],
    sockets: &[],
    processes: &["registry", "docker-registry"],
    binaries: &["/usr/bin/docker-registry", "/usr/bin/registry", "/usr/local/bin/registry"],
    packages: &[package("debian", "docker-registry"), package("fedora", "docker-distribution"), package("suse", "distribution-registry"), package("arch", "distribution")],
    ports: &[tcp(5000)],
    schemes: &["registry"],
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/etc/docker/registry/config.yml", "/etc/docker-distribution/registry/config.yml", "/etc/registry/config.yml"],
    log_files: &[],
    check: None,
    apply: Apply::Restart,
};

//! Prometheus.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "prometheus",
    name: "Prometheus",
    units: &["prometheus.service"],
    sockets: &[],
    processes: &["prometheus"],
    binaries: &["/usr/bin/prometheus", "/usr/local/bin/prometheus"],
    packages: &[package("debian", "prometheus"), package("fedora", "golang-github-prometheus"), package("suse", "golang-github-prometheus-prometheus"), package("arch", "prometheus"), package("alpine", "prometheus")],
    ports: &[tcp(9090)],
    schemes: &["prometheus"],
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/etc/prometheus/prometheus.yml", "/etc/default/prometheus"],
    log_files: &[],
    check: Some(&["promtool", "check", "config", "/etc/prometheus/prometheus.yml"]),
    apply: Apply::Restart,
};

//! Grafana.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "grafana",
    name: "Grafana",
    units: &["grafana-server.service", "grafana.service"],
    sockets: &[],
    processes: &["grafana", "grafana-server"],
    binaries: &["/usr/sbin/grafana-server", "/usr/share/grafana/bin/grafana"],
    packages: &[ package("fedora", "grafana"), package("suse", "grafana"), package("arch", "grafana"), package("alpine", "grafana")],
    ports: &[tcp(3000)],
    schemes: &["grafana"],
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/etc/grafana/grafana.ini", "/etc/grafana.ini"],
    log_files: &["/var/log/grafana/grafana.log"],
    check: None,
    apply: Apply::Restart,
};

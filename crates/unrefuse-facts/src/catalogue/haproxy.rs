//! HAProxy.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "haproxy",
    name: "HAProxy",
    units: &["haproxy.service"],
    sockets: &[],
    processes: &["haproxy"],
    binaries: &["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"],
    packages: &[
        package("debian", "haproxy"),
        package("fedora", "haproxy"),
        package("suse", "haproxy"),
        package("arch", "haproxy"),
        package("alpine", "haproxy"),
    ],
    ports: &[tcp(80), tcp(443), tcp(8080), tcp(8443)],
    schemes: &["http", "https", "ws", "wss"],
    // Listens only where a `bind` line says so.
    default_bind: &[bind(Bind::Nothing, "")],
    config_files: &["/etc/haproxy/haproxy.cfg", "/usr/local/etc/haproxy/haproxy.cfg"],
    log_files: &["/var/log/haproxy.log"],
    check: Some(&["haproxy", "-c", "-f", "/etc/haproxy/haproxy.cfg"]),
    apply: Apply::Reload,
};

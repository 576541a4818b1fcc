//! Caddy.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "caddy",
    name: "Caddy",
    units: &["caddy.service", "caddy-api.service"],
    sockets: &[],
    processes: &["caddy"],
    binaries: &["/usr/bin/caddy", "/usr/local/bin/caddy"],
    packages: &[package("debian", "caddy"), package("fedora", "caddy"), package("suse", "caddy"), package("arch", "caddy"), package("alpine", "caddy")],
    ports: &[tcp(80), tcp(443), tcp(2019)],
    schemes: &["http", "https", "ws", "wss"],
    // Sites listen on every address; the admin API (2019) on loopback.
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/etc/caddy/Caddyfile"],
    log_files: &[],
    check: Some(&["caddy", "validate", "--config", "/etc/caddy/Caddyfile"]),
    apply: Apply::Reload,
};

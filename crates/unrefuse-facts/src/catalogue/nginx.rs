//! nginx.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "nginx",
    name: "nginx",
    units: &["nginx.service"],
    sockets: &[],
    processes: &["nginx"],
    binaries: &["/usr/sbin/nginx", "/usr/local/nginx/sbin/nginx", "/usr/local/sbin/nginx"],
    packages: &[
        package("debian", "nginx"),
        package("fedora", "nginx"),
        package("suse", "nginx"),
        package("arch", "nginx"),
        package("alpine", "nginx"),
    ],
    ports: &[tcp(80), tcp(443), tcp(8080), tcp(8443)],
    schemes: &["http", "https", "ws", "wss"],
    // ngx_http_core_module: a server without `listen` has *:80 as root, else *:8000.
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/etc/nginx/nginx.conf", "/usr/local/nginx/conf/nginx.conf"],
    log_files: &["/var/log/nginx/error.log", "/usr/local/nginx/logs/error.log"],
    check: Some(&["nginx", "-t"]),
    apply: Apply::Reload,
};

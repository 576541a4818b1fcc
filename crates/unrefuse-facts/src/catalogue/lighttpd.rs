//! lighttpd.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "lighttpd",
    name: "lighttpd",
    units: &["lighttpd.service"],
    sockets: &[],
    processes: &["lighttpd"],
    binaries: &["/usr/sbin/lighttpd"],
    packages: &[package("debian", "lighttpd"), package("fedora", "lighttpd"), package("suse", "lighttpd"), package("arch", "lighttpd"), package("alpine", "lighttpd")],
    ports: &[tcp(80), tcp(443)],
    schemes: &["http", "https"],
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/etc/lighttpd/lighttpd.conf"],
    log_files: &["/var/log/lighttpd/error.log"],
    check: Some(&["lighttpd", "-tt", "-f", "/etc/lighttpd/lighttpd.conf"]),
    apply: Apply::Restart,
};

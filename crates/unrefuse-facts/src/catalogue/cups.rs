//! CUPS.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "cups",
    name: "CUPS",
    units: &["cups.service", "cupsd.service"],
    sockets: &["cups.socket"],
    processes: &["cupsd"],
    binaries: &["/usr/sbin/cupsd"],
    packages: &[package("debian", "cups"), package("fedora", "cups"), package("suse", "cups"), package("arch", "cups"), package("alpine", "cups")],
    ports: &[tcp(631)],
    schemes: &["ipp", "ipps"],
    default_bind: &[bind(Bind::Loopback, "the shipped cupsd.conf (Listen localhost:631)")],
    config_files: &["/etc/cups/cupsd.conf"],
    log_files: &["/var/log/cups/error_log"],
    check: Some(&["cupsd", "-t"]),
    apply: Apply::Restart,
};

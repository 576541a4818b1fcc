//! dnsmasq.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "dnsmasq",
    name: "dnsmasq",
    units: &["dnsmasq.service", "dnsmasq@?*.service"],
    sockets: &[],
    processes: &["dnsmasq"],
    binaries: &["/usr/sbin/dnsmasq"],
    packages: &[package("debian", "dnsmasq"), package("fedora", "dnsmasq"), package("suse", "dnsmasq"), package("arch", "dnsmasq"), package("alpine", "dnsmasq")],
    ports: &[udp(53), tcp(53), udp(67), udp(69)],
    schemes: &["dns", "domain", "tftp"],
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/etc/dnsmasq.conf"],
    log_files: &[],
    check: Some(&["dnsmasq", "--test"]),
    apply: Apply::Restart,
};

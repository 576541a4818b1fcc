//! vsftpd.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "vsftpd",
    name: "vsftpd",
    units: &["vsftpd.service", "vsftpd@?*.service"],
    sockets: &[],
    processes: &["vsftpd"],
    binaries: &["/usr/sbin/vsftpd"],
    packages: &[package("debian", "vsftpd"), package("fedora", "vsftpd"), package("suse", "vsftpd"), package("arch", "vsftpd"), package("alpine", "vsftpd")],
    ports: &[tcp(21)],
    schemes: &["ftp", "ftps"],
    // Without listen= it waits for inetd (listen=NO).
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/etc/vsftpd.conf", "/etc/vsftpd/vsftpd.conf"],
    log_files: &["/var/log/vsftpd.log"],
    check: None,
    apply: Apply::Restart,
};

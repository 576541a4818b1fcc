//! Dovecot.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "dovecot",
    name: "Dovecot",
    units: &["dovecot.service"],
    sockets: &["dovecot.socket"],
    processes: &["dovecot"],
    binaries: &["/usr/sbin/dovecot"],
    packages: &[package("debian", "dovecot-imapd"), package("fedora", "dovecot"), package("suse", "dovecot"), package("arch", "dovecot"), package("alpine", "dovecot")],
    ports: &[tcp(143), tcp(993), tcp(110), tcp(995), tcp(4190)],
    schemes: &["imap", "imaps", "pop3", "pop3s"],
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/etc/dovecot/dovecot.conf"],
    log_files: &["/var/log/dovecot.log", "/var/log/mail.log", "/var/log/maillog"],
    check: Some(&["doveconf", "-n"]),
    apply: Apply::Restart,
};

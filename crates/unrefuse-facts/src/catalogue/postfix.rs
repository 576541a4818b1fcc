//! Postfix; `master` listens for all its daemons.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "postfix",
    name: "Postfix",
    units: &["postfix@?*.service", "postfix.service"],
    sockets: &[],
    processes: &["master"],
    binaries: &["/usr/lib/postfix/sbin/master", "/usr/libexec/postfix/master"],
    packages: &[package("debian", "postfix"), package("fedora", "postfix"), package("suse", "postfix"), package("arch", "postfix"), package("alpine", "postfix")],
    ports: &[tcp(25), tcp(465), tcp(587)],
    schemes: &["smtp", "smtps", "submission", "submissions"],
    // inet_interfaces = all; a distribution's own installer may write loopback-only.
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/etc/postfix/main.cf", "/etc/postfix/master.cf"],
    log_files: &["/var/log/mail.log", "/var/log/maillog"],
    check: Some(&["postfix", "check"]),
    apply: Apply::Restart,
};

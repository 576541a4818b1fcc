//! OpenSSH's server.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "sshd",
    name: "sshd",
    units: &["ssh.service", "sshd.service", "ssh@?*.service", "sshd@?*.service"],
    sockets: &["ssh.socket", "sshd.socket"],
    // sshd-session holds connections, not the listener (OpenSSH 9.8).
    processes: &["sshd"],
    binaries: &["/usr/sbin/sshd", "/usr/bin/sshd"],
    packages: &[
        package("debian", "openssh-server"),
        package("fedora", "openssh-server"),
        package("suse", "openssh-server"),
        package("arch", "openssh"),
        package("alpine", "openssh-server"),
    ],
    ports: &[tcp(22)],
    schemes: &["ssh", "sftp", "scp"],
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/etc/ssh/sshd_config"],
    log_files: &["/var/log/auth.log", "/var/log/secure"],
    check: Some(&["sshd", "-t"]),
    // A SIGHUP makes it execute itself anew and bind again.
    apply: Apply::Reload,
};

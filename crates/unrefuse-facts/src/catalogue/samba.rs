//! Samba.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "samba",
    name: "Samba",
    units: &["smbd.service", "smb.service", "samba.service", "samba-ad-dc.service"],
    sockets: &[],
    processes: &["smbd"],
    binaries: &["/usr/sbin/smbd"],
    packages: &[package("debian", "samba"), package("fedora", "samba"), package("suse", "samba"), package("arch", "samba"), package("alpine", "samba")],
    ports: &[tcp(445), tcp(139)],
    schemes: &["smb", "cifs", "microsoft-ds"],
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/etc/samba/smb.conf"],
    log_files: &["/var/log/samba/log.smbd"],
    check: Some(&["testparm", "-s"]),
    apply: Apply::Restart,
};

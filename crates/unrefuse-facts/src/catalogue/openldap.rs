//! OpenLDAP's server, slapd.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "openldap",
    name: "OpenLDAP",
    units: &["slapd.service"],
    sockets: &[],
    processes: &["slapd"],
    binaries: &["/usr/sbin/slapd", "/usr/lib/openldap/slapd"],
    packages: &[package("debian", "slapd"), package("fedora", "openldap-servers"), package("suse", "openldap2"), package("arch", "openldap"), package("alpine", "openldap")],
    ports: &[tcp(389), tcp(636)],
    schemes: &["ldap", "ldaps"],
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/etc/ldap/slapd.conf", "/etc/openldap/slapd.conf"],
    log_files: &[],
    check: None,
    apply: Apply::Restart,
};

//! Apache httpd.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "apache",
    name: "Apache httpd",
    units: &["apache2.service", "httpd.service"],
    sockets: &["httpd.socket"],
    processes: &["apache2", "httpd", "httpd-prefork"],
    binaries: &["/usr/sbin/apache2", "/usr/sbin/httpd", "/usr/local/apache2/bin/httpd"],
    packages: &[
        package("debian", "apache2"),
        package("fedora", "httpd"),
        package("suse", "apache2"),
        package("arch", "apache"),
        package("alpine", "apache2"),
    ],
    ports: &[tcp(80), tcp(443), tcp(8080), tcp(8443)],
    schemes: &["http", "https", "ws", "wss"],
    // Without Listen it does not start (mpm_common); packages ship `Listen 80`.
    default_bind: &[bind(Bind::Any, "packaged ports.conf or httpd.conf")],
    config_files: &["/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf", "/etc/apache2/httpd.conf"],
    log_files: &["/var/log/apache2/error.log", "/var/log/httpd/error_log", "/var/log/apache2/error_log"],
    check: Some(&["apachectl", "configtest"]),
    // Of its own sockets a reload opens new ones, and keeps those that stay.
    apply: Apply::Restart,
};

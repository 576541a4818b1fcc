//! Apache Tomcat.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "tomcat",
    name: "Tomcat",
    units: &["tomcat10.service", "tomcat9.service", "tomcat11.service", "tomcat8.service", "tomcat.service", "tomcat@?*.service"],
    sockets: &[],
    processes: &["java"],
    binaries: &["/usr/libexec/tomcat10/tomcat-start.sh", "/usr/libexec/tomcat9/tomcat-start.sh", "/usr/libexec/tomcat/server", "/opt/tomcat/bin/catalina.sh"],
    packages: &[package("debian", "tomcat10"), package("fedora", "tomcat"), package("suse", "tomcat"), package("arch", "tomcat10")],
    ports: &[tcp(8080), tcp(8443), tcp(8009)],
    schemes: &["http", "https"],
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/etc/tomcat10/server.xml", "/etc/tomcat9/server.xml", "/etc/tomcat/server.xml", "/opt/tomcat/conf/server.xml"],
    log_files: &["/var/log/tomcat10/catalina.out", "/var/log/tomcat9/catalina.out", "/var/log/tomcat/catalina.out"],
    check: None,
    apply: Apply::Restart,
};

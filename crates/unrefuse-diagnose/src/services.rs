//! What usually listens on a port: enough to say "the service runs, on another port".

/// A service by its well-known ports, URL schemes and process names.
#[derive(Debug)]
pub(crate) struct Service {
    /// What people call it.
    pub(crate) name: &'static str,
    /// Ports that are its own by custom.
    pub(crate) ports: &'static [u16],
    /// URL schemes that mean it.
    pub(crate) schemes: &'static [&'static str],
    /// Command names (`/proc/PID/comm`) of its processes.
    pub(crate) commands: &'static [&'static str],
}

/// The table. Web ports are shared by many servers, so these are one entry.
pub(crate) static SERVICES: &[Service] = &[
    Service {
        name: "PostgreSQL",
        ports: &[5432],
        schemes: &["postgres", "postgresql"],
        commands: &["postgres", "postmaster"],
    },
    Service {
        name: "MySQL/MariaDB",
        ports: &[3306],
        schemes: &["mysql", "mariadb"],
        commands: &["mysqld", "mariadbd"],
    },
    Service {
        name: "Redis",
        ports: &[6379],
        schemes: &["redis", "rediss", "valkey"],
        commands: &["redis-server", "valkey-server"],
    },
    Service { name: "MongoDB", ports: &[27017], schemes: &["mongodb"], commands: &["mongod", "mongos"] },
    Service { name: "memcached", ports: &[11211], schemes: &["memcached"], commands: &["memcached"] },
    Service { name: "RabbitMQ", ports: &[5672, 5671], schemes: &["amqp", "amqps"], commands: &["beam.smp"] },
    Service { name: "sshd", ports: &[22], schemes: &["ssh", "sftp"], commands: &["sshd"] },
    Service {
        name: "a web server",
        ports: &[80, 443, 8080, 8443],
        schemes: &["http", "https", "ws", "wss"],
        commands: &["nginx", "apache2", "httpd", "haproxy", "caddy", "lighttpd", "envoy", "traefik"],
    },
    Service { name: "BIND", ports: &[53], schemes: &["dns"], commands: &["named"] },
    Service { name: "dnsmasq", ports: &[53], schemes: &["dns"], commands: &["dnsmasq"] },
    Service { name: "Postfix", ports: &[25, 465, 587], schemes: &["smtp", "smtps"], commands: &["master"] },
    Service {
        name: "Dovecot",
        ports: &[143, 993, 110, 995],
        schemes: &["imap", "imaps", "pop3"],
        commands: &["dovecot"],
    },
    Service { name: "vsftpd", ports: &[21], schemes: &["ftp"], commands: &["vsftpd"] },
    Service { name: "OpenLDAP", ports: &[389, 636], schemes: &["ldap", "ldaps"], commands: &["slapd"] },
    Service { name: "etcd", ports: &[2379], schemes: &[], commands: &["etcd"] },
    Service { name: "Prometheus", ports: &[9090], schemes: &[], commands: &["prometheus"] },
    Service { name: "Grafana", ports: &[3000], schemes: &[], commands: &["grafana", "grafana-server"] },
];

/// The services that a target means: by its scheme where it has one, else by its port.
pub(crate) fn meant(port: u16, scheme: Option<&str>) -> impl Iterator<Item = &'static Service> {
    SERVICES.iter().filter(move |service| match scheme {
        Some(scheme) if SERVICES.iter().any(|s| s.schemes.contains(&scheme)) => service.schemes.contains(&scheme),
        _ => service.ports.contains(&port),
    })
}

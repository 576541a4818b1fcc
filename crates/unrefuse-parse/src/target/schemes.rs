//! Schemes of URLs and names of services with their ports: one table for both.
//!
//! Ports are those of the IANA registry (RFC 6335) where it has the name, else the server's own default.

use unrefuse_facts::Protocol;

/// What a scheme or service name stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scheme {
    pub(super) name: &'static str,
    /// `None`: the scheme has no port of its own.
    pub(super) port: Option<u16>,
    pub(super) protocol: Protocol,
    /// Its URLs may hold a list of hosts, `mongodb://a,b/`.
    pub(super) list: bool,
}

const fn tcp(name: &'static str, port: u16) -> Scheme {
    Scheme { name, port: Some(port), protocol: Protocol::Tcp, list: false }
}
const fn udp(name: &'static str, port: u16) -> Scheme {
    Scheme { name, port: Some(port), protocol: Protocol::Udp, list: false }
}
/// TCP, and its clients take a list of hosts.
const fn cluster(name: &'static str, port: u16) -> Scheme {
    Scheme { name, port: Some(port), protocol: Protocol::Tcp, list: true }
}
const fn portless(name: &'static str, protocol: Protocol) -> Scheme {
    Scheme { name, port: None, protocol, list: false }
}

const TABLE: &[Scheme] = &[
    // Web.
    tcp("http", 80),
    tcp("www", 80),
    tcp("https", 443),
    tcp("ws", 80),
    tcp("wss", 443),
    tcp("http-alt", 8080),
    tcp("https-alt", 8443),
    // Shells, files, versions.
    tcp("ssh", 22),
    tcp("sftp", 22),
    tcp("scp", 22),
    tcp("telnet", 23),
    tcp("ftp", 21),
    tcp("ftps", 990),
    udp("tftp", 69),
    tcp("rsync", 873),
    tcp("git", 9418),
    tcp("svn", 3690),
    tcp("smb", 445),
    tcp("cifs", 445),
    tcp("microsoft-ds", 445),
    tcp("nfs", 2049),
    tcp("iscsi", 3260),
    tcp("gopher", 70),
    // Mail and news.
    tcp("smtp", 25),
    tcp("smtps", 465),
    tcp("submission", 587),
    tcp("submissions", 465),
    tcp("imap", 143),
    tcp("imaps", 993),
    tcp("pop3", 110),
    tcp("pop3s", 995),
    tcp("nntp", 119),
    tcp("nntps", 563),
    // Directories and infrastructure.
    cluster("ldap", 389),
    cluster("ldaps", 636),
    tcp("kerberos", 88),
    udp("dns", 53),
    udp("domain", 53),
    tcp("domain-s", 853),
    udp("ntp", 123),
    udp("snmp", 161),
    udp("syslog", 514),
    udp("radius", 1812),
    udp("stun", 3478),
    tcp("stuns", 5349),
    udp("turn", 3478),
    tcp("turns", 5349),
    // Databases and caches.
    cluster("postgres", 5432),
    cluster("postgresql", 5432),
    cluster("mysql", 3306),
    cluster("mysqlx", 33060),
    cluster("mariadb", 3306),
    tcp("sqlserver", 1433),
    tcp("mssql", 1433),
    tcp("ms-sql-s", 1433),
    tcp("oracle", 1521),
    tcp("db2", 50000),
    cluster("mongodb", 27017),
    cluster("redis", 6379),
    cluster("rediss", 6379),
    cluster("valkey", 6379),
    cluster("valkeys", 6379),
    cluster("memcached", 11211),
    cluster("memcache", 11211),
    cluster("cassandra", 9042),
    cluster("cql", 9042),
    cluster("elasticsearch", 9200),
    cluster("opensearch", 9200),
    cluster("clickhouse", 9000),
    tcp("influxdb", 8086),
    tcp("neo4j", 7687),
    tcp("bolt", 7687),
    tcp("couchdb", 5984),
    // Messages and coordination.
    cluster("amqp", 5672),
    cluster("amqps", 5671),
    cluster("mqtt", 1883),
    cluster("mqtts", 8883),
    tcp("secure-mqtt", 8883),
    cluster("nats", 4222),
    cluster("kafka", 9092),
    cluster("pulsar", 6650),
    cluster("stomp", 61613),
    cluster("zookeeper", 2181),
    cluster("etcd", 2379),
    tcp("consul", 8500),
    tcp("vault", 8200),
    tcp("prometheus", 9090),
    // Desktops, printing, media, chat.
    tcp("vnc", 5900),
    tcp("rdp", 3389),
    tcp("ipp", 631),
    tcp("rtsp", 554),
    tcp("rtmp", 1935),
    udp("sip", 5060),
    tcp("sips", 5061),
    tcp("xmpp", 5222),
    tcp("irc", 6667),
    tcp("ircs", 6697),
    // No port of their own.
    portless("tcp", Protocol::Tcp),
    portless("tls", Protocol::Tcp),
    portless("udp", Protocol::Udp),
];

/// The scheme of that name, in lower case. `postgresql+psycopg2` is its first part (SQLAlchemy's drivers), `git+ssh`
/// and `svn+ssh` are ssh.
pub(super) fn scheme(name: &str) -> Option<&'static Scheme> {
    find(name).or_else(|| {
        let (first, rest) = name.split_once('+')?;
        let transport = rest.rsplit('+').next().unwrap_or(rest);
        find(if matches!(transport, "ssh" | "http" | "https") { transport } else { first })
    })
}

/// The port of a service, and UDP where it is one of UDP.
pub(super) fn service(name: &str) -> Option<(u16, Option<Protocol>)> {
    let entry = find(name)?;
    Some((entry.port?, (entry.protocol == Protocol::Udp).then_some(Protocol::Udp)))
}

fn find(name: &str) -> Option<&'static Scheme> {
    TABLE.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn every_name_stands_once_and_in_lower_case() {
        let mut names: Vec<&str> = TABLE.iter().map(|entry| entry.name).collect();
        assert!(names.iter().all(|name| *name == name.to_ascii_lowercase()));
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(TABLE.iter().all(|entry| entry.port != Some(0)));
    }

    /// Held against /etc/services where the machine has one.
    #[test]
    fn ports_agree_with_the_machines_services() {
        let Some(services) = samples::read("/etc/services") else { return };
        let services = unrefuse_facts::text::from_bytes(&services);
        for line in services.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let (Some(name), Some(port)) = (words.next(), words.next()) else { continue };
            let Some(Scheme { port: Some(ours), protocol, .. }) = find(name) else { continue };
            if let Some(port) = port.strip_suffix(&format!("/{protocol}")) {
                assert_eq!(ours.to_string(), port, "{name}");
            }
        }
    }

    #[test]
    fn compound_schemes() {
        assert_eq!(scheme("postgresql+psycopg2").unwrap().name, "postgresql");
        assert_eq!(scheme("git+ssh").unwrap().name, "ssh");
        assert!(scheme("gopher2").is_none());
        assert_eq!(service("domain"), Some((53, Some(Protocol::Udp))));
        assert_eq!(service("tcp"), None);
    }
}

//! The packages' own configurations: what is read in them against what the real server listens on.
//!
//! They lie in the root file system of the lab's systemd hosts (`unrefuse-lab root` builds it). Without one nothing is
//! compared, and the test says so. What the servers listen on was read on such a host, each of them started alone
//! (`systemctl start UNIT; ss -Hltn`).

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "tests read their samples and say what they could not"
)]

mod folder;

use folder::Folder;
use std::net::SocketAddr;
use std::path::PathBuf;
use unrefuse_facts::{ConfiguredListen, ListenAddress, Protocol};
use unrefuse_parse::config::{Start, grammar};

/// Service, its main file, and the TCP sockets that its server has with it on Debian 12.
const SERVERS: &[(&str, &str, &[&str])] = &[
    ("nginx", "/etc/nginx/nginx.conf", &["0.0.0.0:80", "[::]:80"]),
    ("apache", "/etc/apache2/apache2.conf", &["[::]:80"]),
    ("haproxy", "/etc/haproxy/haproxy.cfg", &[]),
    ("memcached", "/etc/memcached.conf", &["127.0.0.1:11211"]),
    ("redis", "/etc/redis/redis.conf", &["127.0.0.1:6379", "[::1]:6379"]),
    ("sshd", "/etc/ssh/sshd_config", &["0.0.0.0:22", "[::]:22"]),
    ("mariadb", "/etc/mysql/my.cnf", &["127.0.0.1:3306"]),
    ("postgresql", "/etc/postgresql/15/main/postgresql.conf", &["127.0.0.1:5432", "[::1]:5432"]),
    ("postfix", "/etc/postfix/main.cf", &["0.0.0.0:25", "[::]:25"]),
    ("dovecot", "/etc/dovecot/dovecot.conf", &["0.0.0.0:143", "0.0.0.0:993", "[::]:143", "[::]:993"]),
    ("dnsmasq", "/etc/dnsmasq.conf", &["0.0.0.0:53", "[::]:53"]),
    // A socket for each of the machine's addresses.
    ("bind", "/etc/bind/named.conf", &["0.0.0.0:53", "[::]:53"]),
];

/// The newest root that has all the servers.
fn root() -> Option<PathBuf> {
    let cache = std::env::var_os("UNREFUSE_LAB_CACHE").map_or_else(|| "/var/cache/unrefuse-lab".into(), PathBuf::from);
    let roots = std::fs::read_dir(&cache).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let whole =
        roots.filter(|root| SERVERS.iter().all(|(_, main, _)| root.join(&main[1..]).symlink_metadata().is_ok()));
    whole.max_by_key(|root| root.metadata().and_then(|data| data.modified()).ok())
}

/// Whether the configured address is that of a socket.
fn is_of(listen: &ConfiguredListen, socket: SocketAddr) -> bool {
    let fits = match &listen.address {
        ListenAddress::Any => socket.ip().is_unspecified(),
        ListenAddress::Ip(ip) => *ip == socket.ip(),
        name => name.is_loopback() && socket.ip().is_loopback(),
    };
    fits && listen.port == socket.port() && listen.protocol == Protocol::Tcp
}

#[test]
fn what_packages_ship_is_read_as_their_servers_do() {
    let Some(root) = root() else {
        eprintln!("did not run: no root file system of the lab has all servers (`unrefuse-lab root` builds it)");
        return;
    };
    for (service, main, sockets) in SERVERS {
        let mut files = Folder { root: root.clone(), from: String::new() };
        let main = [(*main).to_owned()];
        let parsed = grammar(service).unwrap()(&Start { files: &main, ..Start::default() }, &mut files);
        let sockets: Vec<SocketAddr> = sockets.iter().map(|socket| socket.parse().unwrap()).collect();
        let tcp = parsed.listens.iter().filter(|listen| listen.protocol == Protocol::Tcp);
        let listens: Vec<&ConfiguredListen> = tcp.filter(|l| !matches!(l.address, ListenAddress::Unix(_))).collect();
        assert!(!parsed.problems.iter().any(|problem| problem.hides), "{service}: {:?}", parsed.problems);
        for socket in &sockets {
            assert!(listens.iter().any(|listen| is_of(listen, *socket)), "{service} has {socket}: {listens:?}");
        }
        for listen in listens {
            assert!(sockets.iter().any(|socket| is_of(listen, *socket)), "{service} has no {}", listen.endpoint());
        }
    }
}

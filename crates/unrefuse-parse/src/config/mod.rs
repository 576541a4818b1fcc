//! Configurations of services: where they tell the service to listen, and which line says so.
//!
//! One lexer that keeps spans, and a small grammar for each service, one file each. Includes are
//! followed through [`Files`], which the caller gives, so nothing here touches the system. What cannot be read
//! (permission, syntax, encoding) is a problem with its reason, and what was read beside it stays; where the unread part
//! may decide, the problem says so. What a service ignores is ignored, what it reads last wins where it does so there.
//!
//! ```
//! use unrefuse_parse::config::{self, Start};
//! struct One;
//! impl config::Files for One {
//!     fn read(&mut self, _: &str) -> Result<Vec<u8>, unrefuse_facts::Missing> {
//!         Ok(b"bind 127.0.0.1 -::1\nport 6379\n".to_vec())
//!     }
//!     fn list(&mut self, _: &str) -> Result<Vec<String>, unrefuse_facts::Missing> {
//!         Ok(Vec::new())
//!     }
//! }
//! let grammar = config::grammar("redis").unwrap();
//! let parsed = grammar(&Start { files: &["/etc/redis/redis.conf".into()], ..Start::default() }, &mut One);
//! assert_eq!(parsed.listens[0].endpoint(), "127.0.0.1:6379");
//! ```

mod apache;
mod arguments;
mod bind;
mod command_line;
mod dnsmasq;
mod dovecot;
mod haproxy;
mod lexer;
mod memcached;
mod mongodb;
mod mysql;
mod nginx;
mod postfix;
mod postgresql;
mod reading;
mod redis;
mod settings;
mod sshd;
mod text;
mod vsftpd;

#[cfg(test)]
mod testing;

use unrefuse_facts::{ConfigProblem, ConfiguredListen, Location, Missing, Setting};

/// How a grammar reads files.
pub trait Files {
    /// The bytes of a file.
    ///
    /// # Errors
    /// Why it could not be read.
    fn read(&mut self, path: &str) -> Result<Vec<u8>, Missing>;
    /// The paths that match a glob(7) pattern, sorted by byte as glob(3) and `readdir` users sort them; empty where none
    /// does.
    ///
    /// # Errors
    /// Why a directory could not be listed.
    fn list(&mut self, pattern: &str) -> Result<Vec<String>, Missing>;
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Start<'a> {
    /// The main files, in the order that the service reads them.
    pub files: &'a [String],
    /// The arguments of the running process, without its own name; empty where none runs.
    pub arguments: &'a [String],
    /// Variables that the configuration may name (Apache's envvars, HAProxy's environment).
    pub variables: &'a [(String, String)],
    /// The name that the process was started by: `mariadbd` and `mysqld` read different option groups.
    pub command: &'a str,
}

/// What a configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parsed {
    /// Files that were read, in the order of reading.
    pub files: Vec<String>,
    /// Where the service is told to listen.
    pub listens: Vec<ConfiguredListen>,
    /// What switches TCP off.
    pub disabled: Option<Setting>,
    /// Where a line that is not there yet would go.
    pub place: Option<Location>,
    /// What could not be read or understood.
    pub problems: Vec<ConfigProblem>,
}

/// Reads one service's configuration.
pub type Grammar = fn(&Start<'_>, &mut dyn Files) -> Parsed;

/// The grammar of a service by its id in the catalogue; `None` where there is none for it.
pub fn grammar(service: &str) -> Option<Grammar> {
    Some(match service {
        "nginx" => nginx::parse,
        "apache" => apache::parse,
        "haproxy" => haproxy::parse,
        "mariadb" => mysql::parse,
        "postgresql" => postgresql::parse,
        "redis" => redis::parse,
        "memcached" => memcached::parse,
        "sshd" => sshd::parse,
        "mongodb" => mongodb::parse,
        "postfix" => postfix::parse,
        "dovecot" => dovecot::parse,
        "dnsmasq" => dnsmasq::parse,
        "vsftpd" => vsftpd::parse,
        "bind" => bind::parse,
        _ => return None,
    })
}

/// Every service that has a grammar.
pub const SERVICES: [&str; 14] = [
    "nginx",
    "apache",
    "haproxy",
    "mariadb",
    "postgresql",
    "redis",
    "memcached",
    "sshd",
    "mongodb",
    "postfix",
    "dovecot",
    "dnsmasq",
    "vsftpd",
    "bind",
];

pub use command_line::parse as command_line;
pub use unrefuse_facts::glob;

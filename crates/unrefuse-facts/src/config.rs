//! What a service's configuration says about where it listens, and which line says so.

use crate::{Location, Protocol};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// What the files and command line of one service say. Configured state: what runs may differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceConfig {
    /// Id of the service in the catalogue, `nginx`.
    pub service: String,
    /// What people call it.
    pub name: String,
    /// The process that runs with it; `None` where none was found.
    pub process: Option<ConfiguredProcess>,
    /// The files that were read, in the order of reading.
    pub files: Vec<ConfigFile>,
    /// Where it says that the service listens; where TCP is switched off, where it would listen without that.
    pub listens: Vec<ConfiguredListen>,
    /// What switches TCP off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Setting>,
    /// Where a line that is not there yet would go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Location>,
    /// What could not be read or understood.
    pub problems: Vec<ConfigProblem>,
}

impl ServiceConfig {
    /// What was not read may decide otherwise than what was.
    pub fn is_uncertain(&self) -> bool {
        self.problems.iter().any(|problem| problem.hides)
    }

    /// The file of that path, where it was read.
    pub fn file(&self, path: &str) -> Option<&ConfigFile> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// The process that runs with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredProcess {
    /// Process id.
    pub pid: u32,
    /// Command name.
    pub command: String,
    /// Its system unit, where its cgroup names one.
    pub unit: Option<String>,
    /// The user with whose manager it runs, and its unit there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_unit: Option<(u32, String)>,
    /// Where its arguments were read: `/proc/812/cmdline`, or the unit's file where a title hides them.
    #[serde(default)]
    pub arguments_from: String,
    /// When it read its configuration: its start, or that of its newest worker where workers begin anew with each
    /// reload. Milliseconds since 1970; `None` where that could not be read.
    pub loaded_ms: Option<i64>,
    /// Every process of the service: a socket of one of them is a socket of the service.
    pub pids: Vec<u32>,
}

/// A configuration file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Absolute path, as the configuration names it.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Last change of its content or inode (the later of mtime and ctime), milliseconds since 1970; `None` where it could
    /// not be read.
    pub changed_ms: Option<i64>,
}

/// One address and port that a configuration tells a service to listen on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredListen {
    /// Address.
    pub address: ListenAddress,
    /// Port; 0 for a unix socket, and where the port 0 switches TCP off.
    pub port: u16,
    /// TCP, UDP or a unix socket.
    pub protocol: Protocol,
    /// Takes IPv6 only although it is a wildcard of IPv6; `None`: as `net.ipv6.bindv6only` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v6only: Option<bool>,
    /// What says the address.
    pub address_from: Setting,
    /// What says the port; the same as `address_from` where one line says both.
    pub port_from: Setting,
}

impl ConfiguredListen {
    /// Whether a packet to `address` would be taken, port aside; `None`: cannot tell (a name, an interface).
    pub fn takes(&self, address: IpAddr) -> Option<bool> {
        self.address.takes(address, self.v6only)
    }

    /// `127.0.0.1:5432`, as sockets are written.
    pub fn endpoint(&self) -> String {
        match &self.address {
            ListenAddress::Unix(path) => path.clone(),
            none @ ListenAddress::Listed { by: None, .. } => none.to_string(),
            ListenAddress::Ip(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            other => format!("{other}:{}", self.port),
        }
    }
}

/// An address as configurations write it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListenAddress {
    /// Every address of both families.
    Any,
    /// An address; `0.0.0.0` and `::` are every address of their family.
    Ip(IpAddr),
    /// A host name, not resolved.
    Name(String),
    /// Every address of an interface.
    Interface(String),
    /// A unix socket's path.
    Unix(String),
    /// Those of the machine's addresses of one family that a list takes, which was not worked out.
    Listed {
        /// Of IPv6, else of IPv4.
        v6: bool,
        /// What the list has; `None`: it takes no address of the family.
        by: Option<String>,
    },
}

impl ListenAddress {
    /// Whether it speaks of IPv6 alone; `None`: of both families, or that is not known.
    pub fn is_v6(&self) -> Option<bool> {
        match self {
            Self::Ip(ip) => Some(ip.is_ipv6()),
            Self::Listed { v6, .. } => Some(*v6),
            Self::Any | Self::Name(_) | Self::Interface(_) | Self::Unix(_) => None,
        }
    }

    /// Whether a packet to `ip` would be taken; `None`: cannot tell.
    pub fn takes(&self, ip: IpAddr, v6only: Option<bool>) -> Option<bool> {
        match self {
            Self::Any => Some(true),
            Self::Ip(IpAddr::V6(own)) if own.is_unspecified() && ip.is_ipv4() => v6only.map(|only| !only),
            Self::Ip(own) if own.is_unspecified() => Some(own.is_ipv4() == ip.is_ipv4()),
            Self::Ip(own) => Some(own.to_canonical() == ip.to_canonical()),
            Self::Name(name) if is_localhost(name) => {
                if ip.is_loopback() {
                    None
                } else {
                    Some(false)
                }
            }
            Self::Listed { v6, by } if by.is_none() || *v6 != ip.is_ipv6() => Some(false),
            Self::Name(_) | Self::Interface(_) | Self::Listed { .. } => None,
            Self::Unix(_) => Some(false),
        }
    }

    /// A loopback address, or the name of one.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Ip(ip) => ip.to_canonical().is_loopback(),
            Self::Name(name) => is_localhost(name),
            Self::Interface(name) => name == "lo",
            Self::Any | Self::Unix(_) | Self::Listed { .. } => false,
        }
    }
}

/// RFC 6761 6.3: the name of the loopback addresses.
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost") || name.eq_ignore_ascii_case("ip6-localhost")
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::Interface(name) => write!(f, "interface {name}"),
            Self::Unix(path) => f.write_str(path),
            Self::Listed { by: Some(list), .. } => f.write_str(list),
            Self::Listed { v6, by: None } => f.write_str(if *v6 { "no IPv6 address" } else { "no IPv4 address" }),
        }
    }
}

/// What decides a value: where it stands, and what else said it and was beaten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The place that wins.
    pub origin: Origin,
    /// The places that it beats, in the order of reading.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beats: Vec<Beaten>,
}

impl From<Origin> for Setting {
    fn from(origin: Origin) -> Self {
        Self { origin, beats: Vec::new() }
    }
}

/// A place where a value stands and has no say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beaten {
    /// The place.
    pub origin: Origin,
    /// The addresses that it says; empty where it speaks of the port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<ListenAddress>,
    /// The port that it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A line of a file.
    Line(ConfigLine),
    /// An option of the running process, without what else is on its command line.
    CommandLine(String),
    /// Nothing says it: the service's own default, in words.
    Default(String),
}

impl Origin {
    /// The line, where it is one.
    pub fn line(&self) -> Option<&ConfigLine> {
        match self {
            Self::Line(line) => Some(line),
            _ => None,
        }
    }
}

/// A line of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigLine {
    /// Path and line number.
    pub location: Location,
    /// The line as it stands; `***` where it holds a secret.
    pub text: String,
    /// Start and end of the value in `text`, in bytes; `None` where it cannot be changed in place (masked, continued on
    /// another line, not UTF-8).
    pub value: Option<(usize, usize)>,
}

impl ConfigLine {
    /// The value as it is written.
    pub fn value(&self) -> Option<&str> {
        let (start, end) = self.value?;
        self.text.get(start..end)
    }

    /// The line with another value.
    pub fn with_value(&self, value: &str) -> Option<String> {
        let (start, end) = self.value?;
        Some(format!("{}{value}{}", self.text.get(..start)?, self.text.get(end..)?))
    }
}

/// Something of a configuration that could not be read or understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigProblem {
    /// The file.
    pub path: String,
    /// The line, from 1, where one is to blame.
    pub line: Option<u32>,
    /// What is wrong with it.
    pub why: String,
    /// What would make it readable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// It may hide what decides: what was read is not the whole answer.
    pub hides: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(address: &str, v6only: Option<bool>, asked: &str) -> Option<bool> {
        let address = match address {
            "*" => ListenAddress::Any,
            text => text.parse().map_or_else(|_| ListenAddress::Name(text.to_owned()), ListenAddress::Ip),
        };
        address.takes(asked.parse().unwrap(), v6only)
    }

    #[test]
    fn what_an_address_takes() {
        assert_eq!(takes("*", None, "10.0.0.1"), Some(true));
        assert_eq!(takes("0.0.0.0", None, "10.0.0.1"), Some(true));
        assert_eq!(takes("0.0.0.0", None, "fd00::1"), Some(false));
        assert_eq!(takes("::", Some(true), "10.0.0.1"), Some(false));
        assert_eq!(takes("::", Some(false), "10.0.0.1"), Some(true));
        assert_eq!(takes("::", None, "10.0.0.1"), None);
        assert_eq!(takes("127.0.0.1", None, "10.0.0.1"), Some(false));
        assert_eq!(takes("localhost", None, "10.0.0.1"), Some(false));
        assert_eq!(takes("localhost", None, "::1"), None);
        assert_eq!(takes("db.example", None, "10.0.0.1"), None);
    }

    #[test]
    fn a_value_is_changed_in_its_place() {
        let location = Location { path: "/etc/redis/redis.conf".into(), line: 87 };
        let line = ConfigLine { location, text: "bind 127.0.0.1 # why".into(), value: Some((5, 14)) };
        assert_eq!(line.value(), Some("127.0.0.1"));
        assert_eq!(line.with_value("0.0.0.0").unwrap(), "bind 0.0.0.0 # why");
        assert_eq!(ConfigLine { value: Some((90, 99)), ..line }.with_value("x"), None);
    }
}

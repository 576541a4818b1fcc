//! What the user wants to reach.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// How the target is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// A TCP connection.
    Tcp,
    /// UDP datagrams.
    Udp,
    /// A stream socket in the file system (unix(7)).
    Unix,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Unix => "unix",
        })
    }
}

/// Host, port and protocol, and what a URL scheme says of the application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What the user typed, without any password that was in it.
    pub input: String,
    /// A name in ASCII form (IDNA), an address literal without brackets and scope, or a path for [`Protocol::Unix`].
    pub host: String,
    /// The interface of a scoped IPv6 address (`eth0` of `fe80::1%eth0`), RFC 4007.
    pub scope: Option<String>,
    /// The port; 0 for [`Protocol::Unix`].
    pub port: u16,
    /// TCP, UDP or a unix socket.
    pub protocol: Protocol,
    /// The URL scheme in lower case, when the target was a URL.
    pub scheme: Option<String>,
}

impl Target {
    /// The address when the host is an address literal: then no name is resolved.
    pub fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// `host:port` as it is written on a command line: IPv6 in brackets, a unix socket as its path.
    pub fn endpoint(&self) -> String {
        let scope = self.scope.as_ref().map(|s| format!("%{s}")).unwrap_or_default();
        match (self.protocol, self.literal()) {
            (Protocol::Unix, _) => self.host.clone(),
            (_, Some(IpAddr::V6(_))) => format!("[{}{scope}]:{}", self.host, self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

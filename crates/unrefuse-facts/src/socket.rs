//! Sockets and who holds them.

use crate::{ContainerHint, Family, InterfaceAddress, Observed, Process};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// TCP or UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// `tcp` or `udp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// State of a socket (`include/net/tcp_states.h`); a bound UDP socket without a peer is [`SocketState::Unconnected`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are the TCP states of RFC 9293")]
pub enum SocketState {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Closed,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    /// A UDP socket without a peer: it takes datagrams from anyone.
    Unconnected,
}

/// One TCP or UDP socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// TCP or UDP.
    pub transport: Transport,
    /// State.
    pub state: SocketState,
    /// Local address and port. An IPv6 socket may also take IPv4, see [`Socket::takes`].
    pub local: SocketAddr,
    /// Peer, where connected.
    pub remote: Option<SocketAddr>,
    /// Inode of the socket, as in `/proc/PID/fd`; 0 where the kernel gives none.
    pub inode: u64,
    /// User that made it.
    pub uid: u32,
    /// `IPV6_V6ONLY`; `None` for IPv4 sockets and where it was not told (/proc/net/tcp6 does not).
    pub v6only: Option<bool>,
    /// Interface index it is bound to (`SO_BINDTODEVICE`).
    pub device: Option<u32>,
    /// Listening: connections waiting to be accepted. Else bytes received and not read.
    pub recv_queue: u32,
    /// Listening: the largest number that may wait (the backlog in force). Else bytes sent and not acknowledged.
    /// `None` where the kernel does not tell: /proc/net has no backlog of a listener.
    pub send_queue: Option<u32>,
    /// The listener has TCP-MD5 or TCP-AO keys; `None` where it may not be asked (needs `CAP_NET_ADMIN`).
    pub md5: Option<bool>,
    /// cgroup id of the socket, where the kernel tells.
    pub cgroup: Option<u64>,
}

impl Socket {
    /// Family of the socket itself.
    pub fn family(&self) -> Family {
        Family::of(&self.local.ip())
    }

    /// More connections wait than may: the kernel then drops further SYNs (`sk_acceptq_is_full` of include/net/sock.h,
    /// which compares with `>`). `None` where the backlog is not known; `false` for what is no TCP listener.
    pub fn accept_queue_is_full(&self) -> Option<bool> {
        if self.transport != Transport::Tcp || self.state != SocketState::Listen {
            return Some(false);
        }
        self.send_queue.map(|backlog| self.recv_queue > backlog)
    }

    /// Whether a packet to `address` can reach this socket by address and family alone (port and device aside).
    ///
    /// A wildcard IPv6 socket takes IPv4 unless `IPV6_V6ONLY` is set (ipv6(7)); where that is not known, `None`.
    pub fn takes(&self, address: IpAddr) -> Option<bool> {
        let local = self.local.ip();
        match (local, address) {
            (IpAddr::V6(own), IpAddr::V4(asked)) => {
                if let Some(mapped) = own.to_ipv4_mapped() {
                    return Some(mapped.is_unspecified() || mapped == asked);
                }
                if !own.is_unspecified() {
                    return Some(false);
                }
                self.v6only.map(|only| !only)
            }
            (IpAddr::V4(_), IpAddr::V6(asked)) => {
                Some(asked.to_ipv4_mapped().is_some_and(|asked| local.is_unspecified() || local == IpAddr::V4(asked)))
            }
            _ => Some(local.is_unspecified() || local == address),
        }
    }
}

/// A process that has a socket open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// File descriptor.
    pub fd: u32,
}

/// The listening sockets of one network namespace that matter to a question, with their owners.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SocketTable {
    /// TCP sockets in LISTEN and unconnected UDP sockets.
    pub listeners: Vec<Socket>,
    /// Who holds which socket, by inode. A socket that is absent from a known map has no holder that this user may see.
    pub holders: Observed<BTreeMap<u64, Vec<Holder>>>,
    /// The holders' processes.
    pub processes: BTreeMap<u32, Process>,
    /// How many processes did not let this user read their open files: one of them may hold what has no holder here.
    #[serde(default)]
    pub unreadable_processes: u32,
}

impl SocketTable {
    /// The processes that hold a socket, as far as they are known; lowest pid first.
    pub fn owners(&self, socket: &Socket) -> Vec<&Process> {
        let holders = self.holders.value().and_then(|map| map.get(&socket.inode)).into_iter().flatten();
        let mut owners: Vec<&Process> = holders.filter_map(|holder| self.processes.get(&holder.pid)).collect();
        owners.sort_unstable_by_key(|process| process.pid);
        owners.dedup_by_key(|process| process.pid);
        owners
    }
}

/// Another network namespace of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetNamespace {
    /// Inode of the namespace, as in `net:[4026531840]`.
    pub inode: u64,
    /// Its name under /run/netns (ip-netns(8)), where it has one.
    pub name: Option<String>,
    /// A process that lives in it, where one was found.
    pub pid: Option<u32>,
    /// That process's command name.
    pub command: Option<String>,
    /// The container it belongs to, as far as that process's cgroup says.
    pub container: Option<ContainerHint>,
    /// Its listeners.
    pub table: Observed<SocketTable>,
    /// Its addresses.
    pub addresses: Observed<Vec<InterfaceAddress>>,
}

impl NetNamespace {
    /// What to call it: its name, its container, a process that lives in it, or its inode.
    pub fn label(&self) -> String {
        match (&self.name, &self.container) {
            (Some(name), _) => name.clone(),
            (None, Some(container)) => format!("{} container {}", container.engine, container.id),
            (None, None) => match (self.pid, &self.command) {
                (Some(pid), Some(command)) => format!("that of {command}[{pid}]"),
                _ => format!("net:[{}]", self.inode),
            },
        }
    }
}

/// A socket in the file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnixSocket {
    /// Its path.
    pub path: String,
    /// The file exists and is a socket. `false`: something else is there, or nothing.
    pub is_socket: bool,
    /// The file exists.
    pub exists: bool,
    /// A socket of this machine listens at that path (/proc/net/unix).
    pub listening: bool,
    /// This user may write to it, which connect(2) needs (unix(7)).
    pub writable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(local: &str, v6only: Option<bool>) -> Socket {
        Socket {
            transport: Transport::Tcp,
            state: SocketState::Listen,
            local: local.parse().unwrap(),
            remote: None,
            inode: 1,
            uid: 0,
            v6only,
            device: None,
            recv_queue: 0,
            send_queue: Some(128),
            md5: None,
            cgroup: None,
        }
    }

    #[test]
    fn a_wildcard_v6_listener_takes_v4_unless_v6only() {
        let v4 = "10.0.0.5".parse().unwrap();
        assert_eq!(socket("[::]:80", Some(false)).takes(v4), Some(true));
        assert_eq!(socket("[::]:80", Some(true)).takes(v4), Some(false));
        assert_eq!(socket("[::]:80", None).takes(v4), None);
        assert_eq!(socket("[::1]:80", None).takes(v4), Some(false));
        assert_eq!(socket("[::ffff:10.0.0.5]:80", Some(false)).takes(v4), Some(true));
        assert_eq!(socket("0.0.0.0:80", None).takes("::1".parse().unwrap()), Some(false));
        assert_eq!(socket("127.0.0.1:80", None).takes(v4), Some(false));
    }
}

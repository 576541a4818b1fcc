//! The answers themselves, seen on their way in: TTL, TOS, flow label, interface.

use crate::filter;
use crate::sys::answering;
use crate::tap::{self, Tap};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Instant;
use unrefuse_facts::{Protocol, Transport};
use unrefuse_parse::packet;

/// Packets taken per wake-up; more stay in the socket's buffer for the next one.
const MAX_PACKETS: usize = 256;

/// What a packet seen on the way in says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeenKind {
    /// A TCP segment with RST.
    Rst,
    /// A TCP segment with SYN and ACK.
    SynAck,
    /// An ICMP or ICMPv6 error: type and code.
    Icmp(u8, u8),
}

/// An answer on its way in.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) kind: SeenKind,
    /// Of the attempt that it answers.
    pub(crate) protocol: Protocol,
    /// Who sent it.
    pub(crate) from: IpAddr,
    /// The far end of the connection it belongs to (of an ICMP error: of the quoted packet).
    pub(crate) remote: SocketAddr,
    /// Our end.
    pub(crate) local: SocketAddr,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) flow_label: Option<u32>,
    pub(crate) interface: u32,
}

/// Sockets with a filter for the answers of some addresses.
#[derive(Debug)]
pub(crate) struct Sniffer {
    taps: Vec<Tap>,
}

impl Sniffer {
    /// Opens them, where the user may (`CAP_NET_RAW`).
    ///
    /// A packet socket sees more: the flow label, and answers that this machine's packet filter drops on their way in.
    /// But its close waits for an RCU grace period (`packet_release` calls `synchronize_net`), 8 to 16 ms where it was
    /// measured, and a process ends no sooner. Where the target is this machine itself, answers take microseconds and
    /// raw sockets do.
    pub(crate) fn open(targets: &[SocketAddr]) -> Option<Self> {
        let addresses: Vec<IpAddr> = targets.iter().map(|target| answering(target.ip())).collect();
        let ports: Vec<u16> = targets.iter().map(SocketAddr::port).collect();
        let program = filter::program(&addresses, &ports);
        let taps = if targets.iter().all(|target| tap::stays_here(*target)) {
            tap::raw(&program, addresses.iter().any(IpAddr::is_ipv4), addresses.iter().any(IpAddr::is_ipv6))
        } else {
            vec![tap::packet(&program)?]
        };
        (!taps.is_empty()).then_some(Self { taps })
    }

    /// The sockets, readable when an answer came.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.taps.iter().map(Tap::fd)
    }

    /// Hands over what came since the last call. The kernel gives a packet to packet sockets and raw sockets before it
    /// gives it to TCP or to the ICMP handler (`__netif_receive_skb_core`, `ip_protocol_deliver_rcu`), so once a socket
    /// shows a result its answer is in here.
    pub(crate) fn drain(&self, mut each: impl FnMut(Seen)) {
        let mut buffer = [0_u8; 640];
        for tap in &self.taps {
            for _ in 0..MAX_PACKETS {
                let Some(incoming) = tap.receive(&mut buffer) else { break };
                let bytes = buffer.get(..incoming.length).unwrap_or_default();
                if let Some(mut seen) = read(bytes, incoming.interface) {
                    seen.flow_label = seen.flow_label.filter(|_| !incoming.rebuilt);
                    each(seen);
                }
            }
        }
    }
}

impl Drop for Sniffer {
    /// Nobody needs to stand by while a packet socket closes.
    fn drop(&mut self) {
        for tap in self.taps.drain(..) {
            if let Tap::Packet(fd) = tap {
                let closing = std::thread::Builder::new().name("close".to_owned()).stack_size(64 << 10);
                // Without a thread the closure is dropped here, and the socket with it.
                let _ = closing.spawn(move || drop(fd));
            }
        }
    }
}

/// The name of an interface, as text.
pub(crate) fn interface_name(index: u32) -> Option<String> {
    let name = nix::net::if_::if_indextoname(index).ok()?;
    Some(unrefuse_facts::text::from_bytes(name.as_bytes()))
}

/// The packet as an answer, if it is one.
fn read(bytes: &[u8], interface: u32) -> Option<Seen> {
    let at = Instant::now();
    if let Some(tcp) = packet::tcp(bytes) {
        let kind = match tcp.flags {
            flags if flags.rst => SeenKind::Rst,
            flags if flags.syn && flags.ack => SeenKind::SynAck,
            _ => return None,
        };
        return Some(Seen {
            at,
            kind,
            protocol: Protocol::Tcp,
            from: tcp.src.ip(),
            remote: tcp.src,
            local: tcp.dst,
            ttl: tcp.ttl,
            tos: tcp.tos,
            flow_label: tcp.flow_label,
            interface,
        });
    }
    let icmp = packet::icmp_error(bytes)?;
    Some(Seen {
        at,
        kind: SeenKind::Icmp(icmp.icmp_type, icmp.icmp_code),
        protocol: if icmp.quoted_transport == Transport::Udp { Protocol::Udp } else { Protocol::Tcp },
        from: icmp.from,
        remote: icmp.quoted_dst,
        local: icmp.quoted_src,
        ttl: icmp.ttl,
        tos: icmp.tos,
        // The last 20 bits of an IPv6 header's first word (RFC 8200, 3).
        flow_label: bytes
            .first_chunk()
            .filter(|_| icmp.from.is_ipv6())
            .map(|word| u32::from_be_bytes(*word) & 0xf_ffff),
        interface,
    })
}

//! One ICMP echo request, whose reply shows how the same host's own packets arrive.

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, recvmsg,
    send, setsockopt, socket, sockopt,
};
use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};
use unrefuse_facts::{Missing, Reason, Reference};

use crate::sys::uninterrupted;

/// Packets looked at per wake-up: a raw socket also gets other processes' replies of the same host.
const MAX_PACKETS: usize = 32;
/// RFC 792 and RFC 4443.
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// Tells this process's requests apart, when many run side by side.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// An echo request under way.
#[derive(Debug)]
pub(crate) struct Echo {
    fd: OwnedFd,
    v6: bool,
    /// A raw socket (else a ping socket, where the kernel owns checksum and identifier: icmp(7)).
    raw: bool,
    tos: u8,
    identifier: u16,
    sequence: u16,
}

impl Echo {
    /// Sends one echo request with `tos` to `target`.
    pub(crate) fn send(target: SocketAddr, tos: u8) -> Result<Self, Missing> {
        let v6 = target.is_ipv6();
        let (fd, raw) = open(v6)?;
        let failed = |call: &str, error: nix::Error| {
            Missing::new(Reason::Failed, format!("echo request to {}: {call}: {error}", target.ip()))
        };
        // Without these the reply still comes, only with less to read from it.
        if v6 {
            let _ = setsockopt(&fd, sockopt::Ipv6TClass, &i32::from(tos));
            let _ = setsockopt(&fd, sockopt::Ipv6RecvTClass, &true);
            let _ = setsockopt(&fd, sockopt::Ipv6RecvHopLimit, &true);
        } else {
            let _ = setsockopt(&fd, sockopt::Ipv4Tos, &i32::from(tos));
            let _ = setsockopt(&fd, sockopt::IpRecvTos, &true);
            let _ = setsockopt(&fd, sockopt::Ipv4RecvTtl, &true);
        }
        let mut to = target;
        to.set_port(0);
        uninterrupted(|| connect(fd.as_raw_fd(), &SockaddrStorage::from(to))).map_err(|e| failed("connect", e))?;

        let identifier = (std::process::id() as u16) ^ 0x5552;
        let sequence = NEXT.fetch_add(1, Ordering::Relaxed);
        let packet = request(v6, identifier, sequence);
        uninterrupted(|| send(fd.as_raw_fd(), &packet, MsgFlags::MSG_DONTWAIT)).map_err(|e| failed("send", e))?;
        Ok(Self { fd, v6, raw, tos, identifier, sequence })
    }

    /// The socket, readable when something came.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The reply, if it is there.
    pub(crate) fn reply(&self) -> Option<Reference> {
        for _ in 0..MAX_PACKETS {
            match uninterrupted(|| self.one()) {
                Ok(Some(reference)) => return Some(reference),
                Ok(None) => {}
                Err(_) => return None,
            }
        }
        None
    }

    fn one(&self) -> nix::Result<Option<Reference>> {
        let mut payload = [0_u8; 256];
        let mut control = nix::cmsg_space!(libc::c_int, libc::c_int, libc::c_int);
        let (length, ttl, tos) = {
            let mut slices = [IoSliceMut::new(&mut payload)];
            let message = recvmsg::<()>(self.fd.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
            let (mut ttl, mut tos) = (None, None);
            for control in message.cmsgs().into_iter().flatten() {
                match control {
                    ControlMessageOwned::Ipv4Ttl(n) | ControlMessageOwned::Ipv6HopLimit(n) => {
                        ttl = u8::try_from(n).ok();
                    }
                    ControlMessageOwned::Ipv4Tos(n) => tos = Some(n),
                    ControlMessageOwned::Ipv6TClass(n) => tos = u8::try_from(n).ok(),
                    _ => {}
                }
            }
            (message.bytes, ttl, tos)
        };
        let mut packet = payload.get(..length).unwrap_or_default();
        if self.raw && !self.v6 {
            // A raw IPv4 socket hands out the IP header too (raw(7)).
            let header = packet.first().map_or(0, |byte| usize::from(byte & 0x0f) * 4);
            packet = packet.get(header..).unwrap_or_default();
        }
        if !self.is_ours(packet) {
            return Ok(None);
        }
        Ok(Some(Reference { what: "echo reply".to_owned(), ttl, tos_kept: tos.map(|tos| tos == self.tos) }))
    }

    fn is_ours(&self, packet: &[u8]) -> bool {
        let [kind, code, _, _, id0, id1, seq0, seq1, ..] = *packet else { return false };
        kind == if self.v6 { ECHO_REPLY_V6 } else { ECHO_REPLY }
            && code == 0
            && u16::from_be_bytes([seq0, seq1]) == self.sequence
            && (!self.raw || u16::from_be_bytes([id0, id1]) == self.identifier)
    }
}

/// A ping socket where `net.ipv4.ping_group_range` lets this user have one (icmp(7)), else a raw socket.
fn open(v6: bool) -> Result<(OwnedFd, bool), Missing> {
    let (family, protocol) =
        if v6 { (AddressFamily::Inet6, SockProtocol::IcmpV6) } else { (AddressFamily::Inet, SockProtocol::Icmp) };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    if let Ok(fd) = socket(family, SockType::Datagram, flags, protocol) {
        return Ok((fd, false));
    }
    match socket(family, SockType::Raw, flags, protocol) {
        Ok(fd) => Ok((fd, true)),
        Err(error @ (nix::Error::EPERM | nix::Error::EACCES)) => Err(Missing::new(
            Reason::Forbidden,
            format!("echo request: no ping socket (net.ipv4.ping_group_range) and no raw socket: {error}"),
        )
        .remedy("run unrefuse as root")),
        Err(error) => Err(Missing::new(Reason::Failed, format!("echo request: raw socket: {error}"))),
    }
}

fn request(v6: bool, identifier: u16, sequence: u16) -> [u8; 16] {
    let mut packet = [0_u8; 16];
    packet[0] = if v6 { ECHO_REQUEST_V6 } else { ECHO_REQUEST };
    packet[4..6].copy_from_slice(&identifier.to_be_bytes());
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    packet[8..].copy_from_slice(b"unrefuse");
    if !v6 {
        // Over IPv6 the kernel computes it (RFC 3542, 3.1).
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// The internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Whether an echo reply of `target` could tell more than the answer itself: not where the answer is this machine's own.
pub(crate) fn is_local(target: IpAddr, local: Option<SocketAddr>) -> bool {
    target.is_loopback() || local.is_some_and(|local| local.ip() == target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_sums_to_zero() {
        assert_eq!(checksum(&request(false, 0x1234, 7)), 0);
        assert_eq!(request(true, 0x1234, 7)[..8], [128, 0, 0, 0, 0x12, 0x34, 0, 7]);
    }

    #[test]
    fn addresses_of_this_machine_are_local() {
        let own: SocketAddr = "192.0.2.1:4000".parse().unwrap();
        assert!(is_local("192.0.2.1".parse().unwrap(), Some(own)));
        assert!(is_local("::1".parse().unwrap(), None));
        assert!(!is_local("192.0.2.2".parse().unwrap(), Some(own)));
    }
}

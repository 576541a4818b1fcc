//! The sockets that show incoming packets: a packet socket, or raw sockets.

use crate::sys::{answering, uninterrupted};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6,
    SockaddrStorage, connect, recvfrom, recvmsg, setsockopt, socket, sockopt,
};
use std::io::IoSliceMut;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

const FLAGS: SockFlag = SockFlag::SOCK_CLOEXEC.union(SockFlag::SOCK_NONBLOCK);
/// An IPv6 header without extensions (RFC 8200, 3).
const V6_HEADER: usize = 40;

/// One socket that shows packets.
#[derive(Debug)]
pub(crate) enum Tap {
    /// Sees every packet as it comes in, before this machine's packet filter.
    Packet(OwnedFd),
    /// An IPv4 raw socket: packets that the packet filter has let in, with their IP header (raw(7)).
    RawV4(OwnedFd),
    /// An IPv6 raw socket: the same, where the header has to be put together from control messages (ipv6(7)).
    RawV6(OwnedFd, u8),
}

/// A packet's bytes from its IP header on, and the index of the interface it came in by.
pub(crate) struct Incoming {
    pub(crate) length: usize,
    pub(crate) interface: u32,
    /// The header is not the one on the wire: it has no flow label.
    pub(crate) rebuilt: bool,
}

/// A packet socket for everything that passes `program`.
///
/// Asking for a protocol family that is not there makes the kernel load its module (`__sock_create`), and a diagnosis
/// loads nothing: /proc/net/packet is there exactly when the family is.
pub(crate) fn packet(program: &[libc::sock_filter]) -> Option<Tap> {
    std::fs::metadata("/proc/net/packet").ok()?;
    // Protocol 0 receives nothing until bind(2): no packet gets in ahead of the filter.
    let fd = socket(AddressFamily::Packet, SockType::Datagram, FLAGS, None).ok()?;
    attach(&fd, program)?;
    bind_to_everything(&fd)?;
    Some(Tap::Packet(fd))
}

/// Raw sockets for TCP and ICMP, of the families asked for as far as the kernel has them; none where the user may not.
pub(crate) fn raw(program: &[libc::sock_filter], v4: bool, v6: bool) -> Vec<Tap> {
    let of_v4 = [SockProtocol::Tcp, SockProtocol::Icmp].map(|protocol| v4.then(|| open_raw_v4(program, protocol)));
    let of_v6 = [SockProtocol::Tcp, SockProtocol::IcmpV6].map(|protocol| v6.then(|| open_raw_v6(program, protocol)));
    of_v4.into_iter().chain(of_v6).flatten().flatten().collect()
}

fn open_raw_v4(program: &[libc::sock_filter], protocol: SockProtocol) -> Option<Tap> {
    let fd = socket(AddressFamily::Inet, SockType::Raw, FLAGS, protocol).ok()?;
    attach(&fd, program)?;
    setsockopt(&fd, sockopt::Ipv4PacketInfo, &true).ok()?;
    Some(Tap::RawV4(fd))
}

fn open_raw_v6(program: &[libc::sock_filter], protocol: SockProtocol) -> Option<Tap> {
    let fd = socket(AddressFamily::Inet6, SockType::Raw, FLAGS, protocol).ok()?;
    attach(&fd, program)?;
    setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true).ok()?;
    setsockopt(&fd, sockopt::Ipv6RecvHopLimit, &true).ok()?;
    setsockopt(&fd, sockopt::Ipv6RecvTClass, &true).ok()?;
    Some(Tap::RawV6(fd, protocol as u8))
}

/// Whether packets to `target` stay on this machine. No packet is sent: connecting a UDP socket only looks up the route,
/// and the kernel speaks to an own address from that same address.
pub(crate) fn stays_here(target: SocketAddr) -> bool {
    if answering(target.ip()).is_loopback() {
        return true;
    }
    let family = if target.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let Ok(fd) = socket(family, SockType::Datagram, FLAGS, None) else { return false };
    uninterrupted(|| connect(fd.as_raw_fd(), &SockaddrStorage::from(target))).is_ok()
        && crate::sys::local_address(&fd).is_some_and(|local| local.ip() == target.ip())
}

impl Tap {
    /// The socket, readable when a packet came.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Packet(fd) | Self::RawV4(fd) | Self::RawV6(fd, _) => fd.as_fd(),
        }
    }

    /// The next packet; `None` when there is none.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Option<Incoming> {
        uninterrupted(|| match self {
            Self::Packet(fd) => {
                let (length, from) = recvfrom::<LinkAddr>(fd.as_raw_fd(), buffer)?;
                let interface = from.and_then(|link| u32::try_from(link.ifindex()).ok()).unwrap_or(0);
                Ok(Incoming { length, interface, rebuilt: false })
            }
            Self::RawV4(fd) => raw_v4(fd, buffer),
            Self::RawV6(fd, protocol) => raw_v6(fd, *protocol, buffer),
        })
        .ok()
    }
}

fn raw_v4(fd: &OwnedFd, buffer: &mut [u8]) -> nix::Result<Incoming> {
    let mut slices = [IoSliceMut::new(buffer)];
    let mut control = nix::cmsg_space!(libc::in_pktinfo);
    let message = recvmsg::<()>(fd.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    let interface = message.cmsgs().into_iter().flatten().find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => u32::try_from(info.ipi_ifindex).ok(),
        _ => None,
    });
    Ok(Incoming { length: message.bytes, interface: interface.unwrap_or(0), rebuilt: false })
}

fn raw_v6(fd: &OwnedFd, protocol: u8, buffer: &mut [u8]) -> nix::Result<Incoming> {
    let Some((header, payload)) = buffer.split_at_mut_checked(V6_HEADER) else { return Err(nix::Error::EINVAL) };
    let mut slices = [IoSliceMut::new(payload)];
    let mut control = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int, libc::c_int);
    let message = recvmsg::<SockaddrIn6>(fd.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    let from = message.address.map_or(Ipv6Addr::UNSPECIFIED, |address| address.ip());
    let (mut to, mut interface, mut hop_limit, mut class) = (Ipv6Addr::UNSPECIFIED, 0, 0, 0);
    for control in message.cmsgs().into_iter().flatten() {
        match control {
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                to = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                interface = info.ipi6_ifindex;
            }
            ControlMessageOwned::Ipv6HopLimit(n) => hop_limit = u8::try_from(n).unwrap_or(0),
            ControlMessageOwned::Ipv6TClass(n) => class = u8::try_from(n).unwrap_or(0),
            _ => {}
        }
    }
    let length = message.bytes;
    header[0] = 0x60 | class >> 4;
    header[1] = class << 4;
    header[2..4].fill(0);
    header[4..6].copy_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    header[6] = protocol;
    header[7] = hop_limit;
    header[8..24].copy_from_slice(&from.octets());
    header[24..40].copy_from_slice(&to.octets());
    Ok(Incoming { length: V6_HEADER + length, interface, rebuilt: true })
}

fn attach(fd: &OwnedFd, program: &[libc::sock_filter]) -> Option<()> {
    let program = libc::sock_fprog { len: u16::try_from(program.len()).ok()?, filter: program.as_ptr().cast_mut() };
    // SAFETY: `program` points to `len` instructions that live until the call returns; the kernel copies them
    // (sk_attach_filter) and writes to neither. `fd` is an open socket.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    (result == 0).then_some(())
}

/// All protocols on all interfaces.
fn bind_to_everything(fd: &OwnedFd) -> Option<()> {
    // SAFETY: sockaddr_ll is plain integers and an array of them, for which all zeroes is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: the address is a complete sockaddr_ll of the length given, and `fd` is an open packet socket.
    let result = unsafe {
        libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as libc::socklen_t)
    };
    (result == 0).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn the_kernel_takes_the_longest_program() {
        let addresses: Vec<IpAddr> = (0..64_u32).map(|n| IpAddr::V4((0x0a00_0000 + n).into())).collect();
        let addresses6: Vec<IpAddr> = (0..64_u128).map(|n| IpAddr::V6((0xfd00 << 112 | n).into())).collect();
        let ports: Vec<u16> = (1..=16).collect();
        let fd = socket(AddressFamily::Inet, SockType::Datagram, FLAGS, None).unwrap();
        for list in [&addresses, &addresses6, &Vec::new()] {
            for ports in [&ports[..], &[]] {
                assert!(attach(&fd, &crate::filter::program(list, ports)).is_some());
            }
        }
    }

    #[test]
    fn own_addresses_stay_here() {
        for own in ["127.0.0.1:1", "127.9.9.9:1", "0.0.0.0:1", "[::1]:1", "[::]:1"] {
            assert!(stays_here(own.parse().unwrap()), "{own}");
        }
        assert!(!stays_here("192.0.2.1:1".parse().unwrap()));
    }
}

//! Asking a link who has an address, past the kernel's neighbour table: an entry that was set by hand is never asked for.
//!
//! One ordinary question (ARP, RFC 826; neighbour solicitation, RFC 4861 4.3) in the name of this machine's own address, as
//! the kernel sends them all the time; the answers change no entry that was set by hand (`__neigh_update`,
//! net/core/neighbour.c).

use crate::sys::{is_ready, uninterrupted, wait};
use nix::poll::{PollFd, PollFlags};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};
use unrefuse_facts::{Missing, Observed, Reason, Source};

const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;
/// Packets that are looked at; a packet socket sees all of its protocol.
const MOST: usize = 4096;
/// The second answer of an address that two machines have comes right behind the first.
const AFTER_FIRST: Duration = Duration::from_millis(30);

type Mac = [u8; 6];

/// The link-layer addresses that answer for `address` on the interface with that index, asked from `own`; empty: nobody.
/// Needs `CAP_NET_RAW`.
pub fn claimants(address: IpAddr, own: IpAddr, link: u32, patience: Duration) -> Observed<Vec<String>> {
    let what = if address.is_ipv4() { "ARP" } else { "neighbour discovery" };
    let asked = match (address, own) {
        (IpAddr::V4(address), IpAddr::V4(own)) => {
            ask(link, ETH_P_ARP, patience, |mac| arp(address, own, mac), |packet| arp_answer(packet, address))
        }
        (IpAddr::V6(address), IpAddr::V6(own)) => {
            ask(link, ETH_P_IPV6, patience, |mac| solicitation(address, own, mac), |packet| advertised(packet, address))
        }
        _ => return Observed::not_looked("the two addresses are of different families"),
    };
    match asked {
        Ok(macs) => Observed::known(macs.into_iter().map(text).collect(), Source::probed(what)),
        Err(error) => {
            let forbidden = error.raw_os_error() == Some(libc::EPERM);
            let reason = if forbidden { Reason::Forbidden } else { Reason::Failed };
            let missing = Missing::new(reason, format!("{what}: {error}"));
            let remedy = forbidden.then(|| "run unrefuse as root".to_owned());
            Observed::Missing(Missing { remedy, ..missing })
        }
    }
}

fn text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Where a packet goes on the link, and its bytes.
type Packet = (Mac, Vec<u8>);

fn ask(
    link: u32,
    protocol: u16,
    patience: Duration,
    question: impl Fn(Mac) -> Packet,
    answer: impl Fn(&[u8]) -> Option<Mac>,
) -> std::io::Result<Vec<Mac>> {
    // Asking for a protocol family that is not there would load its module (see `tap::packet`).
    std::fs::metadata("/proc/net/packet")?;
    let flags = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: plain numbers; the result is checked.
    let fd = unsafe { libc::socket(libc::AF_PACKET, flags, 0) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened, and nobody else has it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut here = place(link, protocol, [0; 6]);
    let whole = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    let mut size = whole;
    let pointer = (&raw mut here).cast::<libc::sockaddr>();
    // SAFETY: `here` is a sockaddr_ll of that size, and lives across the call.
    let bound = unsafe { libc::bind(fd.as_raw_fd(), pointer, whole) };
    // SAFETY: the same; the kernel writes no more than `size` says.
    if bound < 0 || unsafe { libc::getsockname(fd.as_raw_fd(), pointer, &raw mut size) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    let Some(own) = here.sll_addr.first_chunk::<6>().copied().filter(|_| here.sll_halen == 6) else {
        return Err(std::io::Error::other("the interface has no Ethernet address"));
    };
    let (to, packet) = question(own);
    let there = place(link, protocol, to);
    // SAFETY: the buffer and the address live across the call, with their own sizes.
    let sent = unsafe {
        let there = (&raw const there).cast::<libc::sockaddr>();
        libc::sendto(fd.as_raw_fd(), packet.as_ptr().cast(), packet.len(), 0, there, whole)
    };
    if sent < 0 {
        return Err(std::io::Error::last_os_error());
    }
    let mut until = Instant::now() + patience;
    let mut macs: Vec<Mac> = Vec::new();
    let mut buffer = [0_u8; 512];
    for _ in 0..MOST {
        while !is_ready(&fd, PollFlags::POLLIN) && Instant::now() < until {
            wait(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], until);
        }
        let Ok(length) =
            uninterrupted(|| nix::sys::socket::recv(fd.as_raw_fd(), &mut buffer, nix::sys::socket::MsgFlags::empty()))
        else {
            break;
        };
        if let Some(mac) = buffer.get(..length).and_then(&answer).filter(|mac| !macs.contains(mac)) {
            macs.push(mac);
            until = until.min(Instant::now() + AFTER_FIRST);
        }
    }
    Ok(macs)
}

fn place(link: u32, protocol: u16, to: Mac) -> libc::sockaddr_ll {
    // SAFETY: all zero is a valid sockaddr_ll: plain numbers.
    let mut place: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    place.sll_family = libc::AF_PACKET as u16;
    place.sll_protocol = protocol.to_be();
    place.sll_ifindex = i32::try_from(link).unwrap_or_default();
    place.sll_halen = 6;
    place.sll_addr[..6].copy_from_slice(&to);
    place
}

/// Ethernet, IPv4, request (RFC 826).
fn arp(address: Ipv4Addr, own: Ipv4Addr, mac: Mac) -> Packet {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, 1];
    packet.extend_from_slice(&mac);
    packet.extend_from_slice(&own.octets());
    packet.extend_from_slice(&[0; 6]);
    packet.extend_from_slice(&address.octets());
    ([0xff; 6], packet)
}

fn arp_answer(packet: &[u8], address: Ipv4Addr) -> Option<Mac> {
    let is_reply = packet.starts_with(&[0, 1, 8, 0, 6, 4, 0, 2]);
    let from = packet.get(14..18)?;
    (is_reply && from == address.octets()).then(|| packet.get(8..14)?.first_chunk().copied())?
}

/// A neighbour solicitation with its source's link-layer address, to the solicited-node group (RFC 4861 4.3, RFC 4291
/// 2.7.1).
fn solicitation(address: Ipv6Addr, own: Ipv6Addr, mac: Mac) -> Packet {
    let [.., a, b, c] = address.octets();
    let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(&address.octets());
    message.extend_from_slice(&[1, 1]);
    message.extend_from_slice(&mac);
    let length = message.len() as u8;
    let sum = checksum(own, group, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    // Version 6, next header ICMPv6, hop limit 255, which shows that no router passed it on.
    let mut packet = vec![0x60, 0, 0, 0, 0, length, 58, 255];
    packet.extend_from_slice(&own.octets());
    packet.extend_from_slice(&group.octets());
    packet.extend_from_slice(&message);
    ([0x33, 0x33, 0xff, a, b, c], packet)
}

/// RFC 4443 2.3, RFC 8200 8.1.
fn checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let head = [0, 0, 0, message.len() as u8, 0, 0, 0, 58];
    let bytes: Vec<u8> = [&from.octets()[..], &to.octets()[..], &head[..], message].concat();
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The target link-layer address of a neighbour advertisement for `address` (RFC 4861 4.4), by its first option.
fn advertised(packet: &[u8], address: Ipv6Addr) -> Option<Mac> {
    let (header, message) = packet.split_at_checked(40)?;
    let on_link = header.get(6..8)? == [58, 255];
    let is_advertisement = message.first() == Some(&136) && message.get(8..24)? == address.octets();
    let option = message.get(24..32)?;
    (on_link && is_advertisement && option.starts_with(&[2, 1])).then(|| option.get(2..8)?.first_chunk().copied())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 9];

    #[test]
    fn an_arp_answer_is_for_the_asked_address() {
        let (to, mut packet) = arp(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2), MAC);
        assert_eq!((to, packet.len()), ([0xff; 6], 28));
        assert_eq!(arp_answer(&packet, Ipv4Addr::new(10, 0, 0, 2)), None, "a question is no answer");
        packet[7] = 2;
        assert_eq!(arp_answer(&packet, Ipv4Addr::new(10, 0, 0, 2)), Some(MAC));
        assert_eq!(arp_answer(&packet, Ipv4Addr::new(10, 0, 0, 3)), None);
        assert_eq!(arp_answer(&packet[..12], Ipv4Addr::new(10, 0, 0, 2)), None);
    }

    #[test]
    fn a_solicitation_has_a_right_checksum_and_group() {
        let (address, own) = ("fd77::1:2345".parse().unwrap(), "fd77::2".parse().unwrap());
        let (to, packet) = solicitation(address, own, MAC);
        assert_eq!(to, [0x33, 0x33, 0xff, 1, 0x23, 0x45]);
        let group = Ipv6Addr::from(*packet[24..40].first_chunk::<16>().unwrap());
        assert_eq!(group, "ff02::1:ff01:2345".parse::<Ipv6Addr>().unwrap());
        // The sum over a message with its checksum is zero (RFC 1071).
        assert_eq!(checksum(own, group, &packet[40..]), 0);
    }

    #[test]
    fn an_advertisement_is_for_the_asked_address() {
        let address: Ipv6Addr = "fd77::1".parse().unwrap();
        let (_, mut packet) = solicitation(address, "fd77::2".parse().unwrap(), MAC);
        (packet[40], packet[64]) = (136, 2);
        assert_eq!(advertised(&packet, address), Some(MAC));
        assert_eq!(advertised(&packet, "fd77::3".parse().unwrap()), None);
        assert_eq!(advertised(&packet[..66], address), None);
        packet[7] = 64;
        assert_eq!(advertised(&packet, address), None, "a router passed it on");
    }
}

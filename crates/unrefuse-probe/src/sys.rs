//! Small helpers around system calls: `EINTR`, addresses, polling.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{SockaddrStorage, getpeername, getsockname};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};
use unrefuse_facts::Errno;

/// The error number as a fact.
pub(crate) fn errno(error: nix::Error) -> Errno {
    Errno(error as i32)
}

/// Calls again for as long as a signal interrupts the call (signal(7), `EINTR`).
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(nix::Error::EINTR) => {}
            other => return other,
        }
    }
}

/// The address to hand to the kernel: an IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`, RFC 4291) is spoken to over
/// IPv4, which is what the kernel does with it too.
pub(crate) fn unmapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(IpAddr::V4(v4), v6.port()),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

/// The address that answers for `target`: connect(2) to the unspecified address reaches the loopback address
/// (`ip_route_output_key_hash_rcu`, `tcp_v6_connect`).
pub(crate) fn answering(target: IpAddr) -> IpAddr {
    match target {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    }
}

fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4(SocketAddrV4::from(*v4)));
    }
    address.as_sockaddr_in6().map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6)))
}

/// The socket's own address, once the kernel has chosen one.
pub(crate) fn local_address(fd: &impl AsRawFd) -> Option<SocketAddr> {
    let address = to_std(&getsockname::<SockaddrStorage>(fd.as_raw_fd()).ok()?)?;
    (!address.ip().is_unspecified() && address.port() != 0).then_some(address)
}

/// Whether the socket is connected to itself: same address and port on both ends.
pub(crate) fn is_self_connected(fd: &impl AsRawFd) -> bool {
    let ends = (getsockname::<SockaddrStorage>(fd.as_raw_fd()), getpeername::<SockaddrStorage>(fd.as_raw_fd()));
    match ends {
        (Ok(ours), Ok(theirs)) => match (to_std(&ours), to_std(&theirs)) {
            (Some(a), Some(b)) => a.ip() == b.ip() && a.port() == b.port(),
            _ => false,
        },
        _ => false,
    }
}

/// Waits for any of `fds` until `until`, at most; a signal ends the wait early. The answers are in the `fds`.
pub(crate) fn wait(fds: &mut [PollFd<'_>], until: Instant) {
    let left = until.saturating_duration_since(Instant::now());
    // poll(2) counts in milliseconds; rounding up keeps a short rest from becoming a busy loop.
    let millis = left.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
    let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::ZERO);
    // EINTR and ENOMEM look like an early end of the wait: the callers look at clock and sockets again.
    if poll(fds, timeout).is_err() && left > Duration::ZERO {
        std::thread::yield_now();
    }
}

/// Whether `fd` is ready for `flags`, in error or hung up, right now.
pub(crate) fn is_ready(fd: &impl AsFd, flags: PollFlags) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), flags)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(n) if n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_go_over_ipv4() {
        assert_eq!(unmapped("[::ffff:192.0.2.1]:80".parse().unwrap()), "192.0.2.1:80".parse().unwrap());
        let scoped: SocketAddr = "[fe80::1%7]:80".parse().unwrap();
        assert_eq!(unmapped(scoped), scoped);
    }

    #[test]
    fn the_unspecified_address_is_answered_by_loopback() {
        assert_eq!(answering("0.0.0.0".parse().unwrap()), "127.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(answering("::".parse().unwrap()), "::1".parse::<IpAddr>().unwrap());
        assert_eq!(answering("192.0.2.1".parse().unwrap()), "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}

//! TCP: connect without blocking, read the socket's verdict, see whether the other side closes at once.

use crate::error_queue;
use crate::sniff::SeenKind;
use crate::sys::{answering, errno, is_self_connected, local_address, uninterrupted};
use crate::trial::{State, TOS, Trial};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, connect, getsockopt, recv, setsockopt, socket,
    sockopt,
};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};
use unrefuse_facts::{AnswerKind, AttemptOutcome, Errno};

/// Makes a non-blocking socket that keeps ICMP errors and, if wanted, sends [`TOS`].
///
/// `IPV6_RECVERR` is what brings a ICMPv6 error at once: with it `tcp_v6_err` queues the error even while the socket is
/// locked, as it is on loopback and veth, where the error comes back inside connect(2). Without it the error is lost
/// there (counter `LockDroppedIcmps`) and connect(2) fails only at the SYN's first repetition, after 1 s. On IPv4
/// `tcp_v4_err` queues the error always; the option is set all the same. The error number is the one that a plain
/// blocking connect(2) ends with (measured for all types and codes).
///
/// With a `source` it is bound to that address, at a port of the kernel's choice.
pub(crate) fn open(
    target: SocketAddr,
    source: Option<IpAddr>,
    kind: SockType,
    tos: bool,
) -> nix::Result<(OwnedFd, Option<u8>)> {
    let family = if target.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let fd = uninterrupted(|| socket(family, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None))?;
    // Neither is needed for the attempt itself, so an error here is none of it.
    let set = if target.is_ipv6() {
        let _ = setsockopt(&fd, sockopt::Ipv6RecvErr, &true);
        tos && setsockopt(&fd, sockopt::Ipv6TClass, &i32::from(TOS)).is_ok()
    } else {
        let _ = setsockopt(&fd, sockopt::Ipv4RecvErr, &true);
        tos && setsockopt(&fd, sockopt::Ipv4Tos, &i32::from(TOS)).is_ok()
    };
    if let Some(source) = source {
        bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(source, 0)))?;
    }
    Ok((fd, set.then_some(TOS)))
}

/// Sends the SYN.
pub(crate) fn start(trial: &mut Trial) {
    let (fd, tos_sent) = match open(trial.target, trial.source, SockType::Stream, trial.wants.tos) {
        Ok(opened) => opened,
        Err(error) => return trial.fail_locally(errno(error)),
    };
    trial.tos_sent = tos_sent;
    let result = connect(fd.as_raw_fd(), &SockaddrStorage::from(trial.target));
    trial.attempt.local = local_address(&fd);
    match result {
        Ok(()) | Err(nix::Error::EINPROGRESS | nix::Error::EINTR) => trial.fd = Some(fd),
        // Even on loopback an answer is taken in only after the call has decided on EINPROGRESS (release_sock in
        // inet_stream_connect): an error here is a route, a policy, a missing port or address of this machine.
        Err(error) => trial.fail_locally(errno(error)),
    }
}

/// The socket is connected or failed.
pub(crate) fn ready(trial: &mut Trial) {
    let Some(fd) = &trial.fd else { return };
    let queued = error_queue::first(fd);
    // SO_ERROR also gives the soft error of a locked socket (sk_err_soft in sk_getsockopt).
    let pending = getsockopt(fd, sockopt::SocketError).unwrap_or(0);
    let failed = if pending != 0 { Some(Errno(pending)) } else { queued.map(|error| error.errno) };
    if let Some(errno) = failed {
        return trial.fail(errno, queued);
    }
    if !crate::sys::is_ready(fd, nix::poll::PollFlags::POLLOUT) {
        return; // It was the error queue that woke us, with nothing final in it.
    }
    if is_self_connected(fd) {
        // Source and destination port happened to be the same and nobody listens: TCP's simultaneous open with itself
        // (RFC 9293, 3.5). Any other source port would have been refused.
        trial.attempt.errno = Some(Errno::ECONNREFUSED);
        let answer = trial.bare(AnswerKind::Local, None);
        return trial.finish(AttemptOutcome::Refused, Some(answer));
    }
    let round_trip = trial.started.elapsed();
    trial.attempt.elapsed = round_trip;
    trial.attempt.answer = Some(match trial.last_seen(|kind| kind == SeenKind::SynAck) {
        Some(seen) => trial.describe(seen),
        None => trial.bare(AnswerKind::Accept, Some(answering(trial.target.ip()))),
    });
    if !trial.wants.look {
        return trial.finish(AttemptOutcome::Open, None);
    }
    let patience = (round_trip * 2 + Duration::from_millis(15)).min(Duration::from_millis(60));
    trial.state = State::Looking { until: (Instant::now() + patience).min(trial.ends) };
    look(trial);
}

/// Something came on the connection: data, its end, or a reset. Nothing was sent and nothing will be.
///
/// What came is read away, so that the close that follows sends a FIN: with unread data the kernel would send a RST
/// (`__tcp_close`), which servers log as an error.
pub(crate) fn look(trial: &mut Trial) {
    let Some(fd) = &trial.fd else { return };
    let mut greeting = [0_u8; 4096];
    match uninterrupted(|| recv(fd.as_raw_fd(), &mut greeting, MsgFlags::MSG_DONTWAIT)) {
        Ok(0) => {
            trial.attempt.elapsed = trial.started.elapsed();
            trial.finish(AttemptOutcome::ClosedOnAccept, None);
        }
        Ok(_) => trial.finish(AttemptOutcome::Open, None),
        Err(nix::Error::EAGAIN) => {
            let _ = error_queue::first(fd);
        }
        Err(error) => {
            let errno = errno(error);
            trial.fail_as(AttemptOutcome::ClosedOnAccept, errno, None);
        }
    }
}

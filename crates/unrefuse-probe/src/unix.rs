//! Stream sockets in the file system (unix(7)).

use crate::outcome;
use crate::sys::{errno, uninterrupted, wait};
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, socket};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};
use unrefuse_facts::{Answer, AnswerKind, Attempt, AttemptOutcome};

/// How long to look whether the other side closes at once.
const LOOK: Duration = Duration::from_millis(15);

/// Connects to the stream socket at `path`; a path that begins with `@` names an abstract socket.
///
/// A full accept queue makes a blocking connect(2) wait; here it is tried again until `timeout`, and then the outcome is
/// timed out with `EAGAIN`, which is what tells it from a listener that is not there.
pub fn unix(path: &str, timeout: Duration) -> Attempt {
    let started = Instant::now();
    let until = started.checked_add(timeout).unwrap_or(started);
    let mut attempt = Attempt {
        address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        round: 0,
        outcome: AttemptOutcome::Open,
        errno: None,
        answer: Some(Answer::bare(AnswerKind::Accept)),
        local: None,
        elapsed: Duration::ZERO,
        given_up: None,
    };
    if let Err(error) = converse(path, until, started, &mut attempt) {
        let errno = errno(error);
        attempt.errno = Some(errno);
        attempt.answer = Some(Answer::bare(AnswerKind::Local));
        attempt.outcome = outcome::of(errno);
        if error == nix::Error::EAGAIN {
            attempt.outcome = AttemptOutcome::TimedOut;
            attempt.answer = None;
        }
    }
    if attempt.elapsed.is_zero() {
        attempt.elapsed = started.elapsed();
    }
    attempt
}

fn converse(path: &str, until: Instant, started: Instant, attempt: &mut Attempt) -> nix::Result<()> {
    let address = match path.strip_prefix('@') {
        Some(name) => UnixAddr::new_abstract(name.as_bytes())?,
        None => UnixAddr::new(path)?,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = uninterrupted(|| socket(AddressFamily::Unix, SockType::Stream, flags, None))?;
    let mut pause = Duration::from_millis(1);
    loop {
        match uninterrupted(|| connect(fd.as_raw_fd(), &address)) {
            Ok(()) => break,
            // Nothing wakes a client whose connect(2) was turned away: only asking again tells.
            Err(nix::Error::EAGAIN) if Instant::now() < until => {
                wait(&mut [], (Instant::now() + pause).min(until));
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Err(error) => return Err(error),
        }
    }
    attempt.elapsed = started.elapsed();

    let until = (Instant::now() + LOOK).min(until);
    wait(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], until);
    let mut greeting = [0_u8; 4096];
    match uninterrupted(|| recv(fd.as_raw_fd(), &mut greeting, MsgFlags::MSG_DONTWAIT)) {
        Ok(0) => attempt.outcome = AttemptOutcome::ClosedOnAccept,
        Ok(_) | Err(nix::Error::EAGAIN) => {}
        Err(error) => {
            attempt.outcome = AttemptOutcome::ClosedOnAccept;
            attempt.errno = Some(errno(error));
        }
    }
    Ok(())
}

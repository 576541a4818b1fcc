//! UDP: one datagram, then a reply, an ICMP error, or silence.

use crate::error_queue;
use crate::sys::{answering, errno, local_address, uninterrupted};
use crate::tcp;
use crate::trial::Trial;
use nix::sys::socket::{MsgFlags, SockType, SockaddrStorage, connect, getsockopt, recv, send, sockopt};
use std::os::fd::AsRawFd;
use std::time::Duration;
use unrefuse_facts::{AnswerKind, AttemptOutcome, Errno};

/// Longest wait for a reply: silence is the ordinary answer of a UDP service that did not like the datagram.
const PATIENCE: Duration = Duration::from_secs(1);

/// A DNS query for the name servers of the root (RFC 1035, 4.1), recursion desired.
const DNS_QUERY: [u8; 17] = [0x75, 0x6e, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

/// What a service on `port` would answer. Elsewhere an empty datagram: it asks for nothing and changes nothing.
fn datagram(port: u16) -> Vec<u8> {
    match port {
        53 => DNS_QUERY.to_vec(),
        123 => {
            // NTP client request (RFC 5905, 7.3): leap 0, version 4, mode 3, all else 0.
            let mut packet = vec![0_u8; 48];
            packet[0] = 0x23;
            packet
        }
        _ => Vec::new(),
    }
}

/// Sends the datagram.
pub(crate) fn start(trial: &mut Trial) {
    trial.ends = trial.ends.min(trial.started + PATIENCE);
    let (fd, tos_sent) = match tcp::open(trial.target, trial.source, SockType::Datagram, trial.wants.tos) {
        Ok(opened) => opened,
        Err(error) => return trial.fail_locally(errno(error)),
    };
    trial.tos_sent = tos_sent;
    if let Err(error) = uninterrupted(|| connect(fd.as_raw_fd(), &SockaddrStorage::from(trial.target))) {
        return trial.fail_locally(errno(error));
    }
    trial.attempt.local = local_address(&fd);
    let packet = datagram(trial.target.port());
    let sent = uninterrupted(|| send(fd.as_raw_fd(), &packet, MsgFlags::MSG_DONTWAIT));
    trial.fd = Some(fd);
    if let Err(error) = sent {
        // A packet filter or policy of this machine (EPERM). A REJECT in its OUTPUT also leaves its ICMP error here.
        let queued = trial.fd.as_ref().and_then(error_queue::first);
        match queued {
            Some(_) => trial.fail(errno(error), queued),
            None => trial.fail_locally(errno(error)),
        }
    }
}

/// A datagram or an error came.
///
/// With `IP_RECVERR` a connected UDP socket also reports host and network unreachable and time exceeded, which a plain
/// one passes over in silence (`icmp_err_convert[].fatal` in `__udp4_lib_err`): an application would see a timeout there,
/// while the attempt says what came.
pub(crate) fn ready(trial: &mut Trial) {
    let Some(fd) = &trial.fd else { return };
    let queued = error_queue::first(fd);
    let mut reply = [0_u8; 2048];
    match uninterrupted(|| recv(fd.as_raw_fd(), &mut reply, MsgFlags::MSG_DONTWAIT)) {
        Ok(_) => {
            let answer = trial.bare(AnswerKind::Accept, Some(answering(trial.target.ip())));
            trial.finish(AttemptOutcome::Open, Some(answer));
        }
        Err(nix::Error::EAGAIN) => {
            let pending = getsockopt(fd, sockopt::SocketError).unwrap_or(0);
            let failed = if pending != 0 { Some(Errno(pending)) } else { queued.map(|error| error.errno) };
            if let Some(errno) = failed {
                trial.fail(errno, queued);
            }
        }
        Err(error) => trial.fail(errno(error), queued),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dns_and_ntp_are_asked_something() {
        let dns = datagram(53);
        // One question, recursion desired; then root, NS, IN.
        assert_eq!((&dns[2..6], &dns[12..]), (&[1, 0, 0, 1][..], &[0, 0, 2, 0, 1][..]));
        let ntp = datagram(123);
        assert_eq!((ntp.len(), ntp[0] >> 3 & 7, ntp[0] & 7), (48, 4, 3));
        assert!(datagram(161).is_empty());
    }
}

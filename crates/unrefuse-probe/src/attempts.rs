//! The attempts of one call: all addresses of a round side by side, one round after the other.

use crate::sniff::Sniffer;
use crate::sys::{unmapped, wait};
use crate::trial::{Sniffing, Trial, Wants, Watch};
use nix::poll::{PollFd, PollFlags};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use unrefuse_facts::{Attempt, Observed, Protocol, Reference};

/// Addresses tried in one call; the rest of a longer list is left out.
pub const MAX_ADDRESSES: usize = 64;

/// How to make attempts.
pub struct AttemptOptions<'a> {
    /// TCP or UDP. For [`Protocol::Unix`] see [`unix`](crate::unix()).
    pub protocol: Protocol,
    /// Longest wait of one attempt. UDP waits 1 s at most.
    pub timeout: Duration,
    /// When everything ends: no attempt lasts longer, no further round begins.
    pub deadline: Instant,
    /// How often each address is tried (`--count`).
    pub rounds: u32,
    /// Look at the answers themselves with a packet socket or raw sockets, where the user may (`CAP_NET_RAW`).
    pub sniff: bool,
    /// Asked while an attempt is without an answer: 5, 10, 20 … 160 ms after its start, then every 100 ms, with the
    /// address and the time since its start. A reason ends the attempt: its outcome is timed out, and
    /// [`Attempt::given_up`] holds the reason. It is called between looks at the sockets, so it should be quick.
    pub watch: Watch<'a>,
}

/// Tries each of `addresses` (at most [`MAX_ADDRESSES`]), `rounds` times.
///
/// The attempts come back in the order of `addresses`, of each address by round. The first round is always there; later
/// ones only as far as the deadline allowed. There is no pause between rounds: an answer that a rate limit held back
/// (`net.ipv4.icmp_ratelimit`: 6 at once, then one per second) comes to the SYN that the kernel repeats after 1 s, so a
/// timeout above that sees it.
///
/// [`Attempt::elapsed`] of an open connection is the time of the handshake. [`Attempt::errno`] is `None` where this
/// function's own timer ended the attempt.
pub fn attempts(addresses: &[SocketAddr], options: &AttemptOptions<'_>) -> Vec<Attempt> {
    let addresses = &addresses[..addresses.len().min(MAX_ADDRESSES)];
    let targets: Vec<SocketAddr> = addresses.iter().map(|address| unmapped(*address)).collect();
    let sniffer = if options.sniff { Sniffer::open(&targets) } else { None };
    let sniffing = match &sniffer {
        Some(_) => Sniffing::On,
        None if options.sniff => Sniffing::Forbidden,
        None => Sniffing::Off,
    };

    let mut done: Vec<Vec<Attempt>> = addresses.iter().map(|_| Vec::new()).collect();
    for round in 0..options.rounds.max(1) {
        if round > 0 && Instant::now() >= options.deadline {
            break;
        }
        let mut trials: Vec<Trial> = addresses
            .iter()
            .zip(&done)
            .map(|(address, earlier)| {
                let wants = Wants { tos: true, look: true, reference: reference(earlier).is_none(), sniffing };
                Trial::new(options.protocol, *address, round, wants)
            })
            .collect();
        run(&mut trials, sniffer.as_ref(), options.timeout, options.deadline, options.watch);
        for (trial, earlier) in trials.into_iter().zip(&mut done) {
            let mut attempt = trial.attempt;
            if !trial.wants.reference
                && let (Some(answer), Some(known)) = (attempt.answer.as_mut(), reference(earlier))
                && answer.ttl.is_some()
                && answer.reference == Observed::default()
            {
                answer.reference = known.clone();
            }
            earlier.push(attempt);
        }
    }
    done.into_iter().flatten().collect()
}

/// Tries `address` once, sending from `source`, which must be this machine's own; packets are not looked at.
pub fn attempt_from(source: IpAddr, address: SocketAddr, options: &AttemptOptions<'_>) -> Attempt {
    let wants = Wants { tos: true, look: true, reference: false, sniffing: Sniffing::Off };
    let mut trial = Trial::new(options.protocol, address, 0, wants);
    trial.source = Some(source);
    run(std::slice::from_mut(&mut trial), None, options.timeout, options.deadline, options.watch);
    trial.attempt
}

/// The host's other answer, asked for in an earlier round.
fn reference(earlier: &[Attempt]) -> Option<&Observed<Reference>> {
    earlier
        .iter()
        .filter_map(|attempt| attempt.answer.as_ref())
        .map(|answer| &answer.reference)
        .find(|reference| reference.source().is_some_and(|source| source.what == "ICMP echo"))
}

/// Starts all trials and sees them to their ends.
pub(crate) fn run(
    trials: &mut [Trial],
    sniffer: Option<&Sniffer>,
    timeout: Duration,
    deadline: Instant,
    watch: Watch<'_>,
) {
    for trial in &mut *trials {
        trial.start(timeout, deadline);
    }
    loop {
        let Some(until) = trials.iter().filter_map(Trial::wakes_at).min() else { return };
        let ready = poll(trials, sniffer, until);
        if let Some(sniffer) = sniffer {
            sniffer.drain(|seen| {
                for trial in &mut *trials {
                    trial.offer(&seen);
                }
            });
        }
        // Sockets that had failed before this look at the packets: what made them fail was in it.
        for trial in &mut *trials {
            trial.settle();
        }
        for index in ready {
            trials[index].ready();
        }
        for trial in &mut *trials {
            trial.tick(watch);
        }
    }
}

/// Waits for sockets until `until`; the trials whose socket is ready.
fn poll(trials: &[Trial], sniffer: Option<&Sniffer>, until: Instant) -> Vec<usize> {
    let (owners, mut fds): (Vec<usize>, Vec<PollFd<'_>>) = trials
        .iter()
        .enumerate()
        .filter_map(|(index, trial)| trial.interest().map(|(fd, flags)| (index, PollFd::new(fd, flags))))
        .unzip();
    fds.extend(sniffer.into_iter().flat_map(Sniffer::fds).map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
    wait(&mut fds, until);
    let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
    owners.into_iter().zip(&fds).filter(|(_, fd)| is_ready(fd)).map(|(owner, _)| owner).collect()
}

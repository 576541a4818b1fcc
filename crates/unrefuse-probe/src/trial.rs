//! One attempt under way: a socket, its timers, and what has come back so far.

use crate::echo::{self, Echo};
use crate::error_queue::QueuedError;
use crate::sniff::{Seen, SeenKind, interface_name};
use crate::sys::{answering, unmapped};
use crate::{outcome, tcp, udp};
use nix::poll::PollFlags;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use unrefuse_facts::{
    Answer, AnswerKind, Attempt, AttemptOutcome, Errno, Missing, Observed, Protocol, Reason, Reference, Source,
};

/// TOS or traffic class of the packets we send: DSCP 18 (AF21, RFC 2597), no ECN bits.
///
/// It has to be a value that nobody would set by chance, because a kernel without a listener copies it into its RST
/// and a packet filter's reject does not. It is an ordinary class of service that every network may treat as best
/// effort; ECN is left alone, because there the bits would mean something to the other side's TCP.
pub(crate) const TOS: u8 = 0x48;

/// Packets kept for one attempt.
const MAX_SEEN: usize = 16;
/// The kernel repeats a SYN after 1 s: answers this far apart are answers to two SYNs, not one packet seen twice.
const TWO_ANSWERS: Duration = Duration::from_millis(500);
/// What the socket gets after a packet was seen, before that counts as ignored.
const GRACE: Duration = Duration::from_millis(50);

/// What an attempt is to find out beside its outcome.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wants {
    /// Send [`TOS`].
    pub(crate) tos: bool,
    /// Look whether the other side closes at once.
    pub(crate) look: bool,
    /// Ask the host for another answer to compare with.
    pub(crate) reference: bool,
    /// Whether packets are looked at.
    pub(crate) sniffing: Sniffing,
}

/// Whether the answers' packets are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sniffing {
    /// Nobody asked for it.
    Off,
    /// This user may not, or the kernel has no packet sockets.
    Forbidden,
    /// They are.
    On,
}

/// A caller's question whether to go on waiting.
pub(crate) type Watch<'a> = &'a (dyn Fn(SocketAddr, Duration) -> Option<String> + Sync);

pub(crate) enum State {
    /// Nothing came back yet.
    Waiting,
    /// Connected: does the other side close at once?
    Looking { until: Instant },
    /// The socket has failed; its answer's packet may have come after the packets were last looked at.
    Failed { outcome: AttemptOutcome, queued: Option<QueuedError> },
    /// The answer is there; a reply of the same host would help to judge it.
    Comparing { echo: Echo, until: Instant },
    /// Nothing more to come.
    Done,
}

pub(crate) struct Trial {
    pub(crate) protocol: Protocol,
    pub(crate) wants: Wants,
    /// Where the packets go.
    pub(crate) target: SocketAddr,
    /// The address that they are sent from, where the kernel is not to choose.
    pub(crate) source: Option<IpAddr>,
    pub(crate) fd: Option<OwnedFd>,
    pub(crate) state: State,
    pub(crate) started: Instant,
    pub(crate) ends: Instant,
    pub(crate) tos_sent: Option<u8>,
    pub(crate) attempt: Attempt,
    seen: Vec<Seen>,
    next_watch: Duration,
}

impl Trial {
    /// An attempt that has not begun. It will end at `deadline` at the latest.
    pub(crate) fn new(protocol: Protocol, address: SocketAddr, round: u32, wants: Wants) -> Self {
        let now = Instant::now();
        Self {
            protocol,
            wants,
            target: unmapped(address),
            source: None,
            fd: None,
            state: State::Waiting,
            started: now,
            ends: now,
            tos_sent: None,
            attempt: Attempt {
                address,
                round,
                outcome: AttemptOutcome::TimedOut,
                errno: None,
                answer: None,
                local: None,
                elapsed: Duration::ZERO,
                given_up: None,
            },
            seen: Vec::new(),
            next_watch: Duration::from_millis(5),
        }
    }

    /// Sends the first packet.
    pub(crate) fn start(&mut self, timeout: Duration, deadline: Instant) {
        self.started = Instant::now();
        self.ends = self.started.checked_add(timeout).map_or(deadline, |end| end.min(deadline));
        match self.protocol {
            Protocol::Udp => udp::start(self),
            Protocol::Tcp | Protocol::Unix => tcp::start(self),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The descriptor to poll and what for.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match &self.state {
            State::Done | State::Failed { .. } => None,
            State::Comparing { echo, .. } => Some((echo.fd(), PollFlags::POLLIN)),
            State::Looking { .. } => Some((self.fd.as_ref()?.as_fd(), PollFlags::POLLIN)),
            State::Waiting => {
                let flags = if self.protocol == Protocol::Udp { PollFlags::POLLIN } else { PollFlags::POLLOUT };
                Some((self.fd.as_ref()?.as_fd(), flags))
            }
        }
    }

    /// When [`Trial::tick`] has something to do.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        match &self.state {
            State::Done => None,
            // The packets are looked at once more, then the attempt ends.
            State::Failed { .. } => Some(self.started),
            State::Comparing { until, .. } | State::Looking { until } => Some(*until),
            State::Waiting => {
                let watch = self.started + self.next_watch;
                let ignored = self.ignored_at().unwrap_or(self.ends);
                Some(self.ends.min(watch).min(ignored))
            }
        }
    }

    /// The descriptor of [`Trial::interest`] is ready.
    pub(crate) fn ready(&mut self) {
        match &self.state {
            State::Done | State::Failed { .. } => {}
            State::Comparing { echo, .. } => {
                if let Some(reference) = echo.reply() {
                    self.conclude(Observed::known(reference, Source::probed("ICMP echo")));
                }
            }
            State::Looking { .. } => tcp::look(self),
            State::Waiting if self.protocol == Protocol::Udp => udp::ready(self),
            State::Waiting => tcp::ready(self),
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, watch: Watch<'_>) {
        let now = Instant::now();
        match &self.state {
            State::Done | State::Failed { .. } => {}
            State::Comparing { until, .. } if now >= *until => {
                let detail = format!("echo request to {}: no reply", self.target.ip());
                self.conclude(Observed::Missing(Missing::new(Reason::TimedOut, detail)));
            }
            State::Looking { until } if now >= *until => self.finish(AttemptOutcome::Open, None),
            State::Comparing { .. } | State::Looking { .. } => {}
            State::Waiting => self.keep_waiting(now, watch),
        }
    }

    fn keep_waiting(&mut self, now: Instant, watch: Watch<'_>) {
        if now >= self.ends {
            return self.time_out(None);
        }
        if self.ignored_at().is_some_and(|at| now >= at) {
            let from = self.seen.last().map_or(self.target.ip(), |seen| seen.from);
            return self.time_out(Some(format!(
                "answers of {from} to two packets came in, and this machine's kernel gave neither to the socket"
            )));
        }
        let elapsed = now - self.started;
        if elapsed < self.next_watch {
            return;
        }
        // 5, 10, 20 … 160 ms, then every 100 ms.
        self.next_watch = if self.next_watch < Duration::from_millis(160) {
            elapsed.max(self.next_watch) * 2
        } else {
            elapsed + Duration::from_millis(100)
        };
        if let Some(reason) = watch(self.attempt.address, elapsed) {
            // The question took time: an answer that came meanwhile says more.
            let answered = self.interest().is_some_and(|(fd, flags)| crate::sys::is_ready(&fd, flags));
            if answered {
                self.ready();
            }
            if matches!(self.state, State::Waiting) {
                self.time_out(Some(reason));
            }
        }
    }

    fn time_out(&mut self, given_up: Option<String>) {
        self.attempt.given_up = given_up;
        // A packet may have been seen that the kernel did not accept or its packet filter took away.
        let answer = self.seen.last().cloned().map(|seen| self.describe(&seen));
        self.finish(AttemptOutcome::TimedOut, answer);
    }

    /// When two answers will have been ignored by the kernel: something between interface and socket eats them.
    fn ignored_at(&self) -> Option<Instant> {
        let (first, last) = (self.seen.first()?, self.seen.last()?);
        (last.at.duration_since(first.at) >= TWO_ANSWERS).then(|| last.at + GRACE)
    }

    /// Takes a packet from the sniffer if it answers this attempt.
    pub(crate) fn offer(&mut self, seen: &Seen) {
        let same_port = |ours: SocketAddr| ours.port() == seen.local.port();
        if self.is_done()
            || self.seen.len() >= MAX_SEEN
            || seen.protocol != self.protocol
            || seen.remote != SocketAddr::new(answering(self.target.ip()), self.target.port())
            || !self.attempt.local.is_none_or(same_port)
        {
            return;
        }
        self.seen.push(seen.clone());
    }

    /// The last packet seen of a kind.
    pub(crate) fn last_seen(&self, is_it: impl Fn(SeenKind) -> bool) -> Option<&Seen> {
        self.seen.iter().rev().find(|seen| is_it(seen.kind))
    }

    /// The kernel refused at once: nothing was sent, or nothing came back.
    pub(crate) fn fail_locally(&mut self, errno: Errno) {
        self.attempt.errno = Some(errno);
        self.finish(outcome::of(errno), Some(self.bare(AnswerKind::Local, None)));
    }

    /// The socket failed with `errno`; `queued` is what its error queue says of it.
    pub(crate) fn fail(&mut self, errno: Errno, queued: Option<QueuedError>) {
        self.fail_as(outcome::of(errno), errno, queued);
    }

    /// The socket failed with `errno`, which means `outcome`. The attempt ends with [`Trial::settle`].
    pub(crate) fn fail_as(&mut self, outcome: AttemptOutcome, errno: Errno, queued: Option<QueuedError>) {
        self.attempt.errno = Some(errno);
        self.attempt.elapsed = self.started.elapsed();
        self.fd = None;
        self.state = State::Failed { outcome, queued };
    }

    /// Ends an attempt whose socket has failed, once the packets that came until then were all offered.
    pub(crate) fn settle(&mut self) {
        let State::Failed { outcome, queued } = self.state else { return };
        let answer = match queued {
            Some(QueuedError { icmp: Some((icmp_type, code)), offender, .. }) => {
                let wanted = SeenKind::Icmp(icmp_type, code);
                let mut answer = match self.last_seen(|kind| kind == wanted) {
                    Some(seen) => self.describe(&seen.clone()),
                    None => self.bare(AnswerKind::Icmp, None),
                };
                answer.icmp_type = Some(icmp_type);
                answer.icmp_code = Some(code);
                answer.from = offender.or(answer.from);
                Some(answer)
            }
            Some(QueuedError { icmp: None, .. }) => Some(self.bare(AnswerKind::Local, None)),
            None => match outcome {
                AttemptOutcome::Refused | AttemptOutcome::Reset | AttemptOutcome::ClosedOnAccept => {
                    Some(self.reset_answer())
                }
                _ => None,
            },
        };
        self.finish(outcome, answer);
    }

    /// The RST that ended the attempt.
    pub(crate) fn reset_answer(&self) -> Answer {
        match self.last_seen(|kind| kind == SeenKind::Rst) {
            Some(seen) => {
                let mut answer = self.describe(&seen.clone());
                if let Some(accept) = self.last_seen(|kind| kind == SeenKind::SynAck) {
                    let reference = Reference {
                        what: "SYN-ACK of the same connection".to_owned(),
                        ttl: Some(accept.ttl),
                        tos_kept: None,
                    };
                    answer.reference = Observed::known(reference, Source::probed("packet socket"));
                }
                answer
            }
            None => self.bare(AnswerKind::Rst, Some(answering(self.target.ip()))),
        }
    }

    /// An answer of which no packet was seen.
    pub(crate) fn bare(&self, kind: AnswerKind, from: Option<IpAddr>) -> Answer {
        let tos_sent = if kind == AnswerKind::Local { None } else { self.tos_sent };
        Answer { from, tos_sent, ..Answer::bare(kind) }
    }

    /// An answer whose packet was seen.
    pub(crate) fn describe(&self, seen: &Seen) -> Answer {
        let (kind, icmp) = match seen.kind {
            SeenKind::Rst => (AnswerKind::Rst, None),
            SeenKind::SynAck => (AnswerKind::Accept, None),
            SeenKind::Icmp(icmp_type, code) => (AnswerKind::Icmp, Some((icmp_type, code))),
        };
        Answer {
            icmp_type: icmp.map(|(icmp_type, _)| icmp_type),
            icmp_code: icmp.map(|(_, code)| code),
            from: Some(seen.from),
            interface: interface_name(seen.interface),
            ttl: Some(seen.ttl),
            tos_sent: self.tos_sent,
            tos: Some(seen.tos),
            flow_label: seen.flow_label,
            ..Answer::bare(kind)
        }
    }

    /// The outcome is known. Ends the attempt, or asks the host for a reply to compare its answer with.
    pub(crate) fn finish(&mut self, outcome: AttemptOutcome, answer: Option<Answer>) {
        self.attempt.outcome = outcome;
        if answer.is_some() {
            self.attempt.answer = answer;
        }
        if self.attempt.elapsed.is_zero() {
            self.attempt.elapsed = self.started.elapsed();
        }
        self.fd = None;
        self.state = State::Done;
        self.compare();
    }

    /// Sends an echo request where its reply could tell who answered.
    fn compare(&mut self) {
        let target = answering(self.target.ip());
        let local = self.attempt.local;
        let Some(answer) = self.attempt.answer.as_mut() else { return };
        if answer.reference.value().is_some() || !matches!(answer.kind, AnswerKind::Rst | AnswerKind::Icmp) {
            return;
        }
        if echo::is_local(target, local) {
            answer.reference = Observed::not_looked(format!("{target} is an address of this machine"));
        } else if answer.ttl.is_none() {
            answer.reference = match self.wants.sniffing {
                Sniffing::Off => Observed::not_looked("packets were not looked at"),
                Sniffing::Forbidden => Observed::Missing(
                    Missing::new(Reason::Forbidden, "the answer's packet was not seen: it takes CAP_NET_RAW")
                        .remedy("run unrefuse as root"),
                ),
                Sniffing::On => Observed::Missing(Missing::new(
                    Reason::Absent,
                    "the answer's packet was not seen under the target's address: its address may be translated",
                )),
            };
        } else if answer.from != Some(target) {
            answer.reference = Observed::not_looked("the answer names another sender than the target");
        } else if self.wants.reference {
            match Echo::send(self.target, TOS) {
                Ok(echo) => {
                    // A host as near as its answer was; nearby ones get a moment for their scheduler.
                    let patience =
                        (self.attempt.elapsed * 3).clamp(Duration::from_millis(20), Duration::from_millis(250));
                    self.state = State::Comparing { echo, until: (Instant::now() + patience).min(self.ends) };
                }
                Err(missing) => answer.reference = Observed::Missing(missing),
            }
        }
    }

    fn conclude(&mut self, reference: Observed<Reference>) {
        if let Some(answer) = self.attempt.answer.as_mut() {
            answer.reference = reference;
        }
        self.state = State::Done;
    }
}

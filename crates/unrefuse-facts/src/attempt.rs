//! Connection attempts and what came back.

use crate::{Errno, Observed};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How one attempt ended, as the application would see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptOutcome {
    /// Connected (TCP, unix), or an answer came (UDP).
    Open,
    /// `ECONNREFUSED`.
    Refused,
    /// `ECONNRESET` during or right after the handshake.
    Reset,
    /// No answer within the time given.
    TimedOut,
    /// `EHOSTUNREACH`, `ENETUNREACH` and other errors of the way there.
    Unreachable,
    /// `EACCES`, `EPERM`: forbidden on this machine or by a router.
    Denied,
    /// Connected, and closed by the other side before it said anything or was told anything.
    ClosedOnAccept,
}

/// One attempt to one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The address and port tried. For a unix socket: unspecified address, port 0.
    pub address: SocketAddr,
    /// Which repetition of `--count` this is, from 0.
    pub round: u32,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The error number of connect(2) or of the socket's pending error, where it failed with one.
    pub errno: Option<Errno>,
    /// What answered, as far as it could be seen. `None`: nothing, or nothing visible to this user.
    pub answer: Option<Answer>,
    /// The address this machine spoke from, once the kernel had chosen it.
    pub local: Option<SocketAddr>,
    /// From the call to its end.
    pub elapsed: Duration,
    /// The attempt was given up before `--timeout`, because what decides it was read on this machine; the text says what.
    pub given_up: Option<String>,
}

/// What kind of thing answered an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerKind {
    /// A TCP segment with RST.
    Rst,
    /// An ICMP or ICMPv6 error.
    Icmp,
    /// A SYN-ACK, or a UDP datagram back.
    Accept,
    /// This machine's own kernel refused at once; no packet was answered.
    Local,
}

/// The answer to an attempt, from the socket's error queue (ip(7), `IP_RECVERR`) and, where a packet socket was
/// allowed, from the packet itself (packet(7)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// RST, ICMP, an accept, or a local refusal.
    pub kind: AnswerKind,
    /// ICMP type (RFC 792, RFC 4443).
    pub icmp_type: Option<u8>,
    /// ICMP code.
    pub icmp_code: Option<u8>,
    /// Who signed the answer. Of an ICMP error it is the offender, which may be a router, or lie.
    pub from: Option<IpAddr>,
    /// The packet came in by this interface (packet socket only).
    pub interface: Option<String>,
    /// TTL or hop limit of the answer as it arrived (packet socket only).
    pub ttl: Option<u8>,
    /// TOS or traffic class that the SYN carried.
    pub tos_sent: Option<u8>,
    /// TOS or traffic class of the answer (packet socket only).
    pub tos: Option<u8>,
    /// IPv6 flow label of the answer (packet socket only, IPv6 only).
    pub flow_label: Option<u32>,
    /// Another answer of the same host on the same path, to compare with; `Missing` where none could be had.
    pub reference: Observed<Reference>,
}

impl Answer {
    /// An answer of `kind` of which nothing else is known.
    pub fn bare(kind: AnswerKind) -> Self {
        Self {
            kind,
            icmp_type: None,
            icmp_code: None,
            from: None,
            interface: None,
            ttl: None,
            tos_sent: None,
            tos: None,
            flow_label: None,
            reference: Observed::default(),
        }
    }
}

/// What another answer of the same host looked like: an echo reply, or a SYN-ACK of an open port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// What it was: `echo reply`, `SYN-ACK of port 22`.
    pub what: String,
    /// Its TTL or hop limit as it arrived.
    pub ttl: Option<u8>,
    /// Whether it still carried the TOS or traffic class that our packet had: if so, the path does not rewrite it.
    pub tos_kept: Option<bool>,
}

/// The answer of one other port of the host, asked to tell "this port is closed" from "every port is".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortProbe {
    /// The address and port asked.
    pub address: SocketAddr,
    /// How it ended.
    pub outcome: AttemptOutcome,
}

/// An attempt to reach the proxy that the environment names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyAttempt {
    /// The variable that names it, `https_proxy`.
    pub variable: String,
    /// Host and port of the proxy, without user and password.
    pub endpoint: String,
    /// The attempts to its addresses; missing with the reason when its name did not resolve.
    pub attempts: Observed<Vec<Attempt>>,
}

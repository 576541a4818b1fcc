//! Who refused: the server's kernel, a firewall on it, a router, or this machine.
//!
//! What tells them apart was measured on Linux 6.18 (and holds for the kernels that share the code):
//! - A kernel without a socket for the port answers with `tcp_v4_send_reset`/`tcp_v6_send_response`, which copy the TOS
//!   (traffic class) of the SYN into the RST; an IPv6 RST gets an automatic flow label. A `REJECT --reject-with tcp-reset`
//!   (`nf_send_reset`) sends TOS 0 and flow label 0. So an unusual TOS on the SYN that comes back is the kernel's own.
//! - The distance (initial TTL less TTL seen) of the RST against another answer of the same host tells the host from a
//!   router on the way.
//! - A TCP SYN is never answered with ICMP by a missing listener: ICMP is a filter or a route.

use crate::report::{Certainty, Evidence};
use std::net::IpAddr;
use unrefuse_facts::{Answer, AnswerKind, Attempt, AttemptOutcome, Case, Fate, Protocol, Reference, RejectKind};

/// Who refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// The server's kernel: no socket takes the packet.
    ServerKernel,
    /// A firewall on the server.
    ServerFirewall,
    /// A router or firewall on the way.
    Router,
    /// This machine, before any packet left it or instead of sending one.
    ThisMachine,
}

impl Who {
    /// The word in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::ServerKernel => "server-kernel",
            Self::ServerFirewall => "server-firewall",
            Self::Router => "router",
            Self::ThisMachine => "this-machine",
        }
    }
}

/// Who refused, with the strength of the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refuser {
    /// Who.
    pub who: Who,
    /// How sure.
    pub certainty: Certainty,
    /// What shows it.
    pub evidence: Vec<Evidence>,
}

/// Who answered `attempt`; `None` where nothing answered or the answer does not tell.
pub fn refuser(case: &Case, attempt: &Attempt) -> Option<Refuser> {
    let answer = attempt.answer.as_ref()?;
    if matches!(attempt.outcome, AttemptOutcome::ClosedOnAccept | AttemptOutcome::Reset) {
        // A RST that ends a connection is not made from the SYN: its TOS tells nothing (tcp_send_active_reset).
        return None;
    }
    let seen = by_answer(case, attempt, answer);
    match seen.as_ref().map(|r| (r.who, r.certainty)) {
        // No filter echoes the TOS, and no rule of this machine signs as a router.
        Some((Who::ServerKernel, _) | (Who::Router, Certainty::Proven)) => seen,
        _ => own_output(case, attempt, answer).or(seen),
    }
}

/// A rule of this machine's OUTPUT that was read, and that answers just so.
fn own_output(case: &Case, attempt: &Attempt, answer: &Answer) -> Option<Refuser> {
    let egress = case.judgement(attempt.address)?.egress.as_ref()?;
    let alike = match egress.fate {
        Fate::Rejected(RejectKind::TcpReset) => answer.kind == AnswerKind::Rst,
        Fate::Rejected(RejectKind::Icmp { kind, code }) => {
            answer.kind == AnswerKind::Icmp && (answer.icmp_type, answer.icmp_code) == (Some(kind), Some(code))
        }
        _ => false,
    };
    let evidence = Evidence::new(
        "this machine's own rules reject the packet on its way out, with this answer",
        case.firewall.source().map_or("packet filter", |source| &source.what),
    );
    alike.then(|| Refuser { who: Who::ThisMachine, certainty: Certainty::Proven, evidence: vec![evidence] })
}

fn by_answer(case: &Case, attempt: &Attempt, answer: &Answer) -> Option<Refuser> {
    match answer.kind {
        AnswerKind::Accept => None,
        AnswerKind::Local => Some(Refuser {
            who: Who::ThisMachine,
            certainty: Certainty::Proven,
            evidence: vec![Evidence::new(
                match attempt.errno {
                    Some(errno) => format!("the kernel of this machine refused at once with {errno}"),
                    None => "the kernel of this machine refused at once".to_owned(),
                },
                "connect(2)",
            )],
        }),
        AnswerKind::Icmp => icmp(case, attempt, answer),
        AnswerKind::Rst => rst(case, attempt, answer),
    }
}

fn icmp(case: &Case, attempt: &Attempt, answer: &Answer) -> Option<Refuser> {
    let from = answer.from?;
    let target = attempt.address.ip();
    let target_is_local = case.is_local(target) == Some(true);
    let port_unreachable = matches!((answer.icmp_type, answer.icmp_code), (Some(3), Some(3)) | (Some(1), Some(4)));
    if case.target.protocol == Protocol::Udp && from == target && port_unreachable {
        // For UDP the kernel without a socket and a filter's default reject send the same error (RFC 1122, 4.1.3.1).
        return None;
    }
    let said = format!("{} came from {from}", icmp_name(target, answer.icmp_type?, answer.icmp_code?));
    let (who, certainty) = if from == target {
        // The offender's address can lie: a reject in the netdev ingress hook, or NAT, signs as the server.
        let nearer = match answer.reference.value() {
            Some(reference) => compare_distance(answer, reference) == Some(Distance::Nearer),
            None => false,
        };
        if nearer && !target_is_local {
            (Who::Router, Certainty::Likely)
        } else {
            (Who::ServerFirewall, Certainty::Likely)
        }
    } else if case.is_local(from) == Some(true) {
        (Who::ThisMachine, Certainty::Proven)
    } else {
        (Who::Router, Certainty::Proven)
    };
    let mut evidence =
        vec![Evidence::new(said, if answer.ttl.is_some() { "packet socket" } else { "socket error queue" })];
    if matches!(who, Who::ServerFirewall) {
        evidence
            .push(Evidence::new("a missing listener answers a SYN with a RST, never with ICMP", "RFC 9293, measured"));
    }
    Some(Refuser { who, certainty, evidence })
}

fn rst(case: &Case, attempt: &Attempt, answer: &Answer) -> Option<Refuser> {
    let local = case.is_local(attempt.address.ip()) == Some(true);
    let sent = answer.tos_sent.filter(|tos| *tos != 0)?;
    let seen = answer.tos?;
    let reference = answer.reference.value();
    let distance = reference.and_then(|reference| compare_distance(answer, reference));
    let mut evidence = Vec::new();
    // ECN bits (the low two) may be changed on the way without harm (RFC 3168).
    let echoed = seen & 0xfc == sent & 0xfc;
    let label_zero = answer.flow_label.map(|label| label == 0);
    if echoed {
        evidence.push(Evidence::new(
            format!("the RST carries the SYN's own TOS 0x{sent:02x}: a kernel without a socket for the port made it"),
            "packet socket",
        ));
    } else {
        evidence.push(Evidence::new(
            format!("the RST has TOS 0x{seen:02x} where the SYN had 0x{sent:02x}: a filter made it"),
            "packet socket",
        ));
    }
    match label_zero {
        Some(true) if !echoed => evidence.push(Evidence::new("its IPv6 flow label is 0", "packet socket")),
        Some(false) if echoed => evidence.push(Evidence::new("its IPv6 flow label is set", "packet socket")),
        _ => {}
    }
    if let (Some(reference), Some(distance)) = (reference, distance) {
        evidence.push(distance_evidence(answer, reference, distance));
    }
    if echoed {
        let (who, certainty) = match distance {
            Some(Distance::Nearer) => (Who::Router, Certainty::Likely),
            Some(Distance::Same) => (Who::ServerKernel, Certainty::Proven),
            _ if local => (Who::ServerKernel, Certainty::Proven),
            _ => (Who::ServerKernel, Certainty::Likely),
        };
        return Some(Refuser { who, certainty, evidence });
    }
    // No echo: believed only where the path is known to keep the TOS, or the flow label says the same.
    let tos_kept = local || reference.and_then(|r| r.tos_kept) == Some(true);
    if !tos_kept && label_zero != Some(true) {
        return None;
    }
    if label_zero == Some(false) {
        // The two signs contradict each other.
        return None;
    }
    let (who, certainty) = match distance {
        Some(Distance::Nearer) => (Who::Router, Certainty::Likely),
        Some(Distance::Same) => (Who::ServerFirewall, Certainty::Likely),
        _ if local => (Who::ServerFirewall, Certainty::Proven),
        _ => (Who::ServerFirewall, Certainty::Possible),
    };
    Some(Refuser { who, certainty, evidence })
}

/// Where an answer comes from, compared with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distance {
    Nearer,
    Same,
    Farther,
}

/// The TTL of the RST and of the SYN-ACK of one connection, and whether the RST comes from nearer or farther; `None` where
/// both were not seen.
pub(crate) fn same_connection(attempt: &Attempt) -> Option<(u8, u8, Distance)> {
    let answer = attempt.answer.as_ref().filter(|answer| answer.kind == AnswerKind::Rst)?;
    let reference = answer.reference.value().filter(|reference| reference.what.starts_with("SYN-ACK of the same"))?;
    Some((answer.ttl?, reference.ttl?, compare_distance(answer, reference)?))
}

/// Hops from the sender: what is missing to the next usual initial TTL (64, 128, 255).
fn hops(ttl: u8) -> u8 {
    [64_u8, 128, 255].into_iter().find(|initial| ttl <= *initial).map_or(0, |initial| initial - ttl)
}

fn compare_distance(answer: &Answer, reference: &Reference) -> Option<Distance> {
    let (own, other) = (hops(answer.ttl?), hops(reference.ttl?));
    Some(match own.cmp(&other) {
        std::cmp::Ordering::Less => Distance::Nearer,
        std::cmp::Ordering::Equal => Distance::Same,
        std::cmp::Ordering::Greater => Distance::Farther,
    })
}

fn distance_evidence(answer: &Answer, reference: &Reference, distance: Distance) -> Evidence {
    let (ttl, other) = (answer.ttl.unwrap_or_default(), reference.ttl.unwrap_or_default());
    let relation = match distance {
        Distance::Nearer => "it comes from nearer than the host",
        Distance::Same => "it comes from as far as the host",
        Distance::Farther => "it comes from farther than the host",
    };
    Evidence::new(
        format!("its TTL is {ttl}, that of the host's {} {other}: {relation}", reference.what),
        "packet socket",
    )
}

/// The name of an ICMP error as RFC 792, RFC 1122, RFC 1812 and RFC 4443 give it, with its numbers.
pub(crate) fn icmp_name(target: IpAddr, kind: u8, code: u8) -> String {
    let name = match (target.is_ipv4(), kind, code) {
        (true, 3, 0) => "network unreachable",
        (true, 3, 1) => "host unreachable",
        (true, 3, 2) => "protocol unreachable",
        (true, 3, 3) => "port unreachable",
        (true, 3, 4) => "fragmentation needed",
        (true, 3, 6) => "network unknown",
        (true, 3, 7) => "host unknown",
        (true, 3, 9) => "network prohibited",
        (true, 3, 10) => "host prohibited",
        (true, 3, 11) => "network unreachable for this TOS",
        (true, 3, 12) => "host unreachable for this TOS",
        (true, 3, 13) => "administratively prohibited",
        (true, 11, 0) | (false, 3, 0) => "time exceeded",
        (false, 1, 0) => "no route to destination",
        (false, 1, 1) => "administratively prohibited",
        (false, 1, 3) => "address unreachable",
        (false, 1, 4) => "port unreachable",
        (false, 1, 5) => "source address failed policy",
        (false, 1, 6) => "reject route to destination",
        _ => "error",
    };
    let family = if target.is_ipv4() { "ICMP" } else { "ICMPv6" };
    format!("{family} {name} ({kind}/{code})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scene;
    use unrefuse_facts::{Observed, Source};

    fn rst(tos: u8, ttl: u8, label: Option<u32>, reference: Option<Reference>) -> Answer {
        let mut answer = Answer::bare(AnswerKind::Rst);
        answer.tos_sent = Some(0x48);
        answer.tos = Some(tos);
        answer.ttl = Some(ttl);
        answer.flow_label = label;
        if let Some(reference) = reference {
            answer.reference = Observed::known(reference, Source::probed("echo reply"));
        }
        answer
    }
    fn echo(ttl: u8, kept: bool) -> Option<Reference> {
        Some(Reference { what: "echo reply".into(), ttl: Some(ttl), tos_kept: Some(kept) })
    }
    fn who(target: &str, answer: Answer) -> Option<(Who, Certainty)> {
        let case = Scene::remote(target).refused(answer).case();
        refuser(&case, &case.attempts[0]).map(|r| (r.who, r.certainty))
    }

    #[test]
    fn the_kernels_own_rst_echoes_the_tos() {
        assert_eq!(
            who("10.9.0.1:80", rst(0x48, 63, None, echo(63, true))),
            Some((Who::ServerKernel, Certainty::Proven))
        );
        assert_eq!(who("10.9.0.1:80", rst(0x48, 63, None, None)), Some((Who::ServerKernel, Certainty::Likely)));
    }

    #[test]
    fn a_filters_rst_has_tos_0_and_is_believed_only_on_a_path_that_keeps_it() {
        assert_eq!(
            who("10.9.0.1:80", rst(0, 63, None, echo(63, true))),
            Some((Who::ServerFirewall, Certainty::Likely))
        );
        assert_eq!(who("10.9.0.1:80", rst(0, 63, None, echo(63, false))), None);
        assert_eq!(who("10.9.0.1:80", rst(0, 63, None, None)), None);
        assert_eq!(who("[fd09::1]:80", rst(0, 63, Some(0), None)), Some((Who::ServerFirewall, Certainty::Possible)));
        assert_eq!(who("[fd09::1]:80", rst(0, 63, Some(7), echo(63, true))), None, "the signs contradict");
    }

    #[test]
    fn a_router_is_nearer_than_the_host() {
        assert_eq!(who("10.9.0.1:80", rst(0, 64, None, echo(63, true))), Some((Who::Router, Certainty::Likely)));
        // REDIRECT on a router to a port of its own where nothing listens: its kernel answers, from nearer.
        assert_eq!(who("10.9.0.1:80", rst(0x48, 64, None, echo(63, true))), Some((Who::Router, Certainty::Likely)));
        // Another operating system's initial TTL is no distance.
        assert_eq!(hops(128), 0);
        assert_eq!(hops(61), 3);
        assert_eq!(hops(250), 5);
    }

    #[test]
    fn a_udp_port_unreachable_of_the_target_does_not_tell() {
        let mut answer = Answer::bare(AnswerKind::Icmp);
        (answer.icmp_type, answer.icmp_code, answer.from) = (Some(3), Some(3), Some("10.9.0.1".parse().unwrap()));
        let scene = Scene::remote("10.9.0.1:53").with(|case| case.target.protocol = Protocol::Udp);
        let case = scene.refused(answer).case();
        assert_eq!(refuser(&case, &case.attempts[0]), None);
    }

    #[test]
    fn icmp_is_judged_by_its_offender() {
        let icmp = |from: &str| {
            let mut answer = Answer::bare(AnswerKind::Icmp);
            (answer.icmp_type, answer.icmp_code) = (Some(3), Some(13));
            answer.from = Some(from.parse().unwrap());
            answer
        };
        assert_eq!(who("10.9.0.1:80", icmp("10.9.0.1")), Some((Who::ServerFirewall, Certainty::Likely)));
        assert_eq!(who("10.9.0.1:80", icmp("10.1.0.254")), Some((Who::Router, Certainty::Proven)));
        assert_eq!(who("10.9.0.1:80", icmp("10.1.0.2")), Some((Who::ThisMachine, Certainty::Proven)));
    }
}

//! From the ends of a packet's ways to an answer.

use std::net::IpAddr;

use crate::answer::{Answer, ChainRef, ClientSees, Decider, Destination, Fate, Reply, RuleRef, Step, Translated};
use crate::conntrack::{bits_address, status};
use crate::model::{Hook, Reject};
use crate::packet::{Device, Packet, proto};

use super::path::{By, Decided, Exit, Path};
use super::run::{Ends, Run};
use super::{Judge, Question, Way};

/// The error that a reject statement sends for this packet; `None`: it drops without a word, because a reset answers TCP
/// only, and an ICMP error only its own family (nf_reject_ipv4.c, nf_reject_ipv6.c, nft_reject_inet.c).
pub(crate) fn reject_for(reject: Reject, packet: &Packet) -> Option<Reject> {
    let v6 = packet.is_v6();
    // Nobody answers to, or for, an address that is not one host's (icmp_send, nf_send_reset, nf_send_reset6).
    let several =
        |a: Option<IpAddr>| a.is_some_and(|a| a.is_multicast() || matches!(a, IpAddr::V4(a) if a.is_broadcast()));
    if packet.pkttype != 0 || several(packet.source_address()) || several(packet.destination_address()) {
        return None;
    }
    match reject {
        Reject::TcpReset => {
            let flags = packet.image.load(crate::model::Header::Transport, 104, 8).ok().and_then(|b| b.exact());
            let reset = flags.is_some_and(|f| f as u8 & crate::spec::tcp_flags::RST != 0);
            (packet.proto == proto::TCP && !reset).then_some(reject)
        }
        Reject::Icmp(..) => (!v6).then_some(reject),
        Reject::Icmp6(..) => v6.then_some(reject),
        // nft_reject_icmp_code, nft_reject_icmpv6_code.
        Reject::Icmpx(code) => Some(match (code, v6) {
            (0, false) => Reject::Icmp(3, 0),
            (1, false) => Reject::Icmp(3, 3),
            (2, false) => Reject::Icmp(3, 1),
            (_, false) => Reject::Icmp(3, 13),
            (0, true) => Reject::Icmp6(1, 0),
            (1, true) => Reject::Icmp6(1, 4),
            (2, true) => Reject::Icmp6(1, 3),
            (_, true) => Reject::Icmp6(1, 1),
        }),
    }
}

pub(crate) fn reject_text(reject: Reject) -> String {
    match reject {
        Reject::TcpReset => "tcp reset".into(),
        Reject::Icmp(kind, code) => format!("icmp {kind}/{code}"),
        Reject::Icmp6(kind, code) => format!("icmpv6 {kind}/{code}"),
        Reject::Icmpx(code) => format!("icmpx {code}"),
    }
}

/// The answer to a question from the ends of the packet's ways and of its answer's.
pub(crate) fn answer(run: &Run<'_, '_>, question: &Question, first: &Ends, replies: Option<&Ends>) -> Answer {
    let judged = sum_up(run, first);
    let reply = replies.filter(|r| !r.is_empty()).map(|ends| {
        let judged = sum_up(run, ends);
        Reply { fate: judged.fate, decided_by: judged.decided_by, way: judged.way }
    });
    let sent = Sent {
        // Where the packet ends before it comes in again by lo, sendto() itself is told.
        by_socket: question.way == Way::Out && first.iter().all(|(_, path)| path.packet.iif == Device::None),
        comes_back: replies.is_none_or(|ends| ends.iter().all(|(_, path)| comes_back(question, &path.packet))),
    };
    let client_sees = seen(question, &judged.fate, reply.as_ref(), &sent);
    let (assumptions, ignored) = run.notes();
    Answer {
        translated: first.iter().find_map(|(_, path)| translated(&path.packet)),
        fate: judged.fate,
        decided_by: judged.decided_by,
        also: judged.also,
        way: judged.way,
        client_sees,
        reply,
        assumptions,
        ignored,
        forked: run.has_forked(),
    }
}

/// How one way ended.
type End = (Exit, Box<Path>);

struct Judged {
    fate: Fate,
    decided_by: Option<Decider>,
    also: Vec<Decider>,
    way: Vec<Step>,
}

fn sum_up(run: &Run<'_, '_>, ends: &Ends) -> Judged {
    if let Some(text) = run.has_given_up() {
        return Judged { fate: Fate::Unknown(text), decided_by: None, also: Vec::new(), way: Vec::new() };
    }
    let judge = run.judge;
    let mut groups: Vec<(Fate, Vec<&End>)> = Vec::new();
    for end in ends {
        let fate = fate_of(end);
        let alike = |other: &Fate| match (other, &fate) {
            (Fate::Accepted { .. }, Fate::Accepted { .. }) => true,
            (a, b) => a == b,
        };
        match groups.iter_mut().find(|(other, _)| alike(other)) {
            Some((known, members)) => {
                if let (Fate::Accepted { to }, Fate::Accepted { to: more }) = (known, &fate) {
                    to.extend(more.iter().filter(|d| !to.contains(d)).cloned().collect::<Vec<_>>());
                }
                members.push(end);
            }
            None => groups.push((fate, vec![end])),
        }
    }
    let Some((fate, members)) = groups.first() else {
        return Judged {
            fate: Fate::Unknown("no way was followed".into()),
            decided_by: None,
            also: Vec::new(),
            way: Vec::new(),
        };
    };
    let steps = |path: &Path| {
        path.way.iter().map(|h| Step { hook: h.hook, by: judge.decider(h.hook, &h.by), what: h.what.clone() }).collect()
    };
    // The way with the fewest partings is the plainest.
    let plainest = members.iter().min_by_key(|(_, p)| p.parted.len()).map_or(&members[0].1, |(_, p)| p);
    if groups.len() == 1 {
        let decided = deciding(plainest, fate.is_accepted());
        let mut also: Vec<Decider> = Vec::new();
        for (_, path) in members {
            let Some(other) = deciding(path, fate.is_accepted()) else { continue };
            let by = judge.decider(other.hook, &other.by);
            if Some(&other.by) != decided.map(|d| &d.by) && !also.contains(&by) {
                also.push(by);
            }
        }
        let decided_by = decided.map(|d| judge.decider(d.hook, &d.by));
        return Judged { fate: fate.clone(), decided_by, also, way: steps(plainest) };
    }
    let fates: Vec<Fate> = groups.iter().map(|(fate, _)| fate.clone()).collect();
    let other = &groups[1].1[0].1;
    let place = plainest.parted.iter().zip(&other.parted).position(|(a, b)| a != b).unwrap_or(0);
    let parting = plainest.parted.get(place).or_else(|| other.parted.get(place));
    let on = parting.and_then(|p| p.by.as_ref().map(|by| judge.decider(p.hook, by)));
    let reason = parting.map_or_else(|| "several ways are possible".to_owned(), |p| p.why.clone());
    Judged {
        fate: Fate::Depends { on: on.clone(), reason, fates },
        decided_by: on,
        also: Vec::new(),
        way: steps(plainest),
    }
}

fn fate_of((exit, path): &End) -> Fate {
    match exit {
        Exit::Accept | Exit::End => Fate::Accepted { to: vec![destination(&path.packet)] },
        Exit::Drop | Exit::Stack(_) => Fate::Dropped,
        Exit::Reject(reject) | Exit::StackReject(_, reject) => Fate::Rejected(*reject),
        Exit::NotSent(_, errno) => Fate::NotSent(errno),
    }
}

fn destination(packet: &Packet) -> Destination {
    let local = packet.oif == Device::None;
    let port = packet.dport().exact().and_then(|p| u16::try_from(p).ok()).filter(|_| packet.has_ports());
    let oif = match &packet.oif {
        Device::Named(name) => Some(name.clone()),
        _ => None,
    };
    Destination { address: packet.destination_address(), port, local, oif }
}

/// What decided. A packet that got through passed many chains: the last rule that accepted it in INPUT, FORWARD or OUTPUT
/// is what people mean, else the policy there, else whatever accepted it anywhere.
fn deciding(path: &Path, accepted: bool) -> Option<&Decided> {
    if !accepted {
        return path.decided.last();
    }
    let gate = |d: &&Decided| d.filter && matches!(d.hook, Hook::Input | Hook::Forward | Hook::Output);
    let rule = |d: &&Decided| matches!(d.by, By::Rule(..));
    let of = |d: &Decided| d.hook;
    // Of a looped packet, the way in is the last gate.
    let last_hook = path.decided.iter().rfind(gate).map(of);
    path.decided
        .iter()
        .rfind(|d| gate(d) && rule(d) && Some(d.hook) == last_hook)
        .or_else(|| path.decided.iter().rfind(gate))
        .or_else(|| path.decided.iter().rfind(rule))
        .or_else(|| path.decided.last())
}

fn translated(packet: &Packet) -> Option<Translated> {
    let ct = packet.ct.as_ref()?;
    if ct.status & (status::SRC_NAT | status::DST_NAT) == 0 {
        return None;
    }
    let port =
        |bits: crate::bits::Bits| bits.exact().and_then(|p| u16::try_from(p).ok()).filter(|_| packet.has_ports());
    Some(Translated {
        src: bits_address(ct.reply.dst),
        sport: port(ct.reply.dport),
        dst: bits_address(ct.reply.src),
        dport: port(ct.reply.sport),
    })
}

/// What the sender's side of a packet's fate depends on.
struct Sent {
    /// The packet ended where the socket's own call still waits.
    by_socket: bool,
    /// The answer reaches who asked, under the address that was asked.
    comes_back: bool,
}

/// Whether an answer that got through is one to the question's packet: a translation that was not undone (untracked on its
/// way back) brings it to another address, or from another one.
fn comes_back(question: &Question, answer: &Packet) -> bool {
    let differs = |a: Option<IpAddr>, b: Option<IpAddr>| matches!((a, b), (Some(a), Some(b)) if a != b);
    if differs(question.packet.src, answer.destination_address()) {
        return false;
    }
    let error = matches!(answer.proto, proto::ICMP | proto::ICMP6) && answer.proto != question_proto(question);
    // A client does not know an answer from another address, or from another port.
    let port = answer.sport().exact().filter(|_| answer.has_ports()).and_then(|p| u16::try_from(p).ok());
    let other_port = matches!((question.packet.dport(), port), (Some(asked), Some(port)) if asked != port);
    error || !(other_port || differs(Some(question.packet.dst), answer.source_address()))
}

fn question_proto(question: &Question) -> u8 {
    use crate::spec::L4;
    match question.packet.l4 {
        L4::Tcp { .. } => proto::TCP,
        L4::Udp { .. } => proto::UDP,
        L4::Sctp { .. } => proto::SCTP,
        L4::Icmp { .. } if question.packet.dst.is_ipv4() => proto::ICMP,
        L4::Icmp { .. } => proto::ICMP6,
        L4::Other(n) => n,
    }
}

fn seen(question: &Question, fate: &Fate, reply: Option<&Reply>, sent: &Sent) -> ClientSees {
    let udp = matches!(question.packet.l4, crate::spec::L4::Udp { .. });
    let eperm = udp && sent.by_socket;
    // Where the answer does not come back, nothing is seen.
    let unless_lost = |seen: ClientSees| match reply.map(|r| &r.fate) {
        None => seen,
        Some(Fate::Accepted { .. }) if sent.comes_back => seen,
        Some(Fate::Accepted { .. }) => ClientSees::Silence,
        Some(Fate::Depends { .. } | Fate::Unknown(_)) => ClientSees::Unclear,
        // A rejected datagram is a dropped one to the call that sends it.
        Some(_) if eperm && matches!(fate, Fate::Rejected(_)) => ClientSees::Errno("EPERM"),
        Some(_) => ClientSees::Silence,
    };
    match fate {
        Fate::Accepted { .. } => unless_lost(ClientSees::Answer),
        // A datagram dropped on its way out of this machine: sendto() says so (ip_send_skb). TCP only tries again.
        Fate::Dropped if eperm => ClientSees::Errno("EPERM"),
        Fate::Dropped => ClientSees::Silence,
        Fate::Rejected(Reject::TcpReset) => unless_lost(ClientSees::Reset),
        Fate::Rejected(Reject::Icmp(kind, code)) => {
            unless_lost(ClientSees::Icmp { v6: false, kind: *kind, code: *code })
        }
        Fate::Rejected(Reject::Icmp6(kind, code)) => {
            unless_lost(ClientSees::Icmp { v6: true, kind: *kind, code: *code })
        }
        Fate::NotSent(errno) => ClientSees::Errno(errno),
        Fate::Rejected(Reject::Icmpx(_)) | Fate::Depends { .. } | Fate::Unknown(_) => ClientSees::Unclear,
    }
}

impl Judge<'_> {
    pub(crate) fn decider(&self, hook: Hook, by: &By) -> Decider {
        match by {
            By::Rule(chain, at) => {
                let table = &self.ruleset.tables[chain.table];
                let rule = chain.rules.as_ref().and_then(|r| r.get(*at as usize));
                Decider::Rule(Box::new(RuleRef {
                    family: table.family,
                    table: table.name.clone(),
                    backend: table.backend,
                    chain: chain.name.clone(),
                    hook,
                    number: rule.map_or(0, |r| r.number),
                    handle: rule.and_then(|r| r.handle),
                    line: rule.and_then(|r| r.line),
                    text: rule.map(|r| r.text.clone()).unwrap_or_default(),
                    comment: rule.and_then(|r| r.comment.clone()),
                    counters: rule.and_then(|r| r.counters),
                }))
            }
            By::Policy(chain) => {
                let table = &self.ruleset.tables[chain.table];
                Decider::Policy(ChainRef {
                    family: table.family,
                    table: table.name.clone(),
                    backend: table.backend,
                    chain: chain.name.clone(),
                    hook,
                    counters: table.chains.get(&chain.name).and_then(|c| c.policy_counters),
                })
            }
            By::Stack(reason) => Decider::Stack(reason.clone()),
        }
    }
}

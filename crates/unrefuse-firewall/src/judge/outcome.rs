//! From the ends of a packet's ways to an answer.

use std::net::IpAddr;

use crate::answer::{Answer, ChainRef, ClientSees, Decider, Destination, Fate, Reply, RuleRef, Step, Translated};
use crate::bits::Bits;
use crate::conntrack::{bits_address, status};
use crate::machine::RouteKind;
use crate::model::{Header, Hook, Reject};
use crate::packet::{Device, Packet, proto};

use super::path::{By, Decided, Exit, Path};
use super::run::{Ends, Run};
use super::{Judge, Question, Way};

impl Run<'_, '_> {
    /// The error that a reject statement sends for this packet; `None`: it drops without a word, because a reset answers
    /// TCP only, and an ICMP error only its own family (nf_reject_ipv4.c, nf_reject_ipv6.c, nft_reject_inet.c).
    pub(crate) fn reject_for(&self, hook: Hook, reject: Reject, packet: &Packet) -> Option<Reject> {
        if self.to_or_for_many(hook, reject, packet) { None } else { error_for(reject, packet) }
    }

    /// Nobody answers to, or for, an address that is not one host's.
    fn to_or_for_many(&self, hook: Hook, reject: Reject, packet: &Packet) -> bool {
        // icmp_send, icmp6_send, nft_reject_netdev_eval; a reset does not look at the frame.
        let by_frame = packet.pkttype != 0 && (hook == Hook::Ingress || reject != Reject::TcpReset);
        let many = |address: Option<IpAddr>| {
            let kind = address.and_then(|a| self.kind_of(a, None));
            matches!(kind, Some(RouteKind::Broadcast | RouteKind::Multicast))
        };
        by_frame
            || match hook {
                Hook::Ingress | Hook::Egress => false,
                // icmp6_send, nf_send_reset6: neither address.
                _ if packet.is_v6() => many(packet.source_address()) || many(packet.destination_address()),
                // icmp_send, nf_send_reset: the flags of the packet's route, which in PREROUTING is that back to its source
                // (nf_reject_fill_skb_dst).
                Hook::Prerouting => many(packet.source_address()),
                _ => many(packet.destination_address()),
            }
    }
}

fn error_for(reject: Reject, packet: &Packet) -> Option<Reject> {
    let v6 = packet.is_v6();
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
pub(crate) fn answer(
    run: &Run<'_, '_>,
    question: &Question,
    first: &Ends,
    replies: Option<&Ends>,
    error_on_error: bool,
) -> Answer {
    let judged = sum_up(run, first);
    let reply = replies.filter(|r| !r.is_empty()).map(|ends| of_later(run, ends));
    // The address that a packet from here was sent with, where its socket has chosen none.
    let chosen = |(_, path): &End| path.packet.ct.as_ref().map_or(path.packet.source(), |ct| ct.original.src);
    let address = question.packet.src.or_else(|| first.first().and_then(|end| bits_address(chosen(end))));
    let asker = (address, first.first().map(|end| asking_port(&end.1.packet)));
    // Where the packet ends before it comes in again by lo, sendto() itself is told.
    let told = |(_, path): &End| path.packet.iif == Device::None;
    let by_socket = question.way == Way::Out && first.iter().any(told);
    // A datagram that TPROXY handed over: from which address the proxy answers is up to it. A TCP socket's is the asked one.
    let proxied = first.iter().any(|(_, path)| path.packet.proxied && path.packet.proto == proto::UDP);
    let sent = Sent {
        by_socket: by_socket.then(|| first.iter().all(told)),
        error_on_error,
        comes_back: replies.filter(|_| !proxied).map_or((!proxied).then_some(true), |ends| {
            let through = |end: &&End| end.0.gets_through();
            let mut back = ends.iter().filter(through).map(|(_, path)| comes_back(question, asker, &path.packet));
            let first = back.next().unwrap_or(Some(true));
            first.filter(|_| back.all(|other| other == first))
        }),
    };
    let client_sees = seen(question, &judged.fate, reply.as_ref(), &sent);
    let (assumptions, ignored) = run.notes();
    let marks = first.iter().map(|(_, path)| path.rerouted_by.filter(|mark| *mark != 0));
    Answer {
        rerouted_by: marks.reduce(|one, other| one.filter(|_| one == other)).flatten(),
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

/// What becomes of a packet that follows the first one.
pub(crate) fn of_later(run: &Run<'_, '_>, ends: &Ends) -> Reply {
    let judged = sum_up(run, ends);
    Reply { fate: judged.fate, decided_by: judged.decided_by, way: judged.way }
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
    /// The packet ended where the socket's own call still waits. `Some(false)`: it may have.
    by_socket: Option<bool>,
    /// The reset that stops an answer may be rejected in its turn, by which the client is told.
    error_on_error: bool,
    /// The answer reaches who asked, under the address that was asked. `None`: it may.
    comes_back: Option<bool>,
}

/// The port that a packet was sent from, before any translation.
fn asking_port(packet: &Packet) -> Bits {
    packet.ct.as_ref().map_or(packet.sport(), |ct| ct.original.sport)
}

/// Whether an answer that got through is one to the question's packet: a translation that was not undone (untracked on its
/// way back) brings it to another address, or from another one.
fn comes_back(
    question: &Question,
    (asker, asker_port): (Option<IpAddr>, Option<Bits>),
    answer: &Packet,
) -> Option<bool> {
    let differs = |a: Option<IpAddr>, b: Option<IpAddr>| matches!((a, b), (Some(a), Some(b)) if a != b);
    if differs(asker, answer.destination_address()) {
        return Some(false);
    }
    if let Some(port) = asker_port.filter(|port| answer.has_ports() && *port != answer.dport()) {
        let (known, other) = (port.known & answer.dport().known, port.value ^ answer.dport().value);
        // A port of the kernel's choice may be the same.
        return if known & other != 0 { Some(false) } else { None };
    }
    let kind = || answer.image.load(Header::Transport, 0, 8).ok().and_then(Bits::exact);
    let error = match answer.proto {
        proto::ICMP => kind().is_some_and(|kind| matches!(kind, 3 | 11 | 12)),
        proto::ICMP6 => kind().is_some_and(|kind| kind < 128),
        _ => false,
    };
    if error {
        return Some(true);
    }
    // A client does not know an answer from another address, or from another port.
    if differs(Some(question.packet.dst), answer.source_address()) {
        return Some(false);
    }
    let Some(asked) = question.packet.dport().filter(|_| answer.has_ports()) else { return Some(true) };
    let port = answer.sport();
    if port.known & (port.value ^ u128::from(asked)) != 0 {
        return Some(false);
    }
    // One of a range that a translation gives may be another one.
    port.exact().map(|_| true)
}

fn seen(question: &Question, fate: &Fate, reply: Option<&Reply>, sent: &Sent) -> ClientSees {
    let udp = matches!(question.packet.l4, crate::spec::L4::Udp { .. });
    let eperm = udp && sent.by_socket == Some(true);
    if udp && sent.by_socket == Some(false) && matches!(fate, Fate::Dropped | Fate::Rejected(_)) {
        return ClientSees::Unclear;
    }
    // Where the answer does not come back, nothing is seen.
    let unless_lost = |seen: ClientSees| match reply.map(|r| &r.fate) {
        None => seen,
        Some(Fate::Accepted { .. }) => match sent.comes_back {
            Some(true) => seen,
            Some(false) => ClientSees::Silence,
            None => ClientSees::Unclear,
        },
        Some(Fate::Depends { .. } | Fate::Unknown(_)) => ClientSees::Unclear,
        Some(Fate::Rejected(_)) if sent.error_on_error => ClientSees::Unclear,
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
                    file: rule.and_then(|r| r.file.clone()),
                    text: rule.map(|r| r.text().to_owned()).unwrap_or_default(),
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

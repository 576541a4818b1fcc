//! What answers a packet: a SYN-ACK or the like, the kernel's own answer where nothing listens, a RST or ICMP error where it
//! was rejected.

use std::net::IpAddr;

use crate::bits::Bits;
use crate::conntrack::{address_bits, state};
use crate::machine::{RouteKind, RouteQuery};
use crate::model::{Header, Hook, Reject};
use crate::packet::{Device, Packet, Socket, proto};
use crate::spec::{L4, PacketSpec, tcp_flags};

use super::path::{Exit, Path};
use super::run::Run;
use super::{Question, Way};

/// What makes the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// A socket.
    Socket,
    /// The kernel, because there is no socket.
    Kernel,
    /// A rule or the stack, which ended the packet.
    Refuser,
}

impl Run<'_, '_> {
    /// The packet that answers one that ended so. `None`: nothing answers.
    pub(crate) fn reply_to(&self, exit: &Exit, path: &Path, question: &Question) -> Option<Packet> {
        let mut reply = reply_to(exit, &path.packet, question, self.own_ttl(question.packet.dst))?;
        let echoes = matches!(path.packet.proto, proto::ICMP | proto::ICMP6) && *exit == Exit::Accept;
        if matches!(reply.proto, proto::ICMP | proto::ICMP6) && !echoes {
            let source = self.error_source(exit, path);
            reply.set_source(source);
        }
        Some(reply)
    }

    /// The kernel's own RST to ::1 must leave by the interface of the address that was asked (net/ipv6/tcp_ipv6.c
    /// `tcp_v6_send_response`, `rt6_need_strict`): where that is another than lo, there is no such route.
    pub(crate) fn strict_reset_is_lost(&self, exit: &Exit, question: &Question, reply: &Packet) -> bool {
        let closed = *exit == Exit::Accept && !question.listening && reply.proto == proto::TCP;
        let to_loopback = reply.is_v6() && reply.destination_address().is_some_and(|a| a.is_loopback());
        closed
            && to_loopback
            && reply
                .source_address()
                .and_then(|a| self.judge.machine.holder(a))
                .is_some_and(|interface| interface.name != "lo")
    }

    /// Where an ICMP error comes from: the packet's destination where that is an address of this machine, else the address
    /// that the way back prefers (net/ipv4/icmp.c `__icmp_send`, net/ipv6/icmp.c `icmp6_send`).
    fn error_source(&self, exit: &Exit, path: &Path) -> Bits {
        let packet = &path.packet;
        let local = |address: Option<IpAddr>| {
            address.is_some_and(|a| self.kind_of(a, None) == Some(RouteKind::Local)) || packet.to_here
        };
        let early = path.decided.last().is_some_and(|d| d.hook == Hook::Prerouting);
        let on_lo = packet.iif == Device::Named("lo".into());
        let as_asked = match exit {
            Exit::StackReject(..) => false,
            // In PREROUTING, IPv4 has only the route back to the source (nf_reject_fill_skb_dst).
            _ if early && !on_lo && !packet.is_v6() => local(packet.source_address()),
            _ => local(packet.destination_address()),
        };
        if as_asked {
            return packet.destination();
        }
        let preferred = packet.source_address().and_then(|to| self.judge.machine.route(&RouteQuery::to(to)));
        // An error of IPv6 may have the address of the arriving interface instead (measured on Linux 6.18): it is known only
        // where the way back leads there.
        let as_it_came = |oif: &Option<String>| match &packet.iif {
            Device::None => true,
            iif => oif.as_ref().is_some_and(|oif| *iif == Device::Named(oif.clone())),
        };
        let preferred = preferred.filter(|route| !packet.is_v6() || as_it_came(&route.oif));
        preferred.and_then(|r| r.source).map_or(Bits::unknown(packet.address_width()), address_bits)
    }
}

fn reply_to(exit: &Exit, packet: &Packet, question: &Question, own_ttl: Option<u8>) -> Option<Packet> {
    let local = packet.oif == Device::None;
    let maker = match exit {
        Exit::Accept if local && !question.listening && !packet.proxied => Maker::Kernel,
        Exit::Accept => Maker::Socket,
        Exit::Reject(_) | Exit::StackReject(..) => Maker::Refuser,
        _ => return None,
    };
    let l4 = transport(exit, maker, packet);
    let error = matches!(l4, L4::Icmp { .. }) && maker != Maker::Socket;
    let mut reply = build(packet, l4, maker, own_ttl);
    let seen = if maker == Maker::Refuser || error { state::RELATED } else { state::ESTABLISHED };
    let ct = packet.ct.clone().map(|ct| ct.answered(seen));
    // An ICMP error (icmp_glue_bits, icmpv6_getfrag) or a RST of netfilter's gets the packet's connection at once
    // (nf_ct_attach), others are found to belong to it, as a closed port's error: UDP forgets the connection first
    // (`__udp4_lib_rcv`, nf_reset_ct). Where there is none, the packet untracked or not, conntrack finds the answer invalid.
    if maker == Maker::Refuser {
        reply.attached = packet.untracked;
        reply.ct = ct
    } else {
        reply.expected = ct.map(Box::new)
    }
    reply.to_here = packet.iif == Device::None;
    let connected = matches!(packet.proto, proto::TCP | proto::UDP);
    if question.way == Way::Out && maker == Maker::Socket && connected {
        reply.receiver = Some(socket(&question.packet));
    }
    if local || maker == Maker::Refuser {
        // By which interface it leaves, where no route is known.
        reply.oif = packet.iif.clone();
    }
    let nobody = Bits::known(0, 32);
    let kernels_own = Some(Socket { held: false, uid: nobody, gid: nobody, cgroup: nobody });
    match maker {
        // icmp_reply, icmpv6_echo_reply.
        Maker::Socket if local && matches!(packet.proto, proto::ICMP | proto::ICMP6) => reply.socket = kernels_own,
        Maker::Socket if local => {
            reply.socket = Some(socket(&PacketSpec {
                uid: question.server_uid,
                gid: question.server_gid,
                cgroup: None,
                ..question.packet.clone()
            }));
        }
        // Sent out: the answer comes back by the same interface.
        Maker::Socket => {
            reply.iif = packet.oif.clone();
            reply.image.set_link(true);
        }
        // Sent by a socket of the kernel's own (ip_send_unicast_reply, icmp_sk); a RST of netfilter's has none, nor one of
        // IPv6 (tcp_v6_send_response).
        Maker::Kernel if !error && packet.is_v6() => {}
        Maker::Kernel | Maker::Refuser if error || maker == Maker::Kernel => reply.socket = kernels_own,
        Maker::Kernel | Maker::Refuser => {}
    }
    Some(reply)
}

fn transport(exit: &Exit, maker: Maker, packet: &Packet) -> L4 {
    let tcp = |flags| L4::Tcp { sport: None, dport: 0, flags };
    let refused = match exit {
        Exit::Reject(reject) | Exit::StackReject(_, reject) => Some(*reject),
        _ => None,
    };
    match (refused, packet.proto) {
        (Some(Reject::Icmp(kind, code) | Reject::Icmp6(kind, code)), _) => L4::Icmp { kind, code },
        (Some(_), _) => tcp(tcp_flags::RST | tcp_flags::ACK),
        (None, proto::TCP) if maker == Maker::Kernel => tcp(tcp_flags::RST | tcp_flags::ACK),
        (None, proto::UDP) if maker == Maker::Kernel => {
            if packet.is_v6() {
                L4::Icmp { kind: 1, code: 4 }
            } else {
                L4::Icmp { kind: 3, code: 3 }
            }
        }
        (None, proto::TCP) => tcp(tcp_flags::SYN | tcp_flags::ACK),
        (None, proto::UDP) => L4::Udp { sport: None, dport: 0 },
        (None, proto::SCTP) => L4::Sctp { sport: None, dport: 0 },
        (None, proto::ICMP) => L4::Icmp { kind: 0, code: 0 },
        (None, proto::ICMP6) => L4::Icmp { kind: 129, code: 0 },
        (None, n) => L4::Other(n),
    }
}

/// The answer's headers.
fn build(packet: &Packet, l4: L4, maker: Maker, own_ttl: Option<u8>) -> Packet {
    let v6 = packet.is_v6();
    let any = if v6 { IpAddr::from([0u16; 8]) } else { IpAddr::from([0u8; 4]) };
    let reset = matches!(l4, L4::Tcp { .. }) && maker != Maker::Socket;
    let from_here = maker != Maker::Socket || packet.oif == Device::None;
    let spec = PacketSpec {
        ttl: if from_here { own_ttl } else { None },
        length: reset.then_some(if v6 { 60 } else { 40 }),
        ..PacketSpec::other(None, any, l4)
    };
    let mut reply = Packet::build(&spec, None);
    let asked_length = packet.length.exact();
    match l4 {
        // The request's own payload comes back (icmp_echo).
        L4::Icmp { .. } if maker == Maker::Socket => reply.set_length(packet.length),
        // As much of the packet as 576 (__icmp_send) or 1280 bytes (icmp6_send) hold.
        L4::Icmp { .. } => {
            let (more, most) = if v6 { (48, 1280) } else { (28, 576) };
            reply.set_length(match asked_length {
                Some(n) => Bits::known((n + more).min(most), 32),
                None => Bits::unknown(16),
            });
        }
        // What a program says, only it knows.
        L4::Udp { .. } => reply.set_length(Bits::unknown(16)),
        _ => {}
    }
    let (offset, len) = if v6 { (4, 8) } else { (8, 8) };
    let asked = packet.image.load(Header::Network, offset, len).unwrap_or(Bits::unknown(8));
    let tos = match (maker, l4) {
        // The kernel's RST for a port without a listener carries the packet's own TOS (tcp_v4_send_reset).
        (Maker::Kernel, L4::Tcp { .. }) => Some(asked),
        // icmp_reply, icmpv6_echo_reply.
        (Maker::Socket, L4::Icmp { .. }) if from_here => Some(asked),
        (_, L4::Icmp { .. }) if maker != Maker::Socket && !v6 => Some(asked.masked(0x1e, 0).or(Bits::known(0xc0, 8))),
        (_, L4::Icmp { .. }) if maker != Maker::Socket => Some(Bits::unknown(8)),
        _ => None,
    };
    if let Some(tos) = tos {
        reply.image.store(Header::Network, offset, len, tos);
    }
    let tuple = packet.tuple();
    reply.set_source(tuple.dst);
    reply.set_destination(tuple.src);
    reply.set_sport(tuple.dport);
    reply.set_dport(tuple.sport);
    reply
}

/// The owner of a socket, as far as the description says.
pub(crate) fn socket(spec: &PacketSpec) -> Socket {
    Socket {
        held: true,
        uid: Bits::of(spec.uid.map(Into::into), 32),
        gid: Bits::of(spec.gid.map(Into::into), 32),
        cgroup: Bits::of(spec.cgroup.map(Into::into), 32),
    }
}

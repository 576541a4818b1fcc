//! What answers a packet: a SYN-ACK or the like, the kernel's own answer where nothing listens, a RST or ICMP error where it
//! was rejected.

use std::net::IpAddr;

use crate::bits::Bits;
use crate::conntrack::state;
use crate::model::{Header, Reject};
use crate::packet::{Device, Packet, Socket, proto};
use crate::spec::{L4, PacketSpec, tcp_flags};

use super::path::Exit;
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

/// The packet that answers one that ended so. `None`: nothing answers.
pub(crate) fn reply_to(exit: &Exit, packet: &Packet, question: &Question, own_ttl: Option<u8>) -> Option<Packet> {
    let local = packet.oif == Device::None;
    let maker = match exit {
        Exit::Accept if local && !question.listening => Maker::Kernel,
        Exit::Accept => Maker::Socket,
        Exit::Reject(_) | Exit::StackReject(..) => Maker::Refuser,
        _ => return None,
    };
    let l4 = transport(exit, maker, packet);
    let error = matches!(l4, L4::Icmp { .. }) && maker != Maker::Socket;
    let mut reply = build(packet, l4, maker, own_ttl);
    // An ICMP error of a router comes from an address of its own choice; at the end host it is the packet's destination.
    let at_end_host = local && packet.iif != Device::None;
    if error && !at_end_host {
        reply.set_source(Bits::unknown(packet.address_width()));
    }
    let seen = if maker == Maker::Refuser || error { state::RELATED } else { state::ESTABLISHED };
    let ct = packet.ct.clone().map(|ct| ct.answered(seen));
    // An ICMP error or RST made by netfilter gets the packet's connection at once (nf_ct_attach), others are found to belong
    // to it. Where there is none, the packet untracked or not, conntrack finds the answer invalid.
    if maker == Maker::Refuser {
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
    match maker {
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
        // Sent by a socket of the kernel's own (tcp_sk, icmp_sk); a RST of netfilter's has none.
        Maker::Kernel | Maker::Refuser if error || maker == Maker::Kernel => {
            let nobody = Bits::known(0, 32);
            reply.socket = Some(Socket { held: false, uid: nobody, gid: nobody, cgroup: nobody });
        }
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
    let (offset, len) = if v6 { (4, 8) } else { (8, 8) };
    let asked = packet.image.load(Header::Network, offset, len).unwrap_or(Bits::unknown(8));
    let tos = match (maker, l4) {
        // The kernel's RST for a port without a listener carries the packet's own TOS (tcp_v4_send_reset).
        (Maker::Kernel, L4::Tcp { .. }) => Some(asked),
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

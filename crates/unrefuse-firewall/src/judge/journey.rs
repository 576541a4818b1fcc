//! A packet's whole way: the hooks in order, and the way of the answer.

use std::net::IpAddr;

use crate::bits::Bits;
use crate::conntrack::{state, status};
use crate::machine::{RouteKind, RouteQuery};
use crate::model::{Hook, Reject};
use crate::packet::{Device, Packet, Socket, proto};
use crate::spec::{L4, PacketSpec, tcp_flags};

use super::hooks::{Alive, merge};
use super::path::{By, Decided, Exit, Happened, Path};
use super::route::{Onward, local_errno};
use super::run::{Ends, Run};
use super::{Question, Way};

impl Run<'_, '_> {
    /// The way of the question's packet. Ways that get through end in `Accept`.
    pub(crate) fn first(&self, question: &Question) -> Ends {
        match &question.way {
            Way::In { iif } => {
                let mut packet = Packet::build(&question.packet, question.packet.src);
                packet.image.set_link(true);
                set_macs(&mut packet, &question.packet);
                packet.iif = self.arriving(iif.as_deref(), question.packet.src);
                packet.bridge_port.clone_from(&question.bridge_port);
                let mut ends = Vec::new();
                self.arrive(vec![Box::new(Path::new(packet))], &mut ends);
                ends
            }
            Way::Out => self.depart(question),
        }
    }

    fn arriving(&self, iif: Option<&str>, src: Option<IpAddr>) -> Device {
        if let Some(name) = iif {
            return Device::Named(name.to_owned());
        }
        let guess = src.and_then(|s| self.judge.machine.route(&RouteQuery::to(s))).and_then(|r| r.oif);
        match guess {
            Some(name) => {
                self.assume(|| format!("the packet arrives by {name}, which leads back to its source"));
                Device::Named(name)
            }
            None => Device::Unknown,
        }
    }

    /// From the wire (or lo) on: net/core/dev.c, net/ipv4/ip_input.c `ip_rcv`.
    fn arrive(&self, alive: Alive, ends: &mut Ends) {
        let alive = self.hook(Hook::Ingress, alive, ends);
        let alive = self.hook(Hook::Prerouting, alive, ends);
        let mut local = Vec::new();
        let mut forward = Vec::new();
        for path in alive {
            for (onward, way) in self.route_in(path, ends) {
                if onward == Onward::Local { local.push(way) } else { forward.push(way) }
            }
        }
        self.deliver(local, ends);
        let forward = self.hook(Hook::Forward, forward, ends);
        self.leave(forward, ends);
    }

    /// `ip_local_deliver`.
    fn deliver(&self, mut alive: Alive, ends: &mut Ends) {
        for path in &mut alive {
            path.packet.oif = Device::None;
            path.packet.socket = path.packet.receiver;
        }
        let alive = self.hook(Hook::Input, alive, ends);
        ends.extend(alive.into_iter().map(|p| (Exit::Accept, p)));
    }

    /// POSTROUTING, and out; what leaves by lo comes in again.
    fn leave(&self, alive: Alive, ends: &mut Ends) {
        let alive = self.hook(Hook::Postrouting, alive, ends);
        let alive = self.hook(Hook::Egress, alive, ends);
        let (looped, gone): (Alive, Alive) =
            alive.into_iter().partition(|p| p.packet.oif == Device::Named("lo".into()) && p.packet.iif == Device::None);
        ends.extend(gone.into_iter().map(|p| (Exit::Accept, p)));
        if looped.is_empty() {
            return;
        }
        let mut looped = looped;
        for path in &mut looped {
            // loopback_xmit: the packet loses its socket, but keeps its connection, mark and route.
            path.packet.socket = None;
            path.packet.iif = Device::Named("lo".into());
            path.packet.oif = Device::None;
            path.packet.image.set_link(true);
        }
        let alive = self.hook(Hook::Ingress, looped, ends);
        let alive = self.hook(Hook::Prerouting, alive, ends);
        self.deliver(alive, ends);
    }

    /// A process here sends: `ip_route_output_flow`, then `__ip_local_out`.
    fn depart(&self, question: &Question) -> Ends {
        let spec = &question.packet;
        let query = RouteQuery { src: spec.src, mark: Some(spec.mark), ..RouteQuery::to(spec.dst) };
        let route = self.judge.machine.route(&query);
        let src = spec.src.or_else(|| route.as_ref().and_then(|r| r.source));
        let mut packet = Packet::build(&PacketSpec { ttl: spec.ttl.or(Some(64)), ..spec.clone() }, src);
        packet.socket = Some(socket(spec));
        packet.oif = match &route {
            Some(route) => route.oif.clone().map_or(Device::Unknown, Device::Named),
            None if spec.dst.is_loopback() => Device::Named("lo".into()),
            None => Device::Unknown,
        };
        let mut path = Box::new(Path::new(packet));
        if let Some((reason, errno)) = route.as_ref().and_then(local_errno) {
            path.decided.push(Decided { hook: Hook::Output, filter: true, by: By::Stack(reason.clone()) });
            path.way.push(Happened { hook: Hook::Output, by: By::Stack(reason.clone()), what: "stops".into() });
            return vec![(Exit::NotSent(reason, errno), path)];
        }
        let mut ends = Vec::new();
        let alive = self.hook(Hook::Output, vec![path], &mut ends);
        self.leave(alive, &mut ends);
        ends
    }

    /// An answer to a translated source arrives only where the network brings that address here.
    fn assume_way_back(&self, packet: &Packet) {
        let Some(to) = packet.destination_address() else { return };
        let translated = packet.expected.as_ref().is_some_and(|ct| ct.status & status::SRC_NAT != 0);
        if translated && self.judge.machine.addr_type(to, None).is_some_and(|kind| kind != RouteKind::Local) {
            self.assume(|| format!("answers to {to} reach this machine, though that is none of its addresses"));
        }
    }

    /// The way of what answers a packet that ended so.
    pub(crate) fn answer(&self, question: &Question, first: &Ends) -> Ends {
        let mut from_here = Vec::new();
        let mut arriving = Vec::new();
        for (exit, path) in first {
            // What netdev chains send leaves at once, past all hooks (nft_reject_netdev.c).
            let from_device = path.decided.last().is_some_and(|d| matches!(d.hook, Hook::Ingress | Hook::Egress));
            if from_device && *exit != Exit::Accept {
                continue;
            }
            let Some(packet) = reply_to(exit, &path.packet, question) else { continue };
            let here = packet.iif == Device::None;
            if !here {
                self.assume_way_back(&packet);
            }
            let way = Box::new(Path::new(packet));
            if here { from_here.push(way) } else { arriving.push(way) }
        }
        merge(&mut from_here);
        merge(&mut arriving);
        let mut ends = Vec::new();
        if !arriving.is_empty() {
            self.arrive(arriving, &mut ends);
        }
        for path in &mut from_here {
            let came_by = path.packet.oif.clone();
            path.packet.oif = self.reroute(&path.packet);
            if let (Device::Unknown, Device::Named(name)) = (&path.packet.oif, &came_by) {
                self.assume(|| format!("the answer leaves by {name}, as the packet came"));
                path.packet.oif = came_by;
            }
        }
        let alive = self.hook(Hook::Output, from_here, &mut ends);
        self.leave(alive, &mut ends);
        ends
    }
}

fn socket(spec: &PacketSpec) -> Socket {
    Socket {
        uid: Bits::of(spec.uid.map(Into::into), 32),
        gid: Bits::of(spec.gid.map(Into::into), 32),
        cgroup: Bits::of(spec.cgroup.map(Into::into), 32),
    }
}

fn set_macs(packet: &mut Packet, spec: &PacketSpec) {
    use crate::model::Header::Link;
    if let Some(mac) = spec.dst_mac {
        packet.image.put(Link, 0, &mac);
    }
    if let Some(mac) = spec.src_mac {
        packet.image.put(Link, 6, &mac);
    }
    packet.image.put(Link, 12, if packet.is_v6() { &[0x86, 0xdd] } else { &[0x08, 0x00] });
}

/// The packet that answers one that ended so: a SYN-ACK or the like where it got through, a RST or ICMP error where it was
/// rejected. `None`: nothing answers, or the answer does not pass here.
fn reply_to(exit: &Exit, packet: &Packet, question: &Question) -> Option<Packet> {
    let error = match exit {
        Exit::Accept => None,
        Exit::Reject(reject) | Exit::StackReject(_, reject) => Some(*reject),
        _ => return None,
    };
    let tuple = packet.tuple();
    let width = packet.address_width();
    let any = if packet.is_v6() { IpAddr::from([0u16; 8]) } else { IpAddr::from([0u8; 4]) };
    let l4 = match (error, packet.proto) {
        (Some(Reject::Icmp(kind, code) | Reject::Icmp6(kind, code)), _) => L4::Icmp { kind, code },
        (Some(_), _) => L4::Tcp { sport: None, dport: 0, flags: tcp_flags::RST | tcp_flags::ACK },
        (None, proto::TCP) => L4::Tcp { sport: None, dport: 0, flags: tcp_flags::SYN | tcp_flags::ACK },
        (None, proto::UDP) => L4::Udp { sport: None, dport: 0 },
        (None, proto::SCTP) => L4::Sctp { sport: None, dport: 0 },
        (None, proto::ICMP) => L4::Icmp { kind: 0, code: 0 },
        (None, proto::ICMP6) => L4::Icmp { kind: 129, code: 0 },
        (None, n) => L4::Other(n),
    };
    let spec = PacketSpec { tos: if error.is_some() { None } else { Some(0) }, ..PacketSpec::other(None, any, l4) };
    let mut reply = Packet::build(&spec, None);
    let at_end_host = packet.oif == Device::None && packet.iif != Device::None;
    // An ICMP error of a router comes from an address of its own choice; at the end host it is the packet's destination.
    let routers_own = error.is_some() && !at_end_host && matches!(l4, L4::Icmp { .. });
    reply.set_source(if routers_own { Bits::unknown(width) } else { tuple.dst });
    reply.set_destination(tuple.src);
    reply.set_sport(tuple.dport);
    reply.set_dport(tuple.sport);
    let seen = if error.is_some() { state::RELATED } else { state::ESTABLISHED };
    let ct = packet.ct.clone().map(|ct| ct.answered(seen));
    // An ICMP error or RST made by netfilter gets the packet's connection at once (nf_ct_attach). Where that had none,
    // untracked or not, conntrack finds the answer invalid.
    if error.is_some() {
        reply.ct = ct;
    } else {
        // To conntrack, the answer to a packet that it did not see comes out of nowhere.
        reply.expected = ct.map(Box::new);
    }
    reply.to_here = packet.iif == Device::None;
    let connected = matches!(packet.proto, proto::TCP | proto::UDP);
    if question.way == Way::Out && error.is_none() && connected {
        reply.receiver = Some(socket(&question.packet));
    }
    if packet.oif == Device::None || error.is_some() {
        reply.oif = packet.iif.clone();
    }
    if error.is_none() && packet.oif == Device::None {
        reply.socket = Some(socket(&PacketSpec { uid: question.server_uid, ..question.packet.clone() }));
    } else if error.is_none() {
        // Sent out: the answer comes back by the same interface.
        reply.iif = packet.oif.clone();
        reply.image.set_link(true);
    }
    Some(reply)
}

//! A packet's whole way: the hooks in order, and the way of the answer.

use std::net::IpAddr;

use crate::answer::StackReason;
use crate::conntrack::{state, status};
use crate::machine::{RouteKind, RouteQuery};
use crate::model::{Direction, Hook, Reject};
use crate::packet::{Device, Packet, proto};
use crate::spec::{L4, PacketSpec, tcp_flags};

use super::hooks::{Alive, merge};
use super::path::{By, Decided, Exit, Happened, Path};
use super::reply::socket;
use super::route::{Onward, local_errno};
use super::run::{Ends, Run};
use super::{Question, Way};

impl Run<'_, '_> {
    /// The way of the question's packet. Ways that get through end in `Accept`.
    pub(crate) fn first(&self, question: &Question) -> Ends {
        match &question.way {
            Way::In { iif } => {
                let packet = self.arrived(question, &question.packet, iif.as_deref());
                let mut ends = Vec::new();
                self.arrive(vec![Box::new(Path::new(packet))], &mut ends);
                ends
            }
            Way::Out => self.depart(question),
        }
    }

    fn arrived(&self, question: &Question, spec: &PacketSpec, iif: Option<&str>) -> Packet {
        let mut packet = Packet::build(spec, spec.src);
        packet.image.set_link(true);
        set_macs(&mut packet, spec);
        packet.iif = self.arriving(iif, spec.src);
        packet.pkttype = self.frame_type(spec);
        packet.bridge_port.clone_from(&question.bridge_port);
        packet
    }

    /// The way in of the ACK that answers a SYN-ACK. `None`: it is no TCP connection that arrives, or conntrack did not see
    /// the answer.
    pub(crate) fn confirm(&self, question: &Question, replies: &Ends) -> Option<Ends> {
        let Way::In { iif } = &question.way else { return None };
        let L4::Tcp { sport, dport, .. } = question.packet.l4 else { return None };
        let spec = PacketSpec { l4: L4::Tcp { sport, dport, flags: tcp_flags::ACK }, ..question.packet.clone() };
        let mut alive = Vec::with_capacity(replies.len());
        for (_, path) in replies {
            let mut packet = self.arrived(question, &spec, iif.as_deref());
            packet.expected = Some(Box::new(path.packet.ct.clone()?.answered(state::ESTABLISHED)));
            alive.push(Box::new(Path::new(packet)));
        }
        merge(&mut alive);
        let mut ends = Vec::new();
        self.arrive(alive, &mut ends);
        Some(ends)
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

    /// What its Ethernet address makes of a frame (net/ethernet/eth.c `eth_type_trans`); where that is not known, it is as the
    /// IP address would have it.
    fn frame_type(&self, spec: &PacketSpec) -> u8 {
        match spec.dst_mac {
            Some([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => 1,
            Some([first, ..]) => {
                if first & 1 == 0 {
                    0
                } else {
                    2
                }
            }
            None => match self.kind_of(spec.dst, None) {
                Some(RouteKind::Broadcast) => 1,
                Some(RouteKind::Multicast) => 2,
                _ => 0,
            },
        }
    }

    /// From the wire (or lo) on: net/core/dev.c, net/ipv4/ip_input.c `ip_rcv`.
    fn arrive(&self, alive: Alive, ends: &mut Ends) {
        let alive = self.over_bridge(alive, ends);
        let alive = self.hook(Hook::Ingress, alive, ends);
        let alive = self.receive(alive, ends);
        let alive = self.hook(Hook::Prerouting, alive, ends);
        let mut local = Vec::new();
        let mut forward = Vec::new();
        for path in alive {
            for (onward, way) in self.route_in(path, ends) {
                if onward == Onward::Local { local.push(way) } else { forward.push(way) }
            }
        }
        self.deliver(local, ends);
        for path in &mut forward {
            path.packet.decrement_ttl();
        }
        let forward = self.hook(Hook::Forward, forward, ends);
        self.leave(forward, ends);
    }

    /// A frame for this machine that came in by a bridge port passes the port's and the bridge's own hooks first, with the
    /// port as its device; then it comes in anew by the bridge (net/bridge/br_input.c `br_handle_frame`,
    /// `br_pass_frame_up`).
    fn over_bridge(&self, mut alive: Alive, ends: &mut Ends) -> Alive {
        if alive.iter().all(|p| p.packet.bridge_port.is_none()) {
            return alive;
        }
        for path in &mut alive {
            if let Some(port) = &path.packet.bridge_port {
                path.packet.oif = std::mem::replace(&mut path.packet.iif, Device::Named(port.clone()));
            }
        }
        let alive = self.hook(Hook::Ingress, alive, ends);
        let alive = self.bridge(Hook::Prerouting, alive, ends);
        let mut alive = self.bridge(Hook::Input, alive, ends);
        for path in &mut alive {
            if path.packet.bridge_port.is_some() {
                path.packet.iif = std::mem::replace(&mut path.packet.oif, Device::None);
                // IP's own conntrack begins anew (net/bridge/netfilter/nf_conntrack_bridge.c).
                path.packet.ct = None;
            }
        }
        alive
    }

    /// A frame of this machine's own that leaves by a bridge passes the bridge's hooks, and leaves anew by the port
    /// (net/bridge/br_device.c `br_dev_xmit`, net/bridge/br_forward.c `__br_forward`).
    fn out_by_bridge(&self, alive: Alive, ends: &mut Ends) -> Alive {
        let by_bridge = |p: &Packet| p.bridge_out.as_ref().is_some_and(|(bridge, _)| *bridge == p.oif);
        let (mut bridged, mut rest): (Alive, Alive) = alive.into_iter().partition(|path| by_bridge(&path.packet));
        for path in &mut bridged {
            if let Some((_, port)) = &path.packet.bridge_out {
                path.packet.oif = Device::Named(port.clone());
            }
        }
        if !bridged.is_empty() {
            let alive = self.bridge(Hook::Output, bridged, ends);
            let alive = self.bridge(Hook::Postrouting, alive, ends);
            bridged = self.hook(Hook::Egress, alive, ends);
        }
        for path in &mut bridged {
            if let Some((bridge, _)) = &path.packet.bridge_out {
                path.packet.oif = bridge.clone();
            }
        }
        rest.extend(bridged);
        rest
    }

    /// net/ipv6/ip6_input.c `ip6_rcv_core` drops what no wire may carry before any hook of IPv6; IPv4 looks at addresses
    /// with the route only.
    fn receive(&self, alive: Alive, ends: &mut Ends) -> Alive {
        let mut out = Vec::with_capacity(alive.len());
        for path in alive {
            match self.martian_v6(&path.packet) {
                Some(reason) => ends.push(self.stack(Hook::Prerouting, path, Exit::Stack(reason.clone()), reason)),
                None => out.push(path),
            }
        }
        out
    }

    /// `ip_local_deliver`.
    fn deliver(&self, mut alive: Alive, ends: &mut Ends) {
        for path in &mut alive {
            path.packet.oif = Device::None;
            path.packet.socket = path.packet.receiver;
        }
        let alive = self.hook(Hook::Input, alive, ends);
        for mut path in alive {
            let packet = &path.packet;
            let many = match packet.proto {
                // tcp_v4_rcv looks at the frame, tcp_v4_conn_request and tcp_v6_conn_request at the route.
                proto::TCP => packet.to_many || packet.pkttype != 0,
                // icmp_rcv (icmp_echo_ignore_broadcasts).
                proto::ICMP => packet.to_many,
                _ => false,
            };
            if !many {
                // net/netfilter/nf_conntrack_proto.c `nf_confirm`, the last function of the hook.
                confirm(&mut path.packet);
            }
            if many {
                let reason = StackReason::NotUnicast;
                ends.push(self.stack(Hook::Input, path, Exit::Stack(reason.clone()), reason));
            } else {
                ends.push((Exit::Accept, path));
            }
        }
    }

    /// POSTROUTING, and out; what leaves by lo comes in again.
    fn leave(&self, alive: Alive, ends: &mut Ends) {
        let mut alive = self.hook(Hook::Postrouting, alive, ends);
        alive.iter_mut().for_each(|path| confirm(&mut path.packet));
        let alive = self.hook(Hook::Egress, alive, ends);
        let alive = self.out_by_bridge(alive, ends);
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
        let mut packet = Packet::build(&PacketSpec { ttl: spec.ttl.or(self.own_ttl(spec.dst)), ..spec.clone() }, src);
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
        if let Device::Named(oif) = &path.packet.oif
            && self.loopback_leaves(src, oif)
        {
            let reason = StackReason::MartianSource;
            let (_, path) = self.stack(Hook::Output, path, Exit::Drop, reason.clone());
            return vec![(Exit::NotSent(reason, "EINVAL"), path)];
        }
        let mut ends = Vec::new();
        let alive = self.hook(Hook::Output, vec![path], &mut ends);
        self.leave(alive, &mut ends);
        ends
    }

    /// The TTL or hop limit of packets made here (ip4_dst_hoplimit, ip6_dst_hoplimit; a route or a socket may have its own).
    pub(crate) fn own_ttl(&self, family_of: IpAddr) -> Option<u8> {
        let name = if family_of.is_ipv4() { "net.ipv4.ip_default_ttl" } else { "net.ipv6.conf.all.hop_limit" };
        self.judge.machine.sysctl(name).and_then(|n| u8::try_from(n).ok())
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
        let mut ends = Vec::new();
        let mut from_here = Vec::new();
        let mut arriving = Vec::new();
        for (exit, path) in first {
            // What netdev chains send leaves at once, past all hooks (nft_reject_netdev.c).
            let from_device = path.decided.last().is_some_and(|d| matches!(d.hook, Hook::Ingress | Hook::Egress));
            if from_device && *exit != Exit::Accept {
                continue;
            }
            let Some(mut packet) = self.reply_to(exit, path, question) else { continue };
            let here = packet.iif == Device::None;
            packet.bridge_out = path.packet.bridge_port.clone().map(|port| (path.packet.iif.clone(), port));
            if !here {
                self.assume_way_back(&packet);
            }
            let lost = here && self.strict_reset_is_lost(exit, question, &packet);
            let way = Box::new(Path::new(packet));
            if lost {
                ends.push(self.stack(Hook::Output, way, Exit::Stack(StackReason::NoRoute), StackReason::NoRoute));
                continue;
            }
            if here { from_here.push(way) } else { arriving.push(way) }
        }
        merge(&mut from_here);
        merge(&mut arriving);
        if !arriving.is_empty() {
            self.arrive(arriving, &mut ends);
        }
        let mut sent = Vec::with_capacity(from_here.len());
        for mut path in from_here {
            let came_by = path.packet.oif.clone();
            match self.reroute(&path.packet) {
                Ok(device) => path.packet.oif = device,
                // It is never made (inet_csk_route_req, icmp_route_lookup).
                Err((reason, _)) => {
                    ends.push(self.stack(Hook::Output, path, Exit::Stack(reason.clone()), reason));
                    continue;
                }
            }
            if let (Device::Unknown, Device::Named(name)) = (&path.packet.oif, &came_by) {
                self.assume(|| format!("the answer leaves by {name}, as the packet came"));
                path.packet.oif = came_by;
            }
            sent.push(path);
        }
        let alive = self.hook(Hook::Output, sent, &mut ends);
        self.leave(alive, &mut ends);
        ends
    }
}

impl Run<'_, '_> {
    /// Whether a reset that stops an answer may itself be rejected: it bears the client's address, and so the client is told
    /// by that error, though the answer is lost.
    pub(crate) fn reset_is_rejected(&self, question: &Question, replies: &Ends) -> bool {
        let mut resets = Vec::new();
        for (exit, path) in replies {
            if *exit == Exit::Reject(Reject::TcpReset)
                && let Some(mut packet) = self.reply_to(exit, path, question)
            {
                packet.oif = self.reroute(&packet).unwrap_or(Device::Unknown);
                resets.push(Box::new(Path::new(packet)));
            }
        }
        let mut ends = Vec::new();
        let alive = self.hook(Hook::Output, resets, &mut ends);
        self.leave(alive, &mut ends);
        ends.iter().any(|(exit, _)| matches!(exit, Exit::Reject(_)))
    }
}

/// The connection of a packet that got through is put into the table; netfilter's own errors do not do that
/// (`__nf_conntrack_confirm`).
fn confirm(packet: &mut Packet) {
    if let Some(ct) = packet.ct.as_mut().filter(|ct| ct.direction == Direction::Original) {
        ct.status |= status::CONFIRMED;
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

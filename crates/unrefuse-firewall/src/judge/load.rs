//! Loads of fields: from the packet, its connection, and the machine.

use std::net::IpAddr;

use crate::bits::Bits;
use crate::conntrack::bits_address;
use crate::machine::{RouteKind, RouteQuery};
use crate::model::{Ct, Direction, Family, FibOf, FibResult, Field, Hook, Meta, OptionSpace, SocketKey};
use crate::packet::{Device, Loaded, Packet, interface_scalar};

use super::run::{Here, Run};

/// A field's name as nft(8) writes it, for messages.
pub(crate) fn field_name(field: &Field) -> String {
    match field {
        Field::Payload { base, offset, len } => {
            let base = match base {
                crate::model::Header::Link => "ll",
                crate::model::Header::Network => "nh",
                crate::model::Header::Transport => match (offset, len) {
                    (0, 16) => return "the source port".into(),
                    (16, 16) => return "the destination port".into(),
                    _ => "th",
                },
                crate::model::Header::Inner => "ih",
            };
            format!("@{base},{offset},{len}")
        }
        Field::Meta(m) => format!("meta {}", format!("{m:?}").to_lowercase()),
        Field::Ct(c) => format!("ct {}", format!("{c:?}").to_lowercase()),
        Field::Fib { .. } => "fib".into(),
        Field::Option { kind, .. } => format!("option {kind}"),
        Field::Socket(_) => "the socket".into(),
        Field::AddrType { source, .. } => {
            format!("the type of the {} address", if *source { "source" } else { "destination" })
        }
        Field::Ipsec(_) => "ipsec".into(),
        Field::PhysIn | Field::PhysOut | Field::PhysBridged => "the bridge port".into(),
    }
}

impl Run<'_, '_> {
    /// Loads a field.
    pub(crate) fn load(&self, here: &Here, packet: &Packet, field: &Field) -> Loaded {
        match field {
            Field::Payload { base, offset, len } => match packet.image.load(*base, *offset, *len) {
                Ok(bits) => Loaded::Value(bits),
                Err(true) => Loaded::Absent,
                Err(false) => Loaded::Unknown("the packet's payload is not known".into()),
            },
            Field::Meta(meta) => packet.meta(*meta).unwrap_or_else(|| self.meta(here, packet, *meta)),
            Field::Ct(ct) => conntrack(packet, *ct),
            Field::Fib { result, of } => self.fib(here, packet, *result, *of),
            Field::Option { space, kind, present, .. } => option(packet, *space, *kind, *present),
            Field::Socket(SocketKey::Sends) => Loaded::Value(Bits::known(packet.socket.is_some().into(), 8)),
            Field::Socket(_) => Loaded::Unknown("which socket the packet belongs to is not known".into()),
            Field::AddrType { source, limit } => self.addr_type(packet, *source, *limit),
            Field::Ipsec(_) => {
                self.assume(|| "no IPsec policy applies to the packet".into());
                Loaded::Value(Bits::known(0, 32))
            }
            Field::PhysIn => name_bits(packet.bridge_port.as_deref().filter(|_| self.sees_ports(packet))),
            Field::PhysOut => name_bits(None),
            Field::PhysBridged => Loaded::Value(Bits::known(0, 8)),
        }
    }

    /// br_netfilter keeps the port only for what it hands to the IP hooks (net/bridge/br_netfilter_hooks.c
    /// `br_nf_pre_routing`).
    fn sees_ports(&self, packet: &Packet) -> bool {
        let tables = if packet.family == Family::Ip6 { "ip6tables" } else { "iptables" };
        self.judge.machine.sysctl(&format!("net.bridge.bridge-nf-call-{tables}")) != Some(0)
    }

    fn meta(&self, here: &Here, packet: &Packet, meta: Meta) -> Loaded {
        let ask = |device: &Device, what: &str, none: Loaded, f: &dyn Fn(crate::machine::Interface) -> Option<Bits>| {
            match device {
                Device::None => none,
                Device::Unknown => Loaded::Unknown("which interface it is, is not known".into()),
                Device::Named(name) => match self.judge.machine.interface(name).and_then(f) {
                    Some(bits) => Loaded::Value(bits),
                    None => Loaded::Unknown(format!("the {what} of {name} is not known")),
                },
            }
        };
        let zero = || Loaded::Value(Bits::known(0, 32));
        match meta {
            Meta::Iif => ask(&packet.iif, "index", zero(), &|i| i.index.map(|n| Bits::known(n.into(), 32))),
            Meta::Oif => ask(&packet.oif, "index", zero(), &|i| i.index.map(|n| Bits::known(n.into(), 32))),
            // Not the hook's device, but the packet's own (`skb->dev`), which is the outgoing one by then.
            Meta::IifType if here.hook == Hook::Postrouting => {
                ask(&packet.oif, "type", Loaded::Absent, &|i| i.kind.map(|n| Bits::known(n.into(), 16)))
            }
            Meta::IifType => ask(&packet.iif, "type", Loaded::Absent, &|i| i.kind.map(|n| Bits::known(n.into(), 16))),
            Meta::OifType => ask(&packet.oif, "type", Loaded::Absent, &|i| i.kind.map(|n| Bits::known(n.into(), 16))),
            Meta::IifGroup => {
                ask(&packet.iif, "group", Loaded::Absent, &|i| i.group.map(|n| Bits::known(n.into(), 32)))
            }
            Meta::OifGroup => {
                ask(&packet.oif, "group", Loaded::Absent, &|i| i.group.map(|n| Bits::known(n.into(), 32)))
            }
            Meta::IifKind => {
                ask(&packet.iif, "kind", Loaded::Absent, &|i| i.link.map(|k| Bits::known(interface_scalar(&k), 128)))
            }
            Meta::OifKind => {
                ask(&packet.oif, "kind", Loaded::Absent, &|i| i.link.map(|k| Bits::known(interface_scalar(&k), 128)))
            }
            // In bridge chains, the bridge itself is kept as the outgoing device.
            Meta::BriIifName if packet.bridge_port.is_some() => match &packet.oif {
                Device::Named(name) => name_bits(Some(name)),
                _ => Loaded::Absent,
            },
            Meta::BriOifName if matches!(here.hook, Hook::Output | Hook::Postrouting) => match &packet.bridge_out {
                Some((Device::Named(name), port)) if packet.oif == Device::Named(port.clone()) => name_bits(Some(name)),
                _ => Loaded::Absent,
            },
            Meta::BriIifName | Meta::BriOifName => Loaded::Absent,
            other => Loaded::Unknown(format!("meta {} is not known", format!("{other:?}").to_lowercase())),
        }
    }

    /// xt_addrtype (net/netfilter/xt_addrtype.c): a bit mask of `RTN_*`. IPv6 knows the address's own kind beside what
    /// the routing tables say.
    fn addr_type(&self, packet: &Packet, source: bool, limit: Option<Direction>) -> Loaded {
        let bits = if source { packet.source() } else { packet.destination() };
        let Some(address) = bits_address(bits) else {
            return Loaded::Unknown("the address is not known".into());
        };
        let device = match limit {
            None => None,
            Some(direction) => match if direction == Direction::Original { &packet.iif } else { &packet.oif } {
                Device::Named(name) => Some(name.as_str()),
                Device::None => None,
                Device::Unknown => return Loaded::Unknown("which interface it is, is not known".into()),
            },
        };
        let kind = match (device, address) {
            // A route of this interface's own is looked for (ip6_route_output_flags, RT6_LOOKUP_F_IFACE).
            (Some(oif), IpAddr::V6(_)) if self.kind_of(address, device) == Some(RouteKind::Unicast) => {
                let query = RouteQuery { oif: Some(oif), ..RouteQuery::to(address) };
                self.judge.machine.route(&query).map(|r| r.kind)
            }
            _ => self.kind_of(address, device),
        };
        match kind {
            // match_lookup_rt6: each route that is none is the same to it, and so is none at all.
            Some(RouteKind::Blackhole | RouteKind::Prohibit | RouteKind::Throw | RouteKind::None)
                if address.is_ipv6() && !address.is_unspecified() =>
            {
                let mask = (1 << RouteKind::Unreachable.number()) | (1 << RouteKind::Unicast.number());
                Loaded::Value(Bits::known(mask, 32))
            }
            Some(kind) => {
                let mut mask = 1u128 << kind.number();
                if let IpAddr::V6(a) = address {
                    let unicast = !a.is_multicast() && !a.is_unspecified();
                    mask |= if unicast { 1 << RouteKind::Unicast.number() } else { 0 };
                    mask |= if a.is_unspecified() { 1 } else { 0 };
                }
                Loaded::Value(Bits::known(mask, 32))
            }
            None => Loaded::Unknown(format!("whether {address} is an address of this machine is not known")),
        }
    }

    /// What the routing tables call an address.
    pub(crate) fn kind_of(&self, address: IpAddr, device: Option<&str>) -> Option<RouteKind> {
        // Kinds that need no routing table (`__inet_dev_addr_type`).
        match address {
            IpAddr::V4(a) if a.is_broadcast() || a.is_unspecified() => return Some(RouteKind::Broadcast),
            _ if address.is_multicast() => return Some(RouteKind::Multicast),
            _ => {}
        }
        let known = self.judge.machine.addr_type(address, device);
        if known.is_none() && Some(address) == self.local_address {
            self.assume(|| format!("{address} is an address of this machine"));
            return Some(RouteKind::Local);
        }
        match known {
            // A route that is none fails the look-up: IPv4 takes the address for unicast then (`__inet_dev_addr_type`), IPv6
            // for unreachable where there is no route at all (`__nft_fib6_eval_type`).
            Some(
                RouteKind::Blackhole
                | RouteKind::Unreachable
                | RouteKind::Prohibit
                | RouteKind::Throw
                | RouteKind::None,
            ) if address.is_ipv4() => Some(RouteKind::Unicast),
            Some(RouteKind::None) => Some(RouteKind::Unreachable),
            known => known,
        }
    }

    /// net/ipv4/netfilter/nft_fib_ipv4.c, net/ipv6/netfilter/nft_fib_ipv6.c.
    fn fib(&self, here: &Here, packet: &Packet, result: FibResult, of: FibOf) -> Loaded {
        let Some(address) = bits_address(if of.source { packet.source() } else { packet.destination() }) else {
            return Loaded::Unknown("the address is not known".into());
        };
        let device = match (of.iif, of.oif) {
            (true, _) => &packet.iif,
            (_, true) => &packet.oif,
            _ => &Device::None,
        };
        let limit = match device {
            Device::Named(name) => Some(name.as_str()),
            Device::None => None,
            Device::Unknown => return Loaded::Unknown("which interface it is, is not known".into()),
        };
        if result == FibResult::Type {
            return match self.kind_of(address, limit) {
                Some(kind) => Loaded::Value(Bits::known(kind.number().into(), 32)),
                None => Loaded::Unknown(format!("the type of {address} is not known")),
            };
        }
        // nft_fib_is_loopback: a packet that came in by lo finds lo.
        let early = matches!(here.hook, Hook::Ingress | Hook::Prerouting | Hook::Input);
        let arrived = |device: &Device| match device {
            Device::Named(name) => Some(name.clone()),
            _ => None,
        };
        let found = if early && packet.iif == Device::Named("lo".into()) {
            Some("lo".to_owned())
        } else if early && asks_for_address(packet) {
            arrived(&packet.iif)
        } else if address.is_multicast() || matches!(address, IpAddr::V4(a) if a.is_broadcast()) {
            // The tables know no such route but the default one, which is not what the stack answers for it.
            return Loaded::Unknown(format!("the route to {address} is not known"));
        } else {
            let other = bits_address(if of.source { packet.destination() } else { packet.source() });
            let mark = if of.mark { packet.mark.exact().and_then(|m| u32::try_from(m).ok()) } else { None };
            // The interface does not choose among routes: the best one must be its own.
            let query = RouteQuery { dst: address, src: other, mark, iif: None, oif: None };
            match self.judge.machine.route(&query) {
                Some(route) if leads_out(route.kind, packet.is_v6()) => match (route.oif, limit) {
                    (oif, None) => oif,
                    (Some(oif), Some(limit)) => (oif == limit).then_some(oif),
                    (None, Some(_)) => None,
                },
                Some(_) => None,
                None => return Loaded::Unknown(format!("the route to {address} is not known")),
            }
        };
        match (result, found) {
            (FibResult::Present, found) => Loaded::Value(Bits::known(found.is_some().into(), 32)),
            (FibResult::OifName, found) => name_bits(found.as_deref()),
            (_, None) => Loaded::Value(Bits::known(0, 32)),
            (_, Some(name)) => match self.judge.machine.interface(&name).and_then(|i| i.index) {
                Some(index) => Loaded::Value(Bits::known(index.into(), 32)),
                None => Loaded::Unknown(format!("the index of {name} is not known")),
            },
        }
    }
}

/// nft_fib4_eval, nft_fib6_eval: what kind of route counts as one.
fn leads_out(kind: RouteKind, v6: bool) -> bool {
    kind == RouteKind::Unicast || !v6 && matches!(kind, RouteKind::Broadcast | RouteKind::Multicast)
}

/// A client without an address asks for one (nft_fib4_eval, rpfilter_mt): its packet is taken to come from where it does.
fn asks_for_address(packet: &Packet) -> bool {
    let (Some(IpAddr::V4(source)), Some(IpAddr::V4(to))) = (packet.source_address(), packet.destination_address())
    else {
        return false;
    };
    source.is_unspecified() && (to.is_broadcast() || matches!(to.octets(), [224, 0, 0, _]))
}

fn name_bits(name: Option<&str>) -> Loaded {
    Loaded::Value(Bits::known(name.map_or(0, interface_scalar), 128))
}

/// net/netfilter/nft_ct.c: without a connection only the state can be loaded.
fn conntrack(packet: &Packet, key: Ct) -> Loaded {
    if key == Ct::State {
        return Loaded::Value(Bits::known(packet.ct_state().into(), 32));
    }
    let Some(ct) = &packet.ct else { return Loaded::Absent };
    let value = |n: u128, width| Loaded::Value(Bits::known(n, width));
    match key {
        Ct::State => value(packet.ct_state().into(), 32),
        Ct::Direction => value((ct.direction == Direction::Reply).into(), 8),
        Ct::Status => value(ct.status.into(), 32),
        Ct::Mark => Loaded::Value(ct.mark),
        Ct::L3Proto => value(if packet.family == Family::Ip6 { 10 } else { 2 }, 8),
        Ct::Proto => value(ct.proto.into(), 8),
        Ct::Helper => Loaded::Absent,
        Ct::Zone => value(0, 16),
        Ct::Label => value(0, 128),
        Ct::Tuple(direction, part) => {
            let tuple = if direction == Direction::Original { &ct.original } else { &ct.reply };
            Loaded::Value(tuple.part(part))
        }
        Ct::Expiration | Ct::Bytes(_) | Ct::Packets(_) | Ct::AvgPkt(_) | Ct::Id => {
            Loaded::Unknown(format!("ct {} cannot be known offline", format!("{key:?}").to_lowercase()))
        }
    }
}

/// net/netfilter/nft_exthdr.c: no extension headers or IP options; which options a SYN carries is up to its sender.
fn option(packet: &Packet, space: OptionSpace, kind: u8, present: bool) -> Loaded {
    let absent = if present { Loaded::Value(Bits::known(0, 8)) } else { Loaded::Absent };
    match space {
        OptionSpace::TcpOption if packet.proto == crate::packet::proto::TCP => {
            Loaded::Unknown(format!("whether the SYN carries TCP option {kind} is not known"))
        }
        OptionSpace::SctpChunk if packet.proto == crate::packet::proto::SCTP && kind == 1 => {
            if present {
                Loaded::Value(Bits::known(1, 8))
            } else {
                Loaded::Unknown("SCTP INIT".into())
            }
        }
        _ => absent,
    }
}

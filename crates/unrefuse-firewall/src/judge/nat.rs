//! Translation of addresses (net/netfilter/nf_nat_core.c) and what else a rule writes into a packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::answer::StackReason;
use crate::bits::Bits;
use crate::conntrack::{address_bits, status};
use crate::machine::RouteQuery;
use crate::model::{Direction, Expr, Family, Hook, Nat, NatKind, SetTarget};
use crate::packet::{Device, Packet};

use super::cond::Value;
use super::path::{By, Decided, Exit, Happened, Parted, Path};
use super::run::{Ends, Here, Run};

/// A range of at most so many addresses or ports is followed one by one.
const MOST_CHOICES: u128 = 8;

impl Run<'_, '_> {
    /// Carries out a NAT statement. A translation accepts; one that does not apply to the packet lets it go on.
    pub(crate) fn translate(&self, here: &Here, by: &By, nat: &Nat, path: Box<Path>) -> Ends {
        let other_family = nat.family.is_some_and(|f| f != path.packet.family && f != Family::Inet);
        if other_family || !here.nat || path.packet.ct.is_none() {
            return vec![(Exit::End, path)];
        }
        // A map without the key ends the rule (NFT_BREAK).
        let parts = nat.address.iter().chain(&nat.port).flat_map(|(from, to)| [from, to]);
        if parts.into_iter().any(|e| matches!(self.value(here, &path.packet, e), Value::Absent)) {
            return vec![(Exit::End, path)];
        }
        // NETMAP translates what its hook translates, by whatever chain it is reached (net/netfilter/xt_NETMAP.c); nft's own
        // `dnat prefix to` stands only where that is the destination.
        let destination = match nat.prefix {
            Some(_) => translates_destination(here.hook),
            None => matches!(nat.kind, NatKind::Dnat | NatKind::Redirect),
        };
        let width = path.packet.address_width();
        let addresses = match (&nat.address, nat.kind) {
            (Some((from, to)), _) => {
                let old = if destination { path.packet.destination() } else { path.packet.source() };
                match nat.prefix {
                    Some(length) => match self.expr(here, &path.packet, from) {
                        Some(new) => {
                            let host = crate::bits::ones(width.saturating_sub(length.into()));
                            let new = Bits { width: crate::bits::ones(width), ..new };
                            vec![new.masked(!host, 0).or(old.masked(host, 0))]
                        }
                        None => vec![Bits::unknown(width)],
                    },
                    None => self.choices(here, &path.packet, from, to, width, (!destination).then_some(old)),
                }
            }
            (None, NatKind::Redirect) => match self.redirect_address(here, &path.packet) {
                Some(bits) => vec![bits],
                None => {
                    let mut path = path;
                    let by = By::Stack(StackReason::RedirectWithoutAddress);
                    path.decided.push(Decided { hook: here.hook, filter: true, by });
                    return vec![(Exit::Stack(StackReason::RedirectWithoutAddress), path)];
                }
            },
            (None, NatKind::Masquerade) => vec![self.masquerade_address(&path.packet)],
            (None, _) => vec![if destination { path.packet.destination() } else { path.packet.source() }],
        };
        let old_port = if destination { path.packet.dport() } else { path.packet.sport() };
        let ports = match &nat.port {
            Some((from, to)) if path.packet.has_ports() => {
                self.choices(here, &path.packet, from, to, 16, Some(old_port))
            }
            _ => vec![old_port],
        };
        let forks = addresses.len() * ports.len() > 1;
        if forks {
            self.fork();
        }
        let mut ends = Vec::new();
        for address in &addresses {
            for port in &ports {
                let mut way = path.clone();
                apply(&mut way.packet, destination, *address, *port);
                if nat.kind == NatKind::Redirect {
                    way.packet.to_here = true;
                }
                let kind = match (nat.prefix, destination) {
                    (None, _) => nat.kind,
                    (Some(_), true) => NatKind::Dnat,
                    (Some(_), false) => NatKind::Snat,
                };
                let what = what(kind, *address, *port, way.packet.has_ports());
                way.way.push(Happened { hook: here.hook, by: by.clone(), what });
                way.decided.push(Decided { hook: here.hook, filter: false, by: by.clone() });
                if forks {
                    let why = "the kernel chooses one of several addresses or ports".to_owned();
                    let side = ends.len() as u8;
                    way.parted.push(Parted { hook: here.hook, by: Some(by.clone()), why, side });
                }
                ends.push((Exit::Accept, way));
            }
        }
        ends
    }

    fn expr(&self, here: &Here, packet: &Packet, expr: &Expr) -> Option<Bits> {
        match self.value(here, packet, expr) {
            Value::Bits(bits) => Some(bits),
            Value::Absent | Value::Unknown(_) => None,
        }
    }

    /// What the kernel may choose from a range: what stands there already where that is allowed
    /// (`nf_nat_l4proto_in_range`; for sources `find_appropriate_src`), else any of it.
    fn choices(
        &self,
        here: &Here,
        packet: &Packet,
        from: &Expr,
        to: &Expr,
        width: u32,
        old: Option<Bits>,
    ) -> Vec<Bits> {
        let (Some(from), Some(to)) = (self.expr(here, packet, from), self.expr(here, packet, to)) else {
            return vec![Bits::unknown(width)];
        };
        let (Some(from), Some(to)) = (from.exact_in(width), to.exact_in(width)) else {
            return vec![Bits::unknown(width)];
        };
        if let Some(old) = old.filter(|old| from < to && old.within(from, to) == Some(true)) {
            return vec![old];
        }
        if to < from || to - from >= MOST_CHOICES {
            return vec![Bits::unknown(width)];
        }
        (from..=to).map(|n| Bits::known(n, width)).collect()
    }

    /// net/netfilter/nf_nat_redirect.c. `None`: the interface has no address, the packet is dropped.
    fn redirect_address(&self, here: &Here, packet: &Packet) -> Option<Bits> {
        let v6 = packet.is_v6();
        if here.hook == Hook::Output {
            let address = if v6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
            return Some(address_bits(address));
        }
        let unknown = Some(Bits::unknown(packet.address_width()));
        let Device::Named(name) = &packet.iif else { return unknown };
        let Some(interface) = self.judge.machine.interface(name) else { return unknown };
        // nf_nat_redirect_ipv6_usable: a destination of less than global scope wants an address of that scope. The kernel's
        // list begins with those of the widest.
        let wanted = match packet.destination_address() {
            Some(address) => narrow_scope(address),
            None if v6 => return unknown,
            None => None,
        };
        let mut usable: Vec<_> = interface
            .addresses
            .iter()
            .filter(|a| a.is_ipv6() == v6 && (wanted.is_none() || narrow_scope(**a) == wanted))
            .collect();
        usable.sort_by_key(|a| narrow_scope(**a).is_some());
        usable.first().map(|a| address_bits(**a))
    }

    /// The outgoing interface's address that the route prefers (net/netfilter/nf_nat_masquerade.c).
    fn masquerade_address(&self, packet: &Packet) -> Bits {
        let unknown = Bits::unknown(packet.address_width());
        let (Device::Named(oif), Some(dst)) = (&packet.oif, packet.destination_address()) else { return unknown };
        // lo has no address of its own for others: the first of any interface is taken (inet_select_addr).
        if oif == "lo" && !packet.is_v6() {
            return unknown;
        }
        // The local route of an address of another interface is that one's, though it leads over lo.
        let query = RouteQuery { oif: Some(oif.as_str()).filter(|oif| *oif != "lo"), ..RouteQuery::to(dst) };
        let source = self.judge.machine.route(&query).filter(|r| r.oif.as_ref() == Some(oif)).and_then(|r| r.source);
        source.map_or(unknown, address_bits)
    }

    /// Writes a value into the packet or its connection. Returns what was done; `None`: the load of the value fails, which
    /// ends the rule.
    pub(crate) fn set(&self, here: &Here, packet: &mut Packet, target: &SetTarget, value: &Expr) -> Option<String> {
        let bits = match self.value(here, packet, value) {
            Value::Bits(bits) => Some(bits),
            Value::Absent => return None,
            Value::Unknown(_) => None,
        };
        let shown = bits.and_then(Bits::exact).map_or("an unknown value".into(), |v| format!("{v:#x}"));
        Some(match target {
            SetTarget::Mark => {
                packet.mark = narrowed(bits, 32);
                format!("meta mark set {shown}")
            }
            SetTarget::CtMark => {
                if let Some(ct) = &mut packet.ct {
                    ct.mark = narrowed(bits, 32);
                }
                format!("ct mark set {shown}")
            }
            SetTarget::Payload { base, offset, len } => {
                packet.image.store(*base, *offset, *len, narrowed(bits, (*len).into()));
                "writes into the packet".into()
            }
            SetTarget::Other(name) => format!("{name} set {shown}"),
        })
    }
}

/// The scope of an IPv6 address that is less than global (net/ipv6/addrconf_core.c `__ipv6_addr_type`), as multicast
/// addresses number it.
fn narrow_scope(address: IpAddr) -> Option<u8> {
    let IpAddr::V6(a) = address else { return None };
    match a.octets() {
        [0xff, second, ..] => Some(second & 0xf).filter(|scope| matches!(scope, 1 | 2 | 5)),
        [0xfe, second, ..] if second & 0xc0 == 0x80 => Some(2),
        [0xfe, second, ..] if second & 0xc0 == 0xc0 => Some(5),
        _ => a.is_loopback().then_some(1),
    }
}

/// Translates to an address and a port that are not known.
pub(crate) fn to_anywhere(here: &Here, packet: &mut Packet) {
    let address = Bits::unknown(packet.address_width());
    apply(packet, translates_destination(here.hook), address, Bits::unknown(16));
}

/// `HOOK2MANIP` (net/netfilter/nf_nat_core.c).
const fn translates_destination(hook: Hook) -> bool {
    matches!(hook, Hook::Prerouting | Hook::Output)
}

fn narrowed(bits: Option<Bits>, width: u32) -> Bits {
    bits.map_or(Bits::unknown(width), |b| Bits::partly(b.value, b.known, width))
}

fn apply(packet: &mut Packet, destination: bool, address: Bits, port: Bits) {
    let address = Bits::partly(address.value, address.known, packet.address_width());
    let port = Bits::partly(port.value, port.known, 16);
    let Some(ct) = &mut packet.ct else { return };
    let reply = &mut ct.reply;
    let (old_address, old_port) =
        if destination { (&mut reply.src, &mut reply.sport) } else { (&mut reply.dst, &mut reply.dport) };
    let changed = *old_address != address || *old_port != port;
    *old_address = address;
    *old_port = port;
    ct.status |= match (destination, changed) {
        (true, true) => status::DST_NAT | status::DST_NAT_DONE,
        (true, false) => status::DST_NAT_DONE,
        (false, true) => status::SRC_NAT | status::SRC_NAT_DONE,
        (false, false) => status::SRC_NAT_DONE,
    };
    // A rule that an error of netfilter's own meets settles its connection's translation, not its own (nf_nat_packet).
    if ct.direction == Direction::Reply {
        return;
    }
    if destination {
        packet.set_destination(address);
        packet.set_dport(port);
    } else {
        packet.set_source(address);
        packet.set_sport(port);
    }
}

fn what(kind: NatKind, address: Bits, port: Bits, ports: bool) -> String {
    let name = match kind {
        NatKind::Dnat => "dnat to",
        NatKind::Snat => "snat to",
        NatKind::Masquerade => "masquerade as",
        NatKind::Redirect => "redirect to",
    };
    let address = crate::conntrack::bits_address(address);
    let text = match address {
        Some(IpAddr::V6(a)) if ports => format!("[{a}]"),
        Some(a) => a.to_string(),
        None => "an address of the kernel's choice".into(),
    };
    match port.exact() {
        Some(port) if ports => format!("{name} {text}:{port}"),
        _ => format!("{name} {text}"),
    }
}

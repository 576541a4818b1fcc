//! A hook's functions in the kernel's order: base chains of all families and backends, conntrack, and NAT.

use std::rc::Rc;

use crate::conntrack::{Conntrack, Tuple, state, status};
use crate::model::{ChainKind, Direction, Family, Hook, Policy};
use crate::packet::{Device, Packet, proto};
use crate::spec::tcp_flags;

use super::path::{By, ChainCode, Decided, Exit, Happened, Parted, Path};
use super::run::{Ends, Here, Run};

/// `NF_IP_PRI_CONNTRACK`, `NF_IP_PRI_NAT_DST`, `NF_IP_PRI_NAT_SRC` (linux/netfilter_ipv4.h; IPv6 has the same).
const CONNTRACK: i32 = -200;
const NAT_DST: i32 = -100;
const NAT_SRC: i32 = 100;

/// A base chain at its place.
#[derive(Debug, Clone)]
pub(crate) struct Hooked {
    pub(crate) priority: i32,
    pub(crate) order: Option<u32>,
    pub(crate) kind: ChainKind,
    pub(crate) policy: Policy,
    pub(crate) devices: Vec<String>,
    pub(crate) chain: Rc<ChainCode>,
    pub(crate) hook: Hook,
    pub(crate) family: Family,
}

/// Ways that go on, side by side.
pub(crate) type Alive = Vec<Box<Path>>;

impl Run<'_, '_> {
    /// Sends ways through a hook. What ends there goes to `ends`.
    pub(crate) fn hook(&self, hook: Hook, mut alive: Alive, ends: &mut Ends) -> Alive {
        let Some(family) = alive.first().map(|p| p.packet.family) else { return alive };
        let hooked: Vec<&Hooked> = self.judge.hooked.iter().filter(|h| h.hook == hook && sees(h, family)).collect();
        let (plain, nat): (Vec<&Hooked>, Vec<&Hooked>) = hooked.into_iter().partition(|h| h.kind != ChainKind::Nat);
        let mut events: Vec<(i32, Event<'_>)> = Vec::new();
        let tracks = matches!(hook, Hook::Prerouting | Hook::Output);
        if tracks && plain.iter().all(|h| h.priority != CONNTRACK) {
            events.push((CONNTRACK, Event::Conntrack));
        }
        let nat_priority = match hook {
            Hook::Prerouting | Hook::Output => Some(NAT_DST),
            Hook::Input | Hook::Postrouting => Some(NAT_SRC),
            _ => None,
        };
        // All chains of type nat run at one place, whatever their own priorities (`nf_nat_register_fn`).
        if let Some(priority) = nat_priority.filter(|_| self.judge.tracks(family)) {
            events.push((priority, Event::Nat(by_priority(nat))));
        }
        for group in by_priority(plain) {
            events.push((group[0].priority, Event::Chains(group)));
        }
        events.sort_by_key(|(priority, _)| *priority);
        for (_, event) in events {
            alive = match event {
                Event::Conntrack => {
                    alive.iter_mut().for_each(|p| track(&mut p.packet));
                    alive
                }
                Event::Chains(group) if group[0].priority == CONNTRACK && tracks => {
                    self.beside_conntrack(hook, &group, alive, ends)
                }
                Event::Chains(group) => self.group(hook, &group, alive, ends),
                Event::Nat(groups) => self.nat(hook, &groups, alive, ends),
            };
            merge(&mut alive);
        }
        // The hook's state keeps the old device to its end (`struct nf_hook_state`).
        for path in &mut alive {
            if let Some(device) = path.packet.rerouted.take() {
                path.packet.oif = device;
            }
        }
        alive
    }

    /// The chains of the bridge family at a hook. Rules there that need conntrack have it before the filter priorities.
    pub(crate) fn bridge(&self, hook: Hook, mut alive: Alive, ends: &mut Ends) -> Alive {
        let of_bridge = |h: &&Hooked| h.hook == hook && h.family == Family::Bridge;
        let mut tracked = hook != Hook::Prerouting || !self.judge.tracks(Family::Bridge);
        for group in by_priority(self.judge.hooked.iter().filter(of_bridge).collect()) {
            if !tracked && group[0].priority > CONNTRACK {
                alive.iter_mut().for_each(|p| track(&mut p.packet));
                tracked = true;
            }
            alive = self.group(hook, &group, alive, ends);
            merge(&mut alive);
        }
        if !tracked {
            alive.iter_mut().for_each(|p| track(&mut p.packet));
        }
        alive
    }

    /// Chains of the very priority of conntrack: which runs first is up to which was registered first, and conntrack is
    /// when a rule first needs it. Both are tried.
    fn beside_conntrack(&self, hook: Hook, group: &[&Hooked], alive: Alive, ends: &mut Ends) -> Alive {
        self.fork();
        let why = "whether conntrack runs before the chains of its own priority is not known";
        let side = |alive: &[Box<Path>], side| -> Alive {
            let parted = Parted { hook, by: None, why: why.to_owned(), side };
            let mut alive = alive.to_vec();
            alive.iter_mut().for_each(|p| p.parted.push(parted.clone()));
            alive
        };
        let mut before = side(&alive, 0);
        before.iter_mut().for_each(|p| track(&mut p.packet));
        let mut out = self.group(hook, group, before, ends);
        let mut after = self.group(hook, group, side(&alive, 1), ends);
        after.iter_mut().for_each(|p| track(&mut p.packet));
        out.extend(after);
        out
    }

    /// Chains of one priority. Where the order in which they were registered is not known, both orders are tried.
    fn group(&self, hook: Hook, group: &[&Hooked], alive: Alive, ends: &mut Ends) -> Alive {
        if group.len() < 2 || group.iter().all(|h| h.order.is_some()) {
            return group.iter().fold(alive, |alive, h| self.chain(hook, h, alive, ends));
        }
        self.fork();
        let names: Vec<&str> = group.iter().map(|h| self.judge.ruleset.tables[h.chain.table].name.as_str()).collect();
        let why = format!("the order of the base chains of one priority (tables {}) is not known", names.join(", "));
        let parted = |side| {
            move |mut p: Box<Path>, why: &str| {
                p.parted.push(Parted { hook, by: None, why: why.to_owned(), side });
                p
            }
        };
        let first: Alive = alive.iter().cloned().map(|p| parted(0)(p, &why)).collect();
        let second: Alive = alive.into_iter().map(|p| parted(1)(p, &why)).collect();
        let mut out = group.iter().fold(first, |alive, h| self.chain(hook, h, alive, ends));
        out.extend(group.iter().rev().fold(second, |alive, h| self.chain(hook, h, alive, ends)));
        out
    }

    fn chain(&self, hook: Hook, hooked: &Hooked, alive: Alive, ends: &mut Ends) -> Alive {
        let here = Here { hook, table: hooked.chain.table, nat: hooked.kind == ChainKind::Nat };
        let mut out = Vec::with_capacity(alive.len());
        for path in alive {
            if matches!(hook, Hook::Ingress | Hook::Egress) && !hooked.devices.is_empty() {
                let device = if hook == Hook::Ingress { &path.packet.iif } else { &path.packet.oif };
                match device {
                    Device::Named(name) if hooked.devices.iter().any(|d| device_matches(d, name)) => {}
                    Device::Unknown => {
                        self.assume(|| format!("the packet does not pass the devices of chain {}", hooked.chain.name));
                        out.push(path);
                        continue;
                    }
                    _ => {
                        out.push(path);
                        continue;
                    }
                }
            }
            let before = routing_key(&path.packet);
            for (exit, mut path) in self.walk(&here, &hooked.chain, path, 0) {
                let exit = match exit {
                    Exit::End => {
                        let by = By::Policy(Rc::clone(&hooked.chain));
                        let drops = hooked.policy == Policy::Drop;
                        let what = if drops { "policy drop" } else { "policy accept" };
                        path.way.push(Happened { hook, by: by.clone(), what: what.into() });
                        path.decided.push(Decided { hook, filter: !here.nat, by });
                        if drops { Exit::Drop } else { Exit::Accept }
                    }
                    other => other,
                };
                if exit == Exit::Accept {
                    // ip_route_me_harder, as iptable_mangle and chains of type route do.
                    if hook == Hook::Output && hooked.kind == ChainKind::Route && routing_key(&path.packet) != before {
                        out.extend(self.routed_anew(path, ends));
                    } else {
                        out.push(path);
                    }
                } else {
                    ends.push((exit, path));
                }
            }
        }
        merge(&mut out);
        out
    }

    /// Routes a packet anew in OUTPUT: where that fails, the packet is dropped there.
    fn routed_anew(&self, mut path: Box<Path>, ends: &mut Ends) -> Option<Box<Path>> {
        path.rerouted_by = path.packet.mark.exact().and_then(|mark| u32::try_from(mark).ok());
        match self.reroute(&path.packet) {
            Ok(device) => {
                path.packet.rerouted = Some(device);
                Some(path)
            }
            Err((reason, errno)) => {
                // The error is the verdict (NF_DROP_ERR), which a datagram's socket is told; TCP only tries again.
                let asks = path.packet.proto == proto::UDP
                    && path.packet.socket.is_some()
                    && path.packet.ct.as_ref().is_none_or(|ct| ct.direction == Direction::Original);
                let exit = if asks { Exit::NotSent(reason.clone(), errno) } else { Exit::Stack(reason.clone()) };
                ends.push(self.stack(Hook::Output, path, exit, reason));
                None
            }
        }
    }

    /// net/netfilter/nf_nat_core.c `nf_nat_inet_fn`.
    fn nat(&self, hook: Hook, groups: &[Vec<&Hooked>], alive: Alive, ends: &mut Ends) -> Alive {
        let destination = matches!(hook, Hook::Prerouting | Hook::Output);
        let done = if destination { status::DST_NAT_DONE } else { status::SRC_NAT_DONE };
        let is_done = |p: &Path| p.packet.ct.as_ref().is_none_or(|ct| ct.status & done != 0);
        let mut out = Vec::new();
        let mut open = Vec::new();
        // A connection's translation is undone last (`nf_nat_packet` after the rules): what a reset of a connection that
        // got no further meets, RELATED as it is, shows the translated addresses.
        let undone = |mut path: Box<Path>, ends: &mut Ends| -> Option<Box<Path>> {
            match path.packet.ct.as_ref().map(|ct| ct.direction) {
                Some(Direction::Reply) => {}
                Some(Direction::Original) => {
                    translate_again(&mut path.packet, destination);
                    return Some(path);
                }
                None => return Some(path),
            }
            let before = routing_key(&path.packet);
            untranslate(&mut path.packet, destination);
            // nf_nat_ipv4_local_fn, nf_nat_ipv6_local_fn.
            let rerouted = hook == Hook::Output && routing_key(&path.packet) != before;
            if rerouted { self.routed_anew(path, ends) } else { Some(path) }
        };
        for path in alive {
            // nf_nat_ipv4_fn, nf_nat_ipv6_fn: an error that belongs to a connection is translated with it, and meets no rule.
            let error = path.packet.ct.as_ref().is_some_and(|ct| ct.state == state::RELATED)
                && matches!(path.packet.proto, proto::ICMP | proto::ICMP6);
            if error || is_done(&path) {
                out.extend(undone(path, ends));
            } else {
                open.push(path);
            }
        }
        for group in groups {
            let before: Vec<_> = open.iter().map(|p| routing_key(&p.packet)).collect();
            let ways = self.group(hook, group, std::mem::take(&mut open), ends);
            for path in ways {
                if is_done(&path) {
                    let rerouted = hook == Hook::Output && !before.contains(&routing_key(&path.packet));
                    let path = if rerouted { self.routed_anew(path, ends) } else { Some(path) };
                    out.extend(path.and_then(|path| undone(path, ends)));
                } else {
                    open.push(path);
                }
            }
        }
        for mut path in open {
            if let Some(ct) = &mut path.packet.ct {
                ct.status |= done;
            }
            out.extend(undone(path, ends));
        }
        out
    }
}

enum Event<'h> {
    Conntrack,
    Nat(Vec<Vec<&'h Hooked>>),
    Chains(Vec<&'h Hooked>),
}

fn sees(hooked: &Hooked, family: Family) -> bool {
    hooked.family == family
        || hooked.family == Family::Inet
        || (hooked.family == Family::Netdev && matches!(hooked.hook, Hook::Ingress | Hook::Egress))
}

fn by_priority(mut hooked: Vec<&Hooked>) -> Vec<Vec<&Hooked>> {
    hooked.sort_by_key(|h| (h.priority, h.order));
    hooked.chunk_by(|a, b| a.priority == b.priority).map(<[_]>::to_vec).collect()
}

fn device_matches(device: &str, name: &str) -> bool {
    match device.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => device == name,
    }
}

/// What a change of makes a packet from here be routed anew.
fn routing_key(
    packet: &Packet,
) -> (crate::bits::Bits, crate::bits::Bits, crate::bits::Bits, Option<crate::bits::Bits>) {
    let tos = packet.image.load(crate::model::Header::Network, 8, 8).ok().filter(|_| !packet.is_v6());
    (packet.source(), packet.destination(), packet.mark, tos)
}

/// Lets ways with the same packet go on as one.
pub(crate) fn merge(alive: &mut Alive) {
    let mut i = 0;
    while i < alive.len() {
        let mut j = i + 1;
        while j < alive.len() {
            if alive[i].packet == alive[j].packet {
                let other = alive.swap_remove(j);
                alive[i].merge(&other);
            } else {
                j += 1;
            }
        }
        i += 1;
    }
}

/// net/netfilter/nf_conntrack_core.c `nf_conntrack_in`.
fn track(packet: &mut Packet) {
    if packet.ct.is_some() || packet.untracked {
        return;
    }
    if let Some(expected) = packet.expected.take() {
        packet.ct = Some(*expected);
        return;
    }
    let byte = |offset| packet.image.load(crate::model::Header::Transport, offset, 8).ok().and_then(|b| b.exact());
    let begins = match packet.proto {
        // nf_conntrack_proto_icmp.c: only requests begin a connection.
        proto::ICMP => byte(0).is_none_or(|t| matches!(t, 8 | 13 | 15 | 17)),
        proto::ICMP6 => match byte(0) {
            // Neighbour discovery and multicast listener messages are not tracked.
            Some(130..=137 | 143) => {
                packet.untracked = true;
                return;
            }
            kind => kind.is_none_or(|t| matches!(t, 128 | 139)),
        },
        // nf_conntrack_proto_tcp.c, state NONE: a SYN, or (nf_conntrack_tcp_loose) an ACK in the middle.
        proto::TCP => byte(104).is_none_or(|flags| {
            let flags = flags as u8;
            let syn = flags & tcp_flags::SYN != 0;
            let ack = flags & tcp_flags::ACK != 0;
            flags & (tcp_flags::RST | 1) == 0 && (syn != ack)
        }),
        _ => true,
    };
    if begins {
        let mut ct = Conntrack::new(packet.tuple(), packet.proto);
        ct.state = state::NEW;
        packet.ct = Some(ct);
    }
}

/// The addresses of a later packet in the connection's first direction (net/netfilter/nf_nat_core.c `nf_nat_packet`).
fn translate_again(packet: &mut Packet, destination: bool) {
    let Some(ct) = packet.ct.clone().filter(|ct| ct.status & status::SEEN_REPLY != 0) else { return };
    let done = if destination { status::DST_NAT } else { status::SRC_NAT };
    if ct.status & done != 0 {
        readdress(packet, destination, &ct.reply);
    }
}

/// A reply's addresses as its receiver expects them: destination-changing hooks undo what was done to the source, and
/// the other way round.
fn untranslate(packet: &mut Packet, destination: bool) {
    let Some(ct) = packet.ct.clone() else { return };
    let done = if destination { status::SRC_NAT } else { status::DST_NAT };
    if ct.status & done != 0 {
        readdress(packet, destination, &ct.original);
    }
}

/// Sends the packet to where packets of that direction come from, or makes it come from where they go.
fn readdress(packet: &mut Packet, destination: bool, direction: &Tuple) {
    if destination {
        packet.set_destination(direction.src);
        packet.set_dport(direction.sport);
    } else {
        packet.set_source(direction.dst);
        packet.set_sport(direction.dport);
    }
}

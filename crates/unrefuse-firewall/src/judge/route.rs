//! The routing decision between PREROUTING and INPUT or FORWARD, and that of a packet made here.

use std::net::IpAddr;

use crate::answer::StackReason;
use crate::machine::{Route, RouteKind, RouteQuery};
use crate::model::{Hook, Reject};
use crate::packet::{Device, Packet};

use super::path::{Exit, Parted, Path};
use super::run::{Ends, Run};

/// Where a packet goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Onward {
    Local,
    Forward,
}

impl Run<'_, '_> {
    /// net/ipv4/route.c `ip_route_input_slow`, net/ipv6/route.c `ip6_route_input`.
    pub(crate) fn route_in(&self, mut path: Box<Path>, ends: &mut Ends) -> Vec<(Onward, Box<Path>)> {
        let stop = |run: &Self, path, exit, reason: StackReason| run.stack(Hook::Prerouting, path, exit, reason);
        let Some(dst) = path.packet.destination_address() else {
            if path.packet.to_here {
                return vec![(Onward::Local, path)];
            }
            return self.either(path, "the address after NAT is not known");
        };
        let src = path.packet.source_address();
        let iif = match &path.packet.iif {
            Device::Named(name) => Some(name.clone()),
            _ => None,
        };
        let on_lo = iif.as_deref() == Some("lo");
        if let Some(reason) = self.martian(src, dst, iif.as_deref(), on_lo) {
            ends.push(stop(self, path, Exit::Stack(reason.clone()), reason));
            return Vec::new();
        }
        let v6 = path.packet.is_v6();
        // ::1 is asked for with its interface (net/ipv6/route.c `rt6_need_strict`), which has no address of that name.
        let strict = v6 && dst.is_loopback() && !on_lo;
        if strict && iif.is_none() {
            return self.either(path, "the interface that the packet arrives by is not known");
        }
        let kind = match self.kind_of(dst, None) {
            _ if strict => RouteKind::Unicast,
            Some(kind) => kind,
            None if dst.is_loopback() || path.packet.to_here => RouteKind::Local,
            None => {
                self.assume(|| format!("{dst} is not an address of this machine"));
                RouteKind::Unicast
            }
        };
        match kind {
            RouteKind::Local | RouteKind::Anycast => {
                return match self.reverse_path(&path.packet, src, Some(dst), iif.as_deref(), on_lo) {
                    Checked::Passes => vec![(Onward::Local, path)],
                    Checked::Stops(reason) => {
                        ends.push(stop(self, path, Exit::Stack(reason.clone()), reason));
                        Vec::new()
                    }
                };
            }
            RouteKind::Broadcast | RouteKind::Multicast => {
                path.packet.to_many = true;
                // Broadcasts and multicasts are validated, too, as if they were for 0.0.0.0 (ip_mc_validate_source).
                if let Checked::Stops(reason) = self.reverse_path(&path.packet, src, None, iif.as_deref(), on_lo) {
                    ends.push(stop(self, path, Exit::Stack(reason.clone()), reason));
                    return Vec::new();
                }
                return vec![(Onward::Local, path)];
            }
            _ => {}
        }
        let off = match self.forwarding(v6, iif.as_deref()) {
            (Some(false), name) => Some(StackReason::ForwardingOff(name)),
            (None, name) => {
                self.assume(|| format!("{name} is 1"));
                None
            }
            (Some(true), _) => None,
        };
        // IPv6 looks at the route first: one that is none answers all the same (ip6_pkt_drop; ip6_forward comes later).
        if let Some(reason) = off.clone().filter(|_| !v6) {
            ends.push(stop(self, path, Exit::Stack(reason.clone()), reason));
            return Vec::new();
        }
        let mark = path.packet.mark.exact().and_then(|m| u32::try_from(m).ok());
        let query = RouteQuery { dst, src, mark, iif: iif.as_deref(), oif: iif.as_deref().filter(|_| strict) };
        let route = self.judge.machine.route(&query);
        if let (None, Some(reason)) = (&route, &off) {
            ends.push(stop(self, path, Exit::Stack(reason.clone()), reason.clone()));
            return Vec::new();
        }
        let Some(route) = route else {
            path.packet.oif = Device::Unknown;
            return vec![(Onward::Forward, path)];
        };
        if let Some((reason, answer)) = refused(&route, v6) {
            let exit = match answer {
                Some(reject) => Exit::StackReject(reason.clone(), reject),
                None => Exit::Stack(reason.clone()),
            };
            ends.push(stop(self, path, exit, reason));
            return Vec::new();
        }
        if let Some(reason) = off {
            ends.push(stop(self, path, Exit::Stack(reason.clone()), reason));
            return Vec::new();
        }
        if let Checked::Stops(reason) = self.reverse_path(&path.packet, src, Some(dst), iif.as_deref(), on_lo) {
            ends.push(stop(self, path, Exit::Stack(reason.clone()), reason));
            return Vec::new();
        }
        // ip_forward, ip6_forward.
        let unfit = match (path.packet.proxied, path.packet.pkttype) {
            (true, _) => Some(StackReason::ProxiedElsewhere),
            (false, 0) => None,
            (false, _) => Some(StackReason::NotUnicast),
        };
        if let Some(reason) = unfit {
            ends.push(stop(self, path, Exit::Stack(reason.clone()), reason));
            return Vec::new();
        }
        path.packet.oif = route.oif.map_or(Device::Unknown, Device::Named);
        vec![(Onward::Forward, path)]
    }

    fn either(&self, path: Box<Path>, why: &str) -> Vec<(Onward, Box<Path>)> {
        self.fork();
        [(Onward::Local, 0), (Onward::Forward, 1)]
            .into_iter()
            .map(|(onward, side)| {
                let mut way = path.clone();
                way.parted.push(Parted { hook: Hook::Prerouting, by: None, why: why.to_owned(), side });
                if onward == Onward::Forward {
                    way.packet.oif = Device::Unknown;
                }
                (onward, way)
            })
            .collect()
    }

    fn martian(&self, src: Option<IpAddr>, dst: IpAddr, iif: Option<&str>, on_lo: bool) -> Option<StackReason> {
        match (src, dst) {
            (Some(IpAddr::V4(s)), IpAddr::V4(d)) => {
                // Since Linux 5.3 only 0.0.0.0 itself is a "zero net" (ipv4_is_zeronet).
                let exempt = d.is_broadcast() || d.is_unspecified() || matches!(d.octets(), [224, 0, 0, _]);
                let unspecified = s.is_unspecified() && !exempt;
                if s.is_multicast() || s.is_broadcast() || unspecified {
                    return Some(StackReason::MartianSource);
                }
                if d.is_unspecified() && !s.is_unspecified() {
                    return Some(StackReason::MartianDestination);
                }
                let off = || !on_lo && self.setting("net.ipv4.conf", iif, "route_localnet") == Some(0);
                if d.is_loopback() && off() {
                    return Some(StackReason::MartianDestination);
                }
                (s.is_loopback() && !d.is_loopback() && off()).then_some(StackReason::MartianSource)
            }
            _ => None,
        }
    }

    /// What ip6_rcv_core drops for its addresses.
    pub(crate) fn martian_v6(&self, packet: &Packet) -> Option<StackReason> {
        if !packet.is_v6() || packet.iif == Device::Named("lo".into()) {
            return None;
        }
        if packet.destination_address().is_some_and(|d| d.is_loopback()) {
            return Some(StackReason::MartianDestination);
        }
        let source = packet.source_address().is_some_and(|s| s.is_loopback() || s.is_multicast());
        source.then_some(StackReason::MartianSource)
    }

    /// The larger of `all` and the interface's own setting. Where neither is known, the kernel's default 0 is assumed.
    fn setting(&self, base: &str, iif: Option<&str>, name: &str) -> Option<i64> {
        let all = self.judge.machine.sysctl(&format!("{base}.all.{name}"));
        let own = iif.and_then(|i| self.judge.machine.sysctl(&format!("{base}.{i}.{name}")));
        match (all, own) {
            (None, None) => {
                self.assume(|| format!("{base}.*.{name} is 0"));
                Some(0)
            }
            (a, b) => a.max(b),
        }
    }

    /// net/ipv4/fib_frontend.c `fib_validate_source`. IPv6 has none.
    fn reverse_path(
        &self,
        packet: &Packet,
        src: Option<IpAddr>,
        dst: Option<IpAddr>,
        iif: Option<&str>,
        on_lo: bool,
    ) -> Checked {
        let (Some(src @ IpAddr::V4(v4)), false) = (src, on_lo) else { return Checked::Passes };
        if v4.is_unspecified() {
            return Checked::Passes;
        }
        let accept_local = || self.setting("net.ipv4.conf", iif, "accept_local").unwrap_or(0) != 0;
        if self.judge.machine.addr_type(src, None) == Some(RouteKind::Local) && !accept_local() {
            return Checked::Stops(StackReason::MartianSource);
        }
        let mode = self.setting("net.ipv4.conf", iif, "rp_filter").unwrap_or(0);
        if mode == 0 {
            return Checked::Passes;
        }
        let valid_mark = self.setting("net.ipv4.conf", iif, "src_valid_mark").unwrap_or(0) != 0;
        let mark = if valid_mark { packet.mark.exact().and_then(|m| u32::try_from(m).ok()) } else { None };
        let query = RouteQuery { dst: src, src: dst, mark, iif: None, oif: None };
        let Some(back) = self.judge.machine.route(&query) else {
            self.assume(|| format!("the way back to {src} passes rp_filter"));
            return Checked::Passes;
        };
        let sysctl = format!("net.ipv4.conf.{}.rp_filter", iif.unwrap_or("all"));
        let stops = |expected| Checked::Stops(StackReason::RpFilter { sysctl: sysctl.clone(), expected });
        match (back.kind, mode) {
            (RouteKind::Unicast, 1) => match (&back.oif, iif) {
                (Some(oif), Some(iif)) if oif != iif => stops(back.oif.clone()),
                _ => Checked::Passes,
            },
            (RouteKind::Unicast, _) => Checked::Passes,
            _ => stops(None),
        }
    }

    fn forwarding(&self, v6: bool, iif: Option<&str>) -> (Option<bool>, String) {
        let machine = self.judge.machine;
        if v6 {
            let name = "net.ipv6.conf.all.forwarding";
            return (machine.sysctl(name).map(|v| v != 0), name.into());
        }
        // IN_DEV_FORWARD: the arriving interface's own setting; net.ipv4.ip_forward writes all of them.
        if let Some(iif) = iif {
            let name = format!("net.ipv4.conf.{iif}.forwarding");
            if let Some(value) = machine.sysctl(&name) {
                let whole = machine.sysctl("net.ipv4.ip_forward") == Some(0) && value == 0;
                return (Some(value != 0), if whole { "net.ipv4.ip_forward".into() } else { name });
            }
        }
        (machine.sysctl("net.ipv4.ip_forward").map(|v| v != 0), "net.ipv4.ip_forward".into())
    }

    /// The interface by which a packet from here leaves when it is routed anew, or why it is dropped instead, and the errno
    /// (net/ipv4/netfilter.c `ip_route_me_harder`, net/ipv6/netfilter.c `ip6_route_me_harder`).
    pub(crate) fn reroute(&self, packet: &Packet) -> Result<Device, (StackReason, &'static str)> {
        let Some(dst) = packet.destination_address() else { return Ok(Device::Unknown) };
        let mark = packet.mark.exact().and_then(|m| u32::try_from(m).ok());
        let query = RouteQuery { dst, src: packet.source_address(), mark, iif: None, oif: None };
        let device = match self.judge.machine.route(&query) {
            Some(route) => match local_errno(&route) {
                Some((reason, errno)) if reason != StackReason::NotUnicast => return Err((reason, errno)),
                _ => route.oif.map_or(Device::Unknown, Device::Named),
            },
            None if dst.is_loopback() => Device::Named("lo".into()),
            None => Device::Unknown,
        };
        if let Device::Named(oif) = &device
            && self.loopback_leaves(packet.source_address(), oif)
        {
            return Err((StackReason::MartianSource, "EINVAL"));
        }
        Ok(device)
    }

    /// Whether a packet from 127.0.0.0/8 would leave by another interface than lo, which is refused (net/ipv4/route.c
    /// `__mkroute_output`).
    pub(crate) fn loopback_leaves(&self, source: Option<IpAddr>, oif: &str) -> bool {
        let loopback = matches!(source, Some(IpAddr::V4(a)) if a.is_loopback());
        loopback && oif != "lo" && self.setting("net.ipv4.conf", Some(oif), "route_localnet") == Some(0)
    }
}

enum Checked {
    Passes,
    Stops(StackReason),
}

/// What a route that is none answers to a packet that was to be forwarded (net/ipv4/route.c `ip_error`,
/// net/ipv6/route.c `ip6_pkt_drop`).
fn refused(route: &Route, v6: bool) -> Option<(StackReason, Option<Reject>)> {
    let reason = StackReason::Route(route.kind);
    Some(match (route.kind, v6) {
        (RouteKind::Unicast | RouteKind::Local, _) => return None,
        (RouteKind::Blackhole, _) => (reason, None),
        (RouteKind::Unreachable, false) => (reason, Some(Reject::Icmp(3, 1))),
        (RouteKind::Prohibit, false) => (reason, Some(Reject::Icmp(3, 13))),
        (RouteKind::None, false) => (StackReason::NoRoute, Some(Reject::Icmp(3, 0))),
        (RouteKind::Throw, false) => (reason, Some(Reject::Icmp(3, 0))),
        (RouteKind::Prohibit, true) => (reason, Some(Reject::Icmp6(1, 1))),
        (RouteKind::None, true) => (StackReason::NoRoute, Some(Reject::Icmp6(1, 0))),
        (RouteKind::Unreachable | RouteKind::Throw, true) => (reason, Some(Reject::Icmp6(1, 0))),
        _ => (StackReason::NotUnicast, None),
    })
}

/// The errno of connect() for a route that is none (fib_props in net/ipv4/fib_semantics.c, net/ipv6/route.c).
pub(crate) fn local_errno(route: &Route) -> Option<(StackReason, &'static str)> {
    Some(match route.kind {
        RouteKind::Unicast | RouteKind::Local | RouteKind::Anycast => return None,
        RouteKind::None => (StackReason::NoRoute, "ENETUNREACH"),
        RouteKind::Throw => (StackReason::Route(route.kind), "ENETUNREACH"),
        RouteKind::Blackhole => (StackReason::Route(route.kind), "EINVAL"),
        RouteKind::Unreachable => (StackReason::Route(route.kind), "EHOSTUNREACH"),
        RouteKind::Prohibit => (StackReason::Route(route.kind), "EACCES"),
        RouteKind::Broadcast | RouteKind::Multicast => (StackReason::NotUnicast, "ENETUNREACH"),
    })
}

//! Why no socket on the port takes the packet: four causes share this judgement, so that exactly one of them fires.

use super::owner;
use crate::containers;
use crate::finding::{CannotTell, Fired};
use crate::fix::ask_instead;
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::{View, Who};
use std::net::{IpAddr, SocketAddr};
use unrefuse_facts::{AttemptOutcome, Socket, SocketTable};

/// Why one socket on the port does not take the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Address and family fit; it is bound to a device that the packet does not come in by.
    Device,
    /// It is bound to a loopback address and the packet goes to another.
    Loopback,
    /// It is bound to another address.
    Address,
    /// It would fit, were the packet of its family.
    Family,
}

/// The sockets on the target's port, none of which takes the packet.
#[derive(Debug)]
pub(super) struct Misfits<'a> {
    /// The table they stand in.
    pub(super) table: &'a SocketTable,
    /// The reason that is nearest to the packet.
    pub(super) nearest: Misfit,
    /// All of them, those with the nearest reason first.
    sockets: Vec<(&'a Socket, Misfit)>,
}

impl<'a> Misfits<'a> {
    /// The sockets on the port; `None` where the target is another machine, none listens there, or one takes the packet.
    ///
    /// # Errors
    /// Cannot tell where the table is missing, or where it does not say whether an IPv6 socket takes IPv4 and that
    /// decides.
    pub(super) fn of(view: &View<'a>) -> Result<Option<Self>, CannotTell> {
        let (Some(transport), Some(target)) = (view.transport(), view.ip()) else { return Ok(None) };
        let Some(table) = view.server_sockets("whether a socket takes the packet")? else { return Ok(None) };
        let on_port = view.on_port(table, transport);
        if on_port.is_empty() || on_port.iter().any(|s| view.takes(s) == Some(true)) {
            return Ok(None);
        }
        let mut sockets = Vec::new();
        for socket in on_port {
            if socket.takes(target).is_none() && !kernel_refused(view) {
                return Err(CannotTell::new(
                    format!("whether {} takes IPv4 too", socket.local),
                    format!("{} does not tell IPV6_V6ONLY", owner::source(view)),
                    format!("ss -lne 'sport = :{}' shows v6only:1 or v6only:0", view.case.target.port),
                ));
            }
            sockets.push((socket, misfit(view, socket, target)));
        }
        let same_family = |s: &Socket| s.local.ip().to_canonical().is_ipv4() == target.is_ipv4();
        let has = |m: Misfit| sockets.iter().any(|(_, misfit)| *misfit == m);
        let same: Vec<Misfit> = sockets.iter().filter(|(s, _)| same_family(s)).map(|(_, m)| *m).collect();
        let nearest = if has(Misfit::Device) {
            Misfit::Device
        } else if !same.is_empty() {
            if same.iter().all(|m| *m == Misfit::Loopback) { Misfit::Loopback } else { Misfit::Address }
        } else if has(Misfit::Family) {
            Misfit::Family
        } else if has(Misfit::Address) {
            Misfit::Address
        } else {
            Misfit::Loopback
        };
        sockets.sort_by_key(|(s, m)| (*m != nearest, !same_family(s), s.local, s.inode));
        Ok(Some(Self { table, nearest, sockets }))
    }

    /// The same where the nearest reason is `wanted`.
    ///
    /// # Errors
    /// As [`Misfits::of`].
    pub(super) fn nearest(view: &View<'a>, wanted: Misfit) -> Result<Option<Self>, CannotTell> {
        Ok(Self::of(view)?.filter(|found| found.nearest == wanted))
    }

    /// The first socket with the nearest reason.
    pub(super) fn first(&self) -> &'a Socket {
        self.sockets[0].0
    }

    /// `127.0.0.1:5432 and [::1]:5432`: the sockets with the nearest reason.
    pub(super) fn addresses(&self) -> String {
        let mut addresses: Vec<SocketAddr> =
            self.sockets.iter().filter(|(_, m)| *m == self.nearest).map(|(s, _)| s.local).collect();
        addresses.sort();
        addresses.dedup();
        addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" and ")
    }

    /// The advice that its owner be configured so; none for a container engine's helper, which listens where it is told.
    /// Process 1 listens for a socket unit, which has the settings.
    pub(super) fn configure(&self, view: &View<'_>, how: String) -> Option<Fix> {
        if containers::is_forwarded(self.table, self.first()) {
            return None;
        }
        let by_systemd = owner::is_systemd(self.table, self.first());
        let of_unit = || {
            "change ListenStream=, BindIPv6Only= or BindToDevice= of the socket unit that has it, by a drop-in, and restart \
             that unit: `systemctl list-sockets` names it"
                .to_owned()
        };
        Some(Fix::new(view, Risk::Medium, if by_systemd { of_unit() } else { how }))
    }

    /// A finding with that title, and every socket on the port as its evidence.
    pub(super) fn fired(&self, view: &View<'_>, title: String) -> Fired {
        let mut fired = Fired::new(Certainty::Proven, title).predicts(&[AttemptOutcome::Refused]);
        for (socket, _) in &self.sockets {
            fired = fired.evidence(owner::evidence(view, self.table, socket));
        }
        fired = fired.evidence(Evidence::new(
            format!(
                "no {} socket on port {} takes {}",
                self.first().transport.name(),
                view.case.target.port,
                view.endpoint()
            ),
            owner::source(view),
        ));
        let kernel = view.refuser.iter().filter(|r| r.who == Who::ServerKernel);
        fired = fired.evidences(kernel.flat_map(|r| r.evidence.clone()));
        match owner::unknown(self.table, self.first()) {
            Some(unknown) => fired.unknown(unknown),
            None => fired,
        }
    }
}

/// The kernel itself refused, so no socket took the packet: then an unknown `IPV6_V6ONLY` is known to be set.
fn kernel_refused(view: &View<'_>) -> bool {
    view.refuser.as_ref().is_some_and(|r| r.who == Who::ServerKernel && r.certainty > Certainty::Possible)
}

fn misfit(view: &View<'_>, socket: &Socket, target: IpAddr) -> Misfit {
    if socket.takes(target) == Some(true) {
        return Misfit::Device;
    }
    let own = socket.local.ip().to_canonical();
    if own.is_ipv4() == target.is_ipv4() {
        return if own.is_loopback() && !target.is_loopback() { Misfit::Loopback } else { Misfit::Address };
    }
    if own.is_unspecified() || own.is_loopback() && target.is_loopback() || same_link(view, own, target) {
        Misfit::Family
    } else if own.is_loopback() {
        Misfit::Loopback
    } else {
        Misfit::Address
    }
}

/// Both are addresses of one interface that is not the loopback one.
fn same_link(view: &View<'_>, one: IpAddr, other: IpAddr) -> bool {
    let link = |ip: IpAddr| view.case.host.addresses.value()?.iter().find(|a| a.address == ip).map(|a| a.link);
    !one.is_loopback() && !other.is_loopback() && link(one).is_some() && link(one) == link(other)
}

/// Where the sockets can be asked instead: a wildcard one at this machine's loopback address.
pub(super) fn instead(socket: &Socket) -> SocketAddr {
    let ip = match socket.local.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, socket.local.port())
}

/// The advice to ask there; none for a client elsewhere, who does not come to loopback, and none for an address that the
/// machine had when the socket was bound and has no more.
pub(super) fn ask_there(view: &View<'_>, socket: &Socket) -> Option<Fix> {
    let there = instead(socket);
    let reached = !there.ip().is_loopback() || !view.judged_only();
    (reached && view.case.is_local(there.ip()) != Some(false)).then(|| ask_instead(view, there))
}

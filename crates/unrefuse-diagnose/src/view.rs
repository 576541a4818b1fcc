//! One address of a case, as rules look at it.

use crate::again::Again;
use crate::finding::CannotTell;
use crate::journey::Reach;
use crate::refuser::{self, Refuser};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use unrefuse_facts::{Attempt, AttemptOutcome, Case, Protocol, Routing, Socket, SocketTable, Transport, vrf_of};

/// One address of a case with its attempts; for a name that did not resolve, the case alone.
#[derive(Debug)]
pub struct View<'a> {
    /// Everything that was seen.
    pub case: &'a Case,
    /// The address under judgement, with its port. `None`: the name gave none.
    pub address: Option<SocketAddr>,
    /// The attempts to it, one a round.
    pub rounds: Vec<&'a Attempt>,
    /// Who answered the judged attempt, as far as its answer shows.
    pub refuser: Option<Refuser>,
    /// How far the packet surely came.
    pub reach: Reach,
}

impl<'a> View<'a> {
    /// The view of one address.
    pub fn of(case: &'a Case, address: SocketAddr) -> Self {
        let rounds: Vec<&Attempt> = case.attempts.iter().filter(|a| a.address == address).collect();
        let mut view = Self { case, address: Some(address), rounds, refuser: None, reach: Reach::default() };
        view.refuser = view.attempt().and_then(|attempt| refuser::refuser(case, attempt));
        view.reach = Reach::of(&view);
        view
    }

    /// The view of a name that gave no address.
    pub fn unresolved(case: &'a Case) -> Self {
        Self { case, address: None, rounds: Vec::new(), refuser: None, reach: Reach::default() }
    }

    /// One view for each address, in the order applications try them; one without address when there is none.
    pub fn all(case: &'a Case) -> Vec<Self> {
        match &case.resolution.result {
            Ok(addresses) if !addresses.is_empty() => addresses.iter().map(|a| Self::of(case, *a)).collect(),
            _ => vec![Self::unresolved(case)],
        }
    }

    /// The attempt that is judged: the first that failed and was answered, else the first that failed, else the first.
    ///
    /// ICMP errors are rate limited (`net.ipv4.icmp_ratelimit`), so one round may be rejected and the next be silent; the
    /// answered one shows more.
    pub fn attempt(&self) -> Option<&'a Attempt> {
        let failed = || self.rounds.iter().filter(|a| a.outcome != AttemptOutcome::Open);
        failed().find(|a| a.answer.is_some()).or_else(|| failed().next()).or(self.rounds.first()).copied()
    }

    /// How the judged attempt ended.
    pub fn outcome(&self) -> Option<AttemptOutcome> {
        self.attempt().map(|a| a.outcome)
    }

    /// The attempt failed. `false` also where none was made.
    pub fn failed(&self) -> bool {
        self.outcome().is_some_and(|o| o != AttemptOutcome::Open)
    }

    /// The address as the packet has it: 0.0.0.0 and :: mean this machine (`connect(2)` to them goes to loopback).
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.map(|a| match a.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        })
    }

    /// The address belongs to this machine; `None` where that is not known.
    pub fn is_local(&self) -> Option<bool> {
        self.case.is_local(self.ip()?)
    }

    /// The way to the address.
    pub fn routing(&self) -> Option<&'a Routing> {
        self.case.routing(self.address?.ip())
    }

    /// TCP or UDP; `None` for a unix socket.
    pub fn transport(&self) -> Option<Transport> {
        match self.case.target.protocol {
            Protocol::Tcp => Some(Transport::Tcp),
            Protocol::Udp => Some(Transport::Udp),
            Protocol::Unix => None,
        }
    }

    /// The socket table that decides, when the target is this machine: `Ok(None)` for an address of another machine
    /// and for a unix socket.
    ///
    /// # Errors
    /// Cannot tell where the table was not readable; `what` is the question that stays open.
    pub fn server_sockets(&self, what: &str) -> Result<Option<&'a SocketTable>, CannotTell> {
        if self.case.target.protocol == Protocol::Unix {
            return Ok(None);
        }
        match self.is_local() {
            Some(true) => self.case.host.sockets.get().map(Some).map_err(|m| CannotTell::because(what, m)),
            _ => Ok(None),
        }
    }

    /// Sockets that listen on the target's port with that transport, at any address.
    pub fn on_port<'t>(&self, table: &'t SocketTable, transport: Transport) -> Vec<&'t Socket> {
        let port = self.case.target.port;
        table.listeners.iter().filter(|s| s.transport == transport && s.local.port() == port).collect()
    }

    /// Whether `socket` would take the packet: by address, family and bound device. `None`: cannot tell.
    pub fn takes(&self, socket: &Socket) -> Option<bool> {
        let by_address = socket.takes(self.ip()?)?;
        Some(by_address && self.device_admits(socket))
    }

    /// A socket bound to a device takes only what comes in by it. What this machine sends to a loopback address comes in by
    /// `lo`; what it sends to an address of another interface does not count as that (`rt_iif` of `__mkroute_output`,
    /// net/ipv4/route.c).
    pub fn device_admits(&self, socket: &Socket) -> bool {
        let Some(device) = socket.device else { return true };
        let by_loopback = || self.ip().is_some_and(|ip| ip.is_loopback());
        self.clients_link() == Some(device)
            || self.judged_only() && self.vrf() == Some(device)
            || self.case.host.link(device).is_some_and(|link| link.loopback && by_loopback())
    }

    /// The VRF that the asked address belongs to: a socket that is bound to it takes what comes in by its interfaces.
    fn vrf(&self) -> Option<u32> {
        let host = &self.case.host;
        vrf_of(self.ip()?, host.addresses.value()?, host.links.value()?).map(|vrf| vrf.index)
    }

    /// The interface that the packets of a client elsewhere come in by: the judged one, else the one of the way back.
    pub(crate) fn clients_link(&self) -> Option<u32> {
        if !self.judged_only() {
            return None;
        }
        let named = self.judged().and_then(|judged| judged.ingress.as_ref()?.arrives_by.as_deref());
        let named = named.and_then(|name| self.case.host.links.value()?.iter().find(|link| link.name == name));
        let back = || self.case.way_back.as_ref()?.decision.value()?.via()?.link;
        named.map(|link| link.index).or_else(back)
    }

    /// The sockets that the kernel hands the packet to; several only where they share the port with `SO_REUSEPORT`.
    ///
    /// Of those that take it the best match, as `compute_score` of net/ipv4/inet_hashtables.c ranks them: the exact
    /// address before the wildcard, then the bound device and IPv4 before a dual-stack IPv6 socket.
    pub fn takers<'t>(&self, table: &'t SocketTable) -> Vec<&'t Socket> {
        let Some(transport) = self.transport() else { return Vec::new() };
        let score = |s: &Socket| {
            let exact = !s.local.ip().to_canonical().is_unspecified();
            (exact, u8::from(s.device.is_some()) + u8::from(s.local.is_ipv4()))
        };
        let mut takers = self.on_port(table, transport);
        takers.retain(|s| self.takes(s) == Some(true));
        let best = takers.iter().map(|s| score(s)).max();
        takers.retain(|s| Some(score(s)) == best);
        takers
    }

    /// The target itself answered a UDP datagram with port unreachable (3/3, ICMPv6 1/4). A kernel without a socket does so
    /// (RFC 1122 4.1.3.1), and so does a filter's REJECT: the two are the same packet.
    pub fn udp_port_unreachable(&self) -> bool {
        let (Some(target), Some(answer)) = (self.ip(), self.attempt().and_then(|a| a.answer.as_ref())) else {
            return false;
        };
        self.transport() == Some(Transport::Udp)
            && matches!(
                (target.is_ipv4(), answer.icmp_type, answer.icmp_code),
                (true, Some(3), Some(3)) | (false, Some(1), Some(4))
            )
            && answer.from.is_none_or(|from| from == target)
    }

    /// `10.0.0.5:5432`, `[::1]:80`, or the name where there is no address.
    pub fn endpoint(&self) -> String {
        match self.address {
            Some(_) if self.case.target.protocol == Protocol::Unix => self.case.target.host.clone(),
            Some(address) => address.to_string(),
            None => self.case.target.endpoint(),
        }
    }

    /// `5432/tcp`.
    pub fn port(&self) -> String {
        format!("{}/{}", self.case.target.port, self.case.target.protocol)
    }

    /// The command that asks again, for `verify`.
    pub fn verify(&self) -> String {
        self.verify_at(&self.case.target.endpoint())
    }

    /// The command that asks `endpoint` in the same way.
    pub(crate) fn verify_at(&self, endpoint: &str) -> String {
        self.again().said(endpoint)
    }

    /// The network namespace is not the machine's own: what the machine sets up at its start (saved rules, sysctl.d, its
    /// network configuration) is not set up there, and what it runs there does not answer here.
    pub(crate) fn is_apart(&self) -> bool {
        let vantage = &self.case.vantage;
        match self.case.host.own.netns_is_init {
            Some(init) => !init,
            None => vantage.netns.is_some() || vantage.container.is_some(),
        }
    }

    /// The question's own options, for another one.
    pub(crate) fn again(&self) -> Again<'a> {
        Again::of(self)
    }

    /// The command that asks the same on another machine.
    pub(crate) fn verify_there(&self) -> String {
        self.again().on_another_machine().said(&self.case.target.endpoint())
    }

    /// The other views' outcomes: whether another address of the same name is open.
    pub fn open_elsewhere(&self) -> Option<SocketAddr> {
        let other = |a: &&Attempt| Some(a.address) != self.address && a.outcome == AttemptOutcome::Open;
        self.case.attempts.iter().find(other).map(|a| a.address)
    }
}

//! What the judged packet filters say of an address, in the form that the rules of `egress` and `ingress` share.

pub(crate) mod access_list;
mod allow;
mod command;
mod describe;
mod interface;
mod managers;
mod nat;
mod neighbours;
mod remove;
mod source_nat;

pub(crate) use allow::{allow, and_behind, and_without, take_out};
pub(crate) use command::{keep_setting, setting_name};
pub(crate) use describe::{decider, evidence, owned_by, rule as rule_text, safe, short, source};
pub(crate) use interface::at_interface;
pub(crate) use nat::{end_of, listener_beside};
pub(crate) use remove::{remove, remove_rule};
pub(crate) use source_nat::{Clients, masquerade};

use crate::finding::{CannotTell, Fired};
use crate::report::Certainty;
use crate::{View, certainty};
use std::net::IpAddr;
use unrefuse_facts::{
    AddressJudgement, AttemptOutcome, ClientSees, Decider, Errno, Fate, FilterBackend, FilterHook, FilterRule,
    FirewallFacts, Judgement, NeighbourState, Observed, Reason, RejectKind, RouteDecision, RuleOwner, SetHit,
    StackReason, Transport,
};

/// Which packet of the connection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leg {
    /// This machine is the client: its packet on the way out.
    Out,
    /// This machine is the client: the answer on the way in.
    AnswerIn,
    /// This machine is the server: the client's packet on the way in.
    In,
    /// This machine is the server: its answer on the way out.
    AnswerOut,
    /// This machine is the server: what the client sends once it was answered.
    Later,
    /// Neighbour discovery, on its way in.
    NeighbourIn,
    /// Neighbour discovery, on its way out.
    NeighbourOut,
}

impl Leg {
    /// It is no packet of the connection, but one that has to come before.
    pub(crate) const fn is_neighbours(self) -> bool {
        matches!(self, Self::NeighbourIn | Self::NeighbourOut)
    }
}

/// A packet that the filters stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop<'a> {
    /// Which packet.
    pub leg: Leg,
    /// The whole judgement.
    pub judgement: &'a Judgement,
    /// What happens to it.
    pub fate: &'a Fate,
    /// It surely happens; else it depends on something that was not read.
    pub certain: bool,
}

/// What kind of stop it is: each has a cause of its own, the more specific first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Banned,
    NoEndpoints,
    RpFilter,
    ForwardingOff,
    RuleOrder,
    MixedBackends,
    Firewall,
}

impl View<'_> {
    /// What this machine's filters do with the packets of this address, where that was judged.
    pub(crate) fn judged(&self) -> Option<&AddressJudgement> {
        self.case.judgement(self.address?)
    }
    /// All that was read of the filters.
    pub(crate) fn firewall(&self) -> Option<&FirewallFacts> {
        self.case.firewall.value()
    }
    /// The client whose way in was judged; `None` where that is this machine itself.
    pub(crate) fn asker(&self) -> Option<IpAddr> {
        let from = self.firewall()?.from?;
        (self.case.is_local(from) != Some(true)).then_some(from)
    }
    /// NAT of this machine sends the packets elsewhere than to the address: in OUTPUT, or, for somebody else's packets, on
    /// their way in.
    pub(crate) fn redirected(&self) -> bool {
        let judged = self.judged();
        let judgement = judged.and_then(|j| if self.judged_only() { j.ingress.as_ref() } else { j.egress.as_ref() });
        let to = judgement.and_then(|j| j.translated.as_ref()).map(|translation| translation.to);
        to.is_some() && to != self.address
    }
    /// Somebody else's way in is judged (`--from`): no attempt could be made.
    pub(crate) fn judged_only(&self) -> bool {
        self.address.is_some() && self.rounds.is_empty() && self.case.vantage.kind == unrefuse_facts::VantageKind::From
    }
}

impl<'a> Stop<'a> {
    /// What decided.
    pub(crate) fn decider(&self) -> Option<&'a Decider> {
        self.judgement.decided_by.as_ref()
    }
    /// The client is told.
    pub(crate) fn rejects(&self) -> bool {
        matches!(self.fate, Fate::Rejected(_)) && matches!(self.leg, Leg::Out | Leg::In)
    }
    /// How the client's attempt ends.
    pub(crate) fn predicts(&self, view: &View<'_>) -> &'static [AttemptOutcome] {
        let udp = view.transport() == Some(Transport::Udp);
        if self.leg == Leg::Later {
            return &[AttemptOutcome::Open, AttemptOutcome::ClosedOnAccept, AttemptOutcome::Reset];
        }
        if self.leg.is_neighbours() {
            return &[AttemptOutcome::Unreachable, AttemptOutcome::TimedOut];
        }
        if matches!(self.leg, Leg::AnswerIn | Leg::AnswerOut) {
            // The sender of the answer may be told; the client hears nothing.
            return &[AttemptOutcome::TimedOut];
        }
        if udp && self.leg == Leg::Out && matches!(self.fate, Fate::Rejected(_)) {
            // The drop is EPERM for sendto(2) at once; the error that REJECT sends may be read instead, later.
            return &[AttemptOutcome::Denied, AttemptOutcome::Refused, AttemptOutcome::Unreachable];
        }
        let outcome = match (self.judgement.client_sees, self.fate) {
            (ClientSees::Failure { outcome, .. }, _) if self.certain => outcome,
            (_, Fate::Rejected(kind)) => rejected(*kind, view),
            (_, Fate::NotSent(Errno::EPERM | Errno::EACCES)) => AttemptOutcome::Denied,
            (_, Fate::NotSent(_)) => AttemptOutcome::Unreachable,
            // A drop in OUTPUT is EPERM for a datagram; TCP takes it for a loss.
            (_, Fate::Dropped) if udp && self.leg == Leg::Out => AttemptOutcome::Denied,
            _ => AttemptOutcome::TimedOut,
        };
        only(outcome)
    }
    /// A finding of this stop with its evidence, still without fixes.
    pub(crate) fn fired(&self, view: &View<'_>, title: String) -> Fired {
        let certainty = if self.certain { Certainty::Proven } else { Certainty::Likely };
        Fired::new(certainty, title).predicts(self.predicts(view)).evidences(evidence(view, self))
    }
    /// Which cause it is.
    pub(crate) fn kind(&self) -> Kind {
        let rule = match self.decider() {
            Some(Decider::Stack(StackReason::RpFilter { .. })) => return Kind::RpFilter,
            Some(Decider::Stack(StackReason::ForwardingOff { .. })) => return Kind::ForwardingOff,
            Some(Decider::Policy(policy)) if policy.place.hook == FilterHook::Forward && self.leg == Leg::In => {
                return if self.accepted_elsewhere().is_some() { Kind::MixedBackends } else { Kind::ForwardingOff };
            }
            Some(Decider::Rule(rule)) => Some(rule),
            _ => None,
        };
        if rule.is_some_and(no_endpoints) {
            return Kind::NoEndpoints;
        }
        if self.leg != Leg::In {
            return Kind::Firewall;
        }
        if let Some(rule) = rule {
            // A list inside the rule (`__set0`) is part of the rule.
            let banned = |set: &SetHit| set.by_source && !set.name.starts_with("__");
            if rule.set.as_ref().is_some_and(banned) || bans(&rule.owner) {
                return Kind::Banned;
            }
            if tests_reverse_path(&rule.text) {
                return Kind::RpFilter;
            }
            if self.later_accept().is_some() {
                return Kind::RuleOrder;
            }
        }
        if self.accepted_elsewhere().is_some() { Kind::MixedBackends } else { Kind::Firewall }
    }
    /// The rule behind the deciding one that somebody made to let the packet in. ufw's own tracking of a default policy
    /// that accepts (`ufw-track-input`, ufw-framework(8)) lets everything in and is nobody's wish for this port.
    pub(crate) fn later_accept(&self) -> Option<&'a FilterRule> {
        let tracks = |rule: &&FilterRule| ["ufw-track-", "ufw6-track-"].iter().any(|p| rule.place.chain.starts_with(p));
        self.judgement.later_accept.as_ref().filter(|rule| !tracks(rule))
    }
    /// A rule of another table that accepts the packet at the same hook, and so does not help.
    pub(crate) fn accepted_elsewhere(&self) -> Option<&'a FilterRule> {
        let place = self.decider()?.place()?;
        let filters = |rule: &&FilterRule| {
            rule.place.backend == FilterBackend::Nft || !["nat", "mangle", "raw"].contains(&rule.place.table.as_str())
        };
        let other = |rule: &&FilterRule| {
            let other = &rule.place;
            let priorities = other.priority.zip(place.priority);
            (other.backend, other.family, &other.table) != (place.backend, place.family, &place.table)
                || priorities.is_some_and(|(one, two)| one != two)
        };
        self.judgement.accepted_by.iter().filter(filters).filter(other).find(|rule| rule.place.hook == place.hook)
    }
}

/// kube-proxy's words for a Service without a ready pod (pkg/proxy/iptables, pkg/proxy/nftables).
fn no_endpoints(rule: &FilterRule) -> bool {
    let comment = |text: &Option<String>| {
        text.as_ref().is_some_and(|text| text.contains("has no endpoints") || text.contains("has no local endpoints"))
    };
    let kube = matches!(rule.owner, RuleOwner::KubeProxy { .. });
    let by_chain = kube && rule.place.backend == FilterBackend::Nft && rule.place.chain.starts_with("reject-chain");
    kube && (comment(&rule.comment) || rule.set.as_ref().is_some_and(|set| comment(&set.comment))) || by_chain
}

fn bans(owner: &RuleOwner) -> bool {
    match owner {
        RuleOwner::Fail2ban { .. } => true,
        RuleOwner::Program { name } => ["crowdsec", "sshguard"].contains(&name.as_str()),
        _ => false,
    }
}

/// The reverse path filter as a rule: iptables' rpfilter match, nft's fib expression.
fn tests_reverse_path(text: &str) -> bool {
    text.contains("-m rpfilter") || text.contains("fib saddr") && text.contains("oif")
}

fn rejected(kind: RejectKind, view: &View<'_>) -> AttemptOutcome {
    let v4 = view.ip().is_none_or(|ip| ip.is_ipv4());
    match (kind, v4) {
        (RejectKind::TcpReset, _)
        | (RejectKind::Icmp { kind: 3, code: 3 }, true)
        | (RejectKind::Icmp { kind: 1, code: 4 }, false) => AttemptOutcome::Refused,
        // Where IPv4 says EHOSTUNREACH, IPv6 says EACCES (net/ipv6/icmp.c, tab_unreach).
        (RejectKind::Icmp { kind: 1, code: 1 | 5 | 6 }, false) => AttemptOutcome::Denied,
        _ => AttemptOutcome::Unreachable,
    }
}

fn only(outcome: AttemptOutcome) -> &'static [AttemptOutcome] {
    match outcome {
        AttemptOutcome::Open => &[AttemptOutcome::Open],
        AttemptOutcome::Refused => &[AttemptOutcome::Refused],
        AttemptOutcome::Reset => &[AttemptOutcome::Reset],
        AttemptOutcome::TimedOut => &[AttemptOutcome::TimedOut],
        AttemptOutcome::Unreachable => &[AttemptOutcome::Unreachable],
        AttemptOutcome::Denied => &[AttemptOutcome::Denied],
        AttemptOutcome::ClosedOnAccept => &[AttemptOutcome::ClosedOnAccept],
    }
}

/// The packet that this machine's filters stop, where this machine is the client.
pub(crate) fn stopped_out<'a>(view: &'a View<'_>) -> Option<Stop<'a>> {
    let judged = view.judged()?;
    let stop = |leg, judgement: &'a Option<Judgement>| judgement.as_ref().and_then(|j| stopped(view, leg, j));
    stop(Leg::Out, &judged.egress)
        .filter(|stop| !unrouted(view, stop))
        .or_else(|| stop(Leg::AnswerIn, &judged.egress_reply))
        .or_else(|| neighbours_stopped(judged).filter(|_| judged.egress.is_some() && unresolved(view)))
}

/// The packet that this machine's filters stop, where this machine is the server.
pub(crate) fn stopped_in<'a>(view: &'a View<'_>) -> Option<Stop<'a>> {
    let judged = view.judged()?;
    let stop = |leg, judgement: &'a Option<Judgement>| judgement.as_ref().and_then(|j| stopped(view, leg, j));
    stop(Leg::In, &judged.ingress)
        .filter(|stop| !unrouted(view, stop))
        .or_else(|| stop(Leg::AnswerOut, &judged.reply))
        .or_else(|| neighbours_stopped(judged).filter(|_| judged.ingress.is_some() && judged.egress.is_none()))
        .or_else(|| stop(Leg::Later, &judged.later))
}

/// Neighbour discovery that surely is stopped, in one direction or the other.
fn neighbours_stopped(judged: &AddressJudgement) -> Option<Stop<'_>> {
    stopped_leg(Leg::NeighbourIn, &judged.neighbour_in)
        .or_else(|| stopped_leg(Leg::NeighbourOut, &judged.neighbour_out))
}

fn stopped_leg(leg: Leg, judgement: &Option<Judgement>) -> Option<Stop<'_>> {
    let judgement = judgement.as_ref().filter(|judgement| judgement.fate.is_stopped())?;
    Some(Stop { leg, judgement, fate: &judgement.fate, certain: true })
}

/// The next machine's link address is not known: what was resolved before the rules came is still used.
fn unresolved(view: &View<'_>) -> bool {
    match view.routing().map(|routing| &routing.neighbour) {
        Some(Observed::Known { value, .. }) => {
            matches!(value.state, NeighbourState::Failed | NeighbourState::Incomplete)
        }
        Some(Observed::Missing(missing)) => missing.reason == Reason::Absent,
        _ => false,
    }
}

/// Without a route the stack sends nothing, and no filter had a say: that is the gate `route`.
fn unrouted(view: &View<'_>, stop: &Stop<'_>) -> bool {
    matches!(view.routing().and_then(|r| r.decision.value()), Some(RouteDecision::No { .. }))
        && matches!(stop.decider(), Some(Decider::Stack(_)))
}

fn stopped<'a>(view: &View<'_>, leg: Leg, judgement: &'a Judgement) -> Option<Stop<'a>> {
    match &judgement.fate {
        fate if fate.is_stopped() => Some(Stop { leg, judgement, fate, certain: true }),
        // It depends on something: believed only where the attempt ended just so.
        Fate::Depends { fates, .. } => {
            let seen = view.outcome()?;
            fates
                .iter()
                .filter(|fate| fate.is_stopped())
                .map(|fate| Stop { leg, judgement, fate, certain: false })
                .find(|stop| certainty::explains(stop.predicts(view), seen))
        }
        _ => None,
    }
}

/// The question stays open where the filters were not read, or not judged to the end.
pub(crate) fn unread(view: &View<'_>, judgement: Option<&Judgement>, what: &str) -> Option<CannotTell> {
    match (view.case.firewall.get(), judgement) {
        (_, Some(Judgement { fate: Fate::Unknown { reason }, .. })) => {
            Some(CannotTell::new(what, unrefuse_facts::text::visible(reason), "nft list ruleset; iptables-save -c"))
        }
        (Err(missing), _) if missing.reason != Reason::NotLooked => Some(CannotTell::because(what, missing)),
        _ => None,
    }
}

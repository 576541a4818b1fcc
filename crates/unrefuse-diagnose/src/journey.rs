//! How far a packet came, and what each gate says of it.

use crate::filter::at_interface;
use crate::refuser::{Distance, Who, same_connection};
use crate::report::{Certainty, GateInfo, GateStatus};
use crate::{Gate, View};
use unrefuse_facts::{AnswerKind, AttemptOutcome, Fate, Judgement, Protocol};

/// How far a packet surely came, read from its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// The last gate that it surely passed, and so all before.
    pub passed: Option<Gate>,
    /// The gate where the answer shows that it was stopped.
    pub stopped: Option<Gate>,
}

impl Reach {
    /// Reads the answer of the judged attempt.
    pub(crate) fn of(view: &View<'_>) -> Self {
        let Some(attempt) = view.attempt() else { return Self::default() };
        let to = |passed, stopped| Self { passed: Some(passed), stopped };
        match attempt.outcome {
            AttemptOutcome::Open => return to(Gate::Access, None),
            AttemptOutcome::ClosedOnAccept | AttemptOutcome::Reset if from_elsewhere(view) => {
                return to(Gate::Egress, Some(Gate::Path));
            }
            AttemptOutcome::ClosedOnAccept => return to(Gate::Listener, Some(Gate::Access)),
            // A RST to a SYN is ECONNREFUSED: the handshake was answered before (tcp_reset of net/ipv4/tcp_input.c).
            AttemptOutcome::Reset => return to(Gate::Ingress, None),
            _ => {}
        }
        if view.redirected() {
            // Whoever answered stands where NAT sent it, and not at the target.
            return to(Gate::Route, None);
        }
        let egress_rejects = view
            .judged()
            .and_then(|j| j.egress.as_ref())
            .is_some_and(|egress| matches!(egress.fate, Fate::Rejected(_)));
        let answer = attempt.answer.as_ref();
        match view.refuser.as_ref().filter(|r| r.certainty > Certainty::Possible).map(|r| r.who) {
            Some(Who::ServerKernel) => to(Gate::Ingress, Some(Gate::Listener)),
            // What this machine sends itself meets its own OUTPUT chain first: which of the two rejected is not in the answer.
            Some(Who::ServerFirewall) if view.is_local() == Some(true) => to(Gate::Route, None),
            Some(Who::ServerFirewall) => to(Gate::Path, Some(Gate::Ingress)),
            Some(Who::Router) => to(Gate::Egress, Some(Gate::Path)),
            Some(Who::ThisMachine) if egress_rejects && answer.is_some_and(|a| a.kind != AnswerKind::Local) => {
                to(Gate::Route, Some(Gate::Egress))
            }
            Some(Who::ThisMachine) => match answer.map(|a| (a.kind, a.icmp_type, a.icmp_code)) {
                // The kernel signs its own failure to resolve the neighbour as an ICMP host (address) unreachable.
                Some((AnswerKind::Icmp, Some(3), Some(1)) | (AnswerKind::Icmp, Some(1), Some(3))) => {
                    to(Gate::Egress, None)
                }
                Some((AnswerKind::Icmp, ..)) => to(Gate::Route, Some(Gate::Egress)),
                _ => to(Gate::Name, None),
            },
            None => match view.routing().and_then(|r| r.decision.value()) {
                Some(decision) if decision.via().is_some() => to(Gate::Route, None),
                _ => to(Gate::Name, None),
            },
        }
    }

    /// The packet surely passed `gate`.
    pub fn is_past(&self, gate: Gate) -> bool {
        self.passed.is_some_and(|passed| gate <= passed)
    }
}

/// The RST comes from another distance than the SYN-ACK.
fn from_elsewhere(view: &View<'_>) -> bool {
    let seen = view.attempt().and_then(same_connection);
    view.is_local() != Some(true) && seen.is_some_and(|(.., distance)| distance != Distance::Same)
}

/// What each gate says of this address, where no rule says otherwise; `blocked` are the gates with a finding and its title.
pub(crate) fn journey(view: &View<'_>, blocked: &[(Gate, String)]) -> Vec<GateInfo> {
    Gate::JOURNEY
        .into_iter()
        .map(|gate| {
            let (status, summary) = match blocked.iter().find(|(at, _)| *at == gate) {
                Some((_, title)) => (GateStatus::Blocks, title.clone()),
                None => unblocked(view, gate),
            };
            GateInfo { gate, status, summary }
        })
        .collect()
}

fn unblocked(view: &View<'_>, gate: Gate) -> (GateStatus, String) {
    if view.judged_only() && matches!(gate, Gate::Route | Gate::Egress | Gate::Path) {
        return (GateStatus::Skipped, "the client's own gates cannot be judged from here".to_owned());
    }
    let says = |status, summary: &str| (status, summary.to_owned());
    let unix = view.case.target.protocol == Protocol::Unix;
    match gate {
        Gate::Name if unix || view.case.target.literal().is_some() => {
            return says(GateStatus::Skipped, "no name to resolve");
        }
        Gate::Route | Gate::Egress | Gate::Path | Gate::Ingress if unix => {
            return says(GateStatus::Skipped, "a unix socket is no matter of the network");
        }
        Gate::Path if view.is_local() == Some(true) => return says(GateStatus::Skipped, "the target is this machine"),
        _ => {}
    }
    if view.address.is_none() {
        return match gate {
            Gate::Name => says(GateStatus::Blocks, "the name gives no address"),
            _ => says(GateStatus::Skipped, "there is no address to go to"),
        };
    }
    if view.reach.is_past(gate) {
        return (GateStatus::Pass, passed(view, gate));
    }
    if view.reach.stopped == Some(gate) {
        return says(GateStatus::Blocks, "the answer shows that the packet was stopped here");
    }
    // Only the gate of the side that is looked at from here: the other machine's interfaces are not seen.
    let own = if view.judged_only() { Gate::Ingress } else { Gate::Egress };
    if let Some(unseen) = at_interface(view).filter(|_| gate == own) {
        return (GateStatus::Unknown, unseen.0.what);
    }
    match gate {
        Gate::Name => (GateStatus::Pass, passed(view, gate)),
        Gate::Route => match view.routing().and_then(|r| r.decision.value()) {
            Some(decision) if decision.via().is_some() => (GateStatus::Pass, passed(view, gate)),
            Some(_) => says(GateStatus::Blocks, "the kernel has no way there"),
            None => says(GateStatus::Unknown, "the kernel's route was not read"),
        },
        Gate::Listener => match healthy_listener(view) {
            Some(summary) => (GateStatus::Pass, summary),
            None => says(GateStatus::Unknown, "the server's sockets are not visible from here"),
        },
        Gate::Access => says(GateStatus::Skipped, "no connection was made"),
        Gate::Egress => by_judgement(view.judged().map(|j| [&j.egress, &j.egress_reply]), "this machine's own filters"),
        Gate::Path => says(GateStatus::Unknown, "nothing on the way answered"),
        _ => by_judgement(view.judged().map(|j| [&j.ingress, &j.reply]), "the server's filters"),
    }
}

/// What the judged filters say, where no cause stands for them: the packet, and its answer.
fn by_judgement(packets: Option<[&Option<Judgement>; 2]>, whose: &str) -> (GateStatus, String) {
    let judged = packets.map(|[there, back]| (there.as_ref(), back.as_ref()));
    match judged {
        Some((Some(there), back)) if [Some(there), back].into_iter().flatten().all(|j| j.fate == Fate::Accepted) => {
            (GateStatus::Pass, format!("{whose} let it through"))
        }
        Some((Some(Judgement { fate: Fate::Depends { reason, .. }, .. }), _)) => {
            (GateStatus::Unknown, format!("{whose}: it depends: {}", crate::filter::safe(reason)))
        }
        _ => (GateStatus::Unknown, format!("{whose} were not judged")),
    }
}

fn passed(view: &View<'_>, gate: Gate) -> String {
    match gate {
        Gate::Name => {
            format!("{} is {}", view.case.target.host, view.address.map(|a| a.ip().to_string()).unwrap_or_default())
        }
        Gate::Route => match view.routing().and_then(|r| r.decision.value()).and_then(|d| d.via()) {
            Some(route) => {
                let device = route.link.and_then(|index| view.case.host.link(index)).map_or("?", |link| &link.name);
                match route.gateway {
                    Some(gateway) => format!("goes out by {device} via {gateway}"),
                    None => format!("goes out by {device}"),
                }
            }
            None => "the kernel has a way there".to_owned(),
        },
        Gate::Egress => "this machine lets it out".to_owned(),
        Gate::Path => "the way there carries it".to_owned(),
        Gate::Ingress => "it reaches the server's sockets".to_owned(),
        Gate::Listener => healthy_listener(view).unwrap_or_else(|| "the connection is taken".to_owned()),
        _ => "the connection is kept".to_owned(),
    }
}

/// The socket that takes the packet, with its owner, where this machine is the server.
fn healthy_listener(view: &View<'_>) -> Option<String> {
    let table = view.server_sockets("").ok()??;
    let socket = view.on_port(table, view.transport()?).into_iter().find(|s| view.takes(s) == Some(true))?;
    let owner = table.owners(socket).first().map(|p| format!("{} listens", p.label()));
    Some(format!("{} on {}", owner.unwrap_or_else(|| "a socket listens".to_owned()), socket.local))
}

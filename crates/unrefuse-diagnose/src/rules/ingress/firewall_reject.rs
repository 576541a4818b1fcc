//! ingress/firewall-reject
//!
//! Judged by the rules where they were read, else from the answer alone: then which rule rejects stays open.

use super::firewall_drop::{other_zone, zone};
use crate::filter::{Kind, Stop, allow, decider, owned_by, stopped_in};
use crate::finding::{CannotTell, Finding, Fired};
use crate::refuser::icmp_name;
use crate::report::{Certainty, Evidence, Fix, Risk, Unknown};
use crate::rule::cause;
use crate::rules::listener::owner;
use crate::{View, Who};
use unrefuse_facts::{AnswerKind, Attempt, AttemptOutcome, Decider, Fate};

cause! {
    /// ## What it means
    ///
    /// A firewall on the server rejects the packet: it answers with an ICMP error or with a TCP reset of its own making. The
    /// service may well run and listen behind it.
    ///
    /// ## How it shows
    ///
    /// The client fails at once. Port unreachable (the default of `REJECT`) and `tcp-reset` read "connection refused",
    /// administratively prohibited (firewalld) and host prohibited read "no route to host".
    ///
    /// ## How to confirm by hand
    ///
    /// `tcpdump -n icmp or icmp6` on the client while connecting: a missing listener answers a SYN with a RST, never with
    /// ICMP. Of a RST, `tcpdump -v` shows the TOS: the kernel's own carries that of the SYN, a filter's is 0. On the
    /// server: `nft list ruleset`, `iptables-save -c`, and look for the counter that rises.
    ///
    /// ## How to fix
    ///
    /// Allow the port in the tool that made the rule: `ufw allow PORT/tcp`, `firewall-cmd --add-port=PORT/tcp`, or a rule
    /// before the one that rejects.
    ///
    /// ## What it is often mistaken for
    ///
    /// `listener/none`: both read "connection refused". `route/none` and `path/host-down`: firewalld's reject reads "no
    /// route to host". A router's reject (`path/router-reject`), which is signed with the router's address.
    id: "ingress/firewall-reject",
    title: "a firewall on the server rejects it",
    needs: &["answer"],
    likes: &["firewall rules", "answer packet", "sockets"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    match stopped_in(view) {
        Some(stop) if stop.rejects() && stop.kind() == Kind::Firewall => Ok(by_rule(view, &stop)),
        Some(_) => Ok(Finding::Clear),
        None => by_answer(view),
    }
}

/// A rule was read that rejects it.
fn by_rule(view: &View<'_>, stop: &Stop<'_>) -> Finding {
    let owner = owned_by(stop.decider().and_then(Decider::owner));
    let title = format!("packets to {} are rejected: {}{owner}", view.endpoint(), decider(stop));
    let attempt = view.attempt();
    let answered = attempt.filter(|a| a.answer.is_some()).map(|attempt| Evidence::new(said(attempt), "answer"));
    let mut fired = stop
        .fired(view, title)
        .evidences(zone(view, stop))
        .evidences(answered)
        .evidences(view.refuser.iter().filter(|r| r.who == Who::ServerFirewall).flat_map(|r| r.evidence.clone()));
    fired.fixes = allow(view, stop);
    fired.fixes.extend(other_zone(view, stop));
    fired.fires()
}

fn by_answer(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(attempt) = view.attempt() else { return Ok(Finding::Clear) };
    let judged = view.judged().and_then(|j| j.ingress.as_ref());
    let accepted = judged.is_some_and(|ingress| ingress.fate == Fate::Accepted);
    let listener = listener(view);
    let by_filter = view.refuser.as_ref().filter(|r| r.who == Who::ServerFirewall);
    let (certainty, evidence) = if view.udp_port_unreachable() {
        // A kernel without a socket sends the very same; only where a socket takes the datagram it was a filter.
        match &listener {
            Some(_) => (Certainty::Likely, Vec::new()),
            None => return Ok(Finding::Clear),
        }
    } else if let Some(refuser) = by_filter {
        // Where the rules were read and let it in, something that is no rule answered, or they were changed meanwhile.
        (if accepted { Certainty::Possible } else { refuser.certainty }, refuser.evidence.clone())
    } else if !accepted && view.refuser.is_none() && attempt.outcome == AttemptOutcome::Refused && listener.is_some() {
        // Nothing tells who refused, but a socket would have taken it.
        (Certainty::Possible, Vec::new())
    } else {
        return Ok(Finding::Clear);
    };
    let local = view.is_local() == Some(true);
    let on = if local { "this machine".to_owned() } else { view.ip().map_or_else(String::new, |ip| ip.to_string()) };
    let title = format!("a filter on {on} rejects {}: {}", view.endpoint(), said(attempt));
    let mut fired = Fired::new(certainty, title)
        .predicts(&[AttemptOutcome::Refused, AttemptOutcome::Unreachable, AttemptOutcome::Denied])
        .evidences(evidence)
        .evidences(listener);
    if let Some(errno) = attempt.errno {
        fired = fired.evidence(Evidence::new(format!("connect to {}: {errno}", view.endpoint()), "connect(2)"));
    }
    let what = match (local, judged.map(|_| accepted)) {
        (_, Some(true)) => None,
        (true, _) => Some("which rule rejects it"),
        (false, _) => Some("which rule of the server rejects it"),
    };
    if let Some(what) = what {
        fired = fired.unknown(Unknown {
            what: what.into(),
            why: if local { "its rules were not read" } else { "the server's rules are not visible from here" }.into(),
            how_to_know: if local {
                "run unrefuse as root; nft list ruleset; iptables-save -c".into()
            } else {
                format!("run unrefuse on the server: {}", view.verify_there())
            },
        });
    }
    if local && judged.is_none() {
        fired = fired.unknown(Unknown {
            what: "whether it is rejected on the way out (OUTPUT) or on the way in (INPUT) of this machine".into(),
            why: "what a machine sends to itself passes both, and the answer does not tell which".into(),
            how_to_know: "nft list ruleset; iptables-save -c; ip6tables-save -c".into(),
        });
    }
    let title = format!(
        "allow {} in the firewall of {on} (ufw, firewalld, nft, iptables: where the rule was made)",
        view.port()
    );
    Ok(fired.fix(Fix::new(view, Risk::Medium, title)).fires())
}

/// The socket of this machine that takes the packet, as evidence that it was not the kernel that refused.
fn listener(view: &View<'_>) -> Option<Evidence> {
    let table = view.server_sockets("").ok()??;
    let socket = view.takers(table).into_iter().next()?;
    let text =
        format!("{} listens on {}, so the kernel would have taken it", owner::short(table, socket), socket.local);
    Some(Evidence::new(text, owner::source(view)))
}

/// What the filter answered.
fn said(attempt: &Attempt) -> String {
    match attempt.answer.as_ref().map(|a| (a.kind, a.icmp_type, a.icmp_code)) {
        Some((AnswerKind::Icmp, Some(kind), Some(code))) => icmp_name(attempt.address.ip(), kind, code),
        _ => "a TCP reset that no closed port made".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scene;
    use crate::testing::filter::{PORT_UNREACHABLE, accepted, commands, iptables, rejected, rule};
    use unrefuse_facts::{
        Answer, Errno, FilterBackend, FilterHook, FilterRule, Observed, Protocol, Reference, RejectKind, Source,
    };

    fn icmp(from: &str, kind: u8, code: u8) -> Answer {
        let mut answer = Answer::bare(AnswerKind::Icmp);
        (answer.icmp_type, answer.icmp_code, answer.from) = (Some(kind), Some(code), Some(from.parse().unwrap()));
        answer
    }

    fn rst(tos: u8) -> Answer {
        let mut answer = Answer::bare(AnswerKind::Rst);
        (answer.tos_sent, answer.tos, answer.ttl) = (Some(0x48), Some(tos), Some(63));
        let reference = Reference { what: "SYN-ACK of port 22".into(), ttl: Some(63), tos_kept: Some(true) };
        answer.reference = Observed::known(reference, Source::probed("connect(2)"));
        answer
    }

    #[test]
    fn icmp_of_the_target_itself() {
        let answer = Some(icmp("10.9.0.1", 3, 13));
        let scene = Scene::remote("10.9.0.1:80");
        let report =
            scene.attempt("10.9.0.1:80", AttemptOutcome::Unreachable, Some(Errno::EHOSTUNREACH), answer).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("ingress/firewall-reject", Certainty::Likely));
        assert_eq!(
            blocker.whys[0].title,
            "a filter on 10.9.0.1 rejects 10.9.0.1:80: ICMP administratively prohibited (3/13)"
        );
    }

    #[test]
    fn a_reset_of_a_filter() {
        let report = Scene::remote("10.9.0.1:80").refused(rst(0)).report();
        assert_eq!(report.blockers[0].root, "ingress/firewall-reject");
    }

    #[test]
    fn a_reset_of_the_kernel_is_no_filter() {
        assert_eq!(Scene::remote("10.9.0.1:80").refused(rst(0x48)).roots(), ["listener/none"]);
    }

    #[test]
    fn on_this_machine_either_chain_may_have_rejected() {
        let report =
            Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx").refused(icmp("10.1.0.2", 3, 3)).report();
        assert_eq!(report.blockers[0].root, "ingress/firewall-reject");
        assert!(report.unknown.iter().any(|u| u.what.contains("OUTPUT")), "{:?}", report.unknown);
    }

    #[test]
    fn refused_though_a_socket_takes_it() {
        let report = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx").rst().report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("ingress/firewall-reject", Certainty::Possible));
        assert_eq!(
            Scene::local("10.1.0.2:80").rst().roots(),
            ["listener/none"],
            "without a listener nothing hints at it"
        );
    }

    #[test]
    fn udp_port_unreachable_is_the_kernels_own_unless_a_socket_takes_it() {
        let scene = |s: Scene| s.with(|c| c.target.protocol = Protocol::Udp).refused(icmp("10.1.0.2", 3, 3));
        assert_eq!(scene(Scene::local("10.1.0.2:53")).roots(), ["listener/none"]);
        let named =
            Scene::local("10.1.0.2:53").socket("0.0.0.0:53", "named", |s| s.transport = unrefuse_facts::Transport::Udp);
        assert_eq!(scene(named).roots(), ["ingress/firewall-reject"]);
    }

    fn judged(by: FilterRule, kind: RejectKind) -> Scene {
        let judgement = rejected(kind, Decider::Rule(by));
        Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx").filtered(Some(accepted()), Some(judgement))
    }

    #[test]
    fn the_rule_is_named_where_it_was_read() {
        let mut by = rule(FilterBackend::Nft, "input", FilterHook::Input, "tcp dport 80 reject");
        by.comment = Some("closed for the audit".into());
        let report = judged(by, PORT_UNREACHABLE).refused(icmp("10.1.0.2", 3, 3)).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("ingress/firewall-reject", Certainty::Proven));
        assert_eq!(report.blockers.len(), 1, "OUTPUT accepts: {:?}", report.blockers);
        assert_eq!(
            blocker.whys[0].title,
            "packets to 10.1.0.2:80 are rejected: rule 3 of chain input (nft, table inet filter)"
        );
        assert!(blocker.whys[0].evidence.iter().any(|e| e.text == "its comment: closed for the audit"));
        assert!(report.unknown.is_empty(), "{:?}", report.unknown);
        let undo = commands(&blocker.fixes[0].undo);
        assert_eq!(
            undo,
            ["nft delete rule inet filter input handle \"$(nft -a list chain inet filter input | \
              sed -n '/\"unrefuse-80-tcp-all\"/s/.* # handle //p' | head -n 1)\""]
        );
    }

    #[test]
    fn each_kind_is_held_against_the_error() {
        let prohibited = RejectKind::Icmp { kind: 3, code: 13 };
        let by = || iptables(FilterHook::Input, "-A INPUT -j REJECT --reject-with icmp-admin-prohibited");
        let answer = icmp("10.1.0.2", 3, 13);
        let report = judged(by(), prohibited)
            .attempt("10.1.0.2:80", AttemptOutcome::Unreachable, Some(Errno::EHOSTUNREACH), Some(answer))
            .report();
        assert_eq!(report.blockers[0].certainty, Certainty::Proven);
        // ICMP errors are rate limited: silence fits less well.
        assert_eq!(judged(by(), prohibited).silent().report().blockers[0].certainty, Certainty::Likely);
    }

    #[test]
    fn both_chains_of_this_machine_reject() {
        let scene = judged(iptables(FilterHook::Input, "-A INPUT -j REJECT"), PORT_UNREACHABLE).filters(|f| {
            let by = Decider::Rule(iptables(FilterHook::Output, "-A OUTPUT -j REJECT"));
            f.judgements[0].egress = Some(rejected(PORT_UNREACHABLE, by));
        });
        assert_eq!(
            scene.refused(icmp("10.1.0.2", 3, 3)).roots(),
            ["egress/firewall-reject", "ingress/firewall-reject"]
        );
    }

    #[test]
    fn rules_that_let_it_in_make_a_filter_hardly_possible() {
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx");
        let scene = scene.filtered(Some(accepted()), Some(accepted()));
        assert_eq!(scene.rst().roots(), Vec::<String>::new());
    }
}

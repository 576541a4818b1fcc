//! ingress/forwarded-no-way-back

use crate::View;
use crate::filter::{Clients, masquerade, rule_text, short, source};
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use std::net::IpAddr;
use unrefuse_facts::{AttemptOutcome, Beyond, SharedLink, Translation, Transport, network, text, within};

cause! {
    /// ## What it means
    ///
    /// This machine passes the client's packets on to another one (a nat rule, a published port, a route), and the answers
    /// do not come back through it. Either client and machine are neighbours on one link, so it answers the client directly,
    /// from an address that the client never asked; or it has no way back to the client's network, because its gateway is
    /// another machine or it has none.
    ///
    /// ## How it shows
    ///
    /// Silence: the client's attempt times out, while clients of other networks get through (the first case), or only this
    /// machine and its neighbours do (the second). `tcpdump` at the client shows a SYN-ACK from another address than the one
    /// asked, which its kernel resets.
    ///
    /// ## How to confirm by hand
    ///
    /// Here: `conntrack -L -p tcp --dport PORT` shows the connection as `SYN_SENT` and `[UNREPLIED]`. On the machine beyond:
    /// `ip route get CLIENT` shows where its answers go. `nc -s ADDRESS` with this machine's address on the client's side
    /// asks as a client of that network would.
    ///
    /// ## How to fix
    ///
    /// Give the packets this machine's address as their source (masquerade), for those clients only; or let the machine
    /// beyond have this one as its way to the client. Neighbours of the machine may ask it directly.
    ///
    /// ## What it is often mistaken for
    ///
    /// A firewall that drops (`ingress/firewall-drop`, `path/filtered`): all rules let the packets through and count them.
    /// `ingress/no-way-back` is this machine's own missing route.
    id: "ingress/forwarded-no-way-back",
    title: "the machine that it is passed on to does not answer back through this one",
    apart: true,
    needs: &["firewall rules", "routes"],
    likes: &["an attempt from this machine's address on the client's side"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let beyond = view.judged().and_then(|judged| judged.beyond.as_ref()).filter(|_| view.judged_only());
    let (Some(beyond), Some(client)) = (beyond, view.asker()) else { return Ok(Finding::Clear) };
    let hidden = beyond.is_hidden(client);
    if let Some(shared) = beyond.shared.as_ref().filter(|_| !hidden) {
        if !beyond.translated {
            // It answers its neighbour directly, and under the address that was asked.
            return answers(view, beyond);
        }
        if !shared.filtered_bridge {
            return Ok(past(view, beyond, shared, client));
        }
        answers(view, beyond)?;
        if is_container(view, beyond) {
            return Ok(Finding::Clear);
        }
        let why = format!(
            "both are on the bridge {}: only what crosses it is translated back",
            text::visible(&shared.interface)
        );
        let how = format!("bridge fdb show br {} dynamic", text::visible(&shared.interface));
        return Err(CannotTell::new(comes_back(beyond, client), why, how));
    }
    answers(view, beyond)?;
    if hidden || outcome(view, beyond).is_none_or(|outcome| outcome != AttemptOutcome::Open) {
        return Ok(Finding::Clear);
    }
    let how = || format!("on the machine that has {}: ip route get {client}", beyond.to.ip());
    let unknown = |why: String| Err(CannotTell::new(comes_back(beyond, client), why, how()));
    match beyond.facing.zip(beyond.probed_facing.value().copied()) {
        Some((_, AttemptOutcome::Open | AttemptOutcome::ClosedOnAccept)) => Ok(Finding::Clear),
        Some((facing, AttemptOutcome::TimedOut)) => Ok(not_back(view, beyond, client, facing)),
        Some((facing, ended)) => unknown(format!(
            "it answers this machine, but an attempt from {facing}, its address on the client's side, {}",
            said(ended)
        )),
        None => unknown("the routes of that machine are not seen from here".to_owned()),
    }
}

/// Whether it answers at all; what NAT leads to is judged by `ingress/dnat-dead-end`.
fn answers(view: &View<'_>, beyond: &Beyond) -> Result<Finding, CannotTell> {
    if beyond.translated {
        return Ok(Finding::Clear);
    }
    let why = match outcome(view, beyond) {
        Some(AttemptOutcome::Open | AttemptOutcome::ClosedOnAccept) => return Ok(Finding::Clear),
        Some(ended) => format!("this machine only passes the packets on, and an attempt from here {}", said(ended)),
        None => "this machine only passes the packets on, and got no answer itself".to_owned(),
    };
    let how = view.again().for_this_machine().said(&beyond.to.to_string());
    Err(CannotTell::new(format!("whether {} answers", beyond.to), why, how))
}

/// How the attempt from here ended; silence says nothing of a UDP service.
fn outcome(view: &View<'_>, beyond: &Beyond) -> Option<AttemptOutcome> {
    let udp = view.transport() == Some(Transport::Udp);
    beyond.probed.value().copied().filter(|ended| !udp || *ended != AttemptOutcome::TimedOut)
}

fn said(ended: AttemptOutcome) -> &'static str {
    match ended {
        AttemptOutcome::Open => "is open",
        AttemptOutcome::Refused => "is refused",
        AttemptOutcome::TimedOut => "is not answered",
        _ => "fails",
    }
}

fn comes_back(beyond: &Beyond, client: IpAddr) -> String {
    format!("whether answers of {} to {client} come back through this machine", beyond.to.ip())
}

/// Its network namespace belongs to this machine, and has a port of the bridge for itself.
fn is_container(view: &View<'_>, beyond: &Beyond) -> bool {
    crate::containers::known(view).and_then(|facts| crate::containers::by_address(facts, beyond.to.ip())).is_some()
}

fn translation<'a>(view: &'a View<'_>) -> Option<&'a Translation> {
    view.judged()?.ingress.as_ref()?.translated.as_ref()
}

/// Neighbours: the answer goes to the client directly.
fn past(view: &View<'_>, beyond: &Beyond, shared: &SharedLink, client: IpAddr) -> Finding {
    let to = beyond.to;
    let net = network(shared.network, shared.prefix);
    let title = if to.ip() == client {
        format!(
            "packets to {} come back to the client itself, from its own address, which it throws away",
            view.endpoint()
        )
    } else {
        format!(
            "{} answers {client} directly, past this machine: the client asked {}, and does not know that answer",
            to.ip(),
            view.endpoint()
        )
    };
    let link = Evidence::new(
        format!("{client} and {} are both in {net}, on {}", to.ip(), text::visible(&shared.interface)),
        "RTM_GETROUTE",
    );
    let kept = Evidence::new(format!("no rule changes the source of what goes from {client} to {to}"), source(view));
    let direct = Fix::new(view, Risk::Low, format!("let clients of {net} ask {to} directly, by name or address"));
    finding(view, title)
        .evidence(link)
        .evidence(kept)
        .fix(
            translation(view)
                .and_then(|t| masquerade(view, beyond, &t.by, Clients::Network(shared.network, shared.prefix))),
        )
        .fix(direct)
        .fires()
}

/// It answers this machine under one address, and not under the one on the client's side.
fn not_back(view: &View<'_>, beyond: &Beyond, client: IpAddr, facing: IpAddr) -> Finding {
    let to = beyond.to;
    let title = format!(
        "{} answers this machine, and nothing that comes from the client's side: it has no way back there by this machine, \
         or a filter of its own",
        to.ip()
    );
    let seen = Evidence::new(
        format!(
            "an attempt from here to {to} is open, and one from {facing}, this machine's address on the client's side, is not answered"
        ),
        "connect(2)",
    );
    let own = view.case.host.addresses.value().into_iter().flatten();
    let gateway = own.clone().find(|a| within(to.ip(), a.address, a.prefix)).map(|a| format!(" by {}", a.address));
    let near = own.into_iter().find(|a| within(client, a.address, a.prefix));
    let net = near.map_or_else(|| client.to_string(), |a| network(a.address, a.prefix));
    let route = format!("on the machine that has {}, give it a route to {net}{}", to.ip(), gateway.unwrap_or_default());
    let clients: &[Clients] = match near {
        Some(a) => &[Clients::Network(a.address, a.prefix)],
        None => &[Clients::One(client), Clients::All],
    };
    let nat = translation(view);
    let hidden = clients.iter().filter_map(|clients| masquerade(view, beyond, &nat?.by, *clients));
    let fired = finding(view, title).evidence(seen).fix(Fix::new(view, Risk::Low, route));
    hidden.fold(fired, Fired::fix).fires()
}

fn finding(view: &View<'_>, title: String) -> Fired {
    let rule = translation(view).map(|translation| &translation.by);
    let title = rule.map_or_else(|| title.clone(), |rule| format!("{title} (sent there by {})", short(rule)));
    Fired::new(Certainty::Likely, title)
        .predicts(&[AttemptOutcome::TimedOut])
        .evidences(rule.map(|rule| Evidence::new(rule_text(rule), source(view))))
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Outcome};
    use crate::testing::Scene;
    use crate::testing::filter::{accepted, commands, iptables};
    use unrefuse_facts::{
        AttemptOutcome, Beyond, FilterBackend, FilterHook, Judgement, Observed, RuleOwner, SharedLink, Source,
        TableFamily, Translation,
    };

    fn probed(outcome: AttemptOutcome) -> Observed<AttemptOutcome> {
        Observed::known(outcome, Source::probed("connect(2)"))
    }

    /// 10.1.0.2:80 is sent on to 10.5.0.7:8080, which is open from here.
    fn beyond() -> Beyond {
        Beyond {
            to: "10.5.0.7:8080".parse().unwrap(),
            translated: true,
            source: Some("10.5.0.9".parse().unwrap()),
            shared: None,
            source_nat: None,
            unasked: false,
            facing: None,
            probed: probed(AttemptOutcome::Open),
            probed_facing: Observed::default(),
        }
    }

    fn neighbours() -> Beyond {
        let network = "10.5.0.1".parse().unwrap();
        let shared = SharedLink { interface: "eth1".into(), network, prefix: 24, filtered_bridge: false };
        Beyond { shared: Some(shared), ..beyond() }
    }

    fn facing(ended: AttemptOutcome) -> Beyond {
        Beyond { facing: Some("10.1.0.2".parse().unwrap()), probed_facing: probed(ended), ..beyond() }
    }

    fn scene(beyond: Beyond) -> Scene {
        let mut by =
            iptables(FilterHook::Prerouting, "-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.5.0.7:8080");
        by.place.table = "nat".into();
        let to = Translation { to: beyond.to, by, probed: beyond.probed.clone() };
        let translated = beyond.translated.then_some(to);
        let scene = if beyond.translated { Scene::local("10.1.0.2:80") } else { Scene::remote("10.5.0.7:8080") };
        let scene = scene.filtered(None, Some(Judgement { translated, ..accepted() }));
        scene.filters(|f| f.judgements[0].beyond = Some(beyond)).asked_from("10.5.0.9")
    }

    #[test]
    fn the_neighbour_of_the_client_answers_it_directly() {
        let report = scene(neighbours()).report();
        assert_eq!((report.outcome, report.blockers.len()), (Outcome::TimedOut, 1), "{:?}", report.blockers);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("ingress/forwarded-no-way-back", Certainty::Likely));
        assert_eq!(
            commands(&blocker.fixes[0].steps),
            ["iptables-nft -t nat -I POSTROUTING 1 -s 10.5.0.0/24 -d 10.5.0.7 -p tcp --dport 8080 -j MASQUERADE"]
        );
    }

    #[test]
    fn the_fix_speaks_the_language_of_the_rule() {
        let steps = |owner: RuleOwner, nft: bool| {
            let scene = scene(neighbours()).filters(|facts| {
                let by = &mut facts.judgements[0].ingress.as_mut().unwrap().translated.as_mut().unwrap().by;
                by.owner = owner;
                if nft {
                    (by.place.backend, by.place.family) = (FilterBackend::Nft, TableFamily::Inet);
                }
            });
            let fixes = scene.report().blockers.remove(0).fixes;
            commands(&fixes[0].steps).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            steps(RuleOwner::Hand, true),
            [
                "nft add chain inet nat unrefuse-back '{ type nat hook postrouting priority 100; }'",
                "nft add rule inet nat unrefuse-back 'ip saddr 10.5.0.0/24 ip daddr 10.5.0.7 tcp dport 8080 masquerade \
                 comment \"unrefuse-back-8080\"'"
            ]
        );
        assert_eq!(
            steps(RuleOwner::Firewalld { zone: Some("home".into()) }, true)[0],
            "firewall-cmd --zone=home --add-rich-rule='rule family=\"ipv4\" source address=\"10.5.0.0/24\" destination \
             address=\"10.5.0.7\" masquerade'"
        );
        assert!(steps(RuleOwner::Docker, false).is_empty());
    }

    #[test]
    fn it_answers_this_machine_and_not_the_clients_side() {
        let report = scene(facing(AttemptOutcome::TimedOut)).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), report.outcome), ("ingress/forwarded-no-way-back", Outcome::TimedOut));
        assert!(blocker.fixes[0].title.ends_with("give it a route to 10.5.0.9"), "{}", blocker.fixes[0].title);
        assert!(commands(&blocker.fixes[1].steps)[0].contains("-s 10.5.0.9 -d 10.5.0.7"));
    }

    #[test]
    fn answers_that_come_back_are_no_fault() {
        let source = Some("10.5.0.1".parse().unwrap());
        for beyond in [facing(AttemptOutcome::Open), Beyond { source, ..neighbours() }, Beyond { source, ..beyond() }] {
            let report = scene(beyond).report();
            assert_eq!((report.outcome, report.blockers.len(), report.unknown.len()), (Outcome::Open, 0, 0));
        }
        // Without NAT a neighbour answers from the address that was asked.
        let report = scene(Beyond { translated: false, ..neighbours() }).report();
        assert_eq!((report.outcome, report.blockers.len(), report.unknown.len()), (Outcome::Open, 0, 0));
    }

    #[test]
    fn what_is_not_seen_from_here_is_said() {
        let mut bridged = neighbours();
        bridged.shared.as_mut().unwrap().filtered_bridge = true;
        for beyond in [beyond(), bridged] {
            let report = scene(beyond).report();
            assert_eq!((report.blockers.len(), report.unknown.len()), (0, 1));
            assert_eq!(
                report.unknown[0].what,
                "whether answers of 10.5.0.7 to 10.5.0.9 come back through this machine"
            );
        }
        let refused = Beyond { translated: false, probed: probed(AttemptOutcome::Refused), ..beyond() };
        let report = scene(refused).report();
        assert_eq!((report.outcome, report.blockers.len(), report.exit_code()), (Outcome::Refused, 0, 3));
        assert_eq!(report.unknown[0].how_to_know, "unrefuse 10.5.0.7:8080");
    }
}

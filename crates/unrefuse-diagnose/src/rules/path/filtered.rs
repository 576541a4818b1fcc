//! path/filtered

use crate::View;
use crate::filter::at_interface;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::text::visible;
use unrefuse_facts::{AttemptOutcome, NeighbourState, PortProbe, Transport};

cause! {
    /// ## What it means
    ///
    /// The packets leave this machine by a working route, and nothing comes back: something on the way or on the server
    /// drops them, or the answers. From here it cannot be told who.
    ///
    /// ## How it shows
    ///
    /// `connect()` times out, by default after more than two minutes. Other ports of the same host may answer.
    ///
    /// ## How to confirm by hand
    ///
    /// `traceroute -T -p PORT HOST` shows the last hop that answers. On the server, `tcpdump -n port PORT` while the client
    /// connects: packets that show up there passed the way, and it is the server's firewall that drops them.
    ///
    /// ## How to fix
    ///
    /// Allow the port where it is dropped: the server's firewall, a cloud's security group, a router's access list. Running
    /// `unrefuse :PORT` on the server tells whether the server is the one.
    ///
    /// ## What it is often mistaken for
    ///
    /// A service that is down: its kernel would refuse, not be silent. A host that is down shows the same silence from
    /// behind a router that does not report it. With UDP, silence proves nothing: many services answer only what they
    /// understand.
    id: "path/filtered",
    title: "something drops it without an answer",
    asks: Some("what drops the packets: a filter on the way, or the server's own"),
    needs: &["attempt"],
    likes: &["other ports of the host", "routes", "neighbours"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let (Some(attempt), Some(target)) = (view.attempt(), view.ip()) else { return Ok(Finding::Clear) };
    // An answer to any of the rounds is more than silence: ICMP errors are rate limited.
    if view.is_local() == Some(true) || view.rounds.iter().any(|a| a.outcome != AttemptOutcome::TimedOut) {
        return Ok(Finding::Clear);
    }
    let routing = view.routing();
    if routing.and_then(|r| r.decision.value()).is_some_and(|d| d.via().is_none()) {
        return Ok(Finding::Clear);
    }
    let neighbour = routing.and_then(|r| r.neighbour.value());
    if neighbour.is_some_and(|n| matches!(n.state, NeighbourState::Failed | NeighbourState::Incomplete)) {
        return Ok(Finding::Clear);
    }
    let udp = view.transport() == Some(Transport::Udp);
    let others = view.case.other_ports.value().map_or(&[][..], Vec::as_slice);
    let answered: Vec<&PortProbe> = others
        .iter()
        .filter(|p| p.address.ip() == target)
        .filter(|p| {
            matches!(p.outcome, AttemptOutcome::Open | AttemptOutcome::Refused | AttemptOutcome::ClosedOnAccept)
        })
        .collect();
    let (certainty, title) = match (udp, answered.is_empty()) {
        (true, _) => (
            Certainty::Possible,
            format!("no answer from {}: dropped, or a UDP service that stays silent", view.endpoint()),
        ),
        (false, true) => (
            Certainty::Possible,
            format!("no answer from {}: the packets or their answers are dropped", view.endpoint()),
        ),
        (false, false) => (
            // What stands at this machine's own interface may be what drops them.
            if at_interface(view).is_some() { Certainty::Possible } else { Certainty::Likely },
            format!("packets to {} are dropped, while the host answers on other ports", view.endpoint()),
        ),
    };
    let longest = view.rounds.iter().map(|a| a.elapsed).max().unwrap_or(attempt.elapsed);
    let waited = format!("no answer in {:.1} s", longest.as_secs_f64());
    let waited = match view.rounds.len() {
        0 | 1 => waited,
        rounds => format!("{waited}, {rounds} times"),
    };
    let mut fired = Fired::new(certainty, title)
        .predicts(&[AttemptOutcome::TimedOut])
        .evidence(Evidence::new(waited, if udp { "recv(2)" } else { "connect(2)" }));
    if let Some(neighbour) = neighbour.filter(|n| n.state == NeighbourState::Reachable) {
        let device =
            view.case.host.link(neighbour.link).map(|l| format!(" on {}", visible(&l.name))).unwrap_or_default();
        fired = fired.evidence(Evidence::new(
            format!("the next hop {}{device} answers on its link", neighbour.address),
            routing.and_then(|r| r.neighbour.source()).map_or("RTM_GETNEIGH", |s| &s.what),
        ));
    }
    if let Some(first) = answered.first() {
        let what = if first.outcome == AttemptOutcome::Refused { "refuses" } else { "is open" };
        let more = if answered.len() > 1 { format!(", and {} more answer", answered.len() - 1) } else { String::new() };
        fired = fired.evidence(Evidence::new(
            format!("port {} of {target} {what}{more}: the host is up", first.address.port()),
            view.case.other_ports.source().map_or("connect(2)", |s| &s.what),
        ));
    }
    let flag = if udp { "--udp " } else { "" };
    let port = view.case.target.port;
    let title = format!(
        "run unrefuse {flag}:{port} on the server: it tells whether the server drops it; else allow {} on the way",
        view.port()
    );
    Ok(fired.fix(Fix::new(view, Risk::Low, title)).fires())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scene;
    use unrefuse_facts::{Answer, AnswerKind, Neighbour, Observed, Protocol, Source};

    #[test]
    fn silence_alone_makes_it_possible() {
        let report = Scene::remote("10.9.0.1:80").silent().report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("path/filtered", Certainty::Possible));
    }

    #[test]
    fn other_ports_that_answer_make_it_likely() {
        let probe = PortProbe { address: "10.9.0.1:22".parse().unwrap(), outcome: AttemptOutcome::Open };
        let scene = Scene::remote("10.9.0.1:80").silent();
        let report =
            scene.with(|c| c.other_ports = Observed::known(vec![probe], Source::probed("connect(2)"))).report();
        assert_eq!(report.blockers[0].certainty, Certainty::Likely);
        assert!(
            report.blockers[0].whys[0].evidence.iter().any(|e| e.text == "port 22 of 10.9.0.1 is open: the host is up")
        );
    }

    #[test]
    fn udp_may_stay_silent() {
        let report = Scene::remote("10.9.0.1:53").with(|c| c.target.protocol = Protocol::Udp).silent().report();
        assert_eq!(report.blockers[0].certainty, Certainty::Possible);
        assert!(report.blockers[0].whys[0].title.contains("UDP service"));
    }

    #[test]
    fn one_answer_among_the_rounds_is_not_silence() {
        let mut answer = Answer::bare(AnswerKind::Icmp);
        (answer.icmp_type, answer.icmp_code, answer.from) = (Some(3), Some(3), Some("10.8.0.1".parse().unwrap()));
        assert_eq!(Scene::remote("10.9.0.1:80").silent().refused(answer).roots(), ["path/router-reject"]);
    }

    #[test]
    fn this_machine_and_a_dead_neighbour_are_not_the_path() {
        assert!(Scene::local("10.1.0.2:80").silent().roots().iter().all(|r| r != "path/filtered"));
        let state = NeighbourState::Failed;
        let dead = Neighbour { address: "10.1.0.254".parse().unwrap(), link: 2, state, lladdr: None, probes: 3 };
        let scene = Scene::remote("10.9.0.1:80").silent();
        let scene = scene.with(|c| c.routing[0].neighbour = Observed::known(dead, Source::running("RTM_GETNEIGH")));
        assert_eq!(scene.roots(), ["path/host-down"]);
    }
}

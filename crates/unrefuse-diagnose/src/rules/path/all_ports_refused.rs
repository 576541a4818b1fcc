//! path/all-ports-refused

use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence};
use crate::rule::cause;
use unrefuse_facts::AttemptOutcome;

/// Fewer refusals than these say nothing about the host as a whole.
const ENOUGH: usize = 5;

cause! {
    /// ## What it means
    ///
    /// Not only the asked port is refused: every other well-known port of the host that was asked is refused too. The host
    /// is up and its kernel answers, but none of its services is there.
    ///
    /// ## How it shows
    ///
    /// Connection refused on every port, at once.
    ///
    /// ## How to confirm by hand
    ///
    /// `nmap -sT HOST` shows all ports closed and none open.
    ///
    /// ## How to fix
    ///
    /// See first that it is the right host: a name or address that now belongs to another machine, a fresh installation, a
    /// test machine. Then see why its services do not run: a boot that did not finish, a container host before its
    /// containers.
    ///
    /// ## What it is often mistaken for
    ///
    /// A single service that is down (`listener/none` alone). A firewall that rejects everything with a reset: the answer
    /// packet tells them apart (`ingress/firewall-reject`).
    id: "path/all-ports-refused",
    title: "every probed port of the host is refused",
    root: false,
    explains: &["listener/none"],
    begins: false,
    asks: Some("whether it is the right host, and why none of its services runs"),
    needs: &["other ports of the host"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(target) = view.ip() else { return Ok(Finding::Clear) };
    if view.is_local() == Some(true) || view.outcome() != Some(AttemptOutcome::Refused) {
        return Ok(Finding::Clear);
    }
    // Not asked is no open question: the refusal of the one port is explained without it.
    let Some(probes) = view.case.other_ports.value() else { return Ok(Finding::Clear) };
    let mut ports: Vec<u16> = Vec::new();
    for probe in probes.iter().filter(|p| p.address.ip() == target && p.address.port() != view.case.target.port) {
        if probe.outcome != AttemptOutcome::Refused {
            return Ok(Finding::Clear);
        }
        ports.push(probe.address.port());
    }
    ports.sort_unstable();
    ports.dedup();
    if ports.len() < ENOUGH {
        return Ok(Finding::Clear);
    }
    let title = format!(
        "all {} probed ports of {target} refuse: the host is up and its services are not, or it is the wrong host",
        ports.len() + 1
    );
    let list = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let source = view.case.other_ports.source().map_or("connect(2)", |s| &s.what);
    Ok(Fired::new(Certainty::Likely, title)
        .predicts(&[AttemptOutcome::Refused])
        .evidence(Evidence::new(format!("besides {}, refused too: {list}", view.case.target.port), source))
        .fires())
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use unrefuse_facts::{AttemptOutcome, Observed, PortProbe, Source};

    fn scene(ports: &[(u16, AttemptOutcome)]) -> Scene {
        let probe = |(port, outcome): &(u16, AttemptOutcome)| PortProbe {
            address: std::net::SocketAddr::new("10.9.0.1".parse().unwrap(), *port),
            outcome: *outcome,
        };
        let probes = ports.iter().map(probe).collect();
        Scene::remote("10.9.0.1:80")
            .rst()
            .with(|c| c.other_ports = Observed::known(probes, Source::probed("connect(2)")))
    }
    const R: AttemptOutcome = AttemptOutcome::Refused;

    #[test]
    fn every_port_refuses() {
        let report = scene(&[(22, R), (443, R), (25, R), (53, R), (3306, R)]).report();
        let ids: Vec<&str> = report.blockers[0].whys.iter().map(|w| w.id.as_str()).collect();
        assert_eq!(ids, ["listener/none", "path/all-ports-refused"]);
        assert!(report.blockers[0].whys[1].title.starts_with("all 6 probed ports of 10.9.0.1 refuse"));
    }

    #[test]
    fn one_open_port_or_too_few_asked_say_nothing() {
        let open = AttemptOutcome::Open;
        assert_eq!(scene(&[(22, open), (443, R), (25, R), (53, R), (3306, R)]).roots(), ["listener/none"]);
        assert_eq!(scene(&[(443, R), (25, R), (53, R), (3306, R)]).roots(), ["listener/none"]);
    }

    #[test]
    fn the_ports_of_another_address_say_nothing() {
        let elsewhere = |c: &mut unrefuse_facts::Case| {
            let Observed::Known { value, .. } = &mut c.other_ports else { unreachable!() };
            value.iter_mut().for_each(|p| p.address.set_ip("10.9.0.2".parse().unwrap()));
        };
        let ports = [(22, R), (443, R), (25, R), (53, R), (3306, R)];
        assert_eq!(scene(&ports).with(elsewhere).roots(), ["listener/none"]);
    }
}

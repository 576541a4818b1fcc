//! route/ports-exhausted

use super::ports::{self, Full, Ports};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::AttemptOutcome;

cause! {
    /// ## What it means
    ///
    /// Every connection to one address and port needs a local port of its own, out of `net.ipv4.ip_local_port_range` (28,232
    /// by default). All of them are in use to this target: by open connections, or by closed ones that wait a minute in
    /// TIME_WAIT.
    ///
    /// ## How it shows
    ///
    /// `connect()` fails at once with `EADDRNOTAVAIL`, "cannot assign requested address", to this one target only, and comes
    /// and goes with the load. Proxies and load tests meet it.
    ///
    /// ## How to confirm by hand
    ///
    /// `ss -tan dst ADDRESS dport = :PORT | wc -l` against `sysctl net.ipv4.ip_local_port_range`.
    ///
    /// ## How to fix
    ///
    /// Keep connections open and use them again (keep-alive, a pool), or stop what leaks them. Widen the range; let
    /// TIME_WAIT ports be used again (`net.ipv4.tcp_tw_reuse=1`, needs TCP timestamps at both ends); use more source or
    /// target addresses.
    ///
    /// ## What it is often mistaken for
    ///
    /// A missing source address (`route/source-address`) gives the same error. A server that is overloaded: the packets do
    /// not even leave.
    id: "route/ports-exhausted",
    title: "the local ports to that target are used up",
    instead_of: &["route/source-address"],
    needs: &["connections to the target", "net.ipv4.ip_local_port_range"],
    likes: &["sockets", "net.ipv4.tcp_tw_reuse"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    if view.address.is_none() || !ports::not_available(view) {
        return Ok(Finding::Clear);
    }
    // Without them route/source-address asks the question that both share.
    let (Some(ports), Some(used)) = (Ports::of(view), view.case.host.connections_to_target.value().copied()) else {
        return Ok(Finding::Clear);
    };
    let certainty = match ports.full(used) {
        Full::Yes => Certainty::Proven,
        Full::Nearly => Certainty::Likely,
        Full::No => return Ok(Finding::Clear),
    };
    let source = view.case.host.connections_to_target.source().map_or("inet_diag", |source| &source.what);
    let fired = Fired::new(
        certainty,
        format!("the local ports to {} are used up: {used} of {}", view.endpoint(), ports.usable),
    )
    .predicts(&[AttemptOutcome::Unreachable])
    .evidence(Evidence::new(format!("{used} connections of this machine to {}, in any state", view.endpoint()), source))
    .evidence(Evidence::new(
        format!("{} = {} {}: {} ports can be used", ports::RANGE, ports.low, ports.high, ports.usable),
        "sysctl",
    ))
    .evidences(
        view.case.host.sysctl(REUSE).map(|value| Evidence::new(format!("{REUSE} = {}", value.trim()), "sysctl")),
    );
    let reuse = Fix::new(
        view,
        Risk::Low,
        "keep connections open and use them again (keep-alive, a pool), and look for what leaves them open",
    );
    Ok(fired
        .fix(widen(view, ports))
        .fix(widen_for_good(view, ports))
        .fix(reuse_waiting(view))
        .fix(reuse.persistent())
        .fires())
}

const REUSE: &str = "net.ipv4.tcp_tw_reuse";

/// A wider range, as `low high`; services on this machine mostly live below 10240. `None`: it cannot be wider.
fn wider(ports: Ports) -> Option<(u16, u16)> {
    [(10_240, 65_535), (1_024, 65_535)]
        .map(|(low, high)| (ports.low.min(low), ports.high.max(high)))
        .into_iter()
        .find(|wider| *wider != (ports.low, ports.high))
}

fn widen(view: &View<'_>, ports: Ports) -> Option<Fix> {
    let (low, high) = wider(ports)?;
    let set = |low: u16, high: u16| format!("sysctl -w '{}={low} {high}'", ports::RANGE);
    let fix = Fix::new(view, Risk::Low, format!("let connections use the local ports {low} to {high}"));
    Some(fix.command(set(low, high)).undo(set(ports.low, ports.high)))
}

const FILE: &str = "/etc/sysctl.d/60-local-port-range.conf";

fn widen_for_good(view: &View<'_>, ports: Ports) -> Option<Fix> {
    let (low, high) = wider(ports).filter(|_| !view.is_apart())?;
    let fix = Fix::new(view, Risk::Low, format!("the same for every start, in {FILE}"));
    let fix = fix
        .command(format!("printf '%s\\n' '{} = {low} {high}' > {FILE}", ports::RANGE))
        .command(format!("sysctl -p {FILE}"))
        .undo(format!("rm -f {FILE}"))
        .undo(format!("sysctl -w '{}={} {}'", ports::RANGE, ports.low, ports.high));
    Some(fix.persistent())
}

/// Ports in TIME_WAIT may serve new connections after a second (ip-sysctl.rst); 2 means on loopback only.
fn reuse_waiting(view: &View<'_>) -> Option<Fix> {
    let value = view.case.host.sysctl(REUSE).map(str::trim).filter(|value| matches!(*value, "0" | "2"))?;
    let fix = Fix::new(view, Risk::Medium, "let ports in TIME_WAIT serve new connections after a second");
    Some(fix.command(format!("sysctl -w {REUSE}=1")).undo(format!("sysctl -w {REUSE}={value}")))
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use unrefuse_facts::{Errno, Observed, Source};

    fn scene(range: &str, used: u32) -> Scene {
        Scene::remote("10.9.0.1:80")
            .local_error(Errno::EADDRNOTAVAIL)
            .sysctl("net.ipv4.ip_local_port_range", range)
            .with(|case| case.host.connections_to_target = Observed::known(used, Source::running("inet_diag")))
    }

    #[test]
    fn all_ports_are_in_use() {
        let report = scene("50000\t50063\n", 64).report();
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("route/ports-exhausted", Certainty::Proven));
        let commands: Vec<&Step> = blocker.fixes.iter().flat_map(|f| &f.steps).collect();
        let Step::Command { command } = commands[0] else { panic!("{commands:?}") };
        assert_eq!(command, "sysctl -w 'net.ipv4.ip_local_port_range=10240 65535'");
    }

    #[test]
    fn reserved_ports_do_not_count() {
        let report = scene("50000 50063", 54).sysctl("net.ipv4.ip_local_reserved_ports", "50000-50009").report();
        assert_eq!(report.blockers[0].certainty, Certainty::Proven);
    }

    #[test]
    fn some_may_have_ended_before_the_count() {
        assert_eq!(scene("50000 50063", 60).report().blockers[0].certainty, Certainty::Likely);
    }

    #[test]
    fn a_range_that_cannot_be_wider_gets_no_such_fix() {
        let report = scene("1024 65535", 64_512).sysctl("net.ipv4.tcp_tw_reuse", "2").report();
        let Some(Step::Command { command }) = report.blockers[0].fixes[0].steps.first() else {
            panic!("{:?}", report.blockers)
        };
        assert_eq!(command, "sysctl -w net.ipv4.tcp_tw_reuse=1");
    }

    #[test]
    fn plenty_of_ports_left() {
        let roots = scene("32768 60999", 12).roots();
        assert!(!roots.contains(&"route/ports-exhausted".to_owned()), "{roots:?}");
    }
}

//! service/private-network

use super::act;
use super::drop_in::drop_in;
use super::meant::{facts, meant};
use super::stopped::stopped;
use crate::View;
use crate::filter::access_list;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Risk};
use crate::rule::cause;
use unrefuse_facts::UnitFacts;
use unrefuse_facts::text::visible;

cause! {
    /// ## What it means
    ///
    /// The service runs and listens, but in a network namespace of its own: its unit says `PrivateNetwork=yes` (which has
    /// a loopback interface and nothing else) or `NetworkNamespacePath=`. No packet of this machine reaches it there. Or it
    /// is stopped, and would run so: starting it would not do.
    ///
    /// ## How it shows
    ///
    /// The connection is refused although the service runs and its log says that it listens. `ss -ltn` shows nothing.
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl show -p PrivateNetwork,NetworkNamespacePath UNIT`; `nsenter -t MAINPID -n ss -ltn` shows the listener.
    ///
    /// ## How to fix
    ///
    /// Take the setting back with a drop-in and restart the service; or let a socket unit, which listens outside, hand
    /// it the socket.
    ///
    /// ## What it is often mistaken for
    ///
    /// A container, which is in a namespace of its own too (`listener/other-namespace`).
    id: "service/private-network",
    title: "the service runs in a network of its own",
    explains: &["listener/none", "listener/other-namespace", "service/stopped"],
    begins: false,
    needs: &["units"],
    check: check,
}

/// The setting that has the unit listen in another network namespace than the one asked in.
pub(in crate::rules) fn apart_by(view: &View<'_>, unit: &UnitFacts) -> Option<String> {
    // In a namespace apart only units that run there are known; and a socket unit listens outside for a service that does
    // not run.
    let by_socket = || unit.triggered_by.iter().any(|other| other.ends_with(".socket"));
    if view.is_apart() || (!unit.is_running() && by_socket()) {
        return None;
    }
    match &unit.network_namespace {
        Some(path) => Some(format!("NetworkNamespacePath={}", visible(path))),
        None => unit.private_network.then(|| "PrivateNetwork=yes".to_owned()),
    }
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(facts) = facts(view)? else { return Ok(Finding::Clear) };
    // Whose listener was seen in another namespace is meant, whatever else speaks for it.
    let seen = |unit: &&UnitFacts| {
        let pids = view.case.host.other_namespaces.value().into_iter().flatten().filter_map(|ns| ns.table.value());
        pids.flat_map(|table| table.processes.values())
            .any(|p| p.running_as.unit.as_deref() == Some(unit.name.as_str()))
    };
    let running = facts.units.iter().filter(|unit| unit.is_running());
    let listener = running.filter(|unit| apart_by(view, unit).is_some()).find(seen);
    let (unit, certainty, because) = match (listener, meant(view)?) {
        (Some(unit), _) => (unit, Certainty::Proven, Vec::new()),
        // Why one that failed did so comes first.
        (None, Some(meant)) if meant.unit.is_running() || stopped(view).is_some() => {
            (meant.unit, meant.certainty.min(Certainty::Likely), meant.because(view))
        }
        _ => return Ok(Finding::Clear),
    };
    let Some(setting) = apart_by(view, unit) else { return Ok(Finding::Clear) };
    let name = act::name(unit);
    let (state, runs) = if unit.is_running() { ("is running", "runs") } else { ("is stopped", "would run") };
    let mut fired = Fired::new(certainty, format!("{name} {runs} in a network of its own: {setting}"))
        .evidence(Evidence::new(
            format!("{name} {state} with {setting}"),
            facts.manager.value().cloned().unwrap_or_default(),
        ))
        .evidences(access_list::files(unit))
        .evidences(because);
    let title = format!("let {name} run in the machine's own network; it is shut off for a reason, as a rule");
    let settings = ["PrivateNetwork=no", "NetworkNamespacePath="];
    fired = fired.fix(drop_in(view, unit, "network", &settings, Risk::Medium, title));
    Ok(fired.fires())
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::service::unit;
    use unrefuse_facts::{ActiveState, UnitFacts};

    fn roots(change: impl FnOnce(&mut UnitFacts)) -> Vec<String> {
        let mut redis = unit("redis-server.service", ActiveState::Active, "running");
        change(&mut redis);
        Scene::local("127.0.0.1:6379").rst().units(vec![redis]).roots()
    }

    #[test]
    fn a_running_unit_with_a_network_of_its_own() {
        assert_eq!(roots(|u| u.private_network = true), ["service/private-network"]);
        assert_eq!(roots(|u| u.network_namespace = Some("/run/netns/x".into())), ["service/private-network"]);
    }

    #[test]
    fn a_stopped_one_would_run_there() {
        let stopped = |u: &mut UnitFacts| (u.private_network, u.active) = (true, ActiveState::Inactive);
        assert_eq!(roots(stopped), ["service/private-network"]);
        // With one that failed its failure is the matter.
        assert_eq!(roots(|u| (u.private_network, u.active) = (true, ActiveState::Failed)), ["service/failed"]);
        // Its socket unit would listen in the machine's own network.
        let by_socket = |u: &mut UnitFacts| u.triggered_by = vec!["redis.socket".into()];
        assert_eq!(roots(|u| (stopped(u), by_socket(u)).0), ["service/stopped"]);
        assert_eq!(roots(|_| {}), ["listener/none"]);
    }

    #[test]
    fn in_its_own_namespace_it_is_not_apart() {
        let mut redis = unit("redis-server.service", ActiveState::Inactive, "dead");
        redis.network_namespace = Some("/run/netns/blue".into());
        let scene = Scene::local("127.0.0.1:6379").rst().units(vec![redis]);
        let roots = scene.with(|case| case.vantage.netns = Some("blue".into())).roots();
        assert_eq!(roots, ["service/stopped"]);
    }
}

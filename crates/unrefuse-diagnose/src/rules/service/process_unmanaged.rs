//! service/process-unmanaged

use super::meant::{facts, meant};
use super::act;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Risk};
use crate::rule::cause;
use unrefuse_facts::SocketState;
use unrefuse_facts::catalogue;
use unrefuse_facts::text::visible;

cause! {
    /// ## What it means
    ///
    /// No unit stands behind the port: whatever listened there was started by hand, by a script or by another supervisor,
    /// and is gone. Nothing starts it again.
    ///
    /// ## How it shows
    ///
    /// The connection is refused at once, and the machine's manager knows no service for the port. Traces may be left:
    /// connections in TIME_WAIT on the port, a pid file whose process is gone, an executable without a unit.
    ///
    /// ## How to confirm by hand
    ///
    /// `ss -tan 'sport = :PORT'`; `ls /run/*.pid`; the shell history, `crontab -l`, the supervisor's own list.
    ///
    /// ## How to fix
    ///
    /// Start it the way it was started before. So that it comes back by itself, give it a unit with `Restart=on-failure`.
    ///
    /// ## What it is often mistaken for
    ///
    /// A service that is not installed at all (`service/not-installed`).
    id: "service/process-unmanaged",
    title: "what listened there had no unit, and is gone",
    explains: &["listener/none", "listener/stale-socket"],
    begins: false,
    needs: &["units"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(facts) = facts(view)? else { return Ok(Finding::Clear) };
    if meant(view)?.is_some() || !facts.others.is_empty() {
        return Ok(Finding::Clear);
    }
    let mut traces: Vec<Evidence> = Vec::new();
    let mut certainty = Certainty::Possible;
    let lingers = |state| matches!(state, SocketState::TimeWait | SocketState::FinWait2 | SocketState::LastAck);
    let users = facts.port_users.value().into_iter().flat_map(|table| &table.listeners);
    if let Some(socket) = users.filter(|s| lingers(s.state)).find(|s| s.local.port() == view.case.target.port) {
        let peer = socket.remote.map(|peer| format!(" with {peer}")).unwrap_or_default();
        traces.push(Evidence::new(format!("a connection on port {}{peer} ended a moment ago", view.case.target.port), "inet_diag"));
        certainty = Certainty::Likely;
    }
    for path in &facts.stale_pid_files {
        traces.push(Evidence::new(format!("the process of {} is gone", visible(path)), "/run"));
        certainty = Certainty::Likely;
    }
    for found in &facts.installed {
        let name = catalogue::by_id(&found.service).map_or(found.service.as_str(), |service| service.name);
        traces.push(Evidence::new(format!("{} is {name}, and has no unit", visible(&found.path)), "the file system"));
    }
    if traces.is_empty() {
        return Ok(Finding::Clear);
    }
    Ok(Fired::new(certainty, format!("no unit stands behind port {}: what listened there is gone", view.case.target.port))
        .evidences(traces)
        .fix(act::advice(view, Risk::Low, "start it the way it was started before; a unit with Restart=on-failure would do so by itself"))
        .fires())
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::service::unit;
    use unrefuse_facts::{ActiveState, Installed};

    fn scene() -> Scene {
        Scene::local("127.0.0.1:6379").rst()
    }

    #[test]
    fn traces_of_a_process_without_a_unit() {
        let with_pid_file = scene().services(|f| f.stale_pid_files = vec!["/run/redis.pid".into()]).report();
        assert_eq!(with_pid_file.blockers[0].root, "service/process-unmanaged");
        let installed = Installed { service: "redis".into(), path: "/usr/local/bin/redis-server".into() };
        let roots = scene().services(|f| (f.installed, f.sought) = (vec![installed], vec!["redis".into()])).roots();
        assert_eq!(roots, ["service/process-unmanaged"]);
    }

    #[test]
    fn a_unit_is_another_matter() {
        let redis = unit("redis-server.service", ActiveState::Inactive, "dead");
        let scene = scene().services(|f| (f.units, f.stale_pid_files) = (vec![redis], vec!["/run/redis.pid".into()]));
        assert_eq!(scene.roots(), ["service/stopped"]);
    }

    #[test]
    fn without_a_trace_nothing_is_said() {
        let roots = scene().services(|_| {}).roots();
        assert_ne!(roots, ["service/process-unmanaged"]);
    }
}

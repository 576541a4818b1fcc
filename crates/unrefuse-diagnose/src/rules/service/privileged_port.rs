//! service/privileged-port

use super::drop_in::drop_in;
use super::meant::meant;
use super::{act, log};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Risk};
use crate::rule::cause;
use unrefuse_facts::text::visible;

cause! {
    /// ## What it means
    ///
    /// The service does not run as root and wants a port below 1024 (`net.ipv4.ip_unprivileged_port_start`), for which
    /// the kernel wants the capability `CAP_NET_BIND_SERVICE`.
    ///
    /// ## How it shows
    ///
    /// The service's log says "Permission denied" (EACCES, 13) where it speaks of bind or listen.
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl show -p User,AmbientCapabilities UNIT`; `sysctl net.ipv4.ip_unprivileged_port_start`.
    ///
    /// ## How to fix
    ///
    /// Give the unit that one capability with a drop-in (`AmbientCapabilities=CAP_NET_BIND_SERVICE`), or let it listen on
    /// a port from 1024 on.
    ///
    /// ## What it is often mistaken for
    ///
    /// SELinux or AppArmor, which deny with the same words and leave a record in the audit log.
    id: "service/privileged-port",
    title: "the service may not open a port below 1024",
    explains: &["service/failed", "service/crash-loop", "listener/none"],
    begins: false,
    needs: &["journal"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(meant) = meant(view)? else { return Ok(Finding::Clear) };
    let unit = meant.culprit();
    let Some(line) = log::denied(unit) else { return Ok(Finding::Clear) };
    let first = view
        .case
        .host
        .sysctl("net.ipv4.ip_unprivileged_port_start")
        .and_then(|v| v.trim().parse().ok())
        .unwrap_or(1024);
    let port = log::port(&line.line.message).unwrap_or(view.case.target.port);
    let user = unit.runs_as.as_deref().filter(|user| *user != "root" && *user != "0");
    if port >= first || unit.may_bind_low_ports == Some(true) || user.is_none() && unit.runs_as.is_some() {
        return Ok(Finding::Clear);
    }
    let name = act::name(unit);
    let as_user = user.map(|user| format!(" as user {}", visible(user))).unwrap_or_default();
    // Without User= it may still have dropped its rights itself.
    let certainty = if user.is_some() { meant.certainty } else { Certainty::Possible };
    let mut fired = Fired::new(certainty, format!("{name}, which runs{as_user}, may not open port {port}"))
        .evidence(line.evidence(unit))
        .evidence(Evidence::new(
            format!("ports below {first} need CAP_NET_BIND_SERVICE, which {name} is not given"),
            "net.ipv4.ip_unprivileged_port_start",
        ));
    if user.is_some() {
        // An unprivileged unit may also be kept from it by its bounding set.
        let settings = ["AmbientCapabilities=CAP_NET_BIND_SERVICE", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"];
        let title = format!("give {name} the one capability that it needs");
        fired = fired.fix(drop_in(view, unit, "port", &settings, Risk::Low, title));
    }
    fired = fired.fix(act::advice(view, Risk::Low, format!("or let {name} listen on a port from {first} on")));
    Ok(fired.fires())
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::service::failed;
    use unrefuse_facts::UnitFacts;

    fn roots(port: u16, change: impl FnOnce(&mut UnitFacts)) -> Vec<String> {
        let mut app = failed("app.service", &[&format!("listen tcp 0.0.0.0:{port}: bind: permission denied")]);
        app.runs_as = Some("app".into());
        app.may_bind_low_ports = Some(false);
        change(&mut app);
        Scene::local(&format!("127.0.0.1:{port}")).rst().units(vec![app]).roots()
    }

    #[test]
    fn a_low_port_without_the_right() {
        assert_eq!(roots(80, |_| {}), ["service/privileged-port"]);
    }

    #[test]
    fn with_the_right_as_root_or_on_a_high_port_it_is_something_else() {
        assert_eq!(roots(80, |u| u.may_bind_low_ports = Some(true)), ["service/failed"]);
        assert_eq!(roots(80, |u| u.runs_as = Some("root".into())), ["service/failed"]);
        assert_eq!(roots(8080, |_| {}), ["service/failed"]);
    }
}

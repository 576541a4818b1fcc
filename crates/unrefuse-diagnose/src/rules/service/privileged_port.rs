//! service/privileged-port

use super::drop_in::drop_in;
use super::meant::meant;
use super::{act, log};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::UnitFacts;
use unrefuse_facts::text::visible;

cause! {
    /// ## What it means
    ///
    /// The service wants a port below 1024 (`net.ipv4.ip_unprivileged_port_start`), for which the kernel wants the capability
    /// `CAP_NET_BIND_SERVICE`, and does not have it: it does not run as root, or its unit takes the capability from root, too
    /// (`CapabilityBoundingSet=`, `PrivateUsers=`), or a user's manager started it, which has none to give.
    ///
    /// ## How it shows
    ///
    /// The service's log says "Permission denied" (EACCES, 13) where it speaks of bind or listen.
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl show -p User,AmbientCapabilities,CapabilityBoundingSet,PrivateUsers UNIT`; `sysctl net.ipv4.ip_unprivileged_port_start`.
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
    let Some(lack) = Lack::of(unit).filter(|_| port < first) else { return Ok(Finding::Clear) };
    let name = act::name(unit);
    // Without User= it may still have dropped its rights itself.
    let certainty = if lack == Lack::Unknown { Certainty::Possible } else { meant.certainty };
    let mut fired = Fired::new(certainty, format!("{name}, which runs{}, may not open port {port}", lack.how()))
        .evidence(line.evidence(unit))
        .evidence(Evidence::new(
            format!("ports below {first} need CAP_NET_BIND_SERVICE, {}", lack.because(&name)),
            "net.ipv4.ip_unprivileged_port_start",
        ));
    let title = format!("give {name} the one capability that it needs");
    let settings = lack.settings();
    if !settings.is_empty() {
        fired = fired.fix(drop_in(view, unit, "port", settings, Risk::Low, title));
    }
    if unit.user.is_some() {
        fired = fired.fix(open_to_all(view, unit, port, first));
    }
    fired = fired.fix(act::advice(view, Risk::Low, format!("or let {name} listen on a port from {first} on")));
    Ok(fired.fires())
}

/// Why a unit lacks the capability.
#[derive(PartialEq, Eq)]
enum Lack<'a> {
    /// Its user is not root.
    User(&'a str),
    /// The manager that starts it is a user's, and has no capabilities to give.
    Manager(&'a str),
    /// Its bounding set leaves the capability out; the user where that is not root.
    Bounded(Option<&'a str>),
    /// It has a user namespace of its own.
    PrivateUsers,
    /// Its unit does not tell.
    Unknown,
}

impl<'a> Lack<'a> {
    /// `None` where the unit has the capability.
    fn of(unit: &'a UnitFacts) -> Option<Self> {
        let user = unit.runs_as.as_deref().filter(|user| *user != "root" && *user != "0");
        match (&unit.user, user) {
            (Some(owner), _) if owner.uid != 0 => Some(Self::Manager(&owner.name)),
            _ if unit.low_ports_bounded => Some(Self::Bounded(user)),
            _ if unit.private_users => Some(Self::PrivateUsers),
            _ if unit.may_bind_low_ports == Some(true) => None,
            (_, Some(user)) => Some(Self::User(user)),
            (_, None) => unit.runs_as.is_none().then_some(Self::Unknown),
        }
    }

    fn how(&self) -> String {
        match self {
            Self::User(user) | Self::Manager(user) | Self::Bounded(Some(user)) => format!(" as user {}", visible(user)),
            Self::Bounded(None) => " without all of root's rights".to_owned(),
            Self::PrivateUsers => " with PrivateUsers=".to_owned(),
            Self::Unknown => String::new(),
        }
    }

    fn because(&self, name: &str) -> String {
        match self {
            Self::User(_) | Self::Unknown => format!("which {name} is not given"),
            Self::Manager(user) => format!("which the manager of {} does not have to give", visible(user)),
            Self::Bounded(_) => format!("which CapabilityBoundingSet= of {name} leaves out"),
            Self::PrivateUsers => format!("and those of {name} count only in its own user namespace (PrivateUsers=)"),
        }
    }

    /// What its unit must say for it to have the capability.
    fn settings(&self) -> &'static [&'static str] {
        match self {
            // A bounding set takes more with each assignment.
            Self::User(_) | Self::Bounded(Some(_)) => {
                &["AmbientCapabilities=CAP_NET_BIND_SERVICE", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"]
            }
            Self::Bounded(None) => &["CapabilityBoundingSet=CAP_NET_BIND_SERVICE"],
            Self::PrivateUsers => &["PrivateUsers=no"],
            Self::Manager(_) | Self::Unknown => &[],
        }
    }
}

/// Everybody may open the port.
fn open_to_all(view: &View<'_>, unit: &UnitFacts, port: u16, first: u16) -> Option<Fix> {
    const NAME: &str = "net.ipv4.ip_unprivileged_port_start";
    let title = format!("let every user of this machine open ports from {port} on");
    let file = format!("/etc/sysctl.d/90-unprivileged-port-{port}.conf");
    let fix = Fix::new(view, Risk::Medium, title)
        .command(format!("sysctl -w {NAME}={port}"))
        .command(format!("mkdir -p /etc/sysctl.d && echo {NAME}={port} > {file}"))
        .undo(format!("rm {file}"))
        .undo(format!("sysctl -w {NAME}={first}"))
        .persistent();
    act::start_again(view, fix, unit)
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::service::{commands, failed, user};
    use unrefuse_facts::UnitFacts;

    fn scene(port: u16, change: impl FnOnce(&mut UnitFacts)) -> Scene {
        let mut app = failed("app.service", &[&format!("listen tcp 0.0.0.0:{port}: bind: permission denied")]);
        app.runs_as = Some("app".into());
        app.may_bind_low_ports = Some(false);
        change(&mut app);
        Scene::local(&format!("127.0.0.1:{port}")).rst().units(vec![app])
    }

    fn roots(port: u16, change: impl FnOnce(&mut UnitFacts)) -> Vec<String> {
        scene(port, change).roots()
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

    #[test]
    fn root_without_the_capability() {
        let root = || Some("root".to_owned());
        let bounded = scene(80, |u| (u.runs_as, u.low_ports_bounded) = (root(), true)).report();
        assert_eq!(bounded.blockers[0].root, "service/privileged-port");
        let settings = &commands(&bounded, 0)[1];
        assert!(settings.contains("[Service]\\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\\n"), "{settings}");
        let own = scene(80, |u| (u.runs_as, u.private_users) = (root(), true)).report();
        assert!(commands(&own, 0)[1].contains("PrivateUsers=no"));
        // An ambient capability that the bounding set leaves out is none.
        let both = |u: &mut UnitFacts| (u.may_bind_low_ports, u.low_ports_bounded) = (Some(true), true);
        assert_eq!(roots(80, both), ["service/privileged-port"]);
    }

    #[test]
    fn a_users_manager_has_no_capability_to_give() {
        let report = scene(80, |u| (u.user, u.runs_as) = (Some(user()), None)).report();
        assert_eq!(report.blockers[0].root, "service/privileged-port");
        assert_eq!(commands(&report, 0)[0], "sysctl -w net.ipv4.ip_unprivileged_port_start=80");
    }
}

//! service/bind-denied

use super::drop_in::drop_in;
use super::{act, log};
use super::meant::meant;
use crate::View;
use crate::filter::access_list;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Risk};
use crate::rule::cause;
use unrefuse_facts::text::visible;
use unrefuse_facts::{ActiveState, Transport, UnitFacts};

cause! {
    /// ## What it means
    ///
    /// The service's unit does not let it listen there: `SocketBindDeny=` denies the port (a program on the unit's cgroup),
    /// or `RestrictAddressFamilies=` leaves out the address family (seccomp). Such lines come with hardened units.
    ///
    /// ## How it shows
    ///
    /// The service fails as it starts, and runs when it is started by hand. Its log says "Operation not permitted" (EPERM)
    /// of bind(2) for `SocketBindDeny=`, "Address family not supported by protocol" (EAFNOSUPPORT) of socket(2) for
    /// `RestrictAddressFamilies=`.
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl show -p SocketBindDeny,SocketBindAllow,RestrictAddressFamilies UNIT`; `systemctl cat UNIT` shows the file.
    ///
    /// ## How to fix
    ///
    /// Allow it with a drop-in (`SocketBindAllow=tcp:PORT`, `RestrictAddressFamilies=AF_INET AF_INET6`) and start the
    /// service again. What is allowed beats what is denied (systemd.resource-control(5)).
    ///
    /// ## What it is often mistaken for
    ///
    /// A port below 1024 that needs a capability (`service/privileged-port`), and SELinux or AppArmor: the log's words are
    /// the same.
    id: "service/bind-denied",
    title: "the service's unit does not let it listen there",
    explains: &["service/failed", "service/crash-loop", "listener/none", "listener/other-family"],
    begins: false,
    needs: &["units"],
    likes: &["journal"],
    check: check,
}

/// bind(2) failed with EPERM. Without these words nothing is said of `SocketBindDeny=`: a systemd that was built without its
/// BPF framework (Debian 12's) reads it and does nothing.
const NOT_PERMITTED: &[&str] = &["operation not permitted", "eperm", "(1:", "errno 1]"];

/// socket(2) failed because of the family.
const NO_FAMILY: &[&str] = &["address family not supported", "eafnosupport", "(97:", "errno 97", "errno: 97"];

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(meant) = meant(view)? else { return Ok(Finding::Clear) };
    let (Some(ip), Some(transport)) = (view.ip(), view.transport()) else { return Ok(Finding::Clear) };
    let unit = meant.culprit();
    if matches!(unit.active, ActiveState::Inactive | ActiveState::Unknown) {
        return Ok(Finding::Clear);
    }
    let port = view.case.target.port;
    let (v4, v6) = ("AF_INET", "AF_INET6");
    let (family, other) = if ip.is_ipv4() { (v4, v6) } else { (v6, v4) };
    let allows = |family: &str| unit.address_families.as_ref().is_none_or(|list| list.allows(family));
    let denied = log::find(unit, NOT_PERMITTED).filter(|_| denies(unit, ip.is_ipv4(), transport, port));
    let (line, setting, name, allow) = if denied.is_some() {
        let setting = format!("SocketBindDeny={}", visible(&unit.bind_deny.join(" ")));
        (denied, setting, "bind", format!("SocketBindAllow={}:{port}", transport.name()))
    } else if !allows(family) {
        let line = log::find(unit, NO_FAMILY);
        // A socket of the other family may serve both.
        if line.is_none() && allows(other) {
            return Ok(Finding::Clear);
        }
        let (not, families) = unit
            .address_families
            .as_ref()
            .map_or(("", String::new()), |list| (if list.allow { "" } else { "~" }, list.families.join(" ")));
        let setting = format!("RestrictAddressFamilies={not}{}", visible(&families));
        // Empty takes back all that was said; an addition to a list of what is denied would be denied, too.
        (line, setting, "families", "RestrictAddressFamilies=".to_owned())
    } else {
        return Ok(Finding::Clear);
    };
    let certainty = if line.is_some() { meant.certainty } else { meant.certainty.min(Certainty::Likely) };
    let unit_name = act::name(unit);
    let title = format!("let {unit_name} listen there; somebody hardened its unit on purpose");
    Ok(Fired::new(certainty, format!("{unit_name} may not listen on {}: {setting}", view.endpoint()))
        .evidence(Evidence::new(format!("{unit_name} has {setting}"), meant.source()))
        .evidences(line.map(|line| line.evidence(unit)))
        .evidences(access_list::files(unit))
        .fix(drop_in(view, unit, name, &[&allow], Risk::Medium, title))
        .fires())
}

/// Whether the unit's rules keep it from binding the port: what is allowed is asked first (systemd.resource-control(5)).
fn denies(unit: &UnitFacts, v4: bool, transport: Transport, port: u16) -> bool {
    let holds = |rule: &String| applies(rule, v4, transport, port);
    unit.bind_deny.iter().any(holds) && !unit.bind_allow.iter().any(holds)
}

/// `[ipv4:|ipv6:][tcp:|udp:]PORT|FIRST-LAST|any`; a family or protocol alone means all of its ports.
fn applies(rule: &str, v4: bool, transport: Transport, port: u16) -> bool {
    rule.split(':').all(|part| match part {
        "ipv4" => v4,
        "ipv6" => !v4,
        "tcp" | "udp" => part == transport.name(),
        "any" => true,
        ports => {
            let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
            let range = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
            range.is_some_and(|(first, last)| (first..=last).contains(&port))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scene;
    use crate::testing::service::failed;
    use unrefuse_facts::AddressFamilies;

    fn report(line: &str, change: impl FnOnce(&mut UnitFacts)) -> crate::Report {
        let mut nginx = failed("nginx.service", &[line]);
        change(&mut nginx);
        Scene::local("127.0.0.1:80").rst().units(vec![nginx]).report()
    }

    #[test]
    fn a_port_that_the_unit_denies() {
        let line = "nginx: [emerg] bind() to 0.0.0.0:80 failed (1: Operation not permitted)";
        let report = report(line, |unit| unit.bind_deny = vec!["tcp:80".into()]);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("service/bind-denied", Certainty::Proven));
        assert_eq!(blocker.whys[2].title, "nginx.service may not listen on 127.0.0.1:80: SocketBindDeny=tcp:80");
        assert!(blocker.fixes[0].steps.len() > 3, "{:?}", blocker.fixes);
    }

    #[test]
    fn a_family_that_the_unit_leaves_out() {
        let families = |allow, names: &[&str]| {
            let families = names.iter().map(|name| (*name).to_owned()).collect();
            move |unit: &mut UnitFacts| unit.address_families = Some(AddressFamilies { allow, families })
        };
        let line = "nginx: [emerg] socket() 0.0.0.0:80 failed (97: Address family not supported by protocol)";
        assert_eq!(report(line, families(true, &["AF_UNIX"])).blockers[0].root, "service/bind-denied");
        assert_eq!(report("bye", families(false, &["AF_INET", "AF_INET6"])).blockers[0].root, "service/bind-denied");
        // A dual-stack socket of the other family would do.
        assert_eq!(report("bye", families(true, &["AF_INET6"])).blockers[0].root, "service/failed");
    }

    #[test]
    fn other_ports_and_what_is_allowed_beside_are_no_reason() {
        let root = |deny: &str, allow: &[&str]| {
            let allow = allow.iter().map(|rule| (*rule).to_owned()).collect();
            let denied = |unit: &mut UnitFacts| (unit.bind_deny, unit.bind_allow) = (vec![deny.into()], allow);
            report("bind() to 0.0.0.0:80 failed (1: Operation not permitted)", denied).blockers[0].root.clone()
        };
        assert_eq!(root("any", &[]), "service/bind-denied");
        assert_eq!(root("ipv4:tcp:1-80", &[]), "service/bind-denied");
        assert_ne!(root("any", &["tcp:80"]), "service/bind-denied");
        assert_eq!(report("bye", |unit| unit.bind_deny = vec!["any".into()]).blockers[0].root, "service/failed");
        for other in ["ipv6:any", "udp:80", "81-90", "ipv4:tcp:8080", "rubbish"] {
            assert_ne!(root(other, &[]), "service/bind-denied", "{other}");
        }
    }
}

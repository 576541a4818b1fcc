//! egress/unit-ip-deny

use crate::View;
use crate::filter::access_list;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Risk};
use crate::rule::cause;
use crate::rules::service::drop_in;
use unrefuse_facts::text::visible;
use unrefuse_facts::{AttemptOutcome, Errno, UnitFacts};

cause! {
    /// ## What it means
    ///
    /// The unit that the client runs in, or a slice above it, says that its processes may not speak to that address
    /// (`IPAddressDeny=`, enforced by a program on the unit's cgroup), or may not make sockets of that family
    /// (`RestrictAddressFamilies=`, enforced by seccomp).
    ///
    /// ## How it shows
    ///
    /// The same command works in a shell and fails in the unit. With `IPAddressDeny=` the packet is dropped as it leaves:
    /// TCP times out, UDP gets `EPERM`. With `RestrictAddressFamilies=` socket(2) gives `EAFNOSUPPORT`.
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl show -p IPAddressDeny,IPAddressAllow,RestrictAddressFamilies UNIT`, and the same of its slices.
    ///
    /// ## How to fix
    ///
    /// Allow the address: `systemctl set-property UNIT IPAddressAllow=ADDRESS`. An allowed address beats a denied one
    /// (systemd.resource-control(5)).
    ///
    /// ## What it is often mistaken for
    ///
    /// A packet filter that drops (`egress/firewall-drop`): no rule of it is to blame here.
    id: "egress/unit-ip-deny",
    title: "the client's unit may not speak to that address",
    instead_of: &["path/filtered"],
    apart: true,
    needs: &["own units"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let (Some(attempt), Some(ip)) = (view.attempt(), view.ip()) else { return Ok(Finding::Clear) };
    // Without a manager no unit restricts: then there is nothing to ask.
    let Some(services) = view.case.host.services.value() else { return Ok(Finding::Clear) };
    let Some(units) = services.own_units.value() else { return Ok(Finding::Clear) };
    let family = if ip.is_ipv6() { "AF_INET6" } else { "AF_INET" };
    if attempt.errno == Some(Errno::EAFNOSUPPORT) {
        let unit = units.iter().find(|unit| unit.address_families.as_ref().is_some_and(|list| !list.allows(family)));
        return Ok(unit.map_or(Finding::Clear, |unit| restricted(view, unit, family)));
    }
    let silent = attempt.outcome == AttemptOutcome::TimedOut || attempt.errno == Some(Errno::EPERM);
    let Some(denied) = access_list::denied(units.iter(), ip).filter(|_| silent) else { return Ok(Finding::Clear) };
    let name = visible(&denied.unit.name);
    let mut fired = Fired::new(Certainty::Proven, format!("{name}, which this runs in, may not speak to {ip}"))
        .predicts(&[AttemptOutcome::TimedOut, AttemptOutcome::Denied])
        .evidence(Evidence::new(denied.in_words(), "the manager of units"))
        .evidences(access_list::files(denied.unit));
    fired = fired.fix(access_list::allow(view, units.first().unwrap_or(denied.unit), ip));
    Ok(fired.fires())
}

fn restricted(view: &View<'_>, unit: &UnitFacts, family: &str) -> Finding {
    let name = visible(&unit.name);
    let list = unit.address_families.as_ref();
    let (not, families) = list.map_or(("", String::new()), |list| (if list.allow { "" } else { "~" }, list.families.join(" ")));
    let fired = Fired::new(Certainty::Proven, format!("{name}, which this runs in, may not make sockets of {family}"))
        .predicts(&[])
        .evidence(Evidence::new(format!("{name} has RestrictAddressFamilies={not}{}", visible(&families)), "the manager of units"))
        .evidences(access_list::files(unit));
    let title = format!("allow {name} that family");
    fired.fix(drop_in(view, unit, "families", &["RestrictAddressFamilies="], Risk::Medium, title)).fires()
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::service::unit;
    use unrefuse_facts::{ActiveState, AddressFamilies, Errno, IpPrefix, Observed, Source, UnitFacts};

    fn own(change: impl FnOnce(&mut UnitFacts)) -> Observed<Vec<UnitFacts>> {
        let mut app = unit("app.service", ActiveState::Active, "running");
        change(&mut app);
        Observed::known(vec![app], Source::running("the manager"))
    }

    fn any4() -> Vec<IpPrefix> {
        vec![IpPrefix { address: "0.0.0.0".parse().unwrap(), length: 0 }]
    }

    #[test]
    fn silence_to_a_denied_address() {
        let scene = Scene::remote("10.9.0.1:80").silent().services(|f| f.own_units = own(|u| u.ip_deny = any4()));
        let report = scene.report();
        let blocker = report.blockers.iter().find(|b| b.root == "egress/unit-ip-deny").unwrap();
        assert!(blocker.whys[0].title.starts_with("app.service"));
    }

    #[test]
    fn an_allowed_address_beats_it_and_an_answer_too() {
        let allowed = own(|u| (u.ip_deny, u.ip_allow) = (any4(), any4()));
        let roots = Scene::remote("10.9.0.1:80").silent().services(|f| f.own_units = allowed).roots();
        assert!(!roots.contains(&"egress/unit-ip-deny".to_owned()), "{roots:?}");
        let roots = Scene::remote("10.9.0.1:80").rst().services(|f| f.own_units = own(|u| u.ip_deny = any4())).roots();
        assert!(!roots.contains(&"egress/unit-ip-deny".to_owned()), "{roots:?}");
    }

    #[test]
    fn a_family_that_is_not_allowed() {
        let list = |families: &[&str]| {
            own(|u| {
                let families = families.iter().map(|f| (*f).to_owned()).collect();
                u.address_families = Some(AddressFamilies { allow: true, families });
            })
        };
        let scene = || Scene::remote("10.9.0.1:80").local_error(Errno::EAFNOSUPPORT);
        assert_eq!(scene().services(|f| f.own_units = list(&["AF_UNIX"])).roots(), ["egress/unit-ip-deny"]);
        assert!(scene().services(|f| f.own_units = list(&["AF_INET"])).roots().is_empty());
    }
}

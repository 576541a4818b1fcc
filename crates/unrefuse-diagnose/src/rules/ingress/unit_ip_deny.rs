//! ingress/unit-ip-deny

use crate::View;
use crate::filter::access_list;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence};
use crate::rule::cause;
use std::net::IpAddr;
use unrefuse_facts::text::visible;
use unrefuse_facts::{AttemptOutcome, UnitFacts};

cause! {
    /// ## What it means
    ///
    /// The service listens, but its unit, or a slice above it, says that its sockets take nothing from the client's
    /// address (`IPAddressDeny=`): a program on the unit's cgroup drops the packet just before the socket.
    ///
    /// ## How it shows
    ///
    /// The connection times out although the service runs, listens on every address, and no packet filter drops. The
    /// kernel counts the packet as dropped by a socket filter.
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl show -p IPAddressDeny,IPAddressAllow UNIT`, and the same of its slices (`systemctl show -p Slice UNIT`).
    ///
    /// ## How to fix
    ///
    /// Allow the client: `systemctl set-property UNIT IPAddressAllow=ADDRESS`. An allowed address beats a denied one
    /// (systemd.resource-control(5)); the change takes effect at once.
    ///
    /// ## What it is often mistaken for
    ///
    /// A packet filter that drops (`ingress/firewall-drop`): tcpdump shows the packet, and no rule counts it.
    id: "ingress/unit-ip-deny",
    title: "the server's unit takes nothing from that address",
    instead_of: &["path/filtered"],
    apart: true,
    needs: &["sockets", "units"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(client) = client(view) else { return Ok(Finding::Clear) };
    let silent = view.judged_only() || view.outcome() == Some(AttemptOutcome::TimedOut);
    let (Some(services), Some(table)) = (view.case.host.services.value(), view.case.host.sockets.value()) else {
        return Ok(Finding::Clear);
    };
    if !silent || view.is_local() != Some(true) {
        return Ok(Finding::Clear);
    }
    let takers = view.takers(table);
    let owners = takers.iter().flat_map(|socket| table.owners(socket));
    let units = owners.filter_map(|process| services.unit(process.running_as.unit.as_deref()?));
    for unit in units {
        let above = |other: &&UnitFacts| {
            unit.slice.as_deref().is_some_and(|slice| access_list::lies_in(slice, &other.name))
                && other.name != unit.name
        };
        let all = std::iter::once(unit).chain(services.units.iter().filter(above));
        if let Some(denied) = access_list::denied(all, client) {
            let name = visible(&unit.name);
            return Ok(Fired::new(Certainty::Proven, format!("{name} takes nothing from {client}"))
                .predicts(&[AttemptOutcome::TimedOut])
                .evidence(Evidence::new(denied.in_words(), "the manager of units"))
                .evidences(access_list::files(denied.unit))
                .fix(access_list::allow(view, unit, client))
                .fires());
        }
    }
    Ok(Finding::Clear)
}

/// The address that the packets come from.
fn client(view: &View<'_>) -> Option<IpAddr> {
    let from = view.case.firewall.value().and_then(|facts| facts.from);
    let own =
        view.attempt().and_then(|attempt| attempt.local).map(|local| local.ip()).filter(|ip| !ip.is_unspecified());
    from.or(own).or_else(|| view.ip().filter(|_| !view.judged_only()))
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::filter::{accepted, chain, dropped, policy};
    use crate::testing::service::unit;
    use unrefuse_facts::{ActiveState, FilterBackend, FilterHook, IpPrefix, RuleOwner, UnitFacts};

    fn scene(change: impl FnOnce(&mut UnitFacts)) -> Scene {
        let mut nginx = unit("nginx.service", ActiveState::Active, "running");
        nginx.slice = Some("system.slice".into());
        change(&mut nginx);
        let mut slice = unit("system.slice", ActiveState::Active, "active");
        slice.clues.clear();
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx");
        scene.process(|p| p.running_as.unit = Some("nginx.service".into())).silent().units(vec![nginx, slice])
    }

    fn any4() -> Vec<IpPrefix> {
        vec![IpPrefix { address: "0.0.0.0".parse().unwrap(), length: 0 }]
    }

    #[test]
    fn the_unit_or_its_slice_denies_the_client() {
        assert_eq!(scene(|u| u.ip_deny = any4()).roots(), ["ingress/unit-ip-deny"]);
        let by_slice = scene(|_| {}).services(|f| f.units[1].ip_deny = any4());
        assert_eq!(by_slice.roots(), ["ingress/unit-ip-deny"]);
    }

    #[test]
    fn a_filter_that_drops_as_well_is_told_beside_it() {
        let by = policy(chain(FilterBackend::IptablesNft, "INPUT", FilterHook::Input), RuleOwner::Hand);
        let roots = scene(|u| u.ip_deny = any4()).filtered(Some(accepted()), Some(dropped(by))).roots();
        assert_eq!(roots, ["ingress/firewall-drop", "ingress/unit-ip-deny"]);
    }

    #[test]
    fn an_allowed_client_is_taken() {
        let roots = scene(|u| (u.ip_deny, u.ip_allow) = (any4(), any4())).roots();
        assert!(!roots.contains(&"ingress/unit-ip-deny".to_owned()), "{roots:?}");
    }

    #[test]
    fn another_unit_is_no_reason() {
        let roots = scene(|u| (u.ip_deny, u.name) = (any4(), "other.service".into())).roots();
        assert!(!roots.contains(&"ingress/unit-ip-deny".to_owned()), "{roots:?}");
    }
}

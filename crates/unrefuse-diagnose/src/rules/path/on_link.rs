//! A host that is looked for on the link, though a gateway leads to it: the prefix of the link's own address is too short.

use crate::View;
use crate::report::{Evidence, Fix, Risk};
use crate::rules::route::ways;
use std::net::IpAddr;
use unrefuse_facts::text::visible;
use unrefuse_facts::{InterfaceAddress, Route, RouteKind, within};

/// The connected network that takes the target for its own, and the entry that would carry it otherwise.
pub(super) struct Wide<'a> {
    own: &'a InterfaceAddress,
    name: &'a str,
    connected: &'a Route,
    other: &'a Route,
}

/// Networks of one link are seldom wider.
fn usual(address: IpAddr) -> u8 {
    if address.is_ipv4() { 24 } else { 64 }
}

impl<'a> Wide<'a> {
    /// Where an own address with a short prefix covers the target, which is not near it, and a gateway covers it, too.
    pub(super) fn of(view: &View<'a>, target: IpAddr) -> Option<Self> {
        let routing = view.routing()?;
        let connected = routing.decision.value()?.via().filter(|route| route.gateway.is_none())?;
        let covers = |a: &&InterfaceAddress| {
            Some(a.link) == connected.link && a.prefix == connected.prefix && within(target, a.address, a.prefix)
        };
        let own = view.case.host.addresses.value()?.iter().find(covers)?;
        if own.prefix >= usual(target) || within(target, own.address, usual(target)) {
            return None;
        }
        let leads = |route: &&Route| route.kind == RouteKind::Unicast && route.gateway.is_some() && !route.dead;
        let other = routing.alternatives.value()?.iter().find(leads)?;
        Some(Self { own, name: &view.case.host.link(own.link)?.name, connected, other })
    }

    /// What the title adds.
    pub(super) fn title(&self) -> String {
        let gateway = self.other.gateway.map(|gateway| format!(" {gateway}")).unwrap_or_default();
        format!(
            ", or behind the gateway{gateway}: the address {}/{} takes all of {} for its own link",
            self.own.address,
            self.own.prefix,
            ways::prefix(self.connected)
        )
    }

    pub(super) fn evidence(&self, view: &View<'_>, target: IpAddr) -> [Evidence; 2] {
        let (own, name) = (self.own, visible(self.name));
        let widely = format!("{name} has {}/{}, so {target} is looked for on its link", own.address, own.prefix);
        let without = format!("without that {target} goes by {}", ways::described(view, self.other));
        [Evidence::new(widely, "RTM_GETADDR"), Evidence::new(without, "RTM_GETROUTE dump")]
    }

    pub(super) fn fixes(&self, view: &View<'_>, target: IpAddr) -> impl Iterator<Item = Fix> {
        let gateway = self.other.gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
        let once = ways::host_route(view, target, self.other, format!("lead {target} by the gateway {gateway}"));
        let title = format!(
            "give {} on {} the prefix length of its network in place of /{}, where the network configuration sets it",
            self.own.address,
            visible(self.name),
            self.own.prefix
        );
        once.into_iter().chain([Fix::new(view, Risk::Medium, title).persistent()])
    }
}

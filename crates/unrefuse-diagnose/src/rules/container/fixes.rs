//! Fixes that several causes share: publishing a port, by the compose file or by running the container anew.

use super::meant::Meant;
use super::run::{Change, anew, entry};
use super::{compose, words};
use crate::View;
use crate::containers::short;
use crate::report::{Fix, Risk};
use std::net::{IpAddr, SocketAddr};
use unrefuse_facts::text::visible;
use unrefuse_facts::{ContainerPort, EngineKind, PublishedPort};

/// Publishes the asked port to the container's port `to`: on the asked address (all that the name leads to), then on every
/// one. The second takes the place of a publication that is there already.
pub(super) fn publish(
    view: &View<'_>,
    meant: &Meant<'_>,
    to: ContainerPort,
    present: Option<PublishedPort>,
) -> Vec<Fix> {
    let Some(ip) = view.ip() else { return Vec::new() };
    let port = view.case.target.port;
    let (asked, inside, name) = (view.port(), words::port(to), short(meant.container));
    if let Some(low) = below_lowest(view, meant) {
        return vec![low];
    }
    let past = match meant.engine.kind {
        EngineKind::Docker => "; published ports pass by ufw's rules",
        EngineKind::Podman => "",
    };
    let addresses = asked_addresses(view, ip);
    let on = addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" and ");
    let narrow = format!("publish {asked} of {on} to port {inside} of {name}");
    let broad = format!("publish {asked} of every address to port {inside} of {name}{past}");
    let publish = |address| entry(address, Some(port), to);
    let present = present.and_then(|present| as_asked_for(meant, &present));
    let own = present.and_then(|present| present.host_address).filter(|ip| !ip.is_unspecified());
    let beside = Change {
        publish: addresses.into_iter().map(|ip| publish(Some(ip))).collect(),
        // On an address that the machine has no more nothing can be published again.
        in_place_of: present.filter(|_| own.is_some_and(|ip| view.case.is_local(ip) == Some(false))),
        command: None,
    };
    let instead = Change { publish: vec![publish(None)], in_place_of: present, command: None };
    vec![remade(view, meant, Risk::Medium, &narrow, &beside), remade(view, meant, Risk::High, &broad, &instead)]
}

/// A user's engine may publish no port that the kernel keeps for root (ip_unprivileged_port_start of ip-sysctl.rst).
fn below_lowest(view: &View<'_>, meant: &Meant<'_>) -> Option<Fix> {
    const SETTING: &str = "net.ipv4.ip_unprivileged_port_start";
    meant.engine.rootless_uid?;
    let lowest = view.case.host.sysctl(SETTING).and_then(|value| value.trim().parse().ok()).unwrap_or(1024);
    let port = view.case.target.port;
    let title = format!(
        "publish {} on a port of the host from {lowest} on: a user's engine may not publish {port} (or lower {SETTING})",
        short(meant.container)
    );
    (port < lowest).then(|| Fix::new(view, Risk::Medium, title))
}

/// The addresses of this machine that the asked name leads to: were one published alone, the others would still refuse.
fn asked_addresses(view: &View<'_>, ip: IpAddr) -> Vec<IpAddr> {
    let found = view.case.resolution.result.iter().flatten().map(SocketAddr::ip);
    let mut all: Vec<IpAddr> = found
        .filter(|ip| !ip.is_unspecified() && view.case.is_local(*ip) == Some(true))
        .chain(std::iter::once(ip))
        .collect();
    all.sort();
    all.dedup();
    all
}

/// The publication as it stands in the container's settings: an engine shows one for all addresses as one for each family.
pub(super) fn as_asked_for(meant: &Meant<'_>, present: &PublishedPort) -> Option<PublishedPort> {
    let same = |own: &&PublishedPort| own.container == present.container && own.host_port == present.host_port;
    let all = || meant.container.published.iter().filter(same);
    all().find(|own| own.host_address == present.host_address).or_else(|| all().next()).copied()
}

/// The container with that change: by its compose file where it has one, else run anew.
pub(super) fn remade(view: &View<'_>, meant: &Meant<'_>, risk: Risk, title: &str, change: &Change) -> Fix {
    match &meant.container.compose {
        Some(compose) if change.command.is_none() => compose::publish(view, meant, compose, risk, title, change),
        Some(compose) => {
            let command = change.command.iter().flatten().map(|word| visible(word)).collect::<Vec<_>>().join(" ");
            let place = compose::place(compose);
            let service = visible(&compose.service);
            Fix::new(view, risk, format!("{title}: `command:` of service {service} in {place} becomes `{command}`"))
        }
        None => anew(view, meant, risk, title, change),
    }
}

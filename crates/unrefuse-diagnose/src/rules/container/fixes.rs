//! Fixes that several causes share: publishing a port, by the compose file or by running the container anew.

use super::meant::Meant;
use super::run::{Change, anew, entry};
use super::{compose, words};
use crate::View;
use crate::report::{Fix, Risk};
use unrefuse_facts::text::visible;
use unrefuse_facts::{ContainerPort, EngineKind, PublishedPort};

/// Publishes the asked port to the container's port `to`: on the asked address, then on every one. The second takes the
/// place of a publication that is there already.
pub(super) fn publish(
    view: &View<'_>,
    meant: &Meant<'_>,
    to: ContainerPort,
    present: Option<PublishedPort>,
) -> Vec<Fix> {
    let Some(ip) = view.ip() else { return Vec::new() };
    let port = view.case.target.port;
    let (asked, inside) = (view.port(), words::port(to));
    let past = match meant.engine.kind {
        EngineKind::Docker => "; published ports pass by ufw's rules",
        EngineKind::Podman => "",
    };
    let narrow = format!("publish {asked} of {ip} to port {inside} of {}", visible(&meant.container.name));
    let broad =
        format!("publish {asked} of every address to port {inside} of {}{past}", visible(&meant.container.name));
    let as_asked_for = |p: &PublishedPort| {
        let same = |own: &&PublishedPort| own.container == p.container && own.host_port == p.host_port;
        let equal = |own: &&PublishedPort| own.host_address.unwrap_or(ip) == p.host_address.unwrap_or(ip);
        let all = || meant.container.published.iter().filter(same);
        all().find(equal).or_else(|| all().next()).copied()
    };
    let present = present.as_ref().and_then(as_asked_for);
    let change =
        |address, in_place_of| Change { publish: Some(entry(address, Some(port), to)), in_place_of, command: None };
    vec![
        remade(view, meant, Risk::Medium, &narrow, &change(Some(ip), None)),
        remade(view, meant, Risk::High, &broad, &change(None, present)),
    ]
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

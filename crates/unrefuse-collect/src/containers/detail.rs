//! What only the containers that matter are asked for, once they are known.

use super::ContainerQuery;
use super::engine::{Kept, bodies, closeness, good};
use super::http::Client;
use crate::live::files;
use std::collections::BTreeMap;
use std::time::Instant;
use unrefuse_facts::{Container, ContainerStatus, NetworkMode, Observed, Source};
use unrefuse_parse::container;

const MOST_IMAGES: usize = 16;
const MOST_LOGS: usize = 4;
/// The end of a log.
const LOG: usize = 256 << 10;
const LOG_LINES: usize = 20;

/// Images, drivers of networks, logs, compose files. What fails here is left unknown.
pub(super) fn complete(socket: &str, client: Client, kept: &mut [Kept], query: &ContainerQuery, until: Instant) {
    images_and_networks(socket, client, kept, query, until);
    let mut logs = 0;
    for (container, _) in kept.iter_mut() {
        let unwell = container.health.as_deref() == Some("unhealthy");
        let ended =
            matches!(container.status, ContainerStatus::Exited | ContainerStatus::Restarting | ContainerStatus::Dead);
        let looping = container.restarts > 0;
        if (ended || unwell || looping) && logs < MOST_LOGS && closeness(container, query) > 0 {
            logs += 1;
            container.log = log(socket, &container.id, until);
        } else {
            container.log = Observed::not_looked("it runs, or others are closer to the question");
        }
        compose(container);
    }
}

/// Images are asked about only where the container may have to be run anew.
fn images_and_networks(socket: &str, mut client: Client, kept: &mut [Kept], query: &ContainerQuery, until: Instant) {
    let named = |container: &Container| {
        let mut names = container.networks.iter().map(|network| network.name.as_str());
        container.network_mode == NetworkMode::Bridge && names.any(|name| !matches!(name, "bridge" | "podman"))
    };
    let close = kept.iter().filter(|(container, _)| closeness(container, query) > 0);
    let mut images: Vec<String> = close.filter_map(|(_, inspected)| inspected.image()).collect();
    images.sort();
    images.dedup();
    images.truncate(MOST_IMAGES);
    let mut paths: Vec<String> = images.iter().map(|image| format!("/images/{image}/json")).collect();
    if kept.iter().any(|(container, _)| named(container)) {
        paths.push("/networks".to_owned());
    }
    if paths.is_empty() {
        return;
    }
    let Ok(mut bodies) = bodies(socket, &mut client, &paths, until) else { return };
    if bodies.len() > images.len()
        && let Some(drivers) = bodies.pop().flatten()
    {
        let drivers: BTreeMap<String, String> = container::networks(&drivers).into_iter().collect();
        for (container, _) in kept.iter_mut().filter(|(container, _)| named(container)) {
            let driver = container.networks.first().and_then(|network| drivers.get(&network.name));
            if let Some(driver) = driver.filter(|driver| !matches!(driver.as_str(), "bridge" | "overlay")) {
                container.network_mode = NetworkMode::Other(driver.clone());
            }
        }
    }
    let defaults: BTreeMap<String, container::ImageDefaults> =
        images.into_iter().zip(bodies).filter_map(|(image, body)| Some((image, container::image(&body?)?))).collect();
    for (container, inspected) in kept.iter_mut() {
        if let Some(defaults) = inspected.image().and_then(|image| defaults.get(&image)) {
            container.recipe = inspected.recipe(container, Some(defaults));
        }
    }
}

fn log(socket: &str, id: &str, until: Instant) -> Observed<Vec<String>> {
    let path = format!("/containers/{id}/logs?stdout=1&stderr=1&tail={LOG_LINES}");
    let asked = Client::connect(socket, until).and_then(|mut client| {
        client.ask([path.as_str()])?;
        let answer = client.answer(LOG)?;
        Ok(container::log_lines(good(&answer, socket)?, LOG_LINES))
    });
    match asked {
        Ok(lines) => Observed::known(lines, Source::running(format!("{socket} GET /containers/{}/logs", &id[..12]))),
        Err(missing) => Observed::Missing(missing),
    }
}

/// Where the compose file that the label names speaks of the service: the last file that does so counts.
pub(super) fn compose(container: &mut Container) {
    let Some(compose) = &mut container.compose else { return };
    for path in compose.files.iter().rev() {
        let Ok(bytes) = files::read(path) else { continue };
        let found = container::compose::find(path, &bytes, &compose.service);
        if found.service.is_some() && (compose.service_line.is_none() || !found.ports.is_empty()) {
            compose.service_line = found.service;
            compose.ports_line = found.ports.first().map(|line| line.location.clone());
            compose.ports = found.ports;
            compose.key_indent = found.key_indent;
        }
        if !compose.ports.is_empty() {
            return;
        }
    }
}

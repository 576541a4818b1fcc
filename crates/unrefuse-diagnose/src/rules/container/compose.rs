//! Changes of a compose file: the edit of `ports:`, and the command that takes it up.

use super::meant::Meant;
use super::run::{Change, Cli, argument, entry};
use crate::View;
use crate::fix::{line_edit, quote};
use crate::report::{Edit, Fix, Risk};
use unrefuse_facts::text::visible;
use unrefuse_facts::{ComposeService, ConfigLine, Location, PublishedPort};

/// The change of the service's `ports:` in its compose file, then `up`; a sentence where its lines are not known.
pub(super) fn publish(
    view: &View<'_>,
    meant: &Meant<'_>,
    compose: &ComposeService,
    risk: Risk,
    title: &str,
    change: &Change,
) -> Fix {
    let wanted = &change.publish;
    let edits = match &change.in_place_of {
        Some(old) => wanted.first().and_then(|wanted| Some(vec![replace(compose, old, wanted)?])),
        None => add(compose, wanted),
    };
    match (edits, up(view, meant, compose)) {
        (Some(edits), Some(up)) => {
            let title = format!("{title}: in its compose file; the container is made anew");
            let fix = Fix::new(view, risk, title).persistent();
            edits.into_iter().fold(fix, Fix::edit).command(up.clone()).undo(up)
        }
        _ => {
            let title = format!(
                "{title}: `ports:` of service {} in {} gets {}, then `{} compose up -d {}`",
                visible(&compose.service),
                place(compose),
                quoted(wanted),
                meant.engine.kind.command(),
                visible(&compose.service)
            );
            Fix::new(view, risk, title).persistent()
        }
    }
}

/// `"8001:80", "443:443"`.
fn quoted(entries: &[String]) -> String {
    entries.iter().map(|entry| format!("\"{entry}\"")).collect::<Vec<_>>().join(", ")
}

/// `/srv/app/docker-compose.yml:12`, or the file's name, or the project's.
pub(super) fn place(compose: &ComposeService) -> String {
    match (&compose.ports_line.as_ref().or(compose.service_line.as_ref()), compose.files.last()) {
        (Some(at), _) => visible(&at.to_string()),
        (None, Some(file)) => visible(file),
        (None, None) => format!("the compose file of project {}", visible(&compose.project)),
    }
}

/// The command that makes the service's container anew from its file.
fn up(view: &View<'_>, meant: &Meant<'_>, compose: &ComposeService) -> Option<String> {
    let mut words = vec!["compose".to_owned(), "-p".to_owned(), argument(&compose.project)?];
    if let Some(directory) = &compose.directory {
        words.extend(["--project-directory".to_owned(), quote(directory)?]);
    }
    for file in &compose.files {
        words.extend(["-f".to_owned(), quote(file)?]);
    }
    words.extend(["up".to_owned(), "-d".to_owned(), argument(&compose.service)?]);
    Cli::of(view, meant.engine)?.run(&words.join(" "))
}

/// More entries of `ports:`; the key, too, where the service has none.
fn add(compose: &ComposeService, wanted: &[String]) -> Option<Vec<Edit>> {
    if let Some((key, entries)) = compose.ports.split_first() {
        // `ports: [ … ]` holds its entries in the line itself, and may do so in the next lines.
        let opens = key.text.split(" #").next().is_some_and(|text| text.trim() == "ports:");
        if !opens || entries.first().is_some_and(|line| !line.text.trim_start().starts_with('-')) {
            return None;
        }
        let outer = indent(&key.text);
        let inner = entries.first().map_or_else(|| format!("{outer}  "), |line| indent(&line.text).to_owned());
        let at = next(&key.location)?;
        return wanted.iter().map(|wanted| line_edit(&at, "", format!("{inner}- \"{wanted}\""))).collect();
    }
    if compose.ports_line.is_some() {
        return None;
    }
    let indent = compose.key_indent.as_deref()?;
    Some(vec![line_edit(&next(compose.service_line.as_ref()?)?, "", format!("{indent}ports: [{}]", quoted(wanted)))?])
}

/// The entry of that publication with another value.
fn replace(compose: &ComposeService, old: &PublishedPort, wanted: &str) -> Option<Edit> {
    let is_old = |line: &&ConfigLine| line.value().and_then(|value| read(value, old)).unwrap_or(false);
    let line = compose.ports.iter().find(is_old)?;
    let quoted = line.value().is_some_and(|value| value.starts_with(['"', '\'']));
    let bare = line.text.get(line.value?.0.checked_sub(1)?..)?.starts_with(['"', '\'']);
    let new = if quoted || !bare { format!("\"{wanted}\"") } else { wanted.to_owned() };
    line_edit(&line.location, &line.text, line.with_value(&new)?)
}

/// Whether `8001:80`, `127.0.0.1:8001:80/tcp` is that publication.
fn read(value: &str, publication: &PublishedPort) -> Option<bool> {
    let value = value.trim_matches(['"', '\'']);
    let value = value.strip_suffix("/tcp").unwrap_or(value);
    let given = |address| entry(address, publication.host_port, publication.container);
    let is_any = publication.host_address.is_none_or(|ip| ip.is_unspecified());
    Some(value == given(publication.host_address) || is_any && value == format!("0.0.0.0:{}", given(None)))
}

fn indent(text: &str) -> &str {
    &text[..text.len() - text.trim_start().len()]
}

fn next(at: &Location) -> Option<Location> {
    Some(Location { path: at.path.clone(), line: at.line.checked_add(1)? })
}

#[cfg(test)]
mod tests;

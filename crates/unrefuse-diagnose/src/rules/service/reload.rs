//! A reload that failed: the service goes on with what it read before, and its log says why.

use super::log::{self, Line};
use crate::View;
use unrefuse_facts::{ConfiguredProcess, Location, UnitFacts};

/// The line by which a running unit refused its configuration, and the place that it may name, where that is the last word:
/// no reload or start went well since, and the file was not changed since.
pub(super) fn refused<'a>(view: &View<'_>, unit: &'a UnitFacts) -> Option<(Line<'a>, Option<Location>)> {
    let (line, place) = log::config(unit)?;
    let when = line.line.time_ms?;
    let own = |process: &ConfiguredProcess| process.unit.as_deref() == Some(unit.name.as_str());
    let configs = view.case.host.configs.value().into_iter().flatten();
    let mut own = configs.filter(|config| config.process.as_ref().is_some_and(own)).peekable();
    let loaded = own.peek().and_then(|config| config.process.as_ref()?.loaded_ms).or(unit.started_ms)?;
    // Where the line names none, each of its files may be the one.
    let counts = |path: &str| place.as_ref().is_none_or(|place| place.path == path);
    let mended = own.any(|config| {
        let mut files = config.files.iter().filter(|file| counts(&file.path));
        files.any(|file| file.changed_ms.is_some_and(|changed| changed > when))
    });
    let journal = unit.journal.value().into_iter().flatten();
    let well = journal.filter(|line| line.identifier.as_deref() == Some("systemd"));
    let well = well.filter(|line| line.message.starts_with("Reloaded ")).filter_map(|line| line.time_ms).max();
    (when > loaded && well.is_none_or(|reloaded| when > reloaded) && !mended).then_some((line, place))
}

/// Whether the process's unit refused the configuration that its files have now.
pub(in crate::rules) fn fails(view: &View<'_>, process: &ConfiguredProcess) -> bool {
    let unit = view.case.host.services.value().zip(process.unit.as_deref()).and_then(|(facts, name)| facts.unit(name));
    unit.is_some_and(|unit| unit.is_running() && refused(view, unit).is_some())
}

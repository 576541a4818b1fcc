//! A drop-in of a unit as a fix.

use super::act;
use crate::View;
use crate::fix::quote;
use crate::report::{Fix, Risk};
use unrefuse_facts::UnitFacts;

/// `settings` of `[Service]` in a drop-in that wins over the unit's others, and the unit started anew. `name` tells the
/// drop-in's purpose. `None` where the unit's name cannot be quoted.
pub(in crate::rules) fn drop_in(
    view: &View<'_>,
    unit: &UnitFacts,
    name: &str,
    settings: &[&str],
    risk: Risk,
    title: String,
) -> Option<Fix> {
    written(view, Fix::new(view, risk, title), unit, name, "Service", settings)
}

/// The same for any section of the unit file.
pub(super) fn written(
    view: &View<'_>,
    fix: Fix,
    unit: &UnitFacts,
    name: &str,
    section: &str,
    settings: &[&str],
) -> Option<Fix> {
    let fix = file(view, fix, unit, name, section, settings)?;
    let fix = if unit.is_running() { fix.undo(act::systemctl(view, "restart", unit)?) } else { fix };
    act::start_again(view, fix, unit)
}

/// Only the file, read by the manager.
pub(super) fn file(
    view: &View<'_>,
    fix: Fix,
    unit: &UnitFacts,
    name: &str,
    section: &str,
    settings: &[&str],
) -> Option<Fix> {
    let place = match &unit.user {
        None => "/etc/systemd/system".to_owned(),
        Some(user) => format!("{}/.config/systemd/user", user.home.as_deref()?),
    };
    let folder = quote(&format!("{place}/{}.d", unit.name))?;
    // The last file by name wins (systemd.unit(5)).
    let file = format!("{folder}/zz-unrefuse-{name}.conf");
    let text = format!("printf '[{section}]\\n{}\\n'", settings.join("\\n"));
    // What lies in a user's home stays the user's.
    let fix = match unit.user.as_ref().filter(|user| user.uid != view.case.host.own.uid) {
        None => fix.command(format!("mkdir -p {folder}")).command(format!("{text} > {file}")),
        Some(user) => {
            let as_user = format!("runuser -u {} --", quote(&user.name)?);
            fix.command(format!("{as_user} mkdir -p {folder}")).command(format!("{text} | {as_user} tee {file}"))
        }
    };
    let reload = format!("{} daemon-reload", act::manager(view, unit.user.as_ref())?);
    Some(fix.command(reload.clone()).undo(format!("rm {file}")).undo(reload).persistent())
}

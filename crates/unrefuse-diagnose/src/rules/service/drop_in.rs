//! A drop-in of a unit as a fix.

use super::act;
use crate::View;
use crate::fix::quote;
use crate::report::{Fix, Risk};
use unrefuse_facts::UnitFacts;

/// `settings` in a drop-in that wins over the unit's others, and the unit started anew. `name` tells the drop-in's purpose.
/// `None` where the unit's name cannot be quoted.
pub(in crate::rules) fn drop_in(
    view: &View<'_>,
    unit: &UnitFacts,
    name: &str,
    settings: &[&str],
    risk: Risk,
    title: String,
) -> Option<Fix> {
    let folder = quote(&format!("/etc/systemd/system/{}.d", unit.name))?;
    // The last file by name wins (systemd.unit(5)).
    let file = format!("{folder}/zz-unrefuse-{name}.conf");
    let fix = Fix::new(view, risk, title)
        .command(format!("mkdir -p {folder}"))
        .command(format!("printf '[Service]\\n{}\\n' > {file}", settings.join("\\n")))
        .command("systemctl daemon-reload")
        .undo(format!("rm {file}"))
        .undo("systemctl daemon-reload")
        .persistent();
    let fix = if unit.is_running() { fix.undo(format!("systemctl restart {}", quote(&unit.name)?)) } else { fix };
    act::start_again(fix, unit)
}

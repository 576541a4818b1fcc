//! What may be done with a unit, in commands; and times in words.

use crate::View;
use crate::fix::quote;
use crate::report::{Fix, Risk};
use crate::times::ago;
use unrefuse_facts::{ActiveState, UnitFacts};

/// The commands that start a unit anew, after a failure or a start limit too.
pub(super) fn start_again(fix: Fix, unit: &UnitFacts) -> Option<Fix> {
    let name = quote(&unit.name)?;
    let failed = matches!(unit.active, ActiveState::Failed | ActiveState::Activating);
    let fix = if failed { fix.command(format!("systemctl reset-failed {name}")) } else { fix };
    Some(if failed || unit.is_running() {
        fix.command(format!("systemctl restart {name}"))
    } else {
        fix.command(format!("systemctl start {name}"))
    })
}

/// Starting a unit, as a fix of its own.
pub(super) fn start(view: &View<'_>, unit: &UnitFacts, title: String) -> Option<Fix> {
    start_again(Fix::new(view, Risk::Low, title), unit)
}

/// Starting a unit anew helps only when what it stumbles over is mended: no command can know what that is.
pub(super) fn mend(view: &View<'_>, unit: &UnitFacts) -> Fix {
    let commands = quote(&unit.name).map(|n| format!(": systemctl reset-failed {n}; systemctl restart {n}"));
    let name = unrefuse_facts::text::visible(&unit.name);
    advice(
        view,
        Risk::Low,
        format!("mend what the log of {name} says, then start it again{}", commands.unwrap_or_default()),
    )
}

/// `, since 3 minutes ago`; nothing where the time is not known.
pub(super) fn since(now_ms: i64, then_ms: Option<i64>) -> String {
    then_ms.map(|then| format!(", since {}", ago(now_ms, then))).unwrap_or_default()
}

/// What one does by hand where a fix cannot be a command.
pub(super) fn advice(view: &View<'_>, risk: Risk, title: impl Into<String>) -> Fix {
    Fix::new(view, risk, title)
}

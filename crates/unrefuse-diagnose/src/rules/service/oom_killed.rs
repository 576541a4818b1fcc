//! service/oom-killed

use super::meant::meant;
use super::{act, log};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Evidence, Risk};
use crate::rule::cause;
use unrefuse_facts::text::visible;

cause! {
    /// ## What it means
    ///
    /// The kernel killed the service for memory: the machine had none left, or the unit's own limit (`MemoryMax=`) was
    /// reached.
    ///
    /// ## How it shows
    ///
    /// The service was there and is suddenly gone. `systemctl status UNIT` says `Result: oom-kill`; the kernel's log has
    /// "Out of memory: Killed process".
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl show -p Result,MemoryMax UNIT`; `journalctl -k -g 'Killed process'`.
    ///
    /// ## How to fix
    ///
    /// Start it again, and give it more memory or let it use less: its caches and workers, `MemoryMax=`, swap, or another
    /// machine. Without that it is killed again.
    ///
    /// ## What it is often mistaken for
    ///
    /// A crash of the service itself: signal 9 in its status looks like somebody's `kill -9`.
    id: "service/oom-killed",
    title: "the kernel killed the service for memory",
    explains: &["service/failed", "service/crash-loop"],
    begins: false,
    needs: &["units"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(meant) = meant(view)? else { return Ok(Finding::Clear) };
    let unit = meant.culprit();
    let lines = || unit.journal.value().into_iter().flatten();
    let said = lines().rev().find(|l| {
        l.message.contains("killed by the OOM killer") || l.message.contains("oom-kill") || l.message.contains("Out of memory")
    });
    if unit.result.as_deref() != Some("oom-kill") && said.is_none() {
        return Ok(Finding::Clear);
    }
    let name = act::name(unit);
    let mut fired = Fired::new(meant.certainty, format!("the kernel killed {name} for memory"))
        .evidence(Evidence::new(
            format!("the result of {name} is {}", visible(unit.result.as_deref().unwrap_or("not known"))),
            meant.source(),
        ))
        .evidences(said.map(|line| Evidence::new(visible(&line.message), "journalctl")))
        .evidences(log::lines(unit).first().map(|line| line.evidence(unit)));
    fired = fired.fix(act::start(view, unit, format!("start {name} again")));
    fired = fired.fix(act::advice(
        view,
        Risk::Medium,
        format!("give {name} more memory (MemoryMax= of its unit, swap, a larger machine) or let it use less: else it is killed again"),
    ));
    Ok(fired.fires())
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::service::failed;

    fn roots(result: &str, line: &str) -> Vec<String> {
        let mut app = failed("redis-server.service", &[line]);
        app.result = Some(result.into());
        Scene::local("127.0.0.1:6379").rst().units(vec![app]).roots()
    }

    #[test]
    fn by_the_result_or_the_managers_words() {
        assert_eq!(roots("oom-kill", "x"), ["service/oom-killed"]);
        assert_eq!(
            roots("signal", "redis-server.service: A process of this unit has been killed by the OOM killer."),
            ["service/oom-killed"]
        );
    }

    #[test]
    fn a_signal_alone_is_not_the_kernels() {
        assert_eq!(roots("signal", "killed"), ["service/failed"]);
    }
}

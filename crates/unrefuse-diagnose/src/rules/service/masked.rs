//! service/masked

use super::act;
use super::meant::meant;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::text::visible;

cause! {
    /// ## What it means
    ///
    /// The unit of the service that should listen is masked: its file is a link to /dev/null, so that nothing and nobody
    /// can start it. Somebody did so on purpose, or an installer that wanted to start it later.
    ///
    /// ## How it shows
    ///
    /// The connection is refused at once. `systemctl start UNIT` says "Unit UNIT is masked".
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl is-enabled UNIT` says `masked`; `ls -l /etc/systemd/system/UNIT` shows the link.
    ///
    /// ## How to fix
    ///
    /// `systemctl unmask UNIT`, then start it. Ask first who masked it and why.
    ///
    /// ## What it is often mistaken for
    ///
    /// A disabled unit, which does not start at boot but can be started by hand (`service/stopped`).
    id: "service/masked",
    title: "the service's unit is masked",
    explains: &["listener/none", "listener/other-port", "listener/stale-socket"],
    begins: false,
    needs: &["units"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(meant) = meant(view)? else { return Ok(Finding::Clear) };
    let unit = meant.unit;
    if !unit.is_masked() || unit.is_running() {
        return Ok(Finding::Clear);
    }
    let name = act::name(unit);
    let runtime = unit.file_state.as_deref() == Some("masked-runtime");
    let mut fired = Fired::new(meant.certainty, format!("{name} is masked: nothing can start it"))
        .evidence(Evidence::new(format!("{name} is masked"), meant.source()))
        .evidences(unit.fragment.iter().map(|path| {
            Evidence::new(format!("{} is a link to /dev/null", visible(path)), "readlink(2)")
        }))
        .evidences(meant.because(view));
    fired.unknown.extend(meant.open());
    let flag = if runtime { " --runtime" } else { "" };
    let command = |words: &str| act::systemctl(view, words, unit);
    let commands = || Some((command(&format!("unmask{flag}"))?, command(&format!("mask{flag}"))?, command("start")?, command("stop")?));
    if let Some((unmask, mask, start, stop)) = commands() {
        let fix = Fix::new(view, Risk::Medium, format!("take the mask off {name} and start it; ask first who masked it"))
            .command(unmask)
            .command(start)
            .undo(stop)
            .undo(mask);
        fired = fired.fix(if runtime { fix } else { fix.persistent() });
    }
    Ok(fired.fires())
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::service::unit;
    use unrefuse_facts::{ActiveState, LoadState, UnitFacts};

    fn roots(change: impl FnOnce(&mut UnitFacts)) -> Vec<String> {
        let mut nginx = unit("nginx.service", ActiveState::Inactive, "dead");
        change(&mut nginx);
        Scene::local("127.0.0.1:80").rst().units(vec![nginx]).roots()
    }

    #[test]
    fn by_its_load_or_its_file_state() {
        assert_eq!(roots(|u| u.load = LoadState::Masked), ["service/masked"]);
        assert_eq!(roots(|u| u.file_state = Some("masked-runtime".into())), ["service/masked"]);
    }

    #[test]
    fn disabled_is_not_masked() {
        assert_eq!(roots(|u| u.file_state = Some("disabled".into())), ["service/stopped"]);
    }

    #[test]
    fn masked_while_it_runs_is_no_reason() {
        let running = |u: &mut UnitFacts| {
            (u.load, u.active, u.sub) = (LoadState::Masked, ActiveState::Active, "running".into());
        };
        assert!(!roots(running).contains(&"service/masked".to_owned()));
    }
}

//! What runs with a configuration: a process, or the unit that would start one.

use super::judge;
use crate::View;
use crate::report::{Certainty, Evidence};
use crate::rules::service::{self, manager, systemctl, unit_name};
use unrefuse_facts::catalogue::Apply;
use unrefuse_facts::text::visible;
use unrefuse_facts::{ConfiguredProcess, ServiceConfig, UnitFacts};

/// What runs with a configuration, or would.
#[derive(Debug, Clone, Copy)]
pub(super) enum Runner<'a> {
    /// A process that runs.
    Process(&'a ConfiguredProcess),
    /// A unit that does not.
    Stopped(&'a UnitFacts),
}

impl Runner<'_> {
    /// `redis-server[812]`, `redis-server.service`.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Process(process) => visible(&format!("{}[{}]", process.command, process.pid)),
            Self::Stopped(unit) => unit_name(unit),
        }
    }

    /// A title about the configuration; of what does not run, that too.
    pub(super) fn title(&self, of_configuration: String) -> String {
        match self {
            Self::Process(_) => of_configuration,
            Self::Stopped(unit) => format!("{} is not running, and {of_configuration}", unit_name(unit)),
        }
    }

    /// An option of the command line as evidence.
    pub(super) fn was_given(&self, option: &str, remark: &str) -> Evidence {
        let option = visible(option);
        match self {
            Self::Process(process) => Evidence::new(
                format!("{} was started with {option}{remark}", self.name()),
                visible(&process.arguments_from),
            ),
            Self::Stopped(unit) => {
                let source = unit.config.source().map_or("its unit file", |source| &source.what);
                Evidence::new(format!("{} starts it with {option}{remark}", self.name()), visible(source))
            }
        }
    }

    /// The command that makes it take up what its files say; `None` where nobody knows one.
    pub(super) fn take_up(&self, view: &View<'_>, config: &ServiceConfig, apply: Apply) -> Option<String> {
        let verb = match apply {
            Apply::Reload => "reload",
            Apply::Restart => "restart",
        };
        match self {
            Self::Process(process) if process.user_unit.is_some() => systemctl(view, verb, self.user_unit(view)?),
            Self::Process(process) => super::fixes::reload(config, process, apply),
            // Its start is the check: many cannot check themselves before their run-time folder is made.
            Self::Stopped(unit) => systemctl(view, "start", unit),
        }
    }

    /// The command that has its unit's changed file read.
    pub(super) fn reread(&self, view: &View<'_>) -> Option<String> {
        let user = match self {
            Self::Process(process) if process.user_unit.is_none() => None,
            Self::Process(_) => self.user_unit(view)?.user.as_ref(),
            Self::Stopped(unit) => unit.user.as_ref(),
        };
        Some(format!("{} daemon-reload", manager(view, user)?))
    }

    /// The unit of a user's own manager that the process runs by.
    fn user_unit<'a>(&self, view: &View<'a>) -> Option<&'a UnitFacts> {
        let Self::Process(ConfiguredProcess { user_unit: Some((uid, name)), .. }) = self else { return None };
        let mut units = view.case.host.services.value()?.user_units.iter();
        units.find(|unit| unit.name == *name && unit.user.as_ref().is_some_and(|user| user.uid == *uid))
    }

    /// How sure what its configuration says is the reason.
    pub(super) fn certainty(&self, view: &View<'_>, config: &ServiceConfig) -> Certainty {
        let sure = judge::certainty(view, config);
        match self {
            // It stands in the way of the one that was meant: opened further, it would do so still.
            Self::Process(process) if service::is_in_the_way(view, process.unit.as_deref()) => Certainty::Possible,
            Self::Process(_) => sure,
            Self::Stopped(_) => sure.min(service::meant_certainty(view).unwrap_or(Certainty::Likely)),
        }
    }

    /// What a fix does, in words.
    pub(super) fn fixed(&self, change: String) -> String {
        match self {
            Self::Process(_) => change,
            Self::Stopped(unit) => format!("{change}, and start {}", unit_name(unit)),
        }
    }

    /// The command that takes it back.
    pub(super) fn undo(&self, view: &View<'_>, take_up: &str) -> Option<String> {
        match self {
            Self::Process(_) => Some(take_up.to_owned()),
            Self::Stopped(unit) => systemctl(view, "stop", unit),
        }
    }

    /// Both the edit and what runs by it are there after the next boot.
    pub(super) fn lasts(&self) -> bool {
        match self {
            Self::Process(_) => true,
            Self::Stopped(unit) => unit.is_enabled() != Some(false),
        }
    }
}

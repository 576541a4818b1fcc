//! Services in scenes.

use super::Scene;
use crate::report::Step;
use unrefuse_facts::catalogue;
use unrefuse_facts::*;

/// A unit that is meant by its customary port, in memory, in that state.
pub(crate) fn unit(name: &str, active: ActiveState, sub: &str) -> UnitFacts {
    let clue = Clue {
        kind: ClueKind::CustomaryPort,
        text: "the port is customary for it".into(),
        source: "the service's defaults".into(),
    };
    UnitFacts {
        name: name.into(),
        service: catalogue::by_unit(name).map(|s| s.id.to_owned()),
        clues: vec![clue],
        load: LoadState::Loaded,
        active,
        sub: sub.into(),
        file_state: Some("enabled".into()),
        since_ms: Some(1_000_000),
        journal: Observed::known(Vec::new(), Source::running("journalctl")),
        ..UnitFacts::default()
    }
}

/// A unit that failed with those lines in its journal.
pub(crate) fn failed(name: &str, lines: &[&str]) -> UnitFacts {
    let line = |(index, message): (usize, &&str)| JournalLine {
        time_ms: Some(1_000_000 + index as i64),
        priority: Some(6),
        identifier: Some("the-service".into()),
        message: (*message).to_owned(),
    };
    UnitFacts {
        result: Some("exit-code".into()),
        exit: Some(UnitExit { by_signal: false, status: 1, command: None }),
        journal: Observed::known(lines.iter().enumerate().map(line).collect(), Source::running("journalctl")),
        ..unit(name, ActiveState::Failed, "failed")
    }
}

/// A user whose manager runs, without a message bus.
pub(crate) fn user() -> UnitUser {
    UnitUser {
        name: "alice".into(),
        uid: 1000,
        home: Some("/srv/alice".into()),
        has_manager: true,
        ..UnitUser::default()
    }
}

/// The commands of a fix of the first blocker.
pub(crate) fn commands(report: &crate::Report, fix: usize) -> Vec<String> {
    let steps = report.blockers[0].fixes[fix].steps.iter();
    steps.filter_map(|step| if let Step::Command { command } = step { Some(command.clone()) } else { None }).collect()
}

impl Scene {
    /// What was seen of services.
    pub(crate) fn services(mut self, change: impl FnOnce(&mut ServiceFacts)) -> Self {
        let mut facts = self.case.host.services.value().cloned().unwrap_or_else(|| ServiceFacts {
            now_ms: 1_180_000,
            init: Observed::known("systemd".into(), Source::running("/proc/1/comm")),
            distribution: vec!["debian".into()],
            manager: Observed::known("systemd 252".into(), Source::running("/run/dbus/system_bus_socket")),
            ..ServiceFacts::default()
        });
        change(&mut facts);
        self.case.host.services = Observed::known(facts, Source::running("/run/dbus/system_bus_socket"));
        self
    }
    /// Units of the machine.
    pub(crate) fn units(self, units: Vec<UnitFacts>) -> Self {
        self.services(|facts| facts.units = units)
    }
}

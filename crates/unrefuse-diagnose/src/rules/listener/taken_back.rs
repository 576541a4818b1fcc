//! A unit that a drop-in moved to another port: its file names the asked one, and a later line takes that back.

use super::{other_port, owner};
use crate::View;
use crate::finding::{Finding, Fired};
use crate::fix::line_edit;
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rules::service;
use std::net::{IpAddr, SocketAddr};
use unrefuse_facts::text::visible;
use unrefuse_facts::{ActiveState, AttemptOutcome, ClueKind, Process, Socket, SocketTable, Transport, UnitFacts};

/// The unit whose file has the asked port, and a drop-in moved it away: what runs by it listens on another one.
pub(super) fn moved(view: &View<'_>, table: &SocketTable, transport: Transport) -> Finding {
    let services = view.case.host.services.value();
    let clues = services.into_iter().flat_map(|facts| &facts.units).filter(|unit| unit.is_running()).flat_map(|unit| {
        unit.clues.iter().filter(|clue| clue.kind == ClueKind::TakenBack).map(move |clue| (unit, clue))
    });
    for (unit, clue) in clues {
        let runs_by = |process: &&Process| {
            !process.running_as.user_unit && process.running_as.unit.as_deref() == Some(unit.name.as_str())
        };
        let own = |socket: &&Socket| socket.transport == transport && table.owners(socket).iter().any(runs_by);
        let Some(socket) = table.listeners.iter().filter(own).max_by_key(|s| view.takes(s) == Some(true)) else {
            continue;
        };
        let (name, asked, port) = (visible(&unit.name), view.case.target.port, socket.local.port());
        let advice = || {
            let place = visible(&clue.source);
            let title = format!("let {name} listen on port {asked} again: change {place}, then restart it");
            Fix::new(view, Risk::Medium, title)
        };
        let mut fired = Fired::new(Certainty::Likely, format!("{name} listens on port {port}, not on {asked}"))
            .predicts(&[AttemptOutcome::Refused])
            .evidence(owner::evidence(view, table, socket))
            .evidence(Evidence::new(visible(&clue.text), visible(&clue.source)));
        if view.takes(socket) != Some(false) {
            fired = fired.fix(other_port::ask(view, port));
        }
        return fired.fix(back(view, unit, socket.local).unwrap_or_else(advice)).fires();
    }
    Finding::Clear
}

/// Units that do not run, had the asked port, and a drop-in took it away: a start would open another one.
pub(super) fn stopped(view: &View<'_>) -> Vec<Evidence> {
    let units = view.case.host.services.value().into_iter().flat_map(|facts| &facts.units);
    let units = units.filter(|unit| !unit.is_running() && unit.active != ActiveState::Unknown);
    let clues = units.flat_map(|unit| unit.clues.iter().map(move |clue| (unit, clue)));
    let taken = clues.filter(|(_, clue)| clue.kind == ClueKind::TakenBack);
    taken
        .map(|(unit, clue)| {
            let text = format!("{} is not running, and had the port: {}", visible(&unit.name), visible(&clue.text));
            Evidence::new(text, visible(&clue.source))
        })
        .collect()
}

/// The line of the unit in force with the asked port in place of the one that it has, and with the asked address where
/// its own is another one. `None` where the line does not have them once and in digits.
fn back(view: &View<'_>, unit: &UnitFacts, has: SocketAddr) -> Option<Fix> {
    let (line, asked) = (unit.exec_line.as_ref()?, view.case.target.port);
    let mut new = replaced(&line.text, &has.port().to_string(), &asked.to_string())?;
    let ip = view.ip()?;
    let place = match (has.ip(), ip) {
        (own, _) if own.is_unspecified() && own.is_ipv4() == ip.is_ipv4() || own == ip => format!("port {asked}"),
        (IpAddr::V4(own), IpAddr::V4(_)) => {
            new = replaced(&new, &own.to_string(), &ip.to_string())?;
            view.endpoint()
        }
        _ => return None,
    };
    let title = format!("let {} listen on {place} in place of {has}: who uses that must be told", visible(&unit.name));
    let anew = format!("systemctl daemon-reload && {}", service::systemctl(view, "restart", unit)?);
    let fix = Fix::new(view, Risk::Medium, title).edit(line_edit(&line.location, &line.text, new)?);
    Some(fix.command(anew.clone()).undo(anew).persistent())
}

/// `text` with `new` in place of `old`, where that stands in it once, as a word of digits and dots.
fn replaced(text: &str, old: &str, new: &str) -> Option<String> {
    let free = |beside: Option<char>| beside.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '.' | '_'));
    let parts = |at: usize| Some((text.get(..at)?, text.get(at + old.len()..)?));
    let stands = |(before, after): &(&str, &str)| free(before.chars().next_back()) && free(after.chars().next());
    let mut places = text.match_indices(old).filter_map(|(at, _)| parts(at)).filter(stands);
    let (before, after) = places.next()?;
    places.next().is_none().then(|| format!("{before}{new}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Report;
    use crate::report::Step;
    use crate::testing::Scene;
    use crate::testing::service::{commands, unit};
    use unrefuse_facts::{Clue, ConfigLine, Location, Observed};

    fn report(asked: &str, has: &str, line: &str) -> Report {
        let clue = Clue { kind: ClueKind::TakenBack, text: "taken back".into(), source: "/etc/b:3".into() };
        let location = Location { path: "/etc/b".into(), line: 3 };
        let app = UnitFacts {
            clues: vec![clue],
            exec_line: Some(ConfigLine { location, text: line.into(), value: None }),
            ..unit("app.service", ActiveState::Active, "running")
        };
        let scene = Scene::local(asked).listener(has, "app").with(|case| {
            let Observed::Known { value, .. } = &mut case.host.sockets else { panic!() };
            value.processes.values_mut().for_each(|process| process.running_as.unit = Some("app.service".into()));
        });
        scene.units(vec![app]).rst().report()
    }

    fn edited(report: &Report) -> Option<&str> {
        report.blockers[0].fixes.iter().flat_map(|fix| &fix.steps).find_map(|step| match step {
            Step::Edit { edit } => Some(edit.new.as_str()),
            Step::Command { .. } => None,
        })
    }

    #[test]
    fn the_line_in_force_gets_the_asked_port() {
        let told = report("127.0.0.1:8091", "127.0.0.1:8092", "ExecStart=/bin/app --id 18092 -l 127.0.0.1:8092");
        assert_eq!(edited(&told), Some("ExecStart=/bin/app --id 18092 -l 127.0.0.1:8091"));
        assert_eq!(commands(&told, 1), ["systemctl daemon-reload && systemctl restart app.service"]);
    }

    #[test]
    fn an_address_that_is_not_the_asked_one_is_changed_with_it() {
        let told = report("10.1.0.2:8091", "127.0.0.1:8092", "ExecStart=/bin/app -b 127.0.0.1 8092");
        assert_eq!(edited(&told), Some("ExecStart=/bin/app -b 10.1.0.2 8091"));
        assert!(
            !told.blockers[0].fixes.iter().any(|fix| fix.title.starts_with("ask port")),
            "it is refused there, too"
        );
        assert_eq!(edited(&report("10.1.0.2:8091", "127.0.0.1:8092", "ExecStart=/bin/app 8092")), None);
    }

    #[test]
    fn one_that_does_not_run_is_told_as_well() {
        let clue = Clue { kind: ClueKind::TakenBack, text: "a:2 says port 8091".into(), source: "/etc/b:3".into() };
        let app = |active| UnitFacts { clues: vec![clue.clone()], ..unit("app.service", active, "") };
        let told = |active| {
            let report = Scene::local("127.0.0.1:8091").rst().units(vec![app(active)]).report();
            assert_eq!(report.blockers[0].root, "listener/none");
            report.blockers[0].whys[0].evidence.iter().any(|evidence| evidence.text.ends_with("a:2 says port 8091"))
        };
        assert!(told(ActiveState::Inactive) && !told(ActiveState::Unknown));
    }

    #[test]
    fn a_number_that_stands_there_twice_is_not_touched() {
        let told = report("127.0.0.1:8091", "127.0.0.1:8092", "ExecStart=/bin/app 8092 --proxy x:8092");
        assert_eq!(edited(&told), None);
        assert!(told.blockers[0].fixes[1].title.ends_with("change /etc/b:3, then restart it"));
    }
}

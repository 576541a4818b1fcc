//! Where units are looked up: the manager's memory, else their files.

use super::bus::{Bus, Listed};
use super::{MOST_UNITS, ServiceQuery, conditions, installed, is_path_of, journal, properties};
use crate::configs;
use crate::unit_files::UnitFiles;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use unrefuse_facts::catalogue::{self, KnownService};
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::{
    ActiveState, Clue, ClueKind, LoadState, Missing, Observed, Reason, ServiceFacts, Source, UnitFacts, UnitUser,
};

/// Journals that are read.
const MOST_JOURNALS: usize = 8;

/// What files say of units.
pub(super) struct Disk {
    files: UnitFiles,
    /// Units that name the port.
    naming: Vec<(String, Clue)>,
    /// Services whose configuration names the port.
    configured: BTreeMap<&'static str, Clue>,
}

impl Disk {
    pub(super) fn read(port: Option<u16>) -> Self {
        let files = UnitFiles::list("");
        let naming = port.map(|port| files.naming(port)).unwrap_or_default();
        let units: Vec<&str> = files.units().collect();
        let has_unit = |service: &KnownService| units.iter().any(|unit| service.has_unit(unit));
        let clue = |service: &&'static KnownService| Some((service.id, installed::configuration("", service, port?)?));
        let here = catalogue::SERVICES.iter().copied().filter(|service| has_unit(service));
        let configured = here.filter_map(|service| clue(&service)).collect();
        Self { files, naming, configured }
    }

    /// The same of a user's own units. Configurations are the system's: they do not speak of those.
    pub(super) fn of_user(user: &UnitUser, port: Option<u16>) -> Self {
        let files = UnitFiles::of_user("", user.home.as_deref().unwrap_or_default(), user.uid);
        let naming = port.map(|port| files.naming(port)).unwrap_or_default();
        Self { files, naming, configured: BTreeMap::new() }
    }
}

/// Where units are looked up: the system's, or a user's.
pub(super) struct Machine {
    /// Whose units they are, where not the system's.
    pub(super) user: Option<UnitUser>,
    pub(super) bus: Option<Bus>,
    pub(super) listed: Vec<Listed>,
    /// `None`: no service that was meant is looked for.
    pub(super) disk: Option<Disk>,
    /// Journals that are being read, each with its unit's name.
    pub(super) readings: Vec<(String, journal::Reading)>,
}

impl Machine {
    /// A unit as the manager has it in memory, else as its files say.
    fn unit(&mut self, name: &str) -> Option<UnitFacts> {
        let listed = self.listed.iter().find(|unit| unit.name == name).cloned();
        let mut unit = match (listed, &mut self.bus) {
            (Some(listed), Some(bus)) => properties::unit(&listed, &bus.properties(&listed).ok()?),
            _ => self.disk.as_ref()?.files.unit(name, self.bus.is_some() || self.has_no_manager())?,
        };
        if unit.load == LoadState::NotLoaded
            && let Some(state) = self.bus.as_mut().and_then(|bus| bus.file_state(name))
        {
            unit.file_state = Some(state);
        }
        if unit.load == LoadState::NotFound {
            return None;
        }
        unit.service = catalogue::by_unit(name).map(|service| service.id.to_owned());
        unit.user = self.user.clone();
        Some(unit)
    }

    /// The units are a user's whose manager does not run: none of them does.
    fn has_no_manager(&self) -> bool {
        self.user.as_ref().is_some_and(|user| !user.has_manager)
    }

    /// The same with its logs, where a service that was meant is looked for; the journal is being read when this returns.
    pub(super) fn told(&mut self, name: &str) -> Option<UnitFacts> {
        let mut unit = self.unit(name)?;
        if self.disk.is_some() && unit.active != ActiveState::Unknown && self.readings.len() < MOST_JOURNALS {
            self.readings.push((unit.name.clone(), journal::Reading::start(&unit)));
            let service = unit.service.as_deref().and_then(catalogue::by_id).filter(|_| self.user.is_none());
            unit.logs = service.map(|service| journal::logs("", service, unit.started_ms)).unwrap_or_default();
        }
        Some(unit)
    }

    /// The units that may be meant, each with what speaks for it, and the socket units that start them.
    pub(super) fn candidates(&mut self, query: &ServiceQuery, sought: &[&'static KnownService]) -> Vec<UnitFacts> {
        let mut clues: Vec<(String, Clue)> = Vec::new();
        let names: BTreeSet<String> = {
            let on_disk = self.disk.iter().flat_map(|disk| disk.files.units()).map(str::to_owned);
            on_disk.chain(self.listed.iter().map(|unit| unit.name.clone())).collect()
        };
        let is_unit = |name: &&String| name.ends_with(".service") || name.ends_with(".socket");
        clues.extend(self.disk.iter().flat_map(|disk| &disk.naming).cloned());
        let scheme = query.scheme.as_deref();
        for service in catalogue::SERVICES {
            let own: Vec<&String> = names.iter().filter(is_unit).filter(|name| service.has_unit(name)).collect();
            if own.is_empty() {
                continue;
            }
            let mut speaks = Vec::new();
            if scheme.is_some_and(|scheme| service.schemes.contains(&scheme)) {
                let text = format!("{} serves {}://", service.name, scheme.unwrap_or_default());
                speaks.push(Clue { kind: ClueKind::Scheme, text, source: "the target".into() });
            }
            if let Some(port) = query.port {
                if sought.iter().any(|s| s.id == service.id) && service.has_port(port, query.transport) {
                    let text = format!("{port}/{} is customary for {}", query.transport.name(), service.name);
                    speaks.push(Clue { kind: ClueKind::CustomaryPort, text, source: "the service's defaults".into() });
                }
                speaks.extend(self.disk.iter().filter_map(|disk| disk.configured.get(service.id)).cloned());
            }
            if let Some(path) = query.path.as_deref().filter(|path| is_path_of(service, path)) {
                let text = format!("{path} is a path of {}", service.name);
                speaks.push(Clue { kind: ClueKind::CustomaryPort, text, source: "the target".into() });
            }
            for unit in own {
                clues.extend(speaks.iter().map(|clue| (unit.clone(), clue.clone())));
            }
        }
        let mut found: Vec<UnitFacts> = Vec::new();
        for (name, clue) in clues {
            let full = found.len() >= MOST_UNITS;
            match found.iter_mut().find(|unit| unit.name == name) {
                Some(unit) => unit.clues.push(clue),
                None if full => {}
                None => {
                    if let Some(mut unit) = self.told(&name) {
                        unit.clues.push(clue);
                        found.push(unit);
                    }
                }
            }
        }
        self.socket_units(&mut found);
        found
    }

    /// Services that a socket unit starts, and socket units that start a candidate.
    fn socket_units(&mut self, found: &mut Vec<UnitFacts>) {
        let mut wanted: Vec<(String, Option<Clue>)> = Vec::new();
        for unit in found.iter() {
            if unit.is_socket() {
                // What speaks for the socket speaks for its service.
                let clue = unit.clues.iter().find(|clue| clue.kind == ClueKind::SocketUnit).cloned();
                wanted.extend(unit.triggers.iter().map(|name| (name.clone(), clue.clone())));
            } else {
                let sockets = unit.triggered_by.iter().filter(|name| name.ends_with(".socket"));
                wanted.extend(sockets.map(|name| (name.clone(), None)));
            }
        }
        for (name, clue) in wanted {
            if !found.iter().any(|unit| unit.name == name) {
                found.extend(self.told(&name));
            }
            if let (Some(clue), Some(unit)) = (clue, found.iter_mut().find(|unit| unit.name == name)) {
                unit.clues.push(clue);
            }
        }
    }

    /// Units that candidates cannot do without and that failed.
    pub(super) fn failed_needs(&self, candidates: &[UnitFacts]) -> Vec<String> {
        let needs = candidates.iter().flat_map(|unit| &unit.requires);
        let failed = |name: &&String| self.listed.iter().any(|unit| unit.name == **name && unit.active == "failed");
        needs.filter(failed).cloned().collect()
    }

    /// Reads what units that may be meant and do not run would start their services with.
    pub(super) fn configure(&self, units: &mut [UnitFacts], port: Option<u16>, until: Instant) {
        let Some(disk) = &self.disk else { return };
        for unit in units.iter_mut().filter(|unit| !unit.clues.is_empty()) {
            if unit.clues.iter().any(|clue| clue.kind == ClueKind::TakenBack) {
                unit.exec_line = configs::exec_line(&unit.name, &disk.files);
            }
            if unit.load == LoadState::NotLoaded && unit.active == ActiveState::Inactive {
                unit.conditions_failed = conditions::unmet(&disk.files, &unit.name);
            }
            unit.config = if Instant::now() < until {
                configs::of_unit(unit, &disk.files, port)
            } else {
                let detail = format!("read the configuration of {}: no time was left", unit.name);
                Observed::Missing(Missing::new(Reason::TimedOut, detail))
            };
        }
    }

    /// Waits for the journals that are being read, and puts them to their units.
    pub(super) fn finish(self, units: &mut [UnitFacts], until: Instant) {
        for (name, reading) in self.readings {
            let journal = reading.finish(until);
            if let Some(unit) = units.iter_mut().find(|unit| unit.name == name) {
                unit.journal = journal;
            }
        }
    }

    /// The slices that the found units live in, for what they deny.
    pub(super) fn slices(&mut self, facts: &mut ServiceFacts) {
        let slices: BTreeSet<String> =
            facts.units.iter().filter_map(|unit| unit.slice.clone()).flat_map(|slice| up(&slice)).collect();
        for name in slices {
            if facts.unit(&name).is_none()
                && let Some(unit) = self.unit(&name).filter(|unit| !unit.ip_deny.is_empty())
            {
                facts.units.push(unit);
            }
        }
    }

    /// The units that this process runs in, the innermost first.
    pub(super) fn own(&mut self) -> Observed<Vec<UnitFacts>> {
        let bytes = match crate::live::files::read("/proc/self/cgroup") {
            Ok(bytes) => bytes,
            Err(missing) => return Observed::Missing(missing),
        };
        if self.bus.is_none() {
            return Observed::Missing(Missing::new(Reason::Absent, "no manager tells of the unit unrefuse runs in"));
        }
        let names = own_units(&from_bytes(&bytes));
        let units = names.iter().filter_map(|name| self.unit(name)).collect();
        Observed::known(units, Source::running("the manager of /proc/self/cgroup"))
    }
}

/// The units in a cgroup's path, the innermost first, and the root slice (systemd.slice(5)). A user manager's own units
/// are not the system manager's: the path ends at its service.
///
/// A machine with both versions of cgroups has lines for both (cgroups(7)); systemd's own is the one that names units.
fn own_units(cgroup: &str) -> Vec<String> {
    let paths = |mark: &'static str| cgroup.lines().filter_map(move |line| line.split_once(mark).map(|parts| parts.1));
    let paths = paths("0::").chain(paths(":name=systemd:"));
    let mut names = paths.map(units_in).find(|names| !names.is_empty()).unwrap_or_default();
    names.push("-.slice".to_owned());
    names
}

fn units_in(path: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in path.split('/') {
        if [".slice", ".service", ".scope"].iter().any(|end| part.ends_with(end)) {
            names.push(part.to_owned());
        }
        if part.starts_with("user@") {
            break;
        }
    }
    names.reverse();
    names
}

/// A slice and those above it: `a-b.slice` lies in `a.slice`, that in `-.slice`.
fn up(slice: &str) -> Vec<String> {
    let mut names = vec![slice.to_owned()];
    let mut name = slice.trim_end_matches(".slice");
    while let Some((above, _)) = name.rsplit_once('-').filter(|(above, _)| !above.is_empty()) {
        names.push(format!("{above}.slice"));
        name = above;
    }
    names.push("-.slice".to_owned());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_of_a_cgroup() {
        assert_eq!(own_units("0::/system.slice/app.service\n"), ["app.service", "system.slice", "-.slice"]);
        assert_eq!(
            own_units("0::/user.slice/user-0.slice/user@0.service/app.slice/x.service\n"),
            ["user@0.service", "user-0.slice", "user.slice", "-.slice"]
        );
        assert_eq!(own_units("12:cpu:/x\n1:name=systemd:/a.slice/b.scope\n"), ["b.scope", "a.slice", "-.slice"]);
        assert_eq!(own_units("1:name=systemd:/\n0::/a.slice/b.scope\n"), ["b.scope", "a.slice", "-.slice"]);
        assert_eq!(own_units("0::/\n"), ["-.slice"]);
        assert_eq!(up("a-b.slice"), ["a-b.slice", "a.slice", "-.slice"]);
        assert_eq!(up("-.slice"), ["-.slice", "-.slice"]);
    }
}

//! Services of this machine: the units of its manager, their journals, and what is installed.
//!
//! Everything is read only: nothing is loaded, started or written. Without a manager to ask, the units' files tell what
//! they can.

mod bus;
mod conditions;
mod installed;
mod journal;
mod machine;
mod others;
mod properties;
mod users;

use bus::Bus;
use machine::{Disk, Machine};
use std::collections::BTreeSet;
use std::time::Instant;
use unrefuse_facts::catalogue::{self, KnownService};
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::{Observed, ServiceFacts, Source, Transport, UnitFacts};

/// More units are not looked at closely.
pub(crate) const MOST_UNITS: usize = 16;

/// What is asked of services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceQuery {
    /// The target's port; `None` for a unix socket.
    pub port: Option<u16>,
    /// Its transport.
    pub transport: Transport,
    /// Its URL scheme.
    pub scheme: Option<String>,
    /// The path of a unix socket.
    pub path: Option<String>,
    /// Units that are wanted beside: those of processes that hold the port.
    pub also: Vec<String>,
    /// Whether a service that was meant is looked for; else only the units in `also` and unrefuse's own.
    pub meant: bool,
}

/// Everything that a question about services needs, by `until`. What is not there by then says so where it belongs.
pub fn services(query: &ServiceQuery, until: Instant) -> ServiceFacts {
    let sought = sought(query);
    let users = query.meant.then(|| users::Asking::start(query.clone(), sought.clone(), until));
    // The manager takes a while to list its units: the files are read meanwhile.
    let (disk, mut bus, listed) = std::thread::scope(|scope| {
        let disk = query.meant.then(|| scope.spawn(|| Disk::read(query.port)));
        let mut bus = Bus::connect(until);
        let listed = bus.as_mut().map_err(|missing| missing.clone()).and_then(Bus::units);
        (disk.and_then(|disk| disk.join().ok()), bus, listed)
    });
    let mut facts = ServiceFacts {
        now_ms: now_ms(),
        init: init(),
        manager: match &listed {
            Ok(_) => {
                let version = bus.as_mut().ok().and_then(Bus::version).unwrap_or_default();
                let socket = bus.as_ref().map_or("system bus", |bus| bus.socket.as_str());
                Observed::known(format!("systemd {version}").trim().to_owned(), Source::running(socket))
            }
            Err(missing) => Observed::Missing(missing.clone()),
        },
        sought: sought.iter().map(|service| service.id.to_owned()).collect(),
        ..ServiceFacts::default()
    };
    let mut machine = Machine {
        user: None,
        bus: bus.ok().filter(|_| listed.is_ok()),
        listed: listed.unwrap_or_default(),
        disk,
        readings: Vec::new(),
    };
    facts.own_units = machine.own();
    let mut names: BTreeSet<String> = query.also.iter().cloned().collect();
    if query.meant {
        facts.distribution = installed::distribution("");
        facts.installed = installed::installed("", &sought);
        facts.container_engines = installed::engines("");
        facts.stale_pid_files = installed::stale_pid_files("", &sought);
        if facts.manager.value().is_none() {
            facts.others = others::init("", query.port, &sought);
        }
        facts.others.extend(others::supervised("", query.port, &sought));
        if facts.manager.value().is_none() || !facts.others.is_empty() {
            let names: Vec<&str> = facts.others.iter().map(|other| other.command.as_str()).collect();
            facts.processes = installed::processes(&sought, &names);
        }
        facts.units = machine.candidates(query, &sought);
        let failed: Vec<String> = machine.failed_needs(&facts.units);
        names.extend(failed);
        if facts.container_engines.iter().any(|engine| engine == "docker") {
            // Where it does not run, none of its containers has a port.
            names.insert("docker.service".to_owned());
        }
    }
    names.retain(|name| facts.unit(name).is_none());
    let beside: Vec<UnitFacts> = names.iter().take(MOST_UNITS).filter_map(|name| machine.told(name)).collect();
    facts.units.extend(beside);
    machine.slices(&mut facts);
    // While the journals are being read.
    machine.configure(&mut facts.units, query.port, until);
    machine.finish(&mut facts.units, until);
    if let Some(found) = users.map(|users| users.finish(until)) {
        (facts.user_units, facts.closed_users) = (found.units, found.closed);
    }
    facts
}

/// The services that the target may mean: by its scheme, its path, or its port.
fn sought(query: &ServiceQuery) -> Vec<&'static KnownService> {
    if let Some(scheme) = &query.scheme {
        let found: Vec<_> = catalogue::by_scheme(scheme).collect();
        if !found.is_empty() {
            return found;
        }
    }
    match (query.port, &query.path) {
        (Some(port), _) => catalogue::by_port(port, query.transport).collect(),
        (None, Some(path)) => catalogue::SERVICES.iter().copied().filter(|s| is_path_of(s, path)).collect(),
        (None, None) => Vec::new(),
    }
}

/// Whether a unix socket's path speaks of a service: `/run/postgresql/.s.PGSQL.5432`, `/run/mysqld/mysqld.sock`.
fn is_path_of(service: &KnownService, path: &str) -> bool {
    let words = || path.split(['/', '.', '-', '_']).filter(|word| !word.is_empty());
    let named = |name: &str| words().any(|word| word.eq_ignore_ascii_case(name));
    named(service.id) || service.processes.iter().filter(|name| **name != "java").any(|name| named(name))
}

fn init() -> Observed<String> {
    let bytes = crate::live::files::read("/proc/1/comm");
    match bytes {
        Ok(bytes) => Observed::known(from_bytes(&bytes).trim().to_owned(), Source::running("/proc/1/comm")),
        Err(missing) => Observed::Missing(missing),
    }
}

pub(crate) fn now_ms() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sought() {
        let query = |port, scheme: Option<&str>, path: Option<&str>| ServiceQuery {
            port,
            transport: Transport::Tcp,
            scheme: scheme.map(str::to_owned),
            path: path.map(str::to_owned),
            also: Vec::new(),
            meant: true,
        };
        let ids = |query: &ServiceQuery| sought(query).iter().map(|s| s.id).collect::<Vec<_>>();
        assert_eq!(ids(&query(Some(5432), None, None)), ["postgresql"]);
        assert_eq!(ids(&query(Some(80), Some("redis"), None)), ["redis"]);
        assert!(ids(&query(Some(80), Some("unheard"), None)).contains(&"nginx"));
        assert_eq!(ids(&query(None, None, Some("/run/mysqld/mysqld.sock"))), ["mariadb"]);
        assert!(ids(&query(None, None, Some("/tmp/x.sock"))).is_empty());
    }

    #[test]
    fn without_a_manager_the_facts_say_so() {
        let query = ServiceQuery {
            port: Some(1),
            transport: Transport::Tcp,
            scheme: None,
            path: None,
            also: Vec::new(),
            meant: false,
        };
        let facts = services(&query, Instant::now() + std::time::Duration::from_secs(5));
        assert!(facts.now_ms > 0 && facts.init.value().is_some());
        if facts.manager.value().is_none() {
            assert!(facts.own_units.value().is_none() && facts.units.is_empty());
        }
    }
}

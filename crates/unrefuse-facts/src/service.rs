//! Services of this machine: which may have been meant, what their units say, and what their logs say.

use crate::{Observed, SocketTable, UnitFacts};
use serde::{Deserialize, Serialize};

/// What was seen of services, as far as one question needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceFacts {
    /// When it was looked, milliseconds since 1970.
    pub now_ms: i64,
    /// The command name of process 1 (`systemd`, `openrc-init`, `tini`).
    pub init: Observed<String>,
    /// `ID` and then each of `ID_LIKE` of os-release(5).
    pub distribution: Vec<String>,
    /// The manager that told of the units, `systemd`. Missing: what is said of units is what their files say.
    pub manager: Observed<String>,
    /// Units that may be meant, their socket units, units that they need and that failed, and units of those who hold
    /// the port.
    pub units: Vec<UnitFacts>,
    /// Units of users' own managers that may be meant, and what belongs to them, as in `units`.
    pub user_units: Vec<UnitFacts>,
    /// Users whose managers run and do not let this user ask.
    pub closed_users: Vec<String>,
    /// The units that unrefuse itself runs in, its own first, then each slice up to the root (systemd.slice(5)).
    pub own_units: Observed<Vec<UnitFacts>>,
    /// Ids (of the catalogue) of the services that were looked for: by the port or the scheme.
    pub sought: Vec<String>,
    /// Executables of known services that are installed.
    pub installed: Vec<Installed>,
    /// Services that something other than systemd starts, as far as they may be meant.
    pub others: Vec<OtherService>,
    /// Processes of the services that were looked for and of `others`, by their command names, where no manager tells;
    /// missing where /proc cannot be walked.
    pub processes: Observed<Vec<String>>,
    /// Sockets with the target's port as their own that do not listen, with their owners: connections that hold the port,
    /// or linger.
    pub port_users: Observed<SocketTable>,
    /// Files with the process id of a daemon under /run, whose process is gone.
    pub stale_pid_files: Vec<String>,
    /// Container engines whose executable is here: a service may be meant to run in a container.
    pub container_engines: Vec<String>,
}

/// An executable of a known service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Installed {
    /// Id of the service in the catalogue.
    pub service: String,
    /// The executable.
    pub path: String,
}

/// A service that something other than systemd starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherService {
    /// What starts it.
    pub supervisor: Supervisor,
    /// Its name there.
    pub name: String,
    /// The script, folder or file that defines it.
    pub path: String,
    /// Id (of the catalogue) of the service whose name it has.
    pub service: Option<String>,
    /// Command name of its process, as far as that can be told.
    pub command: String,
    /// The line that names the port.
    pub clue: Option<Clue>,
    /// Whether it runs, where its supervisor leaves that to be read.
    pub up: Option<bool>,
}

/// What starts services, the weakest first: of two that have one of the same name the later one runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Supervisor {
    /// A script under /etc/init.d (init(8)).
    SysV,
    /// OpenRC, which has scripts there, too.
    OpenRc,
    /// runit.
    Runit,
    /// s6.
    S6,
    /// supervisord.
    Supervisord,
}

impl ServiceFacts {
    /// The unit of that name.
    pub fn unit(&self, name: &str) -> Option<&UnitFacts> {
        self.units.iter().find(|unit| unit.name == name)
    }
}

/// What speaks for a unit's being the one that should listen on the target's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clue {
    /// Of which kind.
    pub kind: ClueKind,
    /// What was seen, in words.
    pub text: String,
    /// Where: a file with its line, or an interface.
    pub source: String,
}

/// Kinds of clues, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClueKind {
    /// A line of its unit file has the port's number, and a later one takes that back: it tells where the port went, and
    /// speaks for nothing.
    TakenBack,
    /// The port is its service's own by custom.
    CustomaryPort,
    /// The target's URL scheme is its service's.
    Scheme,
    /// A line of its service's configuration has the port's number.
    Configuration,
    /// Its own log speaks of the port.
    Log,
    /// Its command line or environment, as its unit file gives it, has the port's number.
    UnitFile,
    /// A socket unit that starts it listens on the port.
    SocketUnit,
}

/// A line of a journal or log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalLine {
    /// Milliseconds since 1970, where the line has a time.
    pub time_ms: Option<i64>,
    /// syslog(3): 0 is an emergency, 3 an error, 6 information. `None` where it has none.
    pub priority: Option<u8>,
    /// Who wrote it, `systemd`, `nginx`.
    pub identifier: Option<String>,
    /// The text, without secrets, one line.
    pub message: String,
}

/// The end of a log file of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    /// Its path.
    pub path: String,
    /// Its last lines, oldest first; only those since the last start where that can be told.
    pub lines: Observed<Vec<JournalLine>>,
}

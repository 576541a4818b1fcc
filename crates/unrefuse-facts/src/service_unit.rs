//! One unit of the service manager (systemd.unit(5)).

use crate::{Clue, ConfigLine, JournalLine, LogFile, Observed, ServiceConfig, within};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Whether a unit's definition was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadState {
    /// It is in the manager's memory.
    Loaded,
    /// Its file is there, the manager has no need of it now: it is inactive. Also where only its file could be read.
    #[default]
    NotLoaded,
    /// It has no file.
    NotFound,
    /// It is masked: its file is a link to /dev/null.
    Masked,
    /// Its file is wrong.
    BadSetting,
    /// Loading it failed.
    Error,
}

/// What a unit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are systemctl(1)'s")]
pub enum ActiveState {
    Active,
    Reloading,
    #[default]
    Inactive,
    Failed,
    Activating,
    Deactivating,
    /// It was not asked: no manager answered.
    Unknown,
}

/// One unit, as the manager or its files tell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UnitFacts {
    /// Its name, `nginx.service`.
    pub name: String,
    /// Whose unit it is, where it belongs to a user's manager.
    pub user: Option<UnitUser>,
    /// Id (of the catalogue) of the service that it is a unit of.
    pub service: Option<String>,
    /// What speaks for its being meant.
    pub clues: Vec<Clue>,
    /// Whether its definition was loaded.
    pub load: LoadState,
    /// What it does.
    pub active: ActiveState,
    /// The finer state of its type: `running`, `exited`, `auto-restart`, `dead`.
    pub sub: String,
    /// What is said of it for the next boot: `enabled`, `disabled`, `static`, `masked`, `enabled-runtime`, `generated`.
    pub file_state: Option<String>,
    /// Why it ended: `success`, `exit-code`, `signal`, `oom-kill`, `timeout`, `start-limit-hit`, `resources`.
    pub result: Option<String>,
    /// How the process that failed ended: of the main one, else of the command before it.
    pub exit: Option<UnitExit>,
    /// Its main process.
    pub main_pid: Option<u32>,
    /// How often it was restarted by itself (`NRestarts`).
    pub restarts: u32,
    /// So many starts are allowed in so many microseconds (`StartLimitBurst`, `StartLimitIntervalUSec`).
    pub start_limit: Option<(u32, u64)>,
    /// Conditions and assertions that did not hold at its last start, as its file writes them.
    pub conditions_failed: Vec<String>,
    /// Since when it is in this state, milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// When it was last started, milliseconds since 1970.
    pub started_ms: Option<i64>,
    /// Its id for its last start (`InvocationID`), as journals have it.
    pub invocation: Option<String>,
    /// Its file.
    pub fragment: Option<String>,
    /// Files that change it (systemd.unit(5), "drop-in").
    pub drop_ins: Vec<String>,
    /// `Type=`.
    pub kind: Option<String>,
    /// `User=`.
    pub runs_as: Option<String>,
    /// It starts with `CAP_NET_BIND_SERVICE` though it is not root's; `None` where that was not told.
    pub may_bind_low_ports: Option<bool>,
    /// `CapabilityBoundingSet=` leaves out `CAP_NET_BIND_SERVICE`, which then even root lacks.
    pub low_ports_bounded: bool,
    /// `PrivateUsers=`: its capabilities do not count for the machine's network.
    pub private_users: bool,
    /// `PrivateNetwork=`.
    pub private_network: bool,
    /// `NetworkNamespacePath=`.
    pub network_namespace: Option<String>,
    /// `IPAddressDeny=`.
    pub ip_deny: Vec<IpPrefix>,
    /// `IPAddressAllow=`.
    pub ip_allow: Vec<IpPrefix>,
    /// `RestrictAddressFamilies=`, where it is set.
    pub address_families: Option<AddressFamilies>,
    /// `SocketBindDeny=`, as written (`tcp:80`, `any`).
    pub bind_deny: Vec<String>,
    /// `SocketBindAllow=`.
    pub bind_allow: Vec<String>,
    /// The words of `ExecStart=`, without secrets.
    pub exec_start: Vec<String>,
    /// The line of its files that has the `ExecStart=` in force, where a clue tells of one that was taken back. Only a line
    /// that is the administrator's to change (/etc), without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_line: Option<ConfigLine>,
    /// Units that it cannot do without (`Requires=`, `BindsTo=`, `Requisite=`).
    pub requires: Vec<String>,
    /// Units that start it: its `.socket`, `.timer`, `.path`.
    pub triggered_by: Vec<String>,
    /// The slice that it lives in.
    pub slice: Option<String>,
    /// Of a socket unit: what it listens on.
    pub listens: Vec<UnitListen>,
    /// Of a socket unit: `BindIPv6Only=`: `default`, `both`, `ipv6-only`.
    pub bind_ipv6_only: Option<String>,
    /// Of a socket unit: the services that it starts.
    pub triggers: Vec<String>,
    /// What the journal has of its last start.
    pub journal: Observed<Vec<JournalLine>>,
    /// Its service's own log files.
    pub logs: Vec<LogFile>,
    /// What its service would be started with, where it may be meant and does not run: the configuration and the command
    /// line, read as a whole.
    pub config: Observed<ServiceConfig>,
}

/// A user with units of their own (user@.service(5)).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UnitUser {
    /// Name; the number where the user database has none.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Home directory, where the user database has one.
    pub home: Option<String>,
    /// The user's manager runs. Without it none of the user's units does.
    pub has_manager: bool,
    /// The user has a message bus, through which others may reach the manager (`systemctl --machine=`).
    pub has_bus: bool,
    /// unrefuse was called in a session of that user: `systemctl --user` finds the manager (`XDG_RUNTIME_DIR`).
    pub in_session: bool,
    /// The manager is started at boot and stays after logout (loginctl(1), `enable-linger`).
    pub lingers: bool,
}

/// How a process of a unit ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitExit {
    /// It was ended by a signal.
    pub by_signal: bool,
    /// The exit status, or the signal's number.
    pub status: i32,
    /// The command, where it was one before the main one (`ExecStartPre=`) or of a oneshot.
    pub command: Option<String>,
}

/// One address that a socket unit listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitListen {
    /// `Stream`, `Datagram`, `FIFO` …
    pub kind: String,
    /// As systemd writes it: `[::]:22`, `127.0.0.1:80`, `/run/docker.sock`.
    pub address: String,
}

impl UnitListen {
    /// The port, where it listens on one. A number alone is a port of every address (systemd.socket(5)).
    pub fn port(&self) -> Option<u16> {
        if self.address.starts_with(['/', '@']) {
            return None;
        }
        self.address.rsplit(':').next()?.parse().ok()
    }
    /// The address, where it has one: a port alone is every address of both families.
    pub fn ip(&self) -> Option<IpAddr> {
        let (host, _) = self.address.rsplit_once(':')?;
        host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

/// Addresses with a common beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IpPrefix {
    /// The address.
    pub address: IpAddr,
    /// How many bits count.
    pub length: u8,
}

impl IpPrefix {
    /// Whether `ip` begins so.
    pub fn holds(&self, ip: IpAddr) -> bool {
        within(ip.to_canonical(), self.address, self.length)
    }
}

/// `RestrictAddressFamilies=` (systemd.exec(5)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressFamilies {
    /// The families are those that are allowed, not those that are denied.
    pub allow: bool,
    /// `AF_INET`, `AF_UNIX` …
    pub families: Vec<String>,
}

impl AddressFamilies {
    /// Whether sockets of that family may be made.
    pub fn allows(&self, family: &str) -> bool {
        self.families.iter().any(|f| f == family) == self.allow
    }
}

impl UnitFacts {
    /// It is a socket unit.
    pub fn is_socket(&self) -> bool {
        self.name.ends_with(".socket")
    }
    /// It runs a process, or should: a oneshot that has exited (Debian's postgresql.service) stands for others.
    pub fn is_running(&self) -> bool {
        matches!(self.active, ActiveState::Active | ActiveState::Reloading) && self.sub != "exited"
    }
    /// It only stands for other units: it was started, and runs nothing itself.
    pub fn stands_for_others(&self) -> bool {
        self.active == ActiveState::Active && self.sub == "exited"
    }
    /// The manager starts it at boot, as far as its file state says.
    pub fn is_enabled(&self) -> Option<bool> {
        match self.file_state.as_deref()? {
            "enabled" | "enabled-runtime" | "linked" | "linked-runtime" | "alias" => Some(true),
            "disabled" | "masked" | "masked-runtime" => Some(false),
            _ => None,
        }
    }
    /// It is masked, for good or until the next boot.
    pub fn is_masked(&self) -> bool {
        self.load == LoadState::Masked || matches!(self.file_state.as_deref(), Some("masked" | "masked-runtime"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_its_addresses() {
        let prefix = |address: &str, length| IpPrefix { address: address.parse().unwrap(), length };
        let any4 = prefix("0.0.0.0", 0);
        assert!(any4.holds("10.0.0.1".parse().unwrap()) && !any4.holds("::1".parse().unwrap()));
        assert!(any4.holds("::ffff:10.0.0.1".parse().unwrap()), "an IPv4 packet on an IPv6 socket");
        let net = prefix("10.1.0.0", 16);
        assert!(net.holds("10.1.255.1".parse().unwrap()) && !net.holds("10.2.0.1".parse().unwrap()));
        assert!(prefix("::1", 128).holds("::1".parse().unwrap()) && !prefix("::1", 128).holds("::2".parse().unwrap()));
        assert!(!prefix("10.0.0.1", 200).holds("10.0.0.1".parse().unwrap()), "nonsense holds nothing");
    }

    #[test]
    fn what_a_socket_unit_listens_on() {
        let listen = |address: &str| UnitListen { kind: "Stream".into(), address: address.into() };
        assert_eq!((listen("[::]:22").port(), listen("[::]:22").ip()), (Some(22), Some("::".parse().unwrap())));
        assert_eq!((listen("22").port(), listen("22").ip()), (Some(22), None));
        assert_eq!(listen("/run/a:22").port(), None);
    }

    #[test]
    fn families_that_are_allowed_or_denied() {
        let list = |allow| AddressFamilies { allow, families: vec!["AF_UNIX".into()] };
        assert!(!list(true).allows("AF_INET") && list(true).allows("AF_UNIX"));
        assert!(list(false).allows("AF_INET") && !list(false).allows("AF_UNIX"));
    }

    #[test]
    fn a_unit_without_later_fields_is_still_read() {
        let unit: UnitFacts = serde_json::from_str(r#"{"name":"nginx.service","active":"failed"}"#).unwrap();
        assert_eq!((unit.active, unit.load), (ActiveState::Failed, LoadState::NotLoaded));
        let again = serde_json::to_string(&unit).unwrap();
        assert_eq!(serde_json::from_str::<UnitFacts>(&again).unwrap(), unit);
    }
}

//! The manager's D-Bus interface (org.freedesktop.systemd1(5)), read-only.
//!
//! Only what loads and starts nothing is asked: `ListUnitsByPatterns` lists what is in the manager's memory, `GetAll` of an
//! object that such a list named reads it, `GetUnitFileState` looks at files. `LoadUnit`, `ListUnitsByNames` and a path
//! made up for a unit that is not loaded would each load it. Messages carry `NO_AUTO_START`, so that a bus without a
//! manager starts none. A user's manager speaks the same on a socket of its own.

use rustbus::connection::Timeout;
use rustbus::connection::ll_conn::DuplexConn;
use rustbus::message_builder::{HeaderFlags, MarshalledMessage, MessageBuilder, MessageType};
use rustbus::params::{Base, Container, Param};
use std::collections::BTreeMap;
use std::time::Instant;
use unrefuse_facts::{Missing, Reason};

/// The bus, and the manager's own socket, which root may use where there is no bus.
const SOCKETS: [&str; 2] = ["/run/dbus/system_bus_socket", "/run/systemd/private"];

const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// Replies that are no answer to the question are passed over; so many, and the bus is not what it should be.
const MOST_OTHERS: usize = 64;

/// A connection to the manager.
pub(super) struct Bus {
    connection: DuplexConn,
    until: Instant,
    /// The socket that it was reached through.
    pub(super) socket: String,
}

/// A unit in the manager's memory.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) active: String,
    pub(super) sub: String,
    path: String,
}

/// Properties by their names.
pub(super) type Properties = BTreeMap<String, Value>;

/// A value as D-Bus knows them, as far as units have them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(i128),
    Flag(bool),
    List(Vec<Value>),
}

impl Bus {
    /// Connects to the system's manager; everything must be done by `until`.
    pub(super) fn connect(until: Instant) -> Result<Self, Missing> {
        let mut last = Missing::new(Reason::Absent, "no system bus: /run/dbus/system_bus_socket is not there");
        for (socket, hello) in SOCKETS.into_iter().zip([true, false]) {
            match open(socket, hello, until) {
                Ok(connection) => return Ok(Self { connection, until, socket: socket.to_owned() }),
                // The private socket is root's: what the bus said is more to the point.
                Err(missing) if hello => last = missing,
                Err(_) => {}
            }
        }
        Err(last)
    }

    /// Connects to a user's manager through its own socket, which is open to that user and to root (systemd's
    /// bus_check_peercred).
    pub(super) fn connect_user(socket: String, until: Instant) -> Result<Self, Missing> {
        let connection = open(&socket, false, until)?;
        Ok(Self { connection, until, socket })
    }

    /// Services, sockets and slices in memory.
    pub(super) fn units(&mut self) -> Result<Vec<Listed>, Missing> {
        let mut call = call("/org/freedesktop/systemd1", MANAGER, "ListUnitsByPatterns");
        let patterns = ["*.service", "*.socket", "*.slice", "*.scope", "*.mount"];
        let none: [&str; 0] = [];
        let _ = call.body.push_param2(none.as_slice(), patterns.as_slice());
        let Some(Value::List(rows)) = self.ask(&mut call)?.into_iter().next() else {
            return Err(Missing::new(Reason::Failed, "ListUnitsByPatterns: not an answer"));
        };
        Ok(rows.iter().filter_map(listed).collect())
    }

    /// Every property of a unit in memory.
    pub(super) fn properties(&mut self, unit: &Listed) -> Result<Properties, Missing> {
        let mut call = call(&unit.path, "org.freedesktop.DBus.Properties", "GetAll");
        // An empty name asks for all interfaces at once (sd_bus_add_object_vtable(3): systemd's own rule).
        let _ = call.body.push_param("");
        let Some(Value::List(entries)) = self.ask(&mut call)?.into_iter().next() else { return Ok(Properties::new()) };
        let entry = |entry: Value| match entry {
            Value::List(pair) => {
                let [key, value]: [Value; 2] = pair.try_into().ok()?;
                Some((key.text()?.to_owned(), value))
            }
            _ => None,
        };
        Ok(entries.into_iter().filter_map(entry).collect())
    }

    /// `enabled`, `masked` …; `None` for a unit without a file.
    pub(super) fn file_state(&mut self, unit: &str) -> Option<String> {
        let mut call = call("/org/freedesktop/systemd1", MANAGER, "GetUnitFileState");
        let _ = call.body.push_param(unit);
        let state = self.ask(&mut call).ok()?.into_iter().next()?;
        state.text().map(str::to_owned).filter(|state| !state.is_empty())
    }

    /// The manager's version.
    pub(super) fn version(&mut self) -> Option<String> {
        let mut call = call("/org/freedesktop/systemd1", "org.freedesktop.DBus.Properties", "Get");
        let _ = call.body.push_param2(MANAGER, "Version");
        self.ask(&mut call).ok()?.into_iter().next()?.text().map(str::to_owned)
    }

    fn ask(&mut self, message: &mut MarshalledMessage) -> Result<Vec<Value>, Missing> {
        let what = message.dynheader.member.clone().unwrap_or_default();
        let failed = |error: rustbus::connection::Error| lost(&format!("{what} over {}", self.socket), &error);
        HeaderFlags::NoAutoStart.set(&mut message.flags);
        let context = self.connection.send.send_message(message).map_err(failed)?;
        let serial = context.write(left(self.until)).map_err(|(context, error)| {
            context.force_finish();
            failed(error)
        })?;
        for _ in 0..MOST_OTHERS {
            let reply = self.connection.recv.get_next_message(left(self.until)).map_err(failed)?;
            if reply.dynheader.response_serial != Some(serial) {
                continue;
            }
            if reply.typ == MessageType::Error {
                let name = reply.dynheader.error_name.clone().unwrap_or_default();
                let reason = if name.ends_with("AccessDenied") { Reason::Forbidden } else { Reason::Failed };
                return Err(Missing::new(reason, format!("{what}: {name}")));
            }
            let message = reply
                .unmarshall_all()
                .map_err(|error| Missing::new(Reason::Failed, format!("{what}: the answer cannot be read: {error}")))?;
            return Ok(message.params.into_iter().map(value).collect());
        }
        Err(Missing::new(Reason::Failed, format!("{what}: no answer among {MOST_OTHERS} messages")))
    }
}

fn open(socket: &str, hello: bool, until: Instant) -> Result<DuplexConn, Missing> {
    let failed = |error: rustbus::connection::Error| lost(&format!("connect to {socket}"), &error);
    if rustix::fs::stat(socket).is_err() {
        return Err(Missing::new(Reason::Absent, format!("no system bus: {socket} is not there")).remedy(
            "systemctl status --no-pager, or the machine's own init: rc-status, sv status, service --status-all",
        ));
    }
    let address = nix::sys::socket::UnixAddr::new(socket).map_err(|error| lost(socket, &error.into()))?;
    let mut connection = DuplexConn::connect_to_bus(address, false).map_err(failed)?;
    if hello {
        connection.send_hello(left(until)).map_err(failed)?;
    }
    Ok(connection)
}

fn left(until: Instant) -> Timeout {
    // A timeout of nothing means none at all (SO_RCVTIMEO, socket(7)).
    Timeout::Duration(until.saturating_duration_since(Instant::now()).max(std::time::Duration::from_millis(1)))
}

fn lost(what: &str, error: &rustbus::connection::Error) -> Missing {
    let reason = match error {
        rustbus::connection::Error::TimedOut => Reason::TimedOut,
        rustbus::connection::Error::AuthFailed => Reason::Forbidden,
        _ => Reason::Failed,
    };
    Missing::new(reason, format!("{what}: {error}"))
}

fn call(path: &str, interface: &str, member: &str) -> MarshalledMessage {
    MessageBuilder::new().call(member).on(path).with_interface(interface).at("org.freedesktop.systemd1").build()
}

/// `(ssssssouso)`: name, description, load, active, sub, following, path, job id, job type, job path.
fn listed(row: &Value) -> Option<Listed> {
    let Value::List(fields) = row else { return None };
    let text = |index: usize| fields.get(index)?.text().map(str::to_owned);
    Some(Listed { name: text(0)?, active: text(3)?, sub: text(4)?, path: text(6)? })
}

fn value(param: Param<'_, '_>) -> Value {
    match param {
        Param::Base(base) => match base {
            Base::String(text) | Base::ObjectPath(text) | Base::Signature(text) => Value::Text(text),
            Base::Boolean(flag) => Value::Flag(flag),
            Base::Byte(n) => Value::Number(n.into()),
            Base::Int16(n) => Value::Number(n.into()),
            Base::Uint16(n) => Value::Number(n.into()),
            Base::Int32(n) => Value::Number(n.into()),
            Base::Uint32(n) => Value::Number(n.into()),
            Base::Int64(n) => Value::Number(n.into()),
            Base::Uint64(n) => Value::Number(n.into()),
            // No property that is read here holds others.
            _ => Value::List(Vec::new()),
        },
        Param::Container(container) => match container {
            Container::Array(array) => Value::List(array.values.into_iter().map(value).collect()),
            Container::Struct(fields) => Value::List(fields.into_iter().map(value).collect()),
            Container::Variant(inner) => value(inner.value),
            Container::Dict(dict) => {
                let pair = |(key, inner)| Value::List(vec![value(Param::Base(key)), value(inner)]);
                Value::List(dict.map.into_iter().map(pair).collect())
            }
            _ => Value::List(Vec::new()),
        },
    }
}

impl Value {
    /// Text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
    /// A number.
    pub(super) fn number(&self) -> Option<i128> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
    /// A boolean.
    pub(super) fn flag(&self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(*flag),
            _ => None,
        }
    }
    /// An array's elements or a struct's fields.
    pub(super) fn list(&self) -> &[Value] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }
    /// An array of texts.
    pub(super) fn texts(&self) -> Vec<String> {
        self.list().iter().filter_map(Self::text).map(str::to_owned).collect()
    }
}

#[cfg(test)]
impl Listed {
    /// A unit of a list, for tests.
    pub(super) fn test(name: &str, active: &str, sub: &str) -> Self {
        Self { name: name.into(), active: active.into(), sub: sub.into(), path: "/".into() }
    }
}

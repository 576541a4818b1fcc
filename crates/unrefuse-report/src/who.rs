//! The table of `unrefuse who`.

use crate::json::{pretty, schema_of};
use crate::listeners::{Number, number};
use crate::style::Style;
use crate::table::{Column, table};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// One process that holds a socket of the port. An empty string: not known, or it has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WhoRow {
    /// Process id. In JSON a number where it is one.
    #[serde(serialize_with = "number")]
    #[schemars(with = "Number")]
    pub pid: String,
    /// Its user.
    pub user: String,
    /// File descriptor of the socket. In JSON a number where it is one.
    #[serde(serialize_with = "number")]
    #[schemars(with = "Number")]
    pub fd: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The socket's address, with that of its peer where it is connected.
    pub address: String,
    /// `LISTEN`, `ESTABLISHED` …
    pub state: String,
    /// The process's name or command line.
    pub command: String,
    /// Its unit or container.
    pub unit: String,
    /// Another network namespace than the one asked from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

const COLUMNS: [Column; 9] = [
    Column { head: "PID", right: true },
    Column { head: "USER", right: false },
    Column { head: "FD", right: true },
    Column { head: "PROTO", right: false },
    Column { head: "ADDRESS", right: false },
    Column { head: "STATE", right: false },
    Column { head: "UNIT", right: false },
    Column { head: "NAMESPACE", right: false },
    Column { head: "COMMAND", right: false },
];

fn cells(row: &WhoRow) -> [&str; 9] {
    let WhoRow { pid, user, fd, protocol, address, state, command, unit, namespace } = row;
    [pid, user, fd, protocol, address, state, unit, namespace.as_deref().unwrap_or_default(), command]
}

/// `rows` as a table, one line each, that ends with a newline. The column of namespaces is left out where no row has one.
pub fn who(rows: &[WhoRow], style: &Style) -> String {
    if rows.is_empty() {
        return "no socket on that port\n".to_owned();
    }
    if rows.iter().any(|row| row.namespace.is_some()) {
        return table(&COLUMNS, rows.iter().map(cells), style);
    }
    let [pid, user, fd, protocol, address, state, unit, _, command] = COLUMNS;
    let cells = rows.iter().map(cells).map(|[a, b, c, d, e, f, g, _, i]| [a, b, c, d, e, f, g, i]);
    table(&[pid, user, fd, protocol, address, state, unit, command], cells, style)
}

/// The schema that JSON of holders names.
const SCHEMA: &str = "unrefuse.who/1";

/// Who holds a port.
#[derive(Serialize, JsonSchema)]
struct Who<'a> {
    /// Name and version of this form.
    schema: &'static str,
    /// Each process with each of its sockets; a socket whose holder is not seen has an entry of its own.
    holders: &'a [WhoRow],
}

/// The JSON Schema (draft 2020-12) of [`who_json`]'s output.
pub fn who_schema() -> Value {
    schema_of::<Who<'_>>(SCHEMA)
}

/// `rows` as JSON: `{"schema", "holders": [{"pid", "user", "fd", …}]}`.
pub fn who_json(rows: &[WhoRow]) -> String {
    pretty(&Who { schema: SCHEMA, holders: rows })
}

//! The table of `unrefuse listeners`.

use crate::json::{pretty, schema_of};
use crate::style::Style;
use crate::table::{Column, table};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;

/// One listening socket. An empty string: not known, or it has none.
///
/// Of 100,000 sockets most share their address, process, user, unit and reach: cells are borrowed where they can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ListenerRow<'a> {
    /// `tcp` or `udp`.
    pub proto: &'a str,
    /// Address that it is bound to.
    pub address: Cow<'a, str>,
    /// Port.
    pub port: u16,
    /// Who holds it: `nginx[812]`, `nginx[812] +3`.
    pub process: Cow<'a, str>,
    /// The holder's user.
    pub user: Cow<'a, str>,
    /// The holder's unit or container.
    pub unit: Cow<'a, str>,
    /// From where it can be reached: `anywhere`, `10.0.0.0/8`, `this machine only`.
    pub reach: Cow<'a, str>,
    /// The same by each interface and family, as the packet filter says; empty where that was not asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reachable_from: Vec<ReachableFrom>,
    /// Another network namespace than the one asked from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<&'a str>,
}

/// From where a listener can be reached by one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReachableFrom {
    /// `ipv4` or `ipv6`.
    pub family: &'static str,
    /// The interface that the packets come in by.
    pub interface: String,
    /// Sources that reach it, as prefixes.
    pub from: Vec<String>,
    /// Sources that may or may not: it depends on what cannot be known.
    pub perhaps: Vec<String>,
    /// How many prefixes more there are of both than are listed.
    pub more: usize,
    /// Rules look at sources in prefixes only: else some may fare otherwise than listed.
    pub exact: bool,
}

/// What stands behind the column of where listeners can be reached from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReachBy<'a> {
    /// The bind address and the packet filter.
    Filtered,
    /// The bind address only: why the packet filter was not looked at.
    BindAddress(&'a str),
}

/// What [`number`] makes of a text.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "for its schema")]
pub(crate) enum Number {
    /// A number.
    Digits(u64),
    /// All else; empty: there is none, or it is not known.
    Text(String),
}

/// Digits as a JSON number, all else as a string.
pub(crate) fn number<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match text.parse::<u64>() {
        Ok(number) => serializer.serialize_u64(number),
        Err(_) => serializer.serialize_str(text),
    }
}

const COLUMNS: [Column; 8] = [
    Column { head: "PROTO", right: false },
    Column { head: "ADDRESS", right: false },
    Column { head: "PORT", right: true },
    Column { head: "REACHABLE FROM", right: false },
    Column { head: "PROCESS", right: false },
    Column { head: "USER", right: false },
    Column { head: "NAMESPACE", right: false },
    Column { head: "UNIT", right: false },
];

fn cells<'a>(row: &'a ListenerRow<'_>) -> [Cow<'a, str>; 8] {
    let ListenerRow { proto, address, port, process, user, unit, reach, namespace, .. } = row;
    let [address, process, user, unit, reach] = [address, process, user, unit, reach].map(|cell| Cow::from(&**cell));
    let namespace = namespace.unwrap_or_default();
    [(*proto).into(), address, port.to_string().into(), reach, process, user, namespace.into(), unit]
}

/// `rows` as a table, one line each, that ends with a newline. The column of namespaces is left out where no row has one;
/// where the packet filter was not looked at, the head of the column says so.
pub fn listeners(rows: &[ListenerRow<'_>], by: ReachBy<'_>, style: &Style) -> String {
    if rows.is_empty() {
        return "nothing listens here\n".to_owned();
    }
    let mut columns = COLUMNS;
    if matches!(by, ReachBy::BindAddress(_)) {
        columns[3].head = "BIND ADDRESS REACHES";
    }
    if rows.iter().any(|row| row.namespace.is_some()) {
        return table(&columns, rows.iter().map(cells), style);
    }
    let [proto, address, port, reach, process, user, _, unit] = columns;
    let cells = rows.iter().map(cells).map(|[a, b, c, d, e, f, _, h]| [a, b, c, d, e, f, h]);
    table(&[proto, address, port, reach, process, user, unit], cells, style)
}

/// The schema that JSON of listeners names.
const SCHEMA: &str = "unrefuse.listeners/1";

/// Listening sockets.
#[derive(Serialize, JsonSchema)]
struct Listeners<'a> {
    /// Name and version of this form.
    schema: &'static str,
    /// Whether the packet filter was looked at.
    firewall: Firewall<'a>,
    /// The sockets.
    listeners: &'a [ListenerRow<'a>],
}

/// Whether the packet filter was looked at.
#[derive(Serialize, JsonSchema)]
struct Firewall<'a> {
    /// It was: where a socket can be reached from is said by bind address and filter; else by bind address alone.
    looked: bool,
    /// Why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

/// The JSON Schema (draft 2020-12) of [`listeners_json`]'s output.
pub fn listeners_schema() -> Value {
    schema_of::<Listeners<'_>>(SCHEMA)
}

/// `rows` as JSON: `{"schema", "firewall": {"looked", "why"?}, "listeners": [{"proto", "address", "port", …}]}`.
pub fn listeners_json(rows: &[ListenerRow<'_>], by: ReachBy<'_>) -> String {
    let firewall = match by {
        ReachBy::Filtered => Firewall { looked: true, why: None },
        ReachBy::BindAddress(why) => Firewall { looked: false, why: Some(why) },
    };
    pretty(&Listeners { schema: SCHEMA, firewall, listeners: rows })
}

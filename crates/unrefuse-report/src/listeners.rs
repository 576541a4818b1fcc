//! The table of `unrefuse listeners`.

use crate::json::pretty;
use crate::style::Style;
use crate::table::{Column, table};
use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// One listening socket. An empty string: not known, or it has none.
///
/// Of 100,000 sockets most share their process, user, unit and reach: cells are borrowed where they can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListenerRow<'a> {
    /// `tcp`, `udp` or `unix`.
    pub proto: Cow<'a, str>,
    /// Address that it is bound to, `*` for all; a path for a unix socket.
    pub address: Cow<'a, str>,
    /// Port. In JSON a number where it is one.
    #[serde(serialize_with = "number")]
    pub port: Cow<'a, str>,
    /// Who holds it: `nginx[812]`, `nginx[812] +3`.
    pub process: Cow<'a, str>,
    /// The holder's user.
    pub user: Cow<'a, str>,
    /// The holder's unit or container.
    pub unit: Cow<'a, str>,
    /// From where it can be reached as far as the bind address says: `anywhere`, `this machine only`.
    pub reach: Cow<'a, str>,
    /// Another network namespace than the one asked from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Cow<'a, str>>,
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

fn cells<'a>(row: &'a ListenerRow<'_>) -> [&'a str; 8] {
    let ListenerRow { proto, address, port, process, user, unit, reach, namespace } = row;
    [proto, address, port, reach, process, user, namespace.as_deref().unwrap_or_default(), unit]
}

/// `rows` as a table, one line each, that ends with a newline. The column of namespaces is left out where no row has one.
pub fn listeners(rows: &[ListenerRow<'_>], style: &Style) -> String {
    if rows.is_empty() {
        return "nothing listens here\n".to_owned();
    }
    if rows.iter().any(|row| row.namespace.is_some()) {
        return table(&COLUMNS, rows.iter().map(cells), style);
    }
    let [proto, address, port, reach, process, user, _, unit] = COLUMNS;
    let cells = rows.iter().map(cells).map(|[a, b, c, d, e, f, _, h]| [a, b, c, d, e, f, h]);
    table(&[proto, address, port, reach, process, user, unit], cells, style)
}

/// `rows` as JSON, schema `unrefuse.listeners/1`: `{"schema", "listeners": [{"proto", "address", "port", …}]}`.
pub fn listeners_json(rows: &[ListenerRow<'_>]) -> String {
    #[derive(Serialize)]
    struct Listeners<'a> {
        schema: &'static str,
        listeners: &'a [ListenerRow<'a>],
    }
    pretty(&Listeners { schema: "unrefuse.listeners/1", listeners: rows })
}

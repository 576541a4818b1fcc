//! What a packet carries: string (net/netfilter/xt_string.c).

use super::super::cond::{not, payload, within};
use super::super::options::{Case, Given, Match, flag, one, value};
use super::super::values;
use super::inv;
use crate::model::{Cond, Header};

pub(super) const ALL: &[Match] = &[Match {
    name: "string",
    options: &[inv("string"), inv("hex-string"), one("algo"), one("from"), one("to"), flag("icase")],
    read: string,
}];

/// Headers end here at the latest: 60 bytes of IPv4 and 60 of TCP.
const HEADERS: u64 = 120;

/// The search begins at the IP header. Text of four printable characters or more is not expected in headers, so a packet
/// that carries nothing does not hold it; shorter or binary patterns may be anywhere.
fn string(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    let pattern = given.iter().find(|g| g.is == "string");
    let hex = given.iter().find(|g| g.is == "hex-string");
    let from = value(given, "from").map_or(Ok(0u64), values::number_to)?;
    let fork = Cond::Fork(case.text.to_owned());
    let (text, negated) = match (pattern, hex) {
        (Some(g), None) => (g.value(), g.negated),
        (None, Some(g)) => ("", g.negated),
        _ => return Err("neither --string nor --hex-string, or both".into()),
    };
    let printable = text.len() >= 4 && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if !printable && from < HEADERS {
        return Ok(vec![fork]);
    }
    let carries = within(payload(Header::Inner, 0, 8), (0u8, 255), false);
    let found = Cond::All(vec![carries, fork]);
    Ok(vec![if negated { not(found) } else { Cond::Lenient(Box::new(found)) }])
}

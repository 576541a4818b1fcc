//! Lines of the journal (`journalctl -o json`) and of services' own log files.
//!
//! A line of the journal, as Debian 12's journalctl(1) writes it (shortened):
//!
//! ```json
//! {"__REALTIME_TIMESTAMP":"1763836125123456","PRIORITY":"3","SYSLOG_IDENTIFIER":"nginx","_PID":"812",
//!  "MESSAGE":"nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)","_SYSTEMD_UNIT":"nginx.service"}
//! ```
//!
//! Lines of log files:
//!
//! ```text
//! 2026/11/22 18:28:45 [emerg] 812#812: bind() to 0.0.0.0:80 failed (98: Address already in use)
//! 2026-11-22 18:28:45.123 UTC [812] LOG:  could not bind IPv4 address "127.0.0.1": Address already in use
//! 812:M 22 Nov 2026 18:28:45.123 # Warning: Could not create server TCP listening socket *:6379: bind: Address already in use
//! ```

use crate::lines::numbered;
use crate::secret::{Trust, redact};
use serde_json::Value;
use unrefuse_facts::{JournalLine, text};

/// A message is kept up to so many characters: a stack trace in one line says at its beginning what it is.
const LONGEST: usize = 600;

/// The lines of `journalctl -o json`, in their order; what is no JSON object with a message is left out.
///
/// Where `unit` is given, lines of processes of other units (`_SYSTEMD_UNIT`, which journald itself writes) are left out,
/// unless they speak of it (`UNIT`). A line without a unit stays: its process had ended before journald looked. Units of
/// users' managers have fields of their own (`_SYSTEMD_USER_UNIT`, `USER_UNIT`), which go before.
///
/// `MESSAGE` is text, an array of bytes where it is not UTF-8, or null where it is too large (systemd.journal-fields(7),
/// "JSON format"). Passwords in URLs and `password=` are masked.
pub fn lines(json: &[u8], unit: Option<&str>) -> Vec<JournalLine> {
    numbered(json).filter_map(|(_, line)| entry(line, unit)).collect()
}

fn entry(line: &[u8], unit: Option<&str>) -> Option<JournalLine> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let field = |name: &str| value.get(name).and_then(Value::as_str);
    let of = field("_SYSTEMD_USER_UNIT").or_else(|| field("_SYSTEMD_UNIT"));
    let about = field("USER_UNIT").or_else(|| field("UNIT"));
    let of_unit = |unit: &str| of.is_none_or(|of| of == unit) || about == Some(unit);
    if !unit.is_none_or(of_unit) {
        return None;
    }
    Some(JournalLine {
        // Microseconds.
        time_ms: field("__REALTIME_TIMESTAMP").and_then(|t| t.parse::<i64>().ok()).map(|us| us / 1000),
        priority: field("PRIORITY").and_then(|p| p.parse().ok()),
        identifier: field("SYSLOG_IDENTIFIER").or_else(|| field("_COMM")).map(str::to_owned),
        message: clean(&message(value.get("MESSAGE")?)?),
    })
}

fn message(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(bytes) => {
            let bytes: Option<Vec<u8>> = bytes.iter().map(|b| u8::try_from(b.as_u64()?).ok()).collect();
            Some(text::from_bytes(&bytes?))
        }
        _ => None,
    }
}

/// The lines of the end of a log file, oldest first. `offset_s` is the machine's distance from UTC in seconds: most logs
/// write local time. A line without a time has that of the line before it.
pub fn log_lines(end: &[u8], offset_s: i64) -> Vec<JournalLine> {
    let mut last = None;
    let line = |(_, bytes): (u32, &[u8])| {
        let text = text::from_bytes(bytes);
        last = time(&text, offset_s).or(last);
        (!text.trim().is_empty()).then(|| JournalLine {
            time_ms: last,
            priority: None,
            identifier: None,
            message: clean(&text),
        })
    };
    numbered(end).filter_map(line).collect()
}

/// Without secrets, and short.
pub(crate) fn clean(message: &str) -> String {
    text::clip(redact(message.trim_end(), Trust::Parsed).trim(), LONGEST)
}

/// The time at the beginning of a log line, milliseconds since 1970.
fn time(line: &str, offset_s: i64) -> Option<i64> {
    // redis writes `PID:ROLE ` before it; others put it in brackets.
    let head = text::clip(line, 64);
    // The `T` of RFC 3339 parts date and time.
    let words = head.split([' ', '[', ']']).filter(|word| !word.is_empty()).take(8);
    let words: Vec<&str> = words.flat_map(date_and_time).flatten().collect();
    let at = words.iter().position(|word| clock(word).is_some())?;
    let seconds = clock(words[at])?;
    let before = words.get(..at)?;
    let days = match before {
        [.., date] if date.contains(['-', '/']) => {
            let mut parts = date.split(['-', '/']).map(str::parse::<i64>);
            let mut part = || parts.next()?.ok();
            days(part()?, part()?, part()?)?
        }
        [.., day, month, year] => days(year.parse().ok()?, month_number(month)?, day.parse().ok()?)?,
        _ => return None,
    };
    // PostgreSQL names its zone; `Z` is UTC too (RFC 3339).
    let utc = words.get(at + 1).is_some_and(|zone| matches!(*zone, "UTC" | "GMT")) || words[at].ends_with('Z');
    let offset = if utc { 0 } else { offset_s };
    Some((days * 86_400 + seconds - offset) * 1000)
}

/// A time of RFC 3339 with its zone, `2026-11-22T18:28:45.123456789+01:00`, as milliseconds since 1970.
pub(crate) fn rfc3339(time: &str) -> Option<i64> {
    let (date, rest) = time.split_once('T')?;
    let mut parts = date.split('-').map(str::parse::<i64>);
    let mut part = || parts.next()?.ok();
    let days = days(part()?, part()?, part()?)?;
    let seconds = clock(rest)?;
    let fraction = rest[8..].strip_prefix('.').unwrap_or_default();
    let digits = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
    let milliseconds: i64 = format!("{:0<3}", &fraction[..digits])[..3].parse().ok()?;
    let zone = if fraction.is_empty() { &rest[8..] } else { &fraction[digits..] };
    let offset = match zone.split_at_checked(1) {
        Some((sign @ ("+" | "-"), zone)) => {
            let east = clock(&format!("{zone}:00"))?;
            if sign == "-" { -east } else { east }
        }
        Some(("Z", "")) => 0,
        _ => return None,
    };
    Some((days * 86_400 + seconds - offset) * 1000 + milliseconds)
}

/// The parts of `2026-11-22T18:28:45`; any other word alone.
fn date_and_time(word: &str) -> [Option<&str>; 2] {
    match word.split_once('T') {
        Some((date, time)) if clock(time).is_some() => [Some(date), Some(time)],
        _ => [Some(word), None],
    }
}

/// Seconds of the day in `18:28:45`, with whatever fraction or `Z` follows.
fn clock(word: &str) -> Option<i64> {
    let word = word.get(..8)?;
    let mut parts = word.split(':');
    let mut part = |most: i64| {
        let text = parts.next()?;
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i64>().ok().filter(|n| digits && *n <= most)
    };
    let (hours, minutes, seconds) = (part(23)?, part(59)?, part(60)?);
    Some(hours * 3600 + minutes * 60 + seconds)
}

fn month_number(name: &str) -> Option<i64> {
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    names.iter().position(|n| *n == name).map(|index| index as i64 + 1)
}

/// Days since 1970-01-01 of a Gregorian date; `None` for what is none, or lies outside of 1970 to 9999.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years begin in March, so that the day of the leap year is the last one.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * m + 2) / 5 + day - 1;
    Some(y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"__REALTIME_TIMESTAMP":"1763836125123456","PRIORITY":"3","SYSLOG_IDENTIFIER":"nginx","MESSAGE":"bind() to 0.0.0.0:80 failed (98: Address already in use)"}"#;

    #[test]
    fn a_line_of_the_journal() {
        let found = lines(LINE.as_bytes(), None);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].time_ms, found[0].priority), (Some(1_763_836_125_123), Some(3)));
        assert_eq!(found[0].identifier.as_deref(), Some("nginx"));
        assert!(found[0].message.starts_with("bind() to 0.0.0.0:80"));
    }

    #[test]
    fn what_is_no_text_is_made_visible_or_left_out() {
        assert_eq!(lines(br#"{"MESSAGE":[97,255,98]}"#, None)[0].message, "a\\xffb");
        assert!(lines(br#"{"MESSAGE":null}"#, None).is_empty() && lines(br#"{"MESSAGE":[300]}"#, None).is_empty());
        assert!(lines(b"-- No entries --\n{\"MESSAGE\":", None).is_empty());
    }

    #[test]
    fn lines_of_other_units_are_left_out() {
        let json = br#"{"MESSAGE":"a","_SYSTEMD_UNIT":"session-1.scope"}
            {"MESSAGE":"b","_SYSTEMD_UNIT":"ssh.service"}
            {"MESSAGE":"c"}
            {"MESSAGE":"d","_SYSTEMD_UNIT":"init.scope","UNIT":"ssh.service"}
            {"MESSAGE":"e","_SYSTEMD_UNIT":"user@1.service","_SYSTEMD_USER_UNIT":"app.service"}
            {"MESSAGE":"f","_SYSTEMD_UNIT":"user@1.service","_SYSTEMD_USER_UNIT":"init.scope","USER_UNIT":"app.service"}"#;
        let messages = |unit| lines(json, unit).into_iter().map(|line| line.message).collect::<String>();
        assert_eq!(messages(Some("ssh.service")), "bcd");
        assert_eq!(messages(Some("app.service")), "cef");
        assert_eq!(messages(None), "abcdef");
    }

    #[test]
    fn secrets_are_masked() {
        let found = lines(br#"{"MESSAGE":"cannot reach postgres://app:hunter2@db/x password=hunter2"}"#, None);
        assert!(!found[0].message.contains("hunter2"), "{}", found[0].message);
    }

    #[test]
    fn times_of_logs() {
        let at = |line: &str| time(line, 3600);
        let expected = Some(1_795_364_925_000);
        assert_eq!(at("2026/11/22 17:28:45 [emerg] 812#812: bind()"), expected);
        assert_eq!(at("2026-11-22T17:28:45.5 0 [ERROR] x"), expected);
        assert_eq!(at("812:M 22 Nov 2026 17:28:45.123 # Warning"), expected);
        assert_eq!(at("2026-11-22 16:28:45.123 UTC [812] LOG:  x"), expected);
        assert_eq!(at("2026-11-22T16:28:45Z x"), expected);
        assert_eq!(at("no time here"), None);
        assert_eq!(at("2026-13-22 17:28:45 x"), None);
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2000, 3, 1), Some(11_017));
    }

    #[test]
    fn a_line_without_a_time_belongs_to_the_one_before() {
        let found = log_lines(b"2026/11/22 17:28:45 a\n  b\n\n", 0);
        assert_eq!(found.len(), 2);
        assert!(found[1].time_ms.is_some() && found[1].time_ms == found[0].time_ms);
    }
}

//! What a unit's log says: the line that explains a failure.

use super::act;
use crate::report::Evidence;
use unrefuse_facts::text::visible;
use unrefuse_facts::{JournalLine, Location, Missing, UnitFacts};

/// A line with where it stands.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) line: &'a JournalLine,
    source: &'a str,
}

/// bind(2) failed because the address is taken.
pub(super) const IN_USE: &[&str] = &[
    "address already in use",
    "address in use",
    "eaddrinuse",
    "errno 98",
    "(98:",
    "port is already allocated",
    "port is already in use",
    "still could not bind()",
];

/// bind(2) failed because the machine does not have the address.
pub(super) const NO_ADDRESS: &[&str] = &[
    "cannot assign requested address",
    "can't assign requested address",
    "requested address is not valid",
    "eaddrnotavail",
    "errno 99",
    "(99:",
];

/// Something was not allowed; that it was bind(2) must be said beside.
const DENIED: &[&str] = &["permission denied", "eacces", "(13:", "operation not permitted"];

/// Lines of one traceback are written within this time.
const NEAR_MS: u64 = 500;

/// Words of a line that speaks of listening.
const LISTENING: &[&str] = &["bind", "listen", "socket", "port ", "could not create server"];

/// A configuration that cannot be read. Each is a program's own words.
const CONFIG: &[&str] = &[
    "unknown directive",
    "invalid number of arguments",
    "unexpected end of file",
    "unexpected \"",
    "is not terminated by",
    "directive is not allowed here",
    "directive is duplicate",
    "host not found in",
    "no \"",
    "syntax error",
    "invalid command",
    "unknown keyword",
    "fatal errors found in configuration",
    "error(s) found in configuration file",
    "fatal config file error",
    "bad directive",
    "bad configuration option",
    "bad configuration options",
    "unknown variable",
    "unknown option",
    "unrecognized option",
    "unrecognized configuration parameter",
    "invalid value for parameter",
    "contains errors",
    "found option without preceding group",
    "configuration file",
    "config file",
    "parse error",
    "parsing error",
    "error parsing",
    "failed to parse",
    "invalid configuration",
    "no such file or directory) in",
    "error reading configuration",
];

/// The lines of a unit's journal and logs, the newest first, without what the manager says itself.
pub(super) fn lines(unit: &UnitFacts) -> Vec<Line<'_>> {
    let journal = unit.journal.value().into_iter().flatten().map(|line| Line { line, source: "journalctl" });
    let logs = unit.logs.iter().flat_map(|log| {
        let source = log.path.as_str();
        log.lines.value().into_iter().flatten().map(move |line| Line { line, source })
    });
    let by_service = |line: &Line<'_>| line.line.identifier.as_deref() != Some("systemd");
    // A log file's lines stand after the journal's of the same second.
    let mut all: Vec<Line<'_>> = journal.chain(logs).filter(by_service).collect();
    all.sort_by_key(|line| line.line.time_ms);
    all.reverse();
    all
}

fn has(line: &Line<'_>, words: &[&str]) -> bool {
    let text = line.line.message.to_ascii_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// The newest line that has one of `words`; one that also names a port is preferred.
pub(super) fn find<'a>(unit: &'a UnitFacts, words: &[&str]) -> Option<Line<'a>> {
    let all = lines(unit);
    let mut found = all.into_iter().filter(|line| has(line, words)).peekable();
    let newest = *found.peek()?;
    Some(found.find(|line| port(&line.line.message).is_some()).unwrap_or(newest))
}

/// Whether a line speaks of listening on `wanted`, or of failing to.
pub(super) fn listens(unit: &UnitFacts, wanted: u16) -> bool {
    lines(unit).iter().any(|line| has(line, LISTENING) && port(&line.line.message) == Some(wanted))
}

/// The newest line that says that listening was not allowed. A traceback has the call some lines before the error.
pub(super) fn denied(unit: &UnitFacts) -> Option<Line<'_>> {
    let all = lines(unit);
    let near = |line: &Line<'_>, other: &Line<'_>| match (line.line.time_ms, other.line.time_ms) {
        (Some(one), Some(two)) => one.abs_diff(two) < NEAR_MS,
        _ => false,
    };
    let beside = |line: &Line<'_>| all.iter().any(|other| near(line, other) && has(other, &["bind("]));
    all.iter().find(|line| has(line, DENIED) && (has(line, LISTENING) || beside(line))).copied()
}

/// The newest line that says that the configuration cannot be read, with the place that it names. A line that names the
/// place is preferred.
pub(super) fn config(unit: &UnitFacts) -> Option<(Line<'_>, Option<Location>)> {
    let binds = |line: &Line<'_>| has(line, IN_USE) || has(line, NO_ADDRESS);
    let told = |line: &Line<'_>| has(line, CONFIG) && !binds(line);
    let all = lines(unit);
    let placed = all.iter().find_map(|line| Some((*line, place(&line.line.message).filter(|_| !binds(line))?)));
    // A place alone says nothing: a warning has one too.
    let grave =
        |text: &str| ["emerg", "alert", "error", "fatal", "syntax", "invalid", "bad "].iter().any(|w| text.contains(w));
    if let Some((line, place)) =
        placed.filter(|(line, _)| has(line, CONFIG) || grave(&line.line.message.to_ascii_lowercase()))
    {
        return Some((line, Some(place)));
    }
    all.into_iter().find(|line| told(line)).map(|line| (line, None))
}

/// The line that tells most of a failure: one that names the place in a configuration, else the newest that looks like an
/// error.
pub(super) fn error(unit: &UnitFacts) -> Option<Line<'_>> {
    // What comes behind it often says only that there was something: `nginx: configuration file … test failed`.
    if let Some((line, Some(_))) = config(unit) {
        return Some(line);
    }
    let words =
        ["error", "fatal", "failed", "emerg", "cannot", "can't", "could not", "unable", "denied", "panic", "no such"];
    let all = lines(unit);
    let worst = all.iter().find(|line| line.line.priority.is_some_and(|p| p <= 3)).copied();
    all.iter().find(|line| has(line, &words)).copied().or(worst).or_else(|| all.first().copied())
}

/// Why the log could not be read, where it could not.
pub(super) fn missing(unit: &UnitFacts) -> Option<&Missing> {
    unit.journal.missing().filter(|m| m.reason != unrefuse_facts::Reason::NotLooked)
}

impl Line<'_> {
    /// The line as evidence.
    pub(super) fn evidence(&self, unit: &UnitFacts) -> Evidence {
        Evidence::new(format!("{} says: {}", act::name(unit), visible(&self.told(unit))), self.source)
    }

    /// What it says; where that is in the line behind it (`Syntax error on line 1 of FILE:`) or before it (`Failed to
    /// configure TLS. Check logs for more info.`), with that.
    fn told(&self, unit: &UnitFacts) -> String {
        let message = self.line.message.trim_end();
        let mut all = lines(unit);
        all.retain(|line| line.source == self.source);
        let at = all.iter().position(|line| std::ptr::eq(line.line, self.line));
        let beside = |newer: bool| {
            let at = if newer { at?.checked_sub(1)? } else { at? + 1 };
            Some(all.get(at)?.line.message.trim())
        };
        let before = if has(self, &["check logs", "see log"]) { beside(false) } else { None };
        let behind = if message.ends_with(':') { beside(true) } else { None };
        before.into_iter().chain([message]).chain(behind).collect::<Vec<_>>().join(" ")
    }
}

/// The port that a line about listening names: the last number after `:` or `port`.
pub(super) fn port(message: &str) -> Option<u16> {
    let text = message.to_ascii_lowercase();
    let digits = |at: usize| {
        let rest = text.get(at..)?.trim_start_matches([' ', ':', '=', '#', '\'', '"']);
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        // A number that goes on as an address or a time is no port.
        let after = rest[end..].chars().next();
        let next = rest[end..].chars().nth(1);
        let goes_on = matches!(after, Some('.' | ':')) && next.is_some_and(|c| c.is_ascii_digit());
        rest.get(..end)?.parse::<u16>().ok().filter(|port| *port > 0 && !goes_on)
    };
    let after_word = text.match_indices("port").filter_map(|(at, _)| digits(at + 4)).last();
    // `0.0.0.0:80`, `[::]:80`, `*:6379`, `localhost:5000`; not `26:12` of a time, nor `file.c:812`.
    let address = |at: usize| {
        let before = text[..at].rsplit([' ', '(', '[', '"', '\'', '=', ',']).next().unwrap_or_default();
        let numeric = before.ends_with(']') || before.ends_with('*') || before.parse::<std::net::Ipv4Addr>().is_ok();
        numeric || before.ends_with("localhost") || before.ends_with(':') || before.is_empty()
    };
    let after_address =
        text.match_indices(':').filter(|(at, _)| address(*at)).filter_map(|(at, _)| digits(at + 1)).next_back();
    after_word.or(after_address)
}

/// The file and line that a message names: `/etc/nginx/nginx.conf:12`, `line 12 of /etc/apache2/apache2.conf`,
/// `"/etc/…/postgresql.conf" line 12`.
pub(super) fn place(message: &str) -> Option<Location> {
    let number = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse::<u32>().ok().filter(|line| *line > 0)
    };
    let starts = |at: &usize| {
        let before = message[..*at].chars().next_back();
        before.is_none_or(|c| matches!(c, ' ' | '"' | '\'' | '[' | '(' | '=')) && message[*at..].len() > 4
    };
    let paths = message.match_indices('/').map(|(at, _)| at).filter(starts).map(|at| {
        let rest = &message[at..];
        rest.split_at(rest.find([' ', '"', '\'', ']', ')', ',', ';', ':']).unwrap_or(rest.len()))
    });
    let paths: Vec<(&str, &str)> = paths.collect();
    // Of `open() "/etc/a" failed (2: No such file or directory) in /etc/b:3` the second.
    let with_line = paths.iter().find_map(|(path, rest)| Some((*path, rest.strip_prefix(':').and_then(number)?)));
    let word = || {
        let text = message.to_ascii_lowercase();
        text.match_indices("line").find_map(|(at, _)| number(text[at + 4..].trim_start_matches([' ', ':', '#'])))
    };
    let (path, line) = with_line.or_else(|| Some((paths.first()?.0, word()?)))?;
    Some(Location { path: path.to_owned(), line })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_line_beside_it_says() {
        let said = |lines: &[&str]| {
            let unit = crate::testing::service::failed("x.service", lines);
            error(&unit).unwrap().evidence(&unit).text
        };
        let apache =
            ["AH00526: Syntax error on line 1 of /etc/a.conf:", "Cannot define multiple Listeners", "Action failed."];
        assert!(said(&apache[..2]).ends_with("/etc/a.conf: Cannot define multiple Listeners"));
        let redis = ["# No tls-cert-file configured!", "# Failed to configure TLS. Check logs for more info."];
        assert!(said(&redis).starts_with("x.service says: # No tls-cert-file configured! # Failed"));
        assert_eq!(said(&["error: one", "bye"]), "x.service says: error: one");
    }

    #[test]
    fn ports_of_lines_about_listening() {
        assert_eq!(port("nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)"), Some(80));
        assert_eq!(port("(98)Address already in use: AH00072: make_sock: could not bind to address [::]:80"), Some(80));
        assert_eq!(port("error: Bind to port 22 on 0.0.0.0 failed: Address already in use."), Some(22));
        assert_eq!(port("Do you already have another server running on port: 3306 ?"), Some(3306));
        assert_eq!(
            port("Could not create server TCP listening socket *:6379: bind: Address already in use"),
            Some(6379)
        );
        assert_eq!(port("cannot bind socket (Address already in use) for [0.0.0.0:8080]"), Some(8080));
        assert_eq!(port("listen tcp :9090: bind: address already in use"), Some(9090));
        assert_eq!(port("OSError: [Errno 98] Address already in use"), None);
        assert_eq!(port("2026-11-22 18:28:45 bind failed"), None);
    }

    #[test]
    fn places_of_mistakes() {
        let at = |text: &str| place(text).map(|l| l.to_string());
        assert_eq!(
            at("unknown directive \"x\" in /etc/nginx/nginx.conf:12").as_deref(),
            Some("/etc/nginx/nginx.conf:12")
        );
        assert_eq!(
            at("AH00526: Syntax error on line 5 of /etc/apache2/ports.conf:").as_deref(),
            Some("/etc/apache2/ports.conf:5")
        );
        assert_eq!(
            at("parsing [/etc/haproxy/haproxy.cfg:31] : unknown keyword").as_deref(),
            Some("/etc/haproxy/haproxy.cfg:31")
        );
        assert_eq!(
            at("syntax error in file \"/etc/postgresql/15/main/postgresql.conf\" line 60, near token").as_deref(),
            Some("/etc/postgresql/15/main/postgresql.conf:60")
        );
        assert_eq!(
            at("/etc/ssh/sshd_config: line 3: Bad configuration option: x").as_deref(),
            Some("/etc/ssh/sshd_config:3")
        );
        assert_eq!(
            at("open() \"/etc/nginx/none.conf\" failed (2: No such file or directory) in /etc/nginx/nginx.conf:60")
                .as_deref(),
            Some("/etc/nginx/nginx.conf:60")
        );
        assert_eq!(at("started /usr/sbin/nginx"), None);
        assert_eq!(at("no path at line 3"), None);
    }
}

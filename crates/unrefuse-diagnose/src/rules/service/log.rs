//! What a unit's log says: the line that explains a failure.

use super::act;
use crate::report::Evidence;
use unrefuse_facts::text::visible;
use unrefuse_facts::{ActiveState, JournalLine, Location, Missing, UnitFacts};

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
    "cannot load certificate",
    "missing ';'",
    "expected near",
    "' expected",
    "unexpected token",
    "undefined acl",
];

/// Lines that only say that there was something.
const SUMMARIES: &[&str] = &[
    "aborting",
    "test failed",
    "could not start server",
    "check logs",
    "see log",
    "examine the log",
    "exiting",
    "errors detected",
    "action 'start' failed",
    "fatal config file error",
];

/// Marks of a grave line, the gravest first. Each is a way of servers to write it.
const GRAVE: &[&[&str]] = &[&["[emerg]", "[alert]", "[crit]", "fatal:", "panic:"], &["[error]", "error:"]];

/// The manager may write that it started a process after that one's first words.
const EARLY_MS: i64 = 50;

/// Since when lines tell of the last tries: the last start but one, for the last may have said nothing yet. What restarts by
/// itself has the lines of earlier faults before those.
fn recent_ms(unit: &UnitFacts) -> Option<i64> {
    start_ms(unit, 1)
}

/// When the manager started it last, or so many starts before that.
fn start_ms(unit: &UnitFacts, before: usize) -> Option<i64> {
    let own = || unit.journal.value().into_iter().flatten().filter(|line| is_managers(line));
    let of = |word: &str| own().filter(|line| line.message.starts_with(word)).filter_map(|line| line.time_ms).collect();
    let mut starts: Vec<i64> = of("Starting ");
    if starts.is_empty() {
        starts = of("Started ");
        starts.iter_mut().for_each(|time| *time -= EARLY_MS);
    }
    starts.iter().rev().nth(before).copied()
}

fn is_managers(line: &JournalLine) -> bool {
    line.identifier.as_deref() == Some("systemd")
}

/// The lines of a unit's journal and logs about its last tries, the newest first, without what the manager says itself.
pub(super) fn lines(unit: &UnitFacts) -> Vec<Line<'_>> {
    let journal = unit.journal.value().into_iter().flatten().map(|line| Line { line, source: "journalctl" });
    let logs = unit.logs.iter().flat_map(|log| {
        let source = log.path.as_str();
        log.lines.value().into_iter().flatten().map(move |line| Line { line, source })
    });
    let since = recent_ms(unit);
    let by_service = |line: &Line<'_>| !is_managers(line.line) && is_since(line, since);
    // A log file's lines stand after the journal's of the same second.
    let mut all: Vec<Line<'_>> = journal.chain(logs).filter(by_service).collect();
    all.sort_by_key(|line| line.line.time_ms);
    all.reverse();
    all
}

/// Times of log files are cut to seconds.
fn is_since(line: &Line<'_>, since: Option<i64>) -> bool {
    let latest = |time: i64| if time % 1000 == 0 { time + 999 } else { time };
    line.line.time_ms.zip(since).is_none_or(|(time, since)| latest(time) >= since)
}

/// What `find` finds in the lines of the last start; where they say nothing of a fault, or not yet, in those before them,
/// too.
fn of_last_start<'a, T>(unit: &'a UnitFacts, find: impl Fn(&[Line<'a>]) -> Option<T>) -> Option<T> {
    let all = lines(unit);
    let since = start_ms(unit, 0);
    let last: Vec<Line<'a>> = all.iter().filter(|line| is_since(line, since)).copied().collect();
    let starts = unit.active == ActiveState::Activating && !unit.sub.starts_with("auto-restart");
    let silent = starts || told(&last).is_none();
    find(&last).or_else(|| if silent { find(&all) } else { None })
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
    of_last_start(unit, |lines| config_in(unit, lines))
}

fn config_in<'a>(unit: &'a UnitFacts, lines: &[Line<'a>]) -> Option<(Line<'a>, Option<Location>)> {
    let binds = |line: &Line<'_>| has(line, IN_USE) || has(line, NO_ADDRESS);
    // A place alone says nothing: a warning has one too.
    let grave = ["emerg", "alert", "error", "fatal", "syntax", "invalid", "bad "];
    let tells = |line: &Line<'_>| !binds(line) && (has(line, CONFIG) || has(line, &grave));
    let place = |line: &Line<'_>| place(&line.line.message).or_else(|| redis_line(unit, &line.line.message));
    let placed = lines.iter().filter(|line| tells(line)).find_map(|line| Some((*line, Some(place(line)?))));
    placed.or_else(|| lines.iter().find(|line| has(line, CONFIG) && !binds(line)).map(|line| (*line, None)))
}

/// Redis names the line and no file: that is its main one, where it reads no other.
fn redis_line(unit: &UnitFacts, message: &str) -> Option<Location> {
    let number = message.strip_prefix(REDIS_LINE)?.trim().parse().ok()?;
    match unit.config.value()?.files.as_slice() {
        [file] => Some(Location { path: file.path.clone(), line: number }),
        _ => None,
    }
}

/// How Redis begins the line with the number (src/config.c, `loadServerConfigFromString`).
const REDIS_LINE: &str = "Reading the configuration file, at line ";

/// The line that tells most of a failure: one that names the place in a configuration, else the newest that looks like an
/// error.
pub(super) fn error(unit: &UnitFacts) -> Option<Line<'_>> {
    // What comes behind it often says only that there was something: `nginx: configuration file … test failed`.
    if let Some((line, place)) = config(unit)
        && (place.is_some() || line.line.message.starts_with(REDIS_LINE))
    {
        return Some(line);
    }
    let all = lines(unit);
    let worst = || all.iter().find(|line| line.line.priority.is_some_and(|p| p <= 3)).copied();
    let told = of_last_start(unit, told);
    told.or_else(worst).or_else(|| managers(unit)).or_else(|| all.first().copied())
}

/// The line that looks like an error: the first grave one, else the newest.
fn told<'a>(lines: &[Line<'a>]) -> Option<Line<'a>> {
    let words =
        ["error", "fatal", "failed", "emerg", "cannot", "can't", "could not", "unable", "denied", "panic", "no such"];
    let tells: Vec<Line<'a>> = lines.iter().filter(|line| !has(line, SUMMARIES)).copied().collect();
    // What follows upon the first of them is often its consequence (MariaDB's `Can't open …`, `Unknown storage engine …`).
    let grave = GRAVE.iter().find_map(|marks| tells.iter().rev().find(|line| has(line, marks)).copied());
    grave.or_else(|| tells.iter().chain(lines).find(|line| has(line, &words)).copied())
}

/// The manager says so in the unit's journal, in any case of letters.
pub(super) fn manager_says(unit: &UnitFacts, words: &str) -> bool {
    let own = unit.journal.value().into_iter().flatten().filter(|line| is_managers(line));
    own.into_iter().any(|line| line.message.to_ascii_lowercase().contains(words))
}

/// What the manager says of a start that it could not make (`x.service: Failed to load environment files: …`).
fn managers(unit: &UnitFacts) -> Option<Line<'_>> {
    let mut own = unit.journal.value()?.iter().filter(|line| is_managers(line)).rev();
    let says = |line: &&JournalLine| {
        line.message.contains(": Failed to ") && !line.message.contains("Failed to run 'start' task")
    };
    own.find(says).map(|line| Line { line, source: "journalctl" })
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

    /// What it says; where that is in the lines behind it (`Syntax error on line 1 of FILE:`) or before it (`Failed to
    /// configure TLS. Check logs for more info.`), with those.
    fn told(&self, unit: &UnitFacts) -> String {
        let message = self.line.message.trim_end();
        let mut all = lines(unit);
        all.reverse();
        all.retain(|line| line.source == self.source);
        let Some(at) = all.iter().position(|line| std::ptr::eq(line.line, self.line)) else {
            return message.to_owned();
        };
        let text = message.to_ascii_lowercase();
        // Redis: `*** FATAL CONFIG FILE ERROR ***`, `Reading the configuration file, at line 3`, `>>> 'dir /x'`, why.
        let behind = match () {
            () if text.contains("fatal config file error") => 3,
            () if message.starts_with(REDIS_LINE) => 2,
            () => usize::from(text.ends_with(':')),
        };
        let from = at - usize::from(at > 0 && has(self, SUMMARIES) && behind == 0);
        let told = all.iter().take(at + 1 + behind).skip(from);
        told.map(|line| line.line.message.trim()).collect::<Vec<_>>().join(" ")
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
        let config = [
            "*** FATAL CONFIG FILE ERROR ***",
            "Reading the configuration file, at line 5",
            ">>> 'dir /x'",
            "No such file",
        ];
        assert!(said(&config).ends_with("at line 5 >>> 'dir /x' No such file"), "{}", said(&config));
    }

    #[test]
    fn what_an_earlier_start_said_is_past() {
        let said = |starts: [&str; 3]| {
            let lines =
                [starts[0], "x: fatal error in /etc/x.conf:3", starts[1], "no such user", starts[2], "no such user"];
            let mut unit = crate::testing::service::failed("x.service", &lines);
            if let unrefuse_facts::Observed::Known { value, .. } = &mut unit.journal {
                let own = value.iter_mut().filter(|line| line.message.starts_with("Start"));
                own.for_each(|line| line.identifier = Some("systemd".into()));
            }
            error(&unit).unwrap().line.message.clone()
        };
        assert_eq!(said(["Starting x...", "Starting x...", "Starting x..."]), "no such user");
        assert!(said(["Starting x...", "Started x.", "Started x."]).contains("/etc/x.conf:3"), "one start alone");
        let mut unit =
            crate::testing::service::failed("x.service", &["Starting x...", "Starting x...", "fatal: in use"]);
        if let unrefuse_facts::Observed::Known { value, .. } = &mut unit.journal {
            for (line, time) in value.iter_mut().zip([1_000_500, 1_000_900, 1_000_000]) {
                line.time_ms = Some(time);
            }
            value[..2].iter_mut().for_each(|line| line.identifier = Some("systemd".into()));
        }
        assert_eq!(lines(&unit).len(), 1, "its time is cut to the second");
    }

    #[test]
    fn what_was_said_before_the_last_start_is_told_only_where_that_says_nothing() {
        let said = |last: &str| {
            let lines = ["Starting x...", "unable to fetch y", "Starting x...", last];
            let mut unit = crate::testing::service::failed("x.service", &lines);
            if let unrefuse_facts::Observed::Known { value, .. } = &mut unit.journal {
                for (line, time) in value.iter_mut().zip([1_001, 1_002, 2_001, 2_002]) {
                    line.time_ms = Some(time);
                    line.identifier = line.message.starts_with("Starting").then(|| "systemd".into());
                }
            }
            (error(&unit).unwrap().line.message.clone(), config(&unit).and_then(|(_, place)| place).is_some())
        };
        let mistake = "/etc/bind/named.conf.options:3: missing ';' before 'listen-on'";
        assert_eq!(said(mistake), (mistake.to_owned(), true));
        assert_eq!(said("hello"), ("unable to fetch y".to_owned(), false));
        assert_eq!(said("exiting (due to fatal error)").0, "exiting (due to fatal error)");
    }

    #[test]
    fn a_mistake_that_was_mended_is_not_why_the_last_start_failed() {
        let lines =
            ["Starting x...", "syntax error in /etc/x.conf:3", "Starting x...", "cannot open y: permission denied"];
        let mut unit = crate::testing::service::failed("x.service", &lines);
        if let unrefuse_facts::Observed::Known { value, .. } = &mut unit.journal {
            for (line, time) in value.iter_mut().zip([1_001, 1_002, 2_001, 2_002]) {
                line.time_ms = Some(time);
                line.identifier = line.message.starts_with("Starting").then(|| "systemd".into());
            }
        }
        assert!(config(&unit).is_none());
        (unit.active, unit.sub) = (ActiveState::Activating, "start".into());
        assert!(config(&unit).is_some(), "it may not have said it yet");
    }

    #[test]
    fn the_first_grave_line_is_the_reason() {
        let said =
            |lines: &[&str]| error(&crate::testing::service::failed("x.service", lines)).unwrap().line.message.clone();
        let mariadb =
            ["0 [Note] hi", "0 [ERROR] Can't open x", "0 [ERROR] Unknown storage engine", "0 [ERROR] Aborting"];
        assert_eq!(said(&mariadb), mariadb[1]);
        let postgresql = ["FATAL:  private key file has group access", "pg_ctl: could not start server"];
        assert_eq!(said(&postgresql), postgresql[0]);
        let mut unit =
            crate::testing::service::failed("x.service", &["x.service: Failed to load environment files: y"]);
        if let unrefuse_facts::Observed::Known { value, .. } = &mut unit.journal {
            value[0].identifier = Some("systemd".into());
        }
        assert!(error(&unit).is_some_and(|line| line.line.message.contains("environment files")));
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

//! A unit's lines in the journal, and the ends of its service's own log files.

use super::installed::paths;
use crate::live::files;
use crate::live::missing::{as_root, missing};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use unrefuse_facts::catalogue::{KnownService, by_id};
use unrefuse_facts::{ActiveState, JournalLine, LogFile, Missing, Observed, Reason, Source, UnitFacts};
use unrefuse_parse::journal;

/// So many lines of the journal are read: what explains a failure stands at its end.
const MOST_LINES: &str = "80";

/// journalctl may write so much; 80 lines have some 60 kB.
const MOST_BYTES: usize = 1 << 20;

/// The end of a log file that is read.
const LOG_END: u64 = 32 << 10;

/// Lines of a log file that are kept.
const LOG_LINES: usize = 60;

/// A log line may be a little older than the start that made it: clocks of lines are cut to seconds.
const SLACK_MS: i64 = 2000;

/// The manager stamps a start once the process was made, which may have written its words by then.
const EARLY_MS: i64 = 50;

/// A journalctl(1) that runs. Several run side by side.
pub(super) struct Reading {
    unit: String,
    child: Result<Child, Missing>,
}

impl Reading {
    /// Starts reading what the journal has of a unit's last start; where it restarts by itself, or the manager does not know
    /// when that was, of all since boot.
    pub(super) fn start(unit: &UnitFacts) -> Self {
        let mut command = Command::new("journalctl");
        command.args(["--no-pager", "--output=json"]);
        let fields = if unit.user.is_some() { ["_SYSTEMD_USER_UNIT", "USER_UNIT"] } else { ["_SYSTEMD_UNIT", "UNIT"] };
        let uid = unit.user.as_ref().map(|user| format!("_UID={}", user.uid));
        command.arg(format!("--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,{}", fields.join(",")));
        command.args(["--lines", MOST_LINES]);
        // Not by the invocation's id: what a process writes just before it ends has its unit, and often no such id, for
        // journald looks that up when it reads the line.
        let [of, about] = fields.map(|field| format!("{field}={}", unit.name));
        command.arg(of).args(&uid).arg("+").arg(about).args(&uid);
        for name in unattributed(unit) {
            command.arg("+").arg(format!("SYSLOG_IDENTIFIER={name}")).arg(uid.as_deref().unwrap_or("_UID=0"));
        }
        // What waits for its restart began that wait after the words that its failed start left (systemd counts the wait as
        // a start, and the restart only when it comes).
        let restarts = unit.restarts > 0 || unit.sub == "auto-restart";
        match unit.started_ms.filter(|_| !restarts).map(|started| started.saturating_sub(EARLY_MS)) {
            Some(started) => command.arg(format!("--since=@{}.{:03}", started / 1000, started % 1000)),
            None => command.arg("--boot"),
        };
        command.env("LC_ALL", "C").env("SYSTEMD_COLORS", "0");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Self {
            unit: unit.name.clone(),
            child: child.map_err(|error| missing("run journalctl", Errno::from_io_error(&error).unwrap_or(Errno::IO))),
        }
    }

    /// What it wrote by `until`.
    pub(super) fn finish(self, until: Instant) -> Observed<Vec<JournalLine>> {
        let mut child = match self.child {
            Ok(child) => child,
            Err(missing) => return Observed::Missing(missing),
        };
        let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else { return Observed::default() };
        let bytes = read_until(&out, until);
        let words = if bytes.is_ok() { read_until(&err, until).unwrap_or_default() } else { Vec::new() };
        if bytes.is_err() {
            let _ = child.kill();
        }
        let _ = child.wait();
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(missing) => return Observed::Missing(missing),
        };
        let lines = journal::lines(&bytes, Some(&self.unit));
        let words = unrefuse_facts::text::from_bytes(&words);
        let closed = words.contains("insufficient permissions") || words.contains("not seeing messages");
        if lines.is_empty() && closed {
            return Observed::Missing(
                Missing::new(Reason::Forbidden, "the journal of system units is closed to this user")
                    .remedy(format!("{}, or join the group systemd-journal", as_root())),
            );
        }
        if lines.is_empty() && words.contains("No journal files were found") {
            return Observed::Missing(Missing::new(Reason::Absent, "there are no journal files"));
        }
        Observed::known(lines, Source::running("journalctl"))
    }
}

/// Names under which programs of a unit that is not up may have written to syslog just before they ended: journald looks
/// up a sender's unit when it reads the line (`_SYSTEMD_UNIT`), and finds none where the process is gone. Only lines that
/// root wrote, or the user whose unit it is, are asked for by name (journald has the sender's uid from the kernel): anybody
/// may write under any name.
fn unattributed(unit: &UnitFacts) -> Vec<String> {
    if unit.active == ActiveState::Active {
        return Vec::new();
    }
    let known = unit.service.as_deref().and_then(by_id).map_or(&[][..], |service| service.processes);
    let program = unit.exec_start.first().and_then(|path| path.rsplit('/').next());
    let mut names: Vec<String> = known.iter().copied().chain(program).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn read_until(pipe: &impl rustix::fd::AsFd, until: Instant) -> Result<Vec<u8>, Missing> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let wait = rustix::event::Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(pipe, PollFlags::IN)], wait.as_ref()) {
            Ok(0) => return Err(Missing::new(Reason::TimedOut, "journalctl: no answer in time")),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(missing("read from journalctl", error)),
        }
        let read = rustix::io::read(pipe, piece.as_mut_slice()).map_err(|e| missing("read from journalctl", e))?;
        bytes.extend(piece.iter().take(read));
        if read == 0 || bytes.len() >= MOST_BYTES {
            return Ok(bytes);
        }
    }
}

/// The ends of a service's own log files: of each pattern of the catalogue the file that was written last.
pub(super) fn logs(root: &str, service: &KnownService, since_ms: Option<i64>) -> Vec<LogFile> {
    service.log_files.iter().filter_map(|pattern| log(root, pattern, since_ms)).collect()
}

fn log(root: &str, pattern: &str, since_ms: Option<i64>) -> Option<LogFile> {
    let changed = |path: &String| {
        let stat = rustix::fs::stat(format!("{root}{path}")).ok();
        stat.map_or(0, |stat| stat.st_mtime.saturating_mul(1000))
    };
    let path = paths(root, pattern).into_iter().max_by_key(changed)?;
    let old = since_ms.is_some_and(|since| changed(&path) < since - SLACK_MS);
    let lines = if old { Ok(Vec::new()) } else { end(&format!("{root}{path}")) };
    let fresh = |line: &JournalLine| match (line.time_ms, since_ms) {
        (Some(time), Some(since)) => time >= since - SLACK_MS,
        _ => true,
    };
    let lines = match lines {
        Ok(lines) => {
            let lines: Vec<JournalLine> = lines.into_iter().filter(fresh).collect();
            let from = lines.len().saturating_sub(LOG_LINES);
            Observed::known(lines[from..].to_vec(), Source::running(path.clone()))
        }
        Err(missing) => Observed::Missing(missing),
    };
    Some(LogFile { path, lines })
}

fn end(path: &str) -> Result<Vec<JournalLine>, Missing> {
    let file = files::open(path)?;
    let failed = |error| missing(&format!("read {path}"), error);
    let size = u64::try_from(rustix::fs::fstat(&file).map_err(failed)?.st_size).unwrap_or(0);
    let from = size.saturating_sub(LOG_END);
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(from)).map_err(failed)?;
    let mut bytes = Vec::new();
    files::fill(&file, &mut bytes, LOG_END as usize).map_err(failed)?;
    // The first line is cut where the file is longer.
    let cut = if from == 0 { 0 } else { bytes.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1) };
    Ok(journal::log_lines(&bytes[cut..], utc_offset()))
}

/// Seconds that this machine's clock on the wall is ahead of UTC.
fn utc_offset() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
    // SAFETY: an all-zero `tm` is a valid value, and localtime_r writes to nothing else.
    let mut broken: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are of live values of the right types.
    let done = unsafe { libc::localtime_r(&now, &mut broken) };
    if done.is_null() { 0 } else { broken.tm_gmtoff }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    #[test]
    fn the_end_of_the_log_since_the_start() {
        let root = Root::new("logs");
        let old = "2020/01/01 00:00:00 [emerg] old\n".repeat(2000);
        root.file("/var/log/nginx/error.log", &format!("{old}2099/01/01 00:00:00 [emerg] new\n"));
        let nginx = by_id("nginx").unwrap();
        let all = logs(root.path(), nginx, None);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].lines.value().unwrap().len(), LOG_LINES);
        // In the year 2050.
        let since = logs(root.path(), nginx, Some(1_000_000_000_000));
        assert_eq!(since[0].lines.value().unwrap().iter().filter(|l| l.message.ends_with("new")).count(), 1);
        let later = logs(root.path(), nginx, Some(2_524_608_000_000));
        assert!(later[0].lines.value().unwrap().is_empty(), "the file was not written since");
    }

    #[test]
    fn a_reader_that_says_nothing_is_left_in_time() {
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let reading = Reading { unit: String::new(), child: Ok(child.unwrap()) };
        let fact = reading.finish(Instant::now() + Duration::from_millis(20));
        assert_eq!(fact.missing().unwrap().reason, Reason::TimedOut);
    }
}

//! The command line of a service, and the line of its unit that gives it.

use super::instances::Instance;
use crate::live::files;
use crate::unit_files::UnitFiles;
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::{ConfigLine, Location, Origin, Setting};
use unrefuse_parse::unit::words;

/// The arguments of a process, and where they were read.
#[derive(Debug, Clone, Default)]
pub(super) struct CommandLine {
    pub(super) arguments: Vec<String>,
    pub(super) source: String,
    exec_start: Option<ExecStart>,
}

/// The `ExecStart=` that is in force.
#[derive(Debug, Clone)]
struct ExecStart {
    location: Location,
    /// The line as it stands.
    text: String,
    words: Vec<String>,
}

impl CommandLine {
    /// The arguments of an instance. Redis writes a title over them (`set-proc-title`): then its unit's are taken.
    pub(super) fn of(instance: &Instance) -> Self {
        let arguments = instance.arguments();
        let source = format!("/proc/{}/cmdline", instance.pid);
        let exec_start = instance.unit.as_deref().and_then(exec_start);
        let titled = matches!(instance.command.as_str(), "redis-server" | "valkey-server")
            && !arguments.first().is_some_and(|first| first.starts_with(['/', '-']));
        match exec_start {
            Some(exec) if titled => Self {
                arguments: exec.words.get(1..).unwrap_or_default().to_vec(),
                source: exec.location.to_string(),
                exec_start: Some(exec),
            },
            exec_start => Self { arguments, source, exec_start },
        }
    }

    /// An option that stands in the unit's own file or a drop-in of /etc is a line that can be changed.
    pub(super) fn place(&self, setting: &mut Setting) {
        let Origin::CommandLine(shown) = &setting.origin else { return };
        let Some(exec) = self.exec_start.as_ref().filter(|exec| exec.location.path.starts_with("/etc/")) else {
            return;
        };
        if let Some(line) = exec.line(shown) {
            setting.origin = Origin::Line(line);
        }
    }
}

impl ExecStart {
    /// The line with the option's value as its value; `None` where the option does not stand in it once and as it is.
    fn line(&self, shown: &str) -> Option<ConfigLine> {
        let at = self.text.find(shown).filter(|_| self.text.matches(shown).count() == 1)?;
        let value = shown.rfind([' ', '=']).map_or(0, |end| end + 1);
        let span = (at + value, at + shown.len());
        Some(ConfigLine { location: self.location.clone(), text: self.text.clone(), value: Some(span) })
    }
}

/// The last `ExecStart=` with a command of a unit's file and its drop-ins; `None` where it speaks of secrets.
fn exec_start(unit: &str) -> Option<ExecStart> {
    let mut found = None;
    for (path, assignments) in UnitFiles::list("").read(unit) {
        let bytes = files::read(&path).unwrap_or_default();
        let line = |number: u32| bytes.split(|&b| b == b'\n').nth(usize::try_from(number).ok()?.checked_sub(1)?);
        for set in assignments.into_iter().filter(|a| a.section == "Service" && a.key == "ExecStart") {
            found = (!set.value.is_empty()).then(|| ExecStart {
                location: Location { path: path.clone(), line: set.line },
                text: line(set.line).map(from_bytes).unwrap_or_default(),
                words: words(&set.value),
            });
        }
    }
    // Masked words mean that the line has a secret.
    found.filter(|exec| !exec.words.iter().any(|word| word.contains("***")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_in_its_line() {
        let location = Location { path: "/etc/systemd/system/x.service".into(), line: 3 };
        let text = "ExecStart=/usr/bin/redis-server /etc/r.conf --bind 127.0.0.1 --port=7000".to_owned();
        let exec = ExecStart { location, words: words(&text["ExecStart=".len()..]), text };
        assert_eq!(
            exec.line("--bind 127.0.0.1").unwrap().with_value("0.0.0.0").unwrap().split(' ').nth(3),
            Some("0.0.0.0")
        );
        assert_eq!(exec.line("--port=7000").unwrap().value(), Some("7000"));
        assert_eq!(exec.line("--bind 1.2.3.4"), None);
        let mut setting = Setting::from(Origin::CommandLine("--port=7000".into()));
        let line = CommandLine { arguments: Vec::new(), source: String::new(), exec_start: Some(exec) };
        line.place(&mut setting);
        assert_eq!(setting.origin.line().unwrap().location.line, 3);
    }
}

//! The command line of a service, and the line of its unit that gives it.

mod variables;

use super::instances::Instance;
use crate::live::files;
use crate::unit_files::{UnitFiles, instance_of};
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::{ConfigLine, Location, Origin, Setting};
use unrefuse_parse::passwd;
use unrefuse_parse::unit::words;
use variables::Variable;

/// The arguments of a process, and where they were read.
#[derive(Debug, Clone, Default)]
pub(super) struct CommandLine {
    pub(super) arguments: Vec<String>,
    pub(super) source: String,
    exec_start: Option<ExecStart>,
    /// It does not run, and its unit starts it without a script between.
    is_program: bool,
}

/// The `ExecStart=` that is in force.
#[derive(Debug, Clone)]
pub(super) struct ExecStart {
    pub(super) location: Location,
    /// The line as it stands.
    text: String,
    pub(super) words: Vec<String>,
    /// The words behind the program, with variables replaced by what they stand for.
    arguments: Vec<String>,
    /// The variables, where a word names one.
    environment: Vec<Variable>,
}

impl CommandLine {
    /// The arguments of an instance. Redis writes a title over them (`set-proc-title`): then its unit's are taken.
    pub(super) fn of(instance: &Instance) -> Self {
        let arguments = instance.arguments();
        let source = instance.pid.map(|pid| format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let exec_start = of_running(instance);
        let titled = matches!(instance.command.as_str(), "redis-server" | "valkey-server")
            && !arguments.first().is_some_and(|first| first.starts_with(['/', '-']));
        match exec_start {
            Some(exec) if titled => Self {
                arguments: exec.arguments.clone(),
                source: exec.location.to_string(),
                exec_start: Some(exec),
                is_program: false,
            },
            exec_start => Self { arguments, source, exec_start, is_program: false },
        }
    }

    /// What a unit that does not run would be started with. `is_program`: the unit starts the service itself; what is given
    /// to a script in front of it is that script's.
    pub(super) fn of_unit(exec: ExecStart, is_program: bool) -> Self {
        let arguments = if is_program { exec.arguments.clone() } else { Vec::new() };
        Self { arguments, source: exec.location.to_string(), exec_start: Some(exec), is_program }
    }

    /// A unit that does not run starts the service itself, which reads no file but one that is named there. memcached's options
    /// may come from a file with variables, which then is read in their place.
    pub(super) fn names_all(&self, service: &str) -> bool {
        let Some(exec) = self.exec_start.as_ref().filter(|_| self.is_program) else { return false };
        match service {
            "redis" | "mongodb" => true,
            "memcached" => !exec.words.iter().any(|word| word.contains('$')),
            _ => false,
        }
    }

    /// The variables of its unit, where its line names one.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let pair = |variable: &Variable| (variable.name.clone(), variable.value.clone());
        self.exec_start.iter().flat_map(|exec| exec.environment.iter().map(pair)).collect()
    }

    /// An option that stands in the unit's own file or a drop-in of /etc, or of its user's, is a line that can be changed;
    /// so is that of a variable which gives it, or `wanted` of it.
    pub(super) fn place(&self, setting: &mut Setting, wanted: &str) {
        let Origin::CommandLine(shown) = &setting.origin else { return };
        let Some(exec) = &self.exec_start else { return };
        if let Some(line) = exec.line(shown).or_else(|| exec.variable_line(shown, wanted)) {
            setting.origin = Origin::Line(line);
        }
    }
}

impl ExecStart {
    /// The words behind the program.
    pub(super) fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// The same where a script in front of the program gives it others.
    pub(super) fn with_arguments(self, arguments: Vec<String>) -> Self {
        Self { arguments, ..self }
    }

    /// The line, where it may be changed. No option of it is its value.
    pub(super) fn own_line(self) -> Option<ConfigLine> {
        is_own(&self.location.path).then_some(ConfigLine { location: self.location, text: self.text, value: None })
    }

    /// The line with the option's value as its value; `None` where it is not the administrator's.
    fn line(&self, shown: &str) -> Option<ConfigLine> {
        option_in(&self.location, &self.text, shown).filter(|_| is_own(&self.location.path))
    }

    /// The same of the line of a variable that the command names, where one alone has it.
    fn variable_line(&self, shown: &str, wanted: &str) -> Option<ConfigLine> {
        let set =
            variables::named(&self.words).into_iter().filter_map(|name| variables::in_force(&self.environment, name));
        let mut lines: Vec<ConfigLine> = set.filter_map(|variable| variable.line(shown, wanted)).collect();
        lines.dedup();
        let line = lines.pop()?;
        lines.is_empty().then_some(line)
    }
}

/// A line of that file is the administrator's to change, or its user's.
fn is_own(path: &str) -> bool {
    path.starts_with("/etc/") || path.contains("/.config/systemd/user/")
}

/// The line with the option's value as its value; `None` where the option does not stand in it once and as it is.
fn option_in(location: &Location, text: &str, shown: &str) -> Option<ConfigLine> {
    let at = text.find(shown).filter(|_| text.matches(shown).count() == 1)?;
    let value = shown.rfind([' ', '=']).map_or(0, |end| end + 1);
    let span = (at + value, at + shown.len());
    Some(ConfigLine { location: location.clone(), text: text.to_owned(), value: Some(span) })
}

/// Of the unit that an instance runs by.
fn of_running(instance: &Instance) -> Option<ExecStart> {
    if let Some((uid, unit)) = &instance.user_unit {
        let known = passwd::users(&files::read("/etc/passwd").ok()?);
        return exec_start(&UnitFiles::of_user("", &known.get(uid)?.home, *uid), unit);
    }
    exec_start(&UnitFiles::list(""), instance.unit.as_deref()?)
}

/// The last `ExecStart=` with a command of a unit's file and its drop-ins; `None` where it speaks of secrets.
pub(super) fn exec_start(unit_files: &UnitFiles, unit: &str) -> Option<ExecStart> {
    let read = unit_files.read(unit);
    let mut found = None;
    for (path, set) in read.iter().flat_map(|(path, all)| all.iter().map(move |set| (path, set))) {
        if set.section == "Service" && set.key == "ExecStart" {
            found = (!set.value.is_empty()).then_some((path, set));
        }
    }
    let (path, set) = found?;
    let words = words(&set.value);
    // Masked words mean that the line has a secret.
    if words.iter().any(|word| word.contains("***")) {
        return None;
    }
    let bytes = files::read(path).unwrap_or_default();
    let number = usize::try_from(set.line).ok()?.checked_sub(1)?;
    let has_variables = words.iter().any(|word| word.contains('$'));
    let environment = if has_variables { variables::of(&read, unit_files.root()) } else { Vec::new() };
    Some(ExecStart {
        location: Location { path: path.clone(), line: set.line },
        text: bytes.split(|&b| b == b'\n').nth(number).map(from_bytes).unwrap_or_default(),
        arguments: variables::expanded(words.get(1..).unwrap_or_default(), &environment, instance_of(unit)),
        environment,
        words,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    #[test]
    fn an_option_is_found_in_its_line() {
        let location = Location { path: "/etc/systemd/system/x.service".into(), line: 3 };
        let text = "ExecStart=/usr/bin/redis-server /etc/r.conf --bind 127.0.0.1 --port=7000".to_owned();
        let words = words(&text["ExecStart=".len()..]);
        let exec = ExecStart { location, words, text, arguments: Vec::new(), environment: Vec::new() };
        assert_eq!(
            exec.line("--bind 127.0.0.1").unwrap().with_value("0.0.0.0").unwrap().split(' ').nth(3),
            Some("0.0.0.0")
        );
        assert_eq!(exec.line("--port=7000").unwrap().value(), Some("7000"));
        assert_eq!(exec.line("--bind 1.2.3.4"), None);
        let mut setting = Setting::from(Origin::CommandLine("--port=7000".into()));
        let line = CommandLine { exec_start: Some(exec), ..CommandLine::default() };
        line.place(&mut setting, "7000");
        assert_eq!(setting.origin.line().unwrap().location.line, 3);
    }
    #[test]
    fn a_unit_s_line_is_read_with_its_variables() {
        let root = Root::new("unit-line");
        root.file(
            "/usr/lib/systemd/system/app@.service",
            "[Service]\nEnvironment=\"CONFIG=/etc/app %i\" PORT=1\nEnvironmentFile=-/etc/default/app\nEnvironmentFile=-/no\n\
             ExecStart=/usr/bin/app -f ${CONFIG} $OPTS $NONE --port=${PORT} --cost $$5 --name %i\n",
        );
        root.file("/etc/default/app", "OPTS=\"-x -y\"\nPORT=8080\n");
        root.file("/etc/systemd/system/app@b.service.d/a.conf", "[Service]\nExecStart=\nExecStart=/bin/b --token=x1\n");
        let files = UnitFiles::list(root.path());
        let exec = exec_start(&files, "app@a.service").unwrap();
        assert_eq!(exec.arguments.join("|"), "-f|/etc/app %i|-x|-y|--port=8080|--cost|$5|--name|a");
        assert_eq!(exec.location.line, 5);
        assert!(exec_start(&files, "app@b.service").is_none(), "a secret stands in it");
    }
}

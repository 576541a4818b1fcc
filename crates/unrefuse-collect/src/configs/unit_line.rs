//! The command line of a service, and the line of its unit that gives it.

use super::instances::Instance;
use crate::live::files;
use crate::unit_files::{UnitFiles, instance_of};
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::{ConfigLine, Location, Origin, Setting};
use unrefuse_parse::unit::{Assignment, words};
use unrefuse_parse::{environment, passwd};

/// So many files of variables are read.
const MOST_FILES: usize = 8;

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
    environment: Vec<(String, String)>,
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
        self.exec_start.as_ref().map(|exec| exec.environment.clone()).unwrap_or_default()
    }

    /// An option that stands in the unit's own file or a drop-in of /etc, or of its user's, is a line that can be changed.
    pub(super) fn place(&self, setting: &mut Setting) {
        let Origin::CommandLine(shown) = &setting.origin else { return };
        let Some(exec) = self.exec_start.as_ref().filter(|exec| exec.is_own()) else { return };
        if let Some(line) = exec.line(shown) {
            setting.origin = Origin::Line(line);
        }
    }
}

impl ExecStart {
    /// It is the administrator's to change, or its user's.
    fn is_own(&self) -> bool {
        self.location.path.starts_with("/etc/") || self.location.path.contains("/.config/systemd/user/")
    }

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
        self.is_own().then_some(ConfigLine { location: self.location, text: self.text, value: None })
    }

    /// The line with the option's value as its value; `None` where the option does not stand in it once and as it is.
    fn line(&self, shown: &str) -> Option<ConfigLine> {
        let at = self.text.find(shown).filter(|_| self.text.matches(shown).count() == 1)?;
        let value = shown.rfind([' ', '=']).map_or(0, |end| end + 1);
        let span = (at + value, at + shown.len());
        Some(ConfigLine { location: self.location.clone(), text: self.text.clone(), value: Some(span) })
    }
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
    let all = read.iter().flat_map(|(_, all)| all);
    let has_variables = words.iter().any(|word| word.contains('$'));
    let environment = if has_variables { variables(all, unit_files.root()) } else { Vec::new() };
    Some(ExecStart {
        location: Location { path: path.clone(), line: set.line },
        text: bytes.split(|&b| b == b'\n').nth(number).map(from_bytes).unwrap_or_default(),
        arguments: expanded(words.get(1..).unwrap_or_default(), &environment, instance_of(unit)),
        environment,
        words,
    })
}

/// The variables that a unit gives its processes: `Environment=` and the files of `EnvironmentFile=` (systemd.exec(5)).
fn variables<'a>(assignments: impl Iterator<Item = &'a Assignment>, root: &str) -> Vec<(String, String)> {
    let (mut own, mut paths): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    for set in assignments.filter(|set| set.section == "Service") {
        match (set.key.as_str(), set.value.is_empty()) {
            ("Environment", true) => own.clear(),
            ("Environment", false) => own.extend(words(&set.value)),
            ("EnvironmentFile", true) => paths.clear(),
            // A minus sign: the file may be absent.
            ("EnvironmentFile", false) => paths.push(set.value.strip_prefix('-').unwrap_or(&set.value)),
            _ => {}
        }
    }
    let pair = |word: &String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut all: Vec<(String, String)> = own.iter().filter_map(pair).collect();
    // Settings of files come after those of the unit.
    for path in paths.into_iter().filter(|path| path.starts_with('/') && !path.contains('%')).take(MOST_FILES) {
        let bytes = files::read(&format!("{root}{path}")).unwrap_or_default();
        all.extend(environment::variables(path, &bytes).into_iter().map(|(name, value, _)| (name, value)));
    }
    all
}

/// Words of a command line with what `$NAME`, `${NAME}` and `%i` stand for (systemd.service(5), "COMMAND LINES"): `$NAME` as
/// a word of its own becomes as many words as its value has, `${NAME}` stands in any word; what is not set is empty.
fn expanded(words: &[String], variables: &[(String, String)], instance: Option<&str>) -> Vec<String> {
    let value =
        |name: &str| variables.iter().rev().find(|(own, _)| own == name).map_or("", |(_, value)| value.as_str());
    let mut all = Vec::new();
    for word in words {
        let word = instance.map_or_else(|| word.clone(), |instance| word.replace("%i", instance));
        match word.strip_prefix('$') {
            Some(name) if !name.starts_with(['{', '$']) => {
                all.extend(value(name).split_whitespace().map(str::to_owned));
            }
            _ => {
                let mut rest = word.as_str();
                let mut text = String::new();
                while let Some((before, (name, after))) =
                    rest.split_once("${").and_then(|(before, behind)| Some((before, behind.split_once('}')?)))
                {
                    text.push_str(before);
                    text.push_str(value(name));
                    rest = after;
                }
                all.push((text + rest).replace("$$", "$"));
            }
        }
    }
    all
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
        line.place(&mut setting);
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

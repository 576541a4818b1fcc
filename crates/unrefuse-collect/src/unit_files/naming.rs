//! Which units name a port: by their command line, their environment, or the addresses of a socket unit.

use super::{UnitFiles, holds, names, small, template};
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::{Clue, ClueKind};
use unrefuse_parse::unit::{Assignment, Backwards};

/// Units that name a port: no more are looked for.
const MOST_NAMING: usize = 16;

/// Environment files of one unit: no more are looked into.
const MOST_ENVIRONMENTS: usize = 16;

/// Keys whose values name a port that the service listens on.
const PORT_KEYS: [&str; 4] = ["ExecStart", "ExecStartPre", "Environment", "ListenStream"];

/// Files with `NAME=VALUE` lines for the unit's processes (systemd.exec(5)).
const ENVIRONMENT_FILE: &str = "EnvironmentFile";

impl UnitFiles {
    /// The units whose command line, environment or addresses name the port, with the line that does.
    pub(crate) fn naming(&self, port: u16) -> Vec<(String, Clue)> {
        let clue = |unit: &str| Some((unit.to_owned(), self.clue(unit, port)?));
        self.units().filter_map(clue).take(MOST_NAMING).collect()
    }

    fn clue(&self, unit: &str, port: u16) -> Option<Clue> {
        let instance = instance_of(unit);
        if instance.is_none() && !self.may_name(unit, port) {
            return None;
        }
        let files = self.read(unit);
        let all: Vec<(&String, &Assignment)> =
            files.iter().flat_map(|(path, file)| file.iter().map(move |assignment| (path, assignment))).collect();
        let mut backwards = Backwards::default();
        let last_first = all.iter().rev();
        let (effective, gone): (Vec<_>, Vec<_>) = last_first.partition(|(_, one)| backwards.in_effect(one));
        let names = |assignment: &Assignment| {
            let value = match instance {
                Some(instance) => &assignment.value.replace("%i", instance),
                None => &assignment.value,
            };
            is_port_key(&assignment.key) && speaks_of(&assignment.key, value, port)
        };
        if let Some((path, assignment)) = effective.iter().find(|(_, assignment)| names(assignment)) {
            return Some(Clue {
                kind: if assignment.section == "Socket" { ClueKind::SocketUnit } else { ClueKind::UnitFile },
                text: format!("{} of {unit} names port {port}", assignment.key),
                source: format!("{path}:{}", assignment.line),
            });
        }
        let taken_back = || {
            let (path, assignment) = gone.iter().rev().find(|(_, set)| names(set))?;
            let (by, wins) = effective.iter().find(|(_, set)| set.key == assignment.key)?;
            let text = format!(
                "{path}:{} says port {port}, and {by}:{} takes it back: {}={}",
                assignment.line,
                wins.line,
                wins.key,
                unrefuse_parse::unit::words(&wins.value).join(" ")
            );
            Some(Clue { kind: ClueKind::TakenBack, text, source: format!("{by}:{}", wins.line) })
        };
        let environments = effective.iter().filter(|(_, assignment)| assignment.key == ENVIRONMENT_FILE);
        let by_environment =
            environments.take(MOST_ENVIRONMENTS).map(|(_, assignment)| assignment.value.as_str()).find_map(|path| {
                // A minus sign: the file may be absent.
                let path = path.strip_prefix('-').unwrap_or(path).trim_matches('"');
                let plain = path.starts_with('/') && !path.contains(['%', '*', '?', '[']);
                let bytes = small(&format!("{}{path}", plain.then_some(&self.root)?))?;
                let line = line_naming(&bytes, port)?;
                let text = format!("the environment of {unit} names port {port}");
                Some(Clue { kind: ClueKind::UnitFile, text, source: format!("{path}:{line}") })
            });
        by_environment.or_else(taken_back)
    }

    /// Whether a file of a unit has the number at all, or takes its environment from elsewhere: that is cheaper to see than
    /// to parse it, and most have neither.
    fn may_name(&self, unit: &str, port: u16) -> bool {
        let number = port.to_string();
        let has = |path: &str| {
            let may = |bytes: &Vec<u8>| holds(bytes, number.as_bytes()) || holds(bytes, ENVIRONMENT_FILE.as_bytes());
            small(path).is_some_and(|bytes| may(&bytes))
        };
        let drop_ins = [Some(unit.to_owned()), template(unit)];
        let folders = drop_ins.iter().flatten().filter_map(|name| self.drop_ins.get(name)).flatten();
        let mut drop_ins = folders.flat_map(|folder| names(folder).into_iter().map(move |n| format!("{folder}/{n}")));
        self.file(unit).is_some_and(|file| has(&file.path)) || drop_ins.any(|path| has(&path))
    }
}

/// `77` of `app@77.service`.
pub(crate) fn instance_of(unit: &str) -> Option<&str> {
    let (name, _) = unit.rsplit_once('.')?;
    Some(name.split_once('@')?.1).filter(|instance| !instance.is_empty())
}

fn is_port_key(key: &str) -> bool {
    PORT_KEYS.contains(&key) || key.starts_with("Listen")
}

/// Whether a command line, environment or address has `port` where a port stands: after `:`, `=` or a blank, as a whole
/// number.
pub(crate) fn speaks_of(key: &str, value: &str, port: u16) -> bool {
    let number = port.to_string();
    let stands = |at: usize| {
        let before = value[..at].chars().next_back();
        let after = value[at + number.len()..].chars().next();
        let free = after.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '.' | ':' | '%' | '-' | '_'));
        let led = match before {
            // A number alone is an address of a socket unit; in a command line it follows an option.
            None => key.starts_with("Listen"),
            Some(c) => matches!(c, ':' | '=' | ' ' | '\t' | '"' | '\''),
        };
        free && led
    };
    value.match_indices(number.as_str()).any(|(at, _)| stands(at))
}

/// The number of the first line, comments left out, that has `port` where a port stands.
pub(crate) fn line_naming(text: &[u8], port: u16) -> Option<usize> {
    let text = from_bytes(text);
    let says = |line: &str| !line.starts_with(['#', ';', '!']) && speaks_of("", line, port);
    text.lines().position(|line| says(line.trim())).map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    #[test]
    fn what_a_drop_in_resets_names_nothing() {
        let root = Root::new("naming-reset");
        root.file("/usr/lib/systemd/system/app.service", "[Service]\nExecStart=/bin/app :8091\n");
        root.file("/etc/systemd/system/app.service.d/a.conf", "[Service]\nExecStart=\nExecStart=/bin/app :8092\n");
        root.file("/usr/lib/systemd/system/app.socket", "[Socket]\nListenStream=8093\nListenDatagram=\n");
        let files = UnitFiles::list(root.path());
        assert!(files.naming(8093).is_empty());
        let gone = &files.naming(8091)[0].1;
        assert_eq!(gone.kind, ClueKind::TakenBack);
        assert!(gone.source.ends_with("app.service.d/a.conf:3") && gone.text.contains("app.service:2 says port 8091"));
        assert!(files.naming(8092)[0].1.source.ends_with("app.service.d/a.conf:3"));
    }

    #[test]
    fn environments_and_instances_are_looked_into() {
        let root = Root::new("naming-environment");
        root.file(
            "/usr/lib/systemd/system/app.service",
            "[Service]\nEnvironmentFile=-/etc/default/app\nEnvironmentFile=/none\nExecStart=/bin/app $PORT\n",
        );
        root.file("/etc/default/app", "# PORT=8089\nPORT=8090\n");
        root.file("/usr/lib/systemd/system/web@.service", "[Service]\nExecStart=/bin/web 0.0.0.0:81%i\n");
        root.link("/etc/systemd/system/multi-user.target.wants/web@77.service", "/usr/lib/systemd/system/web@.service");
        let files = UnitFiles::list(root.path());
        let named = |port| files.naming(port).into_iter().map(|(unit, clue)| (unit, clue.source)).collect::<Vec<_>>();
        assert_eq!(named(8090), [("app.service".to_owned(), "/etc/default/app:2".to_owned())]);
        assert!(named(8089).is_empty());
        assert_eq!(named(8177)[0].0, "web@77.service");
        assert!(named(8178).is_empty());
    }
}

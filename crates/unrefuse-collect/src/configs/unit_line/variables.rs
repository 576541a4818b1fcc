//! The variables that a unit gives its processes: `Environment=` and the files of `EnvironmentFile=` (systemd.exec(5)).

use super::{is_own, option_in};
use crate::live::files;
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::{ConfigLine, Location};
use unrefuse_parse::environment;
use unrefuse_parse::unit::{Assignment, words};

/// So many files of variables are read.
const MOST_FILES: usize = 8;

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
    /// The line that sets it, where it is the administrator's to change and speaks of no secrets.
    line: Option<(Location, String)>,
}

impl Variable {
    fn new(name: &str, value: &str, path: &str, number: u32, bytes: &[u8]) -> Self {
        let text =
            usize::try_from(number).ok().and_then(|number| bytes.split(|&b| b == b'\n').nth(number.checked_sub(1)?));
        let text = text.map(from_bytes).unwrap_or_default();
        let secret = |text: &str| words(text).iter().any(|word| word.contains("***"));
        let own = is_own(path) && !secret(&text) && !secret(value);
        let location = Location { path: path.to_owned(), line: number };
        Self { name: name.to_owned(), value: value.to_owned(), line: own.then_some((location, text)) }
    }

    /// The line with `shown` of the command line as its value, or where the variable is `wanted` and no more, with that.
    pub(super) fn line(&self, shown: &str, wanted: &str) -> Option<ConfigLine> {
        let (location, text) = self.line.as_ref()?;
        if let Some(line) = option_in(location, text, shown) {
            return Some(line);
        }
        let name = format!("{}=", self.name);
        let (at, _) = text
            .match_indices(&name)
            .find(|(at, _)| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))?;
        let behind = text.get(at + name.len()..)?;
        let start = text.len() - behind.trim_start_matches(['"', '\'']).len();
        let is_it = self.value == wanted && text.get(start..)?.starts_with(wanted);
        let value = Some((start, start + wanted.len()));
        is_it.then(|| ConfigLine { location: location.clone(), text: text.clone(), value })
    }
}

/// The variables of a unit's file and drop-ins, in the order in which they are set.
pub(super) fn of(read: &[(String, Vec<Assignment>)], root: &str) -> Vec<Variable> {
    let (mut own, mut paths): (Vec<Variable>, Vec<&str>) = (Vec::new(), Vec::new());
    for (path, set) in read.iter().flat_map(|(path, all)| all.iter().map(move |set| (path, set))) {
        match (set.section.as_str(), set.key.as_str(), set.value.is_empty()) {
            ("Service", "Environment", true) => own.clear(),
            ("Service", "Environment", false) => {
                let bytes = files::read(path).unwrap_or_default();
                let one = |word: &String| {
                    let (name, value) = word.split_once('=')?;
                    Some(Variable::new(name, value, path, set.line, &bytes))
                };
                own.extend(words(&set.value).iter().filter_map(one));
            }
            ("Service", "EnvironmentFile", true) => paths.clear(),
            // A minus sign: the file may be absent.
            ("Service", "EnvironmentFile", false) => paths.push(set.value.strip_prefix('-').unwrap_or(&set.value)),
            _ => {}
        }
    }
    // Settings of files come after those of the unit.
    for path in paths.into_iter().filter(|path| path.starts_with('/') && !path.contains('%')).take(MOST_FILES) {
        let bytes = files::read(&format!("{root}{path}")).unwrap_or_default();
        let set = environment::variables(path, &bytes);
        own.extend(set.iter().map(|(name, value, at)| Variable::new(name, value, path, at.line, &bytes)));
    }
    own
}

/// Of a name that is set twice the last one counts.
pub(super) fn in_force<'a>(variables: &'a [Variable], name: &str) -> Option<&'a Variable> {
    variables.iter().rfind(|variable| variable.name == name)
}

/// The names of the variables that words have: `$NAME` as a word of its own, `${NAME}` in any.
pub(super) fn named(words: &[String]) -> Vec<&str> {
    let of = |word: &'_ String| -> Vec<(usize, usize)> {
        word.match_indices('$')
            .filter_map(|(at, _)| match word[at + 1..].strip_prefix('{') {
                Some(behind) => Some((at + 2, at + 2 + behind.find('}')?)),
                None => (at == 0).then_some((1, word.len())),
            })
            .collect()
    };
    words.iter().flat_map(|word| of(word).into_iter().filter_map(|(from, to)| word.get(from..to))).collect()
}

/// Words of a command line with what `$NAME`, `${NAME}` and `%i` stand for (systemd.service(5), "COMMAND LINES"): `$NAME` as
/// a word of its own becomes as many words as its value has, `${NAME}` stands in any word; what is not set is empty.
pub(super) fn expanded(words: &[String], variables: &[Variable], instance: Option<&str>) -> Vec<String> {
    let value = |name: &str| in_force(variables, name).map_or("", |variable| variable.value.as_str());
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
    use crate::unit_files::UnitFiles;

    #[test]
    fn the_line_that_gives_a_value() {
        let of = |line: &str, shown: &str, wanted: &str| {
            let (name, value) = line.split_once('=').unwrap();
            let variable = Variable::new(name, value.trim_matches('"'), "/etc/app", 1, line.as_bytes());
            variable.line(shown, wanted).map(|line| line.with_value("X").unwrap())
        };
        assert_eq!(of("HOST=127.0.0.1", "--bind 127.0.0.1", "127.0.0.1").as_deref(), Some("HOST=X"));
        assert_eq!(of("HOST=\"::1\"", "--bind [::1]:80", "::1").as_deref(), Some("HOST=\"X\""));
        assert_eq!(of("OPTS=\"-v --port=80\"", "--port=80", "80").as_deref(), Some("OPTS=\"-v --port=X\""));
        assert_eq!(of("HOST=127.0.0.1", "--port 80", "80"), None);
        assert_eq!(of("OPTS=\"--port 80 --password x\"", "--port 80", "80"), None, "it speaks of a secret");
    }

    #[test]
    fn the_last_setting_counts() {
        let root = Root::new("variables");
        let unit =
            "[Service]\nEnvironment=A=1 B=2\nEnvironmentFile=-/etc/app.env\nExecStart=/bin/app $A ${B}:${C} $$D\n";
        root.file("/usr/lib/systemd/system/app.service", unit);
        root.file("/etc/app.env", "B=3\n");
        let all = of(&UnitFiles::list(root.path()).read("app.service"), root.path());
        let words: Vec<String> = ["$A", "${B}:${C}", "$$D"].map(str::to_owned).to_vec();
        assert_eq!(named(&words[..2]), ["A", "B", "C"]);
        assert_eq!(expanded(&words, &all, None), ["1", "3:", "$D"]);
        assert!(in_force(&all, "B").unwrap().line("3", "3").is_some(), "a file of /etc");
        assert!(in_force(&all, "A").unwrap().line("1", "1").is_none(), "the package's own");
    }
}

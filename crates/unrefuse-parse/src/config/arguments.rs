//! Options on a command line, as getopt_long(3) and its likes read them.

use unrefuse_facts::Origin;

/// A value given on the command line, with the option as it stands there.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

/// Every value of the options `names` (`--port`, `-p`), in order: `--port=1`, `--port 1`, `-p 1`, `-p1`. In long names `_`
/// and `-` are the same.
pub(crate) fn values(arguments: &[String], names: &[&str]) -> Vec<Given> {
    let mut found = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            break;
        }
        for name in names {
            let long = name.starts_with("--");
            let (word, inline) = match argument.split_once('=') {
                Some((word, value)) if long => (word, Some(value)),
                _ => (argument.as_str(), None),
            };
            if same(word, name, long) {
                let (value, shown) = match inline {
                    Some(value) => (value.to_owned(), argument.clone()),
                    None => match rest.next() {
                        Some(next) => (next.clone(), format!("{argument} {next}")),
                        None => break,
                    },
                };
                found.push(Given { value, origin: Origin::CommandLine(shown) });
                break;
            }
            if !long && argument.len() > 2 && argument.starts_with(name) && !argument.starts_with("--") {
                let value = argument[2..].to_owned();
                found.push(Given { value, origin: Origin::CommandLine(argument.clone()) });
                break;
            }
        }
    }
    found
}

fn same(word: &str, name: &str, long: bool) -> bool {
    word == name || long && word.len() == name.len() && word.replace('_', "-") == name.replace('_', "-")
}

/// The option, where it stands on the command line without a value.
pub(crate) fn flag(arguments: &[String], names: &[&str]) -> Option<Origin> {
    let is = |argument: &&String| names.iter().any(|name| same(argument, name, name.starts_with("--")));
    arguments.iter().find(is).map(|argument| Origin::CommandLine(argument.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_in_all_their_forms() {
        let line: Vec<String> =
            "--port=1 -p 2 -p3 --port 4 -x --bind_ip 5 -- --port 6".split(' ').map(str::to_owned).collect();
        let found: Vec<String> = values(&line, &["--port", "-p"]).into_iter().map(|g| g.value).collect();
        assert_eq!(found, ["1", "2", "3", "4"]);
        assert_eq!(values(&line, &["--bind-ip"])[0].origin, Origin::CommandLine("--bind_ip 5".into()));
        assert!(flag(&line, &["-x"]).is_some() && flag(&line, &["-y"]).is_none());
    }
}

//! A wrong call, told in one line as all errors are: clap would take several and print the words as they came.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use unrefuse_facts::text::visible;

/// What is wrong with the call, and what to do.
pub(crate) fn line(error: &clap::Error, arguments: &[String]) -> String {
    if let Some(word) = word_too_many(error) {
        return format!("one word too many, `{}`: one target a call, as HOST:PORT or HOST PORT", visible(word));
    }
    let told = error.render().to_string();
    let mut paragraphs = told.split("\n\n");
    let head = paragraphs.next().unwrap_or_default().trim_start_matches("error: ");
    let mut line = head.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    // clap offers words of the call as values, too: nobody means that.
    let tip = paragraphs
        .filter_map(|paragraph| paragraph.trim().strip_prefix("tip: "))
        .find(|tip| tip.starts_with("a similar "))
        .map(|tip| format!(": {tip}"));
    match error.kind() {
        ErrorKind::UnknownArgument if unknown(error) == Some("-p") => {
            line += ": the port stands behind its host, HOST:PORT"
        }
        ErrorKind::ArgumentConflict => line += ": leave one of them out",
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {}
        _ => line += &tip.unwrap_or_else(|| format!(": `{} --help` says what there is", subcommand(arguments))),
    }
    visible(&line)
}

/// The third word of a call: clap takes it for a subcommand and speaks of that.
fn word_too_many(error: &clap::Error) -> Option<&str> {
    match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) if error.kind() == ErrorKind::ArgumentConflict => Some(word),
        _ => None,
    }
}

fn unknown(error: &clap::Error) -> Option<&str> {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) => Some(word),
        _ => None,
    }
}

/// The command whose help is meant.
fn subcommand(arguments: &[String]) -> String {
    let command = crate::cli::command();
    match arguments.get(1).filter(|word| command.find_subcommand(word).is_some()) {
        Some(name) => format!("unrefuse {name}"),
        None => "unrefuse".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn told(words: &[&str]) -> String {
        let arguments: Vec<String> =
            std::iter::once("unrefuse").chain(words.iter().copied()).map(str::to_owned).collect();
        line(&crate::cli::Cli::try_parse_from(&arguments).unwrap_err(), &arguments)
    }

    #[test]
    fn one_line_with_what_to_do() {
        assert_eq!(told(&["a", "80", "90"]), "one word too many, `90`: one target a call, as HOST:PORT or HOST PORT");
        assert_eq!(told(&["--bogus"]), "unexpected argument '--bogus' found: `unrefuse --help` says what there is");
        assert_eq!(
            told(&["who", "--all"]),
            "unexpected argument '--all' found: `unrefuse who --help` says what there is"
        );
        assert_eq!(told(&["--netn"]), "unexpected argument '--netn' found: a similar argument exists: '--netns'");
        assert_eq!(
            told(&["-p", "80", "db1"]),
            "unexpected argument '-p' found: the port stands behind its host, HOST:PORT"
        );
        assert_eq!(told(&["-4", "-6", "x"]), "the argument '-4' cannot be used with '-6': leave one of them out");
        assert!(told(&["--timeout", "0", "x"]).ends_with(": write 3s, 500ms or 1m"));
        assert!(told(&["schema", "x"]).ends_with("[possible values: report, firewall, listeners, who]"));
        assert!(told(&["firewall"]).contains("were not provided: --to <HOST:PORT>: `unrefuse firewall --help`"));
        assert!(told(&["--count", "a\u{202e}b"]).contains("a\\u{202e}b"));
    }
}

//! Standard output and what the terminal can show.

use crate::cli::{Colour, Paint};
use std::io::{IsTerminal, Write};
use unrefuse_report::Style;

/// Writes to standard output. A reader that has gone (`| head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::anyhow!("standard output: {error}"))
        }
        _ => Ok(()),
    }
}

/// What standard output can show, as far as the environment tells.
pub(crate) fn style(paint: &Paint, verbose: bool, quiet: bool) -> Style {
    let terminal = std::io::stdout().is_terminal();
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let colour = match paint.color {
        Colour::Always => true,
        Colour::Never => false,
        // https://no-color.org and https://bixense.com/clicolors
        Colour::Auto if set("NO_COLOR") => false,
        Colour::Auto => terminal && std::env::var("TERM").as_deref() != Ok("dumb") || set("CLICOLOR_FORCE"),
    };
    Style { width: width(terminal), colour, unicode: unicode(), verbose, quiet }
}

/// The same for tables: they are cut to a terminal, and to nothing else.
pub(crate) fn table_style(paint: &Paint) -> Style {
    let style = style(paint, false, false);
    if std::io::stdout().is_terminal() { style } else { Style { width: usize::MAX, ..style } }
}

/// Columns: those of the terminal, else $COLUMNS, else 100; at least 60, and not so many that a line is hard to read.
fn width(terminal: bool) -> usize {
    let measured = terminal.then(terminal_size::terminal_size).flatten().map(|(width, _)| usize::from(width.0));
    let told = || std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    measured.or_else(told).unwrap_or(100).clamp(60, 120)
}

/// The locale's character set is UTF-8, by the order of setlocale(3). Containers and cron often set no locale at all while
/// the terminal behind them shows UTF-8: only a locale that says otherwise (`C`, `POSIX`, `de_DE`) is believed.
fn unicode() -> bool {
    let value =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    value.is_none_or(|v| {
        let v = v.to_ascii_lowercase();
        v.contains("utf-8") || v.contains("utf8")
    })
}

/// Says on standard error what a table does not show.
pub(crate) fn warn(lines: &[String]) {
    for line in lines {
        eprintln!("unrefuse: {}", unrefuse_facts::text::visible(line));
    }
}

//! The schema of the JSON report, the man pages and the completions.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Files;

/// The command's name.
const NAME: &str = "unrefuse";

pub(super) fn add(files: &mut Files) -> Result<()> {
    files.insert("docs/schema.json".into(), format!("{:#}\n", unrefuse_report::schema(&unrefuse::ids())));
    for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
        use clap_complete::Generator as _;
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut unrefuse::cli::command(), NAME, &mut script);
        files.insert(PathBuf::from("docs/completions").join(shell.file_name(NAME)), text(script)?);
    }
    let mut command = unrefuse::cli::command();
    // Fills in what clap fills in when it parses: the subcommands' full names and usage.
    command.build();
    add_page(files, NAME, command.clone())?;
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        let name = format!("{NAME}-{}", subcommand.get_name());
        add_page(files, &name, subcommand.clone())?;
    }
    Ok(())
}

fn add_page(files: &mut Files, name: &str, command: clap::Command) -> Result<()> {
    let mut page = Vec::new();
    Man::new(command.display_name(name)).title(name.to_uppercase()).manual("User Commands").render(&mut page)?;
    files.insert(PathBuf::from("docs/man").join(format!("{name}.1")), text(page)?);
    Ok(())
}

/// Without blanks at the ends of lines, and with one line end at the end of the file, as every file of the tree.
fn text(bytes: Vec<u8>) -> Result<String> {
    let text = String::from_utf8(bytes).context("a generated file is not UTF-8")?;
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    Ok(lines.join("\n").trim_end().to_owned() + "\n")
}

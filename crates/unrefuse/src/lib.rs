//! The command: arguments, wiring, exit status. What it knows is in the other crates.
//!
//! A library besides the binary, so that the man page, the completions and the docs are made from the same arguments.

mod ask;
mod check;
pub mod cli;
pub mod explain;
mod firewall;
mod gather;
mod listeners;
mod misuse;
mod output;
mod progress;
mod who;

use clap::{CommandFactory, Parser};
use cli::{Action, Cli};
use std::ffi::OsString;
use std::process::ExitCode;

/// Exit status: the call is wrong.
const WRONG_CALL: u8 = 2;
/// Exit status: unrefuse itself failed.
const FAILED: u8 = 4;

/// Runs the command with those arguments (the first is its own name) and gives its exit status.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        // Help and version are no errors: clap prints them to standard output.
        Err(error) if error.exit_code() == 0 => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
            eprintln!("unrefuse: {}", misuse::line(&error, &words));
            return ExitCode::from(WRONG_CALL);
        }
    };
    match act(cli) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            let status = if error.is::<cli::WrongCall>() { WRONG_CALL } else { FAILED };
            eprintln!("unrefuse: {}", unrefuse_facts::text::visible(&format!("{error:#}")));
            ExitCode::from(status)
        }
    }
}

fn act(cli: Cli) -> anyhow::Result<u8> {
    match cli.action {
        None => check::run(&cli.check),
        Some(Action::Check(arguments)) => check::run(&arguments),
        Some(Action::Listeners(arguments)) => listeners::run(&arguments),
        Some(Action::Who(arguments)) => who::run(&arguments),
        Some(Action::Firewall(arguments)) => firewall::run(&arguments),
        Some(Action::Explain(arguments)) => explain::run(&arguments),
        Some(Action::Schema { of }) => {
            let schema = match of {
                cli::Schema::Report => unrefuse_report::schema(&ids()),
                cli::Schema::Firewall => unrefuse_report::firewall::schema(),
                cli::Schema::Listeners => unrefuse_report::listeners_schema(),
                cli::Schema::Who => unrefuse_report::who_schema(),
            };
            output::print(&format!("{schema:#}\n"))?;
            Ok(0)
        }
        Some(Action::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "unrefuse", &mut script);
            output::print(&String::from_utf8_lossy(&script))?;
            Ok(0)
        }
    }
}

/// The ids of all causes.
pub fn ids() -> Vec<&'static str> {
    unrefuse_diagnose::registry().map(|rule| rule.id).collect()
}

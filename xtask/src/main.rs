//! The developers' commands: `cargo xtask COMMAND`. `cargo xtask test` is what CI runs.

mod bench;
mod cargo;
mod differential;
mod fuzz;
mod generate;
mod install;
mod lab;
mod steps;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The developers' commands of unrefuse.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that CI runs, in order; goes on after a failure and says at the end what failed
    Test(test::Options),
    /// The quick part of `test`, before each commit: fmt, clippy, tests, gen, tidy, deny
    Prepush,
    /// Install what the tests need (root on Debian), else say exactly what to install
    Install {
        /// Only print what would be done
        #[arg(long)]
        dry_run: bool,
        /// Reckon with a machine that has none of it
        #[arg(long, requires = "dry_run")]
        pretend_missing: bool,
    },
    /// Build unrefuse and the lab, and run the lab with these arguments (`list`, `run NAME…`)
    #[command(disable_help_flag = true)]
    Lab {
        /// Passed on to unrefuse-lab
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Write the generated files: pages, table of causes, schema, man page, completions
    Gen {
        /// Write nothing; fail when a file is stale
        #[arg(long)]
        check: bool,
    },
    /// Check the tree: rules and their pages, tests and scenarios; who may depend on whom; what files may hold
    Tidy,
    /// Fuzz the parsers: every target, or the one named
    Fuzz {
        /// One target of `cargo fuzz list`
        target: Option<String>,
        /// How long each target runs, in seconds
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Measure unrefuse beside its peers in one run: ratios of medians
    Bench(bench::Options),
    /// One process of the crowd of listeners that `bench` makes; ends when its stdin does
    #[command(hide = true)]
    Crowd(bench::crowd::Member),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Test(options) => test::run(&options),
        Command::Prepush => test::prepush(),
        Command::Install { dry_run, pretend_missing } => install::command(dry_run, pretend_missing),
        Command::Lab { arguments } => lab::command(&arguments),
        Command::Gen { check } => generate::command(check),
        Command::Tidy => tidy::command(),
        Command::Fuzz { target, seconds } => fuzz::command(target.as_deref(), seconds),
        Command::Bench(options) => bench::command(&options),
        Command::Crowd(member) => bench::crowd::member(&member),
    }
}

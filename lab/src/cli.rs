//! The lab's command line.

use crate::lab::{Bench, Job};
use crate::scenario::Kind;
use crate::schema::Schema;
use crate::{connect, hold, node, rootfs, run, scenarios, serve, shell};
use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser, Subcommand};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Breaks connections on purpose and holds what unrefuse says against it.
#[derive(Debug, Parser)]
#[command(name = "unrefuse-lab")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the scenarios with their families, causes and titles.
    List(Choice),
    /// Run scenarios and their healthy twins; needs root.
    Run(Run),
    /// Build a scenario's machines and run a command, or a shell, on one of them; needs root.
    Shell(shell::Shell),
    /// Say where the root file system of systemd hosts is; build it where there is none.
    Root {
        /// Of which kind.
        #[arg(value_enum, default_value_t = Kind::Systemd)]
        kind: Kind,
    },
    /// The lab's own test daemon, as scenarios start it.
    #[command(subcommand, hide = true)]
    Serve(serve::Serve),
    /// One plain connection attempt.
    #[command(hide = true)]
    Connect(connect::Connect),
    /// Hold a node's namespaces.
    #[command(hide = true)]
    Hold(hold::Hold),
}

#[derive(Debug, Args)]
struct Choice {
    /// Names or beginnings of names: listener, listener/none, listener/none/v6; all where none is given.
    names: Vec<String>,
    /// Only those whose name contains this.
    #[arg(long)]
    filter: Option<String>,
    /// Folder of the scenarios.
    #[arg(long, default_value_os_t = scenarios::folder())]
    scenarios: PathBuf,
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    choice: Choice,
    /// A scenario that can't run here is a failure.
    #[arg(long)]
    no_skip: bool,
    /// Where reports, rulesets and socket tables of failed runs are kept.
    #[arg(long, default_value = "lab-work")]
    keep: PathBuf,
    /// Keep those of passed runs, too.
    #[arg(long)]
    keep_all: bool,
    /// How many run at a time; most wait for a timeout.
    #[arg(long, default_value_t = 3)]
    jobs: usize,
    /// Run a failed one so many times more: where each of them passes it is told as UNSTEADY, of which a run may have two.
    #[arg(long, value_name = "TIMES", default_value_t = 0)]
    again: usize,
    /// The unrefuse to test; else $UNREFUSE_BIN, else the one beside this program.
    #[arg(long)]
    unrefuse: Option<PathBuf>,
}

/// Does what the arguments say.
pub(crate) fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::List(choice) => list(&choice),
        Command::Run(arguments) => run_scenarios(&arguments),
        Command::Shell(arguments) => open_shell(&arguments),
        Command::Root { kind } => rootfs::get(&rootfs::cache(), kind).map(|root| {
            println!("{}", root.display());
            ExitCode::SUCCESS
        }),
        Command::Serve(what) => serve::serve(&what).map(|()| ExitCode::SUCCESS),
        Command::Connect(what) => connect::connect(&what).map(|()| ExitCode::SUCCESS),
        Command::Hold(what) => hold::hold(&what).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("unrefuse-lab: {error:#}");
        ExitCode::FAILURE
    })
}

impl Choice {
    /// The chosen jobs, twins after their scenarios.
    fn jobs(&self) -> Result<Vec<Job>> {
        let mut jobs = Vec::new();
        for source in scenarios::all(&self.scenarios)? {
            for variant in source.variants.clone() {
                let has_twin = source.read(variant)?.twin.none.is_none();
                for twin in [Some(false), has_twin.then_some(true)].into_iter().flatten() {
                    jobs.push(Job { source: source.clone(), variant, twin });
                }
            }
        }
        let all = jobs.len();
        jobs.retain(|job| self.wants(&job.name()));
        for name in &self.names {
            ensure!(
                jobs.iter().any(|job| begins(&job.name(), name)),
                "no scenario is named {name}; there are {all} runs, see list"
            );
        }
        Ok(jobs)
    }

    fn wants(&self, name: &str) -> bool {
        (self.names.is_empty() || self.names.iter().any(|wanted| begins(name, wanted)))
            && self.filter.as_ref().is_none_or(|part| name.contains(part))
    }
}

/// Whether `name` is `wanted` or lies beneath it.
fn begins(name: &str, wanted: &str) -> bool {
    name.strip_prefix(wanted.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn list(choice: &Choice) -> Result<ExitCode> {
    let mut last = String::new();
    for job in choice.jobs()? {
        if job.source.name == last {
            continue;
        }
        let scenario = job.source.read(job.variant)?;
        let families: Vec<_> = job.source.variants.iter().map(|variant| variant.name()).collect();
        let (families, covers) = (families.join(","), scenario.covers.join(" "));
        let line = writeln!(std::io::stdout(), "{:34} {families:6} {covers:44} {}", job.source.name, scenario.title);
        if line.is_err() {
            // Its reader has gone (`list | head`).
            break;
        }
        last = job.source.name;
    }
    Ok(ExitCode::SUCCESS)
}

fn run_scenarios(arguments: &Run) -> Result<ExitCode> {
    let jobs = arguments.choice.jobs()?;
    let tally = match able() {
        Err(reason) => run::run(jobs, None, 1, 0, &reason),
        Ok(()) => {
            let unrefuse = find_unrefuse(arguments.unrefuse.as_deref())?;
            let bench = Bench {
                schema: Schema::of(&unrefuse)?,
                unrefuse,
                roots: roots_for(&jobs)?,
                keep: arguments.keep.clone(),
                keep_all: arguments.keep_all,
            };
            run::run(jobs, Some(&bench), arguments.jobs, arguments.again, "")
        }
    };
    if tally == run::Tally::default() {
        eprintln!("unrefuse-lab: nothing was run, and that is a failure");
    }
    println!("{}", tally.line());
    Ok(if tally.good(arguments.no_skip) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The root file systems that the jobs' hosts need.
fn roots_for(jobs: &[Job]) -> Result<BTreeMap<Kind, Result<PathBuf, String>>> {
    let mut kinds = BTreeSet::new();
    for job in jobs {
        kinds.extend(job.source.read(job.variant)?.systemd_hosts());
    }
    Ok(roots(kinds))
}

fn roots(kinds: BTreeSet<Kind>) -> BTreeMap<Kind, Result<PathBuf, String>> {
    let cache = rootfs::cache();
    kinds.into_iter().map(|kind| (kind, rootfs::get(&cache, kind).map_err(|error| format!("{error:#}")))).collect()
}

fn open_shell(arguments: &shell::Shell) -> Result<ExitCode> {
    let unrefuse = find_unrefuse(arguments.unrefuse.as_deref())?;
    let scenario = arguments.scenario()?;
    let bench = Bench {
        schema: Schema::of(&unrefuse)?,
        unrefuse,
        roots: roots(scenario.systemd_hosts()),
        keep: PathBuf::new(),
        keep_all: false,
    };
    shell::shell(arguments, &scenario, &bench)
}

/// Whether namespaces can be made and wired here, or why not.
fn able() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("it needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN) to make network namespaces".to_owned());
    }
    let node = node::Node::start("trial", "trial", &[], None)
        .map_err(|error| format!("namespaces can't be made here: {error:#}"))?;
    let script = "ip link set lo up && ip link add veth0 type veth peer name veth1 && ip link add br0 type bridge";
    node.must(script).map_err(|error| format!("links can't be made in a namespace here: {error:#}"))
}

fn find_unrefuse(given: Option<&Path>) -> Result<PathBuf> {
    let path = match (given, std::env::var_os("UNREFUSE_BIN")) {
        (Some(path), _) => path.to_owned(),
        (None, Some(path)) => PathBuf::from(path),
        (None, None) => std::env::current_exe()?.with_file_name("unrefuse"),
    };
    path.canonicalize()
        .with_context(|| format!("{} is not there: cargo build -p unrefuse, or give --unrefuse", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn names_are_whole_words() {
        assert!(begins("listener/none/v4/twin", "listener/none"));
        assert!(begins("listener/none/v4", "listener/"));
        assert!(!begins("listener/none-else/v4", "listener/none"));
    }
}

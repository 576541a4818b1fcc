//! Holds the judge of unrefuse-firewall against the kernel.

mod case;
mod compare;
mod expect;
mod generate;
mod kernel;
mod probe;
mod rng;
mod ruleset;
mod run;
mod shrink;
mod world;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use ruleset::Backend;
use std::path::PathBuf;
use std::process::ExitCode;

/// Random rulesets and packets: the kernel's outcome and deciding rule against the judge's.
#[derive(Debug, Parser)]
#[command(name = "unrefuse-differential")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replay the regression cases, then random pairs; needs root.
    Run(Run),
    /// Replay one case file; needs root.
    Replay {
        /// The file.
        file: PathBuf,
        /// Print what the judge says.
        #[arg(long)]
        explain: bool,
    },
    /// Print a round's ruleset and packets.
    Show {
        /// The run's seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Number of the round.
        round: u64,
        #[arg(long, default_value = "nft")]
        backend: Backend,
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=6))]
        family: u8,
    },
}

#[derive(Debug, Args)]
struct Run {
    /// Other seed, other rulesets.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Pairs of a ruleset and a packet.
    #[arg(long, default_value_t = 5000)]
    pairs: u64,
    /// Only these backends.
    #[arg(long)]
    backend: Vec<Backend>,
    /// Only this family: 4 or 6.
    #[arg(long, value_parser = clap::value_parser!(u8).range(4..=6))]
    family: Option<u8>,
    /// Packets for each ruleset.
    #[arg(long, default_value_t = 40)]
    probes: usize,
    /// Rounds at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Where failing cases are kept.
    #[arg(long, default_value = "differential-work")]
    keep: PathBuf,
    /// At most so many failures are made small.
    #[arg(long, default_value_t = 20)]
    most: usize,
    /// Only the round of this number.
    #[arg(long)]
    round: Option<u64>,
    /// What cannot run here is a failure.
    #[arg(long)]
    no_skip: bool,
}

fn main() -> ExitCode {
    match command(Cli::parse().command) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("unrefuse-differential: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn command(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(options) => run_all(&options),
        Command::Replay { file, explain } => {
            let case = case::Case::read(&file)?;
            let wrong = run::replay(&mut kernel::Hosts::default(), &case, explain)?;
            wrong.iter().for_each(|w| println!("{w}"));
            Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Show { seed, round, backend, family } => {
            let round = generate::round(seed, round, backend, family == 6, 40);
            let script = round.rules.script();
            print!("{}{}", script.ipsets, script.ruleset);
            round.probes.iter().for_each(|p| println!("# {p}"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn run_all(options: &Run) -> Result<ExitCode> {
    if !kernel::sys::is_root() {
        println!("SKIPPED: network namespaces with rulesets of their own need root");
        println!("0 passed, 0 failed, {} skipped", options.pairs);
        return Ok(if options.no_skip { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let (passed, wrong) = run::replay_all()?;
    println!("regression cases: {passed} passed, {wrong} failed");
    let backends = if options.backend.is_empty() { Backend::ALL.to_vec() } else { options.backend.clone() };
    let families = match options.family {
        Some(6) => vec![true],
        Some(_) => vec![false],
        None => vec![false, true],
    };
    let plan = run::Plan {
        seed: options.seed,
        pairs: options.pairs,
        probes: options.probes.clamp(1, 900),
        kinds: backends.iter().flat_map(|b| families.iter().map(|f| (*b, *f))).collect(),
        jobs: options.jobs.max(1),
        keep: options.keep.clone(),
        most: options.most,
        round: options.round,
    };
    let tally = run::run(&plan)?;
    for (kind, n) in &tally.kinds {
        println!("  differs, {kind}: {n}");
    }
    let mut reasons: Vec<_> = tally.reasons.iter().collect();
    reasons.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    for (reason, n) in reasons.into_iter().take(15) {
        println!("  left open {n} times, {reason}");
    }
    let all = (tally.passed + tally.failed).max(1);
    let share = |n: u64| n as f64 * 100.0 / all as f64;
    println!("every rule that matched compared: {} ({:.1} %)", tally.all_rules, share(tally.all_rules));
    println!(
        "left open: {} ({:.2} %), where nothing in the ruleset forks: {} ({:.2} %)",
        tally.undecided,
        share(tally.undecided),
        tally.undecided_plain,
        share(tally.undecided_plain)
    );
    println!("seed {}: {} passed, {} failed, {} skipped", plan.seed, tally.passed, tally.failed + wrong, tally.skipped);
    let bad = tally.failed + wrong > 0 || options.no_skip && tally.skipped > 0 || tally.passed == 0;
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

//! Measuring unrefuse beside its peers, in one run: each round runs every subject once, and the medians are compared.

mod containers;
pub(crate) mod crowd;
mod firewall;
mod machines;
mod measure;
mod place;
mod rulesets;
mod services;
mod table;
mod works;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use xshell::cmd;

use self::measure::{Sample, Subject, median};
use self::table::{Measured, Row};
use crate::steps::seconds;
use crate::workspace::{find_command, is_root, shell, target_dir};

/// All rounds of a work together take about this long, where its length allows.
const BUDGET: Duration = Duration::from_secs(10);
const FEWEST: usize = 3;
const MOST: usize = 41;

/// What is measured in a place that was made for it.
struct Contest {
    /// unrefuse's call.
    ours: Subject,
    /// What it is held against.
    peers: Vec<Peer>,
    /// The longest time for ours, whatever the peers need.
    longest: Option<Duration>,
    /// The most memory for ours, in bytes.
    memory: u64,
    /// Run before each measured command, so that none profits from the one before.
    before: Option<Vec<String>>,
}

/// A peer, and how unrefuse must compare.
struct Peer {
    subject: Subject,
    /// unrefuse's time divided by the peer's must not be more; without one it is only shown.
    at_most: Option<f64>,
}

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the works whose name holds this
    name: Option<String>,
    /// Write the numbers here too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Rounds of each work (each round runs every subject once); by default as many as its length allows
    #[arg(long)]
    rounds: Option<usize>,
    /// Measure this binary, and build none
    #[arg(long, value_name = "FILE")]
    unrefuse: Option<PathBuf>,
}

/// `cargo xtask bench`.
pub(crate) fn command(options: &Options) -> Result<()> {
    let name = options.name.as_deref();
    if !is_root() {
        bail!("bench makes network namespaces and looks into all processes: run it as root");
    }
    for needed in ["ip", "ss", "nc", "nft", "iptables-nft-restore", "ipset", "nmap", "lsof", "getent"] {
        if find_command(needed).is_none() {
            bail!("{needed} is not installed, and bench measures against it: run `cargo xtask install`");
        }
    }
    let works: Vec<_> = works::ALL.iter().filter(|work| name.is_none_or(|name| work.name.contains(name))).collect();
    if works.is_empty() {
        let names: Vec<&str> = works::ALL.iter().map(|work| work.name).collect();
        bail!("no work's name holds {:?}; there are: {}", name.unwrap_or_default(), names.join(", "));
    }
    let unrefuse = match &options.unrefuse {
        Some(file) => file.canonicalize().with_context(|| format!("no binary at {}", file.display()))?,
        None => build()?,
    };
    let (start, mut rows) = (Instant::now(), Vec::new());
    for (index, work) in works.iter().enumerate() {
        println!("[{}/{}] {} (at {})", index + 1, works.len(), work.name, seconds(start.elapsed()));
        let run = |contest: Contest| contend(work.name, &contest, options.rounds);
        rows.extend((work.hold)(&unrefuse, &run).with_context(|| work.name)?);
    }
    println!("\n{}", table::text(&rows));
    if let Some(file) = &options.json {
        std::fs::write(file, table::json(&rows)?).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let targets = rows.iter().filter_map(|row| row.met);
    let (targets, missed) = (targets.clone().count(), targets.filter(|met| !met).count());
    println!("{} of {} targets met, in {}", targets - missed, targets, seconds(start.elapsed()));
    if missed > 0 {
        bail!("{missed} targets were missed");
    }
    Ok(())
}

fn build() -> Result<PathBuf> {
    let shell = shell()?;
    cmd!(shell, "cargo build --release --locked --package unrefuse").run()?;
    Ok(target_dir()?.join("release/unrefuse"))
}

/// Measures the contest's subjects in turn and holds the medians against the targets.
fn contend(name: &str, contest: &Contest, rounds: Option<usize>) -> Result<Vec<Row>> {
    let subjects: Vec<&Subject> =
        std::iter::once(&contest.ours).chain(contest.peers.iter().map(|peer| &peer.subject)).collect();
    let mut once = Duration::ZERO;
    for subject in &subjects {
        prepare(contest)?;
        once += subject.verify()?;
    }
    let fitting = BUDGET.as_nanos() / once.as_nanos().max(1);
    let rounds = rounds.unwrap_or_else(|| usize::try_from(fitting).unwrap_or(MOST).clamp(FEWEST, MOST));
    println!("  {rounds} rounds of about {}", seconds(once));
    measure::stay_small();
    let mut samples: Vec<Vec<Sample>> = vec![Vec::with_capacity(rounds); subjects.len()];
    for round in 0..rounds {
        for turn in 0..subjects.len() {
            // Each round begins with another one, so that none always runs in the other's wake.
            let index = (turn + round) % subjects.len();
            prepare(contest)?;
            samples[index].push(subjects[index].measure()?);
        }
    }
    let medians =
        samples.iter().map(|samples| median(samples).context("no round was run")).collect::<Result<Vec<_>>>()?;
    let measured = |index: usize| Measured { name: subjects[index].name.clone(), sample: medians[index] };
    let mut rows: Vec<Row> = contest
        .peers
        .iter()
        .enumerate()
        .map(|(index, peer)| Row::ratio(name, measured(0), measured(index + 1), peer.at_most))
        .collect();
    rows.extend(contest.longest.map(|longest| Row::time(name, measured(0), longest)));
    rows.push(Row::memory(name, measured(0), contest.memory));
    Ok(rows)
}

fn prepare(contest: &Contest) -> Result<()> {
    let Some(before) = &contest.before else { return Ok(()) };
    let shell = shell()?;
    let (program, arguments) = before.split_first().context("an empty command")?;
    cmd!(shell, "{program} {arguments...}").quiet().ignore_stdout().ignore_stderr().run().map_err(Into::into)
}

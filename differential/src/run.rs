//! Runs: many rounds at a time, each ruleset loaded once and met by many packets.

use crate::case::{self, Case, Recorded};
use crate::compare::{self, Verdict};
use crate::expect::{self, Read};
use crate::generate::{self, Round};
use crate::kernel::{Host, Hosts, Observed};
use crate::probe::Probe;
use crate::ruleset::{Backend, Rules, Script};
use crate::shrink;
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) pairs: u64,
    pub(crate) probes: usize,
    pub(crate) kinds: Vec<(Backend, bool)>,
    pub(crate) jobs: usize,
    pub(crate) keep: PathBuf,
    /// Failures that are made small; the others are only counted.
    pub(crate) most: usize,
    /// Only this round.
    pub(crate) round: Option<u64>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    pub(crate) undecided: u64,
    /// Of these, those of rulesets in which nothing forks.
    pub(crate) undecided_plain: u64,
    /// Those where all rules that matched were compared, the answer's way included.
    pub(crate) all_rules: u64,
    /// By kind of difference.
    pub(crate) kinds: BTreeMap<String, u64>,
    /// Why answers were left open.
    pub(crate) reasons: BTreeMap<String, u64>,
    shrunk: usize,
}

impl Tally {
    fn pairs(&self) -> u64 {
        self.passed + self.failed + self.skipped
    }
}

/// Runs the plan.
pub(crate) fn run(plan: &Plan) -> Result<Tally> {
    let start = Instant::now();
    let rounds = plan.pairs.div_ceil(plan.probes as u64);
    let next = AtomicU64::new(plan.round.unwrap_or(0));
    let end = plan.round.map_or(rounds, |r| r + 1);
    let tally = Mutex::new(Tally::default());
    let reported = Mutex::new(Instant::now());
    std::thread::scope(|scope| {
        let worker = || -> Result<()> {
            let mut hosts = Hosts::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return Ok(());
                }
                one(plan, number, &mut hosts, &tally)?;
                if let (Ok(tally), Ok(mut reported)) = (tally.lock(), reported.lock())
                    && reported.elapsed() > Duration::from_secs(5)
                {
                    *reported = Instant::now();
                    println!("{}", progress(&tally, plan, start));
                }
            }
        };
        let workers: Vec<_> = (0..plan.jobs).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|w| w.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
    })?;
    let tally = tally.into_inner().map_err(|_| anyhow::anyhow!("a worker panicked"))?;
    println!("{}", progress(&tally, plan, start));
    Ok(tally)
}

fn progress(tally: &Tally, plan: &Plan, start: Instant) -> String {
    format!(
        "{:6.1} s  {} of {} pairs, {} failed, {} undecided",
        start.elapsed().as_secs_f32(),
        tally.pairs(),
        plan.pairs,
        tally.failed,
        tally.undecided
    )
}

/// A ruleset in force, as the readers see it.
fn load(host: &mut Host, script: &Script) -> Result<Result<Vec<Read>, String>> {
    Ok(match host.load(script)? {
        Ok(()) => Ok(expect::read(script)?),
        Err(e) => Err(e),
    })
}

fn one(plan: &Plan, number: u64, hosts: &mut Hosts, tally: &Mutex<Tally>) -> Result<()> {
    let (backend, v6) = plan.kinds[(number % plan.kinds.len() as u64) as usize];
    let host = hosts.of(backend)?;
    let round = generate::round(plan.seed, number, backend, v6, plan.probes);
    let script = round.rules.script();
    let lock = || tally.lock().map_err(|_| anyhow::anyhow!("a worker panicked"));
    let reads = match load(host, &script).with_context(|| format!("round {number}"))? {
        Ok(reads) => reads,
        Err(e) => {
            println!("round {number}: the tool refuses the ruleset: {e}");
            lock()?.skipped += round.probes.len() as u64;
            return Ok(());
        }
    };
    let forks = forks(&script.ruleset);
    let mut failures: Vec<(usize, &'static str, &'static str, String)> = Vec::new();
    for (n, probe) in round.probes.iter().enumerate() {
        let observed = host.send(probe)?;
        let mut tally = lock()?;
        let verdicts: Vec<_> = reads.iter().map(|r| (r.by, verdict(r, &script, probe, &observed))).collect();
        let mut open = false;
        let mut all_rules = false;
        let mut wrong = false;
        for (by, verdict) in verdicts {
            match verdict {
                Verdict::Same => {}
                Verdict::SameRules => all_rules = true,
                Verdict::Undecided(why) => {
                    open = true;
                    *tally.reasons.entry(format!("{by}{}: {why}", if forks { " (fork)" } else { "" })).or_default() +=
                        1;
                }
                Verdict::Differs { kind, text } => {
                    wrong = true;
                    *tally.kinds.entry(format!("{by}: {kind}")).or_default() += 1;
                    if !failures.iter().any(|f| (f.1, f.2) == (by, kind)) {
                        failures.push((n, by, kind, text));
                    }
                }
            }
        }
        tally.all_rules += u64::from(all_rules);
        tally.undecided += u64::from(open);
        tally.undecided_plain += u64::from(open && !forks);
        if wrong { tally.failed += 1 } else { tally.passed += 1 }
    }
    for (n, by, kind, text) in failures {
        let mut tally = lock()?;
        tally.shrunk += 1;
        if tally.shrunk > plan.most {
            continue;
        }
        let name = format!("{}-{number}-{n}-{kind}", plan.seed);
        drop(tally);
        keep(plan, host, &round, n, (by, kind), &name, &text)?;
    }
    Ok(())
}

fn verdict(read: &Read, script: &Script, probe: &Probe, observed: &Observed) -> Verdict {
    let answer = expect::ask(&read.ruleset, script, probe);
    compare::compare(script, &read.ruleset, probe, &answer, observed)
}

/// Whether something in the ruleset cannot be known beforehand.
fn forks(text: &str) -> bool {
    [
        "limit",
        "recent",
        "quota",
        "statistic",
        "--timestart",
        "numgen",
        "tcp-option",
        "maxseg",
        "string",
        "length",
        "frag-off",
        "flowlabel",
        " id ",
        "u32",
    ]
    .iter()
    .any(|word| text.contains(word))
}

/// The difference of this kind that this reader's judgement has from the kernel, now.
fn again(host: &mut Host, rules: &Rules, probe: &Probe, by: &str, kind: &str) -> Result<Option<(Observed, String)>> {
    let script = rules.script();
    let Ok(reads) = load(host, &script)? else { return Ok(None) };
    let observed = host.send(probe)?;
    for read in reads.iter().filter(|r| r.by == by) {
        if let Verdict::Differs { kind: k, text } = verdict(read, &script, probe, &observed)
            && k == kind
        {
            return Ok(Some((observed, text)));
        }
    }
    Ok(None)
}

fn keep(
    plan: &Plan,
    host: &mut Host,
    round: &Round,
    n: usize,
    (by, kind): (&str, &str),
    name: &str,
    text: &str,
) -> Result<()> {
    let probe = &round.probes[n];
    let small = if again(host, &round.rules, probe, by, kind)?.is_some() {
        shrink::shrink(round.rules.clone(), |rules| Ok(again(host, rules, probe, by, kind)?.is_some()))?
    } else {
        println!("FAILED {name} ({by}): {text}\n  {probe}\n  not alone: only after the packets before it");
        return Ok(());
    };
    let Some((observed, text)) = again(host, &small, probe, by, kind)? else {
        println!("FAILED {name} ({by}): {text}\n  {probe}\n  not every time");
        return Ok(());
    };
    let script = small.script();
    let saved = expect::saved(&script)?.map(|s| String::from_utf8_lossy(&s).into_owned()).unwrap_or_default();
    let about = format!("{by}: {text}");
    let case = Case { about, script, probe: probe.clone(), kernel: Recorded::of(&observed, saved) };
    std::fs::create_dir_all(&plan.keep)?;
    let path = plan.keep.join(format!("{name}.toml"));
    std::fs::write(&path, case.text()?)?;
    println!("FAILED {name} ({by}, {kind}): {text}\n  {probe}");
    println!("  kernel: sender sees {:?}, arrived {:?}", observed.sees, observed.arrived);
    for (key, count) in &observed.hits {
        println!("    {key}: {count}");
    }
    for (name, value) in &case.script.sysctls {
        println!("  {name} = {value}");
    }
    for line in case.script.ipsets.lines().chain(case.script.ruleset.lines()) {
        println!("  | {line}");
    }
    println!("  kept in {}", path.display());
    Ok(())
}

/// Replays one case: what differs, by reader.
pub(crate) fn replay(hosts: &mut Hosts, case: &Case, explain: bool) -> Result<Vec<String>> {
    let host = hosts.of(case.script.backend)?;
    let reads = match load(host, &case.script)? {
        Ok(reads) => reads,
        Err(e) => return Ok(vec![format!("the tool refuses the ruleset: {e}")]),
    };
    let observed = host.send(&case.probe)?;
    let mut wrong = Vec::new();
    if (&observed.sees, &observed.arrived) != (&case.kernel.sees, &case.kernel.arrived) {
        wrong.push(format!(
            "the kernel does something else now: sender sees {:?}, arrived {:?}; recorded: {:?}, {:?}",
            observed.sees, observed.arrived, case.kernel.sees, case.kernel.arrived
        ));
    }
    for read in &reads {
        if explain {
            println!("{}: {:#?}", read.by, expect::ask(&read.ruleset, &case.script, &case.probe));
        }
        match verdict(read, &case.script, &case.probe, &observed) {
            Verdict::Same | Verdict::SameRules => {}
            Verdict::Undecided(why) => wrong.push(format!("{}: left open: {why}", read.by)),
            Verdict::Differs { kind, text } => wrong.push(format!("{} ({kind}): {text}", read.by)),
        }
    }
    Ok(wrong)
}

/// Replays all regression cases; how many passed and failed.
pub(crate) fn replay_all() -> Result<(u64, u64)> {
    let cases = case::all()?;
    let worker = || -> Result<(u64, u64)> {
        let mut hosts = Hosts::default();
        let (mut passed, mut failed) = (0, 0);
        for (name, case) in &cases {
            let wrong = replay(&mut hosts, case, false).with_context(|| name.clone())?;
            if wrong.is_empty() {
                passed += 1;
            } else {
                failed += 1;
                println!("FAILED case {name}: {}", case.about);
                wrong.iter().for_each(|w| println!("  {w}"));
            }
        }
        Ok((passed, failed))
    };
    std::thread::scope(|s| s.spawn(worker).join()).map_err(|_| anyhow::anyhow!("the replay panicked"))?
}

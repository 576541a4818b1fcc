//! Runs jobs side by side and prints one line for each.

use crate::keep;
use crate::lab::{self, Bench, Job, Verdict};
use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How many ended in which way.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// As expected.
    pub(crate) passed: usize,
    /// Not as expected.
    pub(crate) failed: usize,
    /// Not as expected once, and then as expected as often as was asked for.
    pub(crate) unsteady: usize,
    /// Not run.
    pub(crate) skipped: usize,
}

/// How many unsteady runs a whole run may have. The lab's machines are real ones on a busy host, and one in some thousand runs
/// meets a process in the middle of its end. More than that is no chance.
const UNSTEADY: usize = 2;

impl Tally {
    /// Whether the whole run counts as good. What did not run proves nothing.
    pub(crate) fn good(self, no_skip: bool) -> bool {
        self.failed == 0
            && self.unsteady <= UNSTEADY
            && self.passed + self.skipped > 0
            && !(no_skip && self.skipped > 0)
    }

    /// The last line.
    pub(crate) fn line(self) -> String {
        let Self { passed, failed, unsteady, skipped } = self;
        let unsteady = if unsteady > 0 { format!("{unsteady} UNSTEADY, ") } else { String::new() };
        format!("{passed} passed, {failed} failed, {unsteady}{skipped} skipped")
    }
}

/// Runs all jobs, `workers` at a time, and a failed one `again` times more. With a reason in `skip` none is run.
pub(crate) fn run(jobs: Vec<Job>, bench: Option<&Bench>, workers: usize, again: usize, skip: &str) -> Tally {
    let queue = Mutex::new(VecDeque::from(jobs));
    let tally = Mutex::new(Tally::default());
    let next = || queue.lock().expect("no worker panics while it holds the queue").pop_front();
    std::thread::scope(|scope| {
        for _ in 0..workers.max(1) {
            scope.spawn(|| {
                while let Some(job) = next() {
                    let start = Instant::now();
                    let verdict = match bench {
                        Some(bench) => steady(&job, bench, again),
                        None => Verdict::Skipped(skip.to_owned()),
                    };
                    let mut tally = tally.lock().expect("no worker panics while it holds the tally");
                    print(&job.name(), &verdict, start.elapsed());
                    match verdict {
                        Verdict::Passed => tally.passed += 1,
                        Verdict::Failed(_) => tally.failed += 1,
                        Verdict::Unsteady(_) => tally.unsteady += 1,
                        Verdict::Skipped(_) => tally.skipped += 1,
                    }
                }
            });
        }
    });
    tally.into_inner().expect("no worker panics while it holds the tally")
}

/// Runs a job, and once it failed until it fails again, or has passed `again` times.
fn steady(job: &Job, bench: &Bench, again: usize) -> Verdict {
    let first = match lab::run(job, bench) {
        Verdict::Failed(differences) if again > 0 => differences,
        verdict => return verdict,
    };
    if let Err(error) = keep::put_aside(&keep::folder(&bench.keep, &job.name())) {
        return Verdict::Failed([first, vec![format!("{error:#}")]].concat());
    }
    for _ in 0..again {
        match lab::run(job, bench) {
            Verdict::Passed => {}
            Verdict::Failed(_) => return Verdict::Failed(first),
            verdict => return verdict,
        }
    }
    Verdict::Unsteady(first)
}

fn print(name: &str, verdict: &Verdict, took: Duration) {
    let mut out = std::io::stdout().lock();
    let seconds = took.as_secs_f64();
    // A closed pipe is no reason to stop testing.
    let _ = match verdict {
        Verdict::Passed => writeln!(out, "ok      {name} ({seconds:.2} s)"),
        Verdict::Skipped(reason) => writeln!(out, "skipped {name}: {}", reason.replace('\n', "; ")),
        Verdict::Failed(differences) | Verdict::Unsteady(differences) => {
            let word = if matches!(verdict, Verdict::Failed(_)) { "FAILED " } else { "UNSTEADY" };
            let mut result = writeln!(out, "{word} {name} ({seconds:.2} s)");
            for difference in differences {
                result = result.and_then(|()| writeln!(out, "        {}", difference.replace('\n', "\n          ")));
            }
            result
        }
    };
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_run_proves_nothing() {
        assert!(Tally { passed: 1, skipped: 1, ..Tally::default() }.good(false));
        assert!(!Tally { passed: 1, skipped: 1, ..Tally::default() }.good(true));
        assert!(!Tally { passed: 1, failed: 1, ..Tally::default() }.good(false));
        assert!(!Tally::default().good(false));
        assert_eq!(
            Tally { passed: 3, failed: 2, skipped: 1, ..Tally::default() }.line(),
            "3 passed, 2 failed, 1 skipped"
        );
    }
    #[test]
    fn a_few_unsteady_runs_are_told_and_more_are_a_failure() {
        let tally = |unsteady| Tally { passed: 1000, unsteady, ..Tally::default() };
        assert!(tally(UNSTEADY).good(true));
        assert!(!tally(UNSTEADY + 1).good(true));
        assert_eq!(tally(1).line(), "1000 passed, 0 failed, 1 UNSTEADY, 0 skipped");
    }
}

//! Runs jobs side by side and prints one line for each.

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
    /// Not run.
    pub(crate) skipped: usize,
}

impl Tally {
    /// Whether the whole run counts as good. What did not run proves nothing.
    pub(crate) fn good(self, no_skip: bool) -> bool {
        self.failed == 0 && self.passed + self.skipped > 0 && !(no_skip && self.skipped > 0)
    }

    /// The last line.
    pub(crate) fn line(self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Runs all jobs, `workers` at a time. With a reason in `skip` none is run.
pub(crate) fn run(jobs: Vec<Job>, bench: Option<&Bench>, workers: usize, skip: &str) -> Tally {
    let queue = Mutex::new(VecDeque::from(jobs));
    let tally = Mutex::new(Tally::default());
    let next = || queue.lock().expect("no worker panics while it holds the queue").pop_front();
    std::thread::scope(|scope| {
        for _ in 0..workers.max(1) {
            scope.spawn(|| {
                while let Some(job) = next() {
                    let start = Instant::now();
                    let verdict = match bench {
                        Some(bench) => lab::run(&job, bench),
                        None => Verdict::Skipped(skip.to_owned()),
                    };
                    let mut tally = tally.lock().expect("no worker panics while it holds the tally");
                    print(&job.name(), &verdict, start.elapsed());
                    match verdict {
                        Verdict::Passed => tally.passed += 1,
                        Verdict::Failed(_) => tally.failed += 1,
                        Verdict::Skipped(_) => tally.skipped += 1,
                    }
                }
            });
        }
    });
    tally.into_inner().expect("no worker panics while it holds the tally")
}

fn print(name: &str, verdict: &Verdict, took: Duration) {
    let mut out = std::io::stdout().lock();
    let seconds = took.as_secs_f64();
    // A closed pipe is no reason to stop testing.
    let _ = match verdict {
        Verdict::Passed => writeln!(out, "ok      {name} ({seconds:.2} s)"),
        Verdict::Skipped(reason) => writeln!(out, "skipped {name}: {}", reason.replace('\n', "; ")),
        Verdict::Failed(differences) => {
            let mut result = writeln!(out, "FAILED  {name} ({seconds:.2} s)");
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
        assert!(Tally { passed: 1, failed: 0, skipped: 1 }.good(false));
        assert!(!Tally { passed: 1, failed: 0, skipped: 1 }.good(true));
        assert!(!Tally { passed: 1, failed: 1, skipped: 0 }.good(false));
        assert!(!Tally::default().good(false));
        assert_eq!(Tally { passed: 3, failed: 2, skipped: 1 }.line(), "3 passed, 2 failed, 1 skipped");
    }
}

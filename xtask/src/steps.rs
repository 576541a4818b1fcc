//! Running named steps one after another: a heading and a time for each, all of them even when one fails, a table at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::workspace;

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ran and found nothing wrong.
    Passed,
    /// It could not run, for this reason. In CI that is a failure.
    Skipped(String),
    /// It could not run because something outside this machine was out of reach: no failure even in CI.
    Unreachable(String),
    /// The caller asked to leave it out.
    LeftOut(String),
    /// It ran and something is wrong.
    Failed(String),
}

/// One step of a command.
pub(crate) struct Step {
    /// Its name in the headings and in the table.
    pub(crate) name: &'static str,
    /// Does the work. An error is a failure of this step.
    pub(crate) run: Box<dyn FnOnce() -> Result<Outcome>>,
}

impl Step {
    pub(crate) fn new(name: &'static str, run: impl FnOnce() -> Result<Outcome> + 'static) -> Self {
        Self { name, run: Box::new(run) }
    }
}

struct Done {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

/// Runs all steps, prints the table, and fails when one failed (or, in CI, was skipped).
pub(crate) fn run(steps: Vec<Step>) -> Result<()> {
    let total = steps.len();
    let start = Instant::now();
    let mut done = Vec::with_capacity(total);
    for (index, step) in steps.into_iter().enumerate() {
        println!("\n=== [{}/{total}] {} (at {}) ===", index + 1, step.name, seconds(start.elapsed()));
        let begin = Instant::now();
        let outcome = (step.run)().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        let took = begin.elapsed();
        println!("--- {}: {} in {}{}", step.name, word(&outcome), seconds(took), reason(&outcome, ": "));
        done.push(Done { name: step.name, outcome, took });
    }
    summary(&done, start.elapsed(), workspace::in_ci())
}

fn summary(done: &[Done], took: Duration, in_ci: bool) -> Result<()> {
    println!("\n=== summary ===");
    for step in done {
        println!("{:<10} {:>8}  {}{}", word(&step.outcome), seconds(step.took), step.name, reason(&step.outcome, ": "));
    }
    let count = |wanted: &[&str]| done.iter().filter(|step| wanted.contains(&word(&step.outcome))).count();
    let (passed, failed, skipped) = (count(&["passed"]), count(&["FAILED"]), count(&["SKIPPED"]));
    println!("\n{passed} passed, {failed} failed, {skipped} skipped in {}", seconds(took));
    if failed > 0 {
        bail!("{failed} of {} steps failed; the reasons are in the table above", done.len());
    }
    let not_run = done.iter().filter(|step| matches!(step.outcome, Outcome::Skipped(_))).count();
    if in_ci && not_run > 0 {
        bail!(
            "{not_run} of {} steps did not run, which in CI is a failure; the reasons are in the table above",
            done.len()
        );
    }
    if passed == 0 {
        bail!("no step ran");
    }
    Ok(())
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed(_) => "FAILED",
        Outcome::Skipped(_) | Outcome::Unreachable(_) | Outcome::LeftOut(_) => "SKIPPED",
    }
}

fn reason(outcome: &Outcome, before: &str) -> String {
    match outcome {
        Outcome::Passed => String::new(),
        Outcome::Failed(why) | Outcome::Skipped(why) | Outcome::Unreachable(why) | Outcome::LeftOut(why) => {
            format!("{before}{why}")
        }
    }
}

/// A time for people: `0.4 s`, `12.3 s`, `3 min 05 s`.
pub(crate) fn seconds(time: Duration) -> String {
    let tenths = (time.as_secs_f64() * 10.0).round() / 10.0;
    if tenths < 60.0 {
        return format!("{tenths:.1} s");
    }
    let whole = time.as_secs_f64().round() as u64;
    format!("{} min {:02} s", whole / 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(outcome: Outcome) -> Vec<Done> {
        let fine = Done { name: "fine", outcome: Outcome::Passed, took: Duration::ZERO };
        vec![fine, Done { name: "other", outcome, took: Duration::ZERO }]
    }

    #[test]
    fn a_failed_step_fails_the_whole() {
        assert!(summary(&one(Outcome::Failed("why".into())), Duration::ZERO, false).is_err());
        assert!(summary(&one(Outcome::Passed), Duration::ZERO, true).is_ok());
    }

    #[test]
    fn a_skipped_step_is_a_failure_in_ci_only() {
        assert!(summary(&one(Outcome::Skipped("no root".into())), Duration::ZERO, false).is_ok());
        assert!(summary(&one(Outcome::Skipped("no root".into())), Duration::ZERO, true).is_err());
    }

    #[test]
    fn what_is_out_of_reach_or_left_out_on_request_is_no_failure() {
        assert!(summary(&one(Outcome::Unreachable("no network".into())), Duration::ZERO, true).is_ok());
        assert!(summary(&one(Outcome::LeftOut("--no-lab".into())), Duration::ZERO, true).is_ok());
    }

    #[test]
    fn a_run_in_which_nothing_ran_is_a_failure() {
        let done = [Done { name: "lab", outcome: Outcome::LeftOut("--no-lab".into()), took: Duration::ZERO }];
        assert!(summary(&done, Duration::ZERO, false).is_err());
    }

    #[test]
    fn times_read_well() {
        assert_eq!(seconds(Duration::from_millis(340)), "0.3 s");
        assert_eq!(seconds(Duration::from_millis(59_960)), "1 min 00 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 05 s");
    }
}

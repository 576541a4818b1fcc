//! `cargo xtask test`: everything that CI runs; and its quick part, `prepush`.

use anyhow::Result;

use crate::steps::{self, Outcome, Step};
use crate::{cargo, differential, fuzz, generate, install, lab, tidy};

/// What to leave out.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave out the fuzz targets
    #[arg(long)]
    no_fuzz: bool,
    /// Leave out the lab
    #[arg(long)]
    no_lab: bool,
}

/// `cargo xtask test`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut steps = vec![Step::new("install what is missing", install::step)];
    steps.extend(quick());
    steps.push(Step::new("doc", cargo::doc));
    steps.push(Step::new("advisories", cargo::advisories));
    steps.push(unless(options.no_fuzz, "--no-fuzz", Step::new("fuzz", fuzz::step)));
    steps.push(Step::new("differential", differential::step));
    steps.push(unless(options.no_lab, "--no-lab", Step::new("lab", lab::step)));
    steps::run(steps)
}

/// `cargo xtask prepush`.
pub(crate) fn prepush() -> Result<()> {
    steps::run(quick())
}

/// The steps that need no privilege and few minutes; the quickest first.
fn quick() -> Vec<Step> {
    vec![
        Step::new("fmt", cargo::fmt),
        Step::new("tidy", tidy::step),
        Step::new("gen --check", generate::check_step),
        Step::new("clippy", cargo::clippy),
        Step::new("tests", cargo::tests),
        Step::new("doc tests", cargo::doc_tests),
        Step::new("deny", cargo::deny),
    ]
}

fn unless(left_out: bool, option: &'static str, step: Step) -> Step {
    if !left_out {
        return step;
    }
    Step::new(step.name, move || Ok(Outcome::LeftOut(format!("asked for by {option}"))))
}

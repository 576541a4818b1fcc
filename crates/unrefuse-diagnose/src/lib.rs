//! Facts in, report out.
//!
//! A [`unrefuse_facts::Case`] holds everything that was seen for one question. [`diagnose`] walks the gates that the
//! packet meets, asks every rule of each gate, follows the whys of what fired, and gives a [`report::Report`].
//! Nothing here does I/O; a rule never calls another rule: the engine asks.
#![forbid(unsafe_code)]

mod again;
mod certainty;
mod containers;
mod early;
mod engine;
mod filter;
mod finding;
mod fix;
mod gate;
mod inside;
mod journey;
mod notes;
mod reach;
mod refuser;
pub mod report;
mod rule;
mod rules;
#[cfg(test)]
mod testing;
mod times;
mod unanswered;
mod view;

pub use early::{Early, gives_up};
pub use finding::{CannotTell, Finding, Fired};
pub use gate::Gate;
pub use reach::reachable_from;
pub use refuser::{Refuser, Who, refuser};
pub use report::Report;
pub use rule::{Check, HEADINGS, Rule, When};
pub use rules::{find, registry};
pub use view::View;

/// Turns what was seen into the report. `elapsed` is the wall-clock time of the whole diagnosis so far.
pub fn diagnose(case: &unrefuse_facts::Case, elapsed: std::time::Duration) -> Report {
    let mut report = engine::diagnose(case, elapsed);
    inside::moved(case, &mut report);
    report
}

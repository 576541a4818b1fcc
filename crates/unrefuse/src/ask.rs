//! Asking a collector on a thread of its own, under a deadline.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use unrefuse_facts::{Missing, Observed, Reason};

/// An answer that is on its way.
pub(crate) struct Asked<T> {
    what: String,
    until: Instant,
    started: Instant,
    receiver: Receiver<T>,
}

/// Runs `collect` on a thread of its own. A thread that misses its deadline is left behind: it holds nothing that others
/// wait for, and ends with the process.
pub(crate) fn ask<T: Send + 'static>(
    what: impl Into<String>,
    until: Instant,
    collect: impl FnOnce() -> T + Send + 'static,
) -> Asked<T> {
    let (sender, receiver) = channel();
    // Where no thread can be had the sender is dropped, and waiting says so.
    let _ = std::thread::Builder::new().stack_size(512 * 1024).spawn(move || {
        let _ = sender.send(collect());
    });
    Asked { what: what.into(), until, started: Instant::now(), receiver }
}

impl<T> Asked<T> {
    /// The answer, or why it did not come.
    pub(crate) fn wait(self) -> Result<T, Missing> {
        self.receiver.recv_timeout(self.until.saturating_duration_since(Instant::now())).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                let waited = match self.started.elapsed().as_millis() {
                    _ if self.until <= self.started => "no time was left to look".to_owned(),
                    waited => format!("no answer within {waited} ms"),
                };
                Missing::new(Reason::TimedOut, format!("{}: {waited}", self.what))
                    .remedy("ask again with a longer --deadline")
            }
            RecvTimeoutError::Disconnected => Missing::new(Reason::Failed, format!("{}: the look failed", self.what)),
        })
    }

    /// The answer if it comes within `patience`; else the question stays open and may be waited for again.
    pub(crate) fn wait_for(&self, patience: Duration) -> Option<T> {
        let until = self.until.min(Instant::now() + patience);
        self.receiver.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
    }
}

impl<T> Asked<Observed<T>> {
    /// The fact, missing where it did not come in time.
    pub(crate) fn fact(self) -> Observed<T> {
        self.wait().unwrap_or_else(Observed::Missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_time_is_given() {
        let asked = ask("seven", Instant::now() + Duration::from_secs(30), || {
            Observed::known(7, unrefuse_facts::Source::running("x"))
        });
        assert_eq!(asked.fact().value(), Some(&7));
    }

    #[test]
    fn a_late_answer_is_a_fact_of_its_own() {
        let (hold, held) = channel::<()>();
        let asked: Asked<Observed<u8>> = ask("a silent bus", Instant::now() + Duration::from_millis(5), move || {
            let _ = held.recv();
            Observed::default()
        });
        let fact = asked.fact();
        assert_eq!(fact.missing().unwrap().reason, Reason::TimedOut);
        assert!(fact.missing().unwrap().detail.starts_with("a silent bus: no answer"));
        drop(hold);
    }

    #[test]
    fn without_time_it_is_said_that_nobody_waited() {
        let (hold, held) = channel::<()>();
        let asked: Asked<Observed<u8>> = ask("the bus", Instant::now(), move || {
            let _ = held.recv();
            Observed::default()
        });
        assert_eq!(asked.fact().missing().unwrap().detail, "the bus: no time was left to look");
        drop(hold);
    }

    #[test]
    fn a_panicking_collector_is_a_missing_fact() {
        let asked: Asked<Observed<u8>> = ask("x", Instant::now() + Duration::from_secs(30), || {
            std::panic::resume_unwind(Box::new("collector broke"))
        });
        assert_eq!(asked.fact().missing().unwrap().reason, Reason::Failed);
    }
}

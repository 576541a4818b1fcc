//! A line on standard error while something takes long; nothing where standard error is no terminal.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use unrefuse_facts::text::clip;

/// Shown until dropped.
pub(crate) struct Progress {
    stop: Option<(Sender<()>, JoinHandle<()>)>,
}

/// Nobody misses a progress line for less than this.
const PATIENCE: Duration = Duration::from_millis(700);

impl Progress {
    /// Says `what` and how long it has taken, once it takes long.
    pub(crate) fn start(what: String) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { stop: None };
        }
        let (sender, receiver) = channel();
        let started = Instant::now();
        let thread = std::thread::Builder::new().spawn(move || {
            let mut shown = false;
            let mut patience = PATIENCE;
            while let Err(RecvTimeoutError::Timeout) = receiver.recv_timeout(patience) {
                // A line that the terminal breaks could not be taken back.
                let room = terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| width.0);
                let what = clip(&what, usize::from(room).saturating_sub(" … 86400 s".len()));
                eprint!("\r\x1b[K{what} … {:.0} s", started.elapsed().as_secs_f64());
                let _ = std::io::stderr().flush();
                shown = true;
                patience = Duration::from_millis(250);
            }
            if shown {
                eprint!("\r\x1b[K");
            }
        });
        Self { stop: thread.ok().map(|thread| (sender, thread)) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.stop.take() {
            drop(sender);
            let _ = thread.join();
        }
    }
}

//! Running a command and taking its time and its peak memory.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What one run cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// From before the start to after the end.
    pub(super) elapsed: Duration,
    /// Time on a processor, in user space and in the kernel: what remains comparable on a busy machine.
    pub(super) cpu: Duration,
    /// Peak resident memory, in bytes.
    pub(super) memory: u64,
}

/// Whether a command did its work, by its exit status and its standard output.
type DidIt = Box<dyn Fn(ExitStatus, &str) -> bool + Send>;

/// A command that is measured.
pub(super) struct Subject {
    /// How it is called in the table.
    pub(super) name: String,
    /// The program and its arguments.
    pub(super) command: Vec<String>,
    /// So that nobody measures an error.
    did_it: DidIt,
    /// An argument more for the unmeasured run, so that its output can be read by a program.
    readable: Option<&'static str>,
}

impl Subject {
    /// A command by words.
    pub(super) fn new(command: &str, did_it: impl Fn(ExitStatus, &str) -> bool + Send + 'static) -> Self {
        Self::words(command.split(' ').map(str::to_owned).collect(), did_it)
    }

    /// A command whose words hold spaces.
    pub(super) fn words(command: Vec<String>, did_it: impl Fn(ExitStatus, &str) -> bool + Send + 'static) -> Self {
        Self { name: command.join(" "), command, did_it: Box::new(did_it), readable: None }
    }

    /// A command by words, under another name.
    pub(super) fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// The same, which did its work where its output holds this line.
    pub(super) fn holding(self, line: String) -> Self {
        let did_it = move |status: ExitStatus, output: &str| status.success() && output.lines().any(|l| l == line);
        Self { did_it: Box::new(did_it), ..self }
    }

    /// The same, whose unmeasured run is given one argument more.
    pub(super) fn verified_with(self, argument: &'static str) -> Self {
        Self { readable: Some(argument), ..self }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).stdin(Stdio::null());
        command
    }

    /// Runs it once unmeasured, and holds its answer against what is expected.
    pub(super) fn verify(&self) -> Result<Duration> {
        let start = Instant::now();
        let Output { status, stdout, stderr } =
            self.command().args(self.readable).output().with_context(|| format!("cannot start `{}`", self.name))?;
        let took = start.elapsed();
        let text = String::from_utf8_lossy(&stdout);
        if !(self.did_it)(status, &text) {
            let tail = |text: &str| {
                text.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
            };
            bail!(
                "`{}` did not do what is to be measured ({status}, {} lines):\n{}\n{}",
                self.name,
                text.lines().count(),
                tail(&text),
                tail(&String::from_utf8_lossy(&stderr))
            );
        }
        Ok(took)
    }

    /// Runs it once with its output thrown away.
    pub(super) fn measure(&self) -> Result<Sample> {
        let mut command = self.command();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: the closure does nothing. It is there because with one the standard library forks instead of sharing
        // this process's memory with the child until exec, at which the kernel (exec_mmap in fs/exec.c) adds the peak of
        // the memory that is left to the child's account: that of a fork holds little.
        unsafe { command.pre_exec(|| Ok(())) };
        let start = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start `{}`", self.name))?;
        let (cpu, memory) = wait(child.id())?;
        Ok(Sample { elapsed: start.elapsed(), cpu, memory })
    }
}

/// Gives back to the kernel what earlier works and their output took of memory: each child begins as a copy of this
/// process, which takes longer, and counts as the child's peak, the larger it is.
pub(super) fn stay_small() {
    // SAFETY: it touches free memory only.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Waits for a child and gives its time on a processor and its peak resident memory in bytes.
///
/// getrusage(2): `ru_maxrss` is in KiB.
fn wait(pid: u32) -> Result<(Duration, u64)> {
    let pid = libc::pid_t::try_from(pid)?;
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    loop {
        // SAFETY: both pointers lead to values of the types that wait4(2) fills, alive for the call. `pid` is our child,
        // which nobody else waits for: `Child` is dropped without waiting.
        let ended = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
        if ended == pid {
            break;
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error).context("wait4");
        }
    }
    if let Some(signal) = ExitStatus::from_raw(status).signal() {
        bail!("a measured command was killed by signal {signal}");
    }
    // SAFETY: wait4 succeeded and has filled it; zeroed before, it is valid even where the kernel leaves fields alone.
    let usage = unsafe { usage.assume_init() };
    let time = |spent: libc::timeval| -> Result<Duration> {
        Ok(Duration::from_secs(u64::try_from(spent.tv_sec)?) + Duration::from_micros(u64::try_from(spent.tv_usec)?))
    };
    Ok((time(usage.ru_utime)? + time(usage.ru_stime)?, u64::try_from(usage.ru_maxrss)? * 1024))
}

/// The middle of the samples' times, and the highest of their peaks.
pub(super) fn median(samples: &[Sample]) -> Option<Sample> {
    let elapsed = middle(samples.iter().map(|sample| sample.elapsed).collect())?;
    let cpu = middle(samples.iter().map(|sample| sample.cpu).collect())?;
    Some(Sample { elapsed, cpu, memory: samples.iter().map(|sample| sample.memory).max()? })
}

fn middle(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort_unstable();
    let middle = *times.get(times.len() / 2)?;
    Some(if times.len().is_multiple_of(2) { (middle + times[times.len() / 2 - 1]) / 2 } else { middle })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middle_ones() {
        let samples = |times: &[u64]| -> Vec<Sample> {
            times
                .iter()
                .map(|ms| Sample { elapsed: Duration::from_millis(*ms), cpu: Duration::from_micros(*ms), memory: *ms })
                .collect()
        };
        assert_eq!(median(&samples(&[9, 1, 2])).unwrap().elapsed, Duration::from_millis(2));
        assert_eq!(median(&samples(&[4, 1, 2, 9])).unwrap().elapsed, Duration::from_millis(3));
        assert_eq!(median(&samples(&[4, 1, 2, 9])).unwrap().memory, 9);
        assert_eq!(median(&samples(&[9, 1, 2])).unwrap().cpu, Duration::from_micros(2));
        assert!(median(&[]).is_none());
    }

    #[test]
    fn a_command_that_did_something_else_is_not_measured() {
        assert!(Subject::new("true", |status, _| status.success()).verify().is_ok());
        let error = Subject::new("false", |status, _| status.success()).verify().unwrap_err();
        assert!(error.to_string().contains("`false` did not do what is to be measured"), "{error}");
    }

    #[test]
    fn a_measured_run_has_a_time_and_a_peak() {
        let sample = Subject::new("true", |_, _| true).measure().unwrap();
        assert!(sample.elapsed > Duration::ZERO && (100_000..4_000_000).contains(&sample.memory), "{sample:?}");
        assert!(Subject::new("/no/such/program", |_, _| true).measure().is_err());
    }
}

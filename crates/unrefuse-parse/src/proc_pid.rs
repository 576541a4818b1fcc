//! What /proc/PID tells of a process.

mod cgroup;
mod status;

pub use cgroup::cgroup;
pub use status::{capabilities, nofile_limit, uid};

use crate::lines;
use unrefuse_facts::{ProcessState, text};

/// The fields of /proc/PID/stat that matter here (proc_pid_stat(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Process id (field 1).
    pub pid: u32,
    /// Command name, at most 15 bytes (field 2, without its parentheses).
    pub comm: String,
    /// State (field 3).
    pub state: ProcessState,
    /// Process id of the parent (field 4).
    pub ppid: u32,
    /// Start, in clock ticks since boot (field 22).
    pub start_ticks: u64,
}

/// /proc/PID/stat.
///
/// A command name may hold anything, blanks, parentheses and line feeds too: it ends at the *last* closing
/// parenthesis, since only numbers follow. `None` where that is not what the bytes are.
///
/// ```text
/// 7055 (cat) R 7045 7045 4687 0 -1 4194304 99 0 0 0 0 0 0 0 20 0 1 0 97715 3133440 383 18446744073709551615 …
/// ```
/// ```
/// let sample = b"7055 (cat) R 7045 7045 4687 0 -1 4194304 99 0 0 0 0 0 0 0 20 0 1 0 97715 3133440 383\n";
/// let stat = unrefuse_parse::proc_pid::stat(sample).unwrap();
/// assert_eq!((stat.pid, stat.comm.as_str(), stat.ppid, stat.start_ticks), (7055, "cat", 7045, 97715));
/// ```
pub fn stat(bytes: &[u8]) -> Option<Stat> {
    let open = bytes.iter().position(|&b| b == b'(')?;
    let close = bytes.iter().rposition(|&b| b == b')')?;
    let comm = bytes.get(open + 1..close)?;
    let mut fields = lines::words(&bytes[close + 1..]);
    Some(Stat {
        pid: lines::decimal(bytes[..open].trim_ascii())?,
        comm: text::from_bytes(comm),
        state: state(fields.next()?)?,
        ppid: lines::decimal(fields.next()?)?,
        start_ticks: lines::decimal(fields.nth(17)?)?,
    })
}

/// fs/proc/array.c, `task_state_array`, and the letters of older kernels.
fn state(letter: &[u8]) -> Option<ProcessState> {
    Some(match letter {
        b"R" => ProcessState::Running,
        // Idle kernel thread, parked, wakekill and waking are all asleep as far as a listener goes.
        b"S" | b"I" | b"P" | b"K" | b"W" => ProcessState::Sleeping,
        b"D" => ProcessState::DiskSleep,
        b"T" => ProcessState::Stopped,
        b"t" => ProcessState::Traced,
        b"Z" | b"X" | b"x" => ProcessState::Dead,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REST: &str = "T 7045 7045 4687 0 -1 4194304 99 0 0 0 0 0 0 0 20 0 1 0 97715 3133440 383 0";

    #[test]
    fn a_command_name_may_hold_anything() {
        for name in ["a b", "evil) S 1 (", "((sd-pam))", "a\nb", ")", "", "1 (x) R 2"] {
            let found = stat(format!("12 ({name}) {REST}\n").as_bytes()).unwrap();
            assert_eq!(found.comm, name);
            assert_eq!((found.pid, found.ppid, found.start_ticks), (12, 7045, 97715));
            assert_eq!(found.state, ProcessState::Stopped);
        }
        assert_eq!(stat(format!("1 (\u{1b}[\0) {REST}").as_bytes()).unwrap().comm, "\u{1b}[\0");
        assert_eq!(stat(&[b"1 (\xff) ", REST.as_bytes()].concat()).unwrap().comm, "\\xff");
    }

    #[test]
    fn what_is_cut_off_is_nothing() {
        let whole = format!("12 (x) {REST}");
        let end = whole.find("97715").unwrap();
        for cut in 0..=end {
            assert_eq!(stat(&whole.as_bytes()[..cut]), None, "{cut}");
        }
        assert_eq!(stat(b")("), None);
        assert_eq!(stat(b"1 (x) ? 1 1"), None);
    }

    #[test]
    fn the_states() {
        let of = |letter| stat(format!("1 (x) {letter}{}", &REST[1..]).as_bytes()).unwrap().state;
        assert_eq!(of("t"), ProcessState::Traced);
        assert_eq!(of("I"), ProcessState::Sleeping);
        assert_eq!(of("D"), ProcessState::DiskSleep);
        assert_eq!(of("Z"), ProcessState::Dead);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (stat(&bytes), cgroup(&bytes), nofile_limit(&bytes), capabilities(&bytes), uid(&bytes));
        }
    }
}

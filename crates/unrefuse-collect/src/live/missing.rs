//! Error numbers of looking, as reasons why a fact is missing.

use rustix::io::Errno;
use unrefuse_facts::{Missing, Reason};

/// What helps when a file or a kernel interface is closed to this user. Root in a container or sandbox is not the
/// machine's root.
pub(crate) fn as_root() -> &'static str {
    if rustix::process::geteuid().is_root() {
        "run unrefuse on the machine itself, outside of containers and sandboxes"
    } else {
        "run unrefuse as root"
    }
}

/// `what` (an operation with its object: `open /etc/hosts`) failed with `errno`.
pub(crate) fn missing(what: &str, errno: Errno) -> Missing {
    let number = unrefuse_facts::Errno(errno.raw_os_error());
    let text = number.text().map_or_else(|| errno.to_string(), str::to_owned);
    let missing = Missing::new(reason(errno), format!("{what}: {text}"));
    match missing.reason {
        Reason::Forbidden => missing.remedy(as_root()),
        _ => missing,
    }
}

fn reason(errno: Errno) -> Reason {
    match errno {
        Errno::ACCESS | Errno::PERM => Reason::Forbidden,
        Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::SRCH | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT => {
            Reason::Absent
        }
        // A netlink socket's receive time-out ends in EAGAIN (socket(7), SO_RCVTIMEO).
        Errno::TIMEDOUT | Errno::AGAIN => Reason::TimedOut,
        _ => Reason::Failed,
    }
}

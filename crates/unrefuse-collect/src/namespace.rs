//! Standing in another network namespace (`--netns NAME|PID`).

use crate::live::namespaces::{NAMES, names};
use crate::live::own;
use rustix::fd::AsFd;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use unrefuse_facts::text::visible;

/// Why a network namespace could not be entered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnterError {
    /// No namespace has that name, and it is no process id.
    #[error("no network namespace `{}`: {}", visible(.name), known_names(.known))]
    NoSuchName {
        /// The name asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// No process has that id.
    #[error("no process {0}: its network namespace cannot be entered")]
    NoSuchProcess(u32),
    /// The kernel does not let this user.
    #[error("network namespace `{}`: {operation} is not permitted: it needs CAP_SYS_ADMIN, run unrefuse as root", visible(.spec))]
    Forbidden {
        /// What was asked for.
        spec: String,
        /// What was refused: `open /proc/812/ns/net`, `setns`.
        operation: String,
    },
    /// Another error of open(2) or setns(2).
    #[error("network namespace `{}`: {operation}: {errno}", visible(.spec))]
    Failed {
        /// What was asked for.
        spec: String,
        /// What failed.
        operation: String,
        /// How.
        errno: unrefuse_facts::Errno,
    },
}

fn known_names(known: &[String]) -> String {
    match known {
        [] => format!("{NAMES} has none"),
        known => format!("{NAMES} has {}", known.iter().map(|name| visible(name)).collect::<Vec<_>>().join(", ")),
    }
}

/// Whether the file, as systemd's `NetworkNamespacePath=` names one, is this thread's network namespace.
pub fn is_this(path: &str) -> bool {
    let own = own::namespace("/proc/thread-self/ns/net");
    // A namespace's file has its number (nsfs, namespaces(7)).
    own.is_some() && own == rustix::fs::stat(path).ok().map(|stat| stat.st_ino)
}

/// The name of this process's network namespace, where whoever started it stands in another one: `ip netns exec NAME`. What
/// is printed is pasted out there.
///
/// `None` also where that namespace has files of its own under /etc/netns (ip-netns(8)): entering it by its name alone would
/// not show those.
pub fn started_in() -> Option<String> {
    let own = own::namespace("/proc/thread-self/ns/net")?;
    let parent = rustix::process::getppid()?.as_raw_nonzero();
    own::namespace(&format!("/proc/{parent}/ns/net")).filter(|outside| *outside != own)?;
    let (name, _) = names().into_iter().find(|(_, inode)| *inode == own)?;
    rustix::fs::stat(format!("/etc/netns/{name}")).is_err().then_some(name)
}

/// Moves the calling thread into a network namespace: a name under /run/netns (ip-netns(8)), or that of a process.
///
/// Threads started later inherit it, threads that run already do not: call it first in `main`. A number is a process
/// id, unless a namespace has it for a name.
pub fn enter(spec: &str) -> Result<(), EnterError> {
    let named = !spec.is_empty() && !spec.contains(['/', '\0']) && !matches!(spec, "." | "..");
    let file = named.then(|| format!("{NAMES}/{spec}")).filter(|path| rustix::fs::stat(path).is_ok());
    let pid = spec.parse::<u32>().ok().filter(|&pid| pid > 0);
    let path = match (file, pid) {
        (Some(path), _) => path,
        (None, Some(pid)) => format!("/proc/{pid}/ns/net"),
        (None, None) => {
            let known = names().into_iter().map(|(name, _)| name).collect();
            return Err(EnterError::NoSuchName { name: spec.to_owned(), known });
        }
    };
    let failed = |operation: &str, errno: Errno| match (errno, pid) {
        (Errno::ACCESS | Errno::PERM, _) => {
            EnterError::Forbidden { spec: spec.to_owned(), operation: operation.to_owned() }
        }
        (Errno::NOENT | Errno::SRCH, Some(pid)) => EnterError::NoSuchProcess(pid),
        (errno, _) => EnterError::Failed {
            spec: spec.to_owned(),
            operation: operation.to_owned(),
            errno: unrefuse_facts::Errno(errno.raw_os_error()),
        },
    };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(CWD, &path, flags, Mode::empty()).map_err(|e| failed(&format!("open {path}"), e))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|e| failed("setns", e))
}

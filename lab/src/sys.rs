//! The few system calls that no library used here wraps, and waiting with a deadline.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// More than this of a command's output is cut off, in bytes.
const OUTPUT_LIMIT: u64 = 8 << 20;

/// A file descriptor that stands for a process (pidfd_open(2), Linux 5.3).
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// A file in memory that both a child and we can use.
pub(crate) fn memory_file() -> io::Result<File> {
    let fd = nix::sys::memfd::memfd_create(c"unrefuse-lab", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
    Ok(File::from(fd))
}

/// What was written to a memory file so far, as bytes.
pub(crate) fn contents(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(OUTPUT_LIMIT).read_to_end(&mut bytes));
    if let Err(error) = read {
        bytes.extend_from_slice(format!("\n[output not read: {error}]").as_bytes());
    }
    bytes
}

/// Waits until `fd` can be read (or, for a pidfd, its process has ended); `false` when the deadline came first.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let millis = i32::try_from(left.as_millis()).unwrap_or(i32::MAX).saturating_add(1);
        let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd, and the count says one.
        match unsafe { libc::poll(&mut poll, 1, millis) } {
            0 if Instant::now() >= deadline => return Ok(false),
            n if n > 0 => return Ok(true),
            n if n < 0 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            _ => {}
        }
    }
}

/// Waits for a child until the deadline, then kills it. `None` when it had to be killed.
pub(crate) fn wait_child(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    let ended = match pidfd_open(child.id()) {
        Ok(pidfd) => wait_readable(pidfd.as_fd(), deadline)?,
        Err(error) => {
            let _ = child.kill();
            return Err(error);
        }
    };
    if !ended {
        child.kill()?;
    }
    let status = child.wait()?;
    Ok(ended.then_some(status))
}

/// Asks `condition` again and again until it says yes or the deadline comes; `false`: the deadline came.
pub(crate) fn poll_until(deadline: Instant, mut condition: impl FnMut() -> bool) -> bool {
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

//! Directories of /proc, listed without allocation per entry.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, RawDir};
use rustix::io::Errno;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;

/// Opens a directory relative to `at`.
pub(super) fn open(at: impl AsFd, path: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// /proc itself.
pub(crate) fn root() -> Result<OwnedFd, Errno> {
    open(CWD, c"/proc")
}

/// Calls `each` with every name that is a number, such as a process id or a file descriptor, in the kernel's order.
pub(super) fn numbers(dir: impl AsFd, mut each: impl FnMut(u32, &CStr) -> ControlFlow<()>) -> Result<(), Errno> {
    let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
    let mut entries = RawDir::new(dir, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(number) = decimal(name.to_bytes())
            && each(number, name).is_break()
        {
            break;
        }
    }
    Ok(())
}

/// The process ids, rising.
pub(crate) fn processes(proc: impl AsFd) -> Result<Vec<u32>, Errno> {
    let mut pids = Vec::with_capacity(512);
    numbers(proc, |pid, _| {
        pids.push(pid);
        ControlFlow::Continue(())
    })?;
    pids.sort_unstable();
    Ok(pids)
}

/// A decimal number of digits only.
pub(super) fn decimal(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u32, |number, &byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then_some(())?;
        number.checked_mul(10)?.checked_add(u32::from(digit))
    })
}

/// The inode in the target of a magic link, 7 of `socket:[7]` for the kind `socket:[` (proc_pid_fd(5)).
pub(super) fn magic_inode(target: &[u8], kind: &[u8]) -> Option<u64> {
    let digits = target.strip_prefix(kind)?.strip_suffix(b"]")?;
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| number * 10 + u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_links() {
        assert_eq!(decimal(b"4294967295"), Some(u32::MAX));
        assert_eq!(decimal(b"4294967296"), None);
        assert_eq!(decimal(b""), None);
        assert_eq!(decimal(b"self"), None);
        assert_eq!(magic_inode(b"socket:[123]", b"socket:["), Some(123));
        assert_eq!(magic_inode(b"socket:[123", b"socket:["), None);
        assert_eq!(magic_inode(b"socket:[]", b"socket:["), None);
        assert_eq!(magic_inode(b"/tmp/socket:[1]", b"socket:["), None);
    }
}

//! System calls that the standard library lacks.

use anyhow::{Context as _, Result, ensure};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

/// Moves this thread to a network namespace of its own. The processes that it starts are there, too.
pub(crate) fn unshare_network() -> Result<()> {
    // SAFETY: no pointers.
    ensure!(unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0, "unshare: {}", io::Error::last_os_error());
    Ok(())
}

/// Moves this thread to a network namespace.
pub(crate) fn enter_network(namespace: &File) -> Result<()> {
    // SAFETY: the descriptor is open, and no pointers are passed.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    ensure!(result == 0, "setns: {}", io::Error::last_os_error());
    Ok(())
}

/// Whether this process may do so.
pub(crate) fn is_root() -> bool {
    // SAFETY: no arguments, always successful.
    unsafe { libc::geteuid() == 0 }
}

/// User and group id of the files that this thread makes: those of its sockets are what `--uid-owner` sees.
pub(crate) fn set_file_ids(uid: u32, gid: u32) {
    // SAFETY: both change the calling thread's credentials only, and take no pointers.
    unsafe {
        libc::syscall(libc::SYS_setfsgid, gid);
        libc::syscall(libc::SYS_setfsuid, uid);
    }
}

/// Makes a TAP device (TUN(4), linux/if_tun.h) in this thread's namespace.
pub(crate) fn tap(name: &str) -> Result<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .context("/dev/net/tun cannot be opened")?;
    // SAFETY: all bits zero are a value of this plain structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(15)) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the request is a whole ifreq and outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &request) };
    ensure!(result == 0, "the TAP device {name} cannot be made: {}", io::Error::last_os_error());
    Ok(file)
}

/// A socket that does not block and is closed on exec.
pub(crate) fn socket(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, protocol) };
    ensure!(fd >= 0, "socket({family}, {kind}, {protocol}): {}", io::Error::last_os_error());
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// setsockopt(2) with a number.
pub(crate) fn set_option(fd: &OwnedFd, level: i32, option: i32, value: i32) -> Result<()> {
    // SAFETY: the pointer is to a whole int, whose size is given.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const value).cast(), size_of::<i32>() as u32) };
    ensure!(result == 0, "setsockopt({level}, {option}): {}", io::Error::last_os_error());
    Ok(())
}

/// getsockopt(2) into bytes; what they hold is input, too.
pub(crate) fn get_option(fd: &OwnedFd, level: i32, option: i32, bytes: &mut [u8]) -> io::Result<usize> {
    let mut length = bytes.len() as libc::socklen_t;
    // SAFETY: the pointer is to `length` writable bytes.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, bytes.as_mut_ptr().cast(), &raw mut length) };
    if result == 0 { Ok(length as usize) } else { Err(io::Error::last_os_error()) }
}

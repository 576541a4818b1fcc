//! Tables of legacy iptables, by getsockopt (net/ipv4/netfilter/ip_tables.c, `do_ipt_get_ctl`).
//!
//! Asking for a table that is not there would make it, with its hooks. So only those are asked for that
//! /proc/net/ip_tables_names lists: the tables that this network namespace has.

use crate::live::files;
use crate::live::missing::missing;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::collections::HashMap;
use unrefuse_facts::{Missing, Reason};
use unrefuse_firewall::model::{Family, Problem, Table};
use unrefuse_firewall::xt::legacy::{Layout, decode};

/// `IPT_SO_GET_INFO`, `IPT_SO_GET_ENTRIES`; ip6tables has the same numbers.
const GET_INFO: i32 = 64;
const GET_ENTRIES: i32 = 65;
/// `struct ipt_getinfo`.
const INFO: usize = 84;
/// `struct ipt_get_entries` before the entries, which are aligned to 8 bytes.
const HEAD: usize = 40;
/// A name of a table (`XT_TABLE_MAXNAMELEN`).
const NAME: usize = 32;
/// Tables larger than this are not read.
const MOST: usize = 1 << 30;
/// How often reading starts again when the table changed meanwhile.
const TRIES: u32 = 3;

/// The legacy tables of this namespace and a family.
pub(super) fn names(family: Family) -> Result<Vec<String>, Missing> {
    let file = match family {
        Family::Ip6 => "/proc/thread-self/net/ip6_tables_names",
        _ => "/proc/thread-self/net/ip_tables_names",
    };
    match files::read(file) {
        Ok(bytes) => {
            let names = bytes.split(|&b| b == b'\n').filter(|name| !name.is_empty() && name.len() < NAME);
            Ok(names.map(unrefuse_facts::text::from_bytes).collect())
        }
        // The module is not there, and so no table is.
        Err(missing) if missing.reason == Reason::Absent => Ok(Vec::new()),
        Err(missing) => Err(missing),
    }
}

/// Reads a table that [`names`] lists.
pub(super) fn table(
    family: Family,
    name: &str,
    ipsets: &HashMap<u16, String>,
) -> Result<(Table, Vec<Problem>), Missing> {
    let (domain, level) = match family {
        Family::Ip6 => (AddressFamily::INET6, libc::SOL_IPV6),
        _ => (AddressFamily::INET, libc::SOL_IP),
    };
    let what = format!("legacy table {name}");
    let raw = rustix::net::ipproto::RAW;
    let socket = rustix::net::socket_with(domain, SocketType::RAW, SocketFlags::CLOEXEC, Some(raw))
        .map_err(|e| missing(&format!("{what}: raw socket"), e))?;
    let mut last = Errno::AGAIN;
    for _ in 0..TRIES {
        match read(&socket, level, name) {
            Ok((layout, entries)) => return Ok(decode(family, name, &layout, &entries, ipsets)),
            // The size changed between the two questions (get_entries: -EAGAIN).
            Err(Errno::AGAIN) => {}
            Err(e) => {
                last = e;
                break;
            }
        }
    }
    Err(missing(&format!("{what}: getsockopt"), last))
}

fn read(socket: &OwnedFd, level: i32, name: &str) -> Result<(Layout, Vec<u8>), Errno> {
    let mut info = vec![0; INFO];
    info[..name.len()].copy_from_slice(name.as_bytes());
    ask(socket, level, GET_INFO, &mut info)?;
    let layout = Layout::read(&info).ok_or(Errno::BADMSG)?;
    let size = layout.size as usize;
    if size > MOST {
        return Err(Errno::FBIG);
    }
    let mut entries = vec![0; HEAD + size];
    entries[..name.len()].copy_from_slice(name.as_bytes());
    entries[NAME..NAME + 4].copy_from_slice(&layout.size.to_ne_bytes());
    ask(socket, level, GET_ENTRIES, &mut entries)?;
    entries.drain(..HEAD);
    Ok((layout, entries))
}

/// getsockopt(2) with a buffer that is read and written.
fn ask(socket: impl AsFd, level: i32, option: i32, buffer: &mut [u8]) -> Result<(), Errno> {
    let mut length = libc::socklen_t::try_from(buffer.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the kernel reads and writes at most `length` bytes of `buffer`, which is that long and lives on.
    let result = unsafe {
        libc::getsockopt(socket.as_fd().as_raw_fd(), level, option, buffer.as_mut_ptr().cast(), &raw mut length)
    };
    if result == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(last_errno())) }
}

fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

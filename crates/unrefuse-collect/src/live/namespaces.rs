//! The machine's other network namespaces (network_namespaces(7)).
//!
//! Where setns(2) is allowed, a thread of its own enters each and asks the kernel there. Where it is not, the tables in
//! /proc/PID/net of a process that lives there are read: they are open to everybody, only the namespace's own number is
//! not. Namespaces are told apart by the number of their /proc/PID/net/tcp then, which differs between them.

use super::missing::{as_root, missing};
use super::netlink::Netlink;
use super::owners;
use super::{links, modules, own, proc_dir, process, sockets};
use crate::{Owners as Wish, SocketQuery};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use unrefuse_facts::{
    InterfaceAddress, Missing, NetNamespace, Observed, Reason, SocketTable, Source, text::from_bytes,
};

/// Where ip-netns(8) keeps names.
pub(crate) const NAMES: &str = "/run/netns";
/// `NSFS_MAGIC`: what a bind-mounted namespace is of.
const NSFS: i64 = 0x6e73_6673;
/// At most this many namespaces are looked into, for at most this long.
const MOST: usize = 2000;
const PATIENCE: Duration = Duration::from_secs(2);

/// A namespace that is not ours, and how to get at it.
#[derive(Default)]
struct Found {
    /// 0 where this user may not know it.
    inode: u64,
    name: Option<String>,
    pid: Option<u32>,
}

/// What was seen inside one.
pub(crate) struct Seen {
    pub(crate) table: Observed<SocketTable>,
    pub(crate) addresses: Observed<Vec<InterfaceAddress>>,
}

/// Whose addresses are wanted.
enum Extent {
    /// Of namespaces that have a listener.
    WithListeners,
    /// Of all.
    All,
}

/// The listeners and addresses in the network namespaces of processes, one for each.
pub(crate) fn of_processes(
    pids: &[u32],
    query: &SocketQuery,
    users: &BTreeMap<u32, String>,
    deadline: Instant,
) -> Vec<Seen> {
    let found: Vec<Found> = pids.iter().map(|&pid| Found { pid: Some(pid), ..Found::default() }).collect();
    let mut seen = visit(&found, query, &Extent::All, deadline);
    let Ok(proc) = proc_dir::root() else { return seen };
    let inodes: Vec<u64> = pids.iter().filter_map(|&pid| inode_of(proc.as_fd(), pid).ok().flatten()).collect();
    let near =
        |proc: BorrowedFd<'_>, pid: u32| inode_of(proc, pid).is_ok_and(|i| i.is_some_and(|i| inodes.contains(&i)));
    add_owners(&mut seen, query, users, near);
    seen
}

/// Namespaces with a listener that `query` asks for, and those that could not be looked into.
pub(super) fn other(query: &SocketQuery, users: &BTreeMap<u32, String>) -> Observed<Vec<NetNamespace>> {
    let (found, more) = match discover() {
        Ok(found) => found,
        Err(missing) => return Observed::Missing(missing),
    };
    let deadline = Instant::now() + PATIENCE;
    let mut seen = visit(&found, query, &Extent::WithListeners, deadline);
    if query.owners == Wish::Wanted {
        add_owners(&mut seen, query, users, |_, _| false);
    }
    let Ok(proc) = proc_dir::root() else {
        return Observed::Missing(Missing::new(Reason::Failed, "open /proc"));
    };
    let namespaces = found
        .into_iter()
        .zip(seen)
        .filter(|(found, seen)| match &seen.table {
            Observed::Known { value: table, .. } => !table.listeners.is_empty(),
            // Gone meanwhile with its process: nothing is missing.
            Observed::Missing(_) => found.name.is_some() || found.pid.is_some_and(is_there),
        })
        .map(|(found, seen)| {
            let sketch = found.pid.and_then(|pid| process::sketch(&proc, pid));
            let (command, running_as) = sketch.unzip();
            NetNamespace {
                inode: found.inode,
                name: found.name,
                pid: found.pid,
                command,
                container: running_as.and_then(|running| running.container),
                table: seen.table,
                addresses: seen.addresses,
            }
        })
        .collect();
    let mut what = format!("/proc/*/ns/net, {NAMES}");
    if more > 0 {
        what += &format!(" (without {more} more than {MOST})");
    }
    Observed::known(namespaces, Source::running(what))
}

fn is_there(pid: u32) -> bool {
    rustix::fs::stat(format!("/proc/{pid}")).is_ok()
}

/// All namespaces of processes and names, ours left out; and how many were left out for being too many.
fn discover() -> Result<(Vec<Found>, usize), Missing> {
    let proc = proc_dir::root().map_err(|e| missing("open /proc", e))?;
    let pids = proc_dir::processes(&proc).map_err(|e| missing("list /proc", e))?;
    let mut by_inode: BTreeMap<u64, Found> = BTreeMap::new();
    let mut by_table: BTreeMap<u64, u32> = BTreeMap::new();
    let mut tables = vec![own::table_number("thread-self")];
    let own = own::namespace("/proc/thread-self/ns/net").unwrap_or(0);
    for pid in pids {
        match inode_of(proc.as_fd(), pid) {
            Ok(inode) => {
                let Some(inode) = inode else { continue };
                if inode != own && !by_inode.contains_key(&inode) {
                    tables.push(own::table_number(&pid.to_string()));
                    by_inode.insert(inode, Found { inode, pid: Some(pid), name: None });
                }
            }
            Err(Errno::ACCESS | Errno::PERM) => {
                if let Some(number) = own::table_number(&pid.to_string()) {
                    by_table.entry(number).or_insert(pid);
                }
            }
            // Gone, or a zombie.
            Err(_) => {}
        }
    }
    for (name, inode) in names() {
        if inode != own {
            by_inode.entry(inode).or_insert_with(|| Found { inode, ..Found::default() }).name = Some(name);
        }
    }
    by_table.retain(|number, _| !tables.contains(&Some(*number)));
    let hidden = by_table.into_values().map(|pid| Found { pid: Some(pid), ..Found::default() });
    let mut found: Vec<Found> = by_inode.into_values().chain(hidden).collect();
    let more = found.len().saturating_sub(MOST);
    found.truncate(MOST);
    Ok((found, more))
}

/// The number of the network namespace that a process lives in.
fn inode_of(proc: BorrowedFd<'_>, pid: u32) -> Result<Option<u64>, Errno> {
    let target = rustix::fs::readlinkat(proc, format!("{pid}/ns/net"), Vec::new())?;
    Ok(proc_dir::magic_inode(target.as_bytes(), b"net:["))
}

/// The namespaces that have a name, with their inodes.
pub(crate) fn names() -> Vec<(String, u64)> {
    let Ok(dir) = std::fs::read_dir(NAMES) else { return Vec::new() };
    let entries = dir.flatten().take(MOST).filter_map(|entry| {
        let file = entry.path();
        // A name whose mount is gone is a plain file.
        let of_nsfs = rustix::fs::statfs(&file).ok()?.f_type as i64 == NSFS;
        let inode = rustix::fs::stat(&file).ok()?.st_ino;
        of_nsfs.then(|| (from_bytes(entry.file_name().as_encoded_bytes()), inode))
    });
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

/// Looks into each, in order, on a thread that ends in a namespace not ours and so is used for nothing else.
fn visit(found: &[Found], query: &SocketQuery, extent: &Extent, deadline: Instant) -> Vec<Seen> {
    let look = || found.iter().map(|namespace| inside(namespace, query, extent, deadline)).collect();
    let result = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, look);
        thread.ok().and_then(|thread| thread.join().ok())
    });
    result.unwrap_or_else(|| {
        let missing = Missing::new(Reason::Failed, "no thread could be started to enter other network namespaces");
        let nothing =
            || Seen { table: Observed::Missing(missing.clone()), addresses: Observed::Missing(missing.clone()) };
        found.iter().map(|_| nothing()).collect()
    })
}

fn inside(namespace: &Found, query: &SocketQuery, extent: &Extent, deadline: Instant) -> Seen {
    if Instant::now() >= deadline {
        let late = Missing::new(Reason::TimedOut, format!("other network namespaces: not done after {PATIENCE:?}"));
        return Seen { table: Observed::Missing(late.clone()), addresses: Observed::Missing(late) };
    }
    let refused = match enter(namespace) {
        Ok(()) => {
            let listed = sockets::listeners(query);
            let listens = listed.as_ref().is_ok_and(|(list, _)| !list.is_empty());
            let any = listens || matches!(extent, Extent::All);
            let addresses = if any { links::addresses() } else { Observed::not_looked("no listener there") };
            return Seen { table: observed(listed), addresses };
        }
        Err(refused) => refused,
    };
    let table = match namespace.pid {
        Some(pid) => observed(through_process(pid, query, &refused)),
        None => Observed::Missing(refused.clone()),
    };
    Seen { table, addresses: Observed::Missing(refused) }
}

fn enter(namespace: &Found) -> Result<(), Missing> {
    // A name stays, a process may end.
    let path = match (&namespace.name, namespace.pid) {
        (Some(name), _) => format!("{NAMES}/{name}"),
        (None, Some(pid)) => format!("/proc/{pid}/ns/net"),
        (None, None) => return Err(Missing::new(Reason::Absent, "a namespace without name or process")),
    };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(CWD, &path, flags, Mode::empty()).map_err(|e| missing(&format!("open {path}"), e))?;
    let entered = move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network));
    entered.map_err(|e| {
        let missing = missing(&format!("setns {path}"), e);
        if missing.reason == Reason::Forbidden { missing.remedy(as_root()) } else { missing }
    })
}

fn observed(listed: Result<sockets::Listed, Missing>) -> Observed<SocketTable> {
    match listed {
        Ok((listeners, source)) => {
            let holders = Observed::not_looked("owners were not asked for");
            Observed::known(SocketTable { listeners, holders, ..SocketTable::default() }, source)
        }
        Err(missing) => Observed::Missing(missing),
    }
}

/// The tables that a process of that namespace shows to everybody.
fn through_process(pid: u32, query: &SocketQuery, refused: &Missing) -> Result<sockets::Listed, Missing> {
    let (mut list, mut sources) = (Vec::new(), Vec::new());
    for &transport in &query.transports {
        let (found, source) = sockets::from_tables(&format!("/proc/{pid}/net"), transport, query, refused)?;
        list.extend(found);
        sources.push(source.what);
    }
    Ok((list, Source::running(sources.join(", "))))
}

/// One walk for the owners of all namespaces' sockets, which begins with those that are `near`; then each gets its own.
fn add_owners(
    seen: &mut [Seen],
    query: &SocketQuery,
    users: &BTreeMap<u32, String>,
    near: impl Fn(BorrowedFd<'_>, u32) -> bool,
) {
    let sockets = seen.iter().filter_map(|seen| seen.table.value()).flat_map(|table| &table.listeners);
    let found = owners::find_near(sockets.map(|socket| socket.inode).collect(), sockets::extent(query), near);
    let processes = sockets::processes(&found, users, query.port.is_some());
    for seen in seen {
        let Observed::Known { value: table, .. } = &mut seen.table else { continue };
        table.unreadable_processes = found.unreadable_processes;
        table.holders = match &found.holders {
            Observed::Missing(missing) => Observed::Missing(missing.clone()),
            Observed::Known { value, source } => {
                let own = table.listeners.iter().filter_map(|s| Some((s.inode, value.get(&s.inode)?.clone())));
                Observed::known(own.collect(), source.clone())
            }
        };
        let holders = table.holders.value().into_iter().flat_map(BTreeMap::values).flatten();
        let own = holders.filter_map(|holder| Some((holder.pid, processes.get(&holder.pid)?.clone())));
        table.processes = own.collect();
    }
}

/// Whether a socket of another namespace listens at the file with these numbers; a unix socket is reached through the
/// file system, whatever namespace its listener lives in (unix(7)).
pub(super) fn unix_listens_elsewhere(number: (u32, u32)) -> bool {
    let Ok((found, _)) = discover() else { return false };
    let deadline = Instant::now() + PATIENCE;
    let look = || {
        found.iter().take_while(|_| Instant::now() < deadline).any(|namespace| {
            enter(namespace).is_ok()
                && Netlink::sock_diag().is_ok_and(|mut n| super::unix::diag(&mut n, number).unwrap_or(false))
        })
    };
    modules::present("unix_diag").is_ok()
        && std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, look);
            thread.ok().and_then(|thread| thread.join().ok()).unwrap_or(false)
        })
}

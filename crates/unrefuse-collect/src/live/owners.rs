//! Who holds which socket: one walk over /proc/PID/fd (proc_pid_fd(5)).

use super::missing::{as_root, missing};
use super::proc_dir;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use unrefuse_facts::{Holder, Missing, Observed, Reason, Source};

/// How far the walk goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Every holder of every wanted socket: forked workers too.
    AllHolders,
    /// Until every wanted socket has a holder.
    OneHolder,
}

/// Holders by socket inode, and how many processes did not let us look.
pub(super) struct Owners {
    pub(super) holders: Observed<BTreeMap<u64, Vec<Holder>>>,
    pub(super) unreadable_processes: u32,
}

/// Above this many processes per thread a second thread is worth its start.
const PROCESSES_PER_THREAD: usize = 32;
const THREADS: usize = 2;

/// Looks for the holders of `wanted`, the inodes of sockets.
pub(super) fn find(wanted: Vec<u64>, extent: Extent) -> Owners {
    find_near(wanted, extent, |_, _| false)
}

/// The same, which looks first at the processes that `near` tells by /proc and their id: where one holder is enough, the
/// walk mostly ends with them.
pub(super) fn find_near(mut wanted: Vec<u64>, extent: Extent, near: impl Fn(BorrowedFd<'_>, u32) -> bool) -> Owners {
    let source = || Source::running("/proc/*/fd");
    wanted.retain(|&inode| inode != 0);
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return Owners { holders: Observed::known(BTreeMap::new(), source()), unreadable_processes: 0 };
    }
    let listed = proc_dir::root().and_then(|proc| Ok((proc_dir::processes(&proc)?, proc)));
    let (pids, proc) = match listed {
        Ok(found) => found,
        Err(e) => {
            let holders = Observed::Missing(missing("list /proc", e));
            return Owners { holders, unreadable_processes: 0 };
        }
    };
    let (near, far): (Vec<u32>, Vec<u32>) = pids.iter().partition(|&&pid| near(proc.as_fd(), pid));
    let walk = Walk {
        proc: proc.as_fd(),
        pids: &far,
        next: AtomicUsize::new(0),
        wanted: &wanted,
        seen: wanted.iter().map(|_| AtomicBool::new(false)).collect(),
        left: AtomicUsize::new(wanted.len()),
        extent,
    };
    let mut first = Part::default();
    near.iter().take_while(|_| !walk.done()).for_each(|&pid| walk.look(pid, &mut first));
    let threads = if walk.done() { 0 } else { far.len().div_ceil(PROCESSES_PER_THREAD).clamp(1, THREADS) };
    let mut parts: Vec<Part> = std::thread::scope(|scope| {
        // A thread that cannot be started is no loss: this one does all the work.
        let others: Vec<_> =
            (1..threads).filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, || walk.run()).ok()).collect();
        let own = walk.run();
        others.into_iter().filter_map(|thread| thread.join().ok()).chain([own, first]).collect()
    });
    let mut found = Vec::with_capacity(parts.iter().map(|part| part.found.len()).sum());
    parts.iter_mut().for_each(|part| found.append(&mut part.found));
    let unreadable = parts.iter().map(|part| part.unreadable).sum();
    let holders = if found.is_empty() && unreadable > 0 {
        Observed::Missing(forbidden(unreadable, pids.len()))
    } else {
        Observed::known(by_inode(found), source())
    };
    Owners { holders, unreadable_processes: unreadable }
}

/// Nothing was found, and not everywhere could be looked.
fn forbidden(unreadable: u32, all: usize) -> Missing {
    let uid = rustix::process::geteuid().as_raw();
    let detail = format!("/proc/*/fd: {unreadable} of {all} processes do not let uid {uid} read their open files");
    Missing::new(Reason::Forbidden, detail).remedy(as_root())
}

fn by_inode(mut found: Vec<(u64, Holder)>) -> BTreeMap<u64, Vec<Holder>> {
    found.sort_unstable();
    let groups = found.chunk_by(|a, b| a.0 == b.0);
    groups.map(|group| (group[0].0, group.iter().map(|&(_, holder)| holder).collect())).collect()
}

/// What the threads of one walk share.
struct Walk<'a> {
    proc: BorrowedFd<'a>,
    pids: &'a [u32],
    next: AtomicUsize,
    /// Rising, each once.
    wanted: &'a [u64],
    seen: Vec<AtomicBool>,
    left: AtomicUsize,
    extent: Extent,
}

#[derive(Default)]
struct Part {
    found: Vec<(u64, Holder)>,
    unreadable: u32,
}

impl Walk<'_> {
    fn run(&self) -> Part {
        let mut part = Part::default();
        while !self.done() {
            let Some(&pid) = self.pids.get(self.next.fetch_add(1, Ordering::Relaxed)) else { break };
            self.look(pid, &mut part);
        }
        part
    }

    fn look(&self, pid: u32, part: &mut Part) {
        // Other errors: it ended meanwhile, or has no file table (a zombie).
        if let Err(Errno::ACCESS | Errno::PERM) = self.process(pid, &mut part.found) {
            part.unreadable += 1;
        }
    }

    fn done(&self) -> bool {
        self.extent == Extent::OneHolder && self.left.load(Ordering::Relaxed) == 0
    }

    /// Reads the links of one process's open files. Measured and no faster: stat(2) instead of readlink(2), and trying the
    /// numbers from 0 on instead of listing the directory.
    fn process(&self, pid: u32, found: &mut Vec<(u64, Holder)>) -> Result<(), Errno> {
        let dir = proc_dir::open(self.proc, format!("{pid}/fd"))?;
        let mut forbidden = false;
        proc_dir::numbers(&dir, |fd, name| {
            let mut target = [MaybeUninit::uninit(); 64];
            match rustix::fs::readlinkat_raw(&dir, name, &mut target) {
                Ok((target, _)) => {
                    let inode = proc_dir::magic_inode(target, b"socket:[");
                    if let Some(place) = inode.and_then(|inode| self.wanted.binary_search(&inode).ok()) {
                        found.push((self.wanted[place], Holder { pid, fd }));
                        if !self.seen[place].swap(true, Ordering::Relaxed) {
                            self.left.fetch_sub(1, Ordering::Relaxed);
                        }
                    }
                }
                Err(Errno::ACCESS | Errno::PERM) => {
                    forbidden = true;
                    return ControlFlow::Break(());
                }
                // Closed meanwhile.
                Err(_) => {}
            }
            if self.done() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if forbidden { Err(Errno::ACCESS) } else { Ok(()) }
    }
}

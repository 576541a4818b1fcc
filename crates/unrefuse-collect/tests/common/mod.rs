//! What the tests share: queries, and namespaces of their own.
#![allow(dead_code, reason = "each test program uses a part")]

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use std::io::Write;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};
use unrefuse_collect::{Owners, SocketQuery, States};
use unrefuse_facts::Transport;

/// Listeners of one port with owners.
pub(crate) fn query(transport: Transport, port: u16) -> SocketQuery {
    SocketQuery { port: Some(port), transports: vec![transport], owners: Owners::Wanted, states: States::Listening }
}

/// Whether the tests may make namespaces. Says so loudly where not: a test that did not run is not a test that passed.
pub(crate) fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skipped(&format!("needs root: {test}"));
    }
    root
}

/// Says that a test did not run. Not by `eprintln!`, which the test harness keeps back for tests that pass.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Runs `work` on a thread in a fresh network namespace with `lo` up. The namespace ends with the thread.
pub(crate) fn in_new_namespace<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        // SAFETY: of this thread only the network namespace changes, no memory or files.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.expect("unshare");
        ip("link set lo up");
        work()
    };
    std::thread::scope(|scope| scope.spawn(inside).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// Runs ip(8) in this thread's namespace.
pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("ip(8)");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes a device that is up and has carrier: a veth with its other end beside it. Not every kernel has dummy devices.
pub(crate) fn device(name: &str) {
    ip(&format!("link add {name} type veth peer name {name}-end"));
    ip(&format!("link set {name} up"));
    ip(&format!("link set {name}-end up"));
}

/// Moves this thread into the namespace behind `path`.
pub(crate) fn enter(path: &str) {
    let file = std::fs::File::open(path).expect(path);
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
}

/// Polls until `done`, for at most five seconds.
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(5), "still no {what}");
        std::thread::yield_now();
    }
}

/// Runs `work` on a thread of its own, which may then change its namespace or rights.
pub(crate) fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// Runs `work` on a thread without any rights. The raw system call changes one thread; libc's would change all.
pub(crate) fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    on_a_thread(|| {
        let nobody = rustix::process::Uid::from_raw(65534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        work()
    })
}

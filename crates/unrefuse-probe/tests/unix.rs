//! Unix sockets, made in a directory of the test's own.

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use unrefuse_facts::{AnswerKind, AttemptOutcome, Errno};
use unrefuse_probe::unix;

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("unrefuse-probe-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn attempt(path: &Path) -> (AttemptOutcome, Option<Errno>) {
    let attempt = unix(path.to_str().unwrap(), Duration::from_millis(50));
    assert_eq!(attempt.address, "0.0.0.0:0".parse().unwrap());
    (attempt.outcome, attempt.errno)
}

#[test]
fn open_absent_refused() {
    let directory = Directory::new("plain");
    let path = directory.path("s");
    assert_eq!(attempt(&path), (AttemptOutcome::Unreachable, Some(Errno::ENOENT)));
    let listener = UnixListener::bind(&path).unwrap();
    assert_eq!(attempt(&path), (AttemptOutcome::Open, None));
    drop(listener);
    assert_eq!(attempt(&path), (AttemptOutcome::Refused, Some(Errno::ECONNREFUSED)));
    assert_eq!(unix(path.to_str().unwrap(), Duration::ZERO).answer.unwrap().kind, AnswerKind::Local);
}

#[test]
fn the_wrong_kind_of_socket() {
    let directory = Directory::new("datagram");
    let path = directory.path("s");
    let _datagram = UnixDatagram::bind(&path).unwrap();
    assert_eq!(attempt(&path), (AttemptOutcome::Unreachable, Some(Errno::EPROTOTYPE)));
}

#[test]
fn closed_on_accept() {
    let directory = Directory::new("closing");
    let path = directory.path("s");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || while listener.accept().is_ok() {});
    // A busy machine may let the server's thread run only after the look at it.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match attempt(&path) {
            (AttemptOutcome::ClosedOnAccept, None) => break,
            other => assert_eq!(other, (AttemptOutcome::Open, None)),
        }
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn a_full_queue_times_out() {
    let directory = Directory::new("full");
    let path = directory.path("s");
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(fd.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    listen(&fd, Backlog::new(0).unwrap()).unwrap();
    let _first = UnixStream::connect(&path).unwrap();
    let attempt = unix(path.to_str().unwrap(), Duration::from_millis(50));
    assert_eq!((attempt.outcome, attempt.errno), (AttemptOutcome::TimedOut, Some(Errno::EAGAIN)));
    assert_eq!(attempt.answer, None);
    assert!(attempt.elapsed >= Duration::from_millis(50) && attempt.elapsed < Duration::from_secs(2));
}

#[test]
fn abstract_names_begin_with_an_at_sign() {
    let name = format!("unrefuse-probe-{}", std::process::id());
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(fd.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes()).unwrap()).unwrap();
    listen(&fd, Backlog::new(1).unwrap()).unwrap();
    assert_eq!(unix(&format!("@{name}"), Duration::from_secs(1)).outcome, AttemptOutcome::Open);
    assert_eq!(unix(&format!("@{name}x"), Duration::from_secs(1)).outcome, AttemptOutcome::Refused);
}

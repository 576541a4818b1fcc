//! What the kernel tells of a listener beyond its address: keys, device, cgroup; and to whom.

mod common;

use common::{as_nobody, device, in_new_namespace, is_root, query, skipped, wait_for};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use unrefuse_collect::{Host, Owners, SocketQuery, States, live::Live};
use unrefuse_facts::{ProcessState, Reason, Socket, Transport};

fn socket(listener: &TcpListener) -> Socket {
    let table = Live::new().sockets(&query(Transport::Tcp, listener.local_addr().unwrap().port()));
    let table = table.get().unwrap();
    assert_eq!(table.listeners.len(), 1);
    table.listeners[0].clone()
}

/// Gives the listener a TCP-MD5 key for peers at 127.0.0.9 (tcp(7), `TCP_MD5SIG`). `false`: this kernel has none.
fn add_key(listener: &TcpListener) -> bool {
    // struct tcp_md5sig (include/uapi/linux/tcp.h): sockaddr_storage, flags, prefix, key length, interface, 80 of key.
    let mut key = [0_u8; 216];
    key[..2].copy_from_slice(&(libc::AF_INET as libc::sa_family_t).to_ne_bytes());
    key[4..8].copy_from_slice(&[127, 0, 0, 9]);
    key[130..132].copy_from_slice(&6_u16.to_ne_bytes());
    key[136..142].copy_from_slice(b"secret");
    let (fd, size) = (listener.as_raw_fd(), key.len() as libc::socklen_t);
    // SAFETY: the option takes a tcp_md5sig of that size.
    unsafe { libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_MD5SIG, key.as_ptr().cast(), size) == 0 }
}

#[test]
fn keys_are_told_to_root_only() {
    if !is_root("keys_are_told_to_root_only") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(socket(&listener).md5, Some(false));
    assert_eq!(as_nobody(|| socket(&listener).md5), None);
    if !add_key(&listener) {
        return skipped("this kernel has no TCP-MD5: keys_are_told_to_root_only");
    }
    let seen = socket(&listener);
    assert_eq!(seen.md5, Some(true));
    assert_eq!(as_nobody(|| socket(&listener).md5), None);
    // In the table of all listeners it was not asked, and so is not said.
    let all =
        SocketQuery { port: None, transports: vec![Transport::Tcp], owners: Owners::None, states: States::Listening };
    let all = Live::new().sockets(&all);
    assert!(all.get().unwrap().listeners.iter().all(|socket| socket.md5.is_none()));
}

#[test]
fn the_device_that_a_listener_is_bound_to() {
    if !is_root("the_device_that_a_listener_is_bound_to") {
        return;
    }
    in_new_namespace(|| {
        device("d0");
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        assert_eq!(socket(&listener).device, None);
        let name = c"d0".to_bytes_with_nul();
        let size = name.len() as libc::socklen_t;
        // SAFETY: the option takes an interface name of that size.
        let set = unsafe {
            libc::setsockopt(listener.as_raw_fd(), libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name.as_ptr().cast(), size)
        };
        assert_eq!(set, 0);
        let links = Live::new().links();
        let d0 = links.get().unwrap().iter().find(|link| link.name == "d0").unwrap();
        assert_eq!(socket(&listener).device, Some(d0.index));
    });
}

#[test]
fn without_rights_a_foreign_owner_is_forbidden_not_absent() {
    if !is_root("without_rights_a_foreign_owner_is_forbidden_not_absent") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut holder = Command::new("sleep").arg("60").stdin(OwnedFd::from(listener)).spawn().unwrap();
    let table = as_nobody(|| Live::new().sockets(&query(Transport::Tcp, port)));
    let as_root = Live::new().sockets(&query(Transport::Tcp, port));
    holder.kill().unwrap();
    holder.wait().unwrap();
    let table = table.get().unwrap();
    let missing = table.holders.missing().unwrap();
    assert_eq!((missing.reason, missing.remedy.as_deref()), (Reason::Forbidden, Some("run unrefuse as root")));
    assert!(table.unreadable_processes > 0 && table.processes.is_empty());
    assert_eq!(as_root.get().unwrap().processes[&holder.id()].command, "sleep");
}

#[test]
fn a_stopped_owner_is_seen_stopped() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut holder = Command::new("sleep").arg("60").stdin(OwnedFd::from(listener)).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&holder);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    wait_for("stopped owner", || {
        let table = Live::new().sockets(&query(Transport::Tcp, port));
        table.get().unwrap().processes.get(&holder.id()).is_some_and(|p| p.state == ProcessState::Stopped)
    });
    holder.kill().unwrap();
    holder.wait().unwrap();
}

//! Listeners in other network namespaces, and standing in one.

mod common;

use common::{as_nobody, device, enter, in_new_namespace, ip, is_root, on_a_thread, query};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use unrefuse_collect::namespace::{self, EnterError};
use unrefuse_collect::{Host, live::Live};
use unrefuse_facts::{Holder, NetNamespace, Reason, Transport};

/// A namespace of its own, kept by a process that sleeps in it and holds a listener as its standard input.
struct Inside {
    sleeper: Child,
    local: SocketAddr,
}

impl Inside {
    fn new() -> Self {
        in_new_namespace(|| {
            device("d0");
            ip("addr add 192.0.2.77/24 dev d0");
            let listener = TcpListener::bind("192.0.2.77:0").unwrap();
            let local = listener.local_addr().unwrap();
            let sleeper = Command::new("sleep").arg("60").stdin(OwnedFd::from(listener)).spawn().unwrap();
            Self { sleeper, local }
        })
    }
    fn port(&self) -> u16 {
        self.local.port()
    }
    fn look(&self) -> Vec<NetNamespace> {
        Live::new().other_namespaces(&query(Transport::Tcp, self.port())).get().unwrap().clone()
    }
    fn inode(&self) -> u64 {
        inode(&format!("/proc/{}/ns/net", self.sleeper.id()))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = self.sleeper.kill();
        let _ = self.sleeper.wait();
    }
}

fn inode(path: &str) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).unwrap().ino()
}

#[test]
fn a_listener_in_another_namespace_is_found_with_its_owner() {
    if !is_root("a_listener_in_another_namespace_is_found_with_its_owner") {
        return;
    }
    let inside = Inside::new();
    // The machine may have others with a listener on that port: only ours is looked at.
    let found = inside.look();
    let ours: Vec<_> = found.iter().filter(|n| n.inode == inside.inode()).collect();
    let [namespace] = ours[..] else { panic!("{found:?}") };
    assert_eq!(namespace.pid, Some(inside.sleeper.id()));
    assert_eq!((namespace.name.as_deref(), namespace.command.as_deref()), (None, Some("sleep")));
    let table = namespace.table.get().unwrap();
    assert_eq!(table.listeners.len(), 1);
    assert_eq!(table.listeners[0].local, inside.local);
    let holder = Holder { pid: inside.sleeper.id(), fd: 0 };
    assert_eq!(table.holders.get().unwrap()[&table.listeners[0].inode], [holder]);
    assert_eq!(table.owners(&table.listeners[0])[0].command, "sleep");
    let addresses = namespace.addresses.get().unwrap();
    assert!(addresses.iter().any(|a| a.address == inside.local.ip()));
    // It is no listener of ours, and the place we stand in has not changed.
    let own = Live::new().sockets(&query(Transport::Tcp, inside.port()));
    assert!(own.get().unwrap().listeners.iter().all(|s| s.local != inside.local));
}

#[test]
fn without_rights_its_sockets_are_read_through_a_process() {
    if !is_root("without_rights_its_sockets_are_read_through_a_process") {
        return;
    }
    let inside = Inside::new();
    let (found, own) = as_nobody(|| (inside.look(), Live::new().sockets(&query(Transport::Tcp, inside.port()))));
    let ours: Vec<_> = found.iter().filter(|n| n.pid == Some(inside.sleeper.id())).collect();
    let [namespace] = ours[..] else { panic!("{found:?}") };
    assert_eq!((namespace.inode, namespace.command.as_deref()), (0, Some("sleep")));
    let table = namespace.table.get().unwrap();
    assert_eq!(table.listeners[0].local, inside.local);
    assert_eq!(namespace.addresses.missing().unwrap().reason, Reason::Forbidden);
    let missing = table.holders.missing().unwrap();
    assert_eq!((missing.reason, missing.remedy.as_deref()), (Reason::Forbidden, Some("run unrefuse as root")));
    assert!(missing.detail.contains("do not let uid 65534 read their open files"), "{missing}");
    assert!(table.unreadable_processes > 0);
    // No socket of that port here: then nobody's open files are asked for.
    assert_eq!(own.get().unwrap().unreadable_processes, 0);
}

#[test]
fn a_name_without_a_process() {
    if !is_root("a_name_without_a_process") {
        return;
    }
    let name = Named::new("unrefuse-collect-test");
    let listener = std::thread::scope(|scope| {
        let bind = || {
            enter(&name.path());
            ip("link set lo up");
            TcpListener::bind("127.0.0.1:0").unwrap()
        };
        scope.spawn(bind).join().unwrap()
    });
    let port = listener.local_addr().unwrap().port();
    let found = Live::new().other_namespaces(&query(Transport::Tcp, port)).get().unwrap().clone();
    let ours: Vec<_> = found.iter().filter(|n| n.inode == inode(&name.path())).collect();
    let [namespace] = ours[..] else { panic!("{found:?}") };
    assert_eq!((namespace.name.as_deref(), namespace.pid), (Some(name.0), None));
    // Without the rights and without a process nothing can be seen, and that is told.
    let found = as_nobody(|| Live::new().other_namespaces(&query(Transport::Tcp, port)).get().unwrap().clone());
    let namespace = found.iter().find(|n| n.name.as_deref() == Some(name.0)).unwrap();
    assert_eq!(namespace.table.missing().unwrap().reason, Reason::Forbidden);
    // And it can be stood in by its name.
    let seen = on_a_thread(|| {
        namespace::enter(name.0).unwrap();
        Live::new().sockets(&query(Transport::Tcp, port)).get().unwrap().listeners.len()
    });
    assert_eq!(seen, 1);
    let refused = as_nobody(|| namespace::enter(name.0).unwrap_err());
    assert!(matches!(refused, EnterError::Forbidden { .. }), "{refused}");
    assert!(refused.to_string().contains("CAP_SYS_ADMIN"));
}

#[test]
fn standing_in_the_namespace_of_a_process() {
    if !is_root("standing_in_the_namespace_of_a_process") {
        return;
    }
    let inside = Inside::new();
    on_a_thread(|| {
        namespace::enter(&inside.sleeper.id().to_string()).unwrap();
        let live = Live::new();
        assert_eq!(live.own().netns, Some(inside.inode()));
        assert_eq!(live.own().netns_is_init, Some(false));
        assert_eq!(live.sockets(&query(Transport::Tcp, inside.port())).get().unwrap().listeners.len(), 1);
        assert!(live.links().get().unwrap().iter().any(|link| link.name == "d0"));
        // Settings and counters are those of the place stood in too.
        assert!(live.sysctl("net.ipv4.conf.d0.rp_filter").value().is_some());
        assert_eq!(live.counters().get().unwrap()["TcpExt.ListenOverflows"], 0);
    });
}

#[test]
fn what_is_not_there_is_said() {
    let error = namespace::enter("no-such-namespace").unwrap_err();
    assert!(matches!(error, EnterError::NoSuchName { .. }), "{error}");
    assert!(error.to_string().starts_with("no network namespace `no-such-namespace`"));
    // The largest pid is 2^22 (PID_MAX_LIMIT).
    assert_eq!(namespace::enter("4194305"), Err(EnterError::NoSuchProcess(4_194_305)));
    for bad in ["", "..", "../x", "a\0b", "\x1b[31m"] {
        assert!(matches!(namespace::enter(bad), Err(EnterError::NoSuchName { .. })), "{bad:?}");
    }
    assert!(!namespace::enter("\x1b[31m").unwrap_err().to_string().contains('\x1b'));
}

/// A namespace with a name of ip-netns(8), deleted at the end.
struct Named(&'static str);

impl Named {
    fn new(name: &'static str) -> Self {
        ip(&format!("netns add {name}"));
        Self(name)
    }
    fn path(&self) -> String {
        format!("/run/netns/{}", self.0)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.0));
    }
}

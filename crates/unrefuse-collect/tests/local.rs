//! This machine as any user sees it: sockets of this process on loopback.

mod common;

use common::{query, skipped, wait_for};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use unrefuse_collect::{Host, Owners, SocketQuery, States, live::Live};
use unrefuse_facts::{
    Family, NameError, Protocol, Reason, RouteDecision, RouteKind, Socket, SocketState, Target, Transport,
};

fn target(host: &str, scope: Option<&str>) -> Target {
    Target {
        input: host.to_owned(),
        host: host.to_owned(),
        scope: scope.map(str::to_owned),
        port: 5432,
        protocol: Protocol::Tcp,
        scheme: None,
    }
}

fn listeners(transport: Transport, port: u16) -> Vec<Socket> {
    Live::new().sockets(&query(transport, port)).get().unwrap().listeners.clone()
}

#[test]
fn our_listener_is_found_with_us_as_its_owner() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let table = Live::new().sockets(&query(Transport::Tcp, port));
    let table = table.get().unwrap();
    let [socket] = &table.listeners[..] else { panic!("{table:?}") };
    assert_eq!((socket.local, socket.state), (listener.local_addr().unwrap(), SocketState::Listen));
    assert_eq!((socket.remote, socket.device, socket.v6only), (None, None, None));
    let holders = &table.holders.get().unwrap()[&socket.inode];
    assert_eq!(holders.len(), 1);
    assert_eq!((holders[0].pid, holders[0].fd), (std::process::id(), listener.as_raw_fd() as u32));
    let [owner] = table.owners(socket)[..] else { panic!("{table:?}") };
    assert_eq!(owner.uid, rustix::process::geteuid().as_raw());
    assert_eq!(owner.exe.get().unwrap(), &std::env::current_exe().unwrap().to_string_lossy());
    assert_eq!(owner.netns, Live::new().own().netns);
    assert!(owner.start_ticks > 0 && owner.command.len() <= 15);
    let &(open, limit) = owner.files.get().unwrap();
    assert!(open >= 4 && open <= limit, "{open} of {limit}");
}

#[test]
fn every_holder_of_a_port_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let second = listener.try_clone().unwrap();
    let table = Live::new().sockets(&query(Transport::Tcp, listener.local_addr().unwrap().port()));
    let table = table.get().unwrap();
    let mut fds: Vec<_> = table.holders.get().unwrap()[&table.listeners[0].inode].iter().map(|h| h.fd as i32).collect();
    fds.sort_unstable();
    let mut own = [listener.as_raw_fd(), second.as_raw_fd()];
    own.sort_unstable();
    assert_eq!(fds, own);
}

#[test]
fn a_closed_port_has_no_listener_and_no_owner() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let table = Live::new().sockets(&query(Transport::Tcp, port));
    assert!(table.get().unwrap().listeners.is_empty());
    assert!(table.get().unwrap().holders.get().unwrap().is_empty());
}

#[test]
fn owners_are_not_looked_for_unasked() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = Some(listener.local_addr().unwrap().port());
    let query = SocketQuery { port, transports: vec![Transport::Tcp], owners: Owners::None, states: States::Listening };
    let table = Live::new().sockets(&query);
    assert_eq!(table.get().unwrap().holders.missing().unwrap().reason, Reason::NotLooked);
}

#[test]
fn all_listeners_have_ours_among_them() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let transports = vec![Transport::Tcp, Transport::Udp];
    let table =
        Live::new().sockets(&SocketQuery { port: None, transports, owners: Owners::Wanted, states: States::Listening });
    let table = table.get().unwrap();
    for (transport, local) in [(Transport::Tcp, tcp.local_addr()), (Transport::Udp, udp.local_addr())] {
        let local = local.unwrap();
        let socket = table.listeners.iter().find(|s| s.transport == transport && s.local == local).unwrap();
        assert_eq!(table.owners(socket)[0].pid, std::process::id());
    }
}

#[test]
fn ipv6_only_is_seen() {
    let Ok(both) = TcpListener::bind("[::]:0") else { return skipped("no IPv6 here: ipv6_only_is_seen") };
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET6, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::sockopt::set_ipv6_v6only(&socket, true).unwrap();
    rustix::net::bind(&socket, &"[::]:0".parse::<SocketAddr>().unwrap()).unwrap();
    rustix::net::listen(&socket, 1).unwrap();
    let only = TcpListener::from(socket);
    let v6only = |l: &TcpListener| listeners(Transport::Tcp, l.local_addr().unwrap().port())[0].v6only;
    assert_eq!((v6only(&both), v6only(&only)), (Some(false), Some(true)));
}

#[test]
fn a_connected_udp_socket_takes_from_nobody_else() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    let found = listeners(Transport::Udp, server.local_addr().unwrap().port());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].state, found[0].remote), (SocketState::Unconnected, None));
    assert!(listeners(Transport::Udp, client.local_addr().unwrap().port()).is_empty());
}

#[test]
fn the_accept_queue_and_its_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 7).unwrap();
    let address = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
    wait_for("three in the queue", || listeners(Transport::Tcp, address.port())[0].recv_queue == 3);
    assert_eq!(listeners(Transport::Tcp, address.port())[0].send_queue, Some(7));
    drop(clients);
}

#[test]
fn connections_to_a_peer_are_counted() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let near: SocketAddr = (Ipv4Addr::new(127, 0, 0, 1), port).into();
    let far: SocketAddr = (Ipv4Addr::new(127, 0, 0, 2), port).into();
    let mut clients: Vec<_> = (0..3).map(|_| TcpStream::connect(near).unwrap()).collect();
    let mut wanted = 3;
    // An IPv6 socket connected to an IPv4 peer counts too.
    if let Ok(client) = TcpStream::connect((near.ip().to_string().parse::<Ipv4Addr>().unwrap().to_ipv6_mapped(), port))
    {
        clients.push(client);
        wanted += 1;
    }
    clients.push(TcpStream::connect(far).unwrap());
    let count = |address| *Live::new().connections_to(address).get().unwrap();
    assert_eq!((count(near), count(far)), (wanted, 1));
    assert_eq!(count((Ipv4Addr::new(127, 0, 0, 3), port).into()), 0);
    // The side that closes first stays in TIME_WAIT; those that were never accepted would be reset.
    let accepted: Vec<_> = clients.iter().map(|_| listener.accept().unwrap()).collect();
    drop(clients);
    drop(accepted);
    drop(listener);
    assert!(TcpStream::connect(near).is_err());
    assert_eq!(count(near), wanted);
}

#[test]
fn settings_and_counters() {
    let live = Live::new();
    let range = live.sysctl("net.ipv4.ip_local_port_range");
    assert_eq!(range.get().unwrap().split_whitespace().count(), 2);
    assert_eq!(live.sysctl("net.ipv4.no_such_setting").missing().unwrap().reason, Reason::Absent);
    assert_eq!(live.sysctl("net/../../passwd").missing().unwrap().reason, Reason::Failed);
    let counters = live.counters();
    assert!(counters.get().unwrap().contains_key("TcpExt.ListenOverflows"), "{counters:?}");
    assert!(!live.hostname().get().unwrap().is_empty());
}

#[test]
fn localhost_resolves_with_our_port() {
    let found = Live::new().resolve(&target("localhost", None), Some(Family::V4));
    assert_eq!(found.result.unwrap(), ["127.0.0.1:5432".parse().unwrap()]);
    let literal = Live::new().resolve(&target("::1", None), None);
    assert_eq!(literal.result.unwrap(), ["[::1]:5432".parse().unwrap()]);
}

#[test]
fn a_literal_of_the_other_family_is_no_address() {
    let found = Live::new().resolve(&target("::1", None), Some(Family::V4));
    assert_eq!(found.result, Err(NameError::NoAddress));
    assert!(found.detail.unwrap().starts_with("getaddrinfo: "));
}

#[test]
fn a_scope_that_is_not_there_is_said() {
    let found = Live::new().resolve(&target("fe80::1", Some("nosuchif0")), None);
    assert_eq!(found.result, Err(NameError::NotFound));
    assert!(found.detail.unwrap().contains("nosuchif0"));
    let scoped = Live::new().resolve(&target("fe80::1", Some("lo")), None).result.unwrap();
    assert!(matches!(scoped[..], [SocketAddr::V6(v6)] if v6.scope_id() == 1), "{scoped:?}");
}

#[test]
fn loopback_is_local() {
    let live = Live::new();
    let links = live.links();
    let lo = links.get().unwrap().iter().find(|link| link.name == "lo").unwrap();
    assert!(lo.loopback && lo.index == 1);
    let route = live.route(Ipv4Addr::LOCALHOST.into(), None);
    match route.get().unwrap() {
        RouteDecision::Via(route) => {
            assert_eq!((route.kind, route.table, route.link), (RouteKind::Local, 255, Some(1)))
        }
        no => panic!("{no:?}"),
    }
    let addresses = live.addresses();
    let own = addresses.get().unwrap().iter().find(|a| a.address == Ipv4Addr::LOCALHOST).unwrap();
    assert_eq!((own.link, own.prefix, own.tentative), (1, 8, false));
}

#[test]
fn unix_sockets_live_and_stale() {
    let dir = std::env::temp_dir().join(format!("unrefuse-collect-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let look = |path: &str| Live::new().unix_socket(path).get().unwrap().clone();
    let live = UnixListener::bind(at("live")).unwrap();
    drop(UnixListener::bind(at("stale")).unwrap());
    std::fs::write(at("file"), "").unwrap();
    // Its path in /proc/net/unix is another one than the one asked for.
    std::os::unix::fs::symlink(at("live"), at("link")).unwrap();
    let (one, two) = (look(&at("live")), look(&at("link")));
    let (stale, file, none) = (look(&at("stale")), look(&at("file")), look(&at("none")));
    std::fs::remove_dir_all(&dir).unwrap();
    drop(live);
    assert!(one.exists && one.is_socket && one.listening && one.writable);
    assert!(two.is_socket && two.listening);
    assert!(stale.exists && stale.is_socket && !stale.listening);
    assert!(file.exists && !file.is_socket && !file.listening);
    assert!(!none.exists && !none.is_socket && !none.listening);
}

#[test]
fn our_own_process() {
    let own = Live::new().own();
    assert_eq!(own.uid, rustix::process::geteuid().as_raw());
    assert!(own.netns.is_some());
    assert_eq!(own.has("NET_ADMIN") || !own.capabilities.is_empty(), own.uid == 0);
}

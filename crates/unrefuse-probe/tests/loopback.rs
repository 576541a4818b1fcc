//! Attempts on loopback that any user can make. `sniff` is on: without the privilege it must change nothing.

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, getsockname, listen, setsockopt, socket, sockopt,
};
use std::io::Write;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use unrefuse_facts::{AnswerKind, Attempt, AttemptOutcome, Errno, Protocol};
use unrefuse_probe::{AttemptOptions, attempt_from, attempts, ports};

const FAMILIES: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

fn options(protocol: Protocol) -> AttemptOptions<'static> {
    AttemptOptions {
        protocol,
        timeout: Duration::from_secs(3),
        deadline: Instant::now() + Duration::from_secs(10),
        rounds: 1,
        sniff: true,
        watch: &|_, _| None,
    }
}

fn one(address: SocketAddr, protocol: Protocol) -> Attempt {
    let mut all = attempts(&[address], &options(protocol));
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// The first attempt that is as wanted: a busy machine may let the server's thread run only after the look at it.
fn until(address: SocketAddr, wanted: impl Fn(&Attempt) -> bool) -> Attempt {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let attempt = one(address, Protocol::Tcp);
        if wanted(&attempt) {
            return attempt;
        }
        assert_eq!(attempt.outcome, AttemptOutcome::Open, "{attempt:?}");
        assert!(Instant::now() < deadline, "{attempt:?}");
    }
}

/// A bound TCP socket that does not listen: its port refuses, and nobody else can take it meanwhile.
fn refusing(address: &str) -> (OwnedFd, SocketAddr) {
    let address: SocketAddr = address.parse().unwrap();
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address)).unwrap();
    let bound = getsockname::<SockaddrStorage>(fd.as_raw_fd()).unwrap();
    let bound = match bound.as_sockaddr_in() {
        Some(v4) => SocketAddr::V4(SocketAddrV4::from(*v4)),
        None => SocketAddr::V6(SocketAddrV6::from(*bound.as_sockaddr_in6().unwrap())),
    };
    (fd, bound)
}

#[test]
fn a_listener_that_says_nothing_is_open() {
    for address in FAMILIES {
        let listener = TcpListener::bind(address).unwrap();
        let attempt = one(listener.local_addr().unwrap(), Protocol::Tcp);
        assert_eq!(attempt.outcome, AttemptOutcome::Open);
        assert_eq!(attempt.errno, None);
        let answer = attempt.answer.unwrap();
        assert_eq!((answer.kind, answer.from), (AnswerKind::Accept, Some(attempt.address.ip())));
        assert_eq!(attempt.local.unwrap().ip(), attempt.address.ip());
        // Our side of the connection got an end, not a reset.
        let (accepted, _) = listener.accept().unwrap();
        accepted.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(std::io::Read::read(&mut &accepted, &mut [0; 8]).unwrap(), 0);
    }
}

#[test]
fn a_port_without_listener_refuses_with_a_reset() {
    for address in FAMILIES {
        let (_held, address) = refusing(address);
        let attempt = one(address, Protocol::Tcp);
        assert_eq!(attempt.outcome, AttemptOutcome::Refused);
        assert_eq!(attempt.errno, Some(Errno::ECONNREFUSED));
        let answer = attempt.answer.unwrap();
        assert_eq!((answer.kind, answer.from), (AnswerKind::Rst, Some(address.ip())));
        assert_eq!(answer.tos_sent, Some(0x48));
        assert!(attempt.local.is_some());
        assert!(answer.reference.missing().is_some(), "an own address has no other answer to compare with");
        // As root the kernel's own RST was seen: it carries the SYN's TOS.
        assert!(answer.tos.is_none_or(|tos| tos == 0x48));
        assert_eq!(answer.tos.is_some(), answer.ttl.is_some());
    }
}

#[test]
fn closing_at_once_is_seen() {
    for address in FAMILIES {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || while listener.accept().is_ok() {});
        let attempt = until(address, |attempt| attempt.outcome == AttemptOutcome::ClosedOnAccept);
        assert_eq!(attempt.errno, None);
        assert_eq!(attempt.answer.unwrap().kind, AnswerKind::Accept);
    }
}

#[test]
fn a_reset_after_accept_is_seen() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((accepted, _)) = listener.accept() {
            let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(&accepted, sockopt::Linger, &at_once).unwrap();
        }
    });
    // Whether connect(2) itself still succeeds is a race that the server can win on loopback.
    let closed = |attempt: &Attempt| matches!(attempt.outcome, AttemptOutcome::ClosedOnAccept | AttemptOutcome::Reset);
    let attempt = until(address, closed);
    assert_eq!(attempt.errno, Some(Errno::ECONNRESET));
    assert_eq!(attempt.answer.unwrap().kind, AnswerKind::Rst);
}

#[test]
fn a_greeting_makes_it_open_even_if_the_end_follows() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"220 ready\r\n").unwrap());
    let attempt = one(address, Protocol::Tcp);
    server.join().unwrap();
    assert_eq!(attempt.outcome, AttemptOutcome::Open);
}

#[test]
fn a_udp_port_without_socket_refuses_by_icmp() {
    for address in FAMILIES {
        let free = UdpSocket::bind(address).unwrap().local_addr().unwrap();
        let attempt = one(free, Protocol::Udp);
        assert_eq!((attempt.outcome, attempt.errno), (AttemptOutcome::Refused, Some(Errno::ECONNREFUSED)));
        let answer = attempt.answer.unwrap();
        assert_eq!((answer.kind, answer.from), (AnswerKind::Icmp, Some(free.ip())));
        let port_unreachable = if free.is_ipv6() { (Some(1), Some(4)) } else { (Some(3), Some(3)) };
        assert_eq!((answer.icmp_type, answer.icmp_code), port_unreachable);
    }
}

#[test]
fn a_udp_reply_is_open_and_silence_is_a_timeout() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let mut short = options(Protocol::Udp);
    short.timeout = Duration::from_millis(50);
    let attempt = attempts(&[address], &short).remove(0);
    assert_eq!((attempt.outcome, attempt.errno, attempt.answer), (AttemptOutcome::TimedOut, None, None));
    assert!(attempt.elapsed >= Duration::from_millis(50));

    let mut buffer = [1; 8];
    let (length, _) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(length, 0, "an unknown service gets an empty datagram");
    let server = std::thread::spawn(move || {
        let (_, from) = socket.recv_from(&mut [0; 8]).unwrap();
        socket.send_to(b"pong", from).unwrap();
    });
    let attempt = one(address, Protocol::Udp);
    server.join().unwrap();
    assert_eq!(attempt.outcome, AttemptOutcome::Open);
    assert_eq!(attempt.answer.unwrap().kind, AnswerKind::Accept);
}

/// A listener whose accept queue is full: further SYNs are dropped (`tcp_conn_request`).
fn full_listener() -> (OwnedFd, SocketAddr, TcpStream) {
    let (fd, address) = refusing("127.0.0.1:0");
    listen(&fd, Backlog::new(0).unwrap()).unwrap();
    let first = TcpStream::connect(address).unwrap();
    (fd, address, first)
}

#[test]
fn the_watch_ends_an_attempt_that_nobody_answers() {
    let (_held, address, _first) = full_listener();
    let asked = Mutex::new(Vec::new());
    let watch = |at: SocketAddr, elapsed: Duration| {
        assert_eq!(at, address);
        let mut asked = asked.lock().unwrap();
        asked.push(elapsed);
        (asked.len() == 4).then(|| "the accept queue is full".to_owned())
    };
    let attempt = attempts(&[address], &AttemptOptions { watch: &watch, ..options(Protocol::Tcp) }).remove(0);
    assert_eq!((attempt.outcome, attempt.errno), (AttemptOutcome::TimedOut, None));
    assert_eq!(attempt.given_up.as_deref(), Some("the accept queue is full"));
    assert_eq!(attempt.answer, None);
    let asked = asked.into_inner().unwrap();
    assert!(asked[0] >= Duration::from_millis(5), "{asked:?}");
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(4)), "{asked:?}");
    assert!(attempt.elapsed < Duration::from_secs(1), "{asked:?}");
}

#[test]
fn timeout_and_deadline_end_an_attempt() {
    let (_held, address, _first) = full_listener();
    let mut short = options(Protocol::Tcp);
    short.timeout = Duration::from_millis(60);
    let attempt = attempts(&[address], &short).remove(0);
    assert_eq!((attempt.outcome, attempt.errno, attempt.given_up), (AttemptOutcome::TimedOut, None, None));
    assert!(attempt.elapsed >= Duration::from_millis(60) && attempt.elapsed < Duration::from_millis(900));

    let mut late = options(Protocol::Tcp);
    late.deadline = Instant::now() + Duration::from_millis(60);
    late.rounds = 1000;
    let all = attempts(&[address], &late);
    assert_eq!(all.len(), 1, "no round begins after the deadline");
    assert_eq!(all[0].outcome, AttemptOutcome::TimedOut);
}

#[test]
fn attempts_come_in_order_and_side_by_side() {
    let (_held, silent, _first) = full_listener();
    let (_bound, refused) = refusing("[::1]:0");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    let mut options = options(Protocol::Tcp);
    options.timeout = Duration::from_millis(80);
    options.rounds = 2;
    let started = Instant::now();
    let all = attempts(&[silent, refused, silent, open], &options);
    let order: Vec<(SocketAddr, u32)> = all.iter().map(|attempt| (attempt.address, attempt.round)).collect();
    let expected: Vec<(SocketAddr, u32)> =
        [silent, refused, silent, open].iter().flat_map(|address| [(*address, 0), (*address, 1)]).collect();
    assert_eq!(order, expected);
    assert_eq!(all[2].outcome, AttemptOutcome::Refused);
    assert_eq!(all[7].outcome, AttemptOutcome::Open);
    assert!(started.elapsed() >= Duration::from_millis(160), "two rounds, one after the other");
    assert!(all[2].elapsed < all[0].elapsed, "a refusal does not wait for its neighbours");
}

#[test]
fn a_mapped_address_is_tried_over_ipv4_and_kept_as_given() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mapped = format!("[::ffff:127.0.0.1]:{}", listener.local_addr().unwrap().port());
    let attempt = one(mapped.parse().unwrap(), Protocol::Tcp);
    assert_eq!(attempt.outcome, AttemptOutcome::Open);
    assert_eq!(attempt.address.to_string(), mapped);
}

#[test]
fn a_link_local_address_without_interface_fails_on_this_machine() {
    let attempt = one("[fe80::1]:80".parse().unwrap(), Protocol::Tcp);
    assert_eq!((attempt.outcome, attempt.errno), (AttemptOutcome::Unreachable, Some(Errno::EINVAL)));
    assert_eq!(attempt.answer.unwrap().kind, AnswerKind::Local);
}

#[test]
fn other_ports_are_asked_side_by_side() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    let (_bound, refused) = refusing("127.0.0.1:0");
    let probes = ports(open.ip(), 0, &[refused.port(), open.port()], Duration::from_secs(2));
    let found: Vec<_> = probes.iter().map(|probe| (probe.address, probe.outcome)).collect();
    assert_eq!(found, [(refused, AttemptOutcome::Refused), (open, AttemptOutcome::Open)]);
}

#[test]
fn an_attempt_from_another_address_of_this_machine() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = "127.0.0.9".parse().unwrap();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut options = options(protocol);
        options.timeout = Duration::from_millis(50);
        let attempt = attempt_from(source, listener.local_addr().unwrap(), &options);
        assert_eq!(attempt.local.map(|local| local.ip()), Some(source), "{protocol}");
    }
    // Another machine's address cannot be bound (ip(7)).
    let attempt = attempt_from("203.0.113.7".parse().unwrap(), listener.local_addr().unwrap(), &options(Protocol::Tcp));
    assert_eq!(attempt.errno, Some(Errno::EADDRNOTAVAIL));
}

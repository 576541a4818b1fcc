//! What the packet socket, the error queue and the echo reply say, over real kernels in namespaces of the test's own.

mod net;

use net::{alone, has, path};
use nix::sys::socket::{setsockopt, sockopt};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use unrefuse_facts::{Answer, AnswerKind, Attempt, AttemptOutcome, Errno, Protocol};

const FAST: Duration = Duration::from_millis(200);

fn answer(attempt: &Attempt) -> &Answer {
    attempt.answer.as_ref().unwrap_or_else(|| panic!("no answer: {attempt:?}"))
}

/// TTL of the host's echo reply, and whether it kept the TOS.
fn reference(attempt: &Attempt) -> (Option<u8>, Option<bool>) {
    let reference = answer(attempt).reference.value().unwrap_or_else(|| panic!("no reference: {attempt:?}"));
    assert_eq!(reference.what, "echo reply");
    (reference.ttl, reference.tos_kept)
}

fn refused(attempt: &Attempt, kind: AnswerKind) {
    assert_eq!((attempt.outcome, attempt.errno), (AttemptOutcome::Refused, Some(Errno::ECONNREFUSED)), "{attempt:?}");
    assert_eq!(answer(attempt).kind, kind, "{attempt:?}");
    assert!(attempt.elapsed < FAST, "{attempt:?}");
    assert_eq!(answer(attempt).tos_sent, Some(0x48));
}

#[test]
fn a_kernel_without_listener_echoes_the_tos() {
    let Some(path) = path() else { return };
    for attempt in path.client.attempts(&["10.77.2.2:1", "[fd77:2::2]:1"]) {
        refused(&attempt, AnswerKind::Rst);
        let answer = answer(&attempt);
        assert_eq!((answer.ttl, answer.tos), (Some(63), Some(0x48)), "{attempt:?}");
        assert_eq!(answer.interface.as_deref(), Some("c"));
        assert_eq!(answer.from, Some(attempt.address.ip()));
        let v6 = attempt.address.is_ipv6();
        assert_eq!(answer.flow_label.is_some_and(|label| label != 0), v6, "{attempt:?}");
        assert_eq!(reference(&attempt), (Some(63), Some(true)));
    }
}

#[test]
fn a_reject_with_tcp_reset_does_not() {
    let Some(path) = path().filter(|_| has("nft")) else { return };
    path.server.nft("input", &["tcp dport 81 reject with tcp reset"]);
    path.router.nft("forward", &["tcp dport 91 reject with tcp reset"]);
    for (port, ttl) in [(81, 63), (91, 64)] {
        for attempt in path.client.attempts(&[&format!("10.77.2.2:{port}"), &format!("[fd77:2::2]:{port}")]) {
            refused(&attempt, AnswerKind::Rst);
            let answer = answer(&attempt);
            assert_eq!((answer.ttl, answer.tos), (Some(ttl), Some(0)), "{attempt:?}");
            assert_eq!(answer.flow_label, attempt.address.is_ipv6().then_some(0));
            // The echo reply is the server's own all the same: it tells the router's TTL from the server's.
            assert_eq!(reference(&attempt), (Some(63), Some(true)));
        }
    }
}

#[test]
fn a_reject_by_icmp_is_seen_at_once_and_names_who_sent_it() {
    let Some(path) = path().filter(|_| has("nft")) else { return };
    path.server.nft("input", &["meta l4proto { tcp, udp } th dport 80 reject"]);
    path.router.nft("forward", &["tcp dport 90 reject", "tcp dport 92 reject with icmpx admin-prohibited"]);
    for (port, ttl, v4, v6) in [(80, 63, "10.77.2.2", "fd77:2::2"), (90, 64, "10.77.1.1", "fd77:1::1")] {
        for attempt in path.client.attempts(&[&format!("10.77.2.2:{port}"), &format!("[fd77:2::2]:{port}")]) {
            refused(&attempt, AnswerKind::Icmp);
            let answer = answer(&attempt);
            let (icmp, from) = if attempt.address.is_ipv6() { ((1, 4), v6) } else { ((3, 3), v4) };
            assert_eq!((answer.icmp_type.unwrap(), answer.icmp_code.unwrap()), icmp);
            assert_eq!((answer.from, answer.ttl), (from.parse().ok(), Some(ttl)), "{attempt:?}");
            assert_eq!(answer.reference.value().is_some(), port == 80, "{attempt:?}");
        }
    }
    let all = path.client.attempts(&["10.77.2.2:92", "[fd77:2::2]:92"]);
    assert_eq!((all[0].outcome, all[0].errno), (AttemptOutcome::Unreachable, Some(Errno::EHOSTUNREACH)));
    assert_eq!((all[1].outcome, all[1].errno), (AttemptOutcome::Denied, Some(Errno::EACCES)));
    assert_eq!((answer(&all[1]).icmp_type, answer(&all[1]).icmp_code), (Some(1), Some(1)));

    for attempt in path.client.attempts_with(Protocol::Udp, &["10.77.2.2:80", "[fd77:2::2]:80"], FAST, 1) {
        refused(&attempt, AnswerKind::Icmp);
        assert_eq!(answer(&attempt).ttl, Some(63));
    }
}

#[test]
fn answers_of_this_machine_itself_are_seen_too() {
    let Some(node) = alone().filter(|_| has("nft")) else { return };
    node.ip("address add 10.77.9.9/32 dev lo");
    node.ip("address add fd77:9::9/128 dev lo nodad");
    // The kernel brings a new IPv6 address into use in its own time (`addrconf_dad_work`).
    let deadline = Instant::now() + Duration::from_secs(20);
    while node.attempts(&["[fd77:9::9]:9"])[0].outcome != AttemptOutcome::Refused {
        assert!(Instant::now() < deadline);
    }
    node.nft("input", &["tcp dport 80 reject", "tcp dport 81 reject with tcp reset"]);
    for (port, kind) in [(79, AnswerKind::Rst), (80, AnswerKind::Icmp), (81, AnswerKind::Rst)] {
        for host in ["127.0.0.1", "[::1]", "10.77.9.9", "[fd77:9::9]"] {
            let attempt = node.attempts(&[&format!("{host}:{port}")]).remove(0);
            refused(&attempt, kind);
            let answer = answer(&attempt);
            let tos = match (port, attempt.address.is_ipv6()) {
                (79, _) => 0x48,
                (80, false) => 0xc8,
                _ => 0,
            };
            assert_eq!((answer.ttl, answer.tos), (Some(64), Some(tos)), "{attempt:?}");
            assert_eq!((answer.interface.as_deref(), answer.from), (Some("lo"), Some(attempt.address.ip())));
            assert_eq!(answer.flow_label, None, "raw sockets do not show it");
        }
    }
}

#[test]
fn routes_refuse_on_this_machine() {
    let Some(node) = alone() else { return };
    for (kind, net) in [("blackhole", 1), ("prohibit", 2), ("unreachable", 3)] {
        node.ip(&format!("route add {kind} 10.9.0.{net}"));
        node.ip(&format!("-6 route add {kind} fd09::{net}"));
    }
    let expected = [
        (1, AttemptOutcome::Unreachable, Errno::EINVAL),
        (2, AttemptOutcome::Denied, Errno::EACCES),
        (3, AttemptOutcome::Unreachable, Errno::EHOSTUNREACH),
        (4, AttemptOutcome::Unreachable, Errno::ENETUNREACH),
    ];
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for (net, outcome, errno) in expected {
            let to = [&*format!("10.9.0.{net}:1"), &*format!("[fd09::{net}]:1")];
            for attempt in node.attempts_with(protocol, &to, FAST, 1) {
                assert_eq!((attempt.outcome, attempt.errno), (outcome, Some(errno)), "{attempt:?}");
                assert_eq!(answer(&attempt).kind, AnswerKind::Local);
                assert_eq!(attempt.local, None);
            }
        }
    }
}

#[test]
fn a_drop_in_the_own_output_is_a_timeout_for_tcp_and_denied_for_udp() {
    let Some(node) = alone().filter(|_| has("nft")) else { return };
    node.nft("output", &["meta l4proto { tcp, udp } th dport 80 drop"]);
    let tcp = node.attempts_with(Protocol::Tcp, &["127.0.0.1:80"], FAST, 1).remove(0);
    assert_eq!((tcp.outcome, tcp.errno, tcp.answer), (AttemptOutcome::TimedOut, None, None));
    let udp = node.attempts_with(Protocol::Udp, &["[::1]:80"], FAST, 1).remove(0);
    assert_eq!((udp.outcome, udp.errno), (AttemptOutcome::Denied, Some(Errno::EPERM)));
    assert_eq!(answer(&udp).kind, AnswerKind::Local);
}

#[test]
fn an_answer_that_the_own_input_drops_ends_the_wait() {
    let Some(path) = path().filter(|_| has("nft")) else { return };
    path.client.nft("input", &["tcp sport 70 drop"]);
    let attempt = path.client.attempts(&["10.77.2.2:70"]).remove(0);
    assert_eq!((attempt.outcome, attempt.errno), (AttemptOutcome::TimedOut, None));
    assert_eq!((answer(&attempt).kind, answer(&attempt).tos), (AnswerKind::Rst, Some(0x48)));
    assert!(attempt.given_up.unwrap().contains("10.77.2.2"));
    assert!(attempt.elapsed < Duration::from_secs(3), "given up after the second answer");
}

#[test]
fn a_host_without_echo_costs_little() {
    let Some(path) = path() else { return };
    path.server.set("net/ipv4/icmp_echo_ignore_all", "1");
    let attempt = path.client.attempts(&["10.77.2.2:1"]).remove(0);
    refused(&attempt, AnswerKind::Rst);
    let missing = answer(&attempt).reference.missing().unwrap();
    assert_eq!(missing.reason, unrefuse_facts::Reason::TimedOut);
}

#[test]
fn later_rounds_keep_the_reference() {
    let Some(path) = path() else { return };
    // Without and with ping sockets: the echo request is the same.
    for group_range in ["1 0", "0 0"] {
        path.client.set("net/ipv4/ping_group_range", group_range);
        let to = ["10.77.2.2:1", "[fd77:2::2]:1"];
        let all = path.client.attempts_with(Protocol::Tcp, &to, FAST, 3);
        assert_eq!(all.len(), 6);
        for attempt in &all {
            refused(attempt, AnswerKind::Rst);
            assert_eq!(reference(attempt), (Some(63), Some(true)));
        }
    }
}

#[test]
fn a_path_that_rewrites_the_tos_is_recognised() {
    let Some(path) = path().filter(|_| has("nft")) else { return };
    path.router.nft("forward", &["ip dscp set cs0", "ip6 dscp set cs0"]);
    for attempt in path.client.attempts(&["10.77.2.2:1", "[fd77:2::2]:1"]) {
        refused(&attempt, AnswerKind::Rst);
        assert_eq!(answer(&attempt).tos, Some(0), "looks like a reject by its TOS");
        assert_eq!(reference(&attempt), (Some(63), Some(false)), "but the host's echo reply lost it too");
    }
}

#[test]
fn a_reject_in_the_own_output_names_this_machine() {
    let Some(path) = path().filter(|_| has("nft")) else { return };
    path.client.nft("output", &["meta l4proto { tcp, udp } th dport 80 reject"]);
    let to = ["10.77.2.2:80", "[fd77:2::2]:80"];
    for attempt in path.client.attempts(&to) {
        refused(&attempt, AnswerKind::Icmp);
        assert_eq!(answer(&attempt).from, attempt.local.map(|local| local.ip()));
        assert_eq!(answer(&attempt).interface.as_deref(), Some("lo"));
    }
    for attempt in path.client.attempts_with(Protocol::Udp, &to, FAST, 1) {
        assert_eq!((attempt.outcome, attempt.errno), (AttemptOutcome::Denied, Some(Errno::EPERM)), "{attempt:?}");
        assert_eq!(answer(&attempt).kind, AnswerKind::Icmp);
        assert_eq!(answer(&attempt).from, attempt.local.map(|local| local.ip()));
    }
}

#[test]
fn a_reset_after_the_handshake_is_held_against_its_syn_ack() {
    let Some(path) = path() else { return };
    path.server.run(|| {
        let listener = TcpListener::bind("10.77.2.2:70").unwrap();
        std::thread::spawn(move || {
            while let Ok((accepted, _)) = listener.accept() {
                let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
                setsockopt(&accepted, sockopt::Linger, &at_once).unwrap();
            }
        });
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    let attempt = loop {
        let attempt = path.client.attempts(&["10.77.2.2:70"]).remove(0);
        if attempt.errno == Some(Errno::ECONNRESET) {
            break attempt;
        }
        assert!(attempt.outcome == AttemptOutcome::Open && Instant::now() < deadline, "{attempt:?}");
    };
    assert_eq!((answer(&attempt).kind, answer(&attempt).ttl), (AnswerKind::Rst, Some(63)));
    let reference = answer(&attempt).reference.value().unwrap();
    assert_eq!((reference.what.as_str(), reference.ttl), ("SYN-ACK of the same connection", Some(63)));
}

#[test]
fn an_open_port_shows_its_syn_ack() {
    let Some(path) = path() else { return };
    let _listener = path.server.run(|| TcpListener::bind("[::]:71").unwrap());
    for attempt in path.client.attempts(&["10.77.2.2:71", "[fd77:2::2]:71"]) {
        assert_eq!(attempt.outcome, AttemptOutcome::Open, "{attempt:?}");
        assert_eq!((answer(&attempt).kind, answer(&attempt).ttl), (AnswerKind::Accept, Some(63)));
        assert!(answer(&attempt).reference.value().is_none(), "nothing to compare");
    }
}

#[test]
fn a_dead_neighbour_is_named_by_this_machine() {
    let Some(path) = path() else { return };
    for attempt in path.client.attempts(&["10.77.1.99:1", "[fd77:1::99]:1"]) {
        assert_eq!((attempt.outcome, attempt.errno), (AttemptOutcome::Unreachable, Some(Errno::EHOSTUNREACH)));
        let answer = answer(&attempt);
        assert_eq!((answer.kind, answer.from), (AnswerKind::Icmp, attempt.local.map(|local| local.ip())));
        assert!(attempt.elapsed < Duration::from_secs(4));
    }
}

#[test]
fn who_has_an_address_is_asked_past_an_entry_set_by_hand() {
    let Some(path) = path() else { return };
    path.client.ip("neigh replace 10.77.1.1 lladdr 02:de:ad:be:ef:01 dev c nud permanent");
    path.client.ip("neigh replace fd77:1::1 lladdr 02:de:ad:be:ef:01 dev c nud permanent");
    let asked = |address: &str, own: &str| {
        let (address, own) = (address.parse().unwrap(), own.parse().unwrap());
        path.client.run(move || {
            let link = nix::net::if_::if_nametoindex("c").unwrap();
            unrefuse_probe::claimants(address, own, link, FAST).into_value().unwrap()
        })
    };
    for (router, nobody, own) in [("10.77.1.1", "10.77.1.99", "10.77.1.2"), ("fd77:1::1", "fd77:1::99", "fd77:1::2")] {
        let claimants = asked(router, own);
        assert!(claimants.len() == 1 && claimants[0] != "02:de:ad:be:ef:01", "{router}: {claimants:?}");
        assert!(asked(nobody, own).is_empty(), "{nobody}");
    }
}

#[test]
fn a_connection_to_itself_is_no_open_port() {
    let Some(node) = alone() else { return };
    node.set("net/ipv4/ip_local_port_range", "40000 40000");
    for address in ["127.0.0.1:40000", "[::1]:40000"] {
        let attempt = node.attempts(&[address]).remove(0);
        assert_eq!((attempt.outcome, attempt.errno), (AttemptOutcome::Refused, Some(Errno::ECONNREFUSED)));
        assert_eq!(attempt.local, Some(attempt.address), "it really was a connection to itself");
        assert_eq!(answer(&attempt).kind, AnswerKind::Local);
    }
}

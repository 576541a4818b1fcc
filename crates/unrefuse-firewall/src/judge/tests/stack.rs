//! What the network stack itself decides.

use super::*;
use crate::machine::{KnownRoute, Route, RouteKind};

fn from(src: &str, iif: &str) -> Question {
    Question::incoming(Some(iif), PacketSpec::tcp(Some(ip(src)), ip(HERE), 80))
}

fn stopped(machine: &KnownMachine, question: &Question) -> String {
    let answer = judge(&Ruleset::default(), machine, question);
    if answer.fate.is_stopped() { by(&answer) } else { format!("{:?}", answer.fate) }
}

#[test]
fn a_source_of_our_own_is_martian() {
    assert_eq!(stopped(&machine(), &from("198.51.100.1", "eth0")), "MartianSource");
    assert_eq!(stopped(&machine(), &from("127.0.0.1", "eth0")), "MartianSource");
    assert_eq!(stopped(&machine(), &from("0.0.0.0", "eth0")), "MartianSource");
    assert!(stopped(&machine(), &from("0.0.0.9", "eth0")).starts_with("Accepted"));
    let relaxed = machine().with_sysctl("net.ipv4.conf.eth0.accept_local", 1);
    assert!(stopped(&relaxed, &from("198.51.100.1", "eth0")).starts_with("Accepted"));
}

#[test]
fn rp_filter_wants_the_way_back() {
    let strict = machine().with_sysctl("net.ipv4.conf.all.rp_filter", 1);
    assert!(stopped(&strict, &from("198.51.100.7", "eth0")).starts_with("RpFilter"));
    assert!(stopped(&strict, &from(THERE, "eth0")).starts_with("Accepted"));
    assert!(stopped(&strict, &from("203.0.113.5", "eth0")).starts_with("RpFilter"));
    let loose = machine().with_sysctl("net.ipv4.conf.eth0.rp_filter", 2);
    assert!(stopped(&loose, &from("198.51.100.7", "eth0")).starts_with("Accepted"));
    assert!(stopped(&loose, &from("203.0.113.5", "eth0")).starts_with("RpFilter"));
}

#[test]
fn loopback_destinations_do_not_come_from_the_wire() {
    let q = Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip(THERE)), ip("127.0.0.1"), 80));
    assert_eq!(stopped(&machine(), &q), "MartianDestination");
    let q = Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip("2001:db8::7")), ip("::1"), 80));
    assert_eq!(stopped(&machine(), &q), "MartianDestination");
}

#[test]
fn routes_that_are_none_answer_as_the_kernel_does() {
    let with = |kind| {
        let route = Route { kind, oif: None, gateway: None, source: None };
        machine().with_route(ip("203.0.113.0"), 24, route).with_sysctl("net.ipv4.ip_forward", 1)
    };
    let through = Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip(THERE)), ip("203.0.113.9"), 80));
    let fate = |kind, q: &Question| judge(&Ruleset::default(), &with(kind), q).fate;
    assert_eq!(fate(RouteKind::Blackhole, &through), Fate::Dropped);
    assert_eq!(fate(RouteKind::Unreachable, &through), Fate::Rejected(Reject::Icmp(3, 1)));
    assert_eq!(fate(RouteKind::Prohibit, &through), Fate::Rejected(Reject::Icmp(3, 13)));
    let mine = connect("203.0.113.9", 80);
    assert_eq!(fate(RouteKind::Blackhole, &mine), Fate::NotSent("EINVAL"));
    assert_eq!(fate(RouteKind::Unreachable, &mine), Fate::NotSent("EHOSTUNREACH"));
    assert_eq!(fate(RouteKind::Prohibit, &mine), Fate::NotSent("EACCES"));
    assert_eq!(judge(&Ruleset::default(), &machine(), &mine).fate, Fate::NotSent("ENETUNREACH"));
}

#[test]
fn a_broadcast_destination_is_no_connection() {
    let m = KnownMachine {
        routes: vec![KnownRoute {
            prefix: ip(HERE),
            length: 24,
            route: Route { kind: RouteKind::Unicast, oif: Some("eth0".into()), gateway: None, source: None },
        }],
        ..machine()
    };
    assert_eq!(judge(&Ruleset::default(), &m, &connect("192.0.2.255", 80)).fate, Fate::NotSent("ENETUNREACH"));
}

#[test]
fn without_facts_the_destination_is_taken_for_local_and_that_is_said() {
    struct Nothing;
    impl crate::machine::Machine for Nothing {}
    let r = input(Policy::Drop, vec![vec![dport(80), ACCEPT]]);
    let answer = judge(&r, &Nothing, &syn(80));
    assert!(answer.fate.is_accepted());
    assert!(answer.assumptions.iter().any(|a| a.contains("192.0.2.1 is an address of this machine")), "{answer:#?}");
}

//! What random rulesets showed of Linux 6.18 (the differential test): each was once judged otherwise.

use super::*;
use crate::answer::ClientSees;
use crate::machine::{Route, RouteKind};

const DROP_ALL: fn() -> Vec<Vec<Statement>> = || vec![vec![DROP]];

fn udp_from_here(to: &str) -> Question {
    Question::outgoing(PacketSpec::udp(None, ip(to), 53))
}

fn router() -> KnownMachine {
    machine().with_sysctl("net.ipv4.ip_forward", 1)
}

fn snat(to: &str) -> Statement {
    let address = Some((Expr::Const(scalar(to)), Expr::Const(scalar(to))));
    Statement::Nat(Box::new(Nat { kind: NatKind::Snat, family: None, address, port: None, prefix: None }))
}

#[test]
fn sendto_is_not_told_what_is_dropped_behind_lo() {
    let behind = input(Policy::Drop, vec![]);
    assert_eq!(ask(&behind, &udp_from_here("127.0.0.1")).client_sees, ClientSees::Silence);
    let before = ruleset(vec![table(Family::Ip, "t", vec![("o", base(Hook::Output, 0, Policy::Drop, vec![]))])]);
    assert_eq!(ask(&before, &udp_from_here("127.0.0.1")).client_sees, ClientSees::Errno("EPERM"));
}

#[test]
fn a_rejected_datagram_whose_error_is_lost_is_eperm() {
    let output = base(Hook::Output, 0, Policy::Accept, vec![vec![Statement::Reject(Reject::Icmp(3, 3))]]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("o", output)])]);
    assert_eq!(ask(&r, &udp_from_here(THERE)).client_sees, ClientSees::Errno("EPERM"));
}

#[test]
fn ipv6_drops_what_no_wire_carries_before_its_hooks() {
    let prerouting = base(Hook::Prerouting, 0, Policy::Accept, DROP_ALL());
    let r = ruleset(vec![table(Family::Ip6, "t", vec![("p", prerouting)])]);
    let to_loopback = Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip("2001:db8::7")), ip("::1"), 80));
    assert_eq!(by(&ask(&r, &to_loopback)), "MartianDestination");
    let from_loopback = Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip("::1")), ip("2001:db8::1"), 80));
    assert_eq!(by(&ask(&r, &from_loopback)), "MartianSource");
}

#[test]
fn nobody_answers_for_or_to_many() {
    let to = |spec| ask(&Ruleset::default(), &Question::incoming(Some("eth0"), spec));
    let tcp = to(PacketSpec::tcp(Some(ip(THERE)), ip("255.255.255.255"), 80));
    assert_eq!((by(&tcp).as_str(), tcp.client_sees), ("NotUnicast", ClientSees::Silence));
    assert!(to(PacketSpec::udp(Some(ip(THERE)), ip("255.255.255.255"), 80)).fate.is_accepted());
    let reject = base(Hook::Prerouting, 0, Policy::Accept, vec![vec![Statement::Reject(Reject::Icmp(3, 3))]]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("p", reject)])]);
    let from = |src| Question::incoming(Some("eth0"), PacketSpec::udp(Some(ip(src)), ip(HERE), 80));
    assert_eq!(fate(&r, &from("255.255.255.255")), Fate::Dropped);
    assert_eq!(fate(&r, &from(THERE)), Fate::Rejected(Reject::Icmp(3, 3)));
}

#[test]
fn an_answer_to_a_translated_source_is_routed_anew() {
    // SNAT in INPUT to an own address: untranslated in OUTPUT, the answer leaves by the wire, not by lo.
    let nat = base(Hook::Input, 100, Policy::Accept, vec![vec![snat("198.51.100.1")]]);
    let saddr = payload(Header::Network, 96, 32);
    let stranger = Statement::If(Cond::Compare { left: saddr, op: Op::Ne, right: scalar(THERE) });
    let filter = base(Hook::Input, 0, Policy::Accept, vec![vec![stranger, DROP]]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("nat", nat), ("filter", filter)])]);
    let answer = ask(&r, &syn(80));
    assert_eq!(answer.client_sees, ClientSees::Answer);
    let Some(Fate::Accepted { to }) = answer.reply.map(|r| r.fate) else { panic!("the answer is lost") };
    assert_eq!(to[0].oif.as_deref(), Some("eth0"));
}

#[test]
fn an_answer_that_is_not_translated_back_is_none() {
    // Untracked on its way back, the server's answer ends here: the masqueraded client waits.
    let from = Statement::If(Cond::Compare {
        left: payload(Header::Network, 96, 32),
        op: Op::Eq,
        right: scalar("198.51.100.9"),
    });
    let raw = base(Hook::Prerouting, -300, Policy::Accept, vec![vec![from, Statement::Notrack]]);
    let nat = base(Hook::Postrouting, 100, Policy::Accept, vec![vec![snat("198.51.100.1")]]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("raw", raw), ("nat", nat)])]);
    let q = Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip(THERE)), ip("198.51.100.9"), 80));
    assert_eq!(judge(&r, &router(), &q).client_sees, ClientSees::Silence);
}

#[test]
fn a_router_counts_the_ttl_down_before_forward() {
    let is_64 = eq(payload(Header::Network, 64, 8), 64);
    let forward = base(Hook::Forward, 0, Policy::Accept, vec![vec![is_64.clone(), DROP]]);
    let prerouting = base(Hook::Prerouting, 0, Policy::Accept, vec![vec![is_64, DROP]]);
    let q = |ttl| {
        let spec = PacketSpec { ttl: Some(ttl), ..PacketSpec::tcp(Some(ip(THERE)), ip("198.51.100.9"), 80) };
        Question { reply: false, ..Question::incoming(Some("eth0"), spec) }
    };
    let f = ruleset(vec![table(Family::Ip, "t", vec![("f", forward)])]);
    assert!(judge(&f, &router(), &q(64)).fate.is_accepted());
    assert_eq!(judge(&f, &router(), &q(65)).fate, Fate::Dropped);
    let p = ruleset(vec![table(Family::Ip, "t", vec![("p", prerouting)])]);
    assert_eq!(judge(&p, &router(), &q(64)).fate, Fate::Dropped);
}

#[test]
fn ipv6_answers_for_a_dead_route_though_it_does_not_forward() {
    let dead = |kind| {
        let route = Route { kind, oif: None, gateway: None, source: None };
        let machine = machine().with_sysctl("net.ipv6.conf.all.forwarding", 0);
        let machine = machine.with_route(ip("2001:db8:66::"), 48, route);
        let spec = PacketSpec::tcp(Some(ip("2001:db8::7")), ip("2001:db8:66::1"), 80);
        judge(&Ruleset::default(), &machine, &Question::incoming(Some("eth0"), spec)).fate
    };
    assert_eq!(dead(RouteKind::Unreachable), Fate::Rejected(Reject::Icmp6(1, 0)));
    assert_eq!(dead(RouteKind::Prohibit), Fate::Rejected(Reject::Icmp6(1, 1)));
    assert_eq!(dead(RouteKind::Unicast), Fate::Dropped);
}

#[test]
fn a_map_without_the_key_ends_a_nat_rule() {
    let key = vec![payload(Header::Transport, 16, 16)];
    let address = Expr::Map { key, set: "m".into(), part: 0 };
    let nat =
        Nat { kind: NatKind::Dnat, family: None, address: Some((address.clone(), address)), port: None, prefix: None };
    let chain = base(Hook::Prerouting, -100, Policy::Accept, vec![vec![Statement::Nat(Box::new(nat))]]);
    let mut t = table(Family::Ip, "t", vec![("p", chain)]);
    let element = Element { data: Some(vec![scalar("198.51.100.9")]), ..Element::default() };
    let elements = Elements::Exact([(vec![80], element)].into());
    t.sets.insert("m".into(), Set { key: vec![16], elements, ..Set::default() });
    let r = ruleset(vec![t]);
    let to = |port| match judge(&r, &router(), &syn(port)).fate {
        Fate::Accepted { to } => to[0].address,
        other => panic!("{other:?}"),
    };
    assert_eq!(to(80), Some(ip("198.51.100.9")));
    assert_eq!(to(81), Some(ip(HERE)));
}

#[test]
fn the_incoming_type_is_the_packets_own_device() {
    let ether = eq(meta(Meta::IifType), 1);
    let drops = |hook| {
        let chain = base(hook, 0, Policy::Accept, vec![vec![ether.clone(), DROP]]);
        fate(&ruleset(vec![table(Family::Ip, "t", vec![("c", chain)])]), &connect(THERE, 80)) == Fate::Dropped
    };
    assert!(drops(Hook::Postrouting));
    assert!(!drops(Hook::Output));
}

#[test]
fn to_addrtype_of_ipv6_each_dead_route_is_unreachable() {
    let unreachable = 1 << RouteKind::Unreachable.number();
    let addr_type = Expr::Field(Field::AddrType { source: false, limit: None });
    let of = Expr::Bits { of: Box::new(addr_type), mask: unreachable, xor: 0 };
    let cond = Cond::Compare { left: of, op: Op::Ne, right: 0 };
    let chain = base(Hook::Prerouting, 0, Policy::Accept, vec![vec![Statement::If(cond), DROP]]);
    let r = ruleset(vec![table(Family::Inet, "t", vec![("c", chain)])]);
    let dead = |prefix: &str, to: &str| {
        let route = Route { kind: RouteKind::Blackhole, oif: None, gateway: None, source: None };
        let machine = router().with_route(ip(prefix), 24, route);
        let src = if to.contains(':') { "2001:db8::7" } else { THERE };
        let q = Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip(src)), ip(to), 80));
        by(&judge(&r, &machine, &q))
    };
    assert_eq!(dead("2001:ff::", "2001:ff::1"), "c 1");
    assert_eq!(dead("203.0.113.0", "203.0.113.9"), "Route(Blackhole)");
}

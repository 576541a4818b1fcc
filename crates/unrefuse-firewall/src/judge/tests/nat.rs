//! NAT, marks, and the routing decision after them.

use super::*;
use crate::answer::ClientSees;

fn dnat(address: Option<(&str, &str)>, port: Option<(u16, u16)>) -> Statement {
    nat(NatKind::Dnat, address, port)
}

fn nat(kind: NatKind, address: Option<(&str, &str)>, port: Option<(u16, u16)>) -> Statement {
    let address = address.map(|(a, b)| (Expr::Const(scalar(a)), Expr::Const(scalar(b))));
    let port = port.map(|(a, b)| (Expr::Const(a.into()), Expr::Const(b.into())));
    Statement::Nat(Box::new(Nat { kind, family: None, address, port, prefix: None }))
}

fn prerouting(list: Vec<Vec<Statement>>) -> (&'static str, Chain) {
    ("PREROUTING", base(Hook::Prerouting, -100, Policy::Accept, list))
}

fn to(answer: &Answer) -> Vec<(String, Option<u16>, bool, Option<String>)> {
    let Fate::Accepted { to } = &answer.fate else { panic!("{:?}", answer.fate) };
    to.iter().map(|d| (d.address.map(|a| a.to_string()).unwrap_or_default(), d.port, d.local, d.oif.clone())).collect()
}

#[test]
fn later_chains_see_the_new_destination() {
    let inp = base(Hook::Input, 0, Policy::Drop, vec![vec![dport(8080), ACCEPT]]);
    let r = ruleset(vec![table(
        Family::Ip,
        "t",
        vec![prerouting(vec![vec![dport(80), dnat(None, Some((8080, 8080)))]]), ("in", inp)],
    )]);
    let answer = ask(&r, &syn(80));
    assert_eq!(to(&answer), vec![(HERE.into(), Some(8080), true, None)]);
    assert_eq!(answer.translated.map(|t| t.dport), Some(Some(8080)));
    assert_eq!(fate(&r, &syn(81)), Fate::Dropped);
}

#[test]
fn dnat_to_another_host_is_forwarded() {
    let forward = base(Hook::Forward, 0, Policy::Drop, vec![vec![daddr("198.51.100.9"), ACCEPT]]);
    let r = ruleset(vec![table(
        Family::Ip,
        "t",
        vec![prerouting(vec![vec![dport(80), dnat(Some(("198.51.100.9", "198.51.100.9")), None)]]), ("f", forward)],
    )]);
    let off = ask(&r, &syn(80));
    assert_eq!(off.fate, Fate::Dropped);
    assert!(by(&off).starts_with("ForwardingOff"));
    let on = machine().with_sysctl("net.ipv4.ip_forward", 1);
    let mut question = syn(80);
    question.reply = false;
    let answer = judge(&r, &on, &question);
    assert_eq!(to(&answer), vec![("198.51.100.9".into(), Some(80), false, Some("eth1".into()))]);
    assert_eq!(by(&answer), "f 1");
    // The answer's source is translated back only in POSTROUTING: FORWARD sees the real server, and drops here.
    let answer = judge(&r, &on, &syn(80));
    assert_eq!(answer.client_sees, ClientSees::Silence);
    assert_eq!(decider(answer.reply.and_then(|r| r.decided_by).as_ref()), "f policy");
}

#[test]
fn only_the_first_translation_counts() {
    let first = ("a", base(Hook::Prerouting, -100, Policy::Accept, vec![vec![dnat(None, Some((1, 1)))]]));
    let mut second = base(Hook::Prerouting, -90, Policy::Accept, vec![vec![dnat(None, Some((2, 2)))]]);
    second.base.as_mut().expect("a base chain").kind = ChainKind::Nat;
    let r = ruleset(vec![table(Family::Ip, "t", vec![first, ("b", second)])]);
    assert_eq!(to(&ask(&r, &syn(80)))[0].1, Some(1));
}

#[test]
fn a_nat_chain_that_accepts_without_translating_leaves_it_to_the_next() {
    let first = ("a", base(Hook::Prerouting, -100, Policy::Accept, vec![vec![ACCEPT]]));
    let mut second = base(Hook::Prerouting, -90, Policy::Accept, vec![vec![dnat(None, Some((2, 2)))]]);
    second.base.as_mut().expect("a base chain").kind = ChainKind::Nat;
    let r = ruleset(vec![table(Family::Ip, "t", vec![first, ("b", second)])]);
    assert_eq!(to(&ask(&r, &syn(80)))[0].1, Some(2));
}

#[test]
fn an_untracked_packet_is_not_translated() {
    let raw = base(Hook::Prerouting, -300, Policy::Accept, vec![vec![Statement::Notrack]]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("raw", raw), prerouting(vec![vec![dnat(None, Some((1, 1)))]])])]);
    assert_eq!(to(&ask(&r, &syn(80)))[0].1, Some(80));
}

#[test]
fn redirect_goes_to_the_interfaces_own_address() {
    let r = ruleset(vec![table(
        Family::Ip,
        "t",
        vec![prerouting(vec![vec![nat(NatKind::Redirect, None, Some((3128, 3128)))]])],
    )]);
    let q = Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip(THERE)), ip("203.0.113.9"), 80));
    assert_eq!(to(&ask(&r, &q)), vec![(HERE.into(), Some(3128), true, None)]);
}

#[test]
fn redirect_in_output_goes_to_loopback() {
    let out =
        base(Hook::Output, -100, Policy::Accept, vec![vec![dport(80), nat(NatKind::Redirect, None, Some((9, 9)))]]);
    let inp = base(Hook::Input, 0, Policy::Drop, vec![vec![iif("lo"), ACCEPT]]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("out", out), ("in", inp)])]);
    let answer = ask(&r, &connect(THERE, 80));
    assert_eq!(to(&answer), vec![("127.0.0.1".into(), Some(9), true, None)]);
    assert_eq!(answer.client_sees, ClientSees::Answer);
}

#[test]
fn several_addresses_are_all_said() {
    let r = ruleset(vec![table(
        Family::Ip,
        "t",
        vec![prerouting(vec![vec![dnat(Some(("198.51.100.9", "198.51.100.10")), None)]])],
    )]);
    let mut q = syn(80);
    q.reply = false;
    let answer = judge(&r, &machine().with_sysctl("net.ipv4.ip_forward", 1), &q);
    assert_eq!(to(&answer).len(), 2);
}

#[test]
fn a_port_within_the_range_stays() {
    let r = ruleset(vec![table(Family::Ip, "t", vec![prerouting(vec![vec![dnat(None, Some((70, 90)))]])])]);
    assert_eq!(to(&ask(&r, &syn(80)))[0].1, Some(80));
    assert_eq!(to(&ask(&r, &syn(100)))[0].1, None);
}

#[test]
fn masquerade_takes_the_routes_source_and_the_answer_finds_back() {
    let post = base(Hook::Postrouting, 100, Policy::Accept, vec![vec![nat(NatKind::Masquerade, None, None)]]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("post", post)])]);
    let q = Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip(THERE)), ip("198.51.100.9"), 80));
    let answer = judge(&r, &machine().with_sysctl("net.ipv4.ip_forward", 1), &q);
    assert_eq!(answer.translated.and_then(|t| t.src), Some(ip("198.51.100.1")));
    let reply = answer.reply.expect("a reply");
    let Fate::Accepted { to } = reply.fate else { panic!("{:?}", reply.fate) };
    assert_eq!((to[0].address, to[0].oif.as_deref()), (Some(ip(THERE)), Some("eth0")));
}

#[test]
fn netmap_replaces_the_prefix_only() {
    let netmap = Statement::Nat(Box::new(Nat {
        kind: NatKind::Dnat,
        family: None,
        address: Some((Expr::Const(scalar("198.51.100.0")), Expr::Const(scalar("198.51.100.255")))),
        port: None,
        prefix: Some(24),
    }));
    let r = ruleset(vec![table(Family::Ip, "t", vec![prerouting(vec![vec![netmap]])])]);
    let q = Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip(THERE)), ip("203.0.113.9"), 80));
    let answer = judge(&r, &machine().with_sysctl("net.ipv4.ip_forward", 1), &q);
    assert_eq!(to(&answer)[0].0, "198.51.100.9");
}

#[test]
fn nat_for_the_other_family_in_an_inet_table_passes_by() {
    let v6 = Statement::Nat(Box::new(Nat {
        kind: NatKind::Dnat,
        family: Some(Family::Ip6),
        address: Some((Expr::Const(scalar("2001:db8::9")), Expr::Const(scalar("2001:db8::9")))),
        port: None,
        prefix: None,
    }));
    let r = ruleset(vec![table(Family::Inet, "t", vec![prerouting(vec![vec![v6]])])]);
    assert_eq!(to(&ask(&r, &syn(80)))[0].0, HERE);
}

#[test]
fn a_mark_is_seen_later_and_survives_chains() {
    let mangle = base(Hook::Prerouting, -150, Policy::Accept, vec![vec![dport(80), set_mark(7)]]);
    let inp = base(Hook::Input, 0, Policy::Drop, vec![vec![eq(meta(Meta::Mark), 7), ACCEPT]]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("m", mangle), ("in", inp)])]);
    assert!(accepted(&r, &syn(80)));
    assert_eq!(fate(&r, &syn(81)), Fate::Dropped);
}

#[test]
fn conntrack_keeps_the_original_tuple_and_the_status() {
    let original = eq(ct(Ct::Tuple(Direction::Original, TuplePart::DestinationPort)), 80);
    let status = Expr::Bits { of: Box::new(ct(Ct::Status)), mask: 32, xor: 0 };
    let inp = base(Hook::Input, 0, Policy::Drop, vec![vec![original, eq(status, 32), dport(1), ACCEPT]]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![prerouting(vec![vec![dnat(None, Some((1, 1)))]]), ("in", inp)])]);
    assert!(accepted(&r, &syn(80)));
    assert_eq!(fate(&r, &syn(1)), Fate::Dropped);
}

/// Measured on Linux 6.18: a packet that a chain of type route marks is routed anew, but only POSTROUTING sees the new
/// device; a mark set in a chain of type filter changes no route.
#[test]
fn a_mark_reroutes_from_chains_of_type_route() {
    struct Marked;
    impl crate::machine::Machine for Marked {
        fn route(&self, query: &crate::machine::RouteQuery<'_>) -> Option<crate::machine::Route> {
            let oif = if query.mark == Some(7) { "eth1" } else { "eth0" };
            let kind = crate::machine::RouteKind::Unicast;
            Some(crate::machine::Route { kind, oif: Some(oif.into()), gateway: None, source: Some(ip(HERE)) })
        }
    }
    let dropped = |priority, hook| {
        let mut question = connect(THERE, 80);
        question.reply = false;
        let mark = base(Hook::Output, priority, Policy::Accept, vec![vec![set_mark(7)]]);
        let oif = eq(meta(Meta::OifName), interface_scalar("eth1"));
        let late = base(hook, 0, Policy::Accept, vec![vec![oif, DROP]]);
        let r = ruleset(vec![table(Family::Ip, "t", vec![("m", mark), ("late", late)])]);
        judge(&r, &Marked, &question).fate == Fate::Dropped
    };
    assert!(dropped(-150, Hook::Postrouting));
    assert!(!dropped(-150, Hook::Output));
    assert!(!dropped(-160, Hook::Postrouting));
    let by = |priority| {
        let mark = base(Hook::Output, priority, Policy::Accept, vec![vec![set_mark(7)]]);
        judge(&ruleset(vec![table(Family::Ip, "t", vec![("m", mark)])]), &Marked, &connect(THERE, 80)).rerouted_by
    };
    assert_eq!((by(-150), by(-160)), (Some(7), None));
}

/// Measured on Linux 6.18: without anything that needs conntrack, chains of type nat are not run at all.
#[test]
fn a_nat_chain_runs_only_where_conntrack_does() {
    let nat = |rule: Vec<Statement>| {
        let chain = base(Hook::Prerouting, -100, Policy::Accept, vec![rule]);
        let other = base(Hook::Forward, 0, Policy::Accept, vec![vec![state(1), ACCEPT]]);
        (table(Family::Ip, "nat", vec![("pre", chain)]), table(Family::Inet, "other", vec![("f", other)]))
    };
    let (alone, other) = nat(vec![DROP]);
    assert!(accepted(&ruleset(vec![alone.clone()]), &syn(80)));
    assert_eq!(fate(&ruleset(vec![alone.clone(), other]), &syn(80)), Fate::Dropped);
    let counted = machine().with_sysctl("net.netfilter.nf_conntrack_count", 3);
    assert_eq!(judge(&ruleset(vec![alone]), &counted, &syn(80)).fate, Fate::Dropped);
}

/// Measured on Linux 6.18: to nf_nat_inet_fn a related packet is like a new one while the translation is not settled.
#[test]
fn an_error_of_netfilters_own_meets_nat_chains() {
    let inp = base(Hook::Input, 0, Policy::Accept, vec![vec![Statement::Reject(Reject::TcpReset)]]);
    let post = base(Hook::Postrouting, 100, Policy::Accept, vec![vec![state(crate::conntrack::state::RELATED), DROP]]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("in", inp), ("post", post)])]);
    assert_eq!(ask(&r, &syn(80)).client_sees, ClientSees::Silence);
    // A SYN-ACK meets none: its connection is settled.
    let post = base(Hook::Postrouting, 100, Policy::Drop, vec![vec![state(1), ACCEPT]]);
    assert_eq!(
        ask(&ruleset(vec![table(Family::Ip, "t", vec![("post", post)])]), &syn(80)).client_sees,
        ClientSees::Answer
    );
}

/// Measured on Linux 6.18: the packet is dropped in OUTPUT, where it is routed anew.
#[test]
fn a_translation_that_cannot_be_routed_drops() {
    let to = |address, m: &crate::machine::KnownMachine, from: &str| {
        let out = base(Hook::Output, -100, Policy::Accept, vec![vec![dport(80), dnat(Some((address, address)), None)]]);
        let mut question = Question::outgoing(PacketSpec::tcp(Some(ip(from)), ip(from), 80));
        question.reply = false;
        let answer = judge(&ruleset(vec![table(Family::Ip, "t", vec![("out", out)])]), m, &question);
        (answer.fate == Fate::Dropped, by(&answer))
    };
    let blackhole =
        crate::machine::Route { kind: crate::machine::RouteKind::Blackhole, oif: None, gateway: None, source: None };
    let m = machine().with_route(ip("203.0.113.0"), 24, blackhole);
    assert_eq!(to("203.0.113.9", &m, HERE), (true, "Route(Blackhole)".into()));
    // From localhost to another host: only with route_localnet.
    assert_eq!(to(THERE, &machine(), "127.0.0.1"), (true, "MartianSource".into()));
    let relaxed = machine().with_sysctl("net.ipv4.conf.eth0.route_localnet", 1);
    assert!(!to(THERE, &relaxed, "127.0.0.1").0);
    assert!(!to(THERE, &machine(), HERE).0);
}

/// Measured on Linux 6.18: the SYN-ACK leaves from the port that the packet was translated to.
#[test]
fn an_answer_that_is_not_translated_back_is_none_to_the_client() {
    let raw = |rule| ("raw", base(Hook::Output, -300, Policy::Accept, vec![rule]));
    let redirect = |rule| {
        let pre = prerouting(vec![vec![dnat(None, Some((8080, 8080)))]]);
        ask(&ruleset(vec![table(Family::Ip, "t", vec![pre, raw(rule)])]), &syn(80)).client_sees
    };
    assert_eq!(redirect(vec![Statement::Notrack]), ClientSees::Silence);
    assert_eq!(redirect(vec![ACCEPT]), ClientSees::Answer);
}

#[test]
fn what_follows_the_first_packet_is_established_and_translated_again() {
    use crate::conntrack::state as seen;
    let only_new = || vec![dport(8080), state(seen::NEW), ACCEPT];
    let with = |rules: Vec<Vec<Statement>>| {
        let input = base(Hook::Input, 0, Policy::Drop, rules);
        let translate = prerouting(vec![vec![dport(80), dnat(None, Some((8080, 8080)))]]);
        ruleset(vec![table(Family::Ip, "t", vec![translate, ("in", input)])])
    };
    let confirmation = |r: &Ruleset, port| super::super::Judge::new(r, &machine()).confirmation(&syn(port));
    let forgotten = with(vec![only_new()]);
    assert!(ask(&forgotten, &syn(80)).fate.is_accepted());
    let later = confirmation(&forgotten, 80).expect("a connection");
    assert_eq!((later.fate, decider(later.decided_by.as_ref())), (Fate::Dropped, "in policy".to_owned()));
    // A rule without a state lets it in by the new port, and established packets have a rule of their own.
    for rest in [vec![dport(8080), ACCEPT], vec![state(seen::ESTABLISHED), ACCEPT]] {
        let later = confirmation(&with(vec![only_new(), rest]), 80).expect("a connection");
        assert!(later.fate.is_accepted(), "{later:?}");
    }
    assert_eq!(confirmation(&forgotten, 81), None, "the first packet does not get through");
}

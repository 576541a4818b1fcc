//! Tests of values: sets, maps, loads that fail.

use super::*;
use std::collections::HashMap;

fn with_set(rule: Vec<Statement>, name: &str, set: Set) -> Ruleset {
    let mut r = input(Policy::Drop, vec![rule]);
    r.tables[0].sets.insert(name.into(), set);
    r
}

fn exact(keys: &[Scalar], element: &dyn Fn(Scalar) -> Element) -> Elements {
    Elements::Exact(keys.iter().map(|k| (vec![*k], element(*k))).collect())
}

fn in_set(key: Vec<Expr>, negated: bool) -> Statement {
    Statement::If(Cond::InSet { key, set: "s".into(), negated })
}

fn port() -> Expr {
    payload(Header::Transport, 16, 16)
}

#[test]
fn membership() {
    let set = Set { key: vec![16], elements: exact(&[22, 80], &|_| Element::default()), ..Set::default() };
    let r = with_set(vec![in_set(vec![port()], false), ACCEPT], "s", set.clone());
    assert!(accepted(&r, &syn(80)));
    assert_eq!(fate(&r, &syn(81)), Fate::Dropped);
    let r = with_set(vec![in_set(vec![port()], true), ACCEPT], "s", set);
    assert_eq!(fate(&r, &syn(80)), Fate::Dropped);
    assert!(accepted(&r, &syn(81)));
}

#[test]
fn a_concatenation_of_ranges() {
    let source = payload(Header::Network, 96, 32);
    let ranges = vec![(vec![(scalar("192.0.2.0"), scalar("192.0.2.255")), (8000, 8999)], Element::default())];
    let set = Set { key: vec![32, 16], elements: Elements::Ranges(ranges), ..Set::default() };
    let r = with_set(vec![in_set(vec![source, port()], false), ACCEPT], "s", set);
    assert!(accepted(&r, &syn(8080)));
    assert_eq!(fate(&r, &syn(80)), Fate::Dropped);
}

#[test]
fn a_verdict_map_decides_or_lets_go_on() {
    let verdict = |p: Scalar| Element {
        verdict: Some(if p == 80 { Verdict::Accept } else { Verdict::Drop }),
        ..Element::default()
    };
    let mut r =
        input(Policy::Drop, vec![vec![Statement::VerdictMap { key: vec![port()], set: "s".into() }], vec![ACCEPT]]);
    let mut set = Set { key: vec![16], elements: exact(&[80, 22], &verdict), ..Set::default() };
    r.tables[0].sets.insert("s".into(), set.clone());
    assert_eq!(by(&ask(&r, &syn(80))), "INPUT 1");
    assert_eq!(fate(&r, &syn(22)), Fate::Dropped);
    assert_eq!(by(&ask(&r, &syn(81))), "INPUT 2");
    set.catch_all = Some(Element { verdict: Some(Verdict::Drop), ..Element::default() });
    r.tables[0].sets.insert("s".into(), set);
    assert_eq!(by(&ask(&r, &syn(81))), "INPUT 1");
}

#[test]
fn a_key_known_in_part_forks_over_what_it_may_find() {
    let verdict = |_| Element { verdict: Some(Verdict::Accept), ..Element::default() };
    let sport = payload(Header::Transport, 0, 16);
    let map = |keys: &[Scalar]| {
        let set = Set { key: vec![16], elements: exact(keys, &verdict), ..Set::default() };
        with_set(vec![Statement::VerdictMap { key: vec![sport.clone()], set: "s".into() }], "s", set)
    };
    assert!(matches!(fate(&map(&[40000, 50000]), &syn(80)), Fate::Depends { .. }));
    assert_eq!(fate(&map(&[53, 123]), &syn(80)), Fate::Dropped);
}

#[test]
fn an_unread_set_is_asked_for() {
    struct Asked;
    impl crate::machine::Machine for Asked {
        fn element(&self, table: Option<(Family, &str)>, set: &str, key: &[Scalar]) -> Option<Option<Element>> {
            assert_eq!((table, set), (Some((Family::Ip, "filter")), "s"));
            (key != [9]).then(|| (key == [80]).then(Element::default))
        }
    }
    let set = Set { key: vec![16], elements: Elements::Unread, ..Set::default() };
    let r = with_set(vec![in_set(vec![port()], false), ACCEPT], "s", set);
    assert!(judge(&r, &Asked, &syn(80)).fate.is_accepted());
    assert_eq!(judge(&r, &Asked, &syn(81)).fate, Fate::Dropped);
    assert!(matches!(judge(&r, &Asked, &syn(9)).fate, Fate::Depends { .. }));
}

#[test]
fn ipsets_take_the_key_that_their_type_says() {
    let with = |kind: &str, key: Vec<u16>, element: Vec<Scalar>, source: Vec<bool>| {
        let cond = Cond::InIpset { set: "s".into(), source, negated: false };
        let mut r = input(Policy::Drop, vec![vec![Statement::If(cond), ACCEPT]]);
        let elements = Elements::Exact(HashMap::from([(element, Element::default())]));
        r.ipsets.insert("s".into(), Set { key, elements, ipset: Some(kind.into()), ..Set::default() });
        accepted(&r, &syn(80))
    };
    assert!(with("hash:ip", vec![32], vec![scalar(THERE)], vec![true]));
    assert!(!with("hash:ip", vec![32], vec![scalar(THERE)], vec![false]));
    assert!(with("hash:ip,port", vec![32, 8, 16], vec![scalar(THERE), 6, 80], vec![true, false]));
    assert!(!with("hash:ip,port", vec![32, 8, 16], vec![scalar(THERE), 17, 80], vec![true, false]));
    assert!(with("bitmap:port", vec![16], vec![80], vec![false]));
    assert!(!with("hash:ip", vec![128], vec![scalar(THERE)], vec![true]));
}

#[test]
fn an_unread_ipset_is_tested_and_read_where_the_key_is_known_in_part() {
    struct Asked;
    impl crate::machine::Machine for Asked {
        fn element(&self, table: Option<(Family, &str)>, set: &str, key: &[Scalar]) -> Option<Option<Element>> {
            assert_eq!((table, set), (None, "s"));
            Some((key == [scalar(THERE)]).then(Element::default))
        }

        fn ipset(&self, name: &str) -> Option<Arc<Set>> {
            assert_eq!(name, "s");
            let ranges = vec![(vec![(scalar("198.51.100.0"), scalar("198.51.100.255"))], Element::default())];
            Some(Arc::new(Set { key: vec![32], elements: Elements::Ranges(ranges), ..shape() }))
        }
    }
    fn shape() -> Set {
        Set { key: vec![32], elements: Elements::Unread, ipset: Some("hash:net".into()), ..Set::default() }
    }
    let cond = |source| Cond::InIpset { set: "s".into(), source: vec![source], negated: false };
    let with = |source| {
        let mut r = input(Policy::Drop, vec![vec![Statement::If(cond(source)), ACCEPT]]);
        r.ipsets.insert("s".into(), shape());
        r
    };
    assert!(judge(&with(true), &Asked, &syn(80)).fate.is_accepted());
    assert_eq!(judge(&with(false), &Asked, &syn(80)).fate, Fate::Dropped);
    // From whom it comes is not known: what was read may hold it, or may not.
    let mut anybody = syn(80);
    anybody.packet.src = None;
    assert!(matches!(judge(&with(true), &Asked, &anybody).fate, Fate::Depends { .. }));
    // Its destination is, though.
    assert_eq!(judge(&with(false), &Asked, &anybody).fate, Fate::Dropped);
}

#[test]
fn a_list_of_ipsets_holds_what_any_of_them_holds() {
    let cond = Cond::InIpset { set: "list".into(), source: vec![true], negated: false };
    let mut r = input(Policy::Drop, vec![vec![Statement::If(cond), ACCEPT]]);
    let elements = Elements::Exact(HashMap::from([(vec![scalar(THERE)], Element::default())]));
    let kind = |k: &str| Some(k.to_owned());
    r.ipsets.insert("a".into(), Set { key: vec![32], ipset: kind("hash:ip"), ..Set::default() });
    r.ipsets.insert("b".into(), Set { key: vec![32], elements, ipset: kind("hash:ip"), ..Set::default() });
    let list = Elements::Sets(vec!["a".into(), "b".into()]);
    r.ipsets.insert("list".into(), Set { elements: list, ipset: kind("list:set"), ..Set::default() });
    assert!(accepted(&r, &syn(80)));
}

#[test]
fn a_load_that_fails_ends_the_rule_even_turned_round() {
    let uid = |op| Cond::Compare { left: meta(Meta::Skuid), op, right: 0 };
    // An arriving packet has no socket.
    let r = input(Policy::Drop, vec![vec![Statement::If(uid(Op::Ne)), ACCEPT]]);
    assert_eq!(fate(&r, &syn(80)), Fate::Dropped);
    let not = Cond::Not(Box::new(uid(Op::Eq)));
    let r = input(Policy::Drop, vec![vec![Statement::If(not), ACCEPT]]);
    assert_eq!(fate(&r, &syn(80)), Fate::Dropped);
    let lenient = Cond::Not(Box::new(Cond::Lenient(Box::new(uid(Op::Eq)))));
    let r = input(Policy::Drop, vec![vec![Statement::If(lenient), ACCEPT]]);
    assert!(accepted(&r, &syn(80)));
}

#[test]
fn the_sockets_owner_is_seen_in_output() {
    let rule = vec![eq(meta(Meta::Skuid), 1000), DROP];
    let r = ruleset(vec![table(Family::Ip, "t", vec![("out", base(Hook::Output, 0, Policy::Accept, vec![rule]))])]);
    let q = |uid| {
        let mut q = connect(THERE, 80);
        q.packet.uid = uid;
        fate(&r, &q)
    };
    assert_eq!(q(Some(1000)), Fate::Dropped);
    assert!(q(Some(0)).is_accepted());
    assert!(matches!(q(None), Fate::Depends { .. }));
}

#[test]
fn address_types() {
    let typ = |source, limit, kind: u32| {
        let left = Expr::Bits { of: Box::new(Expr::Field(Field::AddrType { source, limit })), mask: 1 << kind, xor: 0 };
        let r = input(Policy::Drop, vec![vec![Statement::If(Cond::Compare { left, op: Op::Ne, right: 0 }), ACCEPT]]);
        accepted(&r, &syn(80))
    };
    assert!(typ(false, None, 2));
    assert!(!typ(true, None, 2));
    assert!(typ(true, None, 1));
    assert!(typ(false, Some(Direction::Original), 2));
}

#[test]
fn fib_says_where_the_source_lives() {
    let fib =
        |iif| Expr::Field(Field::Fib { result: FibResult::Oif, of: FibOf { source: true, iif, ..FibOf::default() } });
    let r = input(Policy::Drop, vec![vec![eq(fib(true), 0), DROP], vec![ACCEPT]]);
    assert!(accepted(&r, &syn(80)));
    let q = Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip("198.51.100.7")), ip(HERE), 80));
    assert_eq!(by(&ask(&r, &q)), "INPUT 1");
}

#[test]
fn a_map_gives_the_value_of_its_key() {
    let data = |_| Element { data: Some(vec![5, 9]), ..Element::default() };
    let set = Set { key: vec![16], elements: exact(&[80], &data), ..Set::default() };
    let map = |part| Expr::Map { key: vec![port()], set: "s".into(), part };
    let rule = vec![Statement::Set { target: SetTarget::Mark, value: map(1) }, eq(meta(Meta::Mark), 9), ACCEPT];
    let r = with_set(rule, "s", set.clone());
    assert!(accepted(&r, &syn(80)));
    // A key that the map does not hold ends the rule.
    let rule = vec![Statement::Set { target: SetTarget::Mark, value: map(1) }, ACCEPT];
    let r = with_set(rule, "s", set);
    assert!(accepted(&r, &syn(80)));
    assert_eq!(fate(&r, &syn(81)), Fate::Dropped);
}

#[test]
fn any_all_and_not() {
    let port = |n| Cond::Compare { left: port(), op: Op::Eq, right: n };
    let holds = |cond: Cond| accepted(&input(Policy::Drop, vec![vec![Statement::If(cond), ACCEPT]]), &syn(80));
    assert!(holds(Cond::Any(vec![port(22), port(80)])));
    assert!(!holds(Cond::Not(Box::new(Cond::Any(vec![port(22), port(80)])))));
    assert!(!holds(Cond::All(vec![port(22), port(80)])));
    assert!(holds(Cond::All(vec![])));
    assert!(!holds(Cond::Any(vec![])));
    assert!(!holds(Cond::All(vec![Cond::Fork("limit".into()), port(22)])));
    assert!(holds(Cond::Any(vec![Cond::Fork("limit".into()), port(80)])));
}

/// Measured on Linux 6.18: a narrower network hides a wider one, even with another interface.
#[test]
fn a_set_of_networks_and_interfaces_stops_at_the_narrowest_network() {
    let element = |net: &str, host: Scalar, iface: &str| {
        let name = interface_scalar(iface);
        (vec![(scalar(net), scalar(net) | host), (name, name)], Element::default())
    };
    let with = |list| {
        let cond = Cond::InIpset { set: "s".into(), source: vec![true, true], negated: false };
        let mut r = input(Policy::Drop, vec![vec![Statement::If(cond), ACCEPT]]);
        let ipset = Some("hash:net,iface".to_owned());
        let set = Set { key: vec![32, 128], elements: Elements::Ranges(list), ipset, ..Set::default() };
        r.ipsets.insert("s".into(), set);
        accepted(&r, &syn(80))
    };
    assert!(with(vec![element("192.0.2.0", 255, "eth0")]));
    assert!(!with(vec![element("192.0.2.64", 63, "eth1"), element("192.0.2.0", 255, "eth0")]));
    assert!(with(vec![element("192.0.2.128", 63, "eth1"), element("192.0.2.0", 255, "eth0")]));
}

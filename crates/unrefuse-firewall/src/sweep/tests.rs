use std::collections::HashMap;

use super::*;
use crate::judge::tests::{
    ACCEPT, DROP, HERE, THERE, dport, input, ip, machine, meta, payload, rules, ruleset, scalar, syn, table,
};
use crate::model::*;
use crate::packet::interface_scalar;

fn fates(sweep: &Sweep<u16>) -> Vec<(u16, u16, bool)> {
    sweep.parts.iter().map(|(r, a)| (*r.start(), *r.end(), a.fate.is_accepted())).collect()
}

fn range(from: Scalar, to: Scalar) -> Statement {
    Statement::If(Cond::Range { value: payload(Header::Transport, 16, 16), from, to, negated: false })
}

#[test]
fn ports_by_stretches() {
    let r = input(Policy::Drop, vec![vec![dport(22), ACCEPT], vec![range(80, 90), ACCEPT], vec![dport(85), DROP]]);
    let sweep = ports(&r, &machine(), &syn(1));
    assert_eq!(
        fates(&sweep),
        vec![(0, 21, false), (22, 22, true), (23, 79, false), (80, 90, true), (91, 65535, false)]
    );
}

/// Whatever form a rule's look at the port has, stretches say the same as 65,536 questions.
#[test]
fn stretches_say_what_every_port_says() {
    let port = || payload(Header::Transport, 16, 16);
    let bits = |mask| Expr::Bits { of: Box::new(port()), mask, xor: 0 };
    let cmp = |left, op, right| Statement::If(Cond::Compare { left, op, right });
    let set = |negated| Statement::If(Cond::InSet { key: vec![port()], set: "s".into(), negated });
    let both = Expr::Bits { of: Box::new(payload(Header::Transport, 0, 32)), mask: 0xffff, xor: 0 };
    let looks = vec![
        vec![dport(22), ACCEPT],
        vec![range(1000, 2000), ACCEPT],
        vec![cmp(port(), Op::Ne, 80), ACCEPT],
        vec![cmp(port(), Op::Lt, 1024), ACCEPT],
        vec![cmp(port(), Op::Ge, 60000), ACCEPT],
        vec![cmp(bits(0xff00), Op::Eq, 0x1f00), ACCEPT],
        vec![cmp(bits(0x0001), Op::Eq, 1), ACCEPT],
        vec![cmp(payload(Header::Transport, 16, 8), Op::Eq, 3), ACCEPT],
        vec![cmp(payload(Header::Transport, 24, 8), Op::Eq, 3), ACCEPT],
        vec![cmp(both, Op::Eq, 443), ACCEPT],
        vec![cmp(payload(Header::Network, 160 + 16, 16), Op::Eq, 99), ACCEPT],
        vec![set(false), ACCEPT],
        vec![set(true), ACCEPT],
    ];
    for look in looks {
        let mut r = input(Policy::Drop, vec![look.clone()]);
        let elements =
            Elements::Ranges(vec![(vec![(7, 9)], Element::default()), (vec![(100, 100)], Element::default())]);
        r.tables[0].sets.insert("s".into(), Set { key: vec![16], elements, ..Set::default() });
        let m = machine();
        let sweep = ports(&r, &m, &syn(1));
        let judge = Judge::new(&r, &m);
        for (range, answer) in &sweep.parts {
            for port in [*range.start(), range.start() + (range.end() - range.start()) / 2, *range.end()] {
                assert_eq!(judge.judge(&syn(port)).decided_by, answer.decided_by, "{look:?} port {port}");
            }
        }
        assert!(sweep.parts.len() > 1, "{look:?}");
    }
}

#[test]
fn the_answers_filter_counts_as_well() {
    let out = Statement::If(Cond::Compare { left: payload(Header::Transport, 0, 16), op: Op::Eq, right: 80 });
    let chain = crate::judge::tests::base(Hook::Output, 0, Policy::Accept, vec![vec![out, DROP]]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("out", chain)])]);
    let sweep = ports(&r, &machine(), &syn(1));
    let silent: Vec<_> = sweep
        .parts
        .iter()
        .filter(|(_, a)| a.client_sees == crate::answer::ClientSees::Silence)
        .map(|(r, _)| r.clone())
        .collect();
    assert_eq!(silent, vec![80..=80]);
}

#[test]
fn sources_by_stretches() {
    let from = |address: &str, length: u32| {
        let mask = ones(32) & !ones(32 - length);
        let of = Box::new(payload(Header::Network, 96, 32));
        let left = Expr::Bits { of, mask, xor: 0 };
        Statement::If(Cond::Compare { left, op: Op::Eq, right: scalar(address) })
    };
    let r = input(Policy::Drop, vec![vec![from("192.0.2.66", 32), DROP], vec![from("192.0.2.64", 26), ACCEPT]]);
    let sweep = sources(&r, &machine(), &syn(80));
    assert!(sweep.exact);
    let open: Vec<_> = sweep.parts.iter().filter(|(_, a)| a.fate.is_accepted()).map(|(r, _)| r.clone()).collect();
    assert_eq!(open, vec![ip("192.0.2.64")..=ip("192.0.2.65"), ip("192.0.2.67")..=ip("192.0.2.127")]);
    assert_eq!(sweep.parts.first().map(|(r, _)| *r.start()), Some(ip("0.0.0.0")));
    assert_eq!(sweep.parts.last().map(|(r, _)| *r.end()), Some(ip("255.255.255.255")));
    // Our own address is no source on a wire.
    let own = sweep.parts.iter().find(|(r, _)| r.contains(&ip(HERE))).map(|(_, a)| crate::judge::tests::by(a));
    assert_eq!(own.as_deref(), Some("MartianSource"));
}

#[test]
fn a_set_of_sources_and_a_look_at_their_lowest_bits() {
    let key = vec![payload(Header::Network, 96, 32)];
    let mut r =
        input(Policy::Drop, vec![vec![Statement::If(Cond::InSet { key, set: "s".into(), negated: false }), ACCEPT]]);
    let elements = Elements::Exact(HashMap::from([(vec![scalar(THERE)], Element::default())]));
    r.tables[0].sets.insert("s".into(), Set { key: vec![32], elements, ..Set::default() });
    let sweep = sources(&r, &machine(), &syn(80));
    let open: Vec<_> = sweep.parts.iter().filter(|(_, a)| a.fate.is_accepted()).map(|(r, _)| r.clone()).collect();
    assert_eq!(open, vec![ip(THERE)..=ip(THERE)]);
    assert!(sweep.exact);
    let odd = Expr::Bits { of: Box::new(payload(Header::Network, 96, 32)), mask: 1, xor: 0 };
    let r = input(Policy::Drop, vec![vec![Statement::If(Cond::Compare { left: odd, op: Op::Eq, right: 1 }), ACCEPT]]);
    assert!(!sources(&r, &machine(), &syn(80)).exact);
}

/// In an inet table bytes of the source of IPv6 are IPv4's destination: a rule that asks for IPv4 first says nothing of them.
#[test]
fn rules_of_the_other_family_make_no_bounds() {
    let v4_only = vec![
        crate::judge::tests::eq(meta(Meta::NfProto), 2),
        crate::judge::tests::eq(payload(Header::Network, 96, 32), scalar(THERE)),
        ACCEPT,
    ];
    let r = input(Policy::Drop, vec![v4_only.clone()]);
    assert!(Sources::new(&r, &machine(), false).bounds.starts.iter().all(|start| *start != scalar(THERE)));
    let sweep = Sources::new(&r, &machine(), true);
    assert!(sweep.bounds.starts.contains(&scalar(THERE)));
    let any = input(Policy::Drop, vec![v4_only[1..].to_vec()]);
    assert!(Sources::new(&any, &machine(), false).bounds.odd, "without the question it may be either");
}

#[test]
fn stretches_of_ports() {
    let r = input(Policy::Drop, vec![vec![dport(22), ACCEPT], vec![range(80, 90), ACCEPT]]);
    assert_eq!(port_stretches(&r, &machine()), Some(vec![0, 22, 23, 80, 81, 90, 91]));
    let lowest = Expr::Bits { of: Box::new(payload(Header::Transport, 16, 16)), mask: 1, xor: 0 };
    let odd = Statement::If(Cond::Compare { left: lowest, op: Op::Eq, right: 1 });
    assert_eq!(port_stretches(&input(Policy::Drop, vec![vec![odd, ACCEPT]]), &machine()), None);
}

/// With many rules an index answers; it must never change a verdict. Small numbers make rules meet packets often.
#[test]
fn looked_up_rules_are_the_rules_a_scan_finds() {
    let mut seed = 1u64;
    let mut random = move |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    for round in 0..60 {
        let mut list = Vec::new();
        for _ in 0..80 {
            let mut rule = Vec::new();
            for _ in 0..=random(3) {
                let port = random(12) as Scalar + 1;
                rule.push(match random(9) {
                    0 => dport(port as u16),
                    1 => range(port, port + random(3) as Scalar),
                    2 => crate::judge::tests::eq(payload(Header::Network, 96, 32), scalar(THERE) + random(2) as Scalar),
                    3 => Statement::If(Cond::Compare {
                        left: Expr::Bits { of: Box::new(payload(Header::Network, 96, 32)), mask: 0xffff_ff00, xor: 0 },
                        op: Op::Eq,
                        right: scalar("192.0.2.0") + 256 * random(2) as Scalar,
                    }),
                    4 => crate::judge::tests::eq(
                        meta(Meta::IifName),
                        interface_scalar(["eth0", "eth1"][random(2) as usize]),
                    ),
                    5 => crate::judge::tests::eq(meta(Meta::L4Proto), [6, 17][random(2) as usize]),
                    6 => Statement::If(Cond::Any(vec![
                        Cond::Compare { left: payload(Header::Transport, 16, 16), op: Op::Eq, right: port },
                        Cond::Range {
                            value: payload(Header::Transport, 16, 16),
                            from: port + 1,
                            to: port + 2,
                            negated: false,
                        },
                    ])),
                    7 => crate::judge::tests::eq(payload(Header::Transport, 0, 16), 40000),
                    _ => crate::judge::tests::eq(meta(Meta::Mark), random(2) as Scalar),
                });
            }
            rule.push(match random(6) {
                0 => ACCEPT,
                1 => DROP,
                2 => crate::judge::tests::set_mark(random(2) as Scalar),
                3 => Statement::Note("log".into()),
                4 => Statement::If(Cond::Fork("limit".into())),
                _ => crate::judge::tests::jump("user"),
            });
            list.push(rule);
        }
        let mut r = input(Policy::Drop, list.clone());
        let user = Chain {
            rules: rules(
                list.into_iter().filter(|l| !l.contains(&crate::judge::tests::jump("user"))).take(40).collect(),
            ),
            ..Chain::default()
        };
        r.tables[0].chains.insert("user".into(), user);
        let m = machine();
        let judge = Judge::new(&r, &m);
        // Asked often enough for the index to be built, and to be used.
        for port in (1..16).chain(1..16) {
            let question = syn(port);
            // A judge that is asked for the first time tries every rule.
            let scanned = Judge::new(&r, &m).judge(&question);
            let looked_up = judge.judge(&question);
            assert_eq!(scanned.fate, looked_up.fate, "round {round}, port {port}");
            assert_eq!(scanned.decided_by, looked_up.decided_by, "round {round}, port {port}");
            assert_eq!(scanned.way, looked_up.way, "round {round}, port {port}");
        }
    }
}

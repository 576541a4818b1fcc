//! Frames that come in by a bridge port.

use super::*;
use crate::conntrack::state as ct_state;

fn by_port(rule: Vec<Statement>) -> Answer {
    let chain = base(Hook::Input, 0, Policy::Accept, vec![rule]);
    let mut question = Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip(THERE)), ip(HERE), 80));
    question.bridge_port = Some("port1".into());
    ask(&ruleset(vec![table(Family::Bridge, "b", vec![("in", chain)])]), &question)
}

#[test]
fn chains_of_the_bridge_see_the_port() {
    let port = || iif("port1");
    assert_eq!(by_port(vec![port(), DROP]).fate, Fate::Dropped);
    assert!(by_port(vec![iif("eth0"), DROP]).fate.is_accepted());
    let bridge = eq(meta(Meta::BriIifName), interface_scalar("eth0"));
    assert_eq!(by_port(vec![bridge, dport(80), DROP]).fate, Fate::Dropped);
    assert_eq!(by_port(vec![state(ct_state::NEW), DROP]).fate, Fate::Dropped);
}

#[test]
fn other_packets_do_not_pass_the_bridge() {
    let chain = base(Hook::Input, 0, Policy::Drop, vec![]);
    assert!(accepted(&ruleset(vec![table(Family::Bridge, "b", vec![("in", chain)])]), &syn(80)));
}

#[test]
fn chains_of_ip_see_the_bridge_and_a_new_connection() {
    let chain = base(Hook::Input, 0, Policy::Drop, vec![vec![iif("eth0"), state(ct_state::NEW), ACCEPT]]);
    let bridge = base(Hook::Prerouting, -300, Policy::Accept, vec![vec![state(ct_state::NEW), ACCEPT]]);
    let mut question = syn(80);
    question.bridge_port = Some("port1".into());
    let tables = vec![table(Family::Ip, "t", vec![("in", chain)]), table(Family::Bridge, "b", vec![("pre", bridge)])];
    assert!(accepted(&ruleset(tables), &question));
}

#[test]
fn the_port_and_the_answer_have_chains_of_their_own() {
    let judged = |family, hook, devices: &[&str], rule: Vec<Statement>| {
        let mut chain = base(hook, 0, Policy::Accept, vec![rule]);
        chain.base.as_mut().unwrap().devices = devices.iter().map(|d| (*d).to_owned()).collect();
        let mut question = syn(80);
        question.bridge_port = Some("port1".into());
        let answer = ask(&ruleset(vec![table(family, "t", vec![("c", chain)])]), &question);
        (answer.fate.is_accepted(), answer.reply.is_some_and(|reply| reply.fate.is_accepted()))
    };
    assert_eq!(judged(Family::Netdev, Hook::Ingress, &["port1"], vec![dport(80), DROP]), (false, false));
    assert_eq!(judged(Family::Netdev, Hook::Ingress, &["eth0"], vec![dport(80), DROP]), (false, false));
    assert_eq!(judged(Family::Netdev, Hook::Ingress, &["port2"], vec![dport(80), DROP]), (true, true));
    let leaves = |port| eq(meta(Meta::OifName), interface_scalar(port));
    assert_eq!(judged(Family::Bridge, Hook::Output, &[], vec![leaves("port1"), DROP]), (true, false));
    assert_eq!(judged(Family::Bridge, Hook::Postrouting, &[], vec![leaves("eth0"), DROP]), (true, true));
    let by = eq(meta(Meta::BriOifName), interface_scalar("eth0"));
    assert_eq!(judged(Family::Bridge, Hook::Postrouting, &[], vec![by, DROP]), (true, false));
}

#[test]
fn ip_sees_the_port_only_where_br_netfilter_shows_it() {
    let chain = || {
        base(
            Hook::Input,
            0,
            Policy::Accept,
            vec![vec![eq(Expr::Field(Field::PhysIn), interface_scalar("port1")), DROP]],
        )
    };
    let stopped = |shown: i64| {
        let mut machine = machine();
        machine.sysctls.insert("net.bridge.bridge-nf-call-iptables".into(), shown);
        let mut question = syn(80);
        question.bridge_port = Some("port1".into());
        judge(&ruleset(vec![table(Family::Ip, "t", vec![("in", chain())])]), &machine, &question).fate.is_stopped()
    };
    assert!(stopped(1));
    assert!(!stopped(0));
}

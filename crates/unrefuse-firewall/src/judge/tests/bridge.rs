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

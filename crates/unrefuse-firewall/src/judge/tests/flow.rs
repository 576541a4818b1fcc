//! Chains, verdicts, hooks and their order.

use super::*;
use crate::answer::ClientSees;
use crate::conntrack::state as ct_state;

#[test]
fn the_first_rule_that_holds_decides() {
    let r = input(Policy::Drop, vec![vec![dport(80), ACCEPT], vec![dport(22), DROP], vec![dport(22), ACCEPT]]);
    assert_eq!(by(&ask(&r, &syn(22))), "INPUT 2");
    assert_eq!(fate(&r, &syn(22)), Fate::Dropped);
    assert!(accepted(&r, &syn(80)));
    assert_eq!(by(&ask(&r, &syn(81))), "INPUT policy");
    assert_eq!(fate(&r, &syn(81)), Fate::Dropped);
}

#[test]
fn nothing_filters_nothing() {
    let a = ask(&Ruleset::default(), &syn(22));
    assert!(a.fate.is_accepted());
    assert_eq!(a.decided_by, None);
    assert_eq!(a.client_sees, ClientSees::Answer);
}

#[test]
fn jumps_come_back_and_gotos_do_not() {
    let chains = |first: Statement| {
        let main = base(Hook::Input, 0, Policy::Accept, vec![vec![first], vec![DROP]]);
        ruleset(vec![table(Family::Ip, "t", vec![("INPUT", main), ("c", user(vec![vec![dport(80), RETURN]]))])])
    };
    assert_eq!(by(&ask(&chains(jump("c")), &syn(80))), "INPUT 2");
    assert_eq!(by(&ask(&chains(jump("c")), &syn(81))), "INPUT 2");
    // The end of a chain that was gone to is the end of its caller: of a base chain, the policy.
    assert_eq!(by(&ask(&chains(goto("c")), &syn(80))), "INPUT policy");
    assert!(accepted(&chains(goto("c")), &syn(81)));
}

#[test]
fn a_goto_within_a_jumped_chain_ends_that_chain() {
    let main = base(Hook::Input, 0, Policy::Accept, vec![vec![jump("a")], vec![DROP]]);
    let t = table(
        Family::Ip,
        "t",
        vec![("INPUT", main), ("a", user(vec![vec![goto("b")], vec![ACCEPT]])), ("b", user(vec![]))],
    );
    assert_eq!(by(&ask(&ruleset(vec![t]), &syn(80))), "INPUT 2");
}

#[test]
fn return_in_a_base_chain_is_the_policy() {
    let r = input(Policy::Drop, vec![vec![RETURN], vec![ACCEPT]]);
    assert_eq!(by(&ask(&r, &syn(80))), "INPUT policy");
}

#[test]
fn chains_that_jump_in_a_circle_give_no_verdict() {
    let main = base(Hook::Input, 0, Policy::Accept, vec![vec![jump("a")]]);
    let t = table(Family::Ip, "t", vec![("INPUT", main), ("a", user(vec![vec![jump("a")]]))]);
    assert!(matches!(fate(&ruleset(vec![t]), &syn(80)), Fate::Unknown(_)));
}

#[test]
fn every_base_chain_must_let_it_through() {
    let a = table(Family::Ip, "a", vec![("in", base(Hook::Input, 0, Policy::Accept, vec![vec![ACCEPT]]))]);
    let b = table(Family::Inet, "b", vec![("in", base(Hook::Input, 10, Policy::Accept, vec![vec![DROP]]))]);
    let answer = ask(&ruleset(vec![a, b]), &syn(80));
    assert_eq!(answer.fate, Fate::Dropped);
    let Some(Decider::Rule(rule)) = answer.decided_by else { panic!("no rule") };
    assert_eq!((rule.table.as_str(), rule.family), ("b", Family::Inet));
}

#[test]
fn priorities_order_chains_of_all_families() {
    let a = table(Family::Ip, "a", vec![("late", base(Hook::Prerouting, 5, Policy::Drop, vec![]))]);
    let b = table(
        Family::Inet,
        "b",
        vec![("early", base(Hook::Prerouting, -5, Policy::Accept, vec![vec![Statement::Reject(Reject::Icmpx(3))]]))],
    );
    assert_eq!(fate(&ruleset(vec![a, b]), &syn(80)), Fate::Rejected(Reject::Icmp(3, 13)));
}

#[test]
fn equal_priorities_of_unknown_order_matter_only_where_they_do() {
    let tables = |second: Statement| {
        let a = table(Family::Ip, "a", vec![("in", base(Hook::Input, 0, Policy::Drop, vec![]))]);
        let b = table(Family::Ip, "b", vec![("in", base(Hook::Input, 0, Policy::Accept, vec![vec![second]]))]);
        ruleset(vec![a, b])
    };
    assert_eq!(fate(&tables(ACCEPT), &syn(80)), Fate::Dropped);
    assert_eq!(fate(&tables(DROP), &syn(80)), Fate::Dropped);
    assert!(matches!(fate(&tables(Statement::Reject(Reject::TcpReset)), &syn(80)), Fate::Depends { .. }));
}

#[test]
fn a_known_order_settles_equal_priorities() {
    let mut first = base(Hook::Input, 0, Policy::Accept, vec![vec![Statement::Reject(Reject::TcpReset)]]);
    let mut second = base(Hook::Input, 0, Policy::Drop, vec![]);
    for (chain, order) in [(&mut first, 1), (&mut second, 2)] {
        chain.base.as_mut().expect("a base chain").order = Some(order);
    }
    let r = ruleset(vec![table(Family::Ip, "b", vec![("in", second)]), table(Family::Ip, "a", vec![("in", first)])]);
    assert_eq!(fate(&r, &syn(80)), Fate::Rejected(Reject::TcpReset));
}

#[test]
fn a_dormant_table_does_nothing() {
    let mut r = input(Policy::Drop, vec![]);
    r.tables[0].dormant = true;
    assert!(accepted(&r, &syn(80)));
}

#[test]
fn tables_of_the_other_family_do_not_see_it() {
    let drops = |family| ruleset(vec![table(family, "t", vec![("in", base(Hook::Input, 0, Policy::Drop, vec![]))])]);
    let v6 = Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip("2001:db8::7")), ip("2001:db8::1"), 80));
    assert!(accepted(&drops(Family::Ip6), &syn(80)));
    assert!(accepted(&drops(Family::Ip), &v6));
    assert_eq!(fate(&drops(Family::Ip6), &v6), Fate::Dropped);
    assert_eq!(fate(&drops(Family::Inet), &v6), Fate::Dropped);
    assert_eq!(fate(&drops(Family::Inet), &syn(80)), Fate::Dropped);
}

#[test]
fn netdev_ingress_sees_only_its_devices() {
    let with = |device: &str| {
        let mut chain = base(Hook::Ingress, 0, Policy::Drop, vec![]);
        chain.base.as_mut().expect("a base chain").devices = vec![device.into()];
        ruleset(vec![table(Family::Netdev, "t", vec![("ingress", chain)])])
    };
    assert_eq!(fate(&with("eth0"), &syn(80)), Fate::Dropped);
    assert!(accepted(&with("eth1"), &syn(80)));
}

#[test]
fn raw_sees_no_connection_and_later_chains_a_new_one() {
    let at = |hook, priority, bits| {
        let chain = base(hook, priority, Policy::Accept, vec![vec![state(bits), DROP]]);
        fate(&ruleset(vec![table(Family::Ip, "t", vec![("c", chain)])]), &syn(80))
    };
    assert_eq!(at(Hook::Prerouting, -300, ct_state::INVALID), Fate::Dropped);
    assert!(at(Hook::Prerouting, -300, ct_state::NEW).is_accepted());
    assert_eq!(at(Hook::Prerouting, -150, ct_state::NEW), Fate::Dropped);
    assert!(at(Hook::Input, 0, ct_state::ESTABLISHED | ct_state::RELATED).is_accepted());
}

#[test]
fn an_untracked_packet_is_untracked_and_its_answer_is_invalid() {
    let raw = base(Hook::Prerouting, -300, Policy::Accept, vec![vec![Statement::Notrack]]);
    let seen = base(Hook::Input, 0, Policy::Drop, vec![vec![state(ct_state::UNTRACKED), ACCEPT]]);
    let out = base(Hook::Output, 0, Policy::Accept, vec![vec![state(ct_state::INVALID), DROP]]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("raw", raw), ("in", seen), ("out", out)])]);
    let answer = ask(&r, &syn(80));
    assert!(answer.fate.is_accepted());
    let reply = answer.reply.expect("a reply");
    assert_eq!(reply.fate, Fate::Dropped);
    assert_eq!(decider(reply.decided_by.as_ref()), "out 1");
    assert_eq!(answer.client_sees, ClientSees::Silence);
}

#[test]
fn the_answer_is_established() {
    let out = |bits| {
        let chain = base(Hook::Output, 0, Policy::Drop, vec![vec![state(bits), ACCEPT]]);
        ask(&ruleset(vec![table(Family::Ip, "t", vec![("out", chain)])]), &syn(80))
    };
    let open = out(ct_state::ESTABLISHED);
    assert_eq!(open.client_sees, ClientSees::Answer);
    let closed = out(ct_state::NEW);
    assert!(closed.fate.is_accepted());
    assert_eq!(closed.client_sees, ClientSees::Silence);
    assert_eq!(decider(closed.reply.and_then(|r| r.decided_by).as_ref()), "out policy");
}

#[test]
fn the_answer_to_a_connection_from_here_comes_through_input() {
    let chain = base(Hook::Input, 0, Policy::Drop, vec![]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("in", chain)])]);
    let answer = ask(&r, &connect(THERE, 80));
    assert!(answer.fate.is_accepted());
    assert_eq!(answer.client_sees, ClientSees::Silence);
}

#[test]
fn an_icmp_error_needs_a_way_out_as_well() {
    let tables = |bits| {
        let reject = base(Hook::Input, 0, Policy::Accept, vec![vec![Statement::Reject(Reject::Icmp(3, 3))]]);
        let out = base(Hook::Output, 0, Policy::Drop, vec![vec![state(bits), ACCEPT]]);
        ruleset(vec![table(Family::Ip, "t", vec![("in", reject), ("out", out)])])
    };
    let told = ask(&tables(ct_state::RELATED), &syn(80));
    assert_eq!(told.fate, Fate::Rejected(Reject::Icmp(3, 3)));
    assert_eq!(told.client_sees, ClientSees::Icmp { v6: false, kind: 3, code: 3 });
    assert_eq!(told.client_sees.tcp_errno(), Some("ECONNREFUSED"));
    assert_eq!(ask(&tables(ct_state::ESTABLISHED), &syn(80)).client_sees, ClientSees::Silence);
}

#[test]
fn a_reset_answers_tcp_only() {
    let r = input(Policy::Accept, vec![vec![Statement::Reject(Reject::TcpReset)]]);
    assert_eq!(fate(&r, &syn(80)), Fate::Rejected(Reject::TcpReset));
    let udp = Question::incoming(Some("eth0"), PacketSpec::udp(Some(ip(THERE)), ip(HERE), 53));
    assert_eq!(fate(&r, &udp), Fate::Dropped);
}

#[test]
fn output_drop_is_silence_for_tcp_and_eperm_for_udp() {
    let chain = base(Hook::Output, 0, Policy::Drop, vec![]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("out", chain)])]);
    assert_eq!(ask(&r, &connect(THERE, 80)).client_sees, ClientSees::Silence);
    let udp = Question::outgoing(PacketSpec::udp(None, ip(THERE), 53));
    assert_eq!(ask(&r, &udp).client_sees, ClientSees::Errno("EPERM"));
}

#[test]
fn loopback_leaves_and_arrives() {
    let out = base(Hook::Output, 0, Policy::Drop, vec![vec![eq(meta(Meta::OifName), interface_scalar("lo")), ACCEPT]]);
    let inp =
        base(Hook::Input, 0, Policy::Drop, vec![vec![iif("lo"), state(ct_state::NEW | ct_state::ESTABLISHED), ACCEPT]]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("out", out), ("in", inp)])]);
    let answer = ask(&r, &connect("127.0.0.1", 80));
    assert!(answer.fate.is_accepted());
    assert_eq!(by(&answer), "in 1");
    assert_eq!(answer.client_sees, ClientSees::Answer);
    // To an own address of another interface as well.
    assert!(accepted(&r, &connect(HERE, 80)));
    assert_eq!(fate(&r, &connect(THERE, 80)), Fate::Dropped);
}

#[test]
fn an_unread_chain_is_asked_for_or_leaves_the_verdict_open() {
    struct Lazy(bool);
    impl crate::machine::Machine for Lazy {
        fn chain(&self, _: Family, table: &str, chain: &str) -> Option<Arc<Rules>> {
            assert_eq!((table, chain), ("t", "c"));
            self.0.then(|| rules(vec![vec![DROP]]))
        }
    }
    let main = base(Hook::Input, 0, Policy::Accept, vec![vec![dport(80), jump("c")]]);
    let lazy = Chain { unread: true, ..Chain::default() };
    let r = ruleset(vec![table(Family::Ip, "t", vec![("INPUT", main), ("c", lazy)])]);
    assert_eq!(judge(&r, &Lazy(true), &syn(80)).fate, Fate::Dropped);
    assert!(matches!(judge(&r, &Lazy(false), &syn(80)).fate, Fate::Depends { .. }));
    assert!(judge(&r, &Lazy(false), &syn(81)).fate.is_accepted());
}

/// Measured on Linux 6.18: nf_ct_attach has nothing to attach.
#[test]
fn the_error_for_a_packet_without_a_connection_is_invalid() {
    let tables = |raw: Vec<Statement>, reject, bits| {
        let raw = base(Hook::Prerouting, -300, Policy::Accept, vec![raw]);
        let inp = base(Hook::Input, 0, Policy::Accept, vec![vec![Statement::Reject(reject)]]);
        let out = base(Hook::Output, 0, Policy::Accept, vec![vec![state(bits), DROP]]);
        ask(&ruleset(vec![table(Family::Ip, "t", vec![("raw", raw), ("in", inp), ("out", out)])]), &syn(80)).client_sees
    };
    let early = || vec![Statement::Reject(Reject::Icmp(3, 3))];
    for (raw, reject) in [
        (vec![Statement::Notrack], Reject::TcpReset),
        (vec![Statement::Notrack], Reject::Icmp(3, 3)),
        (early(), Reject::TcpReset),
    ] {
        assert_eq!(tables(raw.clone(), reject, ct_state::INVALID), ClientSees::Silence);
        assert_ne!(tables(raw, reject, ct_state::UNTRACKED | ct_state::RELATED | ct_state::NEW), ClientSees::Silence);
    }
}

#[test]
fn a_netdev_reject_leaves_past_all_hooks() {
    let ingress = base(Hook::Ingress, 0, Policy::Accept, vec![vec![Statement::Reject(Reject::TcpReset)]]);
    let out = base(Hook::Output, 0, Policy::Drop, vec![]);
    let r =
        ruleset(vec![table(Family::Netdev, "n", vec![("in", ingress)]), table(Family::Ip, "t", vec![("out", out)])]);
    assert_eq!(ask(&r, &syn(80)).client_sees, ClientSees::Reset);
}

/// Measured on Linux 6.18: early demux finds the connecting socket before INPUT, not before PREROUTING; a listening socket
/// is not found.
#[test]
fn the_answer_has_its_receivers_owner_in_input_only() {
    let at = |hook, question: &Question| {
        let rule = vec![eq(meta(Meta::Skuid), 7), DROP];
        let r = ruleset(vec![table(Family::Ip, "t", vec![("c", base(hook, 0, Policy::Accept, vec![rule]))])]);
        ask(&r, question).client_sees
    };
    for to in [THERE, HERE] {
        let mut question = connect(to, 80);
        question.packet.uid = Some(7);
        question.server_uid = Some(0);
        assert_eq!(at(Hook::Input, &question), ClientSees::Silence);
        assert_eq!(at(Hook::Prerouting, &question), ClientSees::Answer);
    }
    let mut question = syn(80);
    question.server_uid = Some(7);
    assert_eq!(at(Hook::Input, &question), ClientSees::Answer);
    assert_eq!(at(Hook::Output, &question), ClientSees::Silence);
}

/// Measured on Linux 6.18: a chain of priority -200 ran before conntrack where it was registered later.
#[test]
fn a_chain_of_conntracks_own_priority_may_run_before_or_after_it() {
    let at = |bits| {
        let chain = base(Hook::Prerouting, -200, Policy::Accept, vec![vec![state(bits), DROP]]);
        fate(&ruleset(vec![table(Family::Ip, "t", vec![("c", chain)])]), &syn(80))
    };
    assert!(matches!(at(ct_state::NEW), Fate::Depends { .. }));
    assert_eq!(at(ct_state::NEW | ct_state::INVALID), Fate::Dropped);
    assert!(at(ct_state::ESTABLISHED).is_accepted());
}

/// Measured on Linux 6.18: the kernel's RST has no owner, and echoes the TOS.
#[test]
fn where_nothing_listens_the_kernel_answers() {
    let ends = |rule: Vec<Statement>, listening| {
        let out = base(Hook::Output, 0, Policy::Accept, vec![rule]);
        let mut question = syn(80);
        question.packet.tos = Some(0x48);
        question.server_uid = Some(0);
        question.listening = listening;
        ask(&ruleset(vec![table(Family::Ip, "t", vec![("out", out)])]), &question).client_sees
    };
    let owner = || vec![eq(meta(Meta::Skuid), 0), DROP];
    assert_eq!(ends(owner(), true), ClientSees::Silence);
    assert_eq!(ends(owner(), false), ClientSees::Answer);
    let tos = || vec![eq(payload(Header::Network, 8, 8), 0x48), DROP];
    assert_eq!(ends(tos(), true), ClientSees::Answer);
    assert_eq!(ends(tos(), false), ClientSees::Silence);
    // Yet a socket of the kernel's own sends it (xt_owner --socket-exists).
    let sends = || vec![eq(Expr::Field(Field::Socket(SocketKey::Sends)), 1), DROP];
    assert_eq!(ends(sends(), false), ClientSees::Silence);
    let established = || vec![state(ct_state::ESTABLISHED), DROP];
    assert_eq!(ends(established(), false), ClientSees::Silence);
}

//! What is not known.

use super::*;
use crate::answer::ClientSees;

#[test]
fn a_fork_that_ends_alike_leaves_the_verdict() {
    let r = input(Policy::Drop, vec![vec![fork(), DROP]]);
    let answer = ask(&r, &syn(80));
    assert_eq!(answer.fate, Fate::Dropped);
    assert_eq!(answer.ignored, vec!["limit: rule 1".to_owned()]);
    assert_eq!(by(&answer), "INPUT 1");
    assert_eq!(decider(answer.also.first()), "INPUT policy");
}

#[test]
fn a_fork_that_ends_otherwise_depends_on_its_rule() {
    let r = input(Policy::Drop, vec![vec![dport(80)], vec![fork(), ACCEPT]]);
    let answer = ask(&r, &syn(80));
    let Fate::Depends { on, reason, fates } = &answer.fate else { panic!("{:?}", answer.fate) };
    assert_eq!(decider(on.as_ref()), "INPUT 2");
    assert_eq!(reason, "limit");
    assert_eq!(fates.len(), 2);
}

#[test]
fn a_fork_before_a_test_that_fails_does_not_matter() {
    let r = input(Policy::Drop, vec![vec![fork(), dport(22), ACCEPT]]);
    let answer = ask(&r, &syn(80));
    assert_eq!(answer.fate, Fate::Dropped);
    assert!(answer.ignored.is_empty());
    assert!(answer.also.is_empty());
}

#[test]
fn a_rule_that_only_logs_does_not_fork() {
    let list = (0..200).map(|_| vec![fork(), Statement::Note("log".into())]).collect();
    let answer = ask(&input(Policy::Drop, list), &syn(80));
    assert_eq!(answer.fate, Fate::Dropped);
    assert!(answer.ignored.is_empty());
}

#[test]
fn ways_join_again_after_a_jump() {
    let mut list: Vec<Vec<Statement>> = (0..100).map(|_| vec![fork(), jump("log")]).collect();
    list.push(vec![dport(80), ACCEPT]);
    let main = base(Hook::Input, 0, Policy::Drop, list);
    let t = table(Family::Ip, "t", vec![("INPUT", main), ("log", user(vec![vec![Statement::Note("log".into())]]))]);
    let answer = ask(&ruleset(vec![t]), &syn(80));
    assert!(answer.fate.is_accepted());
    assert_eq!(by(&answer), "INPUT 101");
}

#[test]
fn a_forked_mark_is_told_apart() {
    let r = input(
        Policy::Drop,
        vec![vec![fork(), set_mark(1)], vec![eq(meta(Meta::Mark), 1), ACCEPT], vec![dport(22), ACCEPT]],
    );
    let Fate::Depends { on, .. } = fate(&r, &syn(80)) else { panic!("it depends on the mark") };
    assert_eq!(decider(on.as_ref()), "INPUT 1");
    assert!(accepted(&r, &syn(22)));
}

#[test]
fn a_target_that_is_not_understood_leaves_the_verdict_open() {
    let target = Statement::Unknown("FROBNICATE".into());
    let answer = ask(&input(Policy::Accept, vec![vec![target.clone()]]), &syn(80));
    assert!(matches!(answer.fate, Fate::Depends { .. }));
    assert_eq!(answer.ignored, vec!["FROBNICATE: rule 1".to_owned()]);
    // It is not let through, but it may be a reject: what the client sees is not certain.
    let a = table(Family::Ip, "a", vec![("in", base(Hook::Input, 0, Policy::Accept, vec![vec![target]]))]);
    let b = table(Family::Ip, "b", vec![("in", base(Hook::Input, 1, Policy::Drop, vec![]))]);
    let answer = ask(&ruleset(vec![a, b]), &syn(80));
    let Fate::Depends { fates, .. } = &answer.fate else { panic!("{:?}", answer.fate) };
    assert!(fates.iter().all(Fate::is_stopped), "{fates:?}");
    assert_eq!(answer.client_sees, ClientSees::Unclear);
}

#[test]
fn a_target_that_is_not_understood_may_translate() {
    let target = || vec![Statement::Unknown("FROBNICATE".into())];
    let chain = base(Hook::Prerouting, -100, Policy::Accept, vec![target()]);
    let inp = base(Hook::Input, 0, Policy::Drop, vec![vec![dport(80), ACCEPT]]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("p", chain), ("in", inp)])]);
    let Fate::Depends { fates, .. } = fate(&r, &syn(80)) else { panic!("it depends on the target") };
    assert!(fates.contains(&Fate::Dropped) && fates.iter().any(Fate::is_accepted), "{fates:?}");
    // Behind the last routing decision nothing rejects.
    let out = base(Hook::Postrouting, 0, Policy::Accept, vec![target()]);
    let r = ruleset(vec![table(Family::Ip, "t", vec![("out", out)])]);
    let Fate::Depends { fates, .. } = fate(&r, &connect(THERE, 80)) else { panic!("it depends on the target") };
    assert!(!fates.iter().any(|f| matches!(f, Fate::Rejected(_))), "{fates:?}");
}

#[test]
fn too_many_ways_give_no_verdict() {
    let set = |bit: u32| Statement::Set {
        target: SetTarget::Mark,
        value: Expr::Binary { op: BitOp::Or, left: Box::new(meta(Meta::Mark)), right: Box::new(Expr::Const(1 << bit)) },
    };
    let r = input(Policy::Drop, (0..20).map(|bit| vec![fork(), set(bit)]).collect());
    assert!(matches!(fate(&r, &syn(80)), Fate::Unknown(_)));
}

#[test]
fn a_source_port_that_is_not_known_is_an_ephemeral_one() {
    let sport = |from, to| {
        let value = payload(Header::Transport, 0, 16);
        Statement::If(Cond::Range { value, from, to, negated: false })
    };
    assert!(accepted(&input(Policy::Drop, vec![vec![sport(1024, 65535), ACCEPT]]), &syn(80)));
    assert_eq!(fate(&input(Policy::Drop, vec![vec![sport(0, 1023), ACCEPT]]), &syn(80)), Fate::Dropped);
    assert!(matches!(
        fate(&input(Policy::Drop, vec![vec![sport(40000, 65535), ACCEPT]]), &syn(80)),
        Fate::Depends { .. }
    ));
}

#[test]
fn a_queue_may_drop() {
    let r = input(Policy::Accept, vec![vec![Statement::Verdict(Verdict::Queue)]]);
    assert!(matches!(fate(&r, &syn(80)), Fate::Depends { .. }));
    assert_eq!(
        fate(&input(Policy::Drop, vec![vec![fork(), DROP], vec![Statement::Verdict(Verdict::Drop)]]), &syn(1)),
        Fate::Dropped
    );
}

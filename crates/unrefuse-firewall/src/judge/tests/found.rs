//! What the differential test found, where a case of its own needs no kernel: each was measured on Linux 6.18.

use super::*;
use crate::answer::ClientSees;
use crate::conntrack::state as ct_state;
use crate::machine::{Route, RouteKind};

fn chain(hook: Hook, priority: i32, list: Vec<Vec<Statement>>) -> (&'static str, Chain) {
    let name = match hook {
        Hook::Prerouting => "pre",
        Hook::Input => "in",
        Hook::Output => "out",
        Hook::Forward => "fwd",
        _ => "post",
    };
    (name, base(hook, priority, Policy::Accept, list))
}

fn v4(chains: Vec<(&str, Chain)>) -> Ruleset {
    ruleset(vec![table(Family::Ip, "t", chains)])
}

fn udp(src: &str, dst: &str) -> Question {
    Question::incoming(Some("eth0"), PacketSpec::udp(Some(ip(src)), ip(dst), 53))
}

fn ping() -> Question {
    Question::incoming(Some("eth0"), PacketSpec::ping(Some(ip(THERE)), ip(HERE)))
}

fn saddr(address: &str) -> Statement {
    eq(payload(Header::Network, 96, 32), scalar(address))
}

fn longer_than(length: Scalar) -> Statement {
    Statement::If(Cond::Compare { left: meta(Meta::Length), op: Op::Gt, right: length })
}

fn reject() -> Statement {
    Statement::Reject(Reject::Icmp(3, 13))
}

fn via(kind: RouteKind, oif: &str) -> Route {
    Route { kind, oif: Some(oif.into()), gateway: None, source: None }
}

/// nf_nat_ipv4_fn: an ICMP error is translated with its connection, a reset meets the rules.
#[test]
fn an_error_of_a_connection_meets_no_nat_rule() {
    let with = |how| {
        let post = chain(Hook::Postrouting, 100, vec![vec![DROP]]);
        v4(vec![chain(Hook::Input, 0, vec![vec![state(ct_state::NEW), Statement::Reject(how)]]), post])
    };
    let error = ClientSees::Icmp { v6: false, kind: 3, code: 13 };
    assert_eq!(ask(&with(Reject::Icmp(3, 13)), &syn(80)).client_sees, error);
    assert_eq!(ask(&with(Reject::TcpReset), &syn(80)).client_sees, ClientSees::Silence);
}

/// NF_DROP_ERR of ip_route_me_harder.
#[test]
fn a_datagram_to_a_dead_route_is_told_the_routes_error() {
    let to = Some((Expr::Const(scalar("203.0.113.9")), Expr::Const(scalar("203.0.113.9"))));
    let nat = Nat { kind: NatKind::Dnat, family: None, address: to, port: None, prefix: None };
    let r = v4(vec![chain(Hook::Output, -100, vec![vec![Statement::Nat(nat.into())]])]);
    let machine = machine().with_route(ip("203.0.113.0"), 24, via(RouteKind::Prohibit, "eth1"));
    let datagram = Question::outgoing(PacketSpec::udp(None, ip(THERE), 53));
    assert_eq!(judge(&r, &machine, &datagram).client_sees, ClientSees::Errno("EACCES"));
    assert_eq!(judge(&r, &machine, &connect(THERE, 80)).client_sees, ClientSees::Silence);
}

/// ip_forward drops a packet that TPROXY gave a socket.
#[test]
fn what_tproxy_took_is_not_forwarded() {
    let tproxy = Statement::Tproxy { address: None, port: Some(1), mark: None };
    let r = v4(vec![chain(Hook::Prerouting, -150, vec![vec![tproxy]])]);
    let machine = machine().with_sysctl("net.ipv4.ip_forward", 1);
    let through = Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip(THERE)), ip("198.51.100.9"), 80));
    let answer = judge(&r, &machine, &through);
    assert_eq!((answer.fate.clone(), by(&answer).as_str()), (Fate::Dropped, "ProxiedElsewhere"));
    assert!(judge(&r, &machine, &syn(80)).fate.is_accepted());
}

/// tproxy_tg4 drops where no proxy listens; nft_tproxy_eval_v4 ends the rule.
#[test]
fn tproxy_without_a_proxy() {
    struct NoProxy;
    impl crate::machine::Machine for NoProxy {
        fn addr_type(&self, address: IpAddr, _: Option<&str>) -> Option<crate::machine::RouteKind> {
            (address == ip(HERE)).then_some(crate::machine::RouteKind::Local)
        }
        fn listens(&self, protocol: u8, port: u16) -> Option<bool> {
            ((protocol, port) == (6, 5555)).then_some(false)
        }
    }
    let fate = |backend, port| {
        let tproxy = Statement::Tproxy { address: None, port: Some(port), mark: None };
        let mut r = v4(vec![chain(Hook::Prerouting, -150, vec![vec![tproxy]])]);
        r.tables[0].backend = backend;
        judge(&r, &NoProxy, &syn(80)).fate
    };
    assert_eq!(fate(Backend::IptablesNft, 5555), Fate::Dropped);
    assert!(fate(Backend::Nft, 5555).is_accepted());
    assert!(fate(Backend::IptablesNft, 5556).is_accepted(), "a proxy may be there");
}

/// icmp_send: only at the packet's destination does the error come from that address.
#[test]
fn an_error_of_a_router_comes_from_its_own_address() {
    let machine = machine()
        .with_route(ip("203.0.113.0"), 24, via(RouteKind::Prohibit, "eth1"))
        .with_sysctl("net.ipv4.ip_forward", 1);
    let dead = Question::incoming(Some("eth0"), PacketSpec::tcp(Some(ip(THERE)), ip("203.0.113.9"), 80));
    let seen =
        |from| judge(&v4(vec![chain(Hook::Output, 0, vec![vec![saddr(from), DROP]])]), &machine, &dead).client_sees;
    assert_eq!(seen("203.0.113.9"), ClientSees::Icmp { v6: false, kind: 3, code: 13 });
    assert_eq!(seen(HERE), ClientSees::Silence);
}

/// `__mkroute_output`: 127.0.0.0/8 does not leave by another interface than lo.
#[test]
fn an_answer_from_loopback_to_elsewhere_is_never_made() {
    let to = Some((Expr::Const(scalar(THERE)), Expr::Const(scalar(THERE))));
    let snat = Nat { kind: NatKind::Snat, family: None, address: to, port: None, prefix: None };
    let r = v4(vec![chain(Hook::Postrouting, 100, vec![vec![Statement::Nat(snat.into())]])]);
    let mut question = connect("127.0.0.1", 80);
    question.packet.src = Some(ip("127.0.0.1"));
    assert_eq!(ask(&r, &question).client_sees, ClientSees::Silence);
    assert_eq!(ask(&v4(vec![]), &question).client_sees, ClientSees::Answer);
}

/// xt_NETMAP.c: the hook says what is translated, not the chain.
#[test]
fn netmap_translates_by_its_hook() {
    let to = Some((Expr::Const(scalar("198.51.100.0")), Expr::Const(scalar("198.51.100.0"))));
    let netmap =
        |kind| Statement::Nat(Nat { kind, family: None, address: to.clone(), port: None, prefix: Some(24) }.into());
    for kind in [NatKind::Dnat, NatKind::Snat] {
        let r = v4(vec![chain(Hook::Prerouting, -100, vec![vec![jump("n")]]), ("n", user(vec![vec![netmap(kind)]]))]);
        let translated = ask(&r, &syn(80)).translated.map(|t| (t.src, t.dst));
        assert_eq!(translated, Some((Some(ip(THERE)), Some(ip("198.51.100.1")))));
    }
}

/// icmp_reply: the kernel's own socket has no owner, and the request's TOS and length come back.
#[test]
fn an_echo_reply_is_the_kernels() {
    let seen = |question: &Question, rule| ask(&v4(vec![chain(Hook::Output, 0, vec![rule])]), question).client_sees;
    let mut question = ping();
    question.server_uid = Some(7);
    question.packet.tos = Some(0x48);
    question.packet.length = Some(928);
    assert_eq!(seen(&question, vec![eq(meta(Meta::Skuid), 7), DROP]), ClientSees::Answer);
    assert_eq!(seen(&question, vec![eq(payload(Header::Network, 8, 8), 0x48), DROP]), ClientSees::Silence);
    assert_eq!(seen(&question, vec![longer_than(927), DROP]), ClientSees::Silence);
    assert_eq!(seen(&question, vec![longer_than(928), DROP]), ClientSees::Answer);
}

/// `__icmp_send`: as much of the packet as 576 bytes hold.
#[test]
fn an_error_carries_the_packet() {
    let seen = |length, than| {
        let out = chain(Hook::Output, 0, vec![vec![longer_than(than), DROP]]);
        let mut question = udp(THERE, HERE);
        question.packet.length = Some(length);
        ask(&v4(vec![chain(Hook::Input, 0, vec![vec![reject()]]), out]), &question).client_sees
    };
    assert_eq!(seen(100, 127), ClientSees::Silence);
    assert_ne!(seen(100, 128), ClientSees::Silence);
    assert_eq!(seen(1400, 575), ClientSees::Silence);
    assert_ne!(seen(1400, 576), ClientSees::Silence);
}

/// eth_type_trans: the frame's own address decides.
#[test]
fn the_packet_type_is_the_frames() {
    let rule = || v4(vec![chain(Hook::Prerouting, 0, vec![vec![eq(meta(Meta::PktType), 0), DROP]])]);
    let mut question = udp(THERE, "224.0.0.1");
    question.packet.dst_mac = Some([2, 0, 0, 0, 0, 1]);
    assert_eq!(fate(&rule(), &question), Fate::Dropped);
    question.packet.dst_mac = Some([1, 0, 0x5e, 0, 0, 1]);
    assert!(accepted(&rule(), &question));
    question.packet.dst_mac = None;
    assert!(accepted(&rule(), &question));
}

/// nf_nat_redirect_ipv6: the new address has the scope of the old one.
#[test]
fn redirect_of_a_link_local_destination_wants_such_an_address() {
    let nat = Nat { kind: NatKind::Redirect, family: None, address: None, port: None, prefix: None };
    let pre = base(Hook::Prerouting, -100, Policy::Accept, vec![vec![Statement::Nat(nat.into())]]);
    let r = ruleset(vec![table(Family::Ip6, "t", vec![("pre", pre)])]);
    let question = udp("2001:db8::7", "ff02::1");
    assert_eq!(fate(&r, &question), Fate::Dropped);
    let machine = machine().with_interface("eth2", &[("2001:db8:7::1", 64), ("fe80::1", 64)]);
    let question = Question { way: crate::judge::Way::In { iif: Some("eth2".into()) }, ..question };
    let to = judge(&r, &machine, &question).translated.and_then(|t| t.dst);
    assert_eq!(to, Some(ip("fe80::1")));
}

/// A datagram that is dropped either in OUTPUT, where its sender is told, or behind lo, where it is not.
#[test]
fn where_a_datagram_is_dropped_may_be_open() {
    let out = chain(Hook::Output, 0, vec![vec![fork(), DROP]]);
    let inp = chain(Hook::Input, 0, vec![vec![DROP]]);
    let datagram = Question::outgoing(PacketSpec::udp(None, ip(HERE), 53));
    let answer = ask(&v4(vec![out, inp]), &datagram);
    assert_eq!((answer.fate, answer.client_sees), (Fate::Dropped, ClientSees::Unclear));
}

/// A reset that stops the answer bears the client's address: what rejects it tells the client.
#[test]
fn a_reset_that_is_rejected_leaves_open_what_the_client_sees() {
    let to_client = || eq(payload(Header::Network, 128, 32), scalar(THERE));
    let reset = Statement::Reject(Reject::TcpReset);
    let stops = vec![to_client(), reset.clone()];
    let seen = |list| ask(&v4(vec![chain(Hook::Output, 0, list)]), &syn(80)).client_sees;
    assert_eq!(seen(vec![stops.clone()]), ClientSees::Silence);
    assert_eq!(seen(vec![stops, vec![reject()]]), ClientSees::Unclear);
}

/// A client here that chose no address: an answer to another one than it was sent from is none.
#[test]
fn an_answer_that_is_not_translated_back_is_none() {
    let to = Some((Expr::Const(scalar(HERE)), Expr::Const(scalar(HERE))));
    let snat = Nat { kind: NatKind::Snat, family: None, address: to, port: None, prefix: None };
    let post = chain(Hook::Postrouting, 100, vec![vec![Statement::Nat(snat.into())]]);
    let raw = chain(Hook::Prerouting, -300, vec![vec![Statement::Notrack]]);
    let question = connect("198.51.100.9", 80);
    assert_eq!(ask(&v4(vec![raw, post.clone()]), &question).client_sees, ClientSees::Silence);
    assert_eq!(ask(&v4(vec![post]), &question).client_sees, ClientSees::Answer);
}

/// nf_confirm: INPUT of a packet over lo sees a confirmed connection, PREROUTING of one from the wire does not.
#[test]
fn what_passed_postrouting_is_confirmed() {
    let confirmed = || {
        let left = Expr::Bits { of: Box::new(ct(Ct::Status)), mask: 8, xor: 0 };
        vec![Statement::If(Cond::Compare { left, op: Op::Ne, right: 0 }), DROP]
    };
    let r = v4(vec![chain(Hook::Input, 0, vec![confirmed()])]);
    assert_eq!(fate(&r, &connect(HERE, 80)), Fate::Dropped);
    assert!(accepted(&r, &syn(80)));
}

/// Without conntrack no chain of type nat is run (nf_nat_inet_fn), and a limit asks for none.
#[test]
fn a_limit_needs_no_conntrack() {
    let with = |name: &str| {
        let limit = vec![Statement::If(Cond::Fork(name.into())), Statement::Note("log".into())];
        v4(vec![chain(Hook::Input, 100, vec![vec![DROP]]), chain(Hook::Prerouting, 0, vec![limit])])
    };
    assert!(accepted(&with("limit rate 5/second"), &syn(80)));
    assert_eq!(fate(&with("ct count 5"), &syn(80)), Fate::Dropped);
}

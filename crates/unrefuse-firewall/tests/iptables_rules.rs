//! What rules test and do, option by option, as the kernel's modules do.

use unrefuse_firewall::iptables::parse;
use unrefuse_firewall::model::{
    BitOp, Cond, Ct, Direction, Expr, Family, Field, Header, Meta, Nat, NatKind, Op, Reject, Ruleset, SetTarget,
    Statement, Verdict,
};

fn dump(table: &str, rule: &str, family: Family) -> Ruleset {
    let text = format!("*{table}\n:INPUT DROP [0:0]\n:mine - [0:0]\n:other - [0:0]\n{rule}\nCOMMIT\n");
    parse(text.as_bytes(), Some(family))
}

fn statements_in(table: &str, rule: &str, family: Family) -> Vec<Statement> {
    let ruleset = dump(table, &format!("-A mine {rule}"), family);
    assert!(ruleset.problems.is_empty(), "{rule}: {:?}", ruleset.problems);
    ruleset.tables[0].chains["mine"].rules[0].statements.clone()
}

/// Statements of a rule that is understood.
fn read(rule: &str) -> Vec<Statement> {
    statements_in("filter", rule, Family::Ip)
}

fn read6(rule: &str) -> Vec<Statement> {
    statements_in("filter", rule, Family::Ip6)
}

/// Statements and problems of one that is not.
fn misread(rule: &str) -> (Vec<Statement>, usize) {
    let ruleset = dump("filter", &format!("-A mine {rule}"), Family::Ip);
    (ruleset.tables[0].chains["mine"].rules[0].statements.clone(), ruleset.problems.len())
}

/// The only test of a rule.
fn test(rule: &str) -> Cond {
    match read(rule).as_slice() {
        [Statement::If(cond)] => cond.clone(),
        other => panic!("{rule}: {other:?}"),
    }
}

/// The test after `-p`.
fn second(rule: &str) -> Cond {
    match read(rule).as_slice() {
        [Statement::If(_), Statement::If(cond)] => cond.clone(),
        other => panic!("{rule}: {other:?}"),
    }
}

fn payload(base: Header, offset: u16, len: u16) -> Expr {
    Expr::Field(Field::Payload { base, offset, len })
}

fn network(offset: u16, len: u16) -> Expr {
    payload(Header::Network, offset, len)
}

fn transport(offset: u16, len: u16) -> Expr {
    payload(Header::Transport, offset, len)
}

fn meta(key: Meta) -> Expr {
    Expr::Field(Field::Meta(key))
}

fn ct(key: Ct) -> Expr {
    Expr::Field(Field::Ct(key))
}

fn bits(of: Expr, mask: u128) -> Expr {
    Expr::Bits { of: Box::new(of), mask, xor: 0 }
}

fn is(left: Expr, right: u128) -> Cond {
    Cond::Compare { left, op: Op::Eq, right }
}

fn is_not(left: Expr, right: u128) -> Cond {
    Cond::Compare { left, op: Op::Ne, right }
}

fn not(cond: Cond) -> Cond {
    Cond::Not(Box::new(Cond::Lenient(Box::new(cond))))
}

fn within(value: Expr, from: u128, to: u128, negated: bool) -> Cond {
    Cond::Range { value, from, to, negated }
}

fn name(text: &str) -> u128 {
    let mut bytes = [0; 16];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    u128::from_be_bytes(bytes)
}

#[test]
fn addresses_stand_at_the_familys_offset() {
    assert_eq!(test("-s 10.1.2.3"), is(network(96, 32), 0x0a01_0203));
    assert_eq!(test("-d 10.1.2.3/8"), is(bits(network(128, 32), 0xff00_0000), 0x0a00_0000));
    assert_eq!(test("! -s 10.0.0.0/255.0.0.255"), is_not(bits(network(96, 32), 0xff00_00ff), 0x0a00_0000));
    assert_eq!(test("-s ! 10.1.2.3"), test("! -s 10.1.2.3"));
    let v6 = read6("-s 2001:db8::/32 -d ::1");
    assert_eq!(v6[0], Statement::If(is(bits(network(64, 128), 0xffff_ffff << 96), 0x2001_0db8 << 96)));
    assert_eq!(v6[1], Statement::If(is(network(192, 128), 1)));
    // Nothing is compared under an empty mask.
    assert_eq!(read("-s 0.0.0.0/0"), []);
    assert_eq!(test("! -s 0/0"), Cond::Const(false));
}

#[test]
fn a_list_of_addresses_is_several_rules() {
    let ruleset =
        dump("filter", "-A mine -s 10.0.0.1,10.0.0.2 -d 10.0.1.1,10.0.1.2 -j DROP\n-A mine -j ACCEPT", Family::Ip);
    let rules = &ruleset.tables[0].chains["mine"].rules;
    assert_eq!(
        rules.iter().map(|r| (r.number, r.line)).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5].map(|n| (n, Some(5 + n / 5)))
    );
    assert_eq!(rules[1].statements[1], Statement::If(is(network(128, 32), 0x0a00_0102)));
    let (statements, problems) = misread("! -s 10.0.0.1,10.0.0.2 -j ACCEPT");
    assert!(matches!(&statements[0], Statement::If(Cond::Unknown(_))) && problems > 0, "{statements:?}");
}

#[test]
fn interfaces_end_with_a_zero_or_a_plus() {
    assert_eq!(test("-i eth0"), is(meta(Meta::IifName), name("eth0")));
    assert_eq!(test("-o eth+"), is(bits(meta(Meta::OifName), 0x00ff_ffff << 104), name("eth")));
    // A packet without the interface has an empty name: it is not eth0.
    assert_eq!(test("! -o eth0"), not(is(meta(Meta::OifName), name("eth0"))));
    assert_eq!(read("-i +"), []);
    assert_eq!(read(r#"-i """#), []);
    assert_eq!(test("! -i +"), Cond::Const(false));
    assert!(matches!(misread("-i name-that-is-too-long").0[0], Statement::If(Cond::Unknown(_))));
}

#[test]
fn protocols_and_fragments() {
    assert_eq!(test("-p tcp"), is(meta(Meta::L4Proto), 6));
    assert_eq!(test("! -p 47"), is_not(meta(Meta::L4Proto), 47));
    assert_eq!(read("-p all"), []);
    assert_eq!(test("-f"), is_not(bits(network(48, 16), 0x1fff), 0));
    assert_eq!(test("! -f"), is(bits(network(48, 16), 0x1fff), 0));
    assert!(matches!(misread("-p nonsense").0[0], Statement::If(Cond::Unknown(_))));
}

#[test]
fn ports_and_flags_of_tcp() {
    assert_eq!(second("-p tcp --dport 22"), is(transport(16, 16), 22));
    assert_eq!(second("-p tcp -m tcp ! --sport 1024:2048"), within(transport(0, 16), 1024, 2048, true));
    assert_eq!(second("-p tcp --dport ! 22"), is_not(transport(16, 16), 22));
    assert_eq!(second("-p tcp --syn"), is(bits(transport(104, 8), 0x17), 2));
    assert_eq!(second("-p tcp ! --syn"), is_not(bits(transport(104, 8), 0x17), 2));
    assert_eq!(second("-p tcp --tcp-flags SYN,RST SYN"), is(bits(transport(104, 8), 0x06), 2));
    assert_eq!(second("-p tcp --tcp-flags ALL NONE"), is(bits(transport(104, 8), 0x3f), 0));
    // The kernel refuses the module without its protocol: then nothing is known.
    let (statements, problems) = misread("-m tcp --dport 22 -j ACCEPT");
    assert!(matches!(&statements[0], Statement::If(Cond::Unknown(_))) && problems == 1, "{statements:?}");
    assert!(matches!(misread("! -p tcp -m tcp --dport 22").0[1], Statement::If(Cond::Unknown(_))));
}

#[test]
fn several_ports_turned_round_are_none_of_them() {
    let ports = |negated| {
        vec![
            if negated { is_not(transport(16, 16), 22) } else { is(transport(16, 16), 22) },
            within(transport(16, 16), 80, 90, negated),
        ]
    };
    assert_eq!(second("-p tcp -m multiport --dports 22,80:90"), Cond::Any(ports(false)));
    assert_eq!(second("-p udp -m multiport ! --dports 22,80:90"), Cond::All(ports(true)));
    assert_eq!(
        second("-p tcp -m multiport --ports 22"),
        Cond::Any(vec![is(transport(0, 16), 22), is(transport(16, 16), 22)])
    );
    // Two of one kind are both asked.
    assert_eq!(read("-p tcp -m multiport --dports 22 -m multiport --sports 80").len(), 3);
}

#[test]
fn icmp_types_have_names() {
    assert_eq!(read("-p icmp --icmp-type echo-request"), read("-p icmp -m icmp --icmp-type 8"));
    assert_eq!(
        read("-p icmp --icmp-type port-unreachable")[1..],
        [Statement::If(is(transport(0, 8), 3)), Statement::If(is(transport(8, 8), 3))]
    );
    assert_eq!(second("-p icmp ! --icmp-type any"), Cond::Const(false));
    let other = Cond::Any(vec![
        Cond::Lenient(Box::new(is_not(transport(0, 8), 3))),
        Cond::Lenient(Box::new(is_not(transport(8, 8), 4))),
    ]);
    assert_eq!(second("-p icmp ! --icmp-type 3/4"), other);
    assert_eq!(read6("-p ipv6-icmp --icmpv6-type 255")[1], Statement::If(is(transport(0, 8), 255)));
    assert!(matches!(misread("-p udp -m icmp --icmp-type 8").0[1], Statement::If(Cond::Unknown(_))));
}

#[test]
fn states_of_the_connection() {
    let state = |mask, op| Cond::Compare { left: bits(ct(Ct::State), mask), op, right: 0 };
    assert_eq!(test("-m state --state NEW,ESTABLISHED"), state(10, Op::Ne));
    assert_eq!(test("-m conntrack --ctstate INVALID"), state(1, Op::Ne));
    assert_eq!(test("-m conntrack ! --ctstate RELATED,UNTRACKED"), state(68, Op::Eq));
    let translated = Cond::Lenient(Box::new(Cond::Compare { left: bits(ct(Ct::Status), 32), op: Op::Ne, right: 0 }));
    assert_eq!(test("-m conntrack --ctstate DNAT"), translated);
    assert_eq!(test("-m conntrack --ctstate NEW,DNAT"), Cond::Any(vec![state(8, Op::Ne), translated.clone()]));
    assert_eq!(test("-m conntrack ! --ctstate NEW,DNAT"), Cond::All(vec![state(8, Op::Eq), not(translated)]));
    // With a state, a packet without a connection is not asked for more.
    let port = is(ct(Ct::Tuple(Direction::Original, unrefuse_firewall::model::TuplePart::DestinationPort)), 80);
    let rule = read("-m conntrack --ctstate INVALID --ctorigdstport 80");
    assert_eq!(rule[0], Statement::If(state(1, Op::Ne)));
    assert_eq!(rule[1], Statement::If(Cond::Any(vec![state(65, Op::Ne), Cond::Lenient(Box::new(port.clone()))])));
    assert_eq!(test("-m conntrack --ctorigdstport 80"), port);
    assert!(matches!(test("-m conntrack --ctexpire 1:5"), Cond::Fork(_)));
}

#[test]
fn a_packet_without_a_socket_is_not_of_this_user() {
    assert_eq!(test("-m owner --uid-owner root"), is(meta(Meta::Skuid), 0));
    assert_eq!(test("-m owner ! --uid-owner 0-10"), not(within(meta(Meta::Skuid), 0, 10, false)));
    assert!(matches!(test("-m owner --uid-owner somebody"), Cond::Unknown(_)));
}

#[test]
fn sets_marks_and_addresses_kinds() {
    let set = |negated| Cond::InIpset { set: "bad".into(), source: vec![true, false], negated };
    assert_eq!(test("-m set --match-set bad src,dst"), set(false));
    assert_eq!(test("-m set ! --match-set bad src,dst"), set(true));
    assert!(matches!(test("-m set --return-nomatch --match-set bad src"), Cond::Unknown(_)));
    assert_eq!(test("-m mark --mark 0x10/0xf0"), is(bits(meta(Meta::Mark), 0xf0), 0x10));
    assert_eq!(test("-m mark ! --mark 5"), is_not(meta(Meta::Mark), 5));
    assert_eq!(test("-m connmark --mark 5"), is(ct(Ct::Mark), 5));
    let kind = Expr::Field(Field::AddrType { source: false, limit: None });
    assert_eq!(test("-m addrtype --dst-type LOCAL"), is_not(bits(kind.clone(), 4), 0));
    assert_eq!(test("-m addrtype ! --dst-type local"), is(bits(kind, 4), 0));
    assert_eq!(
        test("-m iprange ! --src-range 10.0.0.1-10.0.0.9"),
        within(network(96, 32), 0x0a00_0001, 0x0a00_0009, true)
    );
    let mac = read("-m mac ! --mac-source 02:00:00:00:00:77");
    assert_eq!(mac[0], Statement::If(is(meta(Meta::IifType), 1)));
    assert_eq!(mac[1], Statement::If(is_not(payload(Header::Link, 48, 48), 0x0200_0000_0077)));
}

#[test]
fn fields_of_the_header() {
    assert_eq!(test("-m ttl ! --ttl-eq 64"), is_not(network(64, 8), 64));
    assert_eq!(read6("-m hl --hl-lt 5"), [Statement::If(Cond::Compare { left: network(56, 8), op: Op::Lt, right: 5 })]);
    assert_eq!(test("-m length --length 100:200"), within(network(16, 16), 100, 200, false));
    assert_eq!(read6("-m length --length 100:200"), [Statement::If(within(network(32, 16), 60, 160, false))]);
    assert_eq!(read6("-m length ! --length :39"), []);
    assert_eq!(test("-m dscp --dscp-class EF"), is(network(8, 6), 46));
    assert_eq!(read6("-m dscp --dscp 46"), [Statement::If(is(network(4, 6), 46))]);
    assert_eq!(test("-m tos --tos Minimize-Delay"), is(bits(network(8, 8), 0x3f), 0x10));
}

#[test]
fn u32_follows_header_lengths() {
    let shifted = |of, by| Expr::Shift { of: Box::new(of), by };
    assert_eq!(test(r#"-m u32 --u32 "6&0xFF=0x11""#), is(bits(network(48, 32), 0xff), 0x11));
    assert_eq!(
        test(r#"-m u32 --u32 "0>>22&0x3C@ 12>>26&0x3C@ 0=0x47455420:0x47455421,5""#),
        Cond::Any(vec![
            within(payload(Header::Inner, 0, 32), 0x4745_5420, 0x4745_5421, false),
            is(payload(Header::Inner, 0, 32), 5)
        ])
    );
    assert_eq!(
        test(r#"-m u32 ! --u32 "0>>22&0x3C@0>>16=80&&4<<3&1=0""#),
        not(Cond::All(vec![is(shifted(transport(0, 32), -16), 80), is(bits(shifted(network(32, 32), 3), 1), 0)]))
    );
    for bad in ["", "0", "0=", "0&=1", "0=1&&", "0=1 2", "0>>99=1", "0&0xff@4=1", "99999=1"] {
        let (statements, problems) = misread(&format!(r#"-m u32 --u32 "{bad}" -j ACCEPT"#));
        assert!(matches!(&statements[0], Statement::If(Cond::Unknown(_))) && problems == 1, "{bad}: {statements:?}");
    }
}

#[test]
fn what_is_a_matter_of_chance_forks() {
    for rule in [
        "-m limit --limit 5/min",
        "-m recent --update --seconds 60",
        "-m statistic --mode random --probability 0.5",
        "-m string --string ab --algo bm",
        "-p tcp -m osf --genre Linux",
    ] {
        let forks = read(rule).iter().any(|s| matches!(s, Statement::If(Cond::Fork(_))));
        assert!(forks, "{rule}: {:?}", read(rule));
    }
    // These are none.
    assert_eq!(read("-m recent --set --name x"), []);
    assert_eq!(read("-m statistic --mode random --probability 1.0"), []);
    assert_eq!(test("-m statistic --mode random ! --probability 1"), Cond::Const(false));
    assert_eq!(read("-m nfacct --nfacct-name x"), []);
    // A packet that carries nothing holds no text.
    let carries = within(payload(Header::Inner, 0, 8), 0, 255, false);
    let Cond::Lenient(inner) = test(r#"-m string --string "GET /" --algo bm"#) else { panic!() };
    assert!(matches!(&*inner, Cond::All(all) if all[0] == carries && matches!(all[1], Cond::Fork(_))));
}

#[test]
fn targets_decide_or_go_on() {
    let last = |rule: &str| read(rule).pop().unwrap();
    assert_eq!(last("-j DROP"), Statement::Verdict(Verdict::Drop));
    assert_eq!(last("-j other"), Statement::Verdict(Verdict::Jump("other".into())));
    assert_eq!(last("-g other"), Statement::Verdict(Verdict::Goto("other".into())));
    assert_eq!(last("-j REJECT"), Statement::Reject(Reject::Icmp(3, 3)));
    assert_eq!(last("-j REJECT --reject-with admin-prohib"), Statement::Reject(Reject::Icmp(3, 13)));
    assert_eq!(last("-p tcp -j REJECT --reject-with tcp-reset"), Statement::Reject(Reject::TcpReset));
    assert_eq!(read6("-j REJECT"), [Statement::Reject(Reject::Icmp6(1, 4))]);
    assert!(matches!(last("-j LOG --log-prefix x"), Statement::Note(_)));
    assert!(matches!(last("-j NFQUEUE --queue-num 1 --queue-bypass"), Statement::Fork(_)));
    assert_eq!(read("-m comment --comment nothing"), []);
    for rule in
        ["-j NOWHERE", "-g NOWHERE", "-j REJECT --reject-with tcp-reset", "-j DROP --dport", "-j REJECT --why not"]
    {
        let (statements, problems) = misread(rule);
        assert!(
            matches!(
                statements.last(),
                Some(Statement::Unknown(_) | Statement::If(Cond::Unknown(_)) | Statement::Verdict(_))
            ),
            "{rule}"
        );
        let open = |s: &Statement| matches!(s, Statement::Unknown(_) | Statement::If(Cond::Unknown(_)));
        assert!(problems > 0 && statements.iter().any(open), "{rule}: {statements:?}");
    }
}

#[test]
fn translations() {
    let nat = |rule: &str, family| match statements_in("nat", rule, family).pop() {
        Some(Statement::Nat(nat)) => *nat,
        other => panic!("{rule}: {other:?}"),
    };
    let pair = |from, to| Some((Expr::Const(from), Expr::Const(to)));
    let plain = |kind| Nat { kind, family: None, address: None, port: None, prefix: None };
    assert_eq!(
        nat("-p tcp -j DNAT --to-destination 10.0.0.1-10.0.0.9:80-90", Family::Ip),
        Nat { address: pair(0x0a00_0001, 0x0a00_0009), port: pair(80, 90), ..plain(NatKind::Dnat) }
    );
    assert_eq!(
        nat("-p tcp -j DNAT --to-destination :80", Family::Ip),
        Nat { port: pair(80, 80), ..plain(NatKind::Dnat) }
    );
    assert_eq!(
        nat("-p tcp -j DNAT --to-destination [::1]:80", Family::Ip6),
        Nat { address: pair(1, 1), port: pair(80, 80), ..plain(NatKind::Dnat) }
    );
    assert_eq!(nat("-j SNAT --to-source ::1-::9", Family::Ip6), Nat { address: pair(1, 9), ..plain(NatKind::Snat) });
    assert_eq!(nat("-j MASQUERADE --random-fully", Family::Ip), plain(NatKind::Masquerade));
    assert_eq!(
        nat("-p tcp -j REDIRECT --to-ports 3128", Family::Ip),
        Nat { port: pair(3128, 3128), ..plain(NatKind::Redirect) }
    );
    let netmap =
        dump("nat", "-A PREROUTING -j NETMAP --to 10.0.1.0/24\n-A INPUT -j NETMAP --to 10.0.1.0/24", Family::Ip);
    let of = |chain: &str| netmap.tables[0].chains[chain].rules[0].statements[0].clone();
    let mapped = |kind| {
        Statement::Nat(Box::new(Nat { address: pair(0x0a00_0100, 0x0a00_0100), prefix: Some(24), ..plain(kind) }))
    };
    assert_eq!((of("PREROUTING"), of("INPUT")), (mapped(NatKind::Dnat), mapped(NatKind::Snat)));
}

#[test]
fn marks_are_written_as_the_kernel_does() {
    let written = |rule: &str| match statements_in("mangle", rule, Family::Ip).pop() {
        Some(Statement::Set { target, value }) => (target, value),
        other => panic!("{rule}: {other:?}"),
    };
    let kept = |of, mask: u32, xor: u32| Expr::Bits { of: Box::new(of), mask: mask.into(), xor: xor.into() };
    let mark = || meta(Meta::Mark);
    assert_eq!(written("-j MARK --set-mark 0x5/0xf"), (SetTarget::Mark, kept(mark(), !0xf, 5)));
    assert_eq!(written("-j MARK --set-mark 0x15/0xf"), (SetTarget::Mark, kept(mark(), !0x1f, 0x15)));
    assert_eq!(written("-j MARK --set-xmark 0x15/0xf"), (SetTarget::Mark, kept(mark(), !0xf, 0x15)));
    assert_eq!(written("-j MARK --or-mark 0x10"), (SetTarget::Mark, kept(mark(), !0x10, 0x10)));
    assert_eq!(written("-j MARK --and-mark 0x10"), (SetTarget::Mark, kept(mark(), 0x10, 0)));
    assert_eq!(written("-j CONNMARK --set-mark 5"), (SetTarget::CtMark, kept(ct(Ct::Mark), 0, 5)));
    let (target, value) = written("-j CONNMARK --restore-mark --nfmask 0xf0 --ctmask 0xff");
    let both = Expr::Binary {
        op: BitOp::Xor,
        left: Box::new(kept(mark(), !0xf0, 0)),
        right: Box::new(kept(ct(Ct::Mark), 0xff, 0)),
    };
    assert_eq!((target, value), (SetTarget::Mark, both));
}

#[test]
fn what_is_not_known_stays_in_its_rule() {
    let (statements, problems) = misread("-p tcp -m layer7 --l7proto ssh --dport 22 -m comment --comment x -j ACCEPT");
    assert_eq!(problems, 1);
    let unknown = Statement::If(Cond::Unknown("-m layer7 --l7proto ssh --dport 22".into()));
    assert_eq!(statements[1..], [unknown, Statement::Verdict(Verdict::Accept)]);
    // An option that a known module does not have.
    let (statements, problems) = misread("-p tcp -m tcp --dport 22 --new-option 5 -j ACCEPT");
    assert_eq!((problems, statements.len()), (1, 3));
    assert!(
        matches!(&statements[1], Statement::If(Cond::Unknown(text)) if text.contains("--new-option 5")),
        "{statements:?}"
    );
    // `!` where it does not go, a value that is none, an argument that is missing.
    for rule in [
        "-m limit ! --limit-burst 5 -j ACCEPT",
        "-m ttl --ttl-eq 300 -j ACCEPT",
        "! ! -s 10.0.0.1 -j ACCEPT",
        "-j ACCEPT !",
        "stray -j ACCEPT",
        "-s 10.0.0.1 -s 10.0.0.2 -j ACCEPT",
        "-s host.example -j ACCEPT",
        "-m mark -j ACCEPT",
    ] {
        let (statements, problems) = misread(rule);
        let open = |s: &Statement| matches!(s, Statement::If(Cond::Unknown(_)));
        assert!(problems > 0 && statements.iter().any(open), "{rule}: {statements:?}");
    }
}

#[test]
fn options_come_in_any_order() {
    let wanted = read("-s 10.0.0.1 -p tcp --dport 22 -m comment --comment x -j DROP");
    for same in [
        "-j DROP -p tcp --dport 22 -s 10.0.0.1",
        "-ptcp -s10.0.0.1 --dport=22 -jDROP",
        "--jump DROP --protocol tcp --src 10.0.0.1 --destination-port ssh",
        "-p 6 -m tcp --dpo 22 --source 10.0.0.1/32 -j DROP",
        "-p tcp -m udp -m tcp --dport 22 -s 10.0.0.1 -j DROP",
    ] {
        if same.contains("-m udp") {
            assert!(matches!(misread(same).0[2], Statement::If(Cond::Unknown(_))), "udp is not of tcp");
        } else {
            assert_eq!(read(same), wanted, "{same}");
        }
    }
}

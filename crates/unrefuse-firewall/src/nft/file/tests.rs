use super::*;
use crate::model::{Backend, ChainKind, Elements, Family, Hook, Policy, Statement};

fn read(source: &str) -> Ruleset {
    parse("x", source.as_bytes(), &|_, _| Vec::new())
}

/// The rules of chain `c` as they are written.
fn texts(ruleset: &Ruleset) -> Vec<&str> {
    ruleset.tables[0].chains["c"].rules.iter().map(|rule| rule.text()).collect()
}

/// One rule in a chain of an inet table.
fn statements(rule: &str) -> Vec<Statement> {
    let ruleset = read(&format!("table inet t {{\nchain other {{ }}\nchain c {{\n{rule}\n}}\n}}\n"));
    assert!(ruleset.problems.is_empty(), "{rule}: {:?}", ruleset.problems);
    let rules = &ruleset.tables[0].chains["c"].rules;
    assert_eq!(rules.len(), 1, "{rule}");
    assert_eq!(rules[0].line, Some(4), "{rule}");
    rules[0].statements.clone()
}

fn is_understood(statements: &[Statement]) -> bool {
    !format!("{statements:?}").contains("Unknown(")
}

#[test]
fn a_file_of_tables_chains_and_sets() {
    let ruleset = read(
        "#!/usr/sbin/nft -f\nflush ruleset\ndefine WAN = { eth0, eth1 }\ntable inet filter {\n\tset banned {\n\t\ttype \
         ipv4_addr; flags interval\n\t\telements = { 203.0.113.0/24,\n\t\t\t198.51.100.7 timeout 1h expires 90s comment \"x\" \
         }\n\t}\n\tchain c {\n\t\ttype filter hook input priority filter + 5; policy drop;\n\t\tiifname $WAN ip saddr \
         @banned drop # no\n\t\ttcp dport { ssh, 80-90 } accept comment \"open\"\n\t}\n}\n",
    );
    assert!(ruleset.problems.is_empty(), "{:?}", ruleset.problems);
    let table = &ruleset.tables[0];
    assert_eq!((table.family, table.name.as_str(), table.backend), (Family::Inet, "filter", Backend::Nft));
    let base = table.chains["c"].base.as_ref().unwrap();
    assert_eq!((base.hook, base.priority, base.kind, base.policy), (Hook::Input, 5, ChainKind::Filter, Policy::Drop));
    let Elements::Ranges(list) = &table.sets["banned"].elements else { panic!() };
    assert_eq!((list.len(), list[1].1.expires, list[1].1.comment.as_deref()), (2, Some(90), Some("x")));
    assert_eq!(
        texts(&ruleset),
        ["iifname $WAN ip saddr @banned drop", "tcp dport { ssh, 80-90 } accept comment \"open\""]
    );
    let rules = &table.chains["c"].rules;
    assert_eq!((rules[0].line, rules[1].line, rules[1].comment.as_deref()), (Some(12), Some(13), Some("open")));
    assert!(rules.iter().all(|rule| is_understood(&rule.statements)));
}

#[test]
fn the_usual_rules_are_understood() {
    for rule in [
        "iif lo accept",
        "ct state established,related accept",
        "ct state { new, established } counter packets 3 bytes 90 accept",
        "ct state vmap { established : accept, related : accept, invalid : drop }",
        "meta l4proto { icmp, ipv6-icmp } accept",
        "meta l4proto udp udp dport 53 accept",
        "ip protocol icmp icmp type { echo-request, destination-unreachable } accept",
        "icmpv6 type nd-neighbor-solicit accept",
        "ip saddr 10.0.0.0/8 tcp dport 1024-65535 accept",
        "ip saddr 10.0.0.1-10.0.0.9 drop",
        "ip6 saddr fe80::/10 udp dport 546 accept",
        "ip6 saddr 2001:db8::1-2001:db8::9 drop",
        "ip6 saddr != { 2001:db8::1, 2001:db8:1::/48 } drop",
        "ip saddr . tcp dport { 10.0.0.1 . 22, 10.0.0.0/8 . 80-90 } accept",
        "tcp flags & (fin|syn|rst|ack) == syn accept",
        "tcp flags syn / fin,syn,rst,ack accept",
        "tcp flags syn tcp option maxseg size set rt mtu",
        "tcp dport vmap { 22 : jump other, 80:accept, 443 : goto other }",
        "limit rate 5/second burst 10 packets accept",
        "limit rate over 10 mbytes/second drop",
        "log prefix \"a: \" level info flags all drop",
        "reject with icmpx type admin-prohibited",
        "tcp dport 23 reject with tcp reset",
        "reject",
        "meta mark & 0xff == 0x5 accept",
        "meta mark set meta mark | 0x10",
        "ct mark set meta mark",
        "meta skuid 1000-2000 accept",
        "fib daddr type local accept",
        "fib saddr . iif oif missing drop",
        "tcp dport 80 dnat ip to 10.0.0.1:8080",
        "dnat ip6 to [2001:db8::1]:80",
        "tcp dport 80 redirect to :8080",
        "oifname \"eth0\" masquerade random,persistent",
        "tcp dport 80 jump { ip saddr 10.0.0.1 accept; drop; }",
        "meta pkttype broadcast drop",
        "@th,16,16 22 accept",
        "update @s { ip saddr timeout 1m limit rate 3/minute } drop",
        "tcp dport 22 ct count over 3 drop",
        "queue num 1-3 bypass",
        "iifname \"eth*\" accept",
        "ether saddr 02:00:00:00:00:07 drop",
        "th dport 53 accept",
        "tcp dport != 22 drop",
        "tcp dport >= 1024 accept",
    ] {
        let statements = statements(rule);
        assert!(is_understood(&statements), "{rule}: {statements:?}");
        assert!(!statements.is_empty(), "{rule}");
    }
}

#[test]
fn what_is_not_understood_leaves_the_rest_of_its_rule_open() {
    for rule in [
        "tcp dport 22 new thing accept",
        "ip saddr example.com drop",
        "tcp dport 022 drop",
        "iif 2 accept",
        "meta skuid nobody accept",
        "ip saddr # xt_comment",
        "tproxy to :80",
        "tcp dport 22 reject with \"odd\"",
        "tcp dport $NONE accept",
    ] {
        let statements = statements(rule);
        assert!(!is_understood(&statements), "{rule}: {statements:?}");
    }
    // What comes before holds on.
    let statements = statements("tcp dport 22 new thing accept");
    assert!(matches!(&statements[..], [_, Statement::If(_), Statement::Unknown(text)] if text.ends_with("accept")));
}

#[test]
fn commands_come_one_after_the_other() {
    let ruleset = read(
        "table ip gone { }\nflush ruleset\nadd table ip t\nadd chain ip t c { type filter hook input priority -5; policy \
         drop; }\nadd rule ip t c tcp dport 1 accept\ninsert rule ip t c tcp dport 2 accept\nadd set ip t s { type \
         inet_service; }\nadd element ip t s { 7 }\nadd element ip t s { 8, 9 }\n",
    );
    assert!(ruleset.problems.is_empty(), "{:?}", ruleset.problems);
    assert_eq!(ruleset.tables.len(), 1);
    assert_eq!(texts(&ruleset), ["tcp dport 2 accept", "tcp dport 1 accept"]);
    assert_eq!(ruleset.tables[0].chains["c"].base.as_ref().unwrap().priority, -5);
    let Elements::Exact(elements) = &ruleset.tables[0].sets["s"].elements else { panic!() };
    assert_eq!(elements.len(), 3);
    for odd in
        ["rename chain ip t c d", "add rule ip t c index 3 accept", "table t {\nchain c {\ntype odd hook x\n}\n}", "}"]
    {
        assert!(!read(odd).problems.is_empty(), "{odd}");
    }
}

#[test]
fn other_files_stand_where_they_are_named() {
    let include = |path: &str, from: &str| {
        assert_eq!(from, if path == "two" { "one" } else { "x" });
        let content = match path {
            "one" => Ok(b"define P = 22\ninclude \"two\"\n".to_vec()),
            "two" => Ok(b"\ntcp dport $P accept\n".to_vec()),
            _ => Err("it is not there".to_owned()),
        };
        vec![Included { name: path.to_owned(), content }]
    };
    let ruleset = parse("x", b"table ip t {\nchain c {\ninclude \"one\"\ndrop\n}\n}\ninclude \"gone\"\n", &include);
    assert_eq!(texts(&ruleset), ["tcp dport $P accept", "drop"]);
    let rules = &ruleset.tables[0].chains["c"].rules;
    assert_eq!((rules[0].line, rules[0].file.as_deref()), (Some(2), Some("two")));
    assert_eq!((rules[1].line, rules[1].file.as_deref()), (Some(4), None));
    assert_eq!(ruleset.problems.len(), 1);
    assert_eq!(ruleset.problems[0].place, "x line 7");
    // One that includes itself ends.
    let again = |_: &str, _: &str| vec![Included { name: "x".to_owned(), content: Ok(b"include \"x\"\n".to_vec()) }];
    assert_eq!(parse("x", b"include \"x\"\n", &again).problems.len(), 1);
}

#[test]
fn variables_that_name_each_other_are_bounded() {
    let mut source = String::from("define A = { 1, 2 }\n");
    for _ in 0..64 {
        source += "redefine A = { $A, $A }\n";
    }
    source += "table ip t {\nchain c {\ntcp dport $A accept\n}\n}\n";
    let ruleset = read(&source);
    assert!(!is_understood(&ruleset.tables[0].chains["c"].rules[0].statements));
}

#[test]
fn handles_of_a_list_are_read() {
    let ruleset = read("table ip t { # handle 1\n\tchain c { # handle 2\n\t\ttcp dport 22 accept # handle 7\n\t}\n}\n");
    assert_eq!(ruleset.tables[0].chains["c"].rules[0].handle, Some(7));
    assert!(ruleset.problems.is_empty());
}

//! Rules of nft(8), loaded into a namespace, read back over netlink.

mod common;
#[path = "common/firewall.rs"]
mod firewall;

use common::{as_nobody, in_new_namespace};
use firewall::{can_filter, corpus, feed, nft, not_understood, read, rules, texts};
use unrefuse_collect::firewall::{Live, Scope, ruleset};
use unrefuse_facts::Reason;
use unrefuse_firewall::model::{
    Backend, ChainKind, Cond, Elements, Expr, Family, Field, Hook, Meta, Nat, NatKind, Op, Policy, Reject, SetTarget,
    Statement, Verdict,
};

/// Rules of one input chain as they are read back.
fn through(family: &str, body: &str) -> Vec<String> {
    in_new_namespace(|| {
        nft(&format!(
            "table {family} t {{\n chain other {{ }}\n chain c {{ type filter hook input priority 0\n{body}\n}}\n}}\n"
        ));
        let found = read();
        for rule in rules(&found, "c") {
            assert!(not_understood(&rule.statements).is_empty(), "{rule:?}");
        }
        texts(&found, "c")
    })
}

/// Each rule is listed as it was written.
fn same(family: &str, body: &str) {
    let wanted: Vec<String> = body.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect();
    assert_eq!(through(family, body), wanted);
}

#[test]
fn rules_are_listed_as_they_were_written() {
    if !can_filter("rules_are_listed_as_they_were_written") {
        return;
    }
    same(
        "inet",
        r#"
        tcp dport 22 accept
        ip saddr 10.0.0.0/8 tcp dport 1000-2000 drop
        ip saddr 10.1.2.0/23 udp sport 53 accept
        ip6 saddr 2001:db8::/32 tcp dport { 22, 80, 443 } accept
        ip daddr != 192.0.2.1 drop
        ct state established,related accept
        iifname "eth*" jump other
        iifname != "lo" goto other
        iifname { "eth0", "lo" } accept
        iif 1 accept
        meta mark 0x5 accept
        meta mark & 0xff == 0x1 accept
        ct mark set meta mark
        meta mark set 0x7
        icmp type echo-request limit rate 5/second accept
        icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
        meta l4proto { tcp, udp } th dport 53 accept
        tcp flags & (syn | ack) == syn accept
        fib saddr . iif oif missing drop
        fib daddr type local accept
        meta skuid 0 accept
        ip ttl < 5 drop
        ether saddr 02:00:00:00:00:77 accept
        reject with icmpx admin-prohibited
        ip protocol icmp accept comment "it is icmp"
        meta l4proto gre accept
        return
        "#,
    );
}

#[test]
fn maps_and_concatenations_are_listed_as_they_were_written() {
    if !can_filter("maps_and_concatenations_are_listed_as_they_were_written") {
        return;
    }
    same(
        "ip",
        r#"
        tcp dport vmap { 22 : accept, 23-25 : drop, 80 : jump other }
        ip saddr . tcp dport { 10.0.0.1 . 22, 10.0.0.2 . 80 } accept
        ip saddr . tcp dport vmap { 10.0.0.0/8 . 1-1024 : drop, 192.0.2.1 . 22 : accept }
        meta mark { 0x1, 0x2 } accept
        meta mark { 0x1-0x5, 0x9 } accept
        ct state vmap { invalid : drop, established : accept }
        tcp flags & (fin | syn) == fin drop
        ip saddr { 10.0.0.0/8, 192.0.2.7 } ip daddr 10.0.0.1-10.0.0.9 drop
        "#,
    );
}

#[test]
fn what_a_rule_does_is_what_was_written() {
    if !can_filter("what_a_rule_does_is_what_was_written") {
        return;
    }
    in_new_namespace(|| {
        nft("table ip t {
              chain pre { type nat hook prerouting priority dstnat
                tcp dport 80 dnat to 10.0.0.5:8080
                tcp dport 81 redirect to :8081
                dnat to tcp dport map { 1 : 10.0.0.1, 2 : 10.0.0.2 }
                dnat ip prefix to ip daddr map { 10.0.0.0/24 : 10.1.0.0/24 }
              }
              chain post { type nat hook postrouting priority srcnat; policy drop
                ip saddr 10.0.0.0/8 snat to 192.0.2.1-192.0.2.9
                masquerade random
              }
              chain c { type filter hook input priority filter
                ip dscp set cs1 meta mark set ct mark and 0xff
                reject with tcp reset
                notrack
                counter packets 3 bytes 180 log prefix \"x: \" group 2 drop
              }
              chain early { type filter hook prerouting priority raw; policy accept
                tcp dport 8080 tproxy to 127.0.0.1:3128
              }
            }
            table inet u { flags dormant; chain r { type route hook output priority mangle; reject with icmpv6 type no-route } }
            table netdev n { chain i { type filter hook ingress device lo priority -500; drop } }
            table bridge b { chain i { type filter hook forward priority -200; ip saddr 10.0.0.1 drop } }");
        let found = read();
        let table = |name: &str| found.tables.iter().find(|t| t.name == name).unwrap();
        let of = |chain: &str| rules(&found, chain).into_iter().map(|r| r.statements).collect::<Vec<_>>();
        let nat = |chain: &str, rule: usize, at: usize| match &of(chain)[rule][at] {
            Statement::Nat(nat) => Nat::clone(nat),
            other => panic!("{chain} {rule}: {other:?}"),
        };
        let constants = |a: u32, b: u32| Some((Expr::Const(a.into()), Expr::Const(b.into())));
        let first = nat("pre", 0, 2);
        assert_eq!((first.kind, first.address), (NatKind::Dnat, constants(0x0a00_0005, 0x0a00_0005)));
        assert_eq!(first.port, constants(8080, 8080));
        let second = nat("pre", 1, 2);
        assert_eq!((second.kind, second.port), (NatKind::Redirect, constants(8081, 8081)));
        let third = nat("pre", 2, of("pre")[2].len() - 1);
        assert!(matches!(third.address, Some((Expr::Map { part: 0, .. }, _))), "{third:?}");
        let fourth = nat("post", 0, 1);
        assert!(fourth.kind == NatKind::Snat && fourth.address.as_ref().is_some_and(|(a, b)| a != b), "{fourth:?}");
        assert_eq!(nat("post", 1, 0).kind, NatKind::Masquerade);
        assert!(
            of("c")[0].iter().any(|s| matches!(s, Statement::Set { target: SetTarget::Payload { .. }, .. })),
            "{:?}",
            of("c")[0]
        );
        assert!(of("c")[0].iter().any(|s| matches!(
            s,
            Statement::Set { target: SetTarget::Mark, value: Expr::Bits { mask: 0xff, xor: 0, .. } }
        )));
        assert_eq!(of("c")[1].last(), Some(&Statement::Reject(Reject::TcpReset)));
        assert_eq!(of("c")[2], [Statement::Notrack]);
        let counted = &rules(&found, "c")[3];
        assert_eq!(counted.counters.map(|c| (c.packets, c.bytes)), Some((3, 180)));
        assert_eq!(counted.text(), "log prefix \"x: \" group 2 drop");
        assert!(
            matches!(&of("early")[0][2], Statement::Tproxy { address: Some(a), port: Some(3128), .. } if a.is_loopback())
        );
        assert!(of("r")[0].contains(&Statement::Reject(Reject::Icmp6(1, 0))));
        assert!(table("u").dormant && !table("t").dormant);
        assert!(found.tables.iter().all(|t| t.backend == Backend::Nft));
        let base = |table: &unrefuse_firewall::model::Table, chain: &str| table.chains[chain].base.clone().unwrap();
        let post = base(table("t"), "post");
        assert_eq!(
            (post.hook, post.priority, post.kind, post.policy),
            (Hook::Postrouting, 100, ChainKind::Nat, Policy::Drop)
        );
        assert_eq!(base(table("u"), "r").kind, ChainKind::Route);
        let ingress = base(table("n"), "i");
        assert_eq!((ingress.hook, ingress.priority, ingress.devices), (Hook::Ingress, -500, vec!["lo".to_owned()]));
        assert_eq!(table("b").family, Family::Bridge);
        assert!(table("t").chains["post"].rules.iter().all(|rule| rule.handle.is_some() && rule.number > 0));
    });
}

#[test]
fn numbers_of_the_machine_and_of_the_network_are_told_apart() {
    if !can_filter("numbers_of_the_machine_and_of_the_network_are_told_apart") {
        return;
    }
    in_new_namespace(|| {
        nft("table inet t {
               set marks { type mark; elements = { 1, 0x100 } }
               set ports { type inet_service; elements = { 22 } }
               map m { type inet_service : mark; elements = { 22 : 0x10 } }
               set both { type mark . inet_service; flags interval; elements = { 1-5 . 22 } }
               set ids { typeof meta skuid . meta mark; elements = { 1000 . 0x2 } }
               chain c { type filter hook output priority 0
                 meta mark @marks accept
                 meta mark 256 drop
                 meta mark > 5 drop
                 tcp dport @ports meta mark set tcp dport map @m
                 meta mark . tcp dport @both drop
                 meta skuid . meta mark @ids accept
               }
             }");
        let found = read();
        let set = |name: &str| found.tables[0].sets[name].elements.clone();
        let Elements::Exact(marks) = set("marks") else { panic!() };
        assert!(marks.contains_key(&vec![1]) && marks.contains_key(&vec![0x100]), "{marks:?}");
        let Elements::Exact(ports) = set("ports") else { panic!() };
        assert!(ports.contains_key(&vec![22]), "{ports:?}");
        let Elements::Exact(map) = set("m") else { panic!() };
        assert_eq!(map[&vec![22]].data, Some(vec![0x10]));
        let Elements::Ranges(both) = set("both") else { panic!() };
        assert_eq!(both[0].0, [(1, 5), (22, 22)]);
        let Elements::Exact(ids) = set("ids") else { panic!() };
        assert!(ids.contains_key(&vec![1000, 2]), "{ids:?}");
        let rules = rules(&found, "c");
        let mark = || Expr::Field(Field::Meta(Meta::Mark));
        let compare = |op, right| Statement::If(Cond::Compare { left: mark(), op, right });
        assert_eq!(rules[1].statements[0], compare(Op::Eq, 256));
        assert_eq!(rules[2].statements[0], compare(Op::Gt, 5));
    });
}

#[test]
fn sets_have_their_elements_and_what_belongs_to_them() {
    if !can_filter("sets_have_their_elements_and_what_belongs_to_them") {
        return;
    }
    in_new_namespace(|| {
        nft("table inet t {
               set open { type inet_service; flags interval; elements = { 0-10, 65000-65535 } }
               set auto { type ipv4_addr; flags interval; auto-merge; elements = { 10.0.0.0/24, 10.0.1.0/24, 10.0.3.0/24 } }
               set late { type ipv4_addr; flags timeout; timeout 1h; comment \"banned\"; elements = { 192.0.2.7 timeout 30m comment \"ssh\" } }
               set learnt { type ipv4_addr; flags dynamic,timeout; timeout 5m }
               map names { type ifname : verdict; elements = { \"eth0\" : accept, * : drop } }
               set empty { type ipv6_addr; flags interval; }
               chain c { type filter hook input priority 0
                 tcp dport @open accept
                 ip saddr @auto accept
                 ip saddr @late drop
                 tcp dport 22 add @learnt { ip saddr }
                 tcp dport 23 add @learnt { ip saddr limit rate over 3/minute } drop
                 iifname vmap @names
                 ip6 saddr @empty drop
               }
             }");
        let found = read();
        let sets = &found.tables[0].sets;
        let ranges = |name: &str| match &sets[name].elements {
            Elements::Ranges(list) => list.iter().map(|(key, _)| key[0]).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(ranges("open"), [(0, 10), (65000, 65535)]);
        assert_eq!(ranges("auto"), [(0x0a00_0000, 0x0a00_01ff), (0x0a00_0300, 0x0a00_03ff)]);
        assert_eq!(ranges("empty"), []);
        let late = &sets["late"];
        assert_eq!((late.timeout, late.comment.as_deref()), (true, Some("banned")));
        let Elements::Exact(banned) = &late.elements else { panic!() };
        let element = &banned[&vec![0xc000_0207]];
        assert_eq!(element.comment.as_deref(), Some("ssh"));
        assert!(element.expires.is_some_and(|left| (1790..=1800).contains(&left)), "{element:?}");
        assert!(sets["learnt"].dynamic && sets["learnt"].timeout);
        assert_eq!(sets["names"].catch_all.as_ref().and_then(|e| e.verdict.clone()), Some(Verdict::Drop));
        let rules = rules(&found, "c");
        assert!(
            matches!(&rules[3].statements[3], Statement::Note(text) if text == "add @learnt { ip saddr }"),
            "{:?}",
            rules[3]
        );
        assert!(matches!(rules[4].statements[3], Statement::If(Cond::Fork(_))), "{:?}", rules[4]);
    });
}

#[test]
fn single_chains_and_elements_are_asked_for() {
    if !can_filter("single_chains_and_elements_are_asked_for") {
        return;
    }
    in_new_namespace(|| {
        nft("table inet t {
               set s { type ipv4_addr . inet_service; elements = { 192.0.2.7 . 22 } }
               set i { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.0-192.0.2.9 } }
               set c { type mark; flags interval; elements = { 5-9 } }
               set p { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/8 . 1-1024 } }
               map v { type ipv4_addr : verdict; elements = { 192.0.2.7 : drop, * : accept } }
               chain one { ip saddr . tcp dport @s drop; ip saddr @i drop; meta mark @c drop; ip saddr . tcp dport @p drop; ip saddr vmap @v }
               set large { type ipv4_addr; }
               chain two { tcp dport { 22, 80 } accept }
               chain base { type filter hook input priority 0; jump one }
             }
             add rule inet t base jump two");
        let large: Vec<String> = (0..5000).map(|i| format!("10.2.{}.{}", i / 250, i % 250 + 1)).collect();
        nft(&format!("add element inet t large {{ {} }}", large.join(", ")));
        let observed = Live::open(Scope::Ip);
        let live = observed.get().map_err(ToString::to_string).unwrap();
        let heads = live.ruleset();
        assert!(heads.tables[0].chains.values().all(|chain| chain.unread && chain.rules.is_empty()));
        assert!(matches!(&heads.tables[0].sets["s"].elements, Elements::Exact(map) if map.len() == 1));
        assert!(matches!(heads.tables[0].sets["large"].elements, Elements::Unread));
        let two = live.chain(Family::Inet, "t", "two").unwrap();
        assert_eq!(two[0].text(), "tcp dport { 22, 80 } accept");
        let after = live.ruleset();
        assert!(!after.tables[0].chains["two"].unread && after.tables[0].chains["one"].unread);
        assert!(live.chain(Family::Inet, "t", "three").is_none() && live.chain(Family::Ip, "t", "two").is_none());
        live.chain(Family::Inet, "t", "one").unwrap();
        let holds = |set: &str, key: &[u128]| live.set_contains(Family::Inet, "t", set, key);
        assert_eq!(holds("s", &[0xc000_0207, 22]), Some(true));
        assert_eq!(holds("s", &[0xc000_0207, 23]), Some(false));
        for (address, wanted) in [
            (0x0a00_0000, true),
            (0x0aff_ffff, true),
            (0x0b00_0000, false),
            (0x0900_0000, false),
            (0xc000_0209, true),
            (0xc000_020a, false),
        ] {
            assert_eq!(holds("i", &[address]), Some(wanted), "{address:#x}");
        }
        assert_eq!([4, 5, 9, 10].map(|mark| holds("c", &[mark]).unwrap()), [false, true, true, false]);
        assert_eq!(holds("p", &[0x0a01_0203, 1024]), Some(true));
        assert_eq!(holds("p", &[0x0a01_0203, 1025]), Some(false));
        let verdict = |address| live.element(Some((Family::Inet, "t")), "v", &[address]).unwrap().unwrap().verdict;
        assert_eq!((verdict(0xc000_0207), verdict(1)), (Some(Verdict::Drop), Some(Verdict::Accept)));
        assert_eq!((holds("large", &[0x0a02_0001]), holds("large", &[0x0b02_0001])), (Some(true), Some(false)));
        assert_eq!(holds("none", &[1]), None);
        assert_eq!(holds("s", &[1]), None, "a key of another shape is no answer");
    });
}

#[test]
fn reading_changes_nothing() {
    if !can_filter("reading_changes_nothing") {
        return;
    }
    in_new_namespace(|| {
        let names = || {
            ["ip", "ip6"].map(|v| std::fs::read(format!("/proc/thread-self/net/{v}_tables_names")).unwrap_or_default())
        };
        let before = names();
        let empty = read();
        assert!(empty.tables.is_empty() && empty.problems.is_empty(), "{empty:?}");
        assert_eq!(before, names(), "asking made no legacy table");
        feed("iptables-legacy", &["-t", "raw", "-A", "OUTPUT", "-j", "NOTRACK"], b"").unwrap();
        let found = read();
        let legacy: Vec<_> = found.tables.iter().map(|t| (t.name.as_str(), t.backend)).collect();
        assert_eq!(legacy, [("raw", Backend::Legacy)]);
        assert_eq!(String::from_utf8_lossy(&names()[0]), "raw\n");
    });
}

#[test]
fn without_rights_the_ruleset_is_not_empty_but_unknown() {
    if !can_filter("without_rights_the_ruleset_is_not_empty_but_unknown") {
        return;
    }
    in_new_namespace(|| {
        nft("table inet t { chain c { type filter hook input priority 0; policy drop; } }");
        let inside = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        let found = as_nobody(|| {
            let _ = &inside;
            ruleset(Scope::Everything)
        });
        // The thread of its own stands where this one was made: in the namespace of the process or in this one.
        let missing = found.missing().expect("nobody may not read rules");
        assert_eq!(missing.reason, Reason::Forbidden, "{missing:?}");
        assert!(missing.remedy.is_some());
    });
}

fn texts_of(table: &unrefuse_firewall::model::Table, chain: &str) -> Vec<String> {
    table.chains.get(chain).map(|c| c.rules.iter().map(|r| r.text().to_owned()).collect()).unwrap_or_default()
}

/// Files of a folder that nft(8) loads here, read back: what is not understood in them.
fn every_file(folder: &str, suffix: &str) -> Option<(usize, Vec<String>)> {
    let folder = corpus(folder)?;
    let (mut loaded, mut unknown) = (0, Vec::new());
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("a folder").flatten().map(|e| e.path()).collect();
    files.sort();
    for path in files.into_iter().filter(|p| p.to_string_lossy().ends_with(suffix)) {
        let found = in_new_namespace(|| {
            // nft(8) before 1.0.7 knows the name `dstnat` in prerouting only.
            let text = std::fs::read_to_string(&path)
                .ok()?
                .replace("hook output priority dstnat", "hook output priority -100");
            feed("nft", &["-f", "-"], text.as_bytes()).ok()?;
            let json = feed("nft", &["-j", "list", "ruleset"], b"").expect("listed");
            Some((read(), unrefuse_firewall::nft::json::parse(&json).expect("JSON of nft(8)")))
        });
        let Some((found, listed)) = found else { continue };
        loaded += 1;
        let place = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        unknown.extend(listed.problems.iter().map(|p| format!("{place}: {} {}", p.place, p.text)));
        for (table, chain) in found.tables.iter().flat_map(|t| t.chains.keys().map(move |chain| (t, chain))) {
            // Chains of single rules are not listed.
            if chain.starts_with("__chain") {
                continue;
            }
            let other = listed.tables.iter().find(|t| (t.family, &t.name) == (table.family, &table.name));
            let (ours, theirs) = (texts_of(table, chain), other.map(|t| texts_of(t, chain)).unwrap_or_default());
            for (ours, theirs) in ours.iter().zip(&theirs) {
                // The JSON names an interface where the kernel has its index; it carries anonymous chains as text, and some
                // extension headers and objects that a map chooses are not read.
                let ours = ours.replace("iif 1 ", "iifname \"lo\" ").replace("oif 1 ", "oifname \"lo\" ");
                if ours == *theirs || theirs.contains("nft JSON") {
                    continue;
                }
                unknown.push(format!("{place}: {chain}:\n  netlink {ours}\n  JSON    {theirs}"));
            }
            if ours.len() != theirs.len() {
                unknown.push(format!("{place}: {chain}: {} rules and {} in JSON", ours.len(), theirs.len()));
            }
        }
        unknown.extend(found.problems.iter().map(|p| format!("{place}: {} {}", p.place, p.text)));
        for (table, chain) in found.tables.iter().flat_map(|t| &t.chains) {
            for rule in chain.rules.iter() {
                let odd = not_understood(&rule.statements);
                if !odd.is_empty() {
                    unknown.push(format!("{place}: chain {table}: {odd:?} in {}", rule.text()));
                }
            }
        }
        for (name, set) in found.tables.iter().flat_map(|t| &t.sets) {
            if matches!(set.elements, Elements::Unknown(_) | Elements::Unread) {
                unknown.push(format!("{place}: set {name}: {:?}", set.elements));
            }
        }
    }
    Some((loaded, unknown))
}

#[test]
fn real_rulesets_are_understood() {
    if !can_filter("real_rulesets_are_understood") {
        return;
    }
    if let Some((loaded, unknown)) = every_file("firewall/rulesets", ".nft") {
        assert!(unknown.is_empty(), "{}", unknown.join("\n"));
        assert!(loaded >= 30, "{loaded} loaded");
    }
    // Docker's own rulesets are carried by JSON too.
    if let Some((loaded, unknown)) = every_file("docker-goldens/nftabler/TestNftabler", ".golden") {
        assert!(unknown.is_empty(), "{}", unknown.join("\n"));
        assert!(loaded > 50, "{loaded} loaded");
    }
}

//! Which tests hold for a packet: asked of the kernel by rules that only count, and of the reader and the judge by the
//! same rules with a verdict. One SYN, one datagram and one echo request come in; one SYN goes out.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "this test talks to the kernel and says what it could not do"
)]

use std::net::IpAddr;
use std::process::Command;

use unrefuse_firewall::answer::Fate;
use unrefuse_firewall::iptables;
use unrefuse_firewall::judge::{Judge, Question};
use unrefuse_firewall::machine::KnownMachine;
use unrefuse_firewall::model::{Family, Ruleset};
use unrefuse_firewall::spec::PacketSpec;

const SETS: &str = "create ip hash:ip
add ip 198.51.100.77
create ip6 hash:ip family inet6
add ip6 2001:db8:51::77
create net hash:net
add net 198.51.0.0/16
add net 198.51.100.0/28 nomatch
create net6 hash:net family inet6
add net6 2001:db8::/32
create ipport hash:ip,port
add ipport 198.51.100.10,tcp:8080
add ipport 198.51.100.77,tcp:8080
add ipport 198.51.100.10,icmp:8/0
create netport hash:net,port
add netport 198.51.100.0/24,udp:5353
create bport bitmap:port range 0-65535
add bport 8080
create iface hash:net,iface
add iface 198.51.100.0/24,s
create list list:set
add list ip
add list net
";

/// What comes before the rules: marks, and a DNAT that the SYN from outside meets.
fn prelude(v6: bool) -> String {
    let to = if v6 { "[2001:db8:51::10]" } else { "198.51.100.10" };
    format!(
        "*mangle\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -j MARK --set-mark 0x15\n\
         -A PREROUTING -j CONNMARK --set-mark 7\n-A OUTPUT -j MARK --or-mark 0x30\n\
         -A OUTPUT -j TOS --set-tos 0x10/0x3f\nCOMMIT\n\
         *nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 9090 -j DNAT --to-destination {to}:8080\nCOMMIT\n"
    )
}

struct Probe {
    name: &'static str,
    out: bool,
    question: Question,
}

fn probes(v6: bool) -> Vec<Probe> {
    let (host, client) = if v6 { ("2001:db8:51::10", "2001:db8:51::77") } else { ("198.51.100.10", "198.51.100.77") };
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let (host, client) = (address(host), address(client));
    let header = if v6 { 40 } else { 20 };
    let arriving = |mut packet: PacketSpec, length: u16| {
        packet.length = Some(header + length);
        packet.ttl = Some(64);
        packet.src_mac = Some([2, 0, 0, 0, 0, 0x77]);
        packet.dst_mac = Some([2, 0, 0, 0, 0, 0x10]);
        Question { reply: false, ..Question::incoming(Some("s"), packet) }
    };
    let mut own = PacketSpec::tcp(Some(host), client, 8080);
    (own.uid, own.gid, own.cgroup, own.ttl, own.length) = (Some(0), Some(0), Some(0), Some(64), Some(header + 40));
    vec![
        Probe { name: "tcp", out: false, question: arriving(PacketSpec::tcp(Some(client), host, 9090), 40) },
        Probe { name: "udp", out: false, question: arriving(PacketSpec::udp(Some(client), host, 5353), 10) },
        Probe { name: "icmp", out: false, question: arriving(PacketSpec::ping(Some(client), host), 64) },
        Probe { name: "out", out: true, question: Question { reply: false, ..Question::outgoing(own) } },
    ]
}

/// Chains of each probe's packet, with all rules in order.
fn counting(v6: bool, lines: &[(bool, &str)]) -> String {
    let mut text = format!("{}*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n", prelude(v6));
    let echo = if v6 { "ipv6-icmp --icmpv6-type echo-request" } else { "icmp --icmp-type echo-request" };
    let chains = [
        ("tcp", "INPUT", "tcp --syn"),
        ("udp", "INPUT", "udp"),
        ("icmp", "INPUT", echo),
        ("out", "OUTPUT", "tcp --syn"),
    ];
    for (chain, ..) in chains {
        text += &format!(":{chain} - [0:0]\n");
    }
    for (chain, base, test) in chains {
        text += &format!("-A {base} -p {test} -j {chain}\n");
    }
    for (chain, ..) in chains {
        for (out, line) in lines {
            if *out == (chain == "out") {
                text += &format!("-A {chain} {line}\n");
            }
        }
    }
    text + "COMMIT\n"
}

fn held(text: &str, v6: bool) {
    let lines: Vec<(bool, &str)> = text
        .lines()
        .map(|line| line.split_once(' ').expect("a way and a test"))
        .map(|(way, line)| (way == "out", line))
        .collect();
    let folder = std::env::temp_dir().join(format!("unrefuse-matches-{}-{v6}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("sets"), SETS).unwrap();
    std::fs::write(folder.join("rules"), counting(v6, &lines)).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/iptables_matches.sh");
    let output = Command::new("unshare")
        .args(["-n", "--", "sh", script])
        .args([folder.join("sets"), folder.join("rules")])
        .arg(if v6 { "6" } else { "4" })
        .output();
    std::fs::remove_dir_all(&folder).unwrap();
    let output = match output {
        Ok(output) if output.status.success() => output.stdout,
        other => {
            println!("NOT RUN: no two namespaces with iptables in them: {other:?}");
            assert!(!privileged(), "there is the privilege, but the rules were not loaded: {other:?}");
            return;
        }
    };
    let family = if v6 { Family::Ip6 } else { Family::Ip };
    let counted = iptables::parse(&output, Some(family));
    assert_eq!(counted.problems, []);
    let mut ruleset = Ruleset::default();
    iptables::parse_ipset(SETS.as_bytes(), &mut ruleset);
    let ipsets = ruleset.ipsets;
    let machine = KnownMachine::new().with_interface("s", &[("198.51.100.10", 24), ("2001:db8:51::10", 64)]);
    let (mut compared, mut wrong, mut undecided) = (0, Vec::new(), Vec::new());
    let no_echo = output.starts_with(b"# no echo");
    for probe in probes(v6) {
        if no_echo && probe.name == "icmp" {
            println!("NOT RUN: the echo request: neither ping nor python3 is here");
            continue;
        }
        let rules = &counted.tables[0].chains[probe.name].rules;
        let lines: Vec<&str> = lines.iter().filter(|(out, _)| *out == probe.out).map(|(_, line)| *line).collect();
        assert_eq!(rules.len(), lines.len());
        for (rule, line) in rules.iter().zip(lines) {
            let packets = rule.counters.unwrap().packets;
            let base = if probe.out { "OUTPUT" } else { "INPUT" };
            let dump = format!("{}*filter\n:{base} ACCEPT [0:0]\n-A {base} {line} -j DROP\nCOMMIT\n", prelude(v6));
            let mut ruleset = iptables::parse(dump.as_bytes(), Some(family));
            assert_eq!(ruleset.problems, [], "{line}");
            ruleset.ipsets.clone_from(&ipsets);
            let fate = Judge::new(&ruleset, &machine).judge(&probe.question).fate;
            compared += 1;
            match fate {
                Fate::Accepted { .. } if packets == 0 => {}
                Fate::Dropped if packets == 1 => {}
                Fate::Depends { reason, .. } | Fate::Unknown(reason) => {
                    undecided.push(format!("{}: {line}: {reason}", probe.name));
                }
                fate => wrong.push(format!("{}: {line}: {packets} packets, but {fate:?}", probe.name)),
            }
        }
    }
    println!("{compared} compared, undecided: {undecided:#?}");
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}", wrong.len());
    assert!(undecided.len() * 20 <= compared, "{} of {compared} undecided: {undecided:#?}", undecided.len());
}

fn privileged() -> bool {
    Command::new("unshare").args(["-n", "--", "ip", "link", "set", "lo", "up"]).status().is_ok_and(|s| s.success())
}

#[test]
fn ipv4_tests_hold_as_in_the_kernel() {
    held(include_str!("iptables_matches_v4.rules"), false);
}

#[test]
fn ipv6_tests_hold_as_in_the_kernel() {
    held(include_str!("iptables_matches_v6.rules"), true);
}

//! kube-proxy's own packet flows (TestTracePackets): `shared/corpus/kubernetes`, beside the project.

#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "the corpus is read, and figures are shown")]

mod support;

use support::{corpus, parse_ip};
use unrefuse_firewall::answer::{Answer, Decider, Fate};
use unrefuse_firewall::iptables;
use unrefuse_firewall::judge::{Question, judge};
use unrefuse_firewall::machine::{KnownMachine, Route, RouteKind};
use unrefuse_firewall::model::Family;
use unrefuse_firewall::spec::PacketSpec;

fn node() -> KnownMachine {
    let default = Route {
        kind: RouteKind::Unicast,
        oif: Some("eth0".into()),
        gateway: Some(parse_ip("192.168.0.1")),
        source: Some(parse_ip("192.168.0.2")),
    };
    KnownMachine::new()
        .with_interface("eth0", &[("192.168.0.2", 24)])
        .with_interface("cbr0", &[("10.0.0.1", 24)])
        .with_route(parse_ip("0.0.0.0"), 0, default)
        .with_sysctl("net.ipv4.ip_forward", 1)
}

/// What became of the packet, in the words of flows.tsv.
fn outcome(answer: &Answer, sent_to: &str) -> String {
    match &answer.fate {
        Fate::Accepted { to } => {
            let mut places: Vec<String> = to
                .iter()
                .filter(|d| d.address != Some(parse_ip(sent_to)))
                .map(|d| format!("{}:{}", d.address.expect("an address"), d.port.expect("a port")))
                .collect();
            places.sort();
            let by_rule = matches!(answer.decided_by, Some(Decider::Rule(_)));
            match (places.is_empty(), by_rule) {
                (true, true) => "ACCEPT".into(),
                (true, false) => "(none)".into(),
                (false, _) => places.join(", "),
            }
        }
        Fate::Dropped => "DROP".into(),
        Fate::Rejected(_) => "REJECT".into(),
        other => format!("{other:?}"),
    }
}

/// The address in `testNodeIP(192.168.0.2)`, or the word itself.
fn address(field: &str) -> &str {
    field.split_once('(').map_or(field, |(_, rest)| rest.trim_end_matches(')'))
}

#[test]
fn kube_proxys_flows_end_as_its_own_test_says() {
    let Some(folder) = corpus("kubernetes") else { return };
    let bytes = std::fs::read(folder.join("TestTracePackets.restore.rules")).expect("rules");
    let flows = std::fs::read_to_string(folder.join("TestTracePackets.flows.tsv")).expect("flows");
    let ruleset = iptables::parse(&bytes, Some(Family::Ip));
    let machine = node();
    let mut compared = 0;
    for line in flows.lines().skip(1) {
        let f: Vec<&str> = line.split('\t').collect();
        let (src, dst) = (address(f[2]), address(f[3]));
        let packet = PacketSpec::tcp(Some(parse_ip(src)), parse_ip(dst), f[4].parse().expect("a port"));
        let question = if src == "192.168.0.2" {
            Question::outgoing(packet)
        } else {
            Question::incoming(Some(if src.starts_with("10.") { "cbr0" } else { "eth0" }), packet)
        };
        let answer = judge(&ruleset, &machine, &question);
        assert_eq!(outcome(&answer, dst), f[5], "{}: {answer:#?}", f[0]);
        let masqueraded = answer.way.iter().any(|s| s.what.starts_with("masquerade"));
        assert_eq!(masqueraded.to_string(), f[6], "{}", f[0]);
        compared += 1;
    }
    println!("flows compared: {compared}");
    assert!(compared >= 7);
}

#[test]
fn a_service_without_endpoints_is_rejected_by_the_rule_that_says_so() {
    let Some(folder) = corpus("kubernetes") else { return };
    let bytes = std::fs::read(folder.join("TestTracePackets.restore.rules")).expect("rules");
    let ruleset = iptables::parse(&bytes, Some(Family::Ip));
    let packet = PacketSpec::tcp(None, parse_ip("172.30.0.46"), 80);
    let answer = judge(&ruleset, &node(), &Question::outgoing(packet));
    let Some(Decider::Rule(rule)) = &answer.decided_by else { panic!("{answer:#?}") };
    assert_eq!(rule.chain, "KUBE-SERVICES");
    assert_eq!(rule.comment.as_deref(), Some("ns6/svc6:p80 has no endpoints"));
    assert_eq!(answer.client_sees.tcp_errno(), Some("ECONNREFUSED"));
}

//! Real rulesets against what Linux 6.18 did with them: `shared/corpus/firewall/labels.tsv`, beside the project.
//!
//! Of the labels that are exact, no decided verdict may be wrong, at most 3 % may be undecided, and where the label names
//! the rules whose counters moved, the deciding rule is among them.

#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "the corpus is read, and figures are shown")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use std::net::IpAddr;

use support::{corpus, parse_ip};
use unrefuse_firewall::answer::{Answer, ClientSees, Decider, Fate};
use unrefuse_firewall::iptables;
use unrefuse_firewall::judge::{Judge, Question};
use unrefuse_firewall::machine::{KnownMachine, Machine, Route, RouteKind};
use unrefuse_firewall::spec::PacketSpec;

/// One line of labels.tsv.
struct Probe {
    arrives: bool,
    iface: String,
    src: String,
    dst: String,
    port: u16,
    listening: bool,
    outcome: String,
    flags: String,
    hits: Vec<String>,
}

fn probes(text: &str, backend: &str) -> BTreeMap<String, Vec<Probe>> {
    let mut by_file: BTreeMap<String, Vec<Probe>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let f: Vec<&str> = line.split('\t').collect();
        assert_eq!(f.len(), 12, "{line}");
        if f[1] != backend {
            continue;
        }
        let hits = f[11].split(" || ").filter(|h| *h != "-").map(str::to_owned).collect();
        by_file.entry(f[0].to_owned()).or_default().push(Probe {
            arrives: f[2] == "in",
            iface: f[3].to_owned(),
            src: f[4].to_owned(),
            dst: f[5].to_owned(),
            port: f[6].parse().expect("a port"),
            listening: f[7] == "True",
            outcome: f[8].to_owned(),
            flags: f[10].to_owned(),
            hits,
        });
    }
    by_file
}

/// The host under test: the addresses that probes were sent to, one interface, a default route out of it, forwarding on.
fn machine(probes: &[Probe]) -> KnownMachine {
    let mut machine = KnownMachine::new();
    let interfaces: BTreeSet<&str> = probes.iter().map(|p| p.iface.as_str()).collect();
    for iface in interfaces {
        let mut addresses = vec![("198.51.100.10", 24), ("2001:db8:51::10", 64)];
        for p in probes.iter().filter(|p| p.arrives && p.iface == iface && !p.flags.contains("FORWARDED")) {
            let address = (p.dst.as_str(), if p.dst.contains(':') { 128 } else { 32 });
            if !addresses.iter().any(|(a, _)| *a == address.0) {
                addresses.push(address);
            }
        }
        machine = machine.with_interface(iface, &addresses);
        for (prefix, source) in [("0.0.0.0", "198.51.100.10"), ("::", "2001:db8:51::10")] {
            let route = Route {
                kind: RouteKind::Unicast,
                oif: Some(iface.to_owned()),
                gateway: None,
                source: Some(parse_ip(source)),
            };
            machine = machine.with_route(parse_ip(prefix), 0, route);
        }
    }
    machine.with_sysctl("net.ipv4.ip_forward", 1).with_sysctl("net.ipv6.conf.all.forwarding", 1)
}

fn question(probe: &Probe) -> Question {
    if probe.arrives {
        let mut packet = PacketSpec::tcp(Some(parse_ip(&probe.src)), parse_ip(&probe.dst), probe.port);
        packet.src_mac = Some([2, 0, 0, 0, 0, 0x77]);
        packet.uid = Some(0);
        Question { server_uid: Some(0), listening: probe.listening, ..Question::incoming(Some(&probe.iface), packet) }
    } else {
        let mut packet = PacketSpec::tcp(None, parse_ip(&probe.dst), probe.port);
        packet.uid = Some(0);
        packet.gid = Some(0);
        Question::outgoing(packet)
    }
}

/// What the probe should have shown by this answer; `None`: undecided.
fn predicted(answer: &Answer, probe: &Probe, probes: &[Probe], machine: &KnownMachine) -> Option<String> {
    let local = |a: IpAddr| machine.addr_type(a, None) == Some(RouteKind::Local);
    if !probe.arrives {
        // The lab's peer has no route to an address that the host does not have.
        if answer.translated.and_then(|t| t.src).is_some_and(|a| !local(a)) {
            return Some("timeout".into());
        }
        // To an own address: what listens on the host under test counts, not what listens on the peer.
        if local(parse_ip(&probe.dst)) && answer.client_sees == ClientSees::Answer {
            let listening = probes.iter().any(|p| p.arrives && p.port == probe.port && p.listening);
            return Some(if listening { "open" } else { "ECONNREFUSED" }.into());
        }
    }
    let text = match (&answer.client_sees, probe.arrives) {
        (ClientSees::Answer, true) => if probe.listening { "SYNACK" } else { "RST" }.to_owned(),
        (ClientSees::Answer, false) => if probe.listening { "open" } else { "ECONNREFUSED" }.to_owned(),
        (ClientSees::Silence, true) => "NONE".into(),
        (ClientSees::Silence, false) => "timeout".into(),
        (ClientSees::Reset, true) => "RST".into(),
        (ClientSees::Icmp { kind, code, .. }, true) => format!("ICMP {kind}/{code}"),
        (sees, false) => sees.tcp_errno()?.to_owned(),
        (_, true) => return None,
    };
    Some(text)
}

/// A rule's words without what iptables-save adds or leaves out: `-m tcp`, `/32`, quotes.
fn words(text: &str) -> Vec<String> {
    let plain = text.replace('"', "").replace("-m tcp", "").replace("-m udp", "");
    let mut words: Vec<String> = plain.split_whitespace().map(|w| w.trim_end_matches("/32").to_owned()).collect();
    words.sort();
    words
}

fn deciding_rule(answer: &Answer) -> Option<String> {
    let stopped_reply = answer.reply.as_ref().filter(|r| !r.fate.is_accepted());
    let by = match (&answer.fate, stopped_reply) {
        (Fate::Accepted { .. }, Some(reply)) => reply.decided_by.as_ref(),
        _ => answer.decided_by.as_ref(),
    };
    match by {
        Some(Decider::Rule(rule)) => Some(rule.text.clone()),
        _ => None,
    }
}

#[test]
fn iptables_verdicts_are_the_kernels() {
    let Some(folder) = corpus("firewall") else { return };
    let labels = std::fs::read_to_string(folder.join("labels.tsv")).expect("labels.tsv");
    let (mut exact, mut undecided, mut with_rule) = (0, 0, 0);
    let (mut others, mut others_undecided, mut others_wrong) = (0, 0, 0);
    let mut wrong = Vec::new();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for (file, probes) in probes(&labels, "legacy") {
        let bytes = std::fs::read(folder.join("rulesets").join(&file)).expect("a ruleset");
        let ruleset = iptables::parse(&bytes, None);
        let machine = machine(&probes);
        let judge = Judge::new(&ruleset, &machine);
        for probe in &probes {
            let answer = judge.judge(&question(probe));
            let is_exact = probe.flags == "-";
            let place = format!(
                "{file} {} {} {} -> {} {}",
                if probe.arrives { "in" } else { "out" },
                probe.iface,
                probe.src,
                probe.dst,
                probe.port
            );
            let said = predicted(&answer, probe, &probes, &machine);
            if !is_exact {
                others += 1;
                match said {
                    None => others_undecided += 1,
                    Some(said) if said != probe.outcome => {
                        others_wrong += 1;
                        println!(
                            "not exact ({}): {place}: {} but judged {said} by {:?}",
                            probe.flags,
                            probe.outcome,
                            deciding_rule(&answer)
                        );
                    }
                    Some(_) => {}
                }
                continue;
            }
            exact += 1;
            let Some(said) = said else {
                undecided += 1;
                if let Fate::Depends { reason, .. } = &answer.fate {
                    *reasons.entry(reason.clone()).or_default() += 1;
                }
                println!("undecided: {place}: {:?} {:?}", answer.fate, answer.reply.map(|r| r.fate));
                continue;
            };
            if said != probe.outcome {
                wrong.push(format!("{place}: {} but judged {said} by {:?}", probe.outcome, deciding_rule(&answer)));
            } else if let (Some(rule), false) = (deciding_rule(&answer), probe.hits.is_empty()) {
                with_rule += 1;
                let rule = words(&rule);
                if !probe.hits.iter().any(|hit| words(hit) == rule) {
                    wrong.push(format!(
                        "{place}: decided by {:?}, counters moved: {:?}",
                        deciding_rule(&answer),
                        probe.hits
                    ));
                }
            }
        }
    }
    println!("exact labels: {exact}, undecided {undecided}, wrong {}, deciding rule compared {with_rule}", wrong.len());
    println!("other labels: {others}, undecided {others_undecided}, otherwise than the lab {others_wrong}");
    println!("reasons: {reasons:#?}");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(exact > 1000 && with_rule > 300, "too few labels were compared: {exact}, {with_rule}");
    assert!(undecided * 100 <= exact * 3, "{undecided} of {exact} undecided");
}

//! Rulesets of nft(8) against what Linux 6.18 did with them (`shared/corpus/firewall/labels.tsv`, beside the project):
//! loaded into a namespace, read over netlink and from `nft -j`, judged. Of the labels that are exact none may be wrong.

mod common;
#[path = "common/firewall.rs"]
mod firewall;

use common::in_new_namespace;
use firewall::{can_filter, corpus, feed, read};
use std::collections::BTreeMap;
use std::net::IpAddr;
use unrefuse_firewall::answer::{Answer, ClientSees};
use unrefuse_firewall::judge::{Judge, Question};
use unrefuse_firewall::machine::{KnownMachine, Route, RouteKind};
use unrefuse_firewall::spec::PacketSpec;

/// A line of labels.tsv, by column.
struct Probe<'a>(Vec<&'a str>);

impl Probe<'_> {
    fn arrives(&self) -> bool {
        self.0[2] == "in"
    }
    fn interface(&self) -> &str {
        self.0[3]
    }
    fn address(&self, column: usize) -> IpAddr {
        self.0[column].parse().expect("an address")
    }
    fn port(&self) -> u16 {
        self.0[6].parse().expect("a port")
    }
    fn listening(&self) -> bool {
        self.0[7] == "True"
    }
    fn outcome(&self) -> &str {
        self.0[8]
    }
    fn is_exact(&self) -> bool {
        self.0[10] == "-"
    }
}

/// The host under test: an interface with the addresses that probes were sent to, a default route, forwarding on.
fn machine(probes: &[Probe<'_>]) -> KnownMachine {
    let mut machine = KnownMachine::new();
    let mut names: Vec<&str> = probes.iter().map(Probe::interface).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let mut addresses = vec![("198.51.100.10", 24), ("2001:db8:51::10", 64)];
        let sent_to = probes.iter().filter(|p| p.arrives() && p.interface() == name && !p.0[10].contains("FORWARDED"));
        for to in sent_to.map(|p| p.0[5]) {
            if !addresses.iter().any(|(known, _)| *known == to) {
                addresses.push((to, if to.contains(':') { 128 } else { 32 }));
            }
        }
        machine = machine.with_interface(name, &addresses);
        for (prefix, source) in [("0.0.0.0", "198.51.100.10"), ("::", "2001:db8:51::10")] {
            let route = Route {
                kind: RouteKind::Unicast,
                oif: Some(name.to_owned()),
                gateway: None,
                source: source.parse().ok(),
            };
            machine = machine.with_route(prefix.parse().expect("an address"), 0, route);
        }
    }
    machine.with_sysctl("net.ipv4.ip_forward", 1).with_sysctl("net.ipv6.conf.all.forwarding", 1)
}

fn question(probe: &Probe<'_>) -> Question {
    if probe.arrives() {
        let mut packet = PacketSpec::tcp(Some(probe.address(4)), probe.address(5), probe.port());
        packet.src_mac = Some([2, 0, 0, 0, 0, 0x77]);
        packet.uid = Some(0);
        Question {
            server_uid: Some(0),
            listening: probe.listening(),
            ..Question::incoming(Some(probe.interface()), packet)
        }
    } else {
        let mut packet = PacketSpec::tcp(None, probe.address(5), probe.port());
        (packet.uid, packet.gid) = (Some(0), Some(0));
        Question::outgoing(packet)
    }
}

/// What the probe should have shown; `None`: undecided.
fn predicted(answer: &Answer, probe: &Probe<'_>) -> Option<String> {
    Some(match (&answer.client_sees, probe.arrives()) {
        (ClientSees::Answer, true) => if probe.listening() { "SYNACK" } else { "RST" }.to_owned(),
        (ClientSees::Answer, false) => if probe.listening() { "open" } else { "ECONNREFUSED" }.to_owned(),
        (ClientSees::Silence, true) => "NONE".to_owned(),
        (ClientSees::Silence, false) => "timeout".to_owned(),
        (ClientSees::Reset, true) => "RST".to_owned(),
        (ClientSees::Icmp { kind, code, .. }, true) => format!("ICMP {kind}/{code}"),
        (sees, false) => sees.tcp_errno()?.to_owned(),
        (_, true) => return None,
    })
}

#[test]
fn nft_verdicts_are_the_kernels() {
    if !can_filter("nft_verdicts_are_the_kernels") {
        return;
    }
    let Some(folder) = corpus("firewall") else { return };
    let labels = std::fs::read_to_string(folder.join("labels.tsv")).expect("labels.tsv");
    let mut files: BTreeMap<&str, Vec<Probe<'_>>> = BTreeMap::new();
    for line in labels.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        assert_eq!(columns.len(), 12, "{line}");
        if columns[1] == "nft" {
            files.entry(columns[0]).or_default().push(Probe(columns));
        }
    }
    let (mut exact, mut undecided, mut wrong) = (0, 0, Vec::new());
    for (file, probes) in files {
        let path = folder.join("rulesets").join(file);
        let rulesets = in_new_namespace(|| {
            feed("nft", &["-f", path.to_str().expect("a name")], b"").expect(file);
            let json = feed("nft", &["-j", "list", "ruleset"], b"").expect("listed");
            [read(), unrefuse_firewall::nft::json::parse(&json).expect("JSON of nft(8)")]
        });
        let machine = machine(&probes);
        for ruleset in rulesets {
            let judge = Judge::new(&ruleset, &machine);
            for probe in probes.iter().filter(|probe| probe.is_exact()) {
                exact += 1;
                match predicted(&judge.judge(&question(probe)), probe) {
                    None => undecided += 1,
                    Some(said) if said == probe.outcome() => {}
                    Some(said) => wrong.push(format!("{file} {:?}: judged {said}", &probe.0[2..9])),
                }
            }
        }
    }
    println!("exact labels: {exact}, undecided {undecided}, wrong {}", wrong.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(exact > 1000, "{exact} labels compared");
    assert!(undecided * 100 <= exact * 3, "{undecided} of {exact} undecided");
}

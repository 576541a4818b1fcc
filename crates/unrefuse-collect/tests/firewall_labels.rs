//! Real rulesets in nf_tables against what Linux 6.18 did with them (`shared/corpus/firewall/labels.tsv`, beside the
//! project): loaded into a namespace by nft(8) or iptables-nft, read back from the kernel, judged. Of the labels that are
//! exact no decided verdict may be wrong, at most 3 % may be undecided, and where a label names the rules whose counters
//! moved, the rule that decided is one of them.

mod common;
#[path = "common/firewall.rs"]
mod firewall;

use common::{in_new_namespace, skipped};
use firewall::{can_filter, corpus, feed, meaning, read};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use unrefuse_firewall::answer::{Answer, ClientSees, Decider};
use unrefuse_firewall::judge::{Judge, Question};
use unrefuse_firewall::machine::{KnownMachine, Machine, Route, RouteKind};
use unrefuse_firewall::model::{Family, Ruleset};
use unrefuse_firewall::spec::PacketSpec;
use unrefuse_firewall::{iptables, nft};

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
    /// The rules whose counters moved.
    fn hits(&self) -> Vec<&str> {
        self.0[11].split(" || ").filter(|rule| *rule != "-").collect()
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
fn predicted(answer: &Answer, probe: &Probe<'_>, probes: &[Probe<'_>], machine: &KnownMachine) -> Option<String> {
    let is_own = |address: IpAddr| machine.addr_type(address, None) == Some(RouteKind::Local);
    if !probe.arrives() {
        // The lab's peer has no route to an address that the host does not have.
        if answer.translated.as_ref().and_then(|t| t.src).is_some_and(|address| !is_own(address)) {
            return Some("timeout".to_owned());
        }
        // To an own address: what listens on the host under test counts, not what listens on the peer.
        if is_own(probe.address(5)) && answer.client_sees == ClientSees::Answer {
            let listening = probes.iter().any(|p| p.arrives() && p.port() == probe.port() && p.listening());
            return Some(if listening { "open" } else { "ECONNREFUSED" }.to_owned());
        }
    }
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

/// The rule that decided: where only the answer is stopped, the one that stops it.
fn deciding_rule(answer: &Answer) -> Option<&str> {
    let stopped = answer.reply.as_ref().filter(|reply| answer.fate.is_accepted() && !reply.fate.is_accepted());
    match stopped.map_or(&answer.decided_by, |reply| &reply.decided_by) {
        Some(Decider::Rule(rule)) => Some(&rule.text),
        _ => None,
    }
}

/// Two ways to write one rule: iptables-nft orders tests otherwise, and writes values in other forms.
fn is_same_rule(one: &str, other: &str, family: Family) -> bool {
    let words = |text: &str| {
        let plain = text.replace('"', "").replace("-m tcp", "").replace("-m udp", "");
        let mut words: Vec<String> = plain.split_whitespace().map(|w| w.trim_end_matches("/32").to_owned()).collect();
        words.sort();
        words
    };
    let means = |text: &str| {
        let chain = text.split_whitespace().nth(1).unwrap_or_default();
        let dump = format!("*filter\n:{chain} - [0:0]\n{text}\nCOMMIT\n");
        meaning(&iptables::parse(dump.as_bytes(), Some(family)).tables)
    };
    words(one) == words(other) || means(one) == means(other)
}

/// What came of comparing.
#[derive(Default)]
struct Compared {
    exact: usize,
    undecided: usize,
    with_rule: usize,
    wrong: Vec<String>,
}

impl Compared {
    fn ruleset(&mut self, file: &str, ruleset: &Ruleset, probes: &[Probe<'_>]) {
        let machine = machine(probes);
        let judge = Judge::new(ruleset, &machine);
        let family = ruleset.tables.first().map_or(Family::Ip, |table| table.family);
        for probe in probes.iter().filter(|probe| probe.is_exact()) {
            self.exact += 1;
            let answer = judge.judge(&question(probe));
            let place = || format!("{file} {:?}", &probe.0[2..9]);
            let Some(said) = predicted(&answer, probe, probes, &machine) else {
                self.undecided += 1;
                continue;
            };
            if said != probe.outcome() {
                self.wrong.push(format!("{}: judged {said} by {:?}", place(), deciding_rule(&answer)));
            } else if let (Some(rule), false) = (deciding_rule(&answer), probe.hits().is_empty()) {
                self.with_rule += 1;
                if !probe.hits().iter().any(|hit| is_same_rule(hit, rule, family)) {
                    self.wrong.push(format!("{}: decided by {rule}, counters moved: {:?}", place(), probe.hits()));
                }
            }
        }
    }

    /// Prints the figures and holds them.
    fn hold(&self, what: &str, at_least: usize) {
        let Self { exact, undecided, with_rule, wrong } = self;
        println!(
            "{what}: {exact} exact labels, {undecided} undecided, {} wrong, {with_rule} deciding rules",
            wrong.len()
        );
        assert!(wrong.is_empty(), "{what}: {} wrong:\n{}", wrong.len(), wrong.join("\n"));
        assert!(*exact >= at_least, "{what}: only {exact} labels compared");
        assert!(undecided * 100 <= exact * 3, "{what}: {undecided} of {exact} undecided");
    }
}

/// Probes by ruleset, of those that were made with this backend.
fn labels<'a>(text: &'a str, backend: &str) -> BTreeMap<&'a str, Vec<Probe<'a>>> {
    let mut files: BTreeMap<&str, Vec<Probe<'_>>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        assert_eq!(columns.len(), 12, "{line}");
        if columns[1] == backend {
            files.entry(columns[0]).or_default().push(Probe(columns));
        }
    }
    files
}

fn text_of(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("labels.tsv")).expect("labels.tsv")
}

/// A ruleset in nft's own language, which includes nothing.
fn text(name: &str, bytes: &[u8]) -> Ruleset {
    let ruleset = nft::file::parse(name, bytes, &|path, _| panic!("{name} includes {path}"));
    assert!(ruleset.problems.is_empty(), "{name}: {:?}", ruleset.problems);
    ruleset
}

#[test]
fn nft_verdicts_are_the_kernels() {
    if !can_filter("nft_verdicts_are_the_kernels") {
        return;
    }
    let Some(folder) = corpus("firewall") else { return };
    let (mut netlink, mut json, mut listed, mut written) =
        (Compared::default(), Compared::default(), Compared::default(), Compared::default());
    for (file, probes) in labels(&text_of(&folder), "nft") {
        let path = folder.join("rulesets").join(file);
        let rulesets = in_new_namespace(|| {
            feed("nft", &["-f", path.to_str().expect("a name")], b"").expect(file);
            let json = feed("nft", &["-j", "list", "ruleset"], b"").expect("listed");
            let list = feed("nft", &["list", "ruleset"], b"").expect("listed");
            [read(), nft::json::parse(&json).expect("JSON of nft(8)"), text("list", &list)]
        });
        netlink.ruleset(file, &rulesets[0], &probes);
        json.ruleset(file, &rulesets[1], &probes);
        listed.ruleset(file, &rulesets[2], &probes);
        written.ruleset(file, &text(file, &std::fs::read(&path).expect(file)), &probes);
    }
    netlink.hold("nft over netlink", 570);
    json.hold("nft -j", 570);
    listed.hold("nft list ruleset", 570);
    written.hold("the files themselves", 570);
}

/// The labels of iptables-legacy hold for the same rules in nf_tables: both run the same matches and targets.
#[test]
fn iptables_nft_verdicts_are_the_kernels() {
    if !can_filter("iptables_nft_verdicts_are_the_kernels") {
        return;
    }
    let Some(folder) = corpus("firewall") else { return };
    let (mut compared, mut refused) = (Compared::default(), Vec::new());
    for (file, probes) in labels(&text_of(&folder), "legacy") {
        let bytes = std::fs::read(folder.join("rulesets").join(file)).expect(file);
        let family = iptables::parse(&bytes, None).tables.first().map_or(Family::Ip, |table| table.family);
        let program = if family == Family::Ip6 { "ip6tables-nft-restore" } else { "iptables-nft-restore" };
        match in_new_namespace(|| feed(program, &[], &bytes).map(|_| read())) {
            Ok(ruleset) => compared.ruleset(file, &ruleset, &probes),
            Err(why) => refused.push(format!("{file}: {}", why.lines().next().unwrap_or_default())),
        }
    }
    if !refused.is_empty() {
        skipped(&format!("{} rulesets that iptables-nft does not take: {}", refused.len(), refused.join("; ")));
    }
    compared.hold("iptables-nft over netlink", 1000);
}

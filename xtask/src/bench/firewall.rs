//! The packet filter: reading large rulesets, and one packet against them, beside the tools that only list.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use xshell::cmd;

use super::measure::Sample;
use super::place::{Neighbour, apart};
use super::rulesets::{self, CHAINS, FIRST_PORT, MEMBER, RULES};
use super::table::{Measured, Row};
use super::works::{Run, ours};
use super::{Contest, Peer, Subject};
use crate::workspace::{shell, target_dir};

/// Peak memory that is allowed, in bytes: all rules at once.
const MEMORY: u64 = 60_000_000;
/// The same where a packet meets only some.
const MEMORY_OF_FEW: u64 = 20_000_000;
/// How often a judgement is measured.
const JUDGED: usize = 301;

/// The program that does a part of a command's work alone (an example of unrefuse-collect), built once.
fn part(arguments: &str) -> Result<Subject> {
    static BUILT: OnceLock<()> = OnceLock::new();
    if BUILT.get().is_none() {
        let shell = shell()?;
        cmd!(shell, "cargo build --release --locked --package unrefuse-collect --example bench_firewall").run()?;
        BUILT.get_or_init(|| ());
    }
    let program = target_dir()?.join("release/examples/bench_firewall");
    let program = program.to_str().context("the target folder's name is not UTF-8")?;
    Ok(Subject::new(&format!("{program} {arguments}"), |status, _| status.success())
        .named(&format!("unrefuse ({arguments})")))
}

fn peer(command: &str, at_most: f64, shows: &'static str) -> Peer {
    let did_it = move |status: std::process::ExitStatus, output: &str| status.success() && output.contains(shows);
    Peer { subject: Subject::new(command, did_it), at_most: Some(at_most) }
}

fn contest(ours: Subject, peers: Vec<Peer>, memory: u64) -> Contest {
    Contest { ours, peers, longest: None, memory, before: None }
}

/// All rules of a long chain, understood.
pub(super) fn read_nft(_: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    let read = part("read")?.holding(format!("{RULES} rules"));
    apart(|_| {
        rulesets::long_nft()?;
        let peers = vec![
            peer("nft -j list ruleset", 0.2, "10.0.39.15"),
            peer("nft list ruleset", 0.35, "ip saddr 10.0.39.15 tcp"),
        ];
        run(contest(read, peers, MEMORY))
    })
}

/// The same of iptables-nft.
pub(super) fn read_iptables(_: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    let read = part("read")?.holding(format!("{RULES} rules"));
    apart(|_| {
        rulesets::long_iptables()?;
        run(contest(read, vec![peer("iptables-nft-save", 0.7, "-A INPUT -s 10.0.39.15/32")], MEMORY))
    })
}

/// The command on one packet, by which rule it must find it dropped.
fn packet(unrefuse: &Path, from: &str, port: u16, rule: &'static str) -> Result<Subject> {
    let found = move |status: std::process::ExitStatus, output: &str| {
        let report: serde_json::Value = serde_json::from_str(output).unwrap_or_default();
        status.code() == Some(1) && report.to_string().contains(rule)
    };
    let arguments = format!("firewall --from {from} --to {}:{port} --iface {}", Neighbour::HERE, Neighbour::LINK);
    Ok(ours(unrefuse, &arguments, found)?.verified_with("--json"))
}

/// A packet that meets 2 of 1,001 chains.
pub(super) fn wide(unrefuse: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    apart(|shell| {
        let _neighbour = Neighbour::start(shell)?;
        rulesets::wide()?;
        let last = CHAINS - 1;
        let from = format!("10.{}.{}.7", last >> 8, last & 255);
        let peers = vec![
            peer("nft list ruleset", 0.002, "tcp dport 1098"),
            peer("iptables-nft-save", 0.02, "-A own999 -p tcp -m tcp --dport 1098 -j DROP"),
        ];
        run(contest(packet(unrefuse, &from, 1050, "-A own999 -p tcp -m tcp --dport 1050")?, peers, MEMORY_OF_FEW))
    })
}

/// A packet whose source is in a large set.
pub(super) fn set_nft(unrefuse: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    apart(|shell| {
        let _neighbour = Neighbour::start(shell)?;
        rulesets::set_nft()?;
        let get = ["nft", "get", "element", "inet", "t", "s"].map(str::to_owned);
        let element = format!("{{ {MEMBER} }}");
        let get = Subject::words(get.into_iter().chain([element]).collect(), |status, output| {
            status.success() && output.contains(MEMBER)
        });
        let peers = vec![Peer { subject: get, at_most: Some(0.01) }];
        run(contest(packet(unrefuse, MEMBER, 80, "ip saddr @s drop")?, peers, MEMORY_OF_FEW))
    })
}

/// The same of an ipset. Its tester starts, asks and ends: so does what is measured against it. The whole command is more.
pub(super) fn set_ipset(unrefuse: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    let test = part(&format!("holds big {MEMBER}"))?.holding("true".to_owned());
    apart(|shell| {
        let _neighbour = Neighbour::start(shell)?;
        rulesets::set_ipset()?;
        let tester = || Subject::new(&format!("ipset test big {MEMBER}"), |status, _| status.success());
        let mut rows = run(contest(test, vec![Peer { subject: tester(), at_most: Some(1.2) }], MEMORY_OF_FEW))?;
        let whole = packet(unrefuse, MEMBER, 80, "--match-set big src")?;
        rows.extend(run(contest(whole, vec![Peer { subject: tester(), at_most: None }], MEMORY_OF_FEW))?);
        Ok(rows)
    })
}

/// Judging alone, the rules in memory, against what the kernel needs for such a packet.
pub(super) fn judge(_: &Path, _: Run<'_>) -> Result<Vec<Row>> {
    let judge = part(&format!("judge {} {JUDGED}", FIRST_PORT + 1))?;
    apart(|_| {
        rulesets::long_nft()?;
        let output = Command::new(&judge.command[0]).args(&judge.command[1..]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        let figures: Vec<Duration> =
            text.split_whitespace().map(|n| n.parse().map(Duration::from_nanos)).collect::<Result<_, _>>()?;
        let [load, judged, walked, passed] = figures[..] else { bail!("four figures are wanted: {text}") };
        println!(
            "  reading took {load:?}, a first judgement {judged:?}; the kernel {walked:?}, {passed:?} without rules"
        );
        let measured = |name: &str, elapsed| Measured {
            name: name.to_owned(),
            sample: Sample { elapsed, cpu: Duration::ZERO, memory: 0 },
        };
        let kernel = measured("the kernel, one packet", walked.saturating_sub(passed));
        Ok(vec![Row::ratio("firewall-judge-10000", measured("a first judgement", judged), kernel, Some(0.25))])
    })
}

/// Every port, rules read and judged, against the scanner of a host that has these rules.
pub(super) fn ports(_: &Path, run: Run<'_>) -> Result<Vec<Row>> {
    let part = part(&format!("ports {} {}", Neighbour::HERE, Neighbour::LINK))?;
    apart(|shell| {
        let neighbour = Neighbour::start(shell)?;
        rulesets::ports_nft()?;
        let _listeners: Vec<std::net::TcpListener> =
            (1..=40u16).map(|n| std::net::TcpListener::bind((Neighbour::HERE, n * 1000))).collect::<Result<_, _>>()?;
        let output = Command::new(&part.command[0]).args(&part.command[1..]).output()?;
        let judged = verdicts(&String::from_utf8(output.stdout)?)?;
        let namespace = neighbour.namespace();
        let scan = format!("nsenter {namespace} nmap -sS -p- -T5 -n -Pn -oG - {}", Neighbour::HERE);
        let same = move |status: std::process::ExitStatus, output: &str| status.success() && agrees(&judged, output);
        // With so much debugging nmap lists every port, not only those of rare states.
        let nmap = Subject::new(&scan, same).named("nmap -sS -p- -T5").verified_with("-d3");
        run(contest(part, vec![Peer { subject: nmap, at_most: Some(0.1) }], MEMORY))
    })
}

/// A port's state as nmap calls it, in one byte; 0: any other.
fn state(name: &str) -> u8 {
    match name {
        "open" => b'o',
        "closed" => b'c',
        "filtered" => b'f',
        _ => 0,
    }
}

/// What nmap must say of each port by the judge's stretches.
fn verdicts(text: &str) -> Result<Vec<u8>> {
    let mut states = vec![0; 65_536];
    for line in text.lines() {
        let (range, sees) = line.split_once(' ').context("a stretch and what it sees")?;
        let (from, to) = range.split_once('-').context("a stretch")?;
        for port in from.parse::<u16>()?..=to.parse()? {
            states[usize::from(port)] = state(match sees {
                "answer" if port % 1000 == 0 && (1000..=40_000).contains(&port) => "open",
                "answer" | "reset" => "closed",
                "filtered" => "filtered",
                other => bail!("port {port}: {other}"),
            });
        }
    }
    ensure!(!states.contains(&0), "a port was not judged");
    Ok(states)
}

/// Whether nmap's list of ports (`22/open/tcp//ssh///`) says the same of each but port 0, which it does not scan.
fn agrees(judged: &[u8], output: &str) -> bool {
    let Some((_, list)) = output.split_once("Ports: ") else { return false };
    let (mut seen, mut wrong) = (0, 0);
    for entry in list.lines().next().unwrap_or_default().split(", ") {
        let mut parts = entry.trim().split('/');
        let (Some(port), Some(said)) = (parts.next().and_then(|port| port.parse::<usize>().ok()), parts.next()) else {
            continue;
        };
        seen += 1;
        if judged.get(port) != Some(&state(said)) {
            wrong += 1;
            if wrong <= 5 {
                println!(
                    "  port {port}: nmap says {said}, judged {:?}",
                    judged.get(port).map(|state| char::from(*state))
                );
            }
        }
    }
    println!("  {seen} ports compared with nmap, {wrong} otherwise");
    seen + 1 == judged.len() && wrong == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_judges_stretches_become_nmaps_states() {
        let states = verdicts("0-999 answer\n1000-1000 answer\n1001-60000 filtered\n60001-65535 reset\n").unwrap();
        assert_eq!((states[80], states[1000], states[1001], states[65_535]), (b'c', b'o', b'f', b'c'));
        assert!(verdicts("0-5 answer\n").is_err());
    }

    #[test]
    fn one_port_that_differs_is_seen() {
        let judged = [b'c', b'c', b'o', b'f'];
        let list = |last: &str| {
            format!("Host: 10.0.0.1 ()\tPorts: 1/closed/tcp/////, 2/open/tcp//x///, 3/{last}/tcp/////\tIgnored\n")
        };
        assert!(agrees(&judged, &list("filtered")));
        assert!(!agrees(&judged, &list("open")));
        assert!(!agrees(&judged, "Ports: 1/closed/tcp/////"));
        assert!(!agrees(&judged, "nothing"));
    }
}

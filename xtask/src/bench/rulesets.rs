//! Large rulesets, made in the namespace of the calling thread.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::steps::seconds;

/// Rules of the long chain.
pub(super) const RULES: usize = 10_000;
/// Chains of the wide ruleset, and the rules of each.
pub(super) const CHAINS: usize = 1_000;
const RULES_OF_EACH: usize = 99;
/// Elements of the large sets.
pub(super) const ELEMENTS: usize = 100_000;
/// One of them.
pub(super) const MEMBER: &str = "10.1.1.7";
/// Of UDP packets over loopback the long chain accepts those to this port by its first rule, and drops those to the next
/// one by its last.
pub(super) const FIRST_PORT: u16 = 9;

/// The address and the port of the long chain's n-th rule.
fn client(number: usize) -> (String, usize) {
    (format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255), 1000 + number % 5000)
}

/// One chain of nft in INPUT.
pub(super) fn long_nft() -> Result<()> {
    let mut text = String::from("table inet t {\nchain c {\ntype filter hook input priority 0\n");
    writeln!(text, "udp dport {FIRST_PORT} accept")?;
    for (address, port) in (2..RULES).map(client) {
        writeln!(text, "ip saddr {address} tcp dport {port} drop")?;
    }
    writeln!(text, "udp dport {} drop\n}}\n}}", FIRST_PORT + 1)?;
    feed(&format!("{RULES} rules in one chain"), &["nft", "-f", "-"], &text)
}

/// The same rules, more or less, of iptables-nft.
pub(super) fn long_iptables() -> Result<()> {
    let mut text = String::from("*filter\n:INPUT ACCEPT [0:0]\n");
    for (address, port) in (0..RULES).map(client) {
        writeln!(text, "-A INPUT -s {address}/32 -p tcp -m tcp --dport {port} -j DROP")?;
    }
    text.push_str("COMMIT\n");
    feed(&format!("{RULES} rules of iptables-nft in one chain"), &["iptables-nft-restore"], &text)
}

/// One rule in the long chain for each of ten thousand ports: of ten, one drops, one rejects with a reset, one rejects
/// with an ICMP error, and seven accept. What no rule names is accepted.
pub(super) fn ports_nft() -> Result<()> {
    let mut text = String::from("table inet t {\nchain c {\ntype filter hook input priority 0\n");
    for number in 0..RULES {
        let verdict = match number % 10 {
            0 => "drop",
            1 => "reject with tcp reset",
            2 => "reject with icmp type host-prohibited",
            _ => "accept",
        };
        writeln!(text, "tcp dport {} {verdict}", 1 + number * 6)?;
    }
    text.push_str("}\n}\n");
    feed(&format!("{RULES} rules about ports"), &["nft", "-f", "-"], &text)
}

/// A thousand chains of iptables-nft, into each of which INPUT sends a subnet's packets.
pub(super) fn wide() -> Result<()> {
    let mut text = String::from("*filter\n:INPUT ACCEPT [0:0]\n");
    for chain in 0..CHAINS {
        writeln!(text, ":own{chain} - [0:0]")?;
    }
    for chain in 0..CHAINS {
        writeln!(text, "-A INPUT -s 10.{}.{}.0/24 -j own{chain}", chain >> 8, chain & 255)?;
        for port in 0..RULES_OF_EACH {
            writeln!(text, "-A own{chain} -p tcp -m tcp --dport {} -j DROP", 1000 + port)?;
        }
    }
    text.push_str("COMMIT\n");
    let rules = CHAINS * (RULES_OF_EACH + 1);
    feed(&format!("{rules} rules in {CHAINS} chains"), &["iptables-nft-restore"], &text)
}

fn elements() -> impl Iterator<Item = String> {
    (0..ELEMENTS).map(|n| format!("10.{}.{}.{}", n / 62_500, n / 250 % 250, n % 250 + 1))
}

/// A large set of nft, and a rule that drops what is in it.
pub(super) fn set_nft() -> Result<()> {
    let chain = "chain c {\ntype filter hook input priority 0\nip saddr @s drop\n}";
    let all = elements().collect::<Vec<_>>().join(",");
    let text =
        format!("table inet t {{\nset s {{\ntype ipv4_addr\n}}\n{chain}\n}}\nadd element inet t s {{ {all} }}\n");
    feed(&format!("a set of {ELEMENTS} elements"), &["nft", "-f", "-"], &text)
}

/// A large ipset, and a rule that drops what is in it.
pub(super) fn set_ipset() -> Result<()> {
    let mut text = format!("create big hash:ip maxelem {}\n", ELEMENTS * 2);
    for element in elements() {
        writeln!(text, "add big {element}")?;
    }
    feed(&format!("an ipset of {ELEMENTS} elements"), &["ipset", "restore"], &text)?;
    let rules = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m set --match-set big src -j DROP\nCOMMIT\n";
    feed("its rule", &["iptables-nft-restore"], rules)
}

/// Runs a command with this input, and says what it makes and how long that took.
fn feed(what: &str, command: &[&str], input: &str) -> Result<()> {
    let start = Instant::now();
    let (program, arguments) = command.split_first().context("an empty command")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let written = child.stdin.take().context("no pipe")?.write_all(input.as_bytes());
    let status = child.wait()?;
    ensure!(status.success(), "{program} did not take {what}: {status}");
    written.with_context(|| format!("{program} did not read {what}"))?;
    println!("  {what} made by {program} in {}", seconds(start.elapsed()));
    Ok(())
}

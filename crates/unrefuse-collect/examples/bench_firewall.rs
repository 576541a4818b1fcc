//! Times reading rulesets against `nft -j list ruleset`, `nft list ruleset`, `iptables-save`; one packet's chains out of a
//! thousand; one element of a large set against `nft get element` and `ipset test`.
//!
//! Run as root: `cargo run --release -p unrefuse-collect --example bench_firewall [ROUNDS]`. Everything is made in a
//! network namespace of its own, which ends with this program. Peers are processes; ours counts in this one.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use unrefuse_collect::firewall::{Live, Scope, ruleset};
use unrefuse_firewall::model::Family;

fn main() {
    let rounds = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(7);
    // SAFETY: unshare with a network namespace only; this is the only thread.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0, "needs root: {}", std::io::Error::last_os_error());
    one_chain(rounds);
    many_chains(rounds);
    large_sets(rounds);
}

fn one_chain(rounds: usize) {
    println!("10,000 rules of one chain, medians of {rounds}");
    let rule = |i: usize| (format!("10.{}.{}.{}", i >> 16, i >> 8 & 255, i & 255), 1000 + i % 5000);
    let mut text = String::from("table inet t {\nchain c {\ntype filter hook input priority 0\n");
    for (address, port) in (0..10_000).map(rule) {
        text += &format!("ip saddr {address} tcp dport {port} drop\n");
    }
    feed("nft", &["-f", "-"], &(text + "}\n}\n"));
    let whole = || assert_eq!(count(), 10_000);
    compare(rounds, whole, "nft", &["-j", "list", "ruleset"]);
    compare(rounds, whole, "nft", &["list", "ruleset"]);
    feed("nft", &["flush", "ruleset"], "");
    let mut text = String::from("*filter\n:INPUT ACCEPT [0:0]\n");
    for (address, port) in (0..10_000).map(rule) {
        text += &format!("-A INPUT -s {address}/32 -p tcp -m tcp --dport {port} -j DROP\n");
    }
    feed("iptables-nft-restore", &[], &(text + "COMMIT\n"));
    compare(rounds, whole, "iptables-nft-save", &[]);
    feed("nft", &["flush", "ruleset"], "");
}

fn count() -> usize {
    let found = ruleset(Scope::Everything);
    let found = found.value().expect("a ruleset");
    found.tables.iter().flat_map(|t| t.chains.values()).map(|c| c.rules.len()).sum()
}

fn many_chains(rounds: usize) {
    println!("100,000 rules in 1,000 chains, of which a packet meets 2");
    let mut text = String::from("*filter\n:INPUT ACCEPT [0:0]\n");
    for chain in 0..1000 {
        text += &format!(":own{chain} - [0:0]\n");
    }
    for chain in 0..1000 {
        text += &format!("-A INPUT -s 10.{}.{}.0/24 -j own{chain}\n", chain >> 8, chain & 255);
        for port in 0..99 {
            text += &format!("-A own{chain} -p tcp -m tcp --dport {} -j DROP\n", 1000 + port);
        }
    }
    feed("iptables-nft-restore", &[], &(text + "COMMIT\n"));
    let lazy = || {
        let live = Live::open(Scope::Ip);
        let live = live.value().expect("a ruleset");
        assert_eq!(live.ruleset().tables.len(), 1);
        assert_eq!(live.chain(Family::Ip, "filter", "INPUT").map(|rules| rules.len()), Some(1000));
        assert_eq!(live.chain(Family::Ip, "filter", "own500").map(|rules| rules.len()), Some(99));
    };
    compare(rounds, lazy, "iptables-nft-save", &[]);
    compare(1, lazy, "nft", &["list", "ruleset"]);
    feed("nft", &["flush", "ruleset"], "");
}

fn large_sets(rounds: usize) {
    println!("membership in a set of 100,000 elements");
    let address = |i: usize| format!("10.{}.{}.{}", i / 62_500, i / 250 % 250, i % 250 + 1);
    let all: Vec<String> = (0..100_000).map(address).collect();
    feed("nft", &["-f", "-"], "table inet t {\nset s {\ntype ipv4_addr\n}\nchain c {\nip saddr @s drop\n}\n}\n");
    feed("nft", &["-f", "-"], &format!("add element inet t s {{ {} }}\n", all.join(",")));
    let live = Live::open(Scope::Ip);
    let live = live.value().expect("a ruleset");
    let holds = |address: u128| live.set_contains(Family::Inet, "t", "s", &[address]);
    assert_eq!((holds(0x0a00_0001), holds(0x0b00_0001)), (Some(true), Some(false)));
    compare(
        rounds,
        || assert_eq!(holds(0x0a00_0001), Some(true)),
        "nft",
        &["get", "element", "inet", "t", "s", "{ 10.0.0.1 }"],
    );
    compare(rounds, || drop(Live::open(Scope::Ip)), "nft", &["get", "element", "inet", "t", "s", "{ 10.0.0.1 }"]);
    feed("nft", &["flush", "ruleset"], "");
    let lines: String = all.iter().map(|address| format!("add big {address}\n")).collect();
    feed("ipset", &["restore"], &format!("create big hash:ip maxelem 200000\n{lines}"));
    compare(
        rounds,
        || {
            let live = Live::open(Scope::Ip);
            let live = live.value().expect("a ruleset");
            assert_eq!(live.element(None, "big", &[0x0a00_0001]).map(|e| e.is_some()), Some(true));
        },
        "ipset",
        &["test", "big", "10.0.0.1"],
    );
}

/// Runs both in turn, so that what else the machine does meets both.
fn compare(rounds: usize, ours: impl Fn(), program: &str, arguments: &[&str]) {
    let (mut own, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        ours();
        own.push(start.elapsed());
        let start = Instant::now();
        let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "{program}");
        peer.push(start.elapsed());
    }
    own.sort();
    peer.sort();
    let (own, peer) = (own[rounds / 2], peer[rounds / 2]);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let ratio = own.as_secs_f64() / peer.as_secs_f64();
    println!("  {:>9.3} ms  {program} {} {:>9.3} ms  ratio {ratio:.4}", ms(own), arguments.join(" "), ms(peer));
}

fn feed(program: &str, arguments: &[&str], input: &str) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("input");
    assert!(child.wait().is_ok_and(|status| status.success()), "{program} failed");
}

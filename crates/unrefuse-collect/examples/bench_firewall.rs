//! What `cargo xtask bench firewall` measures where no command of unrefuse does just that: reading the rules of this
//! network namespace, judging with the ruleset in memory, judging every port.
//!
//! `bench_firewall read` prints how many rules there are. `bench_firewall holds SET ADDRESS` prints whether an ipset does. `bench_firewall ports ADDRESS IFACE` prints each stretch of TCP
//! ports with what a client there sees. `bench_firewall judge PORT ROUNDS` prints nanoseconds: of reading, of the first
//! judgement about a UDP packet over lo to that port, and of sending such a packet beside one to the port below. It sends
//! only to 127.0.0.1.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use unrefuse_collect::firewall::{Live, Scope, ruleset};
use unrefuse_firewall::answer::ClientSees;
use unrefuse_firewall::judge::{Judge, Question};
use unrefuse_firewall::machine::KnownMachine;
use unrefuse_firewall::model::Ruleset;
use unrefuse_firewall::spec::PacketSpec;
use unrefuse_firewall::sweep;

/// Packets that are sent in a row to know what one costs.
const SENT: u32 = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["read"] => println!("{} rules", count(&read())),
        ["holds", set, address] => println!("{}", holds(set, address.parse().expect("an address"))),
        ["ports", address, iface] => ports(address.parse().expect("an address"), iface),
        ["judge", port, rounds] => judge(port.parse().expect("a port"), rounds.parse().expect("a number")),
        _ => panic!("read | holds SET ADDRESS | ports ADDRESS IFACE | judge PORT ROUNDS"),
    }
}

fn read() -> Ruleset {
    let found = ruleset(Scope::Everything).into_value().unwrap_or_else(|missing| panic!("{missing}"));
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    found
}

fn count(ruleset: &Ruleset) -> usize {
    ruleset.tables.iter().flat_map(|table| table.chains.values()).map(|chain| chain.rules.len()).sum()
}

fn holds(set: &str, address: Ipv4Addr) -> bool {
    let live = Live::open(Scope::Ip).into_value().unwrap_or_else(|missing| panic!("{missing}"));
    live.element(None, set, &[u32::from(address).into()]).expect("the kernel answers").is_some()
}

fn ports(address: IpAddr, iface: &str) {
    let ruleset = read();
    let machine = KnownMachine::new().with_interface(iface, &[(&address.to_string(), 24)]);
    let client = match address {
        IpAddr::V4(own) => Ipv4Addr::from(u32::from(own) ^ 3).into(),
        IpAddr::V6(_) => panic!("an IPv4 address is wanted"),
    };
    let question = Question::incoming(Some(iface), PacketSpec::tcp(Some(client), address, 1));
    let found = sweep::ports(&ruleset, &machine, &question);
    assert!(found.exact);
    for (range, answer) in &found.parts {
        let sees = match answer.client_sees {
            ClientSees::Answer => "answer",
            ClientSees::Silence | ClientSees::Icmp { .. } => "filtered",
            ClientSees::Reset => "reset",
            _ => "open question",
        };
        println!("{}-{} {sees}", range.start(), range.end());
    }
}

fn judge(port: u16, rounds: usize) {
    let start = Instant::now();
    let ruleset = read();
    let load = start.elapsed();
    let own: IpAddr = Ipv4Addr::LOCALHOST.into();
    let machine = KnownMachine::new().with_interface("lo", &[("127.0.0.1", 8)]);
    let question = Question::incoming(Some("lo"), PacketSpec::udp(Some(own), own, port));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port - 1)).expect("a socket");
    let (mut judged, mut walked, mut passed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        // A judge of its own each time: nothing is left over from the question before.
        let answer = Judge::new(&ruleset, &machine).judge(&question);
        judged.push(start.elapsed());
        assert_eq!(black_box(answer).client_sees, ClientSees::Silence);
        walked.push(send(&socket, port));
        passed.push(send(&socket, port - 1));
    }
    let figures = [load, median(judged), median(walked), median(passed)].map(|time| time.as_nanos());
    println!("{} {} {} {}", figures[0], figures[1], figures[2], figures[3]);
}

/// What one packet over lo costs: the kernel's work for it is done when the call returns, the way in included.
fn send(socket: &UdpSocket, port: u16) -> Duration {
    let start = Instant::now();
    for _ in 0..SENT {
        // A filter may refuse it: that is an answer, too.
        let _ = socket.send_to(b"unrefuse", (Ipv4Addr::LOCALHOST, port));
    }
    start.elapsed() / SENT
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

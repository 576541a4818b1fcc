//! Random named sets, maps and verdict maps.

use crate::rng::Rng;
use crate::ruleset::SetDef;
use crate::world::Pool;

/// A set with what a rule looks up in it.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) def: SetDef,
    pub(crate) key: Key,
    pub(crate) data: Data,
}

/// The key of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Address,
    Port,
    AddressPort,
    AddressAddress,
    Interface,
    Mark,
    ProtocolPort,
}

impl Key {
    pub(crate) const ALL: [Self; 7] = [
        Self::Address,
        Self::Port,
        Self::AddressPort,
        Self::AddressAddress,
        Self::Interface,
        Self::Mark,
        Self::ProtocolPort,
    ];
}

/// What an element holds beside its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    Nothing,
    Verdict,
    Mark,
}

/// A few sets.
pub(crate) fn random(rng: &mut Rng, v6: bool) -> Vec<Named> {
    let count = if rng.percent(60) { rng.between(1, 3) } else { 0 };
    (0..count)
        .map(|n| {
            let key = rng.choose(&Key::ALL);
            let data = rng.choose(&[Data::Nothing, Data::Nothing, Data::Verdict, Data::Mark]);
            let interval = !matches!(key, Key::Interface | Key::Mark) && rng.percent(60);
            let mut flags = Vec::new();
            if interval {
                flags.push("interval");
            }
            let timeout = rng.percent(10);
            if timeout {
                flags.push("timeout");
            }
            let name = format!("s{n}");
            let word = if data == Data::Nothing { "set" } else { "map" };
            let mut head = format!("{word} {name} {{ type {}{};", kind(key, v6), value_kind(data));
            if !flags.is_empty() {
                head += &format!(" flags {};", flags.join(", "));
            }
            if timeout {
                head += " timeout 600s;";
            }
            let mut elements = elements(rng, key, v6, interval);
            if rng.percent(10) && !matches!(key, Key::AddressPort | Key::AddressAddress | Key::ProtocolPort) {
                elements.push("*".into());
            }
            for element in &mut elements {
                *element += &value(rng, data, &["accept", "drop", "return", "continue"]);
            }
            Named { def: SetDef { name, head, elements }, key, data }
        })
        .collect()
}

fn kind(key: Key, v6: bool) -> &'static str {
    match (key, v6) {
        (Key::Address, false) => "ipv4_addr",
        (Key::Address, true) => "ipv6_addr",
        (Key::Port, _) => "inet_service",
        (Key::AddressPort, false) => "ipv4_addr . inet_service",
        (Key::AddressPort, true) => "ipv6_addr . inet_service",
        (Key::AddressAddress, false) => "ipv4_addr . ipv4_addr",
        (Key::AddressAddress, true) => "ipv6_addr . ipv6_addr",
        (Key::Interface, _) => "ifname",
        (Key::Mark, _) => "mark",
        (Key::ProtocolPort, _) => "inet_proto . inet_service",
    }
}

const fn value_kind(data: Data) -> &'static str {
    match data {
        Data::Nothing => "",
        Data::Verdict => " : verdict",
        Data::Mark => " : mark",
    }
}

/// ` : VALUE`, or nothing.
pub(crate) fn value(rng: &mut Rng, data: Data, verdicts: &[&str]) -> String {
    match data {
        Data::Nothing => String::new(),
        Data::Verdict => format!(" : {}", rng.pick(verdicts)),
        Data::Mark => format!(" : {}", rng.pick(&["0x1", "0x2", "0x10"])),
    }
}

/// Keys that do not overlap.
pub(crate) fn elements(rng: &mut Rng, key: Key, v6: bool, interval: bool) -> Vec<String> {
    let pool = Pool::of(v6);
    let addresses = if interval { intervals(rng, pool) } else { some(rng, &pool.all(), 4) };
    let ports: Vec<String> = if interval {
        some(rng, &["20-30", "53", "80-81", "443", "1024-6000", "8000-9000", "33000-34000"], 4)
    } else {
        some(rng, &["22", "53", "80", "443", "8080", "81", "25"], 4)
    };
    let both = |a: &[String], b: &[String]| {
        a.iter().zip(b.iter().cycle()).map(|(a, b)| format!("{a} . {b}")).collect::<Vec<_>>()
    };
    match key {
        Key::Address => addresses,
        Key::Port => ports,
        Key::AddressPort => both(&addresses, &ports),
        Key::AddressAddress => {
            let others = some(rng, &pool.all(), 3);
            both(&addresses, &others)
        }
        Key::Interface => some(rng, &["in0", "out0", "lo"], 2),
        Key::Mark => some(rng, &["0x0", "0x1", "0x2", "0x10"], 3),
        Key::ProtocolPort => {
            let protocols: Vec<_> = ports.iter().map(|_| rng.pick(&["tcp", "udp"]).to_owned()).collect();
            both(&protocols, &ports)
        }
    }
}

fn intervals(rng: &mut Rng, pool: &Pool) -> Vec<String> {
    let count = rng.between(1, 4);
    let skip = rng.below(pool.ranges.len());
    pool.ranges
        .iter()
        .cycle()
        .skip(skip)
        .take(count)
        .map(|(from, to)| if from == to { (*from).to_owned() } else { format!("{from}-{to}") })
        .collect()
}

fn some(rng: &mut Rng, of: &[&str], most: usize) -> Vec<String> {
    let count = rng.between(1, most.min(of.len()));
    let mut all: Vec<String> = Vec::new();
    for _ in 0..count {
        let one = rng.pick(of);
        if !all.iter().any(|a| a == one) {
            all.push(one.to_owned());
        }
    }
    all
}

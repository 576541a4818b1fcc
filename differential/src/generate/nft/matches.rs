//! Random nft matches that are legal where they stand.

use super::sets::{self, Data, Key};
use super::{Kind, Place};
use crate::generate::iptables::{FWD, IN, OUT, POST, PRE};
use crate::rng::Rng;
use crate::world::Pool;

/// Matches of a rule; `protocol`: the rule is for this protocol only.
pub(crate) fn random(rng: &mut Rng, place: &Place<'_>, protocol: Option<&'static str>) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(p) = protocol {
        all.push(match rng.below(3) {
            0 => format!("meta l4proto {p}"),
            1 => format!("{p} dport {}", ports(rng)),
            _ => format!("{p} dport != 0"),
        });
    }
    for _ in 0..rng.choose(&[0, 1, 1, 1, 2, 2, 3]) {
        if let Some(text) = one(rng, place) {
            all.push(text);
        }
    }
    all
}

/// What gives the key of a set.
pub(crate) fn key(rng: &mut Rng, place: &Place<'_>, key: Key) -> Option<String> {
    let l3 = place.l3();
    let address = format!("{l3} {}", rng.pick(&["saddr", "saddr", "daddr"]));
    let port = rng.pick(&["tcp dport", "tcp dport", "udp dport", "th dport"]);
    // `th` needs to know that there are ports.
    let port = if port == "th dport" && matches!(key, Key::Port | Key::AddressPort) { "tcp dport" } else { port };
    Some(match key {
        Key::Address => address,
        Key::Port => port.into(),
        Key::AddressPort => format!("{address} . {port}"),
        Key::AddressAddress => format!("{l3} saddr . {l3} daddr"),
        Key::Interface => interface(rng, place)?.into(),
        Key::Mark => "meta mark".into(),
        Key::ProtocolPort => "meta l4proto . th dport".into(),
    })
}

fn interface(rng: &mut Rng, place: &Place<'_>) -> Option<&'static str> {
    if place.ingress() || place.within(PRE | IN) {
        return Some("iifname");
    }
    if place.within(OUT | POST) {
        return Some(if place.within(POST) && rng.percent(30) { "iifname" } else { "oifname" });
    }
    Some(rng.choose(&["iifname", "oifname"]))
}

fn op(rng: &mut Rng) -> &'static str {
    if rng.percent(25) { "!= " } else { "" }
}

fn ports(rng: &mut Rng) -> String {
    match rng.below(8) {
        0..4 => rng.pick(&["22", "80", "443", "8080", "53", "25"]).into(),
        4 => "20-100".into(),
        5 => "{ 22, 80, 443 }".into(),
        6 => "{ 20-25, 443, 8000-9000 }".into(),
        _ => rng.pick(&["!= 22", "< 100", ">= 443", "!= { 22, 80 }", "!= 80-443"]).into(),
    }
}

fn addresses(rng: &mut Rng, place: &Place<'_>) -> String {
    let pool = Pool::of(place.v6);
    let sign = op(rng);
    match rng.below(8) {
        0..2 => format!("{sign}{}", rng.pick(&pool.all())),
        2..4 => format!("{sign}{}", rng.pick(pool.prefixes)),
        4 => {
            let (from, to) = rng.choose(&pool.ranges[1..]);
            format!("{sign}{from}-{to}")
        }
        n => format!("{sign}{{ {} }}", sets::elements(rng, Key::Address, place.v6, n > 5).join(", ")),
    }
}

fn one(rng: &mut Rng, place: &Place<'_>) -> Option<String> {
    if rng.percent(2) {
        let forks =
            ["limit rate 5/second", "limit rate over 5/minute", "numgen random mod 2 0", "quota over 5000 bytes"];
        return Some(rng.pick(&forks).into());
    }
    let l3 = place.l3();
    let sign = op(rng);
    Some(match rng.below(40) {
        0..3 => format!("{l3} saddr {}", addresses(rng, place)),
        3..6 => format!("{l3} daddr {}", addresses(rng, place)),
        6..10 => format!("tcp dport {}", ports(rng)),
        10..12 => format!("udp dport {}", ports(rng)),
        12 => format!("tcp sport {}", rng.pick(&["< 1024", "32768-60999", "!= 1024-65535", ">= 50000"])),
        13 => format!("meta l4proto {sign}{}", rng.pick(&["tcp", "udp", "{ tcp, udp }", "{ icmp, ipv6-icmp }"])),
        14..16 => return set(rng, place),
        16 => {
            let name = interface(rng, place)?;
            format!("{name} {sign}{}", rng.pick(&["in0", "out0", "lo", "\"in*\"", "{ in0, lo }", "nosuch0"]))
        }
        17..20 if !place.ingress() => format!("ct {}", conntrack(rng, place)),
        20 => format!(
            "meta mark {}",
            rng.pick(&["0x1", "!= 0x1", "& 0xf == 0x1", "{ 0x1, 0x2 }", "0x1-0x10", "> 1", "0"])
        ),
        21 => format!(
            "meta pkttype {sign}{}",
            rng.pick(&["host", "broadcast", "multicast", "other", "{ host, broadcast }"])
        ),
        22 => format!("meta length {}", rng.pick(&["< 64", "60", "!= 60-200", "> 500"])),
        23 if place.within(OUT | POST) => {
            format!("meta skuid {sign}{}", rng.pick(&["0", "33", "500-2000", "{ 33, 1000 }"]))
        }
        24 if place.within(OUT | POST) => format!("meta skgid {sign}33"),
        25 if place.family == "inet" => format!("meta nfproto {}", rng.pick(&["ipv4", "ipv6"])),
        26 => format!("meta protocol {}", if place.v6 { "ip6" } else { "ip" }),
        27 if !place.ingress() => return fib(rng, place),
        28 if place.v6 => format!("ip6 hoplimit {}", rng.pick(&["64", "< 64", "> 63", "!= 64"])),
        28 => format!("ip ttl {}", rng.pick(&["64", "< 64", "> 63", "!= 64"])),
        29 => format!("{l3} dscp {sign}{}", rng.pick(&["cs0", "ef", "0x12", "{ cs0, af11 }"])),
        30 if place.ingress() || place.within(PRE | IN | FWD) => {
            format!("ether saddr {sign}02:00:00:00:01:0{}", rng.below(4))
        }
        31 => format!(
            "tcp flags {}",
            rng.pick(&["syn", "& (fin | syn | rst | ack) == syn", "& (syn | ack) == syn | ack", "! syn", "== 0x0"])
        ),
        32 if place.v6 => format!(
            "icmpv6 type {sign}{}",
            rng.pick(&["echo-request", "{ echo-request, nd-neighbor-solicit }", "destination-unreachable"])
        ),
        32 => format!(
            "icmp type {sign}{}",
            rng.pick(&["echo-request", "{ echo-request, echo-reply }", "destination-unreachable"])
        ),
        33 => raw(rng, place),
        34 => concat(rng, place),
        35 if place.v6 => format!("exthdr {} {}", rng.pick(&["hbh", "frag", "rt"]), rng.pick(&["exists", "missing"])),
        35 => format!(
            "ip {}",
            rng.pick(&["length < 64", "frag-off & 0x1fff == 0", "version 4", "hdrlength 5", "id 0", "protocol tcp"])
        ),
        36 => format!("tcp option maxseg {}", rng.pick(&["exists", "missing", "size > 1000"])),
        37 if place.v6 => format!("ip6 {}", rng.pick(&["nexthdr tcp", "version 6", "flowlabel 0", "length < 64"])),
        38 if place.within(PRE | IN) && place.kind == Kind::Filter => "socket transparent 0".into(),
        39 => "iiftype ether".into(),
        _ => return None,
    })
}

fn set(rng: &mut Rng, place: &Place<'_>) -> Option<String> {
    let sets: Vec<_> = place.sets.iter().filter(|s| s.data == Data::Nothing).collect();
    if sets.is_empty() {
        return None;
    }
    let set = sets[rng.below(sets.len())];
    let text = key(rng, place, set.key)?;
    Some(format!("{text} {}@{}", op(rng), set.def.name))
}

fn conntrack(rng: &mut Rng, place: &Place<'_>) -> String {
    let l3 = place.l3();
    let sign = op(rng);
    match rng.below(12) {
        0..4 => format!(
            "state {}",
            rng.pick(&["new", "established,related", "invalid", "untracked", "{ new, untracked }", "!= new"])
        ),
        4 => format!("status {}", rng.pick(&["dnat", "snat", "seen-reply", "confirmed"])),
        5 => format!("mark {sign}{}", rng.pick(&["0x1", "0", "{ 0x1, 0x2 }"])),
        6 => format!("direction {}", rng.pick(&["original", "reply"])),
        7 => format!("original {l3} saddr {}", addresses(rng, place)),
        8 => format!("original {l3} daddr {}", addresses(rng, place)),
        9 => format!("reply {l3} saddr {}", addresses(rng, place)),
        10 => "state & (established | related) == 0".into(),
        _ => format!("state {sign}new"),
    }
}

fn fib(rng: &mut Rng, place: &Place<'_>) -> Option<String> {
    let sign = op(rng);
    let kind = rng.pick(&["local", "unicast", "broadcast", "{ local, multicast }", "blackhole"]);
    Some(match rng.below(5) {
        0..2 => format!("fib daddr type {sign}{kind}"),
        2 => format!("fib saddr type {sign}{kind}"),
        3 if place.within(PRE) => format!("fib saddr . iif oif {}", rng.pick(&["missing", "exists"])),
        4 if place.within(PRE | IN | FWD) => format!("fib daddr . iif type {sign}{kind}"),
        _ => return None,
    })
}

fn raw(rng: &mut Rng, place: &Place<'_>) -> String {
    match rng.below(4) {
        0 => "meta l4proto { tcp, udp } @th,16,16 80".into(),
        1 if place.v6 => "@nh,320,16 != 22".into(),
        1 => "@nh,72,8 6".into(),
        2 => "meta l4proto tcp @th,104,8 & 0x02 == 0x02".into(),
        _ => "meta l4proto { tcp, udp } th dport { 22, 53, 443 }".into(),
    }
}

fn concat(rng: &mut Rng, place: &Place<'_>) -> String {
    let which = rng.choose(&[Key::AddressPort, Key::AddressAddress, Key::ProtocolPort]);
    let interval = rng.percent(50);
    let elements = sets::elements(rng, which, place.v6, interval).join(", ");
    let text = key(rng, place, which).unwrap_or_default();
    format!("{text} {}{{ {elements} }}", op(rng))
}

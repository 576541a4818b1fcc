//! Random ipsets.

use crate::rng::Rng;
use crate::ruleset::SetDef;
use crate::world::Pool;

/// Types that the kernel of the lab has, with what `src,dst` their rules give.
const KINDS: &[(&str, usize)] = &[
    ("hash:ip", 1),
    ("hash:net", 1),
    ("hash:ip,port", 2),
    ("hash:net,port", 2),
    ("hash:ip,port,ip", 3),
    ("hash:ip,port,net", 3),
    ("hash:net,iface", 2),
    ("bitmap:ip", 1),
    ("bitmap:port", 1),
    ("list:set", 1),
];

/// Sets, each with the number of its dimensions.
/// Their names are the round's own: those of the round before may not be gone yet.
pub(crate) fn sets(rng: &mut Rng, number: u64, v6: bool) -> Vec<(SetDef, usize)> {
    let count = if rng.percent(60) { rng.between(1, 4) } else { 0 };
    let mut all: Vec<(SetDef, usize)> = Vec::new();
    for n in 0..count {
        let (kind, dimensions) = rng.choose(KINDS);
        let plain: Vec<_> =
            all.iter().filter(|(s, _)| !s.head.starts_with("list")).map(|(s, _)| s.name.clone()).collect();
        if kind == "bitmap:ip" && v6 || kind == "list:set" && plain.is_empty() {
            continue;
        }
        let mut head = kind.to_owned();
        if kind.starts_with("hash") {
            head += if v6 { " family inet6" } else { " family inet" };
        }
        match kind {
            "bitmap:ip" => head += " range 192.0.2.0-192.0.2.255",
            "bitmap:port" => head += " range 0-65535",
            _ => {}
        }
        if rng.percent(10) {
            head += " timeout 600";
        }
        let mut elements = Vec::new();
        for _ in 0..rng.between(1, 6) {
            let element = match kind {
                "list:set" => rng.choose(&plain),
                _ => element(rng, kind, v6),
            };
            if !elements.contains(&element) {
                elements.push(element);
            }
        }
        let mut dimensions = dimensions;
        if kind == "list:set" {
            dimensions = 3;
        }
        all.push((SetDef { name: format!("s{}x{n}", number % 64), head, elements }, dimensions));
    }
    all
}

fn element(rng: &mut Rng, kind: &str, v6: bool) -> String {
    let pool = Pool::of(v6);
    let all = pool.all();
    let parts = kind.split_once(':').map_or("", |p| p.1).split(',');
    let text = parts
        .map(|part| match part {
            "net" => if rng.percent(30) { rng.pick(&all) } else { rng.pick(&pool.prefixes[..7]) }.to_owned(),
            "ip" if kind == "bitmap:ip" => {
                rng.pick(&["192.0.2.1", "192.0.2.2", "192.0.2.77", "192.0.2.78-192.0.2.210"]).into()
            }
            "ip" => rng.pick(&all).to_owned(),
            "port" if kind == "bitmap:port" => rng.pick(&["22", "53", "80-443", "8080"]).into(),
            "port" => rng
                .pick(&[
                    "22",
                    "80",
                    "tcp:443",
                    "tcp:20-100",
                    "udp:53",
                    "udp:443",
                    if v6 { "icmpv6:128/0" } else { "icmp:8/0" },
                ])
                .to_owned(),
            "iface" => rng.pick(&["in0", "out0", "lo"]).into(),
            _ => String::new(),
        })
        .collect::<Vec<_>>()
        .join(",");
    if kind.contains("net") && rng.percent(20) { text + " nomatch" } else { text }
}

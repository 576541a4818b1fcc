//! Random matches that are legal where they stand.

use super::{FWD, IN, OUT, POST, PRE, Place};
use crate::rng::Rng;
use crate::world::Pool;

/// Matches of a rule; `protocol`: the rule is for this protocol only.
pub(crate) fn random(rng: &mut Rng, place: &Place<'_>, protocol: Option<&'static str>) -> Vec<String> {
    let mut all = Vec::new();
    interfaces(rng, place, &mut all);
    addresses(rng, place.v6, &mut all);
    let icmp = if place.v6 { "ipv6-icmp" } else { "icmp" };
    let protocol = match protocol {
        Some(p) => Some(p),
        None if rng.percent(55) => Some(rng.choose(&["tcp", "tcp", "tcp", "udp", icmp])),
        None => None,
    };
    match protocol {
        Some(p) => {
            all.push(format!("-p {p}"));
            transport(rng, p, &mut all);
        }
        None if rng.percent(12) => all.push(format!("! -p {}", rng.choose(&["tcp", "udp", icmp, "132"]))),
        None => {}
    }
    for _ in 0..rng.choose(&[0, 0, 0, 1, 1, 1, 2, 2, 3]) {
        if let Some(text) = extension(rng, place, protocol) {
            all.push(text);
        }
    }
    all
}

fn interfaces(rng: &mut Rng, place: &Place<'_>, all: &mut Vec<String>) {
    let names = ["in0", "out0", "lo", "in+", "out+", "nosuch0"];
    if rng.percent(18) && (!place.builtin || place.within(PRE | IN | FWD)) {
        all.push(format!("{}-i {}", rng.not("! "), rng.pick(&names)));
    }
    if rng.percent(18) && (!place.builtin || place.within(FWD | OUT | POST)) {
        all.push(format!("{}-o {}", rng.not("! "), rng.pick(&names)));
    }
}

fn network(rng: &mut Rng, v6: bool) -> String {
    let pool = Pool::of(v6);
    if rng.percent(50) { rng.pick(&pool.all()) } else { rng.pick(pool.prefixes) }.to_owned()
}

fn addresses(rng: &mut Rng, v6: bool, all: &mut Vec<String>) {
    for option in ["-s", "-d"] {
        if rng.percent(20) {
            all.push(format!("{}{option} {}", rng.not("! "), network(rng, v6)));
        }
    }
}

fn port(rng: &mut Rng) -> String {
    match rng.below(10) {
        0..7 => rng.pick(&["22", "80", "443", "8080", "53", "25", "81"]).into(),
        7 => "20:100".into(),
        8 => "1024:".into(),
        _ => ":443".into(),
    }
}

const TCP_FLAGS: &[&str] = &[
    "--syn",
    "--tcp-flags SYN,ACK SYN",
    "--tcp-flags ALL NONE",
    "--tcp-flags RST,FIN RST",
    "--tcp-option 2",
    "--tcp-option 8",
];

fn transport(rng: &mut Rng, protocol: &str, all: &mut Vec<String>) {
    match protocol {
        "tcp" | "udp" => {
            if rng.percent(55) {
                all.push(format!("{}--dport {}", rng.not("! "), port(rng)));
            }
            if rng.percent(12) {
                let range = rng.pick(&[":1023", "1024:", "32768:60999", "50000:"]);
                all.push(format!("{}--sport {range}", rng.not("! ")));
            }
            if protocol == "tcp" && rng.percent(15) {
                all.push(format!("{}{}", rng.not("! "), rng.pick(TCP_FLAGS)));
            }
        }
        "icmp" if rng.percent(50) => {
            let kinds = ["8", "echo-request", "0", "3/3", "any", "11"];
            all.push(format!("{}--icmp-type {}", rng.not("! "), rng.pick(&kinds)));
        }
        "ipv6-icmp" if rng.percent(50) => {
            let kinds = ["128", "echo-request", "129", "1/4", "135"];
            all.push(format!("{}--icmpv6-type {}", rng.not("! "), rng.pick(&kinds)));
        }
        _ => {}
    }
}

fn extension(rng: &mut Rng, place: &Place<'_>, protocol: Option<&str>) -> Option<String> {
    if rng.percent(2) {
        return Some(fork(rng));
    }
    let not = rng.not("! ");
    Some(match rng.below(22) {
        0..2 => return multiport(rng, protocol),
        2 => {
            let states = ["NEW", "ESTABLISHED,RELATED", "INVALID", "NEW,ESTABLISHED", "UNTRACKED"];
            format!("-m state {not}--state {}", rng.pick(&states))
        }
        3..6 => format!("-m conntrack {}", conntrack(rng, place, protocol)),
        6 => addrtype(rng, place),
        7 if place.within(PRE | IN | FWD) => format!("-m mac {not}--mac-source 02:00:00:00:01:0{}", rng.below(4)),
        8 => "-m comment --comment \"a rule\"".into(),
        9..11 => return set(rng, place),
        11 => iprange(rng, place.v6),
        12 => format!("-m mark {not}--mark {}", rng.pick(&["0x1", "0x2", "0x10/0x10", "0x0", "0x1/0xf"])),
        13 => format!("-m connmark {not}--mark {}", rng.pick(&["0x1", "0x2/0x3", "0x0"])),
        14 if place.within(OUT | POST) => owner(rng),
        15 => format!("-m pkttype {not}--pkt-type {}", rng.pick(&["unicast", "broadcast", "multicast"])),
        16 if place.v6 => format!("-m hl {}", rng.pick(&["--hl-eq 64", "--hl-lt 64", "--hl-gt 63", "! --hl-eq 128"])),
        16 => format!("-m ttl {}", rng.pick(&["--ttl-eq 64", "--ttl-lt 64", "--ttl-gt 63", "! --ttl-eq 128"])),
        17 => format!("-m length {not}--length {}", rng.pick(&["0:63", "64:500", "500:", "60"])),
        18 => return policy(rng, place),
        19 => dscp(rng),
        20 => return odd(rng, place, protocol),
        21 if place.within(PRE) && matches!(place.table, "raw" | "mangle") => {
            let options = ["", "--invert", "--loose", "--validmark", "--accept-local", "--loose --invert"];
            format!("-m rpfilter {}", rng.pick(&options))
        }
        _ => return None,
    })
}

fn fork(rng: &mut Rng) -> String {
    rng.pick(&[
        "-m limit --limit 5/sec",
        "-m hashlimit --hashlimit-upto 5/sec --hashlimit-name h --hashlimit-mode srcip",
        "-m recent --name r --rcheck",
        "-m connlimit --connlimit-above 3",
        "-m quota --quota 5000",
        "-m statistic --mode random --probability 0.5",
        "-m time --timestart 08:00 --timestop 18:00",
    ])
    .into()
}

fn multiport(rng: &mut Rng, protocol: Option<&str>) -> Option<String> {
    if !matches!(protocol, Some("tcp" | "udp")) {
        return None;
    }
    let not = rng.not("! ");
    let which = rng.pick(&["--dports", "--dports", "--ports", "--sports"]);
    let ports = ["22,80", "20:100,443", "53,8080,1024:1100", "33000:34000,25", "443"];
    Some(format!("-m multiport {not}{which} {}", rng.pick(&ports)))
}

const CT_STATES: &[&str] =
    &["NEW", "RELATED,ESTABLISHED", "INVALID", "UNTRACKED", "NEW,UNTRACKED", "DNAT", "SNAT", "ESTABLISHED,DNAT"];

fn conntrack(rng: &mut Rng, place: &Place<'_>, protocol: Option<&str>) -> String {
    let not = rng.not("! ");
    match rng.below(14) {
        0..4 => format!("{not}--ctstate {}", rng.pick(CT_STATES)),
        4 => format!("{not}--ctorigsrc {}", network(rng, place.v6)),
        5..7 => format!("{not}--ctorigdst {}", network(rng, place.v6)),
        7 => format!("{not}--ctreplsrc {}", network(rng, place.v6)),
        8 => format!("{not}--ctrepldst {}", network(rng, place.v6)),
        9 => format!("{not}--ctproto {}", protocol.unwrap_or("tcp")),
        10 if matches!(protocol, Some("tcp" | "udp")) => {
            format!("{not}--ctorigdstport {}", rng.pick(&["22", "80:443"]))
        }
        11 => format!("{not}--ctstatus {}", rng.pick(&["NONE", "SEEN_REPLY", "CONFIRMED", "ASSURED"])),
        12 => format!("--ctdir {}", rng.pick(&["ORIGINAL", "REPLY"])),
        _ => "--ctstate NEW --ctdir ORIGINAL".into(),
    }
}

fn addrtype(rng: &mut Rng, place: &Place<'_>) -> String {
    let kinds = [
        "LOCAL",
        "LOCAL",
        "UNICAST",
        "BROADCAST",
        "MULTICAST",
        "BLACKHOLE",
        "UNREACHABLE",
        "PROHIBIT",
        "LOCAL,UNICAST",
    ];
    let not = rng.not("! ");
    let which = rng.pick(&["--dst-type", "--dst-type", "--src-type"]);
    let limit = match rng.below(10) {
        0 if place.within(PRE | IN | FWD) => " --limit-iface-in",
        1 if place.within(FWD | OUT | POST) => " --limit-iface-out",
        _ => "",
    };
    let kind = match rng.pick(&kinds) {
        // xt_addrtype refuses these for IPv6.
        "BLACKHOLE" | "BROADCAST" | "PROHIBIT" if place.v6 => "UNICAST",
        kind => kind,
    };
    format!("-m addrtype {not}{which} {kind}{limit}")
}

fn set(rng: &mut Rng, place: &Place<'_>) -> Option<String> {
    if place.sets.is_empty() {
        return None;
    }
    let (name, dimensions) = &place.sets[rng.below(place.sets.len())];
    let flags: Vec<_> = (0..*dimensions).map(|_| rng.pick(&["src", "dst"])).collect();
    Some(format!("-m set {}--match-set {name} {}", rng.not("! "), flags.join(",")))
}

fn iprange(rng: &mut Rng, v6: bool) -> String {
    let (from, to) = rng.choose(Pool::of(v6).ranges);
    format!("-m iprange {}{} {from}-{to}", rng.not("! "), rng.pick(&["--src-range", "--dst-range"]))
}

fn owner(rng: &mut Rng) -> String {
    let not = rng.not("! ");
    let which = ["--uid-owner 0", "--uid-owner 33", "--uid-owner 500-2000", "--gid-owner 33", "--socket-exists"];
    format!("-m owner {not}{}", rng.pick(&which))
}

fn policy(rng: &mut Rng, place: &Place<'_>) -> Option<String> {
    let dir = if place.within(PRE | IN | FWD) {
        "in"
    } else if place.within(FWD | OUT | POST) {
        "out"
    } else {
        return None;
    };
    Some(format!("-m policy --dir {dir} --pol {}", rng.pick(&["none", "none", "ipsec"])))
}

fn dscp(rng: &mut Rng) -> String {
    let not = rng.not("! ");
    if rng.percent(50) {
        format!("-m dscp {not}--dscp {}", rng.pick(&["0x00", "0x12", "0x2e"]))
    } else {
        format!("-m tos {not}--tos {}", rng.pick(&["0x10", "0x48/0xfc", "0x00/0x08"]))
    }
}

const U32: &[&str] =
    &["6&0xFF=6", "6&0xFF=0x11", "12=0xc000024d", "0>>22&0x3C@0>>16=0:1023", "16&0xFFFF0000=0xc0000000", "60=0"];

fn odd(rng: &mut Rng, place: &Place<'_>, protocol: Option<&str>) -> Option<String> {
    let not = rng.not("! ");
    Some(match rng.below(8) {
        0 => format!("-m physdev {not}--physdev-is-bridged"),
        1 if place.within(PRE | IN | FWD) => format!("-m physdev {not}--physdev-in in0"),
        2 if protocol == Some("tcp") => format!("-m string {not}--string GET --algo bm"),
        3 if !place.v6 => format!("-m u32 {not}--u32 \"{}\"", rng.pick(U32)),
        4 if place.v6 => format!("-m rt {not}--rt-type 0"),
        5 if place.v6 => "-m hbh --hbh-len 8".into(),
        6 if place.v6 => format!("-m ipv6header {not}--header hop --soft"),
        7 if place.v6 && place.legacy => "-m frag --fragmore".into(),
        _ => return None,
    })
}

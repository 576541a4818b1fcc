//! Random targets that are legal where they stand.

use super::{FWD, IN, OUT, POST, PRE, Place};
use crate::rng::Rng;
use crate::world::Pool;

/// What a rule does, and what it needs to be accepted.
#[derive(Debug, Default)]
pub(crate) struct Target {
    pub(crate) text: String,
    /// The rule must be for this protocol only.
    pub(crate) protocol: Option<&'static str>,
    /// A match that must be there.
    pub(crate) needs: Option<&'static str>,
}

impl From<String> for Target {
    fn from(text: String) -> Self {
        Self { text, protocol: None, needs: None }
    }
}

pub(crate) fn random(rng: &mut Rng, place: &Place<'_>) -> Target {
    if !place.below.is_empty() && rng.percent(25) {
        let chain = &place.below[rng.below(place.below.len())];
        return format!("{} {chain}", if rng.percent(25) { "-g" } else { "-j" }).into();
    }
    if rng.percent(60) {
        let special = match place.table {
            "filter" => reject(rng, place),
            "nat" => nat(rng, place),
            "mangle" => mangle(rng, place),
            "raw" => raw(rng, place),
            _ => None,
        };
        if let Some(target) = special {
            return target;
        }
    }
    // iptables refuses DROP in nat.
    let drop = if place.table == "nat" { "-j ACCEPT" } else { "-j DROP" };
    match rng.below(100) {
        0..30 => drop.to_owned().into(),
        30..65 => "-j ACCEPT".to_owned().into(),
        65..75 => "-j RETURN".to_owned().into(),
        75..82 => String::new().into(),
        82..88 => format!("-j MARK --set-mark {}", rng.pick(&["0x1", "0x2", "0x10"])).into(),
        88..91 => format!("-j CONNMARK --set-mark {}", rng.pick(&["0x1", "0x2"])).into(),
        91..94 => "-j NFLOG --nflog-group 9".to_owned().into(),
        94..97 => "-j LOG --log-prefix x".to_owned().into(),
        _ => "-j CONNMARK --restore-mark".to_owned().into(),
    }
}

const REJECT4: &[&str] = &[
    "icmp-net-unreachable",
    "icmp-host-unreachable",
    "icmp-port-unreachable",
    "icmp-proto-unreachable",
    "icmp-net-prohibited",
    "icmp-host-prohibited",
    "icmp-admin-prohibited",
];

const REJECT6: &[&str] = &[
    "icmp6-no-route",
    "icmp6-adm-prohibited",
    "icmp6-addr-unreachable",
    "icmp6-port-unreachable",
    "icmp6-policy-fail",
    "icmp6-reject-route",
];

fn reject(rng: &mut Rng, place: &Place<'_>) -> Option<Target> {
    if !place.within(IN | FWD | OUT) || rng.percent(40) {
        return None;
    }
    Some(match rng.below(10) {
        0..3 => Target { text: "-j REJECT --reject-with tcp-reset".into(), protocol: Some("tcp"), needs: None },
        3 => "-j REJECT".to_owned().into(),
        _ => format!("-j REJECT --reject-with {}", rng.pick(if place.v6 { REJECT6 } else { REJECT4 })).into(),
    })
}

fn host(rng: &mut Rng, v6: bool, of: &[&str], port: &str) -> String {
    let address = rng.pick(of);
    match (v6, port.is_empty()) {
        (_, true) => address.to_owned(),
        (true, false) => format!("[{address}]:{port}"),
        (false, false) => format!("{address}:{port}"),
    }
}

const fn netmap(v6: bool) -> &'static str {
    if v6 { "-j NETMAP --to 2001:db8:2::/64" } else { "-j NETMAP --to 198.51.100.0/24" }
}

fn nat(rng: &mut Rng, place: &Place<'_>) -> Option<Target> {
    let pool = Pool::of(place.v6);
    let with_port = rng.percent(45);
    let protocol = with_port.then(|| rng.choose(&["tcp", "tcp", "udp"]));
    let port = if with_port { rng.pick(&["22", "80", "443", "81", "6000"]) } else { "" };
    let text = if place.within(PRE | OUT) {
        match rng.below(10) {
            0..6 => {
                let usual = [pool.own_in, pool.own_out, pool.servers, pool.servers];
                let rare = [pool.clients, pool.loopback, pool.dead];
                let of = if rng.percent(80) { rng.choose(&usual) } else { rng.choose(&rare) };
                format!("-j DNAT --to-destination {}", host(rng, place.v6, of, port))
            }
            6..9 if with_port => format!("-j REDIRECT --to-ports {port}"),
            6..9 => "-j REDIRECT".into(),
            _ => netmap(place.v6).into(),
        }
    } else if place.within(POST) {
        match rng.below(10) {
            0..4 if with_port => "-j MASQUERADE --to-ports 40000-45000".into(),
            0..4 => "-j MASQUERADE".into(),
            4..9 => snat(rng, place, with_port),
            _ => netmap(place.v6).into(),
        }
    } else if place.within(IN | POST) {
        snat(rng, place, with_port)
    } else {
        return None;
    };
    Some(Target { text, protocol, needs: None })
}

fn snat(rng: &mut Rng, place: &Place<'_>, with_port: bool) -> String {
    let pool = Pool::of(place.v6);
    let of = rng.choose(&[pool.own_in, pool.own_out, pool.clients]);
    let port = if with_port { "40000-45000" } else { "" };
    format!("-j SNAT --to-source {}", host(rng, place.v6, of, port))
}

fn mangle(rng: &mut Rng, place: &Place<'_>) -> Option<Target> {
    let text = match rng.below(12) {
        0..3 => {
            let mask = rng.pick(&["0xffffffff", "0xf", "0xf0"]);
            format!("-j MARK --set-xmark {}/{mask}", rng.pick(&["0x1", "0x2", "0x10"]))
        }
        3 => format!("-j MARK --or-mark {}", rng.pick(&["0x1", "0x10"])),
        4 => format!("-j MARK --and-mark {}", rng.pick(&["0x1", "0xf0"])),
        5 => format!("-j CONNMARK --set-xmark {}/0xff", rng.pick(&["0x1", "0x2"])),
        6 => "-j CONNMARK --save-mark".to_owned(),
        7 => format!("-j TOS --set-tos {}", rng.pick(&["0x10", "0x48/0xfc", "0x08/0x08"])),
        8 => format!("-j DSCP --set-dscp {}", rng.pick(&["0x12", "0x2e"])),
        9 if place.v6 => format!("-j HL {}", rng.pick(&["--hl-set 65", "--hl-dec 1", "--hl-inc 2"])),
        9 => format!("-j TTL {}", rng.pick(&["--ttl-set 65", "--ttl-dec 1", "--ttl-inc 2"])),
        10 => {
            return Some(Target {
                text: "-j TCPMSS --set-mss 1200".into(),
                protocol: Some("tcp"),
                needs: Some("--tcp-flags SYN,RST SYN"),
            });
        }
        _ if place.within(PRE) => {
            // Only to a port where something listens, of either protocol: without a socket TPROXY drops.
            return Some(Target {
                text: "-j TPROXY --on-port 443 --tproxy-mark 0x1/0x1".into(),
                protocol: Some(rng.choose(&["tcp", "udp"])),
                needs: None,
            });
        }
        _ => return None,
    };
    Some(text.into())
}

fn raw(rng: &mut Rng, place: &Place<'_>) -> Option<Target> {
    place.within(PRE | OUT).then(|| rng.pick(&["-j CT --notrack", "-j CT --notrack", "-j NOTRACK"]).to_owned().into())
}

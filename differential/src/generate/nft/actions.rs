//! Random statements and verdicts that are legal where they stand.

use super::sets::{self, Data, Key};
use super::{Kind, Place, matches};
use crate::generate::iptables::{FWD, IN, OUT, POST, PRE};
use crate::rng::Rng;
use crate::world::Pool;

/// What a rule does, and the protocol that it must be for.
pub(crate) fn random(rng: &mut Rng, place: &Place<'_>) -> (String, Option<&'static str>) {
    if place.kind == Kind::Nat && rng.percent(65) {
        return nat(rng, place);
    }
    match rng.below(100) {
        0..18 if !place.below.is_empty() => {
            let chain = &place.below[rng.below(place.below.len())];
            (format!("{} {chain}", rng.pick(&["jump", "jump", "goto"])), None)
        }
        18..30 => (vmap(rng, place), None),
        30..42 if place.within(PRE | IN | FWD | OUT) && place.kind == Kind::Filter => reject(rng, place),
        42..54 => (change(rng, place), None),
        54..57 => ("log group 9".into(), None),
        57..60 => (String::new(), None),
        60..66 => ("return".into(), None),
        66..68 => ("continue".into(), None),
        68..84 => ("drop".into(), None),
        _ => ("accept".into(), None),
    }
}

fn reject(rng: &mut Rng, place: &Place<'_>) -> (String, Option<&'static str>) {
    let kinds4 = [
        "net-unreachable",
        "host-unreachable",
        "prot-unreachable",
        "port-unreachable",
        "net-prohibited",
        "host-prohibited",
        "admin-prohibited",
    ];
    let kinds6 =
        ["no-route", "admin-prohibited", "addr-unreachable", "port-unreachable", "policy-fail", "reject-route"];
    match rng.below(10) {
        0..3 => ("reject with tcp reset".into(), Some("tcp")),
        3..5 => ("reject".into(), None),
        5..7 if place.family == "inet" => {
            let kinds = ["no-route", "port-unreachable", "host-unreachable", "admin-prohibited"];
            (format!("reject with icmpx {}", rng.pick(&kinds)), None)
        }
        _ if place.v6 => (format!("reject with icmpv6 {}", rng.pick(&kinds6)), None),
        _ => (format!("reject with icmp {}", rng.pick(&kinds4)), None),
    }
}

fn vmap(rng: &mut Rng, place: &Place<'_>) -> String {
    let maps: Vec<_> = place.sets.iter().filter(|s| s.data == Data::Verdict).collect();
    if !maps.is_empty() && rng.percent(50) {
        let map = maps[rng.below(maps.len())];
        if let Some(key) = matches::key(rng, place, map.key) {
            return format!("{key} vmap @{}", map.def.name);
        }
    }
    let mut verdicts = vec!["accept".to_owned(), "drop".into(), "return".into(), "continue".into()];
    for chain in place.below {
        verdicts.push(format!("jump {chain}"));
        verdicts.push(format!("goto {chain}"));
    }
    if rng.percent(25) && !place.ingress() {
        return format!(
            "ct state vmap {{ new : {}, established : {}, invalid : drop, untracked : {} }}",
            rng.choose(&verdicts),
            rng.choose(&verdicts),
            rng.choose(&verdicts)
        );
    }
    let verdicts: Vec<_> = verdicts.iter().map(String::as_str).collect();
    let key = rng.choose(&[Key::Address, Key::Port, Key::AddressPort, Key::Interface, Key::Mark, Key::ProtocolPort]);
    let Some(text) = matches::key(rng, place, key) else { return "accept".into() };
    let interval = !matches!(key, Key::Interface | Key::Mark) && rng.percent(40);
    let mut elements = sets::elements(rng, key, place.v6, interval);
    for element in &mut elements {
        *element += &sets::value(rng, Data::Verdict, &verdicts);
    }
    format!("{text} vmap {{ {} }}", elements.join(", "))
}

fn change(rng: &mut Rng, place: &Place<'_>) -> String {
    let marks: Vec<_> = place.sets.iter().filter(|s| s.data == Data::Mark).collect();
    match rng.below(11) {
        0..3 if !marks.is_empty() => {
            let map = marks[rng.below(marks.len())];
            match matches::key(rng, place, map.key) {
                Some(key) => format!("meta mark set {key} map @{}", map.def.name),
                None => "meta mark set 0x1".into(),
            }
        }
        0..4 => format!("meta mark set {}", rng.pick(&["0x1", "0x2", "0x10"])),
        4 => format!("meta mark set meta mark | {}", rng.pick(&["0x1", "0x10"])),
        5 => "meta mark set meta mark & 0xfffffff0".into(),
        6 if !place.ingress() => format!("ct mark set {}", rng.pick(&["0x1", "0x2", "meta mark"])),
        7 if !place.ingress() => "meta mark set ct mark".into(),
        8 if place.within(PRE | OUT) && place.kind == Kind::Filter => "notrack".into(),
        9 if place.v6 && place.kind == Kind::Filter => format!("ip6 hoplimit set {}", rng.pick(&["65", "32"])),
        9 if place.kind == Kind::Filter => format!("ip ttl set {}", rng.pick(&["65", "32"])),
        10 if place.kind == Kind::Filter => format!("{} dscp set {}", place.l3(), rng.pick(&["cs1", "ef", "0x12"])),
        _ => "meta priority set 1:2".into(),
    }
}

fn nat(rng: &mut Rng, place: &Place<'_>) -> (String, Option<&'static str>) {
    let pool = Pool::of(place.v6);
    let with_port = rng.percent(45);
    let protocol = with_port.then(|| rng.choose(&["tcp", "tcp", "udp"]));
    let port = rng.pick(&["22", "80", "443", "81", "6000"]);
    let family = if place.family == "inet" { format!("{} ", place.l3()) } else { String::new() };
    let to = |address: &str, port: &str| match (with_port, place.v6) {
        (false, _) => address.to_owned(),
        (true, true) => format!("[{address}]:{port}"),
        (true, false) => format!("{address}:{port}"),
    };
    let text = if place.within(PRE | OUT) {
        let of = if rng.percent(80) {
            rng.choose(&[pool.own_in, pool.own_out, pool.servers])
        } else {
            rng.choose(&[pool.clients, pool.loopback, pool.dead])
        };
        match rng.below(10) {
            0..5 => format!("dnat {family}to {}", to(rng.pick(of), port)),
            5 => {
                let (a, b) = (rng.pick(pool.servers), rng.pick(pool.own_in));
                return (format!("dnat {family}to tcp dport map {{ 22 : {a}, 80 : {b} }}"), Some("tcp"));
            }
            6 => {
                let (a, b) = (rng.pick(pool.servers), rng.pick(pool.own_in));
                let map = format!("{{ 443 : {a} . 80, 80 : {b} . 8080, 22 : {b} . 81 }}");
                return (format!("dnat {} addr . port to tcp dport map {map}", place.l3()), Some("tcp"));
            }
            _ if with_port => format!("redirect to :{port}"),
            _ => "redirect".into(),
        }
    } else if place.within(POST) && rng.percent(45) {
        if with_port { "masquerade to :40000-45000".into() } else { "masquerade".into() }
    } else if place.within(IN | POST) {
        let of = rng.choose(&[pool.own_in, pool.own_out, pool.clients]);
        format!("snat {family}to {}", to(rng.pick(of), "40000-45000"))
    } else {
        return ("accept".into(), None);
    };
    (text, protocol)
}

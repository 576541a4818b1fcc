//! x_tables structs: one that is cut is not understood, and a target always does something.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::HashMap;
use unrefuse_firewall::model::{Cond, Family, Statement};
use unrefuse_firewall::xt::{Place, decode_match, decode_target};

const MATCHES: [(&str, u8, usize); 40] = [
    ("tcp", 0, 12),
    ("udp", 0, 9),
    ("icmp", 0, 4),
    ("icmp6", 0, 4),
    ("multiport", 1, 48),
    ("state", 0, 4),
    ("conntrack", 1, 152),
    ("conntrack", 2, 154),
    ("conntrack", 3, 162),
    ("addrtype", 0, 12),
    ("addrtype", 1, 8),
    ("set", 1, 4),
    ("set", 3, 44),
    ("set", 4, 44),
    ("iprange", 1, 65),
    ("mark", 1, 9),
    ("connmark", 1, 9),
    ("owner", 1, 18),
    ("pkttype", 0, 8),
    ("physdev", 0, 66),
    ("hl", 0, 2),
    ("ttl", 0, 2),
    ("length", 0, 5),
    ("policy", 0, 308),
    ("rpfilter", 0, 1),
    ("string", 1, 150),
    ("dscp", 0, 2),
    ("tos", 1, 3),
    ("u32", 0, 1982),
    ("mac", 0, 12),
    ("frag", 0, 14),
    ("rt", 0, 18),
    ("hbh", 0, 6),
    ("ah", 0, 9),
    ("esp", 0, 9),
    ("socket", 1, 1),
    ("cgroup", 0, 8),
    ("helper", 0, 34),
    ("realm", 0, 9),
    ("tcpmss", 0, 5),
];
const TARGETS: [(&str, u8, usize); 20] = [
    ("REJECT", 0, 4),
    ("LOG", 0, 32),
    ("NFLOG", 0, 80),
    ("DNAT", 0, 20),
    ("DNAT", 1, 40),
    ("DNAT", 2, 42),
    ("SNAT", 1, 40),
    ("MASQUERADE", 0, 20),
    ("REDIRECT", 0, 20),
    ("NETMAP", 0, 20),
    ("MARK", 2, 8),
    ("CONNMARK", 1, 13),
    ("CONNMARK", 2, 15),
    ("CT", 2, 28),
    ("TPROXY", 1, 26),
    ("TCPMSS", 0, 2),
    ("NFQUEUE", 3, 6),
    ("SET", 3, 16),
    ("DSCP", 0, 1),
    ("TOS", 1, 2),
];

fuzz_target!(|bytes: &[u8]| {
    let [which, family, protocol, info @ ..] = bytes else { return };
    let ipsets: HashMap<u16, String> = [(0, "a".to_owned()), (1, "b".to_owned())].into();
    let place = Place {
        family: if family & 1 == 0 { Family::Ip } else { Family::Ip6 },
        protocol: Some(*protocol),
        chain: ["INPUT", "PREROUTING", "own"][usize::from(*family) % 3],
        ipsets: &ipsets,
    };
    let (name, revision, size) = MATCHES[usize::from(*which) % MATCHES.len()];
    let found = decode_match(&place, name, revision, info);
    assert!(found.text.starts_with("-m "));
    if info.len() < size {
        let unknown = |s: &Statement| matches!(s, Statement::If(Cond::Unknown(_)));
        assert!(found.statements.iter().any(unknown), "{name} {revision} of {} bytes: {found:?}", info.len());
    }
    let (name, revision, size) = TARGETS[usize::from(*which) % TARGETS.len()];
    let found = decode_target(&place, name, revision, info);
    assert!(!found.statements.is_empty() && found.text.starts_with("-j "), "{found:?}");
    if info.len() < size {
        assert!(matches!(found.statements[..], [Statement::Unknown(_)]), "{name} {revision}: {found:?}");
    }
    // Any other name, any revision.
    let text = String::from_utf8_lossy(info);
    let (name, _) = text.split_at(text.char_indices().nth(8).map_or(text.len(), |(at, _)| at));
    let found = decode_match(&place, name, *which, info);
    assert!(found.text.starts_with("-m "));
    assert!(!decode_target(&place, name, *which, info).statements.is_empty());
});

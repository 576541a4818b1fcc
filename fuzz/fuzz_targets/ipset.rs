//! ipset text: each line of an element is in its set, or the set is not understood and a problem says why.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_firewall::iptables::parse_ipset;
use unrefuse_firewall::model::{Elements, Ruleset};

fuzz_target!(|bytes: &[u8]| {
    let mut ruleset = Ruleset::default();
    parse_ipset(bytes, &mut ruleset);
    check(&ruleset);

    let text: String = String::from_utf8_lossy(bytes).chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    for kind in
        ["hash:ip", "hash:net", "hash:ip,port", "hash:net,iface", "hash:ip,mark", "bitmap:port", "hash:mac", "list:set"]
    {
        for family in ["inet", "inet6"] {
            let mut ruleset = Ruleset::default();
            let dump = format!("create a {kind} family {family}\nadd a {text}\n");
            parse_ipset(dump.as_bytes(), &mut ruleset);
            check(&ruleset);
            let set = &ruleset.ipsets["a"];
            let held = match &set.elements {
                Elements::Exact(map) => map.len(),
                Elements::Ranges(ranges) => ranges.len(),
                Elements::Sets(names) => names.len(),
                Elements::Unread | Elements::Unknown(_) => {
                    assert!(!ruleset.problems.is_empty());
                    continue;
                }
            };
            assert!(held == 1 || !ruleset.problems.is_empty(), "{text:?} is lost");
        }
    }
});

fn check(ruleset: &Ruleset) {
    for set in ruleset.ipsets.values() {
        match &set.elements {
            Elements::Exact(map) => assert!(map.keys().all(|key| key.len() == set.key.len())),
            Elements::Ranges(ranges) => {
                assert!(ranges.iter().all(|(key, _)| key.len() == set.key.len() && key.iter().all(|(a, b)| a <= b)));
            }
            _ => {}
        }
    }
}

//! ipsets as the kernel holds them: tested one key at a time, they say what their lists say.

mod common;
#[path = "common/firewall.rs"]
mod firewall;

use common::in_new_namespace;
use firewall::{can_filter, feed, read};
use unrefuse_collect::firewall::{Live, Scope};
use unrefuse_firewall::model::{Elements, Family, Scalar, Set};

#[test]
fn ipsets_are_read_or_tested() {
    if !can_filter("ipsets_are_read_or_tested") {
        return;
    }
    in_new_namespace(|| {
        let mut script = String::from(
            "create big hash:ip maxelem 100000\ncreate small hash:net,port\nadd small 10.0.0.0/8,tcp:22\n",
        );
        script += "create list list:set\nadd list small\ncreate six hash:ip family inet6\nadd six 2001:db8::1\n";
        for i in 0..5000 {
            script += &format!("add big 10.1.{}.{}\n", i / 250, i % 250 + 1);
        }
        feed("ipset", &["restore"], script.as_bytes()).unwrap();
        feed("iptables-nft", &["-A", "INPUT", "-m", "set", "!", "--match-set", "small", "src,dst", "-j", "DROP"], b"")
            .unwrap();
        let observed = Live::open(Scope::Everything);
        let live = observed.get().map_err(ToString::to_string).unwrap();
        let heads = live.ruleset();
        assert!(matches!(heads.ipsets["big"].elements, Elements::Unread));
        assert_eq!(heads.ipsets["big"].key, [32]);
        assert!(matches!(&heads.ipsets["list"].elements, Elements::Sets(names) if names == &["small"]));
        assert!(matches!(heads.ipsets["small"].elements, Elements::Unread));
        assert_eq!((&heads.ipsets["small"].key[..], &heads.ipsets["six"].key[..]), (&[32, 8, 16][..], &[128][..]));
        assert!(matches!(live.ipset("small").unwrap().elements, Elements::Ranges(list) if list.len() == 1));
        assert!(live.ipset("big").is_none() && live.ipset("nobody").is_none());
        assert_eq!(live.element(None, "big", &[0x0a01_0001]).map(|e| e.is_some()), Some(true));
        assert_eq!(live.element(None, "big", &[0x0b01_0001]).map(|e| e.is_some()), Some(false));
        assert_eq!(live.element(None, "small", &[0x0a01_0001, 6, 22]).map(|e| e.is_some()), Some(true));
        assert_eq!(live.element(None, "small", &[0x0a01_0001, 17, 22]).map(|e| e.is_some()), Some(false));
        assert_eq!(
            live.element(None, "six", &[0x2001_0db8_0000_0000_0000_0000_0000_0001]).map(|e| e.is_some()),
            Some(true)
        );
        let rule = &live.chain(Family::Ip, "filter", "INPUT").unwrap()[0];
        assert_eq!(rule.text(), "-A INPUT -m set ! --match-set small src,dst -j DROP");
        let full = read();
        assert!(matches!(&full.ipsets["big"].elements, Elements::Exact(map) if map.len() == 5000));
    });
}

/// Whether a set that was read holds a key.
fn holds(set: &Set, key: &[Scalar]) -> bool {
    match &set.elements {
        Elements::Exact(map) => map.get(key).is_some_and(|element| !element.nomatch),
        Elements::Ranges(list) => {
            let within = |parts: &[(Scalar, Scalar)]| {
                parts.len() == key.len()
                    && parts.iter().zip(key).all(|((from, to), value)| (from..=to).contains(&value))
            };
            list.iter().find(|(parts, _)| within(parts)).is_some_and(|(_, element)| !element.nomatch)
        }
        other => panic!("{other:?}"),
    }
}

/// Keys that lie at and around the ends of what a set holds, and the same with one part of another.
fn around(set: &Set) -> Vec<Vec<Scalar>> {
    let mut ends: Vec<Vec<Scalar>> = Vec::new();
    let mut add = |parts: &mut dyn Iterator<Item = (Scalar, Scalar)>| {
        let (low, high): (Vec<_>, Vec<_>) = parts.unzip();
        ends.extend([low, high]);
    };
    match &set.elements {
        Elements::Exact(map) => map.keys().for_each(|key| add(&mut key.iter().map(|value| (*value, *value)))),
        Elements::Ranges(list) => list.iter().for_each(|(parts, _)| add(&mut parts.iter().copied())),
        other => panic!("{other:?}"),
    }
    // Interfaces are names, not numbers with neighbours.
    let numbers = set.key.len() - usize::from(set.ipset.as_ref().is_some_and(|kind| kind.ends_with("iface")));
    let mut keys = ends.clone();
    for (at, key) in ends.iter().enumerate() {
        for part in 0..numbers {
            let most = Scalar::MAX >> (128 - u32::from(set.key[part]));
            let other = ends[(at + 1) % ends.len()][part];
            for value in [key[part].saturating_sub(1), (key[part] + 1).min(most), other] {
                let mut key = key.clone();
                key[part] = value;
                keys.push(key);
            }
        }
    }
    keys
}

#[test]
fn a_test_says_what_a_list_says() {
    if !can_filter("a_test_says_what_a_list_says") {
        return;
    }
    in_new_namespace(|| {
        let sets = "\
            create a hash:ip\nadd a 192.0.2.7\nadd a 192.0.2.9\n\
            create b hash:ip netmask 28 timeout 600\nadd b 192.0.2.64 timeout 0\nadd b 198.51.100.1\n\
            create c hash:net counters comment\nadd c 10.0.0.0/8\nadd c 10.1.0.0/16 nomatch\nadd c 10.1.2.0/24 comment x\n\
            create d hash:ip,port\nadd d 192.0.2.7,tcp:80\nadd d 192.0.2.7,udp:53\nadd d 192.0.2.8,icmp:8/0\n\
            create e hash:net,port\nadd e 10.0.0.0/9,tcp:22\nadd e 10.0.0.0/16,tcp:22 nomatch\nadd e 10.0.0.0/16,udp:22\n\
            create f hash:net,net\nadd f 10.0.0.0/8,192.0.2.0/24\nadd f 10.0.0.0/9,192.0.2.0/28 nomatch\n\
            create g hash:ip,mark\nadd g 192.0.2.7,0x11\n\
            create h hash:ip,port,ip\nadd h 192.0.2.7,tcp:80,198.51.100.1\n\
            create i hash:ip,port,net\nadd i 192.0.2.7,tcp:80,10.0.0.0/8\n\
            create j hash:net,port,net\nadd j 10.0.0.0/8,tcp:80,192.0.2.0/25\nadd j 10.0.0.0/8,tcp:80,192.0.2.0/27 nomatch\n\
            create k hash:mac\nadd k 02:00:00:00:00:07\n\
            create l hash:net,iface\nadd l 10.0.0.0/8,eth0\nadd l 10.0.0.0/8,eth1\n\
            create m bitmap:ip range 192.0.2.0/24\nadd m 192.0.2.3\nadd m 192.0.2.255\n\
            create n bitmap:port range 0-65535\nadd n 22\nadd n 8000-8010\n\
            create o bitmap:ip,mac range 192.0.2.0/24\nadd o 192.0.2.3,02:00:00:00:00:07\n\
            create p hash:net family inet6\nadd p 2001:db8::/32\nadd p 2001:db8:1::/48 nomatch\n\
            create q hash:ip,port family inet6\nadd q 2001:db8::1,tcp:443\n\
            create r hash:ip bitmask 255.255.255.0\nadd r 192.0.2.64\n";
        let (mut made, mut refused) = (0, Vec::new());
        // Line by line, so that a type that this kernel or tool lacks costs its set only.
        for line in sets.lines() {
            match feed("ipset", &["restore"], line.as_bytes()) {
                Ok(_) => made += usize::from(line.starts_with("create")),
                Err(e) => refused.push(format!("{line}: {e}")),
            }
        }
        println!("{made} sets; refused: {refused:#?}");
        assert!(made >= 12, "{made}");
        let observed = Live::open(Scope::Everything);
        let live = observed.get().map_err(ToString::to_string).unwrap();
        let mut asked = 0;
        for (name, set) in &read().ipsets {
            for key in around(set) {
                let Some(said) = live.element(None, name, &key) else {
                    panic!("{name} {key:x?}: not answered");
                };
                assert_eq!(said.is_some(), holds(set, &key), "{name} {key:x?}");
                asked += 1;
            }
        }
        assert!(asked > 150, "{asked}");
        // Testing counted nothing and renewed no time.
        let saved = String::from_utf8(feed("ipset", &["save"], b"").unwrap()).unwrap();
        assert!(!saved.contains("packets 1"), "{saved}");
        assert!(saved.lines().filter(|line| line.contains("packets")).all(|line| line.contains("packets 0 bytes 0")));
    });
}

//! nf_tables messages: no rule is lost, an expression that is not known leaves its mark, ranges run upwards.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_firewall::model::{Elements, Statement};
use unrefuse_firewall::nft::{Context, Reader, message};

/// A table with a chain, a set and a map of two parts, so that rules have something to look into.
fn reader() -> Reader {
    let mut reader = Reader::new(Context::default());
    let header = [1, 0, 0, 0];
    let table = attribute(1, b"t\0");
    reader.message(message::NEWTABLE, &[&header[..], &table].concat());
    reader.message(message::NEWCHAIN, &[&header[..], &table, &attribute(3, b"c\0")].concat());
    for (name, key, data) in [("s", 4u32, 0u32), ("m", 8, 4), ("v", 16, 0xffff_ff00)] {
        let (key_type, flags) = if key == 8 { (7 << 6 | 13, 8u32) } else { (0u32, u32::from(key == 16) * 12) };
        let set = [
            table.clone(),
            attribute(2, &[name.as_bytes(), b"\0"].concat()),
            attribute(3, &flags.to_be_bytes()),
            attribute(4, &key_type.to_be_bytes()),
            attribute(5, &key.to_be_bytes()),
            attribute(6, &data.to_be_bytes()),
            attribute(7, &(data & 0xff).to_be_bytes()),
        ];
        reader.message(message::NEWSET, &[&header[..], &set.concat()].concat());
    }
    reader
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    let mut out = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    out.resize((out.len() + 3) & !3, 0);
    out
}

const NAMES: [&str; 33] = [
    "immediate",
    "cmp",
    "range",
    "bitwise",
    "byteorder",
    "lookup",
    "payload",
    "meta",
    "ct",
    "fib",
    "exthdr",
    "socket",
    "rt",
    "hash",
    "numgen",
    "osf",
    "xfrm",
    "match",
    "target",
    "nat",
    "redir",
    "masq",
    "reject",
    "tproxy",
    "notrack",
    "log",
    "limit",
    "quota",
    "connlimit",
    "queue",
    "objref",
    "dynset",
    "counter",
];

fuzz_target!(|bytes: &[u8]| {
    // Any messages.
    let mut any = reader();
    let mut rest = bytes;
    while let [kind, length, tail @ ..] = rest {
        let body = tail.get(..usize::from(*length)).unwrap_or(tail);
        any.message(*kind % 16, body);
        rest = tail.get(usize::from(*length)..).unwrap_or_default();
    }
    for set in any.finish().tables.iter().flat_map(|t| t.sets.values()) {
        if let Elements::Ranges(ranges) = &set.elements {
            assert!(ranges.iter().all(|(key, _)| key.iter().all(|(from, to)| from <= to)));
        }
    }
    // A rule of expressions with any content, and one with a name that nobody knows.
    let mut list = Vec::new();
    let mut rest = bytes;
    while let [which, length, tail @ ..] = rest {
        let data = tail.get(..usize::from(*length)).unwrap_or(tail);
        let name = NAMES[usize::from(*which) % NAMES.len()].as_bytes();
        list.extend(attribute(1, &[attribute(1, &[name, b"\0"].concat()), attribute(2, data)].concat()));
        rest = tail.get(usize::from(*length)..).unwrap_or_default();
        if list.len() > 30_000 {
            break;
        }
    }
    list.extend(attribute(1, &attribute(1, b"nobody knows\0")));
    let mut rules = reader();
    let rule = [&[1, 0, 0, 0][..], &attribute(1, b"t\0"), &attribute(2, b"c\0"), &attribute(4, &list)].concat();
    rules.message(message::NEWRULE, &rule);
    rules.message(message::NEWRULE, &rule);
    let ruleset = rules.finish();
    let chain = &ruleset.tables[0].chains["c"];
    assert_eq!(chain.rules.len(), 2);
    let last = Statement::Unknown("nft expression nobody knows".to_owned());
    assert!(chain.rules.iter().all(|rule| rule.statements.last() == Some(&last)));
});

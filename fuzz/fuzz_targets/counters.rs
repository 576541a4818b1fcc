//! /proc/net/netstat, snmp and snmp6: names have their group, and written out again they are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_parse::counters::{parse, parse_snmp6};

fuzz_target!(|bytes: &[u8]| {
    for name in parse(bytes).keys() {
        assert!(name.contains('.'), "{name:?}");
    }
    let counters = parse_snmp6(bytes);
    let again: String =
        counters.iter().map(|(name, value)| format!("{}\t{value}\n", name.strip_prefix("snmp6.").unwrap())).collect();
    assert_eq!(parse_snmp6(again.as_bytes()), counters);
});

//! The statistics of connection tracking: a row more never makes the sum smaller.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_parse::conntrack::sum;

fuzz_target!(|bytes: &[u8]| {
    let table = [b"entries drop\n".as_slice(), bytes].concat();
    if let Some(before) = sum(&table, "drop") {
        let more = [table.strip_suffix(b"\n").unwrap_or(&table), b"\n1 2\n"].concat();
        assert_eq!(sum(&more, "drop"), Some(before.saturating_add(2)));
    }
    let _ = sum(bytes, "drop");
});

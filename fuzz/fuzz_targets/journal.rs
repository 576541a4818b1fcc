//! The journal's JSON and log lines: never more entries than lines, and a time is within the years that logs have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_parse::journal::{lines, log_lines};

fuzz_target!(|bytes: &[u8]| {
    let count = bytes.split(|&b| b == b'\n').count();
    let all = lines(bytes, None).len();
    assert!(all <= count && lines(bytes, Some("nginx.service")).len() <= all);
    let log = log_lines(bytes, 3600);
    assert!(log.len() <= count);
    let year_10000_ms = 253_402_300_800_000;
    assert!(log.iter().filter_map(|line| line.time_ms).all(|time| (-86_400_000..year_10000_ms).contains(&time)));
});

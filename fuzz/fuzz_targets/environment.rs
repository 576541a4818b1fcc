//! /etc/environment: keys are names, values are there, locations are in the file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let lines = bytes.split(|&b| b == b'\n').count();
    for (key, value, location) in unrefuse_parse::environment::variables("/etc/environment", bytes) {
        assert!(!key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{key:?}");
        assert!(!value.is_empty() && !value.contains(['#', '\n', '\0']), "{value:?}");
        assert!((1..=lines).contains(&(location.line as usize)));
    }
});

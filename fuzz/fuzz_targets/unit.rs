//! Unit files: lines are counted from 1, words hold no more than was written, an empty assignment takes all back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_parse::unit::{assignments, unit, words};

fuzz_target!(|bytes: &[u8]| {
    let lines = bytes.split(|&b| b == b'\n').count() as u32;
    let file = assignments(bytes);
    assert!(file.iter().all(|a| (1..=lines).contains(&a.line)));
    let reset = assignments(b"[Socket]\nListenStream=\n[Service]\nIPAddressDeny=\nExecStart=\n");
    let taken_back = unit("x.socket", &[file, reset]);
    assert!(taken_back.listens.is_empty() && taken_back.ip_deny.is_empty() && taken_back.exec_start.is_empty());
    let text = String::from_utf8_lossy(bytes);
    let _ = words(&text);
});

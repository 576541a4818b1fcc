//! /proc/PID: a process cannot choose a name that changes its other fields, and units and containers are well formed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_facts::text;
use unrefuse_parse::proc_pid::{capabilities, cgroup, nofile_limit, stat, uid};

fuzz_target!(|bytes: &[u8]| {
    let _ = (stat(bytes), uid(bytes), nofile_limit(bytes));
    if let Some(held) = capabilities(bytes) {
        assert!(held.len() <= 64 && held.iter().all(|name| !name.is_empty()));
    }

    let named = [b"77 (", bytes, b") S 5 77 77 0 -1 4194304 9 0 0 0 0 0 0 0 20 0 1 0 97715 3133440 383\n"].concat();
    let found = stat(&named).expect("a name can hold anything");
    assert_eq!((found.pid, found.ppid, found.start_ticks), (77, 5, 97715));
    assert_eq!(found.comm, text::from_bytes(bytes));

    for input in [bytes.to_vec(), [b"0::/", bytes].concat()] {
        let found = cgroup(&input);
        if let Some(unit) = &found.unit {
            assert!(unit.ends_with(".service") && !unit.contains(['/', '\n']), "{unit:?}");
        }
        assert!(!found.user_unit || found.unit.is_some());
        if let Some(container) = &found.container {
            assert!(!container.id.is_empty() && !container.engine.is_empty());
        }
    }
});

//! The stream of a container's log: never more lines than asked for, none empty, one line each.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_parse::container::log_lines;

fuzz_target!(|bytes: &[u8]| {
    for most in [0, 1, 20] {
        let lines = log_lines(bytes, most);
        assert!(lines.len() <= most);
        assert!(lines.iter().all(|line| !line.is_empty() && !line.contains('\n')));
    }
});

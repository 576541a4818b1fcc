//! ufw's user rules and settings: numbers rise by at most one, and IPv6 comes last.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_parse::ufw;

fuzz_target!(|bytes: &[u8]| {
    let (v4, v6) = bytes.split_at(bytes.len() / 2);
    let rules = ufw::user_rules(v4, v6);
    assert!(rules.windows(2).all(|pair| !pair[0].v6 || pair[1].v6));
    let lines = bytes.split(|&b| b == b'\n').count() as u32 + 1;
    for rule in &rules {
        assert!((1..=lines).contains(&rule.number));
        assert!(!rule.to.is_empty() && !rule.from.is_empty());
    }
    let _ = ufw::setting(bytes, "ENABLED");
});

//! Proxy variables: users and passwords are gone, and what is left leads to the same proxy.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_parse::proxy::{bypassed, endpoint, redact};

fuzz_target!(|input: (String, String, u16)| {
    let (value, host, port) = input;
    let shown = redact(&value);
    assert!(!shown.contains('@'));
    assert_eq!(redact(&shown), shown);
    if let Some((host, port)) = endpoint(&value) {
        assert!(!host.is_empty() && port > 0 && !host.contains(['@', '/', '[']), "{host:?}");
        let bracketed = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        assert_eq!(endpoint(&bracketed), Some((host, port)));
    }
    let secret = redact(&format!("http://user:S3kr1tQ{host}@proxy:3128"));
    assert!(!secret.contains("S3kr1tQ"), "{secret}");
    if bypassed(&value, &host, port) {
        assert!(!value.is_empty() && !host.is_empty());
    }
});

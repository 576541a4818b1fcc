//! nsswitch.conf(5): services are words, with their actions behind them, and read again they are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_parse::nsswitch::hosts_line;

fuzz_target!(|bytes: &[u8]| {
    let Some(line) = hosts_line("/etc/nsswitch.conf", bytes) else { return };
    let text = bytes.split(|&b| b == b'\n').nth(line.location.unwrap().line as usize - 1).unwrap();
    assert!(text.windows(5).any(|word| word == b"hosts"));
    for service in &line.services {
        assert!(!service.is_empty() && !service.starts_with(['[', ' ']), "{service:?}");
        assert!(!service.contains(['#', '\n', '\0']));
    }
    let again = hosts_line("", format!("hosts: {}", line.services.join(" ")).as_bytes()).unwrap();
    assert_eq!(again.services, line.services);
});

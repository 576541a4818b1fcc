//! Command lines that say where to listen, and glob(7) patterns: any text gives an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_facts::text;
use unrefuse_parse::config::{command_line, glob};

fuzz_target!(|bytes: &[u8]| {
    let all = text::from_bytes(bytes);
    let mut words = all.split_whitespace().map(str::to_owned);
    let command = words.next().unwrap_or_default();
    let arguments: Vec<String> = words.collect();
    for known in
        [command.as_str(), "prometheus", "python3", "etcd", "uvicorn", "ssh", "kubectl", "socat", "nc", "myserver"]
    {
        for listen in command_line(known, &arguments, 80).into_iter().flat_map(|parsed| parsed.listens) {
            assert_eq!(listen.port == 0, listen.protocol == unrefuse_facts::Protocol::Unix);
        }
    }
    // A name matches itself where it holds nothing special, and a star matches all that is not hidden.
    let plain = command.chars().all(|c| c.is_alphanumeric() || c == '.');
    assert!(!plain || glob::matches(&command, &command));
    assert_eq!(glob::matches("*", &command), !command.starts_with('.'));
    if let [pattern, name, ..] = arguments.as_slice() {
        glob::matches(pattern, name);
    }
});

//! hosts(5): every entry stands in the file where it says it does, and has a name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_facts::text;

fuzz_target!(|bytes: &[u8]| {
    let file = unrefuse_parse::hosts::parse("/etc/hosts", bytes);
    let lines: Vec<&[u8]> = bytes.split(|&b| b == b'\n').collect();
    for entry in &file.entries {
        let line = lines[entry.location.line as usize - 1];
        assert_eq!(entry.text, text::from_bytes(line.strip_suffix(b"\r").unwrap_or(line)));
        assert!(!entry.names.is_empty());
        for name in &entry.names {
            assert!(!name.is_empty() && !name.contains(['#', ' ', '\t', '\n', '\0']), "{name:?}");
            assert!(entry.text.contains(name.as_str()));
        }
        // Written out again it is the same entry.
        let line = format!("{} {}", entry.address, entry.names.join(" "));
        let again = unrefuse_parse::hosts::parse("", line.as_bytes());
        assert_eq!(again.entries[0].address, entry.address);
        assert_eq!(again.entries[0].names, entry.names);
    }
    for (number, shown) in &file.ignored {
        assert!(*number as usize <= lines.len() && shown.chars().count() <= 200);
    }
    assert!(file.entries.len() + file.ignored.len() <= lines.len());
});

//! Compose files: each line that is told stands in the file as it is told, in rising order below the service's own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_parse::container::compose::find;

fuzz_target!(|bytes: &[u8]| {
    let lines: Vec<&[u8]> = bytes.split(|&b| b == b'\n').collect();
    for service in ["web", "a", ""] {
        let found = find("c.yml", bytes, service);
        let mut last = found.service.as_ref().map_or(0, |place| place.line);
        assert!(found.service.is_some() || found.ports.is_empty());
        for line in &found.ports {
            assert!(line.location.line > last);
            last = line.location.line;
            let written = std::str::from_utf8(lines[last as usize - 1]).unwrap();
            assert_eq!(written.trim_end(), line.text);
            assert!(line.value.is_none() || line.value().is_some_and(|value| !value.is_empty()));
        }
    }
});

//! hosts(5): the names that this machine gives to addresses.
//!
//! A real one (a virtual machine):
//! ```text
//! 127.0.0.1 localhost
//! 127.0.0.1 runsc
//! 127.0.0.1 vm
//! ```

use crate::lines::{self, MAX_LINES};
use std::net::IpAddr;
use unrefuse_facts::{HostsEntry, HostsFile, Location, text};

/// Characters kept of an ignored line: enough to know it again.
const IGNORED_MAX: usize = 200;

/// Parses a hosts file as glibc reads it (nss/nss_files/files-hosts.c; checked with getent(1) on glibc 2.36).
///
/// An address in the strict form of inet_pton(3), then names; `#` starts a comment anywhere; any blank parts words,
/// so that a carriage return does no harm; a NUL ends its line. Lines that glibc passes over are kept in
/// [`HostsFile::ignored`], clipped: short forms such as `127.1`, scoped addresses such as `fe80::1%lo0` (macOS has
/// them), an address without a name, anything else. From line 1,000,001 on nothing is read; the last ignored entry
/// then says so.
///
/// ```
/// let file = unrefuse_parse::hosts::parse("/etc/hosts", b"127.0.0.1 localhost\n127.0.1.1\tdb1.example db1 # me\n");
/// assert_eq!(file.entries[1].names, ["db1.example", "db1"]);
/// assert_eq!(file.entries[1].location.to_string(), "/etc/hosts:2");
/// ```
pub fn parse(path: &str, bytes: &[u8]) -> HostsFile {
    let mut file = HostsFile::default();
    let mut last = 0;
    let mut read = 0;
    for (number, line) in lines::numbered(bytes) {
        last = number;
        read += line.len() + 1;
        let code = lines::c_string(line).split(|&b| b == b'#').next().unwrap_or_default();
        let mut words = lines::words(code);
        let Some(first) = words.next() else { continue };
        let names: Vec<String> = words.map(text::from_bytes).collect();
        match address(first) {
            Some(address) if !names.is_empty() => file.entries.push(HostsEntry {
                address,
                names,
                location: Location { path: path.to_owned(), line: number },
                text: text::from_bytes(line.strip_suffix(b"\r").unwrap_or(line)),
            }),
            _ => file.ignored.push((number, text::clip(&text::from_bytes(line), IGNORED_MAX))),
        }
    }
    if last as usize == MAX_LINES && read < bytes.len() {
        file.ignored.push((last + 1, format!("(not read: more than {MAX_LINES} lines)")));
    }
    file
}

fn address(word: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use proptest::prelude::*;

    /// What getent(1) on glibc 2.36 found and did not find in exactly this file.
    #[test]
    fn as_glibc_reads_it() {
        let file = parse(
            "/etc/hosts",
            b"fe80::1%lo scoped.test\n10.9.9.1 crlf.test alias.test\r\n127.1 short.test\n10.9.9.2\n\
              \t 10.9.9.3\tindent.test # c.test\n10.9.9.4 Upper.Test#hash.test\n10.9.9.5 nul.test\0x.test y.test\n\
              010.9.9.7 oct.test\n10.9.9.6 nonl.test",
        );
        let found: Vec<(String, String)> =
            file.entries.iter().map(|e| (e.address.to_string(), e.names.join(","))).collect();
        let want = [
            ("10.9.9.1", "crlf.test,alias.test"),
            ("10.9.9.3", "indent.test"),
            ("10.9.9.4", "Upper.Test"),
            ("10.9.9.5", "nul.test"),
            ("10.9.9.6", "nonl.test"),
        ];
        assert_eq!(found, want.map(|(a, n)| (a.to_owned(), n.to_owned())));
        let ignored: Vec<u32> = file.ignored.iter().map(|(line, _)| *line).collect();
        assert_eq!(ignored, [1, 3, 4, 8]);
        assert_eq!(file.entries[0].text, "10.9.9.1 crlf.test alias.test");
        assert_eq!(file.entries[4].location.line, 9);
    }

    #[test]
    fn invalid_utf8_is_visible() {
        let file = parse("h", b"::1 caf\xe9 ok\n\xff\xfe what\n");
        assert_eq!(file.entries[0].names, ["caf\\xe9", "ok"]);
        assert_eq!(file.ignored, [(2, "\\xff\\xfe what".to_owned())]);
    }

    #[test]
    fn a_line_of_64_kib_is_one_entry() {
        let mut line = b"10.0.0.1".to_vec();
        for i in 0..8192 {
            line.extend_from_slice(format!(" host{i:03}").as_bytes());
        }
        assert!(line.len() > 64 * 1024);
        let file = parse("h", &line);
        assert_eq!(file.entries[0].names.len(), 8192);
        let junk = parse("h", &b"x".repeat(64 * 1024));
        assert_eq!(junk.ignored[0].1.chars().count(), IGNORED_MAX);
    }

    #[test]
    fn lines_past_the_bound_are_told() {
        let exact = b"\n".repeat(MAX_LINES);
        assert!(parse("h", &exact).ignored.is_empty());
        let more = [exact.as_slice(), b"::1 late\n"].concat();
        let file = parse("h", &more);
        assert!(file.entries.is_empty());
        assert_eq!(file.ignored[0].0 as usize, MAX_LINES + 1);
    }

    #[test]
    fn the_collected_sample() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpus/config-samples/hosts");
        let Some(bytes) = samples::read(path) else { return };
        let file = parse("/etc/hosts", &bytes);
        assert_eq!(file.ignored, []);
        assert_eq!(file.entries[0].names[1], "localhost.localdomain");
        assert!(file.entries.iter().any(|e| e.names == ["randomhost"] && e.address.to_string() == "127.0.0.5"));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            for entry in parse("h", &bytes).entries {
                prop_assert!(!entry.names.is_empty() && entry.names.iter().all(|n| !n.is_empty()));
            }
        }
    }
}

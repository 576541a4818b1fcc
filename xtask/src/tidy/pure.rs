//! The sources of the pure crates: no file, clock, environment, thread, socket or process. clippy checks the same by
//! types (see pure.toml), but only what is compiled; this also sees what a `cfg` leaves out.

use std::path::Path;

use super::{File, PURE};

/// What they must not name, and where it belongs.
const BANNED: &[(&str, &str)] = &[
    ("std::fs", "files are read by unrefuse-collect"),
    ("std::process", "processes are started by unrefuse-collect"),
    ("std::env", "the environment is a fact: unrefuse-collect reads it"),
    ("std::thread", "the pure crates are synchronous"),
    ("std::io::std", "the binary owns the terminal"),
    ("TcpStream", "sockets belong to unrefuse-probe"),
    ("TcpListener", "sockets belong to unrefuse-probe"),
    ("UdpSocket", "sockets belong to unrefuse-probe"),
    ("UnixStream", "sockets belong to unrefuse-collect"),
    ("ToSocketAddrs", "names are resolved by unrefuse-probe"),
    ("SystemTime::now", "the time is a fact: unrefuse-collect reads the clock"),
    ("Instant::now", "elapsed times are facts: unrefuse-probe takes them"),
    ("println!", "the binary owns the terminal"),
    ("eprintln!", "the binary owns the terminal"),
    ("unsafe {", "the pure crates forbid unsafe code"),
];

/// What stands before code that is only compiled for tests.
const TEST_ONLY: &str = "#[cfg(test)]";

/// The attribute that each pure crate begins with.
const FORBID: &str = "#![forbid(unsafe_code)]";

pub(super) fn check(tree: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for name in PURE {
        let folder = format!("crates/{name}");
        let tests: Vec<&str> = tree
            .iter()
            .filter(|file| file.path.starts_with(&folder))
            .flat_map(|file| test_modules(&file.text))
            .collect();
        for file in tree.iter().filter(|file| file.path.starts_with(&folder) && file.has_extension("rs")) {
            if file.path.ends_with("src/lib.rs") && !file.text.contains(FORBID) {
                faults.push(file.fault(1, &format!("a pure crate begins with `{FORBID}`")));
            }
            if file.path.starts_with(format!("{folder}/src")) && !is_test(&file.path, &tests) {
                faults.extend(impure(file));
            }
        }
        let present = tree.iter().any(|file| file.path.starts_with(&folder));
        let config = format!("{folder}/clippy.toml");
        if present && !tree.iter().any(|file| file.path.as_os_str() == config.as_str()) {
            faults.push(format!("{config}: missing: `ln -s ../../xtask/pure.toml {config}`"));
        }
    }
    faults
}

/// The names of modules in files of their own that are only compiled for tests.
fn test_modules(text: &str) -> impl Iterator<Item = &str> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declared = |pair: &[&'_ str]| pair[0] == TEST_ONLY;
    let pairs: Vec<&str> = lines.windows(2).filter(|pair| declared(pair)).map(|pair| pair[1]).collect();
    pairs.into_iter().filter_map(|line| line.split("mod ").nth(1)?.strip_suffix(';'))
}

fn is_test(path: &Path, modules: &[&str]) -> bool {
    path.with_extension("").components().any(|part| modules.iter().any(|module| part.as_os_str() == *module))
}

fn impure(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    let mut lines = file.text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        if line.trim_start().starts_with(TEST_ONLY) {
            let Some((_, item)) = lines.next() else { break };
            // Tests stand at the end of a file; what they do is theirs.
            if item.contains("mod ") && item.ends_with('{') {
                break;
            }
            continue;
        }
        let code = line.split("//").next().unwrap_or_default();
        for (text, instead) in BANNED.iter().filter(|(text, _)| names(code, text)) {
            faults.push(file.fault(index + 1, &format!("`{text}` in a pure crate: {instead}")));
        }
    }
    faults
}

/// Whether `code` holds `text` as a word of its own (`println!` is in `eprintln!`, and is not meant there).
fn names(code: &str, text: &str) -> bool {
    code.match_indices(text).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + text.len()..].chars().next();
        let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let open_end = text.ends_with("std");
        !inside(before) && (open_end || !inside(after))
    })
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn faults(code: &str) -> Vec<String> {
        impure(&file("crates/unrefuse-parse/src/a.rs", code))
    }

    #[test]
    fn every_banned_word_is_found_where_it_is_code() {
        for (text, _) in BANNED {
            assert_eq!(faults(&format!("fn a() {{ {text}\n}}")).len(), 1, "{text}");
            assert_eq!(faults(&format!("// about {text}\n")), Vec::<String>::new(), "{text}");
            assert_eq!(faults(&format!("#[cfg(test)]\nmod tests {{ {text} }}\n")), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn what_follows_a_test_only_item_is_still_looked_at() {
        assert_eq!(faults("#[cfg(test)]\nuse std::fs;\nfn a() { std::fs::read(\"\") }\n").len(), 1);
    }

    #[test]
    fn a_file_that_is_only_compiled_for_tests_may_read_its_samples() {
        let tree = |declaration: &str| {
            let lib = format!("{FORBID}\n{declaration}\nmod samples;\n");
            let samples = file("crates/unrefuse-parse/src/samples.rs", "use std::fs;\n");
            check(&[file("crates/unrefuse-parse/src/lib.rs", &lib), samples])
        };
        assert!(tree(TEST_ONLY).iter().all(|fault| fault.contains("pure.toml")));
        assert!(tree("").iter().any(|fault| fault.contains("`std::fs`")));
    }

    #[test]
    fn longer_words_are_other_words() {
        assert_eq!(faults("use std::process_like; struct MyTcpStream;"), Vec::<String>::new());
    }

    #[test]
    fn a_pure_crate_forbids_unsafe_code_and_has_its_clippy_config() {
        let found = check(&[file("crates/unrefuse-parse/src/lib.rs", "")]);
        assert!(found.len() == 2 && found[0].contains("forbid") && found[1].contains("pure.toml"), "{found:?}");
    }
}

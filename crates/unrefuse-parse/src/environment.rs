//! /etc/environment: variables that pam_env(8) sets for every session.
//!
//! A line as administrators add it (the file is empty on a fresh Debian):
//! ```text
//! https_proxy="http://proxy.example:3128"
//! ```

use crate::lines;
use unrefuse_facts::{Location, text};

/// The variables of /etc/environment with the line of each, in file order, as pam_env reads them
/// (modules/pam_env/pam_env.c, `_parse_env_file`).
///
/// `KEY=value`, with `export ` before it or without. `#` starts a comment anywhere, even in quotes. Quotes around the
/// value go away; inside, they stay. Nothing is expanded. A key holds letters, digits and `_` only, else its line is
/// passed over, as is one without a value (it removes the variable). Of a name that is set twice the last one counts.
///
/// Values may hold passwords: show them only through [`crate::proxy::redact`].
///
/// ```
/// let found = unrefuse_parse::environment::variables("/etc/environment", b"https_proxy=\"http://proxy.example:3128\"\n");
/// assert_eq!(found[0].0, "https_proxy");
/// assert_eq!(found[0].1, "http://proxy.example:3128");
/// ```
pub fn variables(path: &str, bytes: &[u8]) -> Vec<(String, String, Location)> {
    let mut found = Vec::new();
    for (number, line) in lines::numbered(bytes) {
        let code = lines::c_string(line).split(|&b| b == b'#').next().unwrap_or_default();
        let code = trim(code);
        let code = code.strip_prefix(b"export ").map_or(code, trim);
        let Some(equals) = code.iter().position(|&b| b == b'=') else { continue };
        let (key, value) = (&code[..equals], unquoted(&code[equals + 1..]));
        let is_name = !key.is_empty() && key.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_');
        if is_name && !value.is_empty() {
            let location = Location { path: path.to_owned(), line: number };
            found.push((text::from_bytes(key), text::from_bytes(value), location));
        }
    }
    found
}

fn trim(mut code: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = code
        && lines::is_space(*first)
    {
        code = rest;
    }
    while let [rest @ .., last] = code
        && lines::is_space(*last)
    {
        code = rest;
    }
    code
}

/// The value without the quote at its start and the one at its end; the two need not be the same, as in pam_env.
fn unquoted(value: &[u8]) -> &[u8] {
    let is_quote = |b: &u8| matches!(b, b'"' | b'\'');
    match value {
        [first, rest @ ..] if is_quote(first) => match rest {
            [inner @ .., last] if is_quote(last) => inner,
            _ => rest,
        },
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
        variables("e", bytes).into_iter().map(|(key, value, _)| (key, value)).collect()
    }

    #[test]
    fn forms_of_a_line() {
        for (line, value) in [
            (&b"K=v"[..], "v"),
            (b"  K=v  \r\n", "v"),
            (b"export K=v\n", "v"),
            (b"export   K=v\n", "v"),
            (b"K=\"a b\"\n", "a b"),
            (b"K='a\"b'\n", "a\"b"),
            (b"K=\"open\n", "open"),
            (b"K=a=b\n", "a=b"),
            (b"K=http://h/#frag\n", "http://h/"),
            (b"K=v # comment\n", "v"),
            (b"K=caf\xe9\n", "caf\\xe9"),
        ] {
            assert_eq!(pairs(line), [("K".to_owned(), value.to_owned())], "{}", text::from_bytes(line));
        }
    }

    #[test]
    fn lines_without_a_variable() {
        for line in [&b"#K=v"[..], b"K", b"K=", b"K=\"\"", b"=v", b"A-B=v", b"K =v", b"\xff=v", b"K\0=v", b""] {
            assert!(pairs(line).is_empty(), "{}", text::from_bytes(line));
        }
    }

    #[test]
    fn locations_count_every_line() {
        let found = variables("/etc/environment", b"# c\n\nA=1\nB=2");
        assert_eq!(found[1].2.to_string(), "/etc/environment:4");
    }

    #[test]
    fn a_line_of_64_kib() {
        let line = [&b"K="[..], &b"x".repeat(64 * 1024)].concat();
        assert_eq!(pairs(&line)[0].1.len(), 64 * 1024);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(pairs(&bytes).iter().all(|(key, value)| !key.is_empty() && !value.is_empty()));
        }
    }
}

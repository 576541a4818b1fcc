//! Targets as typed: whatever comes out can be typed again, shows no control character, and holds no password.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_facts::{Protocol, text};
use unrefuse_parse::target::parse;

/// No input of the fuzzer's own holds this; where it stands for a password, nothing may show it.
const SECRET: &str = "S3kr1tQ";

fuzz_target!(|input: (bool, Vec<String>)| {
    let (udp, words) = input;
    let words: Vec<&str> = words.iter().map(String::as_str).take(3).collect();
    check(&words, udp);
    if let Some(first) = words.first().filter(|word| !word.contains(SECRET)) {
        no_password_comes_out(first, udp);
    }
});

fn check(words: &[&str], udp: bool) {
    match parse(words, udp) {
        Err(error) => {
            let error = error.to_string();
            assert_eq!(text::visible(&error), error);
            assert!(error.chars().count() < 600, "{error}");
        }
        Ok(target) => {
            assert_eq!(text::visible(&target.input), target.input);
            assert_eq!(text::visible(&target.endpoint()), target.endpoint());
            assert_eq!(target.protocol == Protocol::Unix, target.port == 0);
            let again = parse(&[&target.endpoint()], target.protocol == Protocol::Udp)
                .unwrap_or_else(|error| panic!("{}: {error}", target.endpoint()));
            assert_eq!(again.host, target.host);
            assert_eq!(again.scope, target.scope);
            assert_eq!(again.port, target.port);
            assert_eq!(again.protocol, target.protocol);
        }
    }
}

/// `noise` is everything around a password that could lead a parser astray, the password's own end included.
fn no_password_comes_out(noise: &str, udp: bool) {
    let (before, after) = noise.split_at(noise.floor_char_boundary(noise.len() / 2));
    for word in [
        // The authority ends at the first slash, so the user must not hold one; the password may hold anything else.
        format!("postgres://user:{SECRET}{after}@host/{before}"),
        format!("postgres://user:{SECRET}@{noise}"),
        format!("redis://:{SECRET}@host:{noise}"),
        format!("https://{SECRET}@{noise}"),
        format!("postgres://host/db?{before}&password={SECRET}{after}"),
        format!("jdbc:sqlserver://host;password={SECRET}{noise}"),
        format!("user:{SECRET}{after}@host"),
        format!("{noise}://user:{SECRET}@host"),
    ] {
        let shown = match parse(&[&word], udp) {
            Ok(target) => format!("{target:?}"),
            Err(error) => error.to_string(),
        };
        assert!(!shown.contains(SECRET), "{word:?} -> {shown}");
    }
}

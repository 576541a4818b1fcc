//! nft's own language: no rule is lost, ranges run upwards, a word that nobody knows leaves its mark.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_firewall::model::Elements;
use unrefuse_firewall::nft::file::{Included, parse};

fuzz_target!(|bytes: &[u8]| {
    // Each file includes the whole again.
    let include = |name: &str, _: &str| vec![Included { name: name.to_owned(), content: Ok(bytes.to_vec()) }];
    let ruleset = parse("x", bytes, &include);
    for set in ruleset.tables.iter().flat_map(|t| t.sets.values()) {
        if let Elements::Ranges(ranges) = &set.elements {
            assert!(ranges.iter().all(|(key, _)| key.iter().all(|(from, to)| from <= to)));
        }
    }
    // The same as a rule, before words that nobody knows.
    let line = bytes.split(|byte| b"\n;{}#\"'\\".contains(byte)).next().unwrap_or_default();
    let text = [&b"table inet t {\nchain c {\n"[..], line, b" nobody knows accept\ndrop\n}\n}\n"].concat();
    let ruleset = parse("x", &text, &|_, _| Vec::new());
    let Some(chain) = ruleset.tables.first().and_then(|t| t.chains.get("c")) else { return };
    if let [rule, last] = chain.rules.as_slice() {
        let understood = !rule.statements.iter().any(|one| format!("{one:?}").contains("Unknown("));
        // Commands that a chain holds and what `queue` and the words after names take stand alone.
        let first = line.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
        assert!(!understood || line.windows(5).any(|word| word == b"queue"), "{first:?} {:?}", rule.statements);
        assert_eq!(last.text(), "drop");
    }
});

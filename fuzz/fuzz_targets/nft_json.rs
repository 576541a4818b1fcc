//! JSON of nft(8): no rule is lost, ranges run upwards, a statement that nobody knows leaves its mark.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_firewall::model::{Elements, Statement};
use unrefuse_firewall::nft::json::parse;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ruleset) = parse(bytes) {
        for set in ruleset.tables.iter().flat_map(|t| t.sets.values()) {
            if let Elements::Ranges(ranges) = &set.elements {
                assert!(ranges.iter().all(|(key, _)| key.iter().all(|(from, to)| from <= to)));
            }
        }
    }
    // The same as a rule's expressions, before one that nobody knows.
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let rule = format!(
        r#"{{"nftables": [{{"table": {{"family": "inet", "name": "t"}}}},
        {{"chain": {{"family": "inet", "table": "t", "name": "c"}}}},
        {{"rule": {{"family": "inet", "table": "t", "chain": "c", "expr": [{text}, {{"nobody knows": 1}}]}}}}]}}"#
    );
    let Ok(ruleset) = parse(rule.as_bytes()) else { return };
    let Some(chain) = ruleset.tables.first().and_then(|t| t.chains.get("c")) else { return };
    for rule in chain.rules.iter() {
        assert!(matches!(rule.statements.last(), Some(Statement::Unknown(_))));
    }
});

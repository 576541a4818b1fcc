//! Blobs of legacy tables: reading ends, a rule has its place in the block, and a block that does not hold together is said
//! to be so.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::HashMap;
use unrefuse_firewall::model::Family;
use unrefuse_firewall::xt::legacy::{Layout, decode};

fuzz_target!(|bytes: &[u8]| {
    let Some((head, entries)) = bytes.split_at_checked(84) else { return };
    let Some(layout) = Layout::read(head) else { return };
    // Offsets near each other are met more often.
    let mut near = layout;
    near.valid_hooks &= 0x1f;
    near.hook_entry = near.hook_entry.map(|offset| offset % 512 / 8 * 8);
    near.underflow = near.underflow.map(|offset| offset % 1024 / 8 * 8);
    for family in [Family::Ip, Family::Ip6] {
        for layout in [&layout, &near] {
            let (table, problems) = decode(family, "filter", layout, entries, &HashMap::new());
            let most = entries.len() / 144;
            assert!(table.chains.values().all(|chain| chain.rules.len() <= most));
            assert!(most > 0 || entries.is_empty() || !problems.is_empty());
        }
    }
});

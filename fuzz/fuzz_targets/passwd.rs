//! passwd(5): names are there and have no field's colon in them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for name in unrefuse_parse::passwd::user_names(bytes).values() {
        assert!(!name.is_empty() && !name.contains([':', '\n', '\0']), "{name:?}");
    }
});

//! Podman's own database: ids are hexadecimal and no value of the environment is kept, whatever the pages hold and wherever
//! they lead. The heads are given, for their checksum would keep everything else from being read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_parse::container::{libpod, libpod_change};

/// One head: the root is page 2.
fn head(change: u64) -> Vec<u8> {
    let mut meta: Vec<u8> = [0xED0C_DAED_u32, 2, 4096, 0].into_iter().flat_map(u32::to_le_bytes).collect();
    meta.extend([2, 0, 0, 0, change].into_iter().flat_map(u64::to_le_bytes));
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let sum = meta.iter().fold(0xcbf2_9ce4_8422_2325, fnv);
    meta.extend(u64::to_le_bytes(sum));
    let mut page = [vec![0; 16], meta].concat();
    page.resize(4096, 0);
    page
}

fuzz_target!(|bytes: &[u8]| {
    let _ = (libpod(bytes), libpod_change(bytes));
    let file = [&head(1)[..], &head(2), bytes].concat();
    assert_eq!(libpod_change(&file), Some(2));
    for container in libpod(&file).into_iter().flat_map(|kept| kept.containers) {
        assert!(container.id.len() == 64 && container.id.bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(container.recipe.environment.iter().all(|name| !name.contains('=')));
        assert!(!container.recipe.incomplete.is_empty());
    }
});

//! Answers of container engines: ids that become parts of paths are hexadecimal, no value of the environment is kept, and
//! the words of a recipe fit its own claim to be complete.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_parse::container::{Inspected, context, id_of_mounts, image, list, message, networks, server};

fn is_hex(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

fuzz_target!(|bytes: &[u8]| {
    if let Some((listed, total)) = list(bytes) {
        assert!(listed.len() <= total && listed.iter().all(|one| is_hex(&one.id)));
    }
    let (defaults, inspected) = (image(bytes), Inspected::read(bytes));
    for defaults in [None, defaults.as_ref()] {
        let Some(mut found) = inspected.as_ref().and_then(Inspected::container) else { continue };
        found.recipe = inspected.as_ref().map(|inspected| inspected.recipe(&found, defaults)).unwrap_or_default();
        assert!(is_hex(&found.id));
        assert!(found.recipe.environment.iter().all(|name| !name.contains('=')));
        let shown = found.recipe.arguments.iter().chain(&found.recipe.command).any(|word| word.contains("***"));
        let written = std::str::from_utf8(bytes).is_ok_and(|text| text.contains("***"));
        assert!(!shown || written || bytes.contains(&b'\\') || !found.recipe.incomplete.is_empty());
        assert!(found.pid != Some(0) && found.started_ms.is_none_or(|ms| ms > 0));
    }
    if let Some(image) = inspected.as_ref().and_then(Inspected::image) {
        assert!(is_hex(image.strip_prefix("sha256:").unwrap_or(&image)));
    }
    assert!(id_of_mounts(bytes).is_none_or(|id| is_hex(&id)));
    assert!(context(bytes).is_none_or(|path| path.starts_with('/') && path.len() < 108));
    let _ = (message(bytes), networks(bytes), server(bytes));
});

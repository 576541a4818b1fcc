//! Files that tests read: the one place of this crate that touches the system.

/// The file's bytes; `None`, said on stderr, where it is not there: then the test did not run.
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "tests read their samples and say what they could not"
)]
pub(crate) fn read(path: &str) -> Option<Vec<u8>> {
    std::fs::read(path).map_err(|error| eprintln!("did not run: {path}: {error}")).ok()
}

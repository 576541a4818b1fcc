use super::*;

fn ok(words: &[&str]) -> Target {
    parse(words, false).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

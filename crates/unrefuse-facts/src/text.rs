//! Text that comes from elsewhere, made safe to keep and to show.

use std::fmt::Write as _;

/// Bytes as text: valid UTF-8 stays, every other byte becomes a visible `\xNN`.
///
/// Names, command lines and file contents are bytes on Linux; nothing is dropped or replaced by `U+FFFD`.
pub fn from_bytes(bytes: &[u8]) -> String {
    if let Ok(text) = str::from_utf8(bytes) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Text with every character visible that could act on a terminal or mislead a reader.
///
/// Control characters (C0, DEL, C1) become `\xNN`, `\n`, `\t`, `\r`; Unicode format characters that reorder or hide text
/// (bidirectional overrides, zero-width characters, line separators) become `\u{NNNN}`. One line stays one line.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c if is_deceiving(c) => {
                let _ = write!(out, "\\u{{{:04x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

/// Characters that print nothing or change the order of others (Unicode TR 36, "bidirectional text spoofing").
fn is_deceiving(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` cut to at most `max` characters, with `…` where something was cut.
pub fn clip(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// `word` quoted for a POSIX shell, or `None` where no quoting makes it safe to paste.
///
/// A word with control or deceiving characters gives `None`: pasted into a terminal it could act before the shell
/// sees it, and shown to a person it would not be what it looks like. Such a value gives no command, but a sentence.
pub fn shell_quote(word: &str) -> Option<String> {
    if word.chars().any(|c| c.is_control() || is_deceiving(c)) {
        return None;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,[]".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !word.contains('[') {
        return Some(word.to_owned());
    }
    Some(format!("'{}'", word.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_bytes_are_visible() {
        assert_eq!(from_bytes(b"a\xffb\xc3"), "a\\xffb\\xc3");
    }

    #[test]
    fn escape_sequences_and_overrides_are_harmless() {
        assert_eq!(visible("\x1b]0;x\x07 a\u{202e}b\n\u{9b}"), "\\x1b]0;x\\x07 a\\u{202e}b\\n\\x9b");
        assert_eq!(visible("käse 🧀"), "käse 🧀");
    }

    #[test]
    fn quoting() {
        assert_eq!(shell_quote("db1:5432").unwrap(), "db1:5432");
        assert_eq!(shell_quote("a b").unwrap(), "'a b'");
        assert_eq!(shell_quote("it's $(x)").unwrap(), "'it'\\''s $(x)'");
        assert_eq!(shell_quote("").unwrap(), "''");
        assert_eq!(shell_quote("a\nb"), None);
        assert_eq!(shell_quote("a\u{202e}b"), None);
    }

    #[test]
    fn clipping_counts_characters() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöüx", 3), "äö…");
    }
}

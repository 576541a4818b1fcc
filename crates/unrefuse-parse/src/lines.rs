//! Lines of a file with their numbers, bounded.

/// Lines looked at in one file. A hosts file with blocklists has some 200,000; a million is hostile or broken.
pub(crate) const MAX_LINES: usize = 1_000_000;

/// The lines of `bytes` with their numbers from 1, without the line feed; at most [`MAX_LINES`].
///
/// A carriage return before the line feed stays: what it means differs by format.
pub(crate) fn numbered(bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let count = if bytes.is_empty() { 0 } else { MAX_LINES };
    (1_u32..).zip(body.split(|&b| b == b'\n').take(count))
}

/// What a C program sees of a line: everything up to the first NUL.
pub(crate) fn c_string(line: &[u8]) -> &[u8] {
    line.split(|&b| b == 0).next().unwrap_or_default()
}

/// The words of a line, parted by blanks as isspace(3) knows them (C locale).
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&b| is_space(b)).filter(|word| !word.is_empty())
}

/// isspace(3) in the C locale: space, `\t`, `\n`, `\v`, `\f`, `\r`.
pub(crate) fn is_space(byte: u8) -> bool {
    byte == b' ' || (b'\t'..=b'\r').contains(&byte)
}

/// A decimal number of ASCII digits only; `None` for a sign, a blank, nothing, or too large a number.
pub(crate) fn decimal<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_the_last_newline_makes_no_line() {
        let all: Vec<_> = numbered(b"a\n\nb\n").collect();
        assert_eq!(all, [(1, &b"a"[..]), (2, b""), (3, b"b")]);
        assert_eq!(numbered(b"a\nb").count(), 2);
        assert_eq!(numbered(b"").count(), 0);
        assert_eq!(numbered(b"\n").count(), 1);
    }

    #[test]
    fn a_million_lines_are_the_most() {
        assert_eq!(numbered(&b"\n".repeat(MAX_LINES + 7)).count(), MAX_LINES);
    }

    #[test]
    fn decimals_take_digits_only() {
        assert_eq!(decimal::<u32>(b"42"), Some(42));
        for bad in [&b"+42"[..], b"-1", b"", b" 1", b"4294967296", b"\xff"] {
            assert_eq!(decimal::<u32>(bad), None, "{bad:?}");
        }
    }
}

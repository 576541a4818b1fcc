//! Hostile text made safe and bounded, and broken into lines by what it takes on a screen.

use std::ops::Range;
use unicode_width::UnicodeWidthStr;
use unrefuse_facts::text::{clip, visible};

/// The longest text of one field that is printed, in characters.
const LONGEST: usize = 500;
/// The same with `-v`.
const LONGEST_VERBOSE: usize = 4000;

/// `text` visible and bounded.
pub(crate) fn safe(text: &str, verbose: bool) -> String {
    let longest = if verbose { LONGEST_VERBOSE } else { LONGEST };
    clip(&visible(&clip(text, longest)), longest)
}

/// Columns that `text` takes.
pub(crate) fn width(text: &str) -> usize {
    // Most text is plain, and is measured once for every character of a line.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) { text.len() } else { UnicodeWidthStr::width(text) }
}

/// The lines of `text`, the first at most `first` columns wide and the others `columns`: broken at spaces, and within a
/// word only where it is longer than a line. The spaces at a break are left out. At least one line; a character wider
/// than a line gets its own.
pub(crate) fn wrap(text: &str, first: usize, columns: usize) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut start = 0;
    loop {
        let columns = if lines.is_empty() { first } else { columns };
        let rest = &text[start..];
        let Some(end) = line_end(rest, columns).map(|end| start + end) else {
            lines.push(start..start + rest.trim_end_matches(' ').len());
            return lines;
        };
        lines.push(start..start + text[start..end].trim_end_matches(' ').len());
        start = end + (text[end..].len() - text[end..].trim_start_matches(' ').len());
        if start == text.len() {
            return lines;
        }
    }
}

/// Where the first line of `rest` ends; `None` where it all fits.
fn line_end(rest: &str, columns: usize) -> Option<usize> {
    let mut fits = 0;
    let mut space = None;
    for (at, c) in rest.char_indices() {
        if width(&rest[..at + c.len_utf8()]) > columns {
            return Some(match space {
                _ if c == ' ' && fits > 0 => fits,
                Some(at) => at,
                None if fits == 0 => c.len_utf8(),
                None => fits,
            });
        }
        fits = at + c.len_utf8();
        if c == ' ' && !rest[..at].trim().is_empty() {
            space = Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, columns: usize) -> Vec<&str> {
        wrap(text, columns, columns).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn breaks_at_spaces() {
        assert_eq!(lines("one two three", 7), ["one two", "three"]);
        assert_eq!(lines("one two three", 8), ["one two", "three"]);
        assert_eq!(lines("one two", 7), ["one two"]);
        assert_eq!(lines("", 7), [""]);
        assert_eq!(lines("one    two", 5), ["one", "two"]);
        assert_eq!(lines("one two ", 7), ["one two"]);
    }

    #[test]
    fn a_long_word_is_broken_where_the_line_ends() {
        assert_eq!(lines("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(lines("a bcdefgh", 3), ["a", "bcd", "efg", "h"]);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(lines("漢字漢字", 5), ["漢字", "漢字"]);
        assert_eq!(lines("漢字", 1), ["漢", "字"]);
        assert_eq!(lines("e\u{301}e\u{301}e\u{301}", 2), ["e\u{301}e\u{301}", "e\u{301}"]);
    }

    #[test]
    fn leading_spaces_stay() {
        assert_eq!(lines("  ab cd", 5), ["  ab", "cd"]);
    }

    #[test]
    fn text_is_bounded_and_visible() {
        assert_eq!(safe("a\x1b[31mb", false), "a\\x1b[31mb");
        assert!(safe(&"\x1b".repeat(1 << 16), false).chars().count() <= LONGEST);
        assert!(safe(&"x".repeat(1 << 16), true).chars().count() <= LONGEST_VERBOSE);
    }
}

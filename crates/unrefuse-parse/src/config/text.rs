//! A file's bytes with its lines.

use super::lexer::Token;
use std::ops::Range;
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::{ConfigLine, Location, Origin};

/// Longer lines are shown cut, and cannot be changed in place.
const LONGEST: usize = 1000;

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl Text {
    pub(crate) fn new(path: &str, bytes: Vec<u8>) -> Self {
        let mut starts = vec![0];
        starts.extend(memchr::memchr_iter(b'\n', &bytes).map(|at| at + 1));
        Self { path: path.to_owned(), bytes, starts }
    }

    /// The lines with their numbers from 1 and where they begin, without line feed and carriage return.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u32, usize, &[u8])> {
        (1..).zip(&self.starts).map(|(number, &start)| (number, start, self.line_at(start)))
    }

    fn line_at(&self, start: usize) -> &[u8] {
        let rest = &self.bytes[start..];
        let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// The number of the line that byte `at` stands in.
    pub(crate) fn number(&self, at: usize) -> u32 {
        u32::try_from(self.starts.partition_point(|&start| start <= at)).unwrap_or(u32::MAX)
    }

    /// How many lines there are.
    pub(crate) fn count(&self) -> u32 {
        let last_is_empty = self.bytes.last().is_none_or(|&b| b == b'\n');
        u32::try_from(self.starts.len() - usize::from(last_is_empty)).unwrap_or(u32::MAX)
    }

    /// The line number `number` as a place.
    pub(crate) fn location(&self, number: u32) -> Location {
        Location { path: self.path.clone(), line: number }
    }

    /// The line that holds `value`, a range of bytes of the file.
    pub(crate) fn origin(&self, value: Range<usize>) -> Origin {
        let number = self.number(value.start);
        let start = self.starts[number as usize - 1];
        let line = self.line_at(start);
        let shown = from_bytes(line);
        let within = value.end <= start + line.len();
        let location = self.location(number);
        if is_secret(&shown) || !within || shown.len() > LONGEST {
            let end = value.end.min(start + line.len()).max(value.start);
            let text = format!("*** {} ***", from_bytes(&self.bytes[value.start..end]));
            return Origin::Line(ConfigLine { location, text, value: None });
        }
        // A byte that is no UTF-8 is shown as four: places after it move.
        let exact = std::str::from_utf8(line).is_ok();
        Origin::Line(ConfigLine {
            location,
            text: shown,
            value: exact.then(|| (value.start - start, value.end - start)),
        })
    }

    /// The line that holds the tokens from `first` to `last`.
    pub(crate) fn origin_of(&self, first: &Token, last: &Token) -> Origin {
        self.origin(first.span.start..last.span.end.max(first.span.start))
    }
}

/// Lines that speak of secrets are not kept: several settings may share a line.
fn is_secret(line: &str) -> bool {
    const WORDS: [&str; 8] =
        ["passw", "secret", "token", "requirepass", "masterauth", "authorization", "credential", "apikey"];
    let line = line.to_ascii_lowercase();
    WORDS.iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_values() {
        let text = Text::new("/f", b"a\nport 80\r\n\nx".to_vec());
        let Origin::Line(line) = text.origin(7..9) else { panic!() };
        assert_eq!((line.location.line, line.text.as_str(), line.value()), (2, "port 80", Some("80")));
        assert_eq!(text.count(), 4);
        assert_eq!(Text::new("/f", b"a\n".to_vec()).count(), 1);
        assert_eq!(Text::new("/f", Vec::new()).count(), 0);
        assert_eq!(text.lines().map(|(number, _, line)| (number, line.len())).last(), Some((4, 1)));
    }

    #[test]
    fn a_line_with_a_secret_is_not_kept() {
        let text = Text::new("/f", b"server { listen 80; set $password hunter2; }".to_vec());
        let Origin::Line(line) = text.origin(16..18) else { panic!() };
        assert_eq!((line.text.as_str(), line.value), ("*** 80 ***", None));
    }

    #[test]
    fn a_line_that_is_no_utf_8_cannot_be_changed() {
        let text = Text::new("/f", b"\xff 80".to_vec());
        let Origin::Line(line) = text.origin(2..4) else { panic!() };
        assert_eq!((line.text.as_str(), line.value), ("\\xff 80", None));
    }
}

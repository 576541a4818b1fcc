//! The lexer that all grammars share: words with their places in the file.
//!
//! ```text
//! listen  "127.0.0.1:80" default_server;   # a comment
//! ^word   ^word, quoted  ^word         ^punctuation
//! ```

use std::ops::Range;
use unrefuse_facts::text::from_bytes;

/// How a format writes words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Syntax {
    /// Where `#` begins a comment.
    pub(crate) comment: Comment,
    /// Bytes that begin and end a quoted word.
    pub(crate) quotes: &'static [u8],
    /// A backslash takes the special meaning from the byte after it, outside of quotes too.
    pub(crate) escapes: bool,
    /// Bytes that are words of their own.
    pub(crate) punctuation: &'static [u8],
    /// The end of a line ends a statement.
    pub(crate) lines: bool,
    /// A backslash at the end of a line joins it with the next one.
    pub(crate) joins: bool,
    /// `${name}` is part of a word although braces are punctuation.
    pub(crate) variables: bool,
}

/// Where `#` begins a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comment {
    /// Only as the first word of a line.
    LineStart,
    /// Where a word could begin.
    WordStart,
    /// Anywhere outside of quotes.
    Anywhere,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    Punctuation(u8),
    LineEnd,
}

/// A word, a mark, or the end of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Its text without quotes and escapes.
    pub(crate) text: String,
    pub(crate) line: u32,
    /// Its bytes in the file, quotes included.
    pub(crate) span: Range<usize>,
    pub(crate) quoted: bool,
}

/// What is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: u32,
    pub(crate) why: &'static str,
}

/// Reads tokens one by one.
#[derive(Debug)]
pub(crate) struct Lexer<'t> {
    bytes: &'t [u8],
    at: usize,
    line: u32,
    syntax: Syntax,
    /// No word yet on this line.
    fresh: bool,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(bytes: &'t [u8], syntax: Syntax) -> Self {
        // A byte order mark is no part of the first word.
        let at = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { bytes, at, line: 1, syntax, fresh: true }
    }

    /// Where the next byte is.
    pub(crate) fn position(&self) -> (usize, u32) {
        (self.at, self.line)
    }

    /// Goes on at another byte further on.
    pub(crate) fn skip_to(&mut self, at: usize) {
        let to = at.clamp(self.at, self.bytes.len());
        self.line += lines_in(&self.bytes[self.at..to]);
        self.at = to;
    }

    /// The next token; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Token>, Fault> {
        loop {
            let Some(&byte) = self.bytes.get(self.at) else { return Ok(None) };
            match byte {
                b'\n' => {
                    let token = self.mark(Kind::LineEnd);
                    self.line += 1;
                    self.fresh = true;
                    if self.syntax.lines {
                        return Ok(Some(token));
                    }
                }
                b' ' | b'\t' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'\\' if self.syntax.joins && self.joined() => {}
                b'#' if self.syntax.comment != Comment::LineStart || self.fresh => self.skip_line(),
                _ if self.syntax.punctuation.contains(&byte) => {
                    self.fresh = false;
                    return Ok(Some(self.mark(Kind::Punctuation(byte))));
                }
                _ => {
                    self.fresh = false;
                    return self.word().map(Some);
                }
            }
        }
    }

    fn mark(&mut self, kind: Kind) -> Token {
        let start = self.at;
        self.at += 1;
        let text = from_bytes(&self.bytes[start..self.at]);
        Token { kind, text, line: self.line, span: start..self.at, quoted: false }
    }

    /// Steps over a backslash with a line end behind it.
    fn joined(&mut self) -> bool {
        let rest = &self.bytes[self.at + 1..];
        let length = match rest {
            [b'\n', ..] => 2,
            [b'\r', b'\n', ..] => 3,
            _ => return false,
        };
        self.at += length;
        self.line += 1;
        true
    }

    fn skip_line(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    }

    fn word(&mut self) -> Result<Token, Fault> {
        let (start, line) = (self.at, self.line);
        let mut text = Vec::new();
        let mut quoted = false;
        while let Some(&byte) = self.bytes.get(self.at) {
            let next = self.bytes.get(self.at + 1).copied();
            match byte {
                b'\n' | b' ' | b'\t' | b'\r' | 0x0b | 0x0c => break,
                b'#' if self.syntax.comment == Comment::Anywhere => break,
                b'\\' if self.syntax.joins && matches!(next, Some(b'\n')) => {
                    self.at += 2;
                    self.line += 1;
                }
                b'\\' if self.syntax.escapes && next.is_some_and(|next| next != b'\n') => {
                    text.extend(next);
                    self.at += 2;
                }
                b'$' if self.syntax.variables && next == Some(b'{') => {
                    let rest = &self.bytes[self.at..];
                    let end = rest.iter().position(|b| matches!(b, b'}' | b'\n')).map_or(rest.len(), |end| end + 1);
                    let end = if rest[end - 1] == b'\n' { end - 1 } else { end };
                    text.extend_from_slice(&rest[..end]);
                    self.at += end;
                }
                _ if self.syntax.quotes.contains(&byte) && (text.is_empty() || !self.syntax.variables) => {
                    quoted = true;
                    self.quoted(byte, line, &mut text)?;
                }
                _ if self.syntax.punctuation.contains(&byte) => break,
                _ => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
        Ok(Token { kind: Kind::Word, text: from_bytes(&text), line, span: start..self.at, quoted })
    }

    fn quoted(&mut self, quote: u8, line: u32, text: &mut Vec<u8>) -> Result<(), Fault> {
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'\n' if self.syntax.lines => {
                    self.at -= 1;
                    return Err(Fault { line, why: "a quoted text has no end on its line" });
                }
                b'\n' => {
                    self.line += 1;
                    text.push(byte);
                }
                b'\\' if self.bytes.get(self.at).is_some_and(|next| *next == quote || *next == b'\\') => {
                    text.push(self.bytes[self.at]);
                    self.at += 1;
                }
                _ if byte == quote => return Ok(()),
                _ => text.push(byte),
            }
        }
        Err(Fault { line, why: "a quoted text has no end" })
    }
}

/// How many lines end in `bytes`.
fn lines_in(bytes: &[u8]) -> u32 {
    u32::try_from(memchr::memchr_iter(b'\n', bytes).count()).unwrap_or(u32::MAX)
}

/// The words of each line that has some, and what is wrong with those that could not be read.
pub(crate) fn lines(bytes: &[u8], syntax: Syntax) -> (Vec<Vec<Token>>, Vec<Fault>) {
    let mut lexer = Lexer::new(bytes, Syntax { lines: true, ..syntax });
    let (mut all, mut faults, mut words) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match lexer.next() {
            Ok(Some(token)) if token.kind == Kind::LineEnd => {
                if !words.is_empty() {
                    all.push(std::mem::take(&mut words));
                }
            }
            Ok(Some(token)) => words.push(token),
            Ok(None) => break,
            Err(fault) => {
                faults.push(fault);
                words.clear();
                lexer.skip_line();
            }
        }
    }
    if !words.is_empty() {
        all.push(words);
    }
    (all, faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: Syntax = Syntax {
        comment: Comment::WordStart,
        quotes: b"\"'",
        escapes: true,
        punctuation: b"{};",
        lines: false,
        joins: false,
        variables: true,
    };

    fn words(text: &str, syntax: Syntax) -> Vec<String> {
        let mut lexer = Lexer::new(text.as_bytes(), syntax);
        std::iter::from_fn(|| lexer.next().unwrap()).map(|token| token.text).collect()
    }

    #[test]
    fn words_quotes_comments_and_marks() {
        assert_eq!(words("a 'b c' \"d\\\"\" # e\nf;{g}", ALL), ["a", "b c", "d\"", "f", ";", "{", "g", "}"]);
        assert_eq!(words("a#b ${c}d \\; e\\ f", ALL), ["a#b", "${c}d", ";", "e f"]);
        assert_eq!(words("a#b", Syntax { comment: Comment::Anywhere, ..ALL }), ["a"]);
        assert_eq!(words("a #b\n #c", Syntax { comment: Comment::LineStart, ..ALL }), ["a", "#b"]);
        assert_eq!(words("\u{feff}a", ALL), ["a"]);
    }

    #[test]
    fn places_are_those_of_the_file() {
        let mut lexer = Lexer::new(b"a\n  \"b\nc\" d", ALL);
        lexer.next().unwrap();
        let quoted = lexer.next().unwrap().unwrap();
        assert_eq!((quoted.line, quoted.span, quoted.quoted), (2, 4..9, true));
        assert_eq!(lexer.next().unwrap().unwrap().line, 3);
    }

    #[test]
    fn lines_and_those_that_go_on() {
        let syntax = Syntax { joins: true, punctuation: b"", ..ALL };
        let (all, faults) = lines(b"a b \\\n c\n\n# d\n'e\nf", syntax);
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(faults, [Fault { line: 5, why: "a quoted text has no end on its line" }]);
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300), joins: bool, escapes: bool, variables: bool) {
            let syntax = Syntax { joins, escapes, variables, ..ALL };
            let (all, _) = lines(&bytes, syntax);
            for token in all.iter().flatten() {
                prop_assert!(token.span.start < token.span.end && token.span.end <= bytes.len());
            }
        }
    }
}

//! Words and signs of nft's language, with their places (nft(8), LEXICAL CONVENTIONS; src/scanner.l of nftables).

use std::net::Ipv6Addr;
use std::rc::Rc;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, number, address, or several of them joined by `-` or `/`.
    Word,
    /// Between quotes.
    Quoted,
    /// `$name`.
    Variable,
    /// `@name`.
    Set,
    /// A sign; `!=` and `<<` are one.
    Sign,
    /// The end of a line, or `;`.
    End,
}

/// A token.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Without quotes, `$` or `@`. Of an end of line: the handle that `nft -a` writes behind it.
    pub(super) text: Rc<str>,
    /// Line, from 1.
    pub(super) line: u32,
    /// Which file it is in.
    pub(super) file: u16,
    /// First byte in it and the first behind; of what a variable stands for: those of the variable.
    pub(super) from: usize,
    pub(super) to: usize,
}

/// Signs of two characters.
const PAIRS: [&str; 7] = ["!=", "==", "<=", ">=", "<<", ">>", "&&"];

/// All tokens of a file, which has this number.
pub(super) fn tokens(source: &str, file: u16) -> Vec<Token> {
    let mut lexer = Lexer { source, file, at: 0, line: 1, found: Vec::new() };
    while lexer.step() {}
    lexer.push(Kind::End, "", source.len());
    lexer.found
}

struct Lexer<'a> {
    source: &'a str,
    file: u16,
    at: usize,
    line: u32,
    found: Vec<Token>,
}

const fn begins_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_' || c >= 0x80
}

const fn in_word(c: u8) -> bool {
    begins_word(c) || matches!(c, b'.' | b'-' | b'/' | b'*')
}

impl Lexer<'_> {
    fn push(&mut self, kind: Kind, text: &str, from: usize) {
        self.found.push(Token { kind, text: text.into(), line: self.line, file: self.file, from, to: self.at });
    }

    fn take_while(&mut self, of: impl Fn(u8) -> bool) -> usize {
        let rest = &self.source.as_bytes()[self.at..];
        let length = rest.iter().position(|c| !of(*c)).unwrap_or(rest.len());
        self.at += length;
        length
    }

    fn step(&mut self) -> bool {
        self.take_while(|c| matches!(c, b' ' | b'\t' | b'\r'));
        let (from, source) = (self.at, self.source);
        let rest = &source[from..];
        let Some(&first) = rest.as_bytes().first() else { return false };
        match first {
            b'\n' => {
                self.at += 1;
                self.push(Kind::End, "", from);
                self.line += 1;
            }
            b'\\' if rest[1..].trim_start_matches(['\r', ' ', '\t']).starts_with('\n') => {
                self.at = from + rest.find('\n').unwrap_or(0) + 1;
                self.line += 1;
            }
            b'#' => {
                self.take_while(|c| c != b'\n');
                let said = source[from + 1..self.at].trim();
                if let Some(handle) = said.strip_prefix("handle ") {
                    self.push(Kind::End, handle.trim(), from);
                } else if said.starts_with("xt_") {
                    // nft without iptables' modules lists their matches and targets so: what follows is hidden.
                    self.push(Kind::Sign, said, from);
                }
            }
            b';' => {
                self.at += 1;
                self.push(Kind::End, "", from);
            }
            b'"' | b'\'' => {
                self.at += 1;
                let length = self.take_while(|c| c != first && c != b'\n');
                let text = &source[from + 1..from + 1 + length];
                // A quote that stays open ends with its line, and is no word of anything.
                let closed = source.as_bytes().get(self.at) == Some(&first);
                self.at += usize::from(closed);
                self.push(if closed { Kind::Quoted } else { Kind::Sign }, text, from);
            }
            b'$' | b'@' if source.as_bytes().get(from + 1).copied().is_some_and(begins_word) => {
                self.at += 1;
                let length = self.take_while(|c| begins_word(c) || matches!(c, b'.' | b'-'));
                let kind = if first == b'$' { Kind::Variable } else { Kind::Set };
                self.push(kind, &source[from + 1..from + 1 + length], from);
            }
            _ => {
                if let Some(length) = colons(rest) {
                    self.at += length;
                    self.push(Kind::Word, &rest[..length], from);
                } else if begins_word(first) || first == b'*' {
                    self.take_while(in_word);
                    self.push(Kind::Word, &source[from..self.at], from);
                } else {
                    let pair = PAIRS.iter().find(|pair| rest.starts_with(**pair));
                    // What begins here is no word, so it is one byte long.
                    self.at += pair.map_or(1, |pair| pair.len());
                    self.push(Kind::Sign, &source[from..self.at], from);
                }
            }
        }
        true
    }
}

/// The length of an IPv6 address, with the length of its prefix, or of a MAC address: words with colons, which elsewhere
/// stand between a key and its data.
fn colons(rest: &str) -> Option<usize> {
    let run = rest.bytes().take(64).position(|c| !(c.is_ascii_hexdigit() || matches!(c, b':' | b'.')));
    let run = run.unwrap_or(rest.len().min(64));
    let ends = |at: usize| !rest.as_bytes().get(at).copied().is_some_and(begins_word);
    let whole = |text: &str| {
        let mac = text.len() == 17 && text.split(':').filter(|part| part.len() == 2).count() == 6;
        mac || text.contains(':') && text.parse::<Ipv6Addr>().is_ok()
    };
    let length = (2..=run).rev().find(|at| ends(*at) && whole(&rest[..*at]))?;
    let prefix = rest[length..].strip_prefix('/').map_or(0, |bits| {
        let digits = bits.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 { 0 } else { digits + 1 }
    });
    Some(length + prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        tokens(source, 0).iter().map(|token| format!("{:?} {}", token.kind, token.text)).collect()
    }

    #[test]
    fn colons_belong_to_addresses_or_stand_alone() {
        let of = |source: &str| -> Vec<String> {
            tokens(source, 0).iter().filter(|t| t.kind != Kind::End).map(|t| t.text.to_string()).collect()
        };
        assert_eq!(of("22:accept"), ["22", ":", "accept"]);
        assert_eq!(of("fe80::/10 : drop"), ["fe80::/10", ":", "drop"]);
        assert_eq!(of("to [2001:db8::1]:80"), ["to", "[", "2001:db8::1", "]", ":", "80"]);
        assert_eq!(of("::1-::5"), ["::1", "-", "::5"]);
        assert_eq!(of("02:00:00:00:00:07,lo:drop"), ["02:00:00:00:00:07", ",", "lo", ":", "drop"]);
        assert_eq!(of("10.0.0.1:80-90"), ["10.0.0.1", ":", "80-90"]);
        assert_eq!(of("::ffff:10.0.0.1"), ["::ffff:10.0.0.1"]);
        assert_eq!(of("fe80::accept"), ["fe80", ":", ":", "accept"]);
    }

    #[test]
    fn lines_quotes_comments_and_handles() {
        assert_eq!(
            words("a \"b # c\" # d\n$e @f \\\n  g; != # handle 7\n"),
            [
                "Word a",
                "Quoted b # c",
                "End ",
                "Variable e",
                "Set f",
                "Word g",
                "End ",
                "Sign !=",
                "End 7",
                "End ",
                "End "
            ]
        );
        let lines: Vec<u32> = tokens("a\nb \\\nc\n", 0).iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 1, 2, 3, 3, 4]);
        assert_eq!(words("\"open\nx"), ["Sign open", "End ", "Word x", "End "]);
        assert_eq!(words("é¬ ²"), ["Word é¬", "Word ²", "End "]);
    }
}

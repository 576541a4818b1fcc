//! A line as words, split as iptables-restore does (iptables, `add_param_to_argv`): words end at blanks; a double quote
//! opens a stretch in which a backslash takes the next character as it is; a closing quote ends the word, empty or not.

use std::borrow::Cow;

/// A word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// What it says, without quotes and backslashes.
    pub(super) text: Cow<'a, str>,
    /// It had quotes: an option or a `!` in them is plain text.
    pub(super) quoted: bool,
}

/// Words of a line of iptables-save text. `None`: a quote is left open, so the line is cut off.
pub(super) fn split(line: &str) -> Option<Vec<Word<'_>>> {
    let mut words = Vec::with_capacity(16);
    let mut rest = line.trim_start_matches(BLANK);
    while !rest.is_empty() {
        let end = rest.find(|c| c == '"' || BLANK.contains(&c)).unwrap_or(rest.len());
        if rest.as_bytes().get(end) == Some(&b'"') {
            let mut text = String::from(&rest[..end]);
            let taken = quoted(&rest[end + 1..], '"', &mut text)?;
            words.push(Word { text: Cow::Owned(text), quoted: true });
            rest = &rest[end + 1 + taken..];
        } else {
            words.push(Word { text: Cow::Borrowed(&rest[..end]), quoted: false });
            rest = &rest[end..];
        }
        rest = rest.trim_start_matches(BLANK);
    }
    Some(words)
}

/// Words of a shell command: single quotes too, a word goes on after its quotes, and a backslash counts outside of them.
/// `None`: a quote is left open.
pub(super) fn split_shell(line: &str) -> Option<Vec<Word<'_>>> {
    let mut words = Vec::new();
    let mut rest = line;
    let (mut text, mut open, mut had_quotes) = (String::new(), false, false);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '"' | '\'' => {
                (open, had_quotes) = (true, true);
                let taken = quoted(rest, c, &mut text)?;
                rest = &rest[taken..];
            }
            '\\' => {
                let next = rest.chars().next()?;
                // `\!` is a `!` that the shell leaves alone: still the option's.
                (open, had_quotes) = (true, had_quotes || next != '!');
                text.push(next);
                rest = &rest[next.len_utf8()..];
            }
            c if BLANK.contains(&c) => {
                if open {
                    words.push(Word { text: Cow::Owned(std::mem::take(&mut text)), quoted: had_quotes });
                }
                (open, had_quotes) = (false, false);
            }
            '#' if !open => break,
            c => {
                open = true;
                text.push(c);
            }
        }
    }
    if open {
        words.push(Word { text: Cow::Owned(text), quoted: had_quotes });
    }
    Some(words)
}

const BLANK: [char; 3] = [' ', '\t', '\r'];

/// Reads up to the closing quote; bytes taken with it. A backslash counts in double quotes only.
fn quoted(rest: &str, quote: char, into: &mut String) -> Option<usize> {
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if quote == '"' => into.push(chars.next()?.1),
            c if c == quote => return Some(at + 1),
            c => into.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        split(line).unwrap().into_iter().map(|w| w.text.into_owned()).collect()
    }

    #[test]
    fn words_end_as_in_iptables_restore() {
        assert_eq!(texts(r#"-A INPUT  -m comment --comment "a\"b \'x \\ !" -j X"#)[5], r#"a"b 'x \ !"#);
        assert_eq!(texts(r#"--comment "" -j"#), ["--comment", "", "-j"]);
        assert_eq!(texts(r#"a\b 'c d'"#), ["a\\b", "'c", "d'"]);
        assert_eq!(split(r#"--comment "cut"#), None);
        assert_eq!(split(r#"--comment "cut\"#), None);
    }

    #[test]
    fn shell_words_know_both_quotes() {
        let words = split_shell(r#"-m comment --comment 'it is "so"' \! -s a"b c"d # end"#).unwrap();
        let texts: Vec<&str> = words.iter().map(|w| &*w.text).collect();
        assert_eq!(texts, ["-m", "comment", "--comment", "it is \"so\"", "!", "-s", "ab cd"]);
        assert!(words[3].quoted && !words[4].quoted);
        assert_eq!(split_shell("'open"), None);
    }
}

//! nft's own language: `nft list ruleset` and the files that `nft -f` loads (nft(8)), read into the model.
//!
//! ```text
//! #!/usr/sbin/nft -f
//! flush ruleset
//! define WAN = { eth0, eth1 }
//! table inet filter {
//!     set banned { type ipv4_addr; flags interval; elements = { 203.0.113.0/24 } }
//!     chain input {
//!         type filter hook input priority filter; policy drop;
//!         iifname $WAN ip saddr @banned drop
//!         ct state vmap { established : accept, related : accept, invalid : drop }
//!         tcp dport { ssh, 80-90 } accept comment "open"
//!     }
//! }
//! ```
//!
//! Each statement becomes that of nft's JSON ([`super::json`]), which is what nft(8) itself prints of it: what fields and
//! values mean is said once. A rule that is not understood is kept with its text and its line; from the first word that is
//! not understood on it may do anything. Commands that are not understood are problems of the ruleset.

mod block;
mod cursor;
mod expression;
mod lexer;
mod statement;

use super::json;
use crate::model::{Problem, Ruleset};
use block::Objects;
use cursor::Cursor;
use lexer::{Kind, Token};
use std::sync::Arc;
use unrefuse_facts::text;

/// A file that another one includes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    /// Its name, as places in it are given.
    pub name: String,
    /// What it holds; an error is said as a problem.
    pub content: Result<Vec<u8>, String>,
}

/// Files that are included, at most: they may include each other.
const MOST_FILES: usize = 256;
/// Bytes of all files, at most.
const MOST_BYTES: usize = 64 << 20;

/// Reads a file. `include` gives the files that a name in an `include` stands for, which may have wildcards, in their
/// order; the second word is the file that names them.
pub fn parse(name: &str, bytes: &[u8], include: &dyn Fn(&str, &str) -> Vec<Included>) -> Ruleset {
    let mut reader = Reader { files: Vec::new(), bytes: 0, objects: Objects::default(), problems: Vec::new(), include };
    let mut cursor = Cursor::default();
    if let Some(tokens) = reader.file(name, bytes) {
        cursor.include(tokens);
    }
    reader.commands(&mut cursor);
    let Reader { files, objects, problems, .. } = reader;
    let names: Vec<Arc<str>> = files.into_iter().map(|(name, _)| name.into()).collect();
    let mut ruleset = objects.ruleset(&names);
    ruleset.problems.splice(0..0, problems);
    ruleset
}

struct Reader<'a> {
    /// Names and texts.
    files: Vec<(String, String)>,
    bytes: usize,
    objects: Objects,
    problems: Vec<Problem>,
    include: &'a dyn Fn(&str, &str) -> Vec<Included>,
}

impl Reader<'_> {
    fn file(&mut self, name: &str, bytes: &[u8]) -> Option<Vec<Token>> {
        let number = u16::try_from(self.files.len()).ok().filter(|number| usize::from(*number) < MOST_FILES)?;
        self.bytes += bytes.len();
        if self.bytes > MOST_BYTES {
            return None;
        }
        let text = String::from_utf8_lossy(bytes).into_owned();
        let tokens = lexer::tokens(&text, number);
        self.files.push((name.to_owned(), text));
        Some(tokens)
    }

    fn problem(&mut self, at: &Token, text: &str) {
        let name = self.files.get(usize::from(at.file)).map_or("", |(name, _)| name);
        self.problems.push(Problem { place: format!("{name} line {}", at.line), text: text::clip(text, 300) });
    }

    /// What stands in the files from the first token to the last, on one line.
    fn source(&self, tokens: &[Token]) -> String {
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return String::new() };
        let of = self.files.get(usize::from(first.file)).filter(|_| first.file == last.file);
        let source = of.and_then(|(_, text)| text.get(first.from..last.to)).unwrap_or_default();
        text::visible(&source.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Commands that may stand anywhere: definitions and other files.
    fn preprocessed(&mut self, c: &mut Cursor) -> Option<()> {
        let first = c.peek()?.clone();
        (first.kind == Kind::Word).then_some(())?;
        match &*first.text {
            "define" | "redefine" => {
                c.next();
                let name = c.word().filter(|_| c.take("="));
                let value = c.statement();
                match name {
                    Some(name) => c.define(&name, value),
                    None => self.problem(&first, "a definition without a name"),
                }
            }
            "undefine" => {
                c.next();
                if let Some(name) = c.word() {
                    c.undefine(&name);
                }
            }
            "include" => {
                c.next();
                let Some(path) = c.name() else {
                    self.problem(&first, "include: a file's name is missing");
                    return Some(());
                };
                let from = self.files.get(usize::from(first.file)).map_or("", |(name, _)| name);
                let files = (self.include)(&path, from);
                for included in files.into_iter().rev() {
                    match included.content.map(|bytes| self.file(&included.name, &bytes)) {
                        Ok(Some(tokens)) => c.include(tokens),
                        Ok(None) => self.problem(&first, "too many files are included, or they are too large"),
                        Err(why) => self.problem(&first, &format!("include {}: {why}", included.name)),
                    }
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn commands(&mut self, c: &mut Cursor) {
        loop {
            c.pass_ends();
            let Some(first) = c.peek().cloned() else { return };
            if self.preprocessed(c).is_some() {
                continue;
            }
            if self.command(c).is_none() {
                let mut rest = vec![first.clone()];
                rest.extend(c.statement());
                let text = format!("not understood: {}", self.source(&rest));
                self.problem(&first, &text);
                // A brace that nothing opened stands in the way.
                c.take("}");
            }
        }
    }
}

#[cfg(test)]
mod tests;

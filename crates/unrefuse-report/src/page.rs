//! A page of labelled entries with hanging indents.

use crate::style::{Ink, Style};
use crate::wrap::{safe, width, wrap};
use std::ops::Range;

/// Where an entry's text begins; its label stands before.
pub(crate) const BODY: usize = 12;
/// The longest line that a terminal in line mode takes, in bytes (`N_TTY_BUF_SIZE` in drivers/tty/n_tty.c, less the
/// newline): a longer command would be cut when pasted.
const LONGEST_COMMAND: usize = 4095;

/// Text in pieces of different ink.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spans {
    text: String,
    /// Where each piece ends.
    ends: Vec<(usize, Ink)>,
}

impl Spans {
    pub(crate) fn new(ink: Ink, text: &str) -> Self {
        Self::default().then(ink, text)
    }

    /// With one more piece.
    #[must_use]
    pub(crate) fn then(mut self, ink: Ink, text: &str) -> Self {
        self.text.push_str(text);
        self.ends.push((self.text.len(), ink));
        self
    }

    /// All of it on one line.
    pub(crate) fn whole(&self, style: &Style) -> String {
        self.paint(style, 0..self.text.len())
    }

    fn paint(&self, style: &Style, line: Range<usize>) -> String {
        let mut out = String::new();
        let mut start = 0;
        for &(end, ink) in &self.ends {
            let (from, to) = (start.max(line.start), end.min(line.end));
            if from < to {
                out.push_str(&style.paint(ink, &self.text[from..to]));
            }
            start = end;
        }
        out
    }
}

/// A page that is being written.
pub(crate) struct Page<'a> {
    out: String,
    pub(crate) style: &'a Style,
    /// How long a change lasts that nothing keeps.
    pub(crate) lasts: &'static str,
}

impl<'a> Page<'a> {
    pub(crate) fn new(style: &'a Style) -> Self {
        Self { out: String::new(), style, lasts: "until reboot" }
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }

    /// `text` made visible and bounded.
    pub(crate) fn safe(&self, text: &str) -> String {
        safe(text, self.style.verbose)
    }

    /// An empty line, unless the page is empty.
    pub(crate) fn gap(&mut self) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    /// One line as it is, neither wrapped nor cut.
    pub(crate) fn raw(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    /// `body` behind `label`, in lines that all begin at column `indent`.
    pub(crate) fn entry(&mut self, indent: usize, label: Spans, body: &Spans) {
        self.tagged(indent, label, body, "");
    }

    /// The same with `tag` at the right edge: of the last line, or of one more where there is no room.
    pub(crate) fn tagged(&mut self, indent: usize, label: Spans, body: &Spans, tag: &str) {
        let behind = indent.max(width(&label.text) + usize::from(!label.text.is_empty() && indent > 0));
        let first = format!("{}{}", label.whole(self.style), " ".repeat(behind - width(&label.text)));
        self.lines(&first, behind, behind, body, tag);
    }

    /// `body` from the left edge, its further lines indented.
    pub(crate) fn hanging(&mut self, indent: usize, body: &Spans, tag: &str) {
        self.lines("", 0, indent, body, tag);
    }

    /// `body` behind `first`, which takes `at` columns; its further lines begin at `hang`.
    fn lines(&mut self, first: &str, at: usize, hang: usize, body: &Spans, tag: &str) {
        let columns = self.style.columns();
        let lines = wrap(&body.text, columns.saturating_sub(at).max(1), columns.saturating_sub(hang).max(1));
        let last = lines.len() - 1;
        for (number, line) in lines.into_iter().enumerate() {
            let mut out = if number == 0 { first.to_owned() } else { " ".repeat(hang) };
            let used = if number == 0 { at } else { hang } + width(&body.text[line.clone()]);
            out.push_str(&body.paint(self.style, line));
            if number == last && !tag.is_empty() {
                let room = columns.saturating_sub(width(tag));
                if used + 2 > room {
                    self.raw(out.trim_end_matches(' '));
                    out = " ".repeat(room);
                } else {
                    out.push_str(&" ".repeat(room - used));
                }
                out.push_str(&self.style.paint(Ink::Faint, tag));
            }
            self.raw(out.trim_end_matches(' '));
        }
    }

    /// Says how many things more `-v` shows.
    pub(crate) fn left_out(&mut self, indent: usize, count: usize) {
        if count > 0 {
            let text = format!("{} {count} more: -v", self.style.ellipsis());
            self.entry(indent, Spans::default(), &Spans::new(Ink::Faint, &text));
        }
    }

    /// A command on one line of its own, to be pasted: never wrapped, never cut, or not shown at all.
    pub(crate) fn command(&mut self, label: Spans, command: &str) {
        self.command_lines(label, std::iter::once(command));
    }

    /// The same of a command that is written over several lines, of which none ends in a space.
    pub(crate) fn command_lines<'c>(&mut self, label: Spans, lines: impl Iterator<Item = &'c str> + Clone) {
        if let Some(why) = lines.clone().find_map(|line| pasteable(line).err()) {
            return self.entry(BODY, label, &Spans::new(Ink::Doubt, why));
        }
        let mut first = label.whole(self.style) + &" ".repeat(BODY.saturating_sub(width(&label.text)));
        for line in lines {
            self.raw(&format!("{first}{}", self.style.paint(Ink::Strong, line)));
            first = " ".repeat(BODY);
        }
    }
}

/// Whether a command can be pasted and does what it looks like.
pub(crate) fn pasteable(command: &str) -> Result<(), &'static str> {
    if unrefuse_facts::text::visible(command) != command {
        Err("(cannot be shown safely)")
    } else if command.len() > LONGEST_COMMAND {
        Err("(too long to be pasted; it is in --json)")
    } else {
        Ok(())
    }
}

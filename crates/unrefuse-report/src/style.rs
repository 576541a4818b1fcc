//! How text is laid out and coloured.

use anstyle::{AnsiColor, Effects};
use unrefuse_diagnose::report::GateStatus;

/// Text is laid out in at least this many columns.
const NARROWEST: usize = 40;
/// Prose is not laid out wider than this: longer lines are hard to read.
const WIDEST: usize = 100;

/// How text is laid out and coloured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal; `usize::MAX` where the output is none: tables are then not cut.
    pub width: usize,
    /// With ANSI colours. Nothing is said by colour alone.
    pub colour: bool,
    /// With marks beyond ASCII (`✓ ✗ –`). Names and values are printed as they are, also without it.
    pub unicode: bool,
    /// All gates, attempts, evidence, fixes and how to undo them.
    pub verbose: bool,
    /// The verdict line only.
    pub quiet: bool,
}

impl Style {
    /// Without colour, with Unicode, neither verbose nor quiet, `width` columns wide.
    pub fn plain(width: usize) -> Self {
        Self { width, colour: false, unicode: true, verbose: false, quiet: false }
    }

    /// Columns that prose takes at most.
    pub(crate) fn columns(&self) -> usize {
        self.width.clamp(NARROWEST, WIDEST)
    }

    /// `text` in `ink`.
    pub(crate) fn paint(&self, ink: Ink, text: &str) -> String {
        let style = ink.style();
        if !self.colour || text.is_empty() || style == anstyle::Style::new() {
            return text.to_owned();
        }
        format!("{}{text}{}", style.render(), style.render_reset())
    }

    /// The mark of a gate's status.
    pub(crate) fn mark(&self, status: GateStatus) -> (&'static str, Ink) {
        let (unicode, ascii, ink) = match status {
            GateStatus::Pass => ("✓", "ok", Ink::Good),
            GateStatus::Blocks => ("✗", "X", Ink::Bad),
            GateStatus::Unknown => ("?", "?", Ink::Doubt),
            GateStatus::Skipped => ("–", "-", Ink::Faint),
        };
        (if self.unicode { unicode } else { ascii }, ink)
    }

    /// The dash between two parts of a sentence.
    pub(crate) fn dash(&self) -> &'static str {
        if self.unicode { "—" } else { "-" }
    }

    /// The mark of something left out.
    pub(crate) fn ellipsis(&self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }
}

/// What a piece of text is, as far as its colour goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
    Doubt,
}

impl Ink {
    fn style(self) -> anstyle::Style {
        match self {
            Self::Plain => anstyle::Style::new(),
            Self::Strong => anstyle::Style::new().effects(Effects::BOLD),
            Self::Faint => anstyle::Style::new().effects(Effects::DIMMED),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default().effects(Effects::BOLD),
            Self::Doubt => AnsiColor::Yellow.on_default(),
        }
    }
}

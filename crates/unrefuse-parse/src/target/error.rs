//! What is wrong with a target, in one line that gives no secret away.

use crate::secret::{self, Trust};
use std::fmt;
use unrefuse_facts::text;

/// Characters of the user's text that an error repeats.
const ECHO_MAX: usize = 80;

/// What is wrong with a target and what would be right, in one line without control characters or passwords.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TargetError {
    message: String,
}

impl TargetError {
    pub(super) fn new(message: String) -> Self {
        Self { message }
    }
}

/// A word of the command line, and how errors may speak of it.
pub(super) struct Word<'a> {
    text: &'a str,
}

impl<'a> Word<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text }
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// The word as a parsed target keeps it.
    pub(super) fn redacted(&self) -> String {
        secret::redact(self.text, Trust::Parsed)
    }

    /// The word as an error shows it.
    pub(super) fn echo(&self) -> String {
        text::clip(&text::visible(&secret::redact(self.text, Trust::Nothing)), ECHO_MAX)
    }

    /// A part of the word as an error shows it. Where a password may be about, no part can be told from it: then the
    /// whole word is shown instead, redacted.
    pub(super) fn piece(&self, part: &str) -> String {
        if self.text.contains(['@', '=']) { self.echo() } else { text::clip(&text::visible(part), ECHO_MAX) }
    }

    /// An error; `message` uses [`Self::echo`] and [`Self::piece`] for everything that the user wrote.
    pub(super) fn error(&self, message: fmt::Arguments<'_>) -> TargetError {
        TargetError::new(message.to_string())
    }

    /// Refuses an empty word, and one with characters that cannot be seen.
    pub(super) fn check_visible(&self) -> Result<(), TargetError> {
        if self.text.is_empty() {
            return Err(
                self.error(format_args!("an empty word is no target: write host:port, a URL, or host and port"))
            );
        }
        if text::visible(self.text) != self.text {
            return Err(self.error(format_args!("a character that cannot be seen in `{}`: leave it out", self.echo())));
        }
        Ok(())
    }

    /// Refuses blanks.
    pub(super) fn check_blanks(&self) -> Result<(), TargetError> {
        if self.text.contains(char::is_whitespace) {
            return Err(self
                .error(format_args!("a space in `{}`: write host:port, or host and port as two words", self.echo())));
        }
        Ok(())
    }
}

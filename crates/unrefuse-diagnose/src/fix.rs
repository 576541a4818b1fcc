//! Fixes as data, and the few shapes that many rules share.

use crate::View;
use crate::report::{Edit, Fix, Risk, Step};
use std::net::IpAddr;
use std::net::SocketAddr;
use unrefuse_facts::{HostsEntry, Location, text};

impl Fix {
    /// A fix with its title and risk; not persistent, without steps, verified by asking again.
    pub(crate) fn new(view: &View<'_>, risk: Risk, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            risk,
            persistent: false,
            steps: Vec::new(),
            undo: Vec::new(),
            verify: view.verify(),
        }
    }
    /// A command to run in a root shell. It must be quoted already (see [`quote`]).
    #[must_use]
    pub(crate) fn command(mut self, command: impl Into<String>) -> Self {
        self.steps.push(Step::Command { command: command.into() });
        self
    }
    /// A line to change.
    #[must_use]
    pub(crate) fn edit(mut self, edit: Edit) -> Self {
        self.undo.insert(0, Step::Edit { edit: Edit { old: edit.new.clone(), new: edit.old.clone(), ..edit.clone() } });
        self.steps.push(Step::Edit { edit });
        self
    }
    /// How to take it back.
    #[must_use]
    pub(crate) fn undo(mut self, command: impl Into<String>) -> Self {
        self.undo.push(Step::Command { command: command.into() });
        self
    }
    /// It survives a reboot.
    #[must_use]
    pub(crate) fn persistent(mut self) -> Self {
        self.persistent = true;
        self
    }
    /// Verified by another command than asking again.
    #[must_use]
    pub(crate) fn verify(mut self, command: impl Into<String>) -> Self {
        self.verify = command.into();
        self
    }
}

/// The advice to ask `address` instead of the target's own, verified by doing so. No steps: only the asker can follow it.
pub(crate) fn ask_instead(view: &View<'_>, address: SocketAddr) -> Fix {
    Fix::new(view, Risk::Low, format!("ask {address} instead")).verify(view.verify_at(&address.to_string()))
}

/// `word` quoted for the shell; `None` where it cannot be done safely, and then there is no command.
pub(crate) fn quote(word: &str) -> Option<String> {
    text::shell_quote(word)
}

/// The edit of one line; `None` where it holds what cannot be shown safely, or changes nothing. Without `old` it is a new line.
pub(crate) fn line_edit(at: &Location, old: &str, new: String) -> Option<Edit> {
    let shows = |text: &str| text::visible(text).replace("\\t", "\t") == text;
    let edit = Edit { path: at.path.clone(), line: at.line, old: old.to_owned(), new };
    (shows(&edit.old) && shows(&edit.new) && shows(&edit.path) && edit.old != edit.new).then_some(edit)
}

/// The edit that takes `name` out of a hosts line, or comments the line out where it gives no other name.
///
/// `None` where the line holds what cannot be shown safely.
pub(crate) fn without_name(entry: &HostsEntry, name: &str) -> Option<Edit> {
    if text::visible(&entry.text).replace("\\t", "\t") != entry.text {
        return None;
    }
    let kept: Vec<&str> =
        entry.names.iter().map(String::as_str).filter(|other| !other.eq_ignore_ascii_case(name)).collect();
    let new = if kept.is_empty() {
        format!("# {}", entry.text)
    } else {
        let comment = entry.text.find('#').map(|at| format!(" {}", &entry.text[at..])).unwrap_or_default();
        format!("{}\t{}{comment}", entry.address, kept.join(" "))
    };
    Some(Edit { path: entry.location.path.clone(), line: entry.location.line, old: entry.text.clone(), new })
}

/// The edit that gives the names of a hosts line another address; `None` where the line holds what cannot be shown safely.
pub(crate) fn with_address(entry: &HostsEntry, address: IpAddr) -> Option<Edit> {
    if text::visible(&entry.text).replace("\\t", "\t") != entry.text {
        return None;
    }
    let start = entry.text.len() - entry.text.trim_start().len();
    let end = entry.text[start..].find(char::is_whitespace)? + start;
    let new = format!("{}{address}{}", &entry.text[..start], &entry.text[end..]);
    Some(Edit { path: entry.location.path.clone(), line: entry.location.line, old: entry.text.clone(), new })
}

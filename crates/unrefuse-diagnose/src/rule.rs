//! One rule: the record of a cause and the function that looks for it.

use crate::{CannotTell, Finding, Gate, View};

/// The function that looks for a cause: fires, clear, or cannot tell.
pub type Check = fn(&View<'_>) -> Result<Finding, CannotTell>;

/// The headings of a cause's page, in their order.
pub const HEADINGS: [&str; 5] =
    ["What it means", "How it shows", "How to confirm by hand", "How to fix", "What it is often mistaken for"];

/// When a rule is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Only where the attempt failed and nothing shows that the packet passed the rule's gate.
    Failing,
    /// Also where the attempt was open, or the gate was passed.
    Always,
}

/// A cause: its id, its page, and how it is found.
pub struct Rule {
    /// `gate/slug`; a public contract.
    pub id: &'static str,
    /// The fault in a few words, for lists.
    pub title: &'static str,
    /// The page that `unrefuse explain` prints, as written in the doc comment (each line begins with a space).
    pub page: &'static str,
    /// It can stand last in a chain of whys: a person can change it.
    pub root: bool,
    /// Ids of the causes that it is the deeper why of.
    pub explains: &'static [&'static str],
    /// It also begins a chain. A rule that explains others and does not begin one is asked only after them.
    pub begins: bool,
    /// Ids (or `gate/*`) whose findings at the same address are not reported beside this one, because it is why they fire.
    pub instead_of: &'static [&'static str],
    /// It stops the packet by itself, whatever other rules of its gate find, and mending those does not mend it: it is
    /// reported beside them. Of all others the strongest finding of a gate stands.
    pub apart: bool,
    /// The question that stays open where no deeper why is found.
    pub asks: Option<&'static str>,
    /// Facts without which it cannot tell.
    pub needs: &'static [&'static str],
    /// Facts that make it surer or its fix better.
    pub likes: &'static [&'static str],
    /// When it is asked.
    pub when: When,
    /// How it is found.
    pub check: Check,
}

impl Rule {
    /// What a rule is where its file does not say otherwise.
    pub const BLANK: Rule = Rule {
        id: "",
        title: "",
        page: "",
        root: true,
        explains: &[],
        begins: true,
        instead_of: &[],
        apart: false,
        asks: None,
        needs: &[],
        likes: &[],
        when: When::Failing,
        check: |_| Ok(Finding::Clear),
    };

    /// The gate it is filed under.
    ///
    /// # Panics
    /// Where the id has no gate before its slash; a test holds every id to that.
    pub fn gate(&self) -> Gate {
        Gate::of_id(self.id).unwrap_or_else(|| panic!("{} names no gate", self.id))
    }

    /// The page as Markdown.
    pub fn markdown(&self) -> String {
        let lines: Vec<&str> = self.page.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        lines.join("\n").trim().to_owned() + "\n"
    }

    /// Whether this rule's finding takes the place of a finding `id`.
    pub(crate) fn replaces(&self, id: &str) -> bool {
        self.instead_of.iter().any(|pattern| match pattern.strip_suffix("/*") {
            Some(gate) => id.split('/').next() == Some(gate),
            None => *pattern == id,
        })
    }
}

/// Builds a cause's static record; the doc comment is its page.
///
/// ```text
/// cause! {
///     /// ## What it means
///     /// …
///     id: "listener/none",
///     title: "nothing listens on that port",
///     check: check,
/// }
/// ```
macro_rules! cause {
    ($(#[doc = $line:expr])+ $($field:ident: $value:expr),+ $(,)?) => {
        pub(crate) static RULE: crate::Rule = crate::Rule {
            page: concat!($($line, "\n"),+),
            $($field: $value,)+
            ..crate::Rule::BLANK
        };
    };
}
pub(crate) use cause;

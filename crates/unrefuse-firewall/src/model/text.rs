//! A rule's text, written when somebody wants to see it: of ten thousand rules a person is shown a handful.

use std::sync::{Arc, OnceLock};

use super::{Backend, Family, Rule};

/// A rule as its owner would write it ([`Rule::text`]): given with the rule, or written from its statements.
#[derive(Debug, Clone, Default)]
pub struct Text {
    written: OnceLock<String>,
    /// How to write it, of a rule that the kernel told.
    from: Option<(Arc<Origin>, Vec<Given>)>,
    /// It shows the elements of sets that are part of the rule.
    elements: bool,
}

/// A text that stands for statements: first statement, how many, text.
pub(crate) type Given = (usize, usize, String);

/// The place of rules that the kernel told: what its messages about a rule do not say of how that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Family of the table.
    pub family: Family,
    /// Who made the table.
    pub backend: Backend,
    /// Name of the chain.
    pub chain: String,
}

impl Origin {
    /// A chain of nf_tables.
    pub fn new(family: Family, backend: Backend, chain: &str) -> Arc<Self> {
        Arc::new(Self { family, backend, chain: chain.to_owned() })
    }
}

impl Text {
    pub(crate) fn later(from: Arc<Origin>, given: Vec<Given>, elements: bool) -> Self {
        Self { written: OnceLock::new(), from: Some((from, given)), elements }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { written: text.into(), from: None, elements: false }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Rule {
    /// Whether its text names sets that are part of it, whose elements are to stand there.
    pub(crate) fn lacks_elements(&self) -> bool {
        self.text.elements && self.text().contains("@__")
    }

    /// As its owner would write it: `-A INPUT -p tcp --dport 22 -j ACCEPT`, `tcp dport 22 accept`.
    pub fn text(&self) -> &str {
        let Text { written, from, .. } = &self.text;
        written.get_or_init(|| match from {
            Some((origin, given)) => crate::nft::written(self, origin, given),
            None => String::new(),
        })
    }
}

//! What a rule says.

use crate::report::{Certainty, Evidence, Fix, Unknown};
use unrefuse_facts::{AttemptOutcome, Missing};

/// What a rule says of one address of a case, when it has what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The cause is there.
    Fires(Box<Fired>),
    /// It is not.
    Clear,
}

/// A cause that was found, with what shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// What is the case here, in one line: names the object, the operation and the address.
    pub title: String,
    /// How sure the rule is, given that the attempt ends as it predicts. The engine lowers it where it does not.
    pub certainty: Certainty,
    /// The outcomes that this cause gives a client. Empty: any failure.
    pub predicts: &'static [AttemptOutcome],
    /// What shows it, strongest first.
    pub evidence: Vec<Evidence>,
    /// How to make it work, best first.
    pub fixes: Vec<Fix>,
    /// What the rule could not tell beside.
    pub unknown: Vec<Unknown>,
}

impl Fired {
    /// A cause with its title and how sure it is.
    pub fn new(certainty: Certainty, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            certainty,
            predicts: &[],
            evidence: Vec::new(),
            fixes: Vec::new(),
            unknown: Vec::new(),
        }
    }
    /// The outcomes that this cause gives a client.
    #[must_use]
    pub fn predicts(mut self, outcomes: &'static [AttemptOutcome]) -> Self {
        self.predicts = outcomes;
        self
    }
    /// Something that shows it.
    #[must_use]
    pub fn evidence(mut self, evidence: Evidence) -> Self {
        self.evidence.push(evidence);
        self
    }
    /// More that shows it.
    #[must_use]
    pub fn evidences(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }
    /// A way to make it work; `None` (where a value could not be quoted safely, say) adds nothing.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<Option<Fix>>) -> Self {
        self.fixes.extend(fix.into());
        self
    }
    /// Something that could not be told beside.
    #[must_use]
    pub fn unknown(mut self, unknown: Unknown) -> Self {
        self.unknown.push(unknown);
        self
    }
    /// The finding.
    pub fn fires(self) -> Finding {
        Finding::Fires(Box::new(self))
    }
}

/// A rule cannot tell, because something is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CannotTell(pub Unknown);

impl CannotTell {
    /// The question `what` stays open, because of a fact that is missing.
    pub fn because(what: impl Into<String>, missing: &Missing) -> Self {
        Self(Unknown {
            what: what.into(),
            why: missing.detail.clone(),
            how_to_know: missing.remedy.clone().unwrap_or_else(|| "run unrefuse as root".to_owned()),
        })
    }
    /// The question `what` stays open for the reason `why`; `how` would settle it.
    pub fn new(what: impl Into<String>, why: impl Into<String>, how: impl Into<String>) -> Self {
        Self(Unknown { what: what.into(), why: why.into(), how_to_know: how.into() })
    }
}

impl From<&Missing> for CannotTell {
    /// For facts whose question is plain from what was tried.
    fn from(missing: &Missing) -> Self {
        Self::because(missing.detail.clone(), missing)
    }
}

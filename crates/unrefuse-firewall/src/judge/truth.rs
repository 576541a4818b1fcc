//! Truth of three values, and of loads that fail.

use crate::bits::Maybe;

/// Why something is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Why {
    pub(crate) text: String,
    /// The match itself is not understood, or cannot be known offline: it is listed as ignored.
    pub(crate) ignored: bool,
}

impl Why {
    /// Not known of this packet or machine.
    pub(crate) fn not_known(text: impl Into<String>) -> Box<Self> {
        Box::new(Self { text: text.into(), ignored: false })
    }

    /// Not understood, or not to be known offline.
    pub(crate) fn ignored(text: impl Into<String>) -> Box<Self> {
        Box::new(Self { text: text.into(), ignored: true })
    }
}

/// Result of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Truth {
    True,
    False,
    /// A load failed: the rule ends, even where the test is turned round (`NFT_BREAK`).
    Fail,
    Unknown(Box<Why>),
}

impl Truth {
    pub(crate) fn from_maybe(maybe: Maybe, why: impl FnOnce() -> String) -> Self {
        match maybe {
            Some(true) => Self::True,
            Some(false) => Self::False,
            None => Self::Unknown(Why::not_known(why())),
        }
    }

    pub(crate) fn negated_if(self, negated: bool) -> Self {
        match self {
            Self::True if negated => Self::False,
            Self::False if negated => Self::True,
            other => other,
        }
    }
}

//! Holding a cause's prediction against what was seen.

use crate::report::Certainty;
use unrefuse_facts::AttemptOutcome;

impl Certainty {
    /// One step less sure.
    #[must_use]
    pub(crate) fn lowered(self) -> Self {
        match self {
            Self::Proven => Self::Likely,
            Self::Likely | Self::Possible => Self::Possible,
        }
    }

    /// `proven`, `likely` or `possible`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Likely => "likely",
            Self::Possible => "possible",
        }
    }
}

/// Whether a cause that predicts `predicts` explains an attempt that ended as `seen`. An empty prediction explains any
/// failure, and never an open connection.
pub(crate) fn explains(predicts: &[AttemptOutcome], seen: AttemptOutcome) -> bool {
    if predicts.is_empty() { seen != AttemptOutcome::Open } else { predicts.contains(&seen) }
}

//! A value with its provenance, or the reason why there is none.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How a value was learnt. Running, configured and probed state are different facts and are never mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// The kernel's or a process's state at the moment of looking.
    Running,
    /// What a file says, whether or not anything has read it.
    Configured,
    /// An answer to something that was sent.
    Probed,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source {
    /// Running, configured or probed.
    pub kind: SourceKind,
    /// The interface, file or command, as an expert would name it: `inet_diag`, `/etc/hosts`, `RTM_GETROUTE`.
    pub what: String,
}

impl Source {
    /// The kernel's or a process's present state, read through `what`.
    pub fn running(what: impl Into<String>) -> Self {
        Self { kind: SourceKind::Running, what: what.into() }
    }
    /// A file's content.
    pub fn configured(what: impl Into<String>) -> Self {
        Self { kind: SourceKind::Configured, what: what.into() }
    }
    /// An answer to a packet or query of ours.
    pub fn probed(what: impl Into<String>) -> Self {
        Self { kind: SourceKind::Probed, what: what.into() }
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Location {
    /// Absolute path.
    pub path: String,
    /// Line number, from 1.
    pub line: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.line)
    }
}

/// Why a value is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The place where it would be is not there (no such file, no such protocol on this kernel).
    Absent,
    /// The kernel or the file's permissions do not let this user look.
    Forbidden,
    /// Looking took longer than its deadline.
    TimedOut,
    /// Looking failed for another reason.
    Failed,
    /// Nobody looked: it was not needed, or this version cannot.
    NotLooked,
}

/// A value that is not known, with the reason and what would help.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Missing {
    /// Why it is not known.
    pub reason: Reason,
    /// What was tried, with the error: `open /proc/812/fd: permission denied`.
    pub detail: String,
    /// What would make it known: `run unrefuse as root`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Missing {
    /// A missing value with its reason and what was tried.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), remedy: None }
    }
    /// The same with what would make it known.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// A value that was looked for: known with its source, or missing with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observed<T> {
    /// It was seen.
    Known {
        /// The value.
        value: T,
        /// Where it was seen.
        source: Source,
    },
    /// It was not seen.
    Missing(Missing),
}

impl<T> Observed<T> {
    /// A value with its source.
    pub fn known(value: T, source: Source) -> Self {
        Self::Known { value, source }
    }
    /// Nobody looked, because of `detail`.
    pub fn not_looked(detail: impl Into<String>) -> Self {
        Self::Missing(Missing::new(Reason::NotLooked, detail))
    }
    /// The value, or why there is none. Rules turn the error into "cannot tell".
    pub fn get(&self) -> Result<&T, &Missing> {
        match self {
            Self::Known { value, .. } => Ok(value),
            Self::Missing(missing) => Err(missing),
        }
    }
    /// The value itself, or why there is none.
    pub fn into_value(self) -> Result<T, Missing> {
        match self {
            Self::Known { value, .. } => Ok(value),
            Self::Missing(missing) => Err(missing),
        }
    }
    /// The value alone, for facts a rule would like but does not need.
    pub fn value(&self) -> Option<&T> {
        self.get().ok()
    }
    /// Where the value came from, when it is known.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::Known { source, .. } => Some(source),
            Self::Missing(_) => None,
        }
    }
    /// Why it is missing, when it is.
    pub fn missing(&self) -> Option<&Missing> {
        self.get().err()
    }
    /// The same observation of a part or a form of the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Observed<U> {
        match self {
            Self::Known { value, source } => Observed::Known { value: f(value), source },
            Self::Missing(missing) => Observed::Missing(missing),
        }
    }
}

impl<T> Default for Observed<T> {
    /// Not looked at. A fact is "absent" only where somebody looked.
    fn default() -> Self {
        Self::not_looked("not looked at")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_not_looked_at_and_never_absent() {
        let fact: Observed<u8> = Observed::default();
        assert_eq!(fact.get().unwrap_err().reason, Reason::NotLooked);
    }

    #[test]
    fn known_and_missing_survive_json() {
        for fact in [
            Observed::known(7_u8, Source::running("inet_diag")),
            Observed::Missing(Missing::new(Reason::Forbidden, "open: permission denied").remedy("run as root")),
        ] {
            let json = serde_json::to_string(&fact).unwrap();
            assert_eq!(serde_json::from_str::<Observed<u8>>(&json).unwrap(), fact);
        }
    }
}

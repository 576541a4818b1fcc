//! A ruleset, a packet and what the kernel did with it, as a file.

use crate::kernel::{Arrived, Observed, Sees};
use crate::probe::Probe;
use crate::ruleset::Script;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What was wrong, in words.
    pub(crate) about: String,
    #[serde(flatten)]
    pub(crate) script: Script,
    pub(crate) probe: Probe,
    pub(crate) kernel: Recorded,
}

/// What the kernel did.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recorded {
    pub(crate) sees: Sees,
    pub(crate) arrived: Arrived,
    /// Rules that counted something.
    #[serde(default)]
    pub(crate) matched: Vec<String>,
    /// What iptables-save printed, for a judgement without the kernel.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) saved: String,
}

impl Recorded {
    pub(crate) fn of(observed: &Observed, saved: String) -> Self {
        let matched = observed.hits.keys().map(ToString::to_string).collect();
        Self { sees: observed.sees.clone(), arrived: observed.arrived.clone(), matched, saved }
    }
}

impl Case {
    /// Reads a case.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Its text.
    pub(crate) fn text(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }
}

/// Where the regression cases are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// The regression cases, by name.
pub(crate) fn all() -> Result<Vec<(String, Case)>> {
    let mut all = Vec::new();
    let folder = folder();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            all.push((name, Case::read(&path)?));
        }
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Verdict, compare};
    use crate::expect;
    use crate::ruleset::Backend;

    /// Without root: what iptables-save printed is judged, and held against what the kernel did then. nft's rulesets are in
    /// the kernel only; `run` replays all cases there.
    #[test]
    fn recorded_cases_are_judged_as_the_kernel_did() {
        let mut judged = 0;
        for (name, case) in all().unwrap() {
            assert!(!case.about.is_empty());
            if case.script.backend == Backend::Nft {
                continue;
            }
            let mut ruleset = expect::parse(case.kernel.saved.as_bytes(), case.script.v6);
            unrefuse_firewall::iptables::parse_ipset(case.script.ipsets.as_bytes(), &mut ruleset);
            let hits = case.kernel.matched.iter().map(|key| (key.parse().unwrap(), 1)).collect();
            let Recorded { sees, arrived, .. } = case.kernel.clone();
            let observed = Observed { sees, arrived, hits, chatter: false };
            let answer = expect::ask(&ruleset, &case.script, &case.probe);
            let verdict = compare(&case.script, &ruleset, &case.probe, &answer, &observed);
            assert!(matches!(verdict, Verdict::Same | Verdict::SameRules), "{name}: {verdict:?}");
            judged += 1;
        }
        assert!(judged > 5, "{judged}");
    }
}

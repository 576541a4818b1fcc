//! Finds the scenario files.

use crate::placeholders::Variant;
use crate::scenario::Scenario;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// A scenario file.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Its path below the scenarios' folder without `.toml`: `listener/none`.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
    /// The families it is run in.
    pub(crate) variants: Vec<Variant>,
}

impl Source {
    /// The scenario for one family.
    ///
    /// # Errors
    /// The file is wrong; the message names it.
    pub(crate) fn read(&self, variant: Variant) -> Result<Scenario> {
        Scenario::read(&self.text, variant).with_context(|| format!("scenario {} ({})", self.name, variant.name()))
    }
}

/// The folder of the project's own scenarios.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// All scenarios below a folder, by name.
///
/// # Errors
/// A folder or file can't be read, or a file is not a scenario.
pub(crate) fn all(folder: &Path) -> Result<Vec<Source>> {
    let mut out = Vec::new();
    collect(folder, "", &mut out)?;
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(out)
}

fn collect(folder: &Path, prefix: &str, out: &mut Vec<Source>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let name = if prefix.is_empty() { stem.to_owned() } else { format!("{prefix}/{stem}") };
        if path.is_dir() {
            collect(&path, &name, out)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let variants = Scenario::variants(&text).with_context(|| format!("scenario {name}"))?;
            out.push(Source { name, text, variants });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        title = "nothing listens"
        covers = ["listener/none"]
        topology = "one-host"
        [call]
        target = "{[server]}:80"
        [expect]
        root = "listener/none"
        [after_fix]
        none = "no unit"
        [twin]
        services = [{ serve = "tcp {[server]}:80" }]
    "#;

    #[test]
    fn every_scenario_of_the_project_is_well_formed() {
        let sources = all(&folder()).unwrap();
        assert!(sources.len() >= 30, "{} scenarios", sources.len());
        for source in sources {
            for variant in &source.variants {
                let scenario = source.read(*variant).unwrap();
                let stage: Vec<_> = scenario.topology.plan(&scenario.nodes).into_keys().collect();
                let services = scenario.services.iter().chain(scenario.twin.services.iter().flatten());
                for node in services
                    .map(|s| &s.node)
                    .chain(scenario.fault.iter().map(|s| &s.node))
                    .chain(&scenario.after_fix.node)
                    .chain(&scenario.call.node)
                    .chain(&scenario.call.connect_from)
                {
                    assert!(stage.contains(node), "{}: there is no node {node}", source.name);
                }
            }
        }
    }

    #[test]
    fn a_small_one_is_read_in_both_families() {
        assert_eq!(Scenario::read(SMALL, Variant::V6).unwrap().call.target, "[fd77::1]:80");
        assert_eq!(Scenario::variants(SMALL).unwrap(), [Variant::V4, Variant::V6]);
    }

    #[test]
    fn unknown_keys_are_errors_everywhere() {
        for (from, to) in [
            ("title =", "titel = 1\ntitle ="),
            ("target =", "host = 'x'\ntarget ="),
            ("root =", "roots = 'x'\nroot ="),
            ("none =", "nones = 'x'\nnone ="),
            ("serve =", "serves = 'x', serve ="),
            ("[twin]", "[twin]\nx = 1"),
            ("[call]", "[nodes.server]\nhost = 'x'\n[call]"),
        ] {
            let text = SMALL.replacen(from, to, 1);
            assert!(Scenario::read(&text, Variant::V4).is_err(), "{to}");
        }
    }

    #[test]
    fn contradictions_are_errors() {
        for (from, to) in [
            ("listener/none\"]", "listener_none\"]"),
            ("{[server]}:80", "{[sever]}:80"),
            ("none = \"no unit\"", "none = \"no unit\"\nnode = \"server\""),
            ("serve = \"tcp {[server]}:80\"", "name = \"x\""),
            ("services = [{ serve = \"tcp {[server]}:80\" }]", ""),
            ("[call]", "[nodes.server]\nbefore_boot = ['true']\n[call]"),
        ] {
            let text = SMALL.replacen(from, to, 1);
            assert!(Scenario::read(&text, Variant::V4).is_err(), "{to}");
        }
    }
}

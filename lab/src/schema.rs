//! Holds every report against the schema that unrefuse itself prints.

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The schema of the JSON report.
#[derive(Debug)]
pub(crate) struct Schema(jsonschema::Validator);

impl Schema {
    /// Asks `unrefuse schema`.
    ///
    /// # Errors
    /// It can't be run, or what it prints is not a JSON schema.
    pub(crate) fn of(unrefuse: &Path) -> Result<Self> {
        let output =
            Command::new(unrefuse).arg("schema").output().with_context(|| format!("run {}", unrefuse.display()))?;
        ensure!(output.status.success(), "unrefuse schema: {}", output.status);
        let schema: Value = serde_json::from_slice(&output.stdout).context("unrefuse schema prints no JSON")?;
        jsonschema::validator_for(&schema)
            .map(Self)
            .map_err(|error| anyhow!("unrefuse schema prints no schema: {error}"))
    }

    /// Where a report differs from it.
    pub(crate) fn differences(&self, report: &Value) -> Vec<String> {
        self.0
            .iter_errors(report)
            .take(10)
            .map(|error| format!("schema: {error} at {}", error.instance_path()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_wrong_type_is_found() {
        let schema = json!({"type": "object", "required": ["outcome"], "properties": {"outcome": {"type": "string"}}});
        let schema = Schema(jsonschema::validator_for(&schema).unwrap());
        assert!(schema.differences(&json!({"outcome": "open"})).is_empty());
        assert_eq!(schema.differences(&json!({"outcome": 1})).len(), 1);
        assert_eq!(schema.differences(&json!({})).len(), 1);
    }
}

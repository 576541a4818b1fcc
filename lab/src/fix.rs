//! Runs the fix that a report prints, as a person would who pastes it into a root shell.

use crate::node::Node;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// Runs the steps of fix number `number` (from 1) of the first blocker.
///
/// # Errors
/// There is no such fix, a step fails, or an edited line is not what the fix says it is.
pub(crate) fn apply(report: &Value, number: usize, node: &Node) -> Result<()> {
    let fixes = report["blockers"][0]["fixes"].as_array().context("the first blocker has no fixes")?;
    let fix = fixes.get(number.saturating_sub(1)).with_context(|| format!("{} fixes, no fix {number}", fixes.len()))?;
    let title = fix["title"].as_str().unwrap_or_default();
    let steps =
        fix["steps"].as_array().filter(|steps| !steps.is_empty()).with_context(|| format!("{title}: no steps"))?;
    for step in steps {
        if let Some(command) = step["command"].as_str() {
            node.must(command).with_context(|| format!("fix {title:?}"))?;
        } else if step["edit"].is_object() {
            edit(&step["edit"], node).with_context(|| format!("fix {title:?}"))?;
        } else {
            bail!("fix {title:?}: a step that is neither command nor edit: {step}");
        }
    }
    Ok(())
}

fn edit(edit: &Value, node: &Node) -> Result<()> {
    let path = edit["path"].as_str().context("edit without path")?;
    let line = edit["line"].as_u64().context("edit without line")? as usize;
    let old = edit["old"].as_str().context("edit without old")?;
    let place = node.path(path);
    let text = std::fs::read_to_string(&place).with_context(|| format!("read {path}"))?;
    let changed = replaced(&text, line, old, edit["new"].as_str()).with_context(|| path.to_owned())?;
    std::fs::write(&place, changed).with_context(|| format!("write {path}"))
}

/// `text` with line number `line` (from 1), which must read `old`, replaced; `None` and an empty `new` delete it.
fn replaced(text: &str, line: usize, old: &str, new: Option<&str>) -> Result<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let index = line.checked_sub(1).filter(|i| *i < lines.len()).with_context(|| format!("there is no line {line}"))?;
    ensure!(lines[index] == old, "line {line} is {:?}, not {old:?}", lines[index]);
    match new {
        Some(new) if !new.is_empty() => lines[index] = new,
        _ => {
            lines.remove(index);
        }
    }
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn only_the_named_line_changes() {
        assert_eq!(replaced("a\nb\nc\n", 2, "b", Some("x\ny")).unwrap(), "a\nx\ny\nc\n");
        assert_eq!(replaced("a\nb\n", 1, "a", None).unwrap(), "b\n");
        assert!(replaced("a\nb\n", 1, "b", Some("x")).is_err());
        assert!(replaced("a\n", 2, "", Some("x")).is_err());
    }
}

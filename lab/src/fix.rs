//! Runs the fixes that a report prints, as a person would who pastes them into a root shell.

use crate::hold::NODE_DIR;
use crate::node::{Node, STEP_LIMIT};
use crate::scenario::User;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;

/// The numbers (from 1) of the first blocker's fixes that have steps.
pub(crate) fn runnable(report: &Value) -> Vec<usize> {
    let fixes = report["blockers"][0]["fixes"].as_array();
    let has_steps = |fix: &Value| fix["steps"].as_array().is_some_and(|steps| !steps.is_empty());
    fixes.into_iter().flatten().enumerate().filter(|(_, fix)| has_steps(fix)).map(|(index, _)| index + 1).collect()
}

/// Runs the steps of fix number `number` (from 1) of the first blocker, in a shell that has `environment`. What the steps
/// export is added to it: the next call is made in the same shell.
///
/// # Errors
/// There is no such fix, a step fails, or an edited line is not what the fix says it is.
pub(crate) fn apply(
    report: &Value,
    number: usize,
    node: &Node,
    environment: &mut BTreeMap<String, String>,
) -> Result<()> {
    let fix = &report["blockers"][0]["fixes"][number.saturating_sub(1)];
    let title = fix["title"].as_str().unwrap_or_default();
    let steps = fix["steps"].as_array().with_context(|| format!("there is no fix {number} with steps"))?;
    for step in steps {
        if let Some(command) = step["command"].as_str() {
            shell(command, node, environment).with_context(|| format!("fix {title:?}"))?;
        } else if step["edit"].is_object() {
            edit(&step["edit"], node).with_context(|| format!("fix {title:?}"))?;
        } else {
            bail!("fix {title:?}: a step that is neither command nor edit: {step}");
        }
    }
    Ok(())
}

/// Runs a command and takes over the environment that its shell is left with.
fn shell(script: &str, node: &Node, environment: &mut BTreeMap<String, String>) -> Result<()> {
    let left = format!("{NODE_DIR}/environment");
    let mut command = Node::command("/bin/sh");
    command.envs(&*environment).arg("-c").arg(format!("{script}\nstatus=$?; env -0 >{left}; exit $status"));
    let output = node.run(command, User::Root, STEP_LIMIT)?;
    ensure!(output.success(), "on {}: {script}: {}", node.name, output.text());
    let text = std::fs::read(node.path(&left)).context("read the shell's environment")?;
    *environment = text
        .split(|byte| *byte == 0)
        .filter_map(|pair| String::from_utf8_lossy(pair).split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())))
        .collect();
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

/// `text` with line number `line` (from 1), which must read `old`, replaced; `None` and an empty `new` delete it. An empty
/// `old` puts `new` in before that line, as the command that a report prints for it does.
fn replaced(text: &str, line: usize, old: &str, new: Option<&str>) -> Result<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let inserts = old.is_empty() && new.is_some_and(|new| !new.is_empty());
    let end = lines.len() + usize::from(inserts);
    let index = line.checked_sub(1).filter(|i| *i < end).with_context(|| format!("there is no line {line}"))?;
    ensure!(inserts || lines[index] == old, "line {line} is {:?}, not {old:?}", lines[index]);
    match new {
        Some(new) if inserts => lines.insert(index, new),
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
        assert_eq!(replaced("a\nb\n", 2, "", Some("x")).unwrap(), "a\nx\nb\n");
        assert_eq!(replaced("a\n", 2, "", Some("x")).unwrap(), "a\nx\n");
        assert!(replaced("a\n", 3, "", Some("x")).is_err());
        assert!(replaced("a\n", 2, "", None).is_err());
    }
}

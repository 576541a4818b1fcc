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
/// export is added to it: the next call is made in the same shell. The commands of edits are those that `text`, the
/// report as people read it, shows with `-v`.
///
/// # Errors
/// There is no such fix, a step fails, or an edit is shown without a command.
pub(crate) fn apply(
    report: &Value,
    number: usize,
    text: &str,
    node: &Node,
    environment: &mut BTreeMap<String, String>,
) -> Result<()> {
    let fix = &report["blockers"][0]["fixes"][number.saturating_sub(1)];
    let title = fix["title"].as_str().unwrap_or_default();
    let steps = fix["steps"].as_array().with_context(|| format!("there is no fix {number} with steps"))?;
    let mut edits = edit_commands(text, number);
    for step in steps {
        let command = match step["command"].as_str() {
            Some(command) => command.to_owned(),
            None if step["edit"].is_object() => edits
                .next()
                .with_context(|| format!("fix {title:?}: the text shows no command for {}", step["edit"]))?,
            None => bail!("fix {title:?}: a step that is neither command nor edit: {step}"),
        };
        shell(&command, node, environment).with_context(|| format!("fix {title:?}"))?;
    }
    Ok(())
}

/// The commands that make the edits of fix `number`, as the text report prints them: several lines each, which are pasted
/// with their indentation. The script's last line begins with its closing quote; what ends in a backslash goes on.
fn edit_commands(text: &str, number: usize) -> impl Iterator<Item = String> {
    let begins = |line: &&str| line.starts_with("  fix ") || line.starts_with("  or ");
    let ends = move |line: &&str| line.starts_with("  undo ") || line.starts_with("  verify ") || begins(line);
    let mut lines = text.lines();
    let found = number.checked_sub(1).and_then(|before| lines.by_ref().filter(begins).nth(before));
    let mut of_fix = lines.take_while(move |line| found.is_some() && !ends(line));
    std::iter::from_fn(move || {
        let mut command = of_fix.find(|line| line.trim_start() == "sh -euc '")?.to_owned();
        let mut closed = false;
        for line in of_fix.by_ref() {
            command = command + "\n" + line;
            closed |= line.trim_start().starts_with("' sh ");
            if closed && !line.ends_with('\\') {
                break;
            }
        }
        Some(command)
    })
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

#[cfg(test)]
mod tests {
    use super::edit_commands;

    #[test]
    fn the_commands_of_a_fix() {
        let edit =
            |name: &str| format!("            sh -euc '\n              {name}\n            ' sh \\\n              a");
        let (one, two, three) = (edit("one"), edit("two"), edit("three"));
        let text = format!(
            "✗ listener  x\n  fix       a\n            /etc/x:2\n{one}\n            systemctl b\n  undo      sh -euc '\n\
             \x20           ' sh back\n  or        c\n{two}\n{three}\n  verify    v\n{one}\n"
        );
        let of = |number| edit_commands(&text, number).collect::<Vec<_>>();
        assert_eq!(of(1), [one.as_str()]);
        assert_eq!(of(2), [two, three]);
        assert!(of(0).is_empty() && of(3).is_empty());
    }
}

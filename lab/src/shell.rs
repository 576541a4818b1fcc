//! A scenario's machines to look around on: built, broken, and kept as long as a command runs.

use crate::lab::{self, Bench};
use crate::node::Node;
use crate::placeholders::Variant;
use crate::scenario::{Scenario, User};
use crate::scenarios;
use anyhow::{Context as _, Result, ensure};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

/// Which machine, and what to run there.
#[derive(Debug, clap::Args)]
pub(crate) struct Shell {
    /// A scenario as `list` names it.
    scenario: String,
    /// The family.
    #[arg(long, value_enum, default_value_t = Variant::V4)]
    family: Variant,
    /// Without the fault.
    #[arg(long)]
    twin: bool,
    /// The machine to run the command on.
    #[arg(long, default_value = "server")]
    node: String,
    /// Folder of the scenarios.
    #[arg(long, default_value_os_t = scenarios::folder())]
    scenarios: PathBuf,
    /// The unrefuse that the machines have; else $UNREFUSE_BIN, else the one beside this program.
    #[arg(long)]
    pub(crate) unrefuse: Option<PathBuf>,
    /// The command; a shell where none is given. All machines are gone when it ends.
    #[arg(trailing_var_arg = true)]
    command: Vec<String>,
}

impl Shell {
    /// The scenario that is asked for.
    pub(crate) fn scenario(&self) -> Result<Scenario> {
        let sources = scenarios::all(&self.scenarios)?;
        let source = sources.iter().find(|source| source.name == self.scenario);
        let source = source.with_context(|| format!("there is no scenario {}, see list", self.scenario))?;
        source.read(self.family)
    }
}

/// Builds the stage, says how its machines are entered, and runs the command.
pub(crate) fn shell(arguments: &Shell, scenario: &Scenario, bench: &Bench) -> Result<ExitCode> {
    let stage = if arguments.twin { lab::healthy_twin(scenario, bench)? } else { lab::broken(scenario, bench)? };
    for node in stage.nodes.values() {
        eprintln!("{}: nsenter --target {} --all", node.name, node.pid());
    }
    let node = stage.node(&arguments.node)?;
    let words = if arguments.command.is_empty() { vec!["/bin/sh".to_owned()] } else { arguments.command.clone() };
    let mut command = Node::command(&words[0]);
    command.args(&words[1..]).stdin(Stdio::inherit());
    let status = node.spawn(command, User::Root, None)?.wait()?;
    ensure!(status.code().is_some(), "{}: {status}", words[0]);
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

//! One run of one scenario: build, break, ask, compare, heal.

use crate::check::{self, Answer};
use crate::fix;
use crate::hold::NODE_DIR;
use crate::keep;
use crate::node::{Node, Output};
use crate::placeholders::Variant;
use crate::scenario::{Call, Kind, Scenario, ServiceSpec, Step};
use crate::scenarios::Source;
use crate::schema::Schema;
use crate::stage::Stage;
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one call of unrefuse may take. It promises to keep its own deadline of 10 s.
const CALL_LIMIT: Duration = Duration::from_secs(20);

/// One line of the lab's list.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// The scenario.
    pub(crate) source: Source,
    /// Its family.
    pub(crate) variant: Variant,
    /// The healthy twin instead of the fault.
    pub(crate) twin: bool,
}

impl Job {
    /// `listener/none/v4`, and `listener/none/v4/twin` for the twin.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}{}", self.source.name, self.variant.name(), if self.twin { "/twin" } else { "" })
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// As expected.
    Passed,
    /// With these differences.
    Failed(Vec<String>),
    /// With these differences at first, and as expected each time that it was run again.
    Unsteady(Vec<String>),
    /// It was not run, for this reason.
    Skipped(String),
}

/// What all runs share.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The binary that is tested.
    pub(crate) unrefuse: PathBuf,
    /// The root file systems of the systemd hosts that scenarios need, or why there is none.
    pub(crate) roots: BTreeMap<Kind, Result<PathBuf, String>>,
    /// The schema of its report.
    pub(crate) schema: Schema,
    /// Where failed runs are kept.
    pub(crate) keep: PathBuf,
    /// Keep those that pass, too.
    pub(crate) keep_all: bool,
}

impl Bench {
    /// The root file system of a kind of systemd host.
    pub(crate) fn root(&self, kind: Kind) -> Result<&Path> {
        match self.roots.get(&kind) {
            Some(Ok(root)) => Ok(root),
            Some(Err(reason)) => bail!("there are no such hosts: {reason}"),
            None => bail!("no root file system was asked for"),
        }
    }

    /// Keeps a run's files where something differs or everything is kept.
    fn save(&self, folder: &Path, stage: &Stage, called: &Called<'_>, differences: &mut Vec<String>) {
        if differences.is_empty() && !self.keep_all {
            return;
        }
        if let Err(error) = keep::save(folder, stage, called, differences) {
            differences.push(format!("the run's files were not kept: {error:#}"));
        }
    }
}

/// A call of unrefuse that was made, and can be made again with other options.
pub(crate) struct Called<'a> {
    node: &'a Node,
    connects: &'a Node,
    call: &'a Call,
    /// What it wrote.
    pub(crate) output: Output,
}

impl<'a> Called<'a> {
    fn new(stage: &'a Stage, call: &'a Call) -> Result<Self> {
        let node = node_of(stage, call)?;
        let output = ask(node, call, &["--json"])?;
        Ok(Self { node, connects: connects_from(stage, call)?, call, output })
    }

    /// The same call with other options.
    pub(crate) fn again(&self, options: &[&str]) -> Result<Output> {
        ask(self.node, self.call, options)
    }

    /// What was called, for a person.
    pub(crate) fn command_line(&self) -> String {
        format!(
            "[{}] {:?} unrefuse --json {} {}",
            self.node.name,
            self.call.env,
            self.call.args.join(" "),
            self.call.target
        )
    }

    /// Connects without unrefuse's help, as that user. `None`: the scenario wants no such attempt.
    pub(crate) fn connect(&self) -> Result<Option<Output>> {
        connect(self.connects, self.call)
    }

    fn answer(&self, schema: &Schema) -> Result<(Answer, Vec<String>)> {
        let report = serde_json::from_slice(&self.output.stdout)
            .with_context(|| format!("no JSON report: {}", self.output.text()))?;
        let differences = schema.differences(&report);
        Ok((Answer { exit: self.output.status.and_then(|status| status.code()), report }, differences))
    }
}

fn node_of<'a>(stage: &'a Stage, call: &Call) -> Result<&'a Node> {
    let default = if stage.nodes.contains_key("client") { "client" } else { "server" };
    stage.node(call.node.as_deref().unwrap_or(default))
}

fn connects_from<'a>(stage: &'a Stage, call: &Call) -> Result<&'a Node> {
    call.connect_from.as_deref().map_or_else(|| node_of(stage, call), |name| stage.node(name))
}

fn connect(node: &Node, call: &Call) -> Result<Option<Output>> {
    let words = match &call.connect {
        Some(words) => words.clone(),
        None => derive_connect(call)?,
    };
    let Some((protocol, endpoint)) = words.split_once(' ').filter(|(protocol, _)| *protocol != "none") else {
        return Ok(None);
    };
    let through = call.connect_through.as_ref().unwrap_or(&call.through);
    let mut command = behind(through, &format!("{NODE_DIR}/bin/unrefuse-lab"));
    command.arg("connect").arg(protocol).arg(endpoint);
    // The unit is one of the machine that calls.
    let unit = call.unit.as_deref().filter(|_| call.connect_from.is_none());
    node.run_in(command, call.user, unit, CALL_LIMIT).map(Some)
}

/// A service may need a moment after the fix (to empty its queue, to look again): waits until a plain connect works. That it
/// never does is told by what follows.
fn await_open(node: &Node, call: &Call) {
    crate::sys::poll_until(std::time::Instant::now() + Duration::from_secs(5), || {
        connect(node, call).is_ok_and(|output| output.is_none_or(|output| output.success()))
    });
}

fn ask(node: &Node, call: &Call, options: &[&str]) -> Result<Output> {
    let mut command = behind(&call.through, &format!("{NODE_DIR}/bin/unrefuse"));
    command.args(options).args(&call.args).arg(&call.target).envs(&call.env);
    node.run_in(command, call.user, call.unit.as_deref(), CALL_LIMIT)
}

/// `program` as the last of `words`, or alone.
fn behind(words: &[String], program: &str) -> std::process::Command {
    let Some((first, rest)) = words.split_first() else { return Node::command(program) };
    let mut command = Node::command(first);
    command.args(rest).arg(program);
    command
}

/// Runs a job to its end. Whatever was built is gone afterwards.
pub(crate) fn run(job: &Job, bench: &Bench) -> Verdict {
    match attempt(job, bench) {
        Ok(verdict) => verdict,
        Err(error) => Verdict::Failed(vec![format!("{error:#}")]),
    }
}

fn attempt(job: &Job, bench: &Bench) -> Result<Verdict> {
    let scenario = job.source.read(job.variant)?;
    for program in &scenario.needs {
        if !installed(program) {
            return Ok(Verdict::Skipped(format!("{program} is not installed")));
        }
    }
    for kind in scenario.systemd_hosts() {
        if let Some(Err(reason)) = bench.roots.get(&kind) {
            return Ok(Verdict::Skipped(format!("there are no systemd hosts: {reason}")));
        }
    }
    let folder = keep::folder(&bench.keep, &job.name());
    keep::clear(&folder)?;
    let (stage, call) = if job.twin {
        (healthy_twin(&scenario, bench)?, scenario.twin.call.as_ref().unwrap_or(&scenario.call))
    } else {
        (broken(&scenario, bench)?, &scenario.call)
    };
    let called = Called::new(&stage, call)?;
    let mut differences = compare(&scenario, job.twin, &called, &bench.schema).unwrap_or_else(told);
    bench.save(&folder, &stage, &called, &mut differences);
    if !job.twin {
        let kept = !differences.is_empty();
        let (answer, _) = called.answer(&bench.schema)?;
        differences.extend(heal_all(&scenario, &answer.report, bench, &folder));
        // What the fixes were printed with is wanted as much as what came of them.
        if !kept {
            bench.save(&folder, &stage, &called, &mut differences);
        }
    }
    if differences.is_empty() { Ok(Verdict::Passed) } else { Ok(Verdict::Failed(differences)) }
}

/// Runs every printed fix that has steps, each on a stage of its own.
fn heal_all(scenario: &Scenario, report: &serde_json::Value, bench: &Bench, folder: &Path) -> Vec<String> {
    let mut differences = Vec::new();
    let wanted = &scenario.after_fix;
    let runnable = fix::runnable(report);
    if let Some(reason) = &wanted.none {
        if !runnable.is_empty() {
            differences.push(format!("after_fix.none says {reason:?}, and fixes {runnable:?} have steps"));
        }
        return differences;
    }
    if runnable.is_empty() {
        differences.push("no fix of the first blocker has steps".to_owned());
    }
    for number in runnable.into_iter().filter(|number| !wanted.partial.contains_key(&number.to_string())) {
        let healed = heal(scenario, number, bench, folder).unwrap_or_else(told);
        differences.extend(healed.into_iter().map(|difference| format!("after fix {number}: {difference}")));
    }
    differences
}

fn told(error: anyhow::Error) -> Vec<String> {
    vec![format!("{error:#}")]
}

/// Holds a call against the scenario's expectation, or a twin's against silence.
fn compare(scenario: &Scenario, twin: bool, called: &Called<'_>, schema: &Schema) -> Result<Vec<String>> {
    let (answer, mut differences) = called.answer(schema)?;
    if twin {
        differences.extend(check::healthy(&answer, &scenario.twin.notes_mention));
        differences.extend(reachable(called, true)?);
        return Ok(differences);
    }
    differences.extend(check::differences(&answer, &scenario.expect));
    if scenario.expect.harmless_text {
        differences.extend(harmless(&called.again(&["-v", "--color", "never"])?));
    }
    differences.extend(reachable(called, scenario.expect.connects)?);
    if !differences.is_empty() {
        differences.push(check::said(&answer.report));
    }
    Ok(differences)
}

/// Builds the fault anew, runs one of the printed fixes and calls again: now nothing may be found.
fn heal(scenario: &Scenario, number: usize, bench: &Bench, folder: &Path) -> Result<Vec<String>> {
    let stage = broken(scenario, bench)?;
    let called = Called::new(&stage, &scenario.call)?;
    let (answer, _) = called.answer(&bench.schema)?;
    let node = match &scenario.after_fix.node {
        Some(name) => stage.node(name)?,
        None => called.node,
    };
    let mut call = scenario.call.clone();
    let text = called.again(&["-v", "--color", "never"])?;
    fix::apply(&answer.report, number, &String::from_utf8_lossy(&text.stdout), node, &mut call.env)?;
    await_open(connects_from(&stage, &call)?, &call);
    let again = Called::new(&stage, &call)?;
    let (answer, differences) = again.answer(&bench.schema)?;
    let mut differences = [differences, check::healthy(&answer, &[]), reachable(&again, true)?].concat();
    bench.save(&folder.join(format!("after-fix-{number}")), &stage, &again, &mut differences);
    Ok(differences)
}

/// The scenario's stage with its fault.
pub(crate) fn broken(scenario: &Scenario, bench: &Bench) -> Result<Stage> {
    staged(scenario, bench, &scenario.services, &scenario.fault)
}

/// The scenario's stage without its fault.
pub(crate) fn healthy_twin(scenario: &Scenario, bench: &Bench) -> Result<Stage> {
    let services = scenario.twin.services.as_ref().unwrap_or(&scenario.services);
    staged(scenario, bench, services, &scenario.twin.steps)
}

/// Builds the stage and takes the steps. Once more where that failed, which is said: on a machine under load a server may
/// not come to the wanted state in time, and unrefuse was asked nothing yet.
fn staged(scenario: &Scenario, bench: &Bench, services: &[ServiceSpec], steps: &[Step]) -> Result<Stage> {
    let once = || {
        let mut stage = Stage::build(scenario, services, bench)?;
        steps.iter().try_for_each(|step| stage.step(step))?;
        Ok(stage)
    };
    once().or_else(|error: anyhow::Error| {
        eprintln!("again   {}: {error:#}", scenario.title);
        once()
    })
}

/// Compares what the lab's own connect says with what should be.
fn reachable(called: &Called<'_>, wanted: bool) -> Result<Vec<String>> {
    let Some(output) = called.connect()? else { return Ok(Vec::new()) };
    if output.success() == wanted {
        return Ok(Vec::new());
    }
    let found = if wanted { output.text() } else { "it connects in spite of the fault".to_owned() };
    Ok(vec![format!("the lab's own connect: {found}")])
}

/// What a plain client would connect to for that call.
fn derive_connect(call: &Call) -> Result<String> {
    let target = &call.target;
    if let Some(path) = target.strip_prefix("unix:").or_else(|| target.starts_with('/').then_some(target)) {
        return Ok(format!("unix {path}"));
    }
    if target.contains("://") || target.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
        bail!("what to connect to for {target} is not clear: give call.connect");
    }
    let protocol = if call.args.iter().any(|argument| argument == "--udp") { "udp" } else { "tcp" };
    let host = if target.starts_with(':') { "localhost" } else { "" };
    if !host.is_empty() && call.connect_from.is_some() {
        bail!("{target} is this machine: what to connect to from elsewhere is not clear: give call.connect");
    }
    Ok(format!("{protocol} {host}{target}"))
}

/// Control characters in a text report that could act on a terminal.
fn harmless(output: &Output) -> Vec<String> {
    let bad = String::from_utf8_lossy(&output.stdout).chars().find(|c| c.is_control() && *c != '\n');
    bad.map(|c| format!("the text report holds the control character {c:?}")).into_iter().collect()
}

fn installed(program: &str) -> bool {
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .any(|folder| Path::new(folder).join(program).exists())
}

//! A scenario: what one TOML file says. Unknown keys are errors.

use crate::placeholders::{Variant, fill};
use crate::topology::Topology;
use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// One fault with the call that meets it, what must be found, and how it heals.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// What is broken, in one line.
    pub(crate) title: String,
    /// The causes it demonstrates, as `gate/slug`.
    pub(crate) covers: Vec<String>,
    /// The machines and wires.
    pub(crate) topology: Topology,
    /// The families it is run in.
    #[serde(default = "both")]
    pub(crate) variants: Vec<Variant>,
    /// Placeholders of its own, by family.
    #[serde(default)]
    pub(crate) vars: BTreeMap<Variant, BTreeMap<String, String>>,
    /// Programs that must be installed (`nft`); without them the scenario is skipped.
    #[serde(default)]
    pub(crate) needs: Vec<String>,
    /// What differs from the topology's nodes, and further nodes.
    #[serde(default)]
    pub(crate) nodes: BTreeMap<String, NodeSpec>,
    /// What runs on them.
    #[serde(default)]
    pub(crate) services: Vec<ServiceSpec>,
    /// What breaks it, in order.
    #[serde(default)]
    pub(crate) fault: Vec<Step>,
    /// The call of unrefuse.
    pub(crate) call: Call,
    /// What it must say.
    pub(crate) expect: Expect,
    /// The printed fixes are run, and then the connection must be open.
    pub(crate) after_fix: AfterFix,
    /// The same without the fault, where nothing may be found.
    #[serde(default)]
    pub(crate) twin: Twin,
}

fn both() -> Vec<Variant> {
    vec![Variant::V4, Variant::V6]
}

/// A machine of a scenario, on top of what the topology gives it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeSpec {
    /// What kind of machine it is.
    #[serde(default)]
    pub(crate) kind: Kind,
    /// Its host name; else the node's name.
    pub(crate) hostname: Option<String>,
    /// Files by absolute path, written before anything runs.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// Kernel settings of its network namespace.
    #[serde(default)]
    pub(crate) sysctls: BTreeMap<String, String>,
    /// Interfaces besides the topology's.
    #[serde(default)]
    pub(crate) interfaces: Vec<Interface>,
    /// Named network namespaces on this machine (ip-netns(8)), with loopback up.
    #[serde(default)]
    pub(crate) netns: Vec<String>,
    /// Shell commands on a systemd host before it boots, where only its files are there.
    #[serde(default)]
    pub(crate) before_boot: Vec<String>,
    /// Shell commands that belong to the healthy state.
    #[serde(default)]
    pub(crate) setup: Vec<String>,
}

/// What kind of machine a node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Namespaces over this machine's own files, with nothing running.
    #[default]
    Plain,
    /// A Debian of its own, started by systemd, with the real servers.
    Systemd,
    /// The same with Docker and Podman instead of the servers.
    Containers,
}

/// A network interface on one of the scenario's LANs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Interface {
    /// Its name on the node.
    pub(crate) name: String,
    /// The LAN, by any word; interfaces with the same word see each other.
    pub(crate) lan: String,
    /// Addresses with prefix length.
    #[serde(default)]
    pub(crate) addresses: Vec<String>,
}

/// A process that runs on a node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceSpec {
    /// What steps call it; for `serve` also the name of its executable and command.
    #[serde(default = "service_name")]
    pub(crate) name: String,
    /// Where it runs.
    #[serde(default = "server")]
    pub(crate) node: String,
    /// The arguments of the lab's own test daemon (`unrefuse-lab serve --help`); it says itself when it is ready.
    pub(crate) serve: Option<String>,
    /// Or a shell command.
    pub(crate) run: Option<String>,
    /// When a `run` is ready.
    pub(crate) ready: Option<Ready>,
    /// A named network namespace of the node to run it in.
    pub(crate) netns: Option<String>,
}

fn service_name() -> String {
    "testd".to_owned()
}

fn server() -> String {
    "server".to_owned()
}

/// When a service counts as up: all that is given must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ready {
    /// A TCP socket of the node listens on this port.
    pub(crate) tcp: Option<u16>,
    /// A UDP socket of the node is bound to this port.
    pub(crate) udp: Option<u16>,
    /// A shell command on the node succeeds.
    pub(crate) shell: Option<String>,
}

/// One step of the fault.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// Where; needed by `run`.
    #[serde(default = "server")]
    pub(crate) node: String,
    /// A shell command.
    pub(crate) run: Option<String>,
    /// A service that is ended.
    pub(crate) stop: Option<String>,
    /// A service that is stopped with SIGSTOP.
    pub(crate) freeze: Option<String>,
    /// A shell command that succeeds once the step has taken effect.
    pub(crate) until: Option<String>,
}

/// How unrefuse is called.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    /// Where; else `client` where there is one, else `server`.
    pub(crate) node: Option<String>,
    /// The target as a user types it.
    pub(crate) target: String,
    /// Options before the target.
    #[serde(default)]
    pub(crate) args: Vec<String>,
    /// Environment variables.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Who calls.
    #[serde(default)]
    pub(crate) user: User,
    /// A unit of a systemd host whose cgroup the call and the lab's own connect are made in, as if it ran them:
    /// `app.service`.
    pub(crate) unit: Option<String>,
    /// Words that the call and the lab's own connect are put behind: `docker exec NAME` makes them in a container that has
    /// the machine's files.
    #[serde(default)]
    pub(crate) through: Vec<String>,
    /// The same for the connect alone, where it isn't the one of the call: a call with `--container`.
    pub(crate) connect_through: Option<Vec<String>>,
    /// What the lab's own connect is told, where it can't be derived from `target` and `args`: `tcp HOST:PORT`,
    /// `udp HOST:PORT`, `unix PATH`, or a reason after `none`.
    pub(crate) connect: Option<String>,
    /// Where the lab's own connect is made; else where the call is made. A call with `--from` judges for that machine.
    pub(crate) connect_from: Option<String>,
}

/// A user of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum User {
    /// User 0 with every capability.
    #[default]
    Root,
    /// User 65534 without any.
    Nobody,
}

/// What the report must say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// Exit status; 1 where not given.
    pub(crate) exit: Option<i32>,
    /// `outcome`.
    pub(crate) outcome: Option<String>,
    /// Gate of the first blocker; else the part of `root` before the slash.
    pub(crate) gate: Option<String>,
    /// Root of the first blocker.
    pub(crate) root: Option<String>,
    /// The first blocker is at least this certain.
    pub(crate) certainty: Option<Certainty>,
    /// The ids of the first blocker's whys, all of them in order.
    pub(crate) whys: Option<Vec<String>>,
    /// Ids that may stand nowhere among roots and whys.
    #[serde(default)]
    pub(crate) not: Vec<String>,
    /// Status by gate.
    #[serde(default)]
    pub(crate) journey: BTreeMap<String, String>,
    /// Words, each of which some entry of `unknown` must contain (any case).
    #[serde(default)]
    pub(crate) unknown_mentions: Vec<String>,
    /// The same for `notes`.
    #[serde(default)]
    pub(crate) notes_mention: Vec<String>,
    /// The same for the evidence of the first blocker.
    #[serde(default)]
    pub(crate) evidence_mentions: Vec<String>,
    /// How many blockers there are; one, where a root is expected and nothing else is said.
    pub(crate) blockers: Option<usize>,
    /// An independent connect succeeds in spite of the fault (a fallback address, every other attempt …).
    #[serde(default)]
    pub(crate) connects: bool,
    /// The text report is asked for too and may hold no control characters.
    #[serde(default)]
    pub(crate) harmless_text: bool,
}

/// How sure a finding is; the order is that of strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Certainty {
    /// It fits, and so do others.
    Possible,
    /// It was read and predicts a failure.
    Likely,
    /// What decides was read and explains what was seen.
    Proven,
}

impl Certainty {
    /// The word's certainty.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "possible" => Some(Self::Possible),
            "likely" => Some(Self::Likely),
            "proven" => Some(Self::Proven),
            _ => None,
        }
    }
}

/// What is done with the printed fixes of the first blocker: each one that has steps is run, on a stage of its own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AfterFix {
    /// Why no fix has steps to run.
    pub(crate) none: Option<String>,
    /// Fixes, by number from 1, that help and don't heal alone, with the reason. They are not run.
    #[serde(default)]
    pub(crate) partial: BTreeMap<String, String>,
    /// Where they are run; else where the call was made.
    pub(crate) node: Option<String>,
}

/// The healthy twin: the scenario without its fault.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Twin {
    /// Why there is none.
    pub(crate) none: Option<String>,
    /// Services instead of the scenario's.
    pub(crate) services: Option<Vec<ServiceSpec>>,
    /// Steps that are taken before the call, for a near miss.
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    /// The call instead of the scenario's.
    pub(crate) call: Option<Call>,
    /// The same as in `expect`.
    #[serde(default)]
    pub(crate) notes_mention: Vec<String>,
}

impl Scenario {
    /// Reads a scenario for one family.
    ///
    /// # Errors
    /// The text is not TOML, has an unknown key or placeholder, or contradicts itself.
    pub(crate) fn read(text: &str, variant: Variant) -> Result<Self> {
        // The families and own placeholders must be known before the text can be filled in. Placeholders stand
        // inside strings only, so that the file is TOML with them, too.
        let raw: Self = toml::from_str(text)?;
        let own = raw.vars.get(&variant).cloned().unwrap_or_default();
        let filled = fill(text, variant, &own)?;
        let scenario: Self = toml::from_str(&filled).context("with the placeholders filled in")?;
        scenario.check()?;
        Ok(scenario)
    }

    /// The families of a scenario's text.
    ///
    /// # Errors
    /// The text is not a scenario.
    pub(crate) fn variants(text: &str) -> Result<Vec<Variant>> {
        let raw: Self = toml::from_str(text)?;
        ensure!(!raw.variants.is_empty(), "variants is empty: it would never run");
        Ok(raw.variants)
    }

    /// The kinds of hosts that need a root file system.
    pub(crate) fn systemd_hosts(&self) -> BTreeSet<Kind> {
        self.nodes.values().map(|node| node.kind).filter(|kind| *kind != Kind::Plain).collect()
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.title.trim().is_empty(), "the title is empty");
        ensure!(!self.covers.is_empty(), "covers names no cause");
        let ids = self
            .covers
            .iter()
            .chain(&self.expect.root)
            .chain(&self.expect.not)
            .chain(self.expect.whys.iter().flatten());
        for id in ids {
            ensure!(is_cause_id(id), "{id:?} is not of the form gate/slug");
        }
        let services = self.services.iter().chain(self.twin.services.iter().flatten());
        for service in services {
            ensure!(service.serve.is_some() != service.run.is_some(), "service {}: either serve or run", service.name);
            ensure!(service.run.is_none() || service.ready.is_some(), "service {}: run needs ready", service.name);
        }
        for step in self.fault.iter().chain(&self.twin.steps) {
            let kinds = [&step.run, &step.stop, &step.freeze].iter().filter(|k| k.is_some()).count();
            ensure!(kinds == 1, "a step is one of run, stop, freeze");
        }
        for (name, node) in &self.nodes {
            ensure!(
                node.kind != Kind::Plain || node.before_boot.is_empty(),
                "node {name} boots nothing, and has before_boot"
            );
        }
        let fix = &self.after_fix;
        if fix.none.is_some() && (!fix.partial.is_empty() || fix.node.is_some()) {
            bail!("after_fix has none and something to run");
        }
        for number in fix.partial.keys() {
            ensure!(number.parse::<usize>().is_ok_and(|n| n > 0), "after_fix.partial: {number:?} is no number from 1");
        }
        let twin = &self.twin;
        let differs = twin.services.is_some() || twin.call.is_some() || !twin.steps.is_empty();
        ensure!(
            differs || twin.none.is_some() || !self.fault.is_empty(),
            "the twin is the same as the scenario: give fault steps, twin.services, twin.call, twin.steps or twin.none"
        );
        Ok(())
    }
}

/// `gate/slug`: two words of lower-case letters, digits and hyphens.
pub(crate) fn is_cause_id(id: &str) -> bool {
    let word = |w: &str| !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    id.split_once('/').is_some_and(|(gate, slug)| word(gate) && word(slug))
}

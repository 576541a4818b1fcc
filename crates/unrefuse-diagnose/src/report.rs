//! The report: what `--json` prints. Fields are added, never renamed; ids and values are a contract.

use crate::Gate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use unrefuse_facts::Location;

/// The schema's name and version.
pub const SCHEMA: &str = "unrefuse.report/1";

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Always `unrefuse.report/1`.
    pub schema: String,
    /// What was to be reached.
    pub target: TargetInfo,
    /// Where facts were seen from.
    pub vantage: VantageInfo,
    /// How the target answers, over all its addresses.
    pub outcome: Outcome,
    /// Every attempt that was made.
    pub attempts: Vec<AttemptInfo>,
    /// All gates in the packet's order.
    pub journey: Vec<GateInfo>,
    /// What stops the packet, in its order.
    pub blockers: Vec<Blocker>,
    /// Things seen that do not block.
    pub notes: Vec<Note>,
    /// What could not be told.
    pub unknown: Vec<Unknown>,
    /// Wall-clock time of the whole diagnosis in milliseconds.
    pub elapsed_ms: u64,
}

/// What was to be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TargetInfo {
    /// As typed, without passwords.
    pub input: String,
    /// Name, address, or path of a unix socket.
    pub host: String,
    /// Port; 0 for a unix socket.
    pub port: u16,
    /// `tcp`, `udp` or `unix`.
    pub protocol: String,
    /// URL scheme, if one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
}

/// Where facts were seen from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VantageInfo {
    /// `local`, `netns`, `ssh`, `snapshot` or `from`.
    pub kind: String,
    /// Name of the machine.
    pub host: String,
    /// With the rights of root.
    pub privileged: bool,
    /// The namespace, or the client whose way in was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The container that was stood in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The network namespace that was stood in: a name of ip-netns(8), or a process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
}

/// How a target or one attempt answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It works.
    Open,
    /// Connection refused.
    Refused,
    /// Reset during or right after the handshake.
    Reset,
    /// Silence.
    TimedOut,
    /// No way there.
    Unreachable,
    /// Forbidden.
    Denied,
    /// The name gave no address.
    Unresolved,
    /// Accepted, then closed at once.
    ClosedOnAccept,
    /// Some addresses or attempts are open and some are not.
    Mixed,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptInfo {
    /// Address tried.
    #[schemars(with = "String")]
    pub address: IpAddr,
    /// Port tried.
    pub port: u16,
    /// How it ended; never `unresolved` or `mixed`.
    pub outcome: Outcome,
    /// Symbolic error number, `ECONNREFUSED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno: Option<String>,
    /// What the error number says; or, for an attempt that was given up, why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// Microseconds from the call to its end.
    pub elapsed_us: u64,
}

/// What answered a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct By {
    /// `rst`, `icmp` or `local` (this machine's own kernel).
    pub kind: String,
    /// ICMP type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<u8>,
    /// ICMP code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_code: Option<u8>,
    /// Who signed the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub from: Option<IpAddr>,
    /// TTL or hop limit of the answer as it arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u8>,
    /// Who refused, as far as the answer shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuser: Option<RefuserInfo>,
}

/// Who refused, with the strength of the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefuserInfo {
    /// `server-kernel`, `server-firewall`, `router`, `this-machine`.
    pub who: String,
    /// How sure that is.
    pub certainty: Certainty,
    /// What shows it.
    pub evidence: Vec<Evidence>,
}

/// A gate and what became of the packet there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateInfo {
    /// The gate.
    pub gate: Gate,
    /// Status.
    pub status: GateStatus,
    /// One line.
    pub summary: String,
}

/// What became of the packet at a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GateStatus {
    /// It passes.
    Pass,
    /// It is stopped.
    Blocks,
    /// Cannot tell.
    Unknown,
    /// Does not apply.
    Skipped,
}

/// A gate that blocks, with its chain of whys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blocker {
    /// The gate.
    pub gate: Gate,
    /// Id of the last why: what a person can change.
    pub root: String,
    /// How sure the chain is: that of its weakest link.
    pub certainty: Certainty,
    /// From what the client sees to the root.
    pub whys: Vec<Why>,
    /// How to make it work, best first.
    pub fixes: Vec<Fix>,
}

/// A cause with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    /// Id in the catalogue, `gate/slug`.
    pub id: String,
    /// What is the case here, in one line.
    pub title: String,
    /// How sure.
    pub certainty: Certainty,
    /// What shows it.
    pub evidence: Vec<Evidence>,
}

/// How sure a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// It fits and could not be told from its rivals.
    Possible,
    /// What decides was read and predicts a failure, but the attempt could not be made or has a second explanation.
    Likely,
    /// The attempt failed exactly as predicted, and what decides was read.
    Proven,
}

/// Something seen, with where it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What was seen.
    pub text: String,
    /// The interface, file or packet it was seen in.
    pub source: String,
    /// `path:line`, where it stands in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

impl Evidence {
    /// Something seen in `source`.
    pub fn new(text: impl Into<String>, source: impl Into<String>) -> Self {
        Self { text: text.into(), source: source.into(), location: None }
    }
    /// The same with its place in a file.
    #[must_use]
    pub fn at(mut self, location: &Location) -> Self {
        self.location = Some(location.to_string());
        self
    }
}

/// Something seen that does not block.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// What it is, in one or two sentences.
    pub text: String,
    /// Where it was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Something that could not be told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Unknown {
    /// The open question.
    pub what: String,
    /// Why it could not be told.
    pub why: String,
    /// What would settle it.
    pub how_to_know: String,
}

/// How to make it work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fix {
    /// What it does, in one line.
    pub title: String,
    /// What it may break.
    pub risk: Risk,
    /// It survives a reboot.
    pub persistent: bool,
    /// To be done in order in a root shell. Empty where no command can be given: then the title says what to do.
    pub steps: Vec<Step>,
    /// How to take it back.
    pub undo: Vec<Step>,
    /// The command that shows it worked.
    pub verify: String,
}

/// What a fix may break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Nothing else is touched.
    Low,
    /// Others use what is changed.
    Medium,
    /// It may interrupt a service or open it to more than the asker.
    High,
}

/// One step of a fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Step {
    /// A shell command.
    Command {
        /// As it is pasted: quoted, without placeholders, not interactive.
        command: String,
    },
    /// A change of one line of a file.
    Edit {
        /// The change.
        edit: Edit,
    },
}

/// A change of one line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edit {
    /// Absolute path.
    pub path: String,
    /// Line number, from 1.
    pub line: u32,
    /// The line as it is. The edit applies only while it still reads so.
    pub old: String,
    /// The line as it becomes; empty: the line is taken out.
    pub new: String,
}

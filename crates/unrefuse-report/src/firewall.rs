//! The way of one packet through the packet filters: `unrefuse firewall`.
//!
//! A [`Report`] is what the judge of `unrefuse-firewall` answered, in a form that stays: it serialises as
//! `unrefuse.firewall/1`, where fields are added and never renamed. Optional fields are left out where there is nothing
//! to say; lists are always there.

mod convert;
mod text;
mod words;

pub use convert::{Made, report};
pub use text::text;

use crate::json::{pretty, schema_of};
use schemars::JsonSchema;
use serde::Serialize;
use std::net::IpAddr;

/// Name and version of the JSON form.
pub const SCHEMA: &str = "unrefuse.firewall/1";

/// What was asked, and what the rules say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What was asked.
    pub question: Question,
    /// What happens to the packet.
    pub fate: Fate,
    /// Where it is rejected, or never sent: how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected_with: Option<String>,
    /// Why that cannot be told, where it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What may happen, where that cannot be told.
    pub may_be: Vec<Fate>,
    /// Where an accepted packet goes: several where NAT chooses.
    pub destinations: Vec<Destination>,
    /// The rule, policy or decision of the network stack that decides, or at which the ways part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Decider>,
    /// Others that decide alike, where something before them could not be told.
    pub also_decided_by: Vec<Decider>,
    /// Rules that matched, policies, and decisions of the stack, in the packet's order.
    pub way: Vec<Step>,
    /// What the sender observes.
    pub client_sees: ClientSees,
    /// Addresses after NAT, where it changed any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translated: Option<Translated>,
    /// What happens to the answer: SYN-ACK, RST or ICMP error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// What was taken for granted.
    pub assumptions: Vec<String>,
    /// Matches and targets that were met and not understood, or cannot be known offline, each with its rule.
    pub ignored: Vec<String>,
    /// What in the rulesets could not be read or understood, each with its place.
    pub problems: Vec<String>,
}

impl Report {
    /// Exit status: 0 the packet gets through and its answer back, 1 one of them is stopped, 3 that cannot be told.
    pub fn exit_code(&self) -> u8 {
        let of = |fate| match fate {
            Fate::Accepted => 0,
            Fate::Dropped | Fate::Rejected | Fate::NotSent => 1,
            Fate::Depends | Fate::Unknown => 3,
        };
        match (of(self.fate), &self.reply) {
            (0, Some(reply)) => of(reply.fate),
            (code, _) => code,
        }
    }
}

/// `report` as indented JSON that ends with a newline; what could act on a terminal is escaped.
pub fn json(report: &Report) -> String {
    pretty(report)
}

/// The JSON Schema (draft 2020-12) of [`json`]'s output.
pub fn schema() -> serde_json::Value {
    schema_of::<Report>(SCHEMA)
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Question {
    /// Source address; left out for a packet that a process of this machine sends from the address that its route gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// Destination address.
    pub to: IpAddr,
    /// Destination port.
    pub port: u16,
    /// `tcp` or `udp`.
    #[schemars(extend("enum" = ["tcp", "udp"]))]
    pub protocol: &'static str,
    /// Source port, where it was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// `in`: it arrives, for this machine or to be forwarded; `out`: a process of this machine sends it.
    #[schemars(extend("enum" = ["in", "out"]))]
    pub way: &'static str,
    /// The interface that it arrives by (`in`) or leaves by (`out`), where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iface: Option<String>,
    /// The files that hold the rules; empty: the rules in force here.
    pub rules: Vec<String>,
}

/// What happens to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It gets through.
    Accepted,
    /// It is gone, without a word.
    Dropped,
    /// It is gone, and its sender is told.
    Rejected,
    /// It is never made: the system call fails.
    NotSent,
    /// It depends on what cannot be known.
    Depends,
    /// It was not judged to the end.
    Unknown,
}

/// Where a packet ends up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Destination {
    /// Address after NAT; left out where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Port after NAT; left out where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// This machine takes it.
    pub local: bool,
    /// The interface that it leaves by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iface: Option<String>,
}

/// What decides, or does something on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Decider {
    /// `rule`, `policy` or `stack`.
    #[schemars(extend("enum" = ["rule", "policy", "stack"]))]
    pub kind: &'static str,
    /// Netfilter hook: `prerouting`, `input` …
    pub hook: &'static str,
    /// Table's family, as nft(8) names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<&'static str>,
    /// Table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// What runs the table: `legacy` (iptables-legacy), `nft`, `iptables-nft`, or `iptables` where a file does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<&'static str>,
    /// Chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// Number of the rule in its chain, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// nft handle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<u64>,
    /// The file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The rule's text, or the stack's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Comment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Counters, where it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counters>,
    /// The program that made it; left out where nothing shows one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

/// Packets and bytes that met a rule or policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The program that made a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Owner {
    /// Its name: `ufw`, `firewalld`, `fail2ban` …
    pub name: String,
    /// firewalld's zone, fail2ban's jail or kube-proxy's Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

/// One thing on a packet's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Step {
    /// What did it.
    pub by: Decider,
    /// What it did: `accept`, `jump f2b-sshd`, `dnat to 10.0.0.2:80`.
    pub does: String,
    /// It is what decided.
    pub decides: bool,
}

/// What the sender observes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClientSees {
    /// `answer`, `silence`, `reset`, `icmp`, `errno` or `unclear`.
    #[schemars(extend("enum" = ["answer", "silence", "reset", "icmp", "errno", "unclear"]))]
    pub kind: &'static str,
    /// ICMP: 4, or 6 for ICMPv6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_version: Option<u8>,
    /// ICMP type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<u8>,
    /// ICMP code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_code: Option<u8>,
    /// The error that the client's system call ends in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno: Option<&'static str>,
}

/// Addresses after NAT; what is left out is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Translated {
    /// Source address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// Source port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// Destination address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<IpAddr>,
    /// Destination port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// What happens to the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reply {
    /// What happens to it.
    pub fate: Fate,
    /// Why that cannot be told, where it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Decider>,
    /// Its way.
    pub way: Vec<Step>,
}

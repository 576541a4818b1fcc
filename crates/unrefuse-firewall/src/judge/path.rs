//! One possible way of a packet, and what ends it.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::answer::StackReason;
use crate::digest::Digest;
use crate::index::{Candidates, Index};
use crate::model::{Hook, Reject, Rules};
use crate::packet::Packet;

/// So often a chain is walked by its digest: an index costs as much as hundreds of such walks, and is faster from then on.
const WALKS: u32 = 100;
/// Chains with fewer rules are tried one by one.
const WORTH_IT: usize = 16;

/// A chain as the judge walks it.
#[derive(Debug)]
pub(crate) struct ChainCode {
    /// Index of its table in the ruleset.
    pub(crate) table: usize,
    /// Name.
    pub(crate) name: String,
    /// Rules; `None` where they could not be read.
    pub(crate) rules: Option<Arc<Rules>>,
    /// How often it was walked: an index is built when that pays.
    walked: Cell<u32>,
    index: OnceCell<Option<Index>>,
}

impl ChainCode {
    pub(crate) fn new(table: usize, name: &str, rules: Option<Arc<Rules>>) -> Self {
        Self { table, name: name.to_owned(), rules, walked: Cell::new(0), index: OnceCell::new() }
    }

    /// What tells which rules may hold for a packet; `None` where all are tried.
    pub(crate) fn index(&self) -> Option<Lookup<'_>> {
        let rules = self.rules.as_ref().filter(|rules| rules.len() >= WORTH_IT)?;
        let walked = self.walked.get();
        if walked >= WALKS
            && let Some(index) = self.index.get_or_init(|| Index::build(rules))
        {
            return Some(Lookup::Index(index));
        }
        self.walked.set(walked.saturating_add(1));
        Some(Lookup::Digest(rules.digest()))
    }
}

/// How the rules that may hold for a packet are found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lookup<'c> {
    Digest(&'c Digest),
    Index(&'c Index),
}

impl<'c> Lookup<'c> {
    pub(crate) fn candidates(self, packet: &Packet) -> Candidates<'c> {
        match self {
            Self::Digest(digest) => Candidates::Asked(digest.answers(packet)),
            Self::Index(index) => index.candidates(packet),
        }
    }
}

/// What did something to a packet.
#[derive(Debug, Clone)]
pub(crate) enum By {
    Rule(Rc<ChainCode>, u32),
    Policy(Rc<ChainCode>),
    Stack(StackReason),
}

impl PartialEq for By {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rule(a, i), Self::Rule(b, j)) => i == j && Rc::ptr_eq(a, b),
            (Self::Policy(a), Self::Policy(b)) => Rc::ptr_eq(a, b),
            (Self::Stack(a), Self::Stack(b)) => a == b,
            _ => false,
        }
    }
}

/// One thing on the way.
#[derive(Debug, Clone)]
pub(crate) struct Happened {
    pub(crate) hook: Hook,
    pub(crate) by: By,
    pub(crate) what: String,
}

/// A place where the way parted, and which side was taken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parted {
    pub(crate) hook: Hook,
    pub(crate) by: Option<By>,
    pub(crate) why: String,
    pub(crate) side: u8,
}

/// What decided at a base chain.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decided {
    pub(crate) hook: Hook,
    pub(crate) filter: bool,
    pub(crate) by: By,
}

/// One possible way of the packet.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) packet: Packet,
    pub(crate) way: Vec<Happened>,
    pub(crate) parted: Vec<Parted>,
    pub(crate) decided: Vec<Decided>,
    /// The mark by which a packet from here was routed anew last.
    pub(crate) rerouted_by: Option<u32>,
}

impl Path {
    pub(crate) fn new(packet: Packet) -> Self {
        Self { packet, way: Vec::new(), parted: Vec::new(), decided: Vec::new(), rerouted_by: None }
    }

    /// Takes over what another path that has come to the same point with the same packet does not share: partings that
    /// only one of them had made no difference.
    pub(crate) fn merge(&mut self, other: &Self) {
        let same = self.parted.iter().zip(&other.parted).take_while(|(a, b)| a == b).count();
        self.parted.truncate(same);
    }
}

/// How a chain, or a journey, ends for a packet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Exit {
    /// The chain's end, or a return.
    End,
    Accept,
    Drop,
    Reject(Reject),
    /// The stack drops it.
    Stack(StackReason),
    /// The stack drops it and answers.
    StackReject(StackReason, Reject),
    /// Local sending fails.
    NotSent(StackReason, &'static str),
}

impl Exit {
    /// Nothing stops it.
    pub(crate) const fn gets_through(&self) -> bool {
        matches!(self, Self::Accept | Self::End)
    }
}

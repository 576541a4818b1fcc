//! The rules of a chain, and what is known of them as a whole.

use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use super::Rule;
use crate::digest::Digest;

/// The rules of a chain, in order.
///
/// Beside them stands a digest of a few bytes for each rule, by which a judge passes over those that cannot hold for a
/// packet: of ten thousand rules it then touches no more than the few that may. It is made when it is first needed, or by
/// the reader ([`RulesBuilder`]).
#[derive(Debug, Clone, Default)]
pub struct Rules {
    list: Vec<Rule>,
    digest: OnceLock<Digest>,
}

impl Rules {
    pub(crate) fn digest(&self) -> &Digest {
        self.digest.get_or_init(|| Digest::of(&self.list))
    }
}

impl From<Vec<Rule>> for Rules {
    fn from(list: Vec<Rule>) -> Self {
        Self { list, digest: OnceLock::new() }
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        Vec::from_iter(rules).into()
    }
}

impl Deref for Rules {
    type Target = Vec<Rule>;

    fn deref(&self) -> &Vec<Rule> {
        &self.list
    }
}

impl DerefMut for Rules {
    fn deref_mut(&mut self) -> &mut Vec<Rule> {
        // What is changed has another digest.
        self.digest = OnceLock::new();
        &mut self.list
    }
}

/// Takes rules one by one, and their digest while they are at hand.
#[derive(Debug, Default)]
pub struct RulesBuilder {
    list: Vec<Rule>,
    digest: Digest,
}

impl RulesBuilder {
    /// Room for so many rules.
    pub fn with_capacity(rules: usize) -> Self {
        Self { list: Vec::with_capacity(rules), digest: Digest::with_capacity(rules) }
    }

    /// How many there are by now.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none by now.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds the next rule.
    pub fn push(&mut self, rule: Rule) {
        self.digest.push(&rule);
        self.list.push(rule);
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        self.list.clear();
        self.digest = Digest::default();
    }

    /// Changes how rules are written, and nothing else of them.
    pub fn texts_mut(&mut self) -> impl Iterator<Item = &mut Rule> {
        self.list.iter_mut()
    }

    /// The chain's rules.
    pub fn finish(self) -> Rules {
        Rules { list: self.list, digest: self.digest.into() }
    }
}

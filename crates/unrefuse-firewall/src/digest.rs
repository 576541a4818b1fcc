//! What each rule of a chain asks, in a few bytes: so that a packet passes over ten thousand rules without touching them.
//!
//! Of each rule, one test for equality of a field that the packet itself tells is kept, the one of most bits. A rule whose
//! test fails for the packet cannot hold; all others are tried in full. A chain that is walked often gets an index.

use crate::index::{Guard, guards, load};
use crate::model::{Field, Rule, Scalar};
use crate::packet::Packet;

/// Rules that have no such test have this in place of a test's number.
const ALWAYS: u32 = u32::MAX;
/// So many different tests are kept apart; a chain has a handful.
const MOST_TESTS: usize = 256;

/// What the rules of a chain ask.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digest {
    /// Fields with the mask they are tested under.
    tests: Vec<(Field, Scalar)>,
    /// For each rule the number of its test.
    asked: Vec<u32>,
    /// For each rule the value that its test wants.
    wanted: Vec<Scalar>,
    /// Some rule needs connection tracking, or may.
    pub(crate) tracked: bool,
}

impl Digest {
    pub(crate) fn of(rules: &[Rule]) -> Self {
        let mut digest = Self::default();
        rules.iter().for_each(|rule| digest.push(rule));
        digest
    }

    /// Adds the next rule.
    pub(crate) fn push(&mut self, rule: &Rule) {
        self.tracked |= rule.statements.iter().any(crate::judge::needs_conntrack);
        let (mut number, mut value, mut most) = (ALWAYS, 0, 0);
        for guard in guards(rule) {
            let Guard::Masked(field, mask, wanted) = guard else { continue };
            let bits = bits(field).min(mask.count_ones());
            if bits > most
                && let Some(at) = self.test(field, mask)
            {
                (number, value, most) = (at, wanted, bits);
            }
        }
        self.asked.push(number);
        self.wanted.push(value);
    }

    fn test(&mut self, field: &Field, mask: Scalar) -> Option<u32> {
        // The last ones first: rules that stand together are alike.
        let known = self.tests.iter().rposition(|(f, m)| *m == mask && f == field);
        let at = known.or_else(|| {
            (self.tests.len() < MOST_TESTS).then(|| {
                self.tests.push((field.clone(), mask));
                self.tests.len() - 1
            })
        });
        at.and_then(|at| u32::try_from(at).ok())
    }

    /// What a packet has where the rules ask.
    pub(crate) fn answers(&self, packet: &Packet) -> Answers<'_> {
        let value = |(field, mask): &(Field, Scalar)| match load(packet, field) {
            Some(Some(bits)) => bits.masked(*mask, 0).exact().map_or(Answer::Any, Answer::Is),
            Some(None) => Answer::None,
            None => Answer::Any,
        };
        Answers { digest: self, values: self.tests.iter().map(value).collect() }
    }
}

/// How many bits a field has, as far as that says how rare a value is.
fn bits(field: &Field) -> u32 {
    match field {
        Field::Payload { len, .. } => u32::from(*len),
        // A name is worth less than an address: there are few interfaces.
        _ => 7,
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Is(Scalar),
    /// Not known: any rule may hold.
    Any,
    /// The load fails: no rule that needs it holds.
    None,
}

/// A packet's answers to the tests of a chain.
#[derive(Debug)]
pub(crate) struct Answers<'d> {
    digest: &'d Digest,
    values: Vec<Answer>,
}

impl Answers<'_> {
    /// The first rule from `at` on that may hold.
    pub(crate) fn next(&self, at: usize) -> Option<usize> {
        let (asked, wanted) = (self.digest.asked.get(at..)?, self.digest.wanted.get(at..)?);
        let may_hold = |(number, wanted): (&u32, &Scalar)| match self.values.get(*number as usize) {
            Some(Answer::Is(value)) => value == wanted,
            Some(Answer::None) => false,
            Some(Answer::Any) | None => true,
        };
        asked.iter().zip(wanted).position(may_hold).map(|found| at + found)
    }
}

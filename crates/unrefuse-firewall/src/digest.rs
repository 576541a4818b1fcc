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
/// The fingerprint of a rule that has no such test.
const ANYWAY: u16 = 0;
/// With more tests than these, rules are compared one by one.
const MOST_SOUGHT: usize = 8;
/// So many rules are looked at in one go.
const STRIDE: usize = 128;

/// What the rules of a chain ask.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digest {
    /// Fields with the mask they are tested under.
    tests: Vec<(Field, Scalar)>,
    /// For each rule the number of its test.
    asked: Vec<u32>,
    /// For each rule the value that its test wants.
    wanted: Vec<Scalar>,
    /// For each rule a fingerprint of both: what is scanned, as it is a tenth of them.
    prints: Vec<u16>,
    /// Some rule needs connection tracking, or may.
    pub(crate) tracked: bool,
}

impl Digest {
    pub(crate) fn of(rules: &[Rule]) -> Self {
        let mut digest = Self::default();
        rules.iter().for_each(|rule| digest.push(rule));
        digest
    }

    /// With room for so many rules.
    pub(crate) fn with_capacity(rules: usize) -> Self {
        Self {
            asked: Vec::with_capacity(rules),
            wanted: Vec::with_capacity(rules),
            prints: Vec::with_capacity(rules),
            ..Self::default()
        }
    }

    /// Adds the next rule.
    pub(crate) fn push(&mut self, rule: &Rule) {
        self.tracked |= rule.statements.iter().any(crate::judge::needs_conntrack);
        let (mut number, mut value, mut most) = (ALWAYS, 0, 0);
        guards(rule, &mut |guard| {
            let Guard::Masked(field, mask, wanted) = guard else { return };
            let bits = bits(field).min(mask.count_ones());
            if bits > most
                && let Some(at) = self.test(field, mask)
            {
                (number, value, most) = (at, wanted, bits);
            }
        });
        self.asked.push(number);
        self.wanted.push(value);
        self.prints.push(print(number, value));
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
        let values: Vec<Answer> = self.tests.iter().map(value).collect();
        let few = self.tests.len() <= MOST_SOUGHT && !values.contains(&Answer::Any);
        let sought = |(number, value): (u32, &Answer)| match value {
            Answer::Is(value) => Some(print(number, *value)),
            _ => None,
        };
        let sought = few.then(|| [ANYWAY].into_iter().chain((0..).zip(&values).filter_map(sought)).collect());
        Answers { digest: self, values, sought }
    }
}

/// A fingerprint of a test and the value that it wants.
fn print(number: u32, value: Scalar) -> u16 {
    if number == ALWAYS {
        return ANYWAY;
    }
    let [low, high] = [value as u64, (value >> 64) as u64];
    let mixed = (low ^ high.rotate_left(29) ^ (u64::from(number) << 56)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // Never that of a rule without a test.
    ((mixed >> 48) as u16).max(ANYWAY + 1)
}

/// A place at most [`STRIDE`] before the first fingerprint that is sought; `None`: there is none.
fn near(prints: &[u16], sought: &[u16]) -> Option<usize> {
    // Without a branch for each rule: the compiler makes this a comparison of many at once.
    let holds = |stretch: &[u16]| {
        sought.iter().any(|wanted| stretch.iter().fold(0, |found, print| found | u16::from(print == wanted)) != 0)
    };
    prints.chunks(STRIDE).position(holds).map(|stretch| stretch * STRIDE)
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
    /// The fingerprints of rules that may hold; `None`: too many to be sought.
    sought: Option<Vec<u16>>,
}

impl Answers<'_> {
    /// The first rule from `at` on that may hold.
    pub(crate) fn next(&self, at: usize) -> Option<usize> {
        let Some(sought) = &self.sought else { return self.compared(at, self.digest.asked.len()) };
        let mut at = at;
        loop {
            let from = at + near(self.digest.prints.get(at..)?, sought)?;
            // Other values may have the same fingerprint.
            let to = self.digest.asked.len().min(from + STRIDE);
            if let Some(found) = self.compared(from, to) {
                return Some(found);
            }
            at = to;
        }
    }

    /// The same by the values themselves, among the rules up to `to`.
    fn compared(&self, at: usize, to: usize) -> Option<usize> {
        let (asked, wanted) = (self.digest.asked.get(at..to)?, self.digest.wanted.get(at..to)?);
        let may_hold = |(number, wanted): (&u32, &Scalar)| match self.values.get(*number as usize) {
            Some(Answer::Is(value)) => value == wanted,
            Some(Answer::None) => false,
            Some(Answer::Any) | None => true,
        };
        asked.iter().zip(wanted).position(may_hold).map(|found| at + found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cond, Expr, Header, Op, Statement, Verdict};
    use crate::spec::PacketSpec;
    use std::net::IpAddr;

    fn equals(offset: u16, base: Header, len: u16, right: Scalar) -> Statement {
        let left = Expr::Field(Field::Payload { base, offset, len });
        Statement::If(Cond::Compare { left, op: Op::Eq, right })
    }

    fn source(address: u32) -> Statement {
        equals(96, Header::Network, 32, address.into())
    }

    fn port(number: u16) -> Statement {
        equals(16, Header::Transport, 16, number.into())
    }

    fn digest(rules: Vec<Vec<Statement>>) -> Digest {
        let rule = |statements| Rule { statements, ..Rule::default() };
        Digest::of(&rules.into_iter().map(rule).collect::<Vec<_>>())
    }

    fn named(digest: &Digest, src: Option<&str>, dport: u16) -> Vec<usize> {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let src = src.map(address);
        let packet = Packet::build(&PacketSpec::tcp(src, address("192.0.2.1"), dport), src);
        let answers = digest.answers(&packet);
        std::iter::successors(answers.next(0), |at| answers.next(at + 1)).collect()
    }

    #[test]
    fn rules_that_ask_for_something_else_are_passed_over() {
        let drop = || Statement::Verdict(Verdict::Drop);
        let digest = digest(vec![
            vec![source(0xc633_6401), port(22), drop()],
            vec![port(22), drop()],
            vec![drop()],
            vec![source(0xc633_6402), drop()],
            // What is changed by the rule itself is no test of the packet as it comes.
            vec![Statement::Notrack, port(80), drop()],
        ]);
        assert_eq!(named(&digest, Some("198.51.100.1"), 22), [0, 1, 2, 4]);
        // Of two tests the one of more bits is kept: the port is the judge's to try.
        assert_eq!(named(&digest, Some("198.51.100.1"), 80), [0, 2, 4]);
        assert_eq!(named(&digest, Some("198.51.100.2"), 80), [2, 3, 4]);
    }

    #[test]
    fn what_is_not_known_of_the_packet_passes_over_nothing() {
        let digest = digest(vec![vec![source(1)], vec![port(22)], vec![source(2)]]);
        assert_eq!(named(&digest, None, 22), [0, 1, 2]);
        assert_eq!(named(&digest, None, 23), [0, 2]);
    }

    #[test]
    fn long_chains_are_passed_over_by_fingerprints() {
        let mut rules: Vec<_> = (0..1000).map(|address| vec![source(address)]).collect();
        rules[700] = vec![Statement::Verdict(Verdict::Drop)];
        rules[999] = vec![source(5)];
        assert_eq!(named(&digest(rules.clone()), Some("0.0.0.5"), 22), [5, 700, 999]);
        // So many different tests are compared rule by rule. The source's own bytes are known.
        let bytes = (0..=MOST_SOUGHT as u16).map(|n| vec![equals(96 + n, Header::Network, 8, 0xff)]);
        rules.extend(bytes);
        assert_eq!(named(&digest(rules), Some("0.0.0.5"), 22), [5, 700, 999]);
    }

    #[test]
    fn rules_that_were_changed_have_another_digest() {
        let mut rules = crate::model::Rules::from(vec![Rule { statements: vec![port(22)], ..Rule::default() }]);
        assert!(named(rules.digest(), None, 23).is_empty());
        rules[0].statements = vec![port(23)];
        assert_eq!(named(rules.digest(), None, 23), [0]);
    }
}

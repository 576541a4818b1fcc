//! Which rules of a chain may hold for a packet: so that not each of ten thousand has to be tried.
//!
//! Of each rule, one test for equality (or for a range) of a field that the packet itself tells is chosen, the one that
//! fewest rules share. For a packet, the field's value then names the rules that may hold; a value that is known only in
//! part names them all. Nothing is decided here: every rule that is named is tried in full.

use std::collections::HashMap;

use crate::bits::Bits;
use crate::digest::Answers;
use crate::model::{Cond, Expr, Field, Meta, Op, Rule, Scalar, Statement};
use crate::packet::{Loaded, Packet};

/// Chains with fewer rules are tried one by one.
const WORTH_IT: usize = 24;
/// Ranges of one field may name each rule so often, on average.
const SPREAD: usize = 16;

/// From and to of a range, and the place of the rule that asks for it.
type Stretch = (Scalar, Scalar, u32);

/// Places of rules in a chain, in order.
type Places = Vec<u32>;

/// What the rules of a chain ask.
#[derive(Debug)]
pub(crate) struct Index {
    /// Rules that have no test that can be looked up.
    always: Places,
    /// By a field's bits under a mask.
    masked: Vec<Masked>,
    /// By ranges of a field.
    ranged: Vec<Ranged>,
}

#[derive(Debug)]
struct Masked {
    field: Field,
    mask: Scalar,
    values: HashMap<Scalar, Places>,
    all: Places,
}

#[derive(Debug)]
struct Ranged {
    field: Field,
    /// Where the set of rules changes, and the rules from there on.
    steps: Vec<(Scalar, Places)>,
    all: Places,
}

/// The rules that may hold for one packet, taken in order.
#[derive(Debug)]
pub(crate) enum Candidates<'i> {
    /// The places that an index names.
    Named(Vec<&'i [u32]>),
    /// Those of which the digest does not say otherwise.
    Asked(Answers<'i>),
}

impl Candidates<'_> {
    /// The first rule from `at` on. Ask with growing `at` only.
    pub(crate) fn next(&mut self, at: usize) -> Option<usize> {
        let lists = match self {
            Self::Named(lists) => lists,
            Self::Asked(answers) => return answers.next(at),
        };
        let mut lowest = None::<u32>;
        for list in lists {
            while let [first, rest @ ..] = *list
                && (*first as usize) < at
            {
                // Long lists are skipped through by halves.
                let skip = if rest.len() > 64 { list.partition_point(|p| (*p as usize) < at) } else { 1 };
                *list = &list[skip..];
            }
            if let Some(first) = list.first() {
                lowest = Some(lowest.map_or(*first, |l| l.min(*first)));
            }
        }
        lowest.map(|l| l as usize)
    }
}

/// A test that can be looked up.
pub(crate) enum Guard<'r> {
    Masked(&'r Field, Scalar, Scalar),
    Ranged(&'r Field, Vec<(Scalar, Scalar)>),
}

impl Index {
    /// Builds the index of a chain; `None` where it is not worth it.
    pub(crate) fn build(rules: &[Rule]) -> Option<Self> {
        if rules.len() < WORTH_IT {
            return None;
        }
        let of_rule = |rule| {
            let mut list = Vec::new();
            guards(rule, &mut |guard| list.push(guard));
            list
        };
        let guards: Vec<Vec<Guard<'_>>> = rules.iter().map(of_rule).collect();
        let mut shared: HashMap<(&Field, Scalar, Scalar), usize> = HashMap::new();
        let mut ranges: HashMap<&Field, usize> = HashMap::new();
        for guard in guards.iter().flatten() {
            match guard {
                Guard::Masked(field, mask, value) => *shared.entry((field, *mask, *value)).or_default() += 1,
                Guard::Ranged(field, _) => *ranges.entry(field).or_default() += 1,
            }
        }
        let mut index = Self { always: Vec::new(), masked: Vec::new(), ranged: Vec::new() };
        let mut of_masked: HashMap<(&Field, Scalar), usize> = HashMap::new();
        let mut of_ranged: HashMap<&Field, (Vec<Stretch>, Places)> = HashMap::new();
        for (place, guards) in guards.iter().enumerate() {
            let place = place as u32;
            let best = guards.iter().min_by_key(|guard| match guard {
                Guard::Masked(field, mask, value) => shared[&(*field, *mask, *value)],
                // As a guess, a range holds a quarter of what asks for ranges of its field.
                Guard::Ranged(field, _) => 2 + ranges[field] / 4,
            });
            match best {
                Some(Guard::Masked(field, mask, value)) => {
                    let at = *of_masked.entry((field, *mask)).or_insert_with(|| {
                        let field = (*field).clone();
                        index.masked.push(Masked { field, mask: *mask, values: HashMap::new(), all: Vec::new() });
                        index.masked.len() - 1
                    });
                    index.masked[at].values.entry(*value).or_default().push(place);
                    index.masked[at].all.push(place);
                }
                Some(Guard::Ranged(field, list)) => {
                    let (of, all) = of_ranged.entry(field).or_default();
                    of.extend(list.iter().map(|(from, to)| (*from, *to, place)));
                    all.push(place);
                }
                None => index.always.push(place),
            }
        }
        for (field, (list, all)) in of_ranged {
            match steps(&list, SPREAD * all.len() + 1024) {
                Some(steps) => index.ranged.push(Ranged { field: field.clone(), steps, all }),
                None => index.always.extend(all),
            }
        }
        index.always.sort_unstable();
        Some(index)
    }

    /// The rules that may hold for a packet.
    pub(crate) fn candidates(&self, packet: &Packet) -> Candidates<'_> {
        let mut lists: Vec<&[u32]> = Vec::with_capacity(1 + self.masked.len() + self.ranged.len());
        lists.push(&self.always);
        for masked in &self.masked {
            match load(packet, &masked.field) {
                Some(Some(bits)) => match bits.masked(masked.mask, 0).exact() {
                    Some(value) => lists.extend(masked.values.get(&value).map(Vec::as_slice)),
                    None => lists.push(&masked.all),
                },
                Some(None) => {}
                None => lists.push(&masked.all),
            }
        }
        for ranged in &self.ranged {
            match load(packet, &ranged.field) {
                Some(Some(bits)) => match bits.exact() {
                    Some(value) => {
                        let at = ranged.steps.partition_point(|(from, _)| *from <= value);
                        lists.extend(at.checked_sub(1).map(|i| ranged.steps[i].1.as_slice()));
                    }
                    None => lists.push(&ranged.all),
                },
                Some(None) => {}
                None => lists.push(&ranged.all),
            }
        }
        lists.retain(|l| !l.is_empty());
        Candidates::Named(lists)
    }
}

/// A field's value; `Some(None)`: its load fails, no rule that needs it holds.
pub(crate) fn load(packet: &Packet, field: &Field) -> Option<Option<Bits>> {
    match field {
        Field::Payload { base, offset, len } => match packet.image.load(*base, *offset, *len) {
            Ok(bits) => Some(Some(bits)),
            Err(true) => Some(None),
            Err(false) => None,
        },
        Field::Meta(meta) => match packet.meta(*meta)? {
            Loaded::Value(bits) => Some(Some(bits)),
            Loaded::Absent => Some(None),
            Loaded::Unknown(_) => None,
        },
        _ => None,
    }
}

/// Hands over the tests before the rule's first effect that can be looked up.
pub(crate) fn guards<'r>(rule: &'r Rule, each: &mut impl FnMut(Guard<'r>)) {
    for statement in &rule.statements {
        match statement {
            Statement::If(cond) => collect(cond, each),
            Statement::Note(_) => {}
            _ => break,
        }
    }
}

fn collect<'r>(cond: &'r Cond, each: &mut impl FnMut(Guard<'r>)) {
    match cond {
        Cond::Compare { left, op: Op::Eq, right } => match left {
            Expr::Field(field) if told(field) => each(Guard::Masked(field, Scalar::MAX, *right)),
            Expr::Bits { of, mask, xor: 0 } => {
                if let Expr::Field(field) = &**of
                    && told(field)
                {
                    each(Guard::Masked(field, *mask, *right));
                }
            }
            _ => {}
        },
        Cond::Range { value: Expr::Field(field), from, to, negated: false } if told(field) => {
            each(Guard::Ranged(field, vec![(*from, *to)]));
        }
        Cond::All(conds) => conds.iter().for_each(|c| collect(c, each)),
        Cond::Lenient(inner) => collect(inner, each),
        Cond::Any(conds) => {
            if let Some(guard) = alternatives(conds) {
                each(guard);
            }
        }
        _ => {}
    }
}

/// Alternatives of one field, each a value or a range.
fn alternatives(conds: &[Cond]) -> Option<Guard<'_>> {
    let mut of: Option<&Field> = None;
    let mut list = Vec::new();
    for cond in conds {
        let (field, from, to) = match cond {
            Cond::Compare { left: Expr::Field(field), op: Op::Eq, right } => (field, *right, *right),
            Cond::Range { value: Expr::Field(field), from, to, negated: false } => (field, *from, *to),
            _ => return None,
        };
        if *of.get_or_insert(field) != field || !told(field) {
            return None;
        }
        list.push((from, to));
    }
    of.map(|field| Guard::Ranged(field, list))
}

/// Whether the packet itself tells this field.
fn told(field: &Field) -> bool {
    matches!(
        field,
        Field::Payload { .. }
            | Field::Meta(Meta::IifName | Meta::OifName | Meta::L4Proto | Meta::NfProto | Meta::Protocol | Meta::Mark)
    )
}

/// Ranges as steps: from each on, the same rules hold. `None`: the ranges lie so much one over the other that it is not
/// worth it.
fn steps(list: &[Stretch], most: usize) -> Option<Vec<(Scalar, Places)>> {
    let mut bounds: Vec<(Scalar, bool, u32)> = Vec::with_capacity(list.len() * 2);
    for (from, to, place) in list.iter().filter(|(from, to, _)| from <= to) {
        bounds.push((*from, true, *place));
        if let Some(after) = to.checked_add(1) {
            bounds.push((after, false, *place));
        }
    }
    bounds.sort_unstable();
    // A rule may have several ranges that meet or overlap: it is counted.
    let mut now: std::collections::BTreeMap<u32, u32> = std::collections::BTreeMap::new();
    let mut out: Vec<(Scalar, Places)> = Vec::new();
    let mut named = 0;
    for group in bounds.chunk_by(|a, b| a.0 == b.0) {
        for (_, begins, place) in group {
            let count = now.entry(*place).or_default();
            *count = if *begins { *count + 1 } else { count.wrapping_sub(1) };
        }
        now.retain(|_, count| *count != 0);
        named += now.len();
        if named > most {
            return None;
        }
        out.push((group[0].0, now.keys().copied().collect()));
    }
    Some(out)
}

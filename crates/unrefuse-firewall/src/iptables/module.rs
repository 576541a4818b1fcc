//! The modules' meaning for readers that have their options from elsewhere than text: what a match tests and a target does
//! is said once, in [`super::matches`] and [`super::targets`].

use std::borrow::Cow;

use super::build::build;
use super::options::{Case, Given};
use super::rule::{Line, Loaded};
use super::{matches, targets};
use crate::model::{Base, Cond, Family, Policy, Statement};

/// An option: its name, whether it is turned round, its arguments.
pub(crate) type Setting = (&'static str, bool, Vec<String>);

/// Where a module stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) family: Family,
    /// Protocol of the rule, where it is of one.
    pub(crate) protocol: Option<u8>,
    pub(crate) chain: &'a str,
    /// Name and options as they would be written.
    pub(crate) text: &'a str,
}

fn given(options: &[Setting]) -> Vec<Given<'_>> {
    let one = |(is, negated, values): &'_ Setting| Given {
        is,
        negated: *negated,
        values: values.iter().map(|value| Cow::Owned(value.clone())).collect(),
    };
    options.iter().map(one).collect()
}

fn case<'a>(place: &Place<'a>) -> Case<'a> {
    Case { family: place.family, protocol: place.protocol, chain: place.chain, text: place.text }
}

/// What a match tests; the error says what is not understood.
pub(crate) fn tests(name: &str, place: &Place<'_>, options: &[Setting]) -> Result<Vec<Cond>, String> {
    let module = matches::find(name).ok_or("a match that is not known")?;
    (module.read)(&case(place), &given(options))
}

/// What a target does; the error says what is not understood.
pub(crate) fn effects(name: &str, place: &Place<'_>, options: &[Setting]) -> Result<Vec<Statement>, String> {
    let module = targets::find(name).ok_or("a target that is not known")?;
    (module.read)(&case(place), &given(options))
}

/// A module with its options.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) options: Vec<Setting>,
    /// Name and options as they would be written.
    pub(crate) text: String,
    /// It was not understood.
    pub(crate) wrong: Option<String>,
}

/// A value that may be turned round.
pub(crate) type Turned = Option<(String, bool)>;

/// A whole rule.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) source: Turned,
    pub(crate) destination: Turned,
    pub(crate) in_interface: Turned,
    pub(crate) out_interface: Turned,
    pub(crate) protocol: Turned,
    /// `-f`: turned round or not.
    pub(crate) fragment: Option<bool>,
    pub(crate) matches: Vec<Module>,
    pub(crate) target: Option<Module>,
    pub(crate) goto: bool,
}

/// What a rule does, its comment, and what of it is not understood. `is_chain` tells the chains of its table.
pub(crate) fn statements(
    entry: &Entry,
    family: Family,
    chain: &str,
    is_chain: impl Fn(&str) -> bool,
) -> (Vec<Statement>, Option<String>, Vec<String>) {
    let turned = |value: &Turned| value.as_ref().map(|(text, negated)| (Cow::Owned(text.clone()), *negated));
    let target = |module: &Module| Loaded {
        name: Cow::Owned(module.name.clone()),
        module: if entry.goto { None } else { targets::find(&module.name) },
        given: given(&module.options).into_iter().map(owned).collect(),
        text: format!("{} {}", if entry.goto { "-g" } else { "-j" }, module.text),
        wrong: module.wrong.clone(),
    };
    let line = Line {
        source: turned(&entry.source),
        destination: turned(&entry.destination),
        in_interface: turned(&entry.in_interface),
        out_interface: turned(&entry.out_interface),
        protocol: turned(&entry.protocol),
        fragment: entry.fragment,
        matches: entry
            .matches
            .iter()
            .map(|module| Loaded {
                name: Cow::Owned(module.name.clone()),
                module: matches::find(&module.name),
                given: given(&module.options).into_iter().map(owned).collect(),
                text: module.text.clone(),
                wrong: module.wrong.clone(),
            })
            .collect(),
        target: entry.target.as_ref().map(target),
        goto: entry.goto,
        ..Line::default()
    };
    let mut built = build(&line, family, chain, is_chain);
    (built.rules.pop().unwrap_or_default(), built.comment, built.problems)
}

fn owned(given: Given<'_>) -> Given<'static> {
    let values = given.values.into_iter().map(|value| Cow::Owned(value.into_owned())).collect();
    Given { is: given.is, negated: given.negated, values }
}

/// Hook, priority and kind of a built-in chain; `None`: the table has no such chain.
pub(crate) fn built_in(table: &str, chain: &str, policy: Policy) -> Option<Base> {
    super::base::built_in(table, chain, policy)
}

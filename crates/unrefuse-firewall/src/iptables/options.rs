//! What options a match or target module has, and how those of one rule were given.

use std::borrow::Cow;

use crate::model::{Cond, Family, Statement};

/// Arguments of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Args {
    None,
    One,
    Two,
    /// One, where the next word is no option.
    Maybe,
}

/// An option of a module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opt {
    /// As it is written, without `--`.
    pub(super) spelled: &'static str,
    /// The option it is another name of, or itself.
    pub(super) is: &'static str,
    pub(super) args: Args,
    /// `!` may stand before it (`XTOPT_INVERT`).
    pub(super) invertible: bool,
}

/// An option with one argument that cannot be turned round.
pub(super) const fn one(spelled: &'static str) -> Opt {
    Opt { spelled, is: spelled, args: Args::One, invertible: false }
}

/// An option without argument that cannot be turned round.
pub(super) const fn flag(spelled: &'static str) -> Opt {
    Opt { spelled, is: spelled, args: Args::None, invertible: false }
}

impl Opt {
    /// With `!`.
    pub(super) const fn inv(self) -> Self {
        Self { invertible: true, ..self }
    }

    /// Another name of `is`.
    pub(super) const fn of(self, is: &'static str) -> Self {
        Self { is, ..self }
    }

    /// With other arguments.
    pub(super) const fn args(self, args: Args) -> Self {
        Self { args, ..self }
    }
}

/// An option as a rule gives it.
#[derive(Debug, Clone)]
pub(super) struct Given<'a> {
    pub(super) is: &'static str,
    pub(super) negated: bool,
    pub(super) values: Vec<Cow<'a, str>>,
}

impl Given<'_> {
    /// The first argument; empty where there is none.
    pub(super) fn value(&self) -> &str {
        self.values.first().map_or("", |v| v)
    }
}

/// What a module's options are read in.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) family: Family,
    /// Protocol of the rule; `None` without `-p`, and with `! -p`.
    pub(super) protocol: Option<u8>,
    /// The rule's chain.
    pub(super) chain: &'a str,
    /// Name and options as they were written, for what cannot be decided.
    pub(super) text: &'a str,
}

impl Case<'_> {
    pub(super) fn v6(&self) -> bool {
        self.family == Family::Ip6
    }

    /// The module's rule must be of one of these protocols (`.proto` of the kernel's module, checked by
    /// `xt_check_match`).
    pub(super) fn needs_protocol(&self, wanted: &[u8]) -> Result<(), String> {
        match self.protocol {
            Some(p) if wanted.contains(&p) => Ok(()),
            _ => Err("the rule is of another protocol than this module is for".into()),
        }
    }
}

/// A match module.
#[derive(Debug)]
pub(super) struct Match {
    pub(super) name: &'static str,
    pub(super) options: &'static [Opt],
    /// Its tests; an error says what was not understood.
    pub(super) read: fn(&Case<'_>, &[Given<'_>]) -> Result<Vec<Cond>, String>,
}

/// A target module.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: &'static str,
    pub(super) options: &'static [Opt],
    /// Its statements; an error says what was not understood.
    pub(super) read: fn(&Case<'_>, &[Given<'_>]) -> Result<Vec<Statement>, String>,
}

/// Whether an option was given.
pub(super) fn has(given: &[Given<'_>], is: &str) -> bool {
    given.iter().any(|g| g.is == is)
}

/// An option's first argument.
pub(super) fn value<'a>(given: &'a [Given<'_>], is: &str) -> Option<&'a str> {
    given.iter().find(|g| g.is == is).map(Given::value)
}

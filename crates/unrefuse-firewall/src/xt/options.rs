//! Options of a module as a list, and as iptables-save(8) writes them.

use crate::iptables::module::Setting;
use std::fmt::Write as _;

/// A module's options in order.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) list: Vec<Setting>,
    /// The name that iptables(8) writes for it, where that is not the kernel's.
    pub(super) name: Option<&'static str>,
}

impl Options {
    pub(super) fn new() -> Self {
        Self::default()
    }
    /// An option without arguments.
    pub(super) fn flag(&mut self, name: &'static str) -> &mut Self {
        self.list.push((name, false, Vec::new()));
        self
    }
    /// One without arguments, where it is set.
    pub(super) fn flag_if(&mut self, set: bool, name: &'static str) -> &mut Self {
        if set { self.flag(name) } else { self }
    }
    pub(super) fn turned_flag(&mut self, name: &'static str, negated: bool) -> &mut Self {
        self.list.push((name, negated, Vec::new()));
        self
    }
    /// An option with one argument.
    pub(super) fn one(&mut self, name: &'static str, negated: bool, value: impl ToString) -> &mut Self {
        self.list.push((name, negated, vec![value.to_string()]));
        self
    }
    /// One with two arguments.
    pub(super) fn two(&mut self, name: &'static str, negated: bool, first: String, second: String) -> &mut Self {
        self.list.push((name, negated, vec![first, second]));
        self
    }

    /// `name --option value ! --other`.
    pub(super) fn text(&self, name: &str) -> String {
        let mut out = name.to_owned();
        for (option, negated, values) in &self.list {
            let _ = write!(out, " {}--{option}", if *negated { "! " } else { "" });
            for value in values {
                out.push(' ');
                out += &quoted(value);
            }
        }
        out
    }
}

/// A value as iptables-save(8) writes it: in double quotes where a shell would not leave it alone
/// (`xtables_save_string`).
pub(crate) fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,%+@/".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    let mut out = String::from('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '\'') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

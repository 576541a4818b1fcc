//! Causes of the gate `config`: why a service listens where it does. They are whys of the gate `listener`.
//!
//! All of them ask [`judge`] which configured address belongs to which socket; what it says decides which of them fires,
//! so that one does. [`change`] knows how each service writes an address, [`fixes`] puts steps around it.

mod change;
mod fixes;
mod judge;
mod once_started;
mod runner;
mod words;

#[cfg(test)]
mod scenes;

crate::rules::causes! {
    networking_disabled,
    not_reloaded,
    overridden,
    loopback_bind,
    default_bind,
    other_address,
    other_port,
}

/// A service that the question means runs, and its configuration gives it another port.
pub(crate) fn runs_elsewhere(view: &crate::View<'_>) -> bool {
    judge::runs_elsewhere(view).is_ok_and(|decided| decided.is_some())
}

pub(in crate::rules) use once_started::{OnceStarted, once_started};

//! The rulesets that filter in this thread's network namespace, as the kernel holds them.
//!
//! Only questions are asked: nothing is changed, no module loaded, no table made. nf_tables and ipset are asked where
//! their modules are there; a legacy table where /proc/net/ip_tables_names lists it, as asking for another one would make
//! it.

mod beside;
mod ipset;
mod legacy;
mod live;
mod nft;
pub(crate) mod presence;
mod tables;

pub use live::{Live, Scope, ruleset};

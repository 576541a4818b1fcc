//! Ruleset and packet in; verdict, the rule that decided, and the way there out.
//!
//! One intermediate form ([`model`]) for iptables-save text (legacy and nft), nf_tables as the kernel holds it, and sets.
//! It is close to nf_tables' own: a rule is a sequence of statements; tests compare what is loaded from the packet's
//! bytes, its metadata or its connection; an iptables match becomes the tests that the kernel's module makes.
//!
//! Nothing here does I/O. Nothing is guessed: what cannot be known offline (rate limits, time), and what is not
//! understood, is kept as such, and forks the verdict.
#![forbid(unsafe_code)]

pub mod answer;
pub mod bits;
mod bounds;
pub mod conntrack;
mod digest;
pub mod image;
mod index;
pub mod iptables;
pub mod judge;
pub mod machine;
pub mod model;
pub mod nft;
pub mod owner;
pub mod packet;
mod ranges;
pub mod spec;
pub mod sweep;
pub mod xt;

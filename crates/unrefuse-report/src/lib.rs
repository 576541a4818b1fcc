//! Report in, text out.
//!
//! Turns a [`unrefuse_diagnose::Report`] into what a person reads ([`text`]) or a program ([`json`], [`schema`]), and
//! lays out the other commands' results: tables of sockets ([`listeners`], [`who`]) and cause pages ([`explain`]).
//!
//! Nothing here decides or does I/O: every function gives a `String`, the command prints it. Every string of a report
//! may come from elsewhere (names, banners, config lines): it is made visible and bounded before it is laid out, and a
//! command that holds what a person would not see is not printed as one.
#![forbid(unsafe_code)]

mod blocker;
mod edit;
mod explain;
pub mod firewall;
mod fix;
mod gates;
mod json;
mod listeners;
mod page;
mod rest;
mod style;
mod table;
mod text;
mod verdict;
mod who;
mod wrap;

pub use edit::edit_command;
pub use explain::{explain, explain_list};
pub use json::{json, schema};
pub use listeners::{ListenerRow, ReachBy, ReachableFrom, listeners, listeners_json, listeners_schema};
pub use style::Style;
pub use text::text;
pub use who::{WhoRow, who, who_json, who_schema};

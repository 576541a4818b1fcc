//! Text and bytes from elsewhere into facts.
//!
//! Every function here is pure: no file, clock, environment or socket is touched. Any input gives an answer: nothing
//! panics, nothing loops, and the work is linear in the size of the input. What cannot be read is left out, kept apart
//! as ignored, or given back as an error, as each function says. The behaviour followed is that of the program that
//! reads the format in earnest (glibc, the kernel, pam_env, curl), and its source is named.
//!
//! Each parser's documentation shows a sample captured from a running machine; `fuzz/` has a target for each.
#![forbid(unsafe_code)]

pub mod config;
pub mod conntrack;
pub mod container;
pub mod counters;
pub mod environment;
pub mod firewalld;
pub mod hosts;
pub mod journal;
pub mod nsswitch;
pub mod packet;
pub mod passwd;
pub mod proc_net;
pub mod proc_pid;
pub mod proxy;
pub mod resolv_conf;
pub mod target;
pub mod ufw;
pub mod unit;

mod ipv4;
mod lines;
#[cfg(test)]
mod samples;
mod secret;

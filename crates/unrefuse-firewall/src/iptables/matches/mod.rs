//! Match modules: for each, its options and the tests that the kernel's module makes. The words of the options are those
//! of iptables-extensions(8).

mod address;
mod conntrack;
mod forks;
mod header;
mod icmp;
mod ipv6;
mod local;
mod mark;
mod payload;
mod ports;
mod sets;
mod u32;

pub(super) use header::{dscp_class, dscp_value, hop_limit_field, tos_offset, tos_value};

pub(crate) use address::ADDRESS_TYPES;

use super::options::{Given, Match, Opt};
use crate::model::Cond;

/// A module by its name.
pub(super) fn find(name: &str) -> Option<&'static Match> {
    // `xtables_find_match` knows these aliases.
    let name = match name {
        "icmpv6" | "ipv6-icmp" => "icmp6",
        "ipv6-mh" => "mh",
        "ipv6-frag" => "frag",
        "ipv6-opts" => "dst",
        "ipv6-route" => "rt",
        "hopopt" => "hbh",
        "udp-lite" => "udplite",
        other => other,
    };
    ALL.iter().flat_map(|group| group.iter()).find(|m| m.name == name)
}

const ALL: &[&[Match]] = &[
    ports::ALL,
    address::ALL,
    conntrack::ALL,
    mark::ALL,
    sets::ALL,
    icmp::ALL,
    local::ALL,
    header::ALL,
    ipv6::ALL,
    payload::ALL,
    u32::ALL,
    forks::ALL,
];

/// One test for each option that was given.
fn each(given: &[Given<'_>], test: impl Fn(&Given<'_>) -> Result<Cond, String>) -> Result<Vec<Cond>, String> {
    given.iter().map(test).collect()
}

/// Options of one argument that can be turned round.
const fn inv(spelled: &'static str) -> Opt {
    super::options::one(spelled).inv()
}

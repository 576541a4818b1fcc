//! x_tables matches and targets as the kernel holds them: name, revision, and the bytes of a struct
//! (include/uapi/linux/netfilter/xt_*.h and its neighbours for IPv4 and IPv6).
//!
//! iptables-nft rules carry them inside nf_tables rules (`match`, `target`), legacy tables in `struct ipt_entry`; they are
//! the same in both. A struct is read into the options that iptables-save(8) would print for it; what the options mean is
//! said in [`crate::iptables`], once for text and bytes.

mod conntrack;
mod headers;
mod info;
pub mod ipset;
pub mod legacy;
mod limits;
mod local;
mod nat;
mod options;
mod ports;
mod sets;
mod targets;
mod u32;

use crate::iptables::module;
use crate::model::{Cond, Family, Statement};
use info::Info;
use options::Options;
pub(crate) use options::quoted;
pub(crate) use ports::flags as tcp_flags;
use std::collections::HashMap;

/// Where a match or target stands.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The table's family.
    pub family: Family,
    /// The rule's protocol, where it is of one (`-p tcp`).
    pub protocol: Option<u8>,
    /// The rule's chain.
    pub chain: &'a str,
    /// Names of ipset(8) sets by their number in the kernel.
    pub ipsets: &'a HashMap<u16, String>,
}

/// What a match or target means.
#[derive(Debug, Clone, Default)]
pub struct Decoded {
    /// Statements, in order.
    pub statements: Vec<Statement>,
    /// As iptables-save(8) would write it, without a space in front.
    pub text: String,
    /// Where it is a comment (xt_comment): the comment.
    pub comment: Option<String>,
}

/// Reads a match. What is not understood is [`Cond::Unknown`].
pub fn decode_match(place: &Place<'_>, name: &str, revision: u8, info: &[u8]) -> Decoded {
    let read = match_options(place, name, revision, Info(info));
    let Some(options) = read else {
        let text = format!("-m {name}");
        let unknown = Cond::Unknown(text.clone());
        return Decoded { statements: vec![Statement::If(unknown)], text, comment: None };
    };
    let name = options.name.unwrap_or(name);
    let text = options.text(name);
    let at = module::Place { family: place.family, protocol: place.protocol, chain: place.chain, text: &text };
    let tests = module::tests(name, &at, &options.list).unwrap_or_else(|_| vec![Cond::Unknown(format!("-m {text}"))]);
    let comment = if name == "comment" { options.list.first().and_then(|(.., v)| v.first().cloned()) } else { None };
    let statements = tests.into_iter().filter(|test| *test != Cond::Const(true)).map(Statement::If).collect();
    Decoded { statements, text: format!("-m {text}"), comment }
}

/// Reads a target. What is not understood is [`Statement::Unknown`].
pub fn decode_target(place: &Place<'_>, name: &str, revision: u8, info: &[u8]) -> Decoded {
    let Some(options) = targets::options(place, name, revision, Info(info)) else {
        let text = format!("-j {name}");
        return Decoded { statements: vec![Statement::Unknown(text.clone())], text, comment: None };
    };
    let name = options.name.unwrap_or(name);
    let text = format!("-j {}", options.text(name));
    let at = module::Place { family: place.family, protocol: place.protocol, chain: place.chain, text: &text };
    let effects = module::effects(name, &at, &options.list);
    let statements = effects.unwrap_or_else(|_| vec![Statement::Unknown(text.clone())]);
    Decoded { statements, text, comment: None }
}

/// The options of a match; `None`: not understood.
fn match_options(place: &Place<'_>, name: &str, revision: u8, info: Info<'_>) -> Option<Options> {
    match name {
        "tcp" | "udp" | "udplite" | "sctp" | "dccp" | "multiport" | "icmp" | "icmp6" => {
            ports::options(name, revision, info)
        }
        "state" | "conntrack" | "helper" | "connmark" | "mark" | "realm" => {
            conntrack::options(place.family, name, revision, info)
        }
        "owner" | "cgroup" | "socket" | "policy" | "pkttype" | "physdev" | "devgroup" | "rpfilter" | "addrtype"
        | "iprange" | "mac" | "cpu" | "comment" => local::options(place.family, name, revision, info),
        "ttl" | "hl" | "length" | "dscp" | "tos" | "ecn" | "tcpmss" | "ah" | "esp" | "frag" | "rt" | "hbh" | "dst"
        | "mh" | "ipv6header" | "string" => headers::options(place.family, name, revision, info),
        "u32" => u32::options(info),
        "set" => sets::match_options(place, revision, info),
        _ => limits::options(place.family, name, revision, info),
    }
}

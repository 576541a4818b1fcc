//! nf_tables as the kernel tells it over netlink (include/uapi/linux/netfilter/nf_tables.h), read into the model.
//!
//! ```text
//! # nft list ruleset                                    # the same as messages
//! table inet t {                                        NFT_MSG_NEWTABLE
//!   set s { type ipv4_addr; elements = { 10.0.0.1 } }   NFT_MSG_NEWSET, NFT_MSG_NEWSETELEM
//!   chain in {                                          NFT_MSG_NEWCHAIN
//!     type filter hook input priority 0; policy drop;
//!     tcp dport 22 ip saddr @s accept                   NFT_MSG_NEWRULE: meta, cmp, payload, cmp, payload, lookup, immediate
//!   }
//! }
//! ```
//!
//! A rule is a list of expressions that load into registers and compare them. Here they run on symbols
//! (`Program`): what a comparison tests is then one condition of the model. What is not understood becomes
//! [`Statement::Unknown`](crate::model::Statement::Unknown) with its name; nothing is left out.

pub(crate) mod attr;
mod compute;
mod effect;
pub mod file;
mod head;
mod iptables_text;
pub mod json;
mod load;
mod names;
mod program;
mod reader;
mod registers;
mod set;
mod text;
mod verdict;

pub use head::{ChainHead, TableHead, chain, table};
pub use program::Scratch;
pub use reader::{Reader, backend};
pub use set::{Part, RawElement, SetHead, Sets};

use crate::model::{Backend, Family, Given, Origin, Rule, Text};
use attr::Table;
use program::Program;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Message types without the subsystem's number (`enum nf_tables_msg_types`).
pub mod message {
    #![allow(missing_docs, reason = "the names are the kernel's")]
    pub const NEWTABLE: u8 = 0;
    pub const GETTABLE: u8 = 1;
    pub const NEWCHAIN: u8 = 3;
    pub const GETCHAIN: u8 = 4;
    pub const NEWRULE: u8 = 6;
    pub const GETRULE: u8 = 7;
    pub const NEWSET: u8 = 9;
    pub const GETSET: u8 = 10;
    pub const NEWSETELEM: u8 = 12;
    pub const GETSETELEM: u8 = 13;
    pub const NEWGEN: u8 = 15;
    pub const GETGEN: u8 = 16;
}

/// Names that rules need and messages do not carry.
#[derive(Debug, Default, Clone)]
pub struct Context {
    /// Names of ipset(8) sets by their number in the kernel, which xt_set rules carry.
    pub ipsets: HashMap<u16, String>,
}

/// The family of a message (`NFPROTO_*` in `struct nfgenmsg`).
pub fn family(number: u8) -> Option<Family> {
    Some(match number {
        1 => Family::Inet,
        2 => Family::Ip,
        3 => Family::Arp,
        5 => Family::Netdev,
        7 => Family::Bridge,
        10 => Family::Ip6,
        _ => return None,
    })
}

/// The number of a family (`NFPROTO_*`).
pub const fn family_number(family: Family) -> u8 {
    match family {
        Family::Inet => 1,
        Family::Ip => 2,
        Family::Arp => 3,
        Family::Netdev => 5,
        Family::Bridge => 7,
        Family::Ip6 => 10,
    }
}

/// A message's family and attributes: `body` is what follows `struct nlmsghdr`.
pub fn open(body: &[u8]) -> Option<(Family, &[u8])> {
    Some((family(*body.first()?)?, body.get(4..)?))
}

/// A set's table, name and shape, from the attributes of `NFT_MSG_NEWSET`.
pub fn set(attributes: &[u8]) -> Option<(String, String, SetHead)> {
    set::head(attributes)
}

/// Table, set and elements, from the attributes of `NFT_MSG_NEWSETELEM`.
pub fn elements(attributes: &[u8]) -> Option<(String, String, Vec<RawElement>)> {
    set::elements(attributes)
}

/// Table and chain of a rule, from the attributes of `NFT_MSG_NEWRULE`.
pub fn place(attributes: &[u8]) -> Option<(String, String)> {
    let t: Table<'_, 3> = Table::new(attributes);
    Some((t.name(1)?, t.name(2)?))
}

/// A rule, from the attributes of `NFT_MSG_NEWRULE`. `sets` are those of its table; it may teach how they are divided.
///
/// The number is left 0: it is a matter of the whole chain.
pub fn rule(
    attributes: &[u8],
    origin: &Arc<Origin>,
    sets: &mut Sets,
    context: &Context,
    scratch: &mut Scratch,
) -> Rule {
    let t: Table<'_, 8> = Table::new(attributes);
    let mut program = Program::new(origin, sets, context, scratch);
    program.run(t.get(4).unwrap_or_default());
    let user = t.get(7).unwrap_or_default();
    let comment = program.comment.take().or_else(|| attr::comment(user, 0));
    Rule {
        handle: t.be64(3),
        counters: program.counters,
        comment,
        // With no room to spare: many rules are kept at once, and a statement is large.
        statements: program.statements.drain(..).collect(),
        text: Text::later(Arc::clone(origin), std::mem::take(&mut program.xt_text), program.anonymous),
        ..Rule::default()
    }
}

/// What a rule that the kernel told is written as.
pub(crate) fn written(rule: &Rule, origin: &Origin, given: &[Given]) -> String {
    match origin.backend {
        Backend::IptablesNft => iptables_text::iptables(rule, origin.family, &origin.chain, given),
        _ => text::nft(rule, origin.family, given, &BTreeMap::new()),
    }
}

/// Writes a rule's text anew where it looks into anonymous sets, whose elements are known now.
pub fn with_elements(rule: &mut Rule, family: Family, sets: &BTreeMap<String, crate::model::Set>) {
    if rule.lacks_elements() {
        rule.text = text::nft(rule, family, &[], sets).into();
    }
}

/// Whether [`with_elements`] would change the rule.
pub fn lacks_elements(rule: &Rule) -> bool {
    rule.lacks_elements()
}

/// What rules call a protocol.
pub(crate) fn protocol_name(number: u8) -> Option<&'static str> {
    names::protocol(number.into())
}

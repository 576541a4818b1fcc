//! Sets and maps.

use std::collections::HashMap;

use super::{Scalar, Verdict};

/// A set, map or verdict map.
#[derive(Debug, Clone, Default)]
pub struct Set {
    /// Widths in bits of the key's parts, in order.
    pub key: Vec<u16>,
    /// What it holds.
    pub elements: Elements,
    /// Elements have time-outs: what was read may be gone.
    pub timeout: bool,
    /// Rules may add to it (`dynamic`): its content is a matter of the past.
    pub dynamic: bool,
    /// Comment.
    pub comment: Option<String>,
    /// The element `*`: where no other holds.
    pub catch_all: Option<Element>,
    /// ipset(8) type (`hash:net,port`); `None` for an nf_tables set.
    pub ipset: Option<String>,
}

/// What a set holds.
#[derive(Debug, Clone)]
pub enum Elements {
    /// Single keys.
    Exact(HashMap<Vec<Scalar>, Element>),
    /// Ranges, both ends included, one range for each part of the key; where several hold, the first is the one.
    Ranges(Vec<(Vec<(Scalar, Scalar)>, Element)>),
    /// Other ipsets, asked in order (`list:set`).
    Sets(Vec<String>),
    /// Not read: a judge must ask for the key and, where it cannot, leave the verdict open.
    Unread,
    /// Not understood.
    Unknown(String),
}

impl Default for Elements {
    fn default() -> Self {
        Self::Exact(HashMap::new())
    }
}

/// What belongs to a key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Element {
    /// Verdict of a verdict map.
    pub verdict: Option<Verdict>,
    /// Data of a map, one part for each field.
    pub data: Option<Vec<Scalar>>,
    /// ipset `nomatch`: the key is taken out of a wider range.
    pub nomatch: bool,
    /// Comment.
    pub comment: Option<String>,
    /// Time-out in seconds that is left.
    pub expires: Option<u64>,
}

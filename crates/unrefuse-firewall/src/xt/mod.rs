//! x_tables matches and targets as the kernel holds them: name, revision, and the bytes of a struct.
//!
//! iptables-nft rules carry them inside nf_tables rules (`match`, `target`), legacy tables in `struct ipt_entry`; they are
//! the same in both, and are read into the model here.

use crate::model::{Cond, Family, Statement};
use std::collections::HashMap;

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
pub fn decode_match(family: Family, name: &str, revision: u8, info: &[u8], ipsets: &HashMap<u16, String>) -> Decoded {
    let _ = (family, info, ipsets);
    Decoded {
        statements: vec![Statement::If(Cond::Unknown(format!("match {name} revision {revision}")))],
        text: format!("-m {name}"),
        comment: None,
    }
}

/// Reads a target. What is not understood is [`Statement::Unknown`].
pub fn decode_target(family: Family, name: &str, revision: u8, info: &[u8], ipsets: &HashMap<u16, String>) -> Decoded {
    let _ = (family, info, ipsets);
    Decoded {
        statements: vec![Statement::Unknown(format!("target {name} revision {revision}"))],
        text: format!("-j {name}"),
        comment: None,
    }
}

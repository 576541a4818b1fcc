//! A verdict that depends on how often the client came: the kernel's list of its packets tells.

use std::net::IpAddr;
use unrefuse_facts::{Fate, Judgement, TooOften};

/// The client's next packet is one too many.
pub(super) fn too_often(ingress: &Judgement, client: IpAddr) -> Option<TooOften> {
    let Fate::Depends { reason, .. } = &ingress.fate else { return None };
    let words: Vec<&str> = reason.strip_prefix("recent ")?.split_whitespace().collect();
    let value = |option: &str| words.iter().position(|word| *word == option).and_then(|at| words.get(at + 1)).copied();
    // Without both, one packet is enough; `!` turns the question round.
    let (seconds, most) = (value("--seconds")?.parse().ok()?, value("--hitcount")?.parse().ok()?);
    if words.contains(&"!") || words.contains(&"--rdest") {
        return None;
    }
    let list = value("--name")?.to_owned();
    let noted = unrefuse_collect::filters::recent(&list, client, seconds).into_value().ok()?;
    // The packet itself is noted before it is counted, where a rule with `--set` stands before (as ufw's does).
    (noted + 1 >= most).then_some(TooOften { list, noted, most, seconds })
}

//! state, conntrack, helper, marks, realm (xt_state.h, xt_conntrack.h, xt_helper.h, xt_mark.h, xt_connmark.h, xt_realm.h).

use super::info::{Info, range};
use super::options::Options;
use crate::model::Family;

pub(super) fn options(family: Family, name: &str, revision: u8, info: Info<'_>) -> Option<Options> {
    let mut options = Options::new();
    match (name, revision) {
        ("state", 0) => {
            options.one("state", false, states(info.u32(0)?, &[]));
        }
        ("conntrack", 1..=3) => return conntrack(family, revision, info),
        ("helper", 0) => {
            options.one("helper", info.u32(0)? != 0, info.text(4, 30)?);
        }
        ("mark" | "connmark", 1) => {
            let (mark, mask, turned) = (info.u32(0)?, info.u32(4)?, info.u8(8)? != 0);
            options.one("mark", turned, masked(mark, mask));
        }
        ("realm", 0) => {
            let (id, mask, turned) = (info.u32(0)?, info.u32(4)?, info.u8(8)? != 0);
            options.one("realm", turned, masked(id, mask));
        }
        _ => return None,
    }
    Some(options)
}

pub(super) fn masked(value: u32, mask: u32) -> String {
    if mask == u32::MAX { format!("{value:#x}") } else { format!("{value:#x}/{mask:#x}") }
}

fn states(mask: u32, more: &[(u32, &'static str)]) -> String {
    const NAMES: [(u32, &str); 4] = [(1, "INVALID"), (8, "NEW"), (4, "RELATED"), (2, "ESTABLISHED")];
    // Without the virtual states of conntrack, untracked is the bit of xt_state.h.
    let more = if more.is_empty() { &[(64, "UNTRACKED")] } else { more };
    let set = NAMES.iter().chain(more).filter(|(bit, _)| mask & bit != 0).map(|(_, name)| *name);
    set.collect::<Vec<_>>().join(",")
}

const VIRTUAL: &[(u32, &str)] = &[(256, "UNTRACKED"), (64, "SNAT"), (128, "DNAT")];

fn conntrack(family: Family, revision: u8, info: Info<'_>) -> Option<Options> {
    // The whole struct must be there, even where its flags ask for none of the last fields.
    info.bytes(0, [152, 154, 162][usize::from(revision) - 1])?;
    let (asked, turned) = (info.u16(146)?, info.u16(148)?);
    let (states_mask, status) = match revision {
        1 => (u32::from(info.u8(150)?), u32::from(info.u8(151)?)),
        _ => (u32::from(info.u16(150)?), u32::from(info.u16(152)?)),
    };
    let mut options = Options::new();
    let is = |bit: u16| asked & bit != 0;
    let not = |bit: u16| turned & bit != 0;
    if is(1) {
        // XT_CONNTRACK_STATE_ALIAS: it was written as `-m state`.
        let alias = is(1 << 13);
        options.name = alias.then_some("state");
        options.one(if alias { "state" } else { "ctstate" }, not(1), states(states_mask, VIRTUAL));
    }
    if is(2) {
        options.one("ctproto", not(2), info.u16(136)?);
    }
    for (bit, name, at) in [(4, "ctorigsrc", 0), (8, "ctorigdst", 32), (16, "ctreplsrc", 64), (32, "ctrepldst", 96)] {
        if is(bit) {
            let (address, mask) = (info.address(at, family)?, info.address(at + 16, family)?);
            options.one(name, not(bit), format!("{address}/{mask}"));
        }
    }
    for (index, name) in ["ctorigsrcport", "ctorigdstport", "ctreplsrcport", "ctrepldstport"].into_iter().enumerate() {
        let bit = 1 << (8 + index);
        if is(bit) {
            let at = 138 + index * 2;
            let (from, to) = match revision {
                3 => (info.u16(at)?, info.u16(154 + index * 2)?),
                _ => (info.be16(at)?, info.be16(at)?),
            };
            options.one(name, not(bit), range(from, to));
        }
    }
    if is(1 << 6) {
        const NAMES: [(u32, &str); 4] = [(1, "EXPECTED"), (2, "SEEN_REPLY"), (4, "ASSURED"), (8, "CONFIRMED")];
        if status & !15 != 0 {
            return None;
        }
        let set: Vec<&str> = NAMES.iter().filter(|(bit, _)| status & bit != 0).map(|(_, name)| *name).collect();
        options.one("ctstatus", not(1 << 6), if set.is_empty() { "NONE".to_owned() } else { set.join(",") });
    }
    if is(1 << 7) {
        options.one("ctexpire", not(1 << 7), range(info.u32(128)?, info.u32(132)?));
    }
    if is(1 << 12) {
        // Turned round it is the reply's direction.
        options.one("ctdir", false, if not(1 << 12) { "REPLY" } else { "ORIGINAL" });
    }
    Some(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fuzzing found that a struct cut within the ends of port ranges was taken where no port is asked for.
    #[test]
    fn a_struct_that_is_cut_is_not_understood() {
        for (revision, size) in [(1, 152), (2, 154), (3, 162)] {
            let mut bytes = vec![0; size];
            bytes[146] = 1;
            bytes[150] = 8;
            let read = |bytes: &[u8]| options(Family::Ip, "conntrack", revision, Info(bytes)).is_some();
            assert!(read(&bytes), "revision {revision}");
            assert!(!read(&bytes[..size - 1]), "revision {revision}");
        }
    }
}

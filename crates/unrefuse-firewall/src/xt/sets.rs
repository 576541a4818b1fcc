//! set and SET (xt_set.h): sets are named by their number in the kernel.

use super::Place;
use super::info::Info;
use super::options::Options;

/// `struct xt_set_info`: number, dimensions, flags. Bit 0 turns round, bit n says that dimension n is of the source.
fn set(place: &Place<'_>, info: Info<'_>, at: usize) -> Option<(String, String, u8)> {
    let (index, dimensions, flags) = (info.u16(at)?, info.u8(at + 2)?, info.u8(at + 3)?);
    let name = place.ipsets.get(&index)?.clone();
    let ways: Vec<&str> = (1..=dimensions.min(6)).map(|n| if flags & 1 << n != 0 { "src" } else { "dst" }).collect();
    Some((name, ways.join(","), flags))
}

pub(super) fn match_options(place: &Place<'_>, revision: u8, info: Info<'_>) -> Option<Options> {
    if !matches!(revision, 1..=4) {
        return None;
    }
    let (name, ways, flags) = set(place, info, 0)?;
    let mut options = Options::new();
    options.two("match-set", flags & 1 != 0, name, ways);
    options.flag_if(flags & 0x80 != 0, "return-nomatch");
    if revision >= 3 {
        let asked = info.u32(40)?;
        if asked & 1 << 3 != 0 {
            options.turned_flag("update-counters", true);
        }
        if asked & 1 << 4 != 0 {
            options.turned_flag("update-subcounters", true);
        }
        // `struct ip_set_counter_match0` has the operator first, its successor the value.
        for (at, names) in [(8, ["packets-eq", "packets-lt", "packets-gt"]), (24, ["bytes-eq", "bytes-lt", "bytes-gt"])]
        {
            let (op, value) = match revision {
                3 => (info.u8(at)?, info.u64(at + 8)?),
                _ => (info.u8(at + 8)?, info.u64(at)?),
            };
            match op {
                0 => &mut options,
                1 => options.one(names[0], false, value),
                2 => options.one(names[0], true, value),
                3 => options.one(names[1], false, value),
                4 => options.one(names[2], false, value),
                _ => return None,
            };
        }
    }
    Some(options)
}

pub(super) fn target_options(place: &Place<'_>, revision: u8, info: Info<'_>) -> Option<Options> {
    const NONE: u16 = 65535;
    let mut options = Options::new();
    let sets: &[(&str, usize)] = match revision {
        1 | 2 => &[("add-set", 0), ("del-set", 4)],
        3 => &[("add-set", 0), ("del-set", 4), ("map-set", 8)],
        _ => return None,
    };
    for &(name, at) in sets {
        if info.u16(at)? != NONE {
            let (set, ways, _) = set(place, info, at)?;
            options.two(name, false, set, ways);
        }
    }
    let flags = match revision {
        1 => 0,
        2 => info.u32(8)?,
        _ => info.u32(12)?,
    };
    options.flag_if(flags & 1 != 0, "exist");
    for (bit, name) in [(8, "map-mark"), (9, "map-prio"), (10, "map-queue")] {
        options.flag_if(flags & 1 << bit != 0, name);
    }
    Some(options)
}

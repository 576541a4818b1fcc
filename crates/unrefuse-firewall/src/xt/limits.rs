//! Matches whose answer depends on what went by before, on time or on chance: limit, hashlimit, recent, connlimit,
//! quota, statistic, time …

use super::info::Info;
use super::options::Options;
use crate::model::Family;

/// Matches that fork whatever their options say; these are not read.
const UNREAD: &[&str] =
    &["bpf", "osf", "connbytes", "cluster", "ipvs", "rateest", "connlabel", "geoip", "condition", "quota2", "psd"];

pub(super) fn options(family: Family, name: &str, revision: u8, info: Info<'_>) -> Option<Options> {
    let mut options = Options::new();
    match (name, revision) {
        ("limit", 0) => {
            options.one("limit", false, rate(u64::from(info.u32(0)?), 10_000));
            // 5 is what iptables(8) takes without the option.
            if info.u32(4)? != 5 {
                options.one("limit-burst", false, info.u32(4)?);
            }
        }
        ("hashlimit", 1..=3) => hashlimit(&mut options, revision, info)?,
        ("recent", 0 | 1) => recent(&mut options, family, revision, info)?,
        ("connlimit", 0 | 1) => {
            let (limit, flags) = (info.u32(16)?, info.u32(20)?);
            options.one(if flags & 1 != 0 { "connlimit-upto" } else { "connlimit-above" }, false, limit);
            let width = if family == Family::Ip6 { 16 } else { 4 };
            let ones: u32 = info.bytes(0, width)?.iter().map(|b| b.count_ones()).sum();
            options.one("connlimit-mask", false, ones);
            options.flag(if flags & 2 != 0 { "connlimit-daddr" } else { "connlimit-saddr" });
        }
        ("quota", 0) => {
            options.one("quota", info.u32(0)? & 1 != 0, info.u64(8)?);
        }
        ("statistic", 0) => {
            let turned = info.u16(2)? & 1 != 0;
            if info.u16(0)? == 0 {
                // The kernel compares 31 bits of a random number.
                let probability = f64::from(info.u32(4)?) / f64::from(0x8000_0000_u32);
                options.one("mode", false, "random").one("probability", turned, format!("{probability:.11}"));
            } else {
                let (every, packet) = (info.u32(4)?.wrapping_add(1), info.u32(8)?);
                options.one("mode", false, "nth").one("every", turned, every).one("packet", false, packet);
            }
        }
        ("time", 0) => time(&mut options, info)?,
        ("nfacct", _) => {
            options.one("nfacct-name", false, info.text(0, 32)?);
        }
        (name, _) if UNREAD.contains(&name) => {}
        _ => return None,
    }
    Some(options)
}

/// `5/min`: the kernel keeps the time between two packets, in units of a second's `scale`th part (`print_rate`,
/// libxt_limit.c).
fn rate(period: u64, scale: u64) -> String {
    let units = [(86_400 * scale, "day"), (3600 * scale, "hour"), (60 * scale, "min"), (scale, "sec")];
    if period == 0 {
        return "0".to_owned();
    }
    let mut best = units[0];
    for unit in &units[1..] {
        if period > unit.0 || unit.0 / period < unit.0 % period {
            break;
        }
        best = *unit;
    }
    format!("{}/{}", best.0 / period, best.1)
}

fn hashlimit(options: &mut Options, revision: u8, info: Info<'_>) -> Option<()> {
    // Revision 1: name, mode, average and burst of 32 bits; later ones: longer name, then the numbers with 64 bits.
    let (name, average, burst, mode, scale) = match revision {
        1 => (info.text(0, 16)?, u64::from(info.u32(20)?), u64::from(info.u32(24)?), info.u32(16)?, 10_000),
        _ => (info.text(0, 255)?, info.u64(256)?, info.u64(264)?, info.u32(272)?, 1_000_000),
    };
    let above = mode & 16 != 0;
    // With XT_HASHLIMIT_BYTES the number counts in 16 bytes; it forks in either case.
    let shown = if mode & 32 != 0 { format!("{average}*16b") } else { rate(average, scale) };
    options.one(if above { "hashlimit-above" } else { "hashlimit-upto" }, false, shown);
    options.one("hashlimit-burst", false, burst);
    let parts = [(4, "srcip"), (8, "srcport"), (1, "dstip"), (2, "dstport")];
    let by: Vec<&str> = parts.iter().filter(|(bit, _)| mode & bit != 0).map(|(_, name)| *name).collect();
    if !by.is_empty() {
        options.one("hashlimit-mode", false, by.join(","));
    }
    options.one("hashlimit-name", false, name);
    Some(())
}

/// `struct xt_recent_mtinfo`: seconds, hits, what to do, turned round, name[200], side; revision 1 has a mask.
fn recent(options: &mut Options, family: Family, revision: u8, info: Info<'_>) -> Option<()> {
    let (seconds, hits, what, turned) = (info.u32(0)?, info.u32(4)?, info.u8(8)?, info.u8(9)? != 0);
    for (bit, name) in [(2, "set"), (1, "rcheck"), (4, "update"), (8, "remove")] {
        if what & bit != 0 {
            options.turned_flag(name, turned);
        }
    }
    if seconds != 0 {
        options.one("seconds", false, seconds);
    }
    options.flag_if(what & 32 != 0, "reap");
    if hits != 0 {
        options.one("hitcount", false, hits);
    }
    options.flag_if(what & 16 != 0, "rttl").one("name", false, info.text(10, 200)?);
    if revision == 1 {
        options.one("mask", false, info.address(212, family)?);
    }
    options.flag(if info.u8(210)? == 1 { "rdest" } else { "rsource" });
    Some(())
}

fn time(options: &mut Options, info: Info<'_>) -> Option<()> {
    let clock = |seconds: u32| format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (start, stop) = (info.u32(8)?, info.u32(12)?);
    if (start, stop) != (0, 86_399) {
        options.one("timestart", false, clock(start)).one("timestop", false, clock(stop));
    }
    let week = info.u8(20)?;
    if week & 0xfe != 0xfe {
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        let days = DAYS.iter().enumerate().filter(|(day, _)| week & 2 << day != 0).map(|(_, name)| *name);
        options.one("weekdays", false, days.collect::<Vec<_>>().join(","));
    }
    options.flag_if(info.u8(21)? & 2 != 0, "contiguous").flag_if(info.u8(21)? & 1 != 0, "kerneltz");
    Some(())
}

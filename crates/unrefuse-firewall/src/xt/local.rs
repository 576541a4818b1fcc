//! Matches of the host's own matters and of addresses: owner, cgroup, socket, policy, pkttype, physdev, devgroup,
//! rpfilter, addrtype, iprange, mac, cpu, comment (headers of the same names).

use super::conntrack::masked;
use super::info::Info;
use super::options::Options;
use crate::iptables::ADDRESS_TYPES;
use crate::model::Family;

pub(super) fn options(family: Family, name: &str, revision: u8, info: Info<'_>) -> Option<Options> {
    let mut options = Options::new();
    match (name, revision) {
        ("owner", 1) => return owner(info),
        ("cgroup", 0) => {
            options.one("cgroup", info.u32(4)? != 0, info.u32(0)?);
        }
        ("cgroup", 1 | 2) => {
            let (path, class) = (info.u8(0)? != 0, info.u8(1)? != 0);
            if path {
                options.one("path", info.u8(2)? != 0, info.text(4, if revision == 1 { 4096 } else { 512 })?);
            }
            if class {
                options.one("cgroup", info.u8(3)? != 0, info.u32(if revision == 1 { 4100 } else { 4 })?);
            }
        }
        ("socket", 0) => {}
        ("socket", 1..=3) => {
            let flags = info.u8(0)?;
            options.flag_if(flags & 1 != 0, "transparent").flag_if(flags & 2 != 0, "nowildcard");
            options.flag_if(flags & 4 != 0, "restore-skmark");
        }
        ("policy", 0) => return policy(family, info),
        ("pkttype", 0) => {
            let kind = match info.u32(0)? {
                0 => "unicast",
                1 => "broadcast",
                2 => "multicast",
                3 => "otherhost",
                _ => return None,
            };
            options.one("pkt-type", info.u32(4)? != 0, kind);
        }
        ("physdev", 0) => return physdev(info),
        ("devgroup", 0) => {
            let flags = info.u32(0)?;
            for (asked, turned, name, at) in [(1, 2, "src-group", 4), (4, 8, "dst-group", 12)] {
                if flags & asked != 0 {
                    options.one(name, flags & turned != 0, masked(info.u32(at)?, info.u32(at + 4)?));
                }
            }
        }
        ("rpfilter", 0) => {
            let flags = info.u8(0)?;
            for (bit, name) in [(1, "loose"), (2, "validmark"), (4, "accept-local"), (8, "invert")] {
                options.flag_if(flags & bit != 0, name);
            }
        }
        ("addrtype", 0 | 1) => return addrtype(revision, info),
        ("iprange", 1) => {
            let flags = info.u8(64)?;
            for (asked, turned, name, at) in [(1, 16, "src-range", 0), (2, 32, "dst-range", 32)] {
                if flags & asked != 0 {
                    let (from, to) = (info.address(at, family)?, info.address(at + 16, family)?);
                    options.one(name, flags & turned != 0, format!("{from}-{to}"));
                }
            }
        }
        ("mac", 0) => {
            let mac: Vec<String> = info.bytes(0, 6)?.iter().map(|b| format!("{b:02x}")).collect();
            options.one("mac-source", info.u32(8)? != 0, mac.join(":"));
        }
        ("cpu", 0) => {
            options.one("cpu", info.u32(4)? != 0, info.u32(0)?);
        }
        ("comment", 0) => {
            options.one("comment", false, info.text(0, info.0.len().min(256))?);
        }
        _ => return None,
    }
    Some(options)
}

fn owner(info: Info<'_>) -> Option<Options> {
    let (asked, turned) = (info.u8(16)?, info.u8(17)?);
    let mut options = Options::new();
    if asked & 4 != 0 {
        options.turned_flag("socket-exists", turned & 4 != 0);
    }
    for (bit, name, at) in [(1, "uid-owner", 0), (2, "gid-owner", 8)] {
        if asked & bit != 0 {
            let (from, to) = (info.u32(at)?, info.u32(at + 4)?);
            let value = if from == to { from.to_string() } else { format!("{from}-{to}") };
            options.one(name, turned & bit != 0, value);
        }
    }
    options.flag_if(asked & 8 != 0, "suppl-groups");
    (asked & !15 == 0).then_some(options)
}

/// `struct xt_policy_info`: four elements of 76 bytes, flags, number of elements.
fn policy(family: Family, info: Info<'_>) -> Option<Options> {
    let (flags, count) = (info.u16(304)?, usize::from(info.u16(306)?));
    let mut options = Options::new();
    options.one("dir", false, if flags & 1 != 0 { "in" } else { "out" });
    options.one("pol", false, if flags & 4 != 0 { "none" } else { "ipsec" });
    options.flag_if(flags & 8 != 0, "strict");
    for element in 0..count.min(4) {
        let at = element * 76;
        options.flag_if(element > 0, "next");
        // Bit fields, the first in the lowest bit on little-endian machines.
        let bit = |field: u8, n: u8| {
            if cfg!(target_endian = "little") { field & 1 << n != 0 } else { field & 0x80 >> n != 0 }
        };
        let (asked, turned) = (info.u8(at + 74)?, info.u8(at + 75)?);
        if bit(asked, 5) {
            options.one("reqid", bit(turned, 5), info.u32(at + 68)?);
        }
        if bit(asked, 4) {
            options.one("spi", bit(turned, 4), format!("{:#x}", info.be32(at + 64)?));
        }
        if bit(asked, 2) {
            let number = info.u8(at + 72)?;
            let name = crate::nft::protocol_name(number).map_or_else(|| number.to_string(), str::to_owned);
            options.one("proto", bit(turned, 2), name);
        }
        if bit(asked, 3) {
            options.one("mode", bit(turned, 3), if info.u8(at + 73)? == 1 { "tunnel" } else { "transport" });
        }
        for (n, name, from) in [(0, "tunnel-src", 0), (1, "tunnel-dst", 32)] {
            if bit(asked, n) {
                let (address, mask) = (info.address(at + from, family)?, info.address(at + from + 16, family)?);
                options.one(name, bit(turned, n), format!("{address}/{mask}"));
            }
        }
    }
    Some(options)
}

fn physdev(info: Info<'_>) -> Option<Options> {
    let (turned, asked) = (info.u8(64)?, info.u8(65)?);
    let mut options = Options::new();
    if asked & 8 != 0 {
        options.turned_flag("physdev-is-in", turned & 8 != 0);
    }
    if asked & 1 != 0 {
        options.one("physdev-in", turned & 1 != 0, interface(info, 0)?);
    }
    if asked & 16 != 0 {
        options.turned_flag("physdev-is-out", turned & 16 != 0);
    }
    if asked & 2 != 0 {
        options.one("physdev-out", turned & 2 != 0, interface(info, 32)?);
    }
    if asked & 4 != 0 {
        options.turned_flag("physdev-is-bridged", turned & 4 != 0);
    }
    Some(options)
}

/// A name and its mask, 16 bytes each: where the mask ends before the NUL, any end of the name does.
pub(super) fn interface(info: Info<'_>, at: usize) -> Option<String> {
    let mask = info.bytes(at + 16, 16)?;
    let covered = mask.iter().take_while(|&&b| b == 0xff).count();
    // A mask with holes is nothing that iptables(8) writes.
    if mask[covered..].iter().any(|&b| b != 0) {
        return None;
    }
    let name = info.text(at, 16)?;
    Some(if covered > name.len() { name } else { format!("{}+", name.get(..covered.min(name.len()))?) })
}

fn addrtype(revision: u8, info: Info<'_>) -> Option<Options> {
    let (source, destination) = (info.u16(0)?, info.u16(2)?);
    let flags = match revision {
        0 => u32::from(info.u32(4)? != 0) | u32::from(info.u32(8)? != 0) << 1,
        _ => info.u32(4)?,
    };
    let mut options = Options::new();
    for (mask, bit, name) in [(source, 1, "src-type"), (destination, 2, "dst-type")] {
        if mask != 0 {
            let set = ADDRESS_TYPES.iter().enumerate().filter(|(bit, _)| mask & 1 << bit != 0).map(|(_, name)| *name);
            options.one(name, flags & bit != 0, set.collect::<Vec<_>>().join(","));
        }
    }
    options.flag_if(flags & 4 != 0, "limit-iface-in").flag_if(flags & 8 != 0, "limit-iface-out");
    Some(options)
}

//! Matches of header fields and payload: ttl, hl, length, dscp, tos, ecn, tcpmss, ah, esp, IPv6 extension headers, string.

use super::info::{Info, range};
use super::options::Options;
use crate::model::Family;

pub(super) fn options(family: Family, name: &str, revision: u8, info: Info<'_>) -> Option<Options> {
    let mut options = Options::new();
    match (name, revision) {
        ("ttl", 0) => hop(&mut options, info, ["ttl-eq", "ttl-lt", "ttl-gt"])?,
        ("hl", 0) => hop(&mut options, info, ["hl-eq", "hl-lt", "hl-gt"])?,
        ("length", 0) => {
            options.one("length", info.u8(4)? != 0, range(info.u16(0)?, info.u16(2)?));
        }
        ("tcpmss", 0) => {
            options.one("mss", info.u8(4)? != 0, range(info.u16(0)?, info.u16(2)?));
        }
        ("dscp", 0) => {
            options.one("dscp", info.u8(1)? != 0, format!("{:#04x}", info.u8(0)?));
        }
        ("tos", 1) => {
            options.one("tos", info.u8(2)? != 0, format!("{:#04x}/{:#04x}", info.u8(1)?, info.u8(0)?));
        }
        ("ecn", 0) => {
            let (asked, turned) = (info.u8(0)?, info.u8(1)?);
            for (bit, name) in [(0x10, "ecn-tcp-ece"), (0x20, "ecn-tcp-cwr")] {
                if asked & bit != 0 {
                    options.turned_flag(name, turned & bit != 0);
                }
            }
            if asked & 1 != 0 {
                options.one("ecn-ip-ect", turned & 1 != 0, info.u8(2)?);
            }
        }
        ("ah", 0) if family == Family::Ip6 => {
            let turned = info.u8(13)?;
            security(&mut options, info, "ahspi", turned & 1 != 0)?;
            if info.u32(8)? != 0 || turned & 2 != 0 {
                options.one("ahlen", turned & 2 != 0, info.u32(8)?);
            }
            options.flag_if(info.u8(12)? != 0, "ahres");
        }
        ("ah", 0) => security(&mut options, info, "ahspi", info.u8(8)? & 1 != 0)?,
        ("esp", 0) => security(&mut options, info, "espspi", info.u8(8)? & 1 != 0)?,
        ("frag", 0) => fragment(&mut options, info)?,
        ("rt", 0) => {
            let (asked, turned) = (info.u8(16)?, info.u8(17)?);
            if asked & 1 != 0 {
                options.one("rt-type", turned & 1 != 0, info.u32(0)?);
            }
            if asked & 2 != 0 {
                options.one("rt-segsleft", turned & 2 != 0, range(info.u32(4)?, info.u32(8)?));
            }
            if asked & 4 != 0 {
                options.one("rt-len", turned & 4 != 0, info.u32(12)?);
            }
            options.flag_if(asked & 8 != 0, "rt-0-res");
            // Addresses of the hops: not read.
            if asked & 0x30 != 0 {
                return None;
            }
        }
        ("hbh" | "dst", 0) => {
            let (asked, turned) = (info.u8(4)?, info.u8(5)?);
            if asked & 2 != 0 {
                return None;
            }
            if asked & 1 != 0 {
                options.one(if name == "hbh" { "hbh-len" } else { "dst-len" }, turned & 1 != 0, info.u32(0)?);
            }
        }
        ("mh", 0) => {
            let (from, to, turned) = (info.u8(0)?, info.u8(1)?, info.u8(2)? & 1 != 0);
            if (from, to) != (0, 255) || turned {
                options.one("mh-type", turned, range(from, to));
            }
        }
        ("ipv6header", 0) => {
            const NAMES: [&str; 8] = ["prot", "none", "esp", "ah", "frag", "route", "dst", "hop-by-hop"];
            let (asked, turned, soft) = (info.u8(0)?, info.u8(1)?, info.u8(2)? != 0);
            let set: Vec<&str> = (0..8).rev().filter(|bit| asked & 1 << bit != 0).map(|bit| NAMES[bit]).collect();
            options.one("header", turned != 0, set.join(",")).flag_if(soft, "soft");
        }
        ("string", 1) => string(&mut options, info)?,
        _ => return None,
    }
    Some(options)
}

fn hop(options: &mut Options, info: Info<'_>, [eq, lt, gt]: [&'static str; 3]) -> Option<()> {
    let value = info.u8(1)?;
    match info.u8(0)? {
        0 => options.one(eq, false, value),
        1 => options.one(eq, true, value),
        2 => options.one(lt, false, value),
        3 => options.one(gt, false, value),
        _ => return None,
    };
    Some(())
}

/// A range of security parameter indexes; all of them are no option.
fn security(options: &mut Options, info: Info<'_>, name: &'static str, turned: bool) -> Option<()> {
    let (from, to) = (info.u32(0)?, info.u32(4)?);
    if (from, to) != (0, u32::MAX) || turned {
        options.one(name, turned, range(from, to));
    }
    Some(())
}

fn fragment(options: &mut Options, info: Info<'_>) -> Option<()> {
    let (asked, turned) = (info.u8(12)?, info.u8(13)?);
    let (from, to) = (info.u32(0)?, info.u32(4)?);
    if (from, to) != (0, u32::MAX) || turned & 1 != 0 {
        options.one("fragid", turned & 1 != 0, range(from, to));
    }
    if asked & 2 != 0 {
        options.one("fraglen", turned & 2 != 0, info.u32(8)?);
    }
    for (bit, name) in [(4, "fragres"), (8, "fragfirst"), (0x10, "fragmore"), (0x20, "fraglast")] {
        options.flag_if(asked & bit != 0, name);
    }
    Some(())
}

/// `struct xt_string_info`.
fn string(options: &mut Options, info: Info<'_>) -> Option<()> {
    let (from, to) = (info.u16(0)?, info.u16(2)?);
    let length = usize::from(info.u8(148)?);
    let (flags, pattern) = (info.u8(149)?, info.bytes(20, 128)?.get(..length)?);
    let turned = flags & 1 != 0;
    if pattern.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
        options.one("string", turned, unrefuse_facts::text::from_bytes(pattern));
    } else {
        let hex: String = pattern.iter().map(|b| format!("{b:02x}")).collect();
        options.one("hex-string", turned, format!("|{hex}|"));
    }
    options.one("algo", false, info.text(4, 16)?);
    if from != 0 {
        options.one("from", false, from);
    }
    if to != u16::MAX {
        options.one("to", false, to);
    }
    options.flag_if(flags & 2 != 0, "icase");
    Some(())
}

//! Targets that translate: DNAT, SNAT, MASQUERADE, REDIRECT, NETMAP (nf_nat.h) and TPROXY (xt_TPROXY.h).

use super::conntrack::masked;
use super::info::Info;
use super::options::Options;
use crate::model::Family;
use std::net::IpAddr;

/// Flags of a range.
const ADDRESSES: u32 = 1;
const PORTS: u32 = 2;
const OFFSET: u32 = 32;

/// `struct nf_nat_range2` and its forerunners, as one.
struct Range {
    flags: u32,
    addresses: (IpAddr, IpAddr),
    ports: (u16, u16),
    base: u16,
}

/// The first revision for IPv4 holds a list of exactly one range (`struct nf_nat_ipv4_multi_range_compat`).
fn range(family: Family, short: bool, with_base: bool, info: Info<'_>) -> Option<Range> {
    if short {
        (info.u32(0)? == 1).then_some(())?;
        return Some(Range {
            flags: info.u32(4)?,
            addresses: (info.address(8, Family::Ip)?, info.address(12, Family::Ip)?),
            ports: (info.be16(16)?, info.be16(18)?),
            base: 0,
        });
    }
    Some(Range {
        flags: info.u32(0)?,
        addresses: (info.address(4, family)?, info.address(20, family)?),
        ports: (info.be16(36)?, info.be16(38)?),
        base: if with_base { info.be16(40)? } else { 0 },
    })
}

pub(super) fn options(family: Family, name: &str, revision: u8, info: Info<'_>) -> Option<Options> {
    let v6 = family == Family::Ip6;
    // DNAT and SNAT changed their struct with their revisions, the others differ by family.
    let short = match (name, revision) {
        ("DNAT" | "SNAT", 0) => !v6,
        ("DNAT" | "SNAT", 1 | 2) => false,
        ("MASQUERADE" | "REDIRECT" | "NETMAP", 0) => !v6,
        _ => return None,
    };
    let range = range(family, short, revision == 2, info)?;
    let mut options = Options::new();
    match name {
        "NETMAP" => {
            let length = prefix(range.addresses)?;
            options.one("to", false, format!("{}/{length}", range.addresses.0));
            return Some(options);
        }
        "DNAT" | "SNAT" => {
            let mut to = String::new();
            if range.flags & ADDRESSES != 0 {
                let (from, last) = range.addresses;
                to = if from == last { from.to_string() } else { format!("{from}-{last}") };
                if v6 && range.flags & PORTS != 0 {
                    to = format!("[{to}]");
                }
            }
            if range.flags & PORTS != 0 {
                to += &format!(":{}", ports(&range));
            }
            options.one(if name == "DNAT" { "to-destination" } else { "to-source" }, false, to);
        }
        _ if range.flags & PORTS != 0 => {
            options.one("to-ports", false, ports(&range));
        }
        _ => {}
    }
    options.flag_if(range.flags & 4 != 0, "random").flag_if(range.flags & 16 != 0, "random-fully");
    options.flag_if(range.flags & 8 != 0, "persistent");
    Some(options)
}

fn ports(range: &Range) -> String {
    let (from, to) = range.ports;
    let list = if from == to { from.to_string() } else { format!("{from}-{to}") };
    if range.flags & OFFSET != 0 { format!("{list}/{}", range.base) } else { list }
}

/// The length of the prefix that a range of addresses is.
fn prefix((from, to): (IpAddr, IpAddr)) -> Option<u32> {
    Some(match (from, to) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return None,
    })
}

pub(super) fn tproxy(family: Family, revision: u8, info: Info<'_>) -> Option<Options> {
    let (mask, value) = (info.u32(0)?, info.u32(4)?);
    let (address, port) = match revision {
        0 => (info.address(8, Family::Ip)?, info.be16(12)?),
        1 => (info.address(8, family)?, info.be16(24)?),
        _ => return None,
    };
    let mut options = Options::new();
    options.one("on-port", false, port).one("on-ip", false, address);
    options.one("tproxy-mark", false, masked(value, mask));
    Some(options)
}

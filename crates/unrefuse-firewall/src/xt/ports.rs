//! tcp, udp, sctp, dccp, multiport, icmp (xt_tcpudp.h, xt_sctp.h, xt_dccp.h, xt_multiport.h, ip_tables.h).

use super::info::{Info, range};
use super::options::Options;

pub(super) fn options(name: &str, revision: u8, info: Info<'_>) -> Option<Options> {
    match (name, revision) {
        ("tcp", 0) => tcp(info),
        ("udp" | "udplite", 0) => {
            let mut options = Options::new();
            let turned = info.u8(8)?;
            ports(&mut options, info, (0, 4), (turned & 1 != 0, turned & 2 != 0))?;
            Some(options)
        }
        ("sctp", 0) => sctp(info),
        ("dccp", 0) => dccp(info),
        ("multiport", 1) => multiport(info),
        ("icmp", 0) => icmp("icmp-type", info, Some(255)),
        ("icmp6", 0) => icmp("icmpv6-type", info, None),
        _ => None,
    }
}

/// `--sport`, `--dport` from two ranges; all ports are no option.
fn ports(options: &mut Options, info: Info<'_>, at: (usize, usize), turned: (bool, bool)) -> Option<()> {
    for (name, at, turned) in [("sport", at.0, turned.0), ("dport", at.1, turned.1)] {
        let (from, to) = (info.u16(at)?, info.u16(at + 2)?);
        if (from, to) != (0, u16::MAX) || turned {
            options.one(name, turned, range(from, to));
        }
    }
    Some(())
}

fn tcp(info: Info<'_>) -> Option<Options> {
    let mut options = Options::new();
    let (option, mask, set, turned) = (info.u8(8)?, info.u8(9)?, info.u8(10)?, info.u8(11)?);
    ports(&mut options, info, (0, 4), (turned & 1 != 0, turned & 2 != 0))?;
    if option != 0 || turned & 8 != 0 {
        options.one("tcp-option", turned & 8 != 0, option);
    }
    if mask != 0 || turned & 4 != 0 {
        // ECE and CWR have no name in iptables(8).
        if (mask | set) & 0xc0 != 0 {
            return None;
        }
        options.two("tcp-flags", turned & 4 != 0, flags(mask), flags(set));
    }
    Some(options)
}

/// `FIN,SYN`; `NONE`.
pub(crate) fn flags(bits: u8) -> String {
    const NAMES: [&str; 6] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];
    let set: Vec<&str> = NAMES.iter().enumerate().filter(|(bit, _)| bits & 1 << bit != 0).map(|(_, n)| *n).collect();
    if set.is_empty() { "NONE".to_owned() } else { set.join(",") }
}

/// Only where no chunk is asked for. The map of chunks has 256 bytes (`256 / sizeof(__u32)` numbers of 32 bits).
fn sctp(info: Info<'_>) -> Option<Options> {
    let (asked, turned) = (info.u32(284)?, info.u32(288)?);
    let mut options = Options::new();
    // The destination's come first.
    for (bit, name, at) in [(1, "sport", 4), (2, "dport", 0)] {
        if asked & bit != 0 {
            options.one(name, turned & bit != 0, range(info.u16(at)?, info.u16(at + 2)?));
        }
    }
    (asked & !3 == 0).then_some(options)
}

fn dccp(info: Info<'_>) -> Option<Options> {
    const TYPES: [&str; 10] =
        ["REQUEST", "RESPONSE", "DATA", "ACK", "DATAACK", "CLOSEREQ", "CLOSE", "RESET", "SYNC", "SYNCACK"];
    let (asked, turned, mask) = (info.u16(8)?, info.u16(10)?, info.u16(12)?);
    let mut options = Options::new();
    for (bit, name, at) in [(1, "sport", 4), (2, "dport", 0)] {
        if asked & bit != 0 {
            options.one(name, turned & bit != 0, range(info.u16(at)?, info.u16(at + 2)?));
        }
    }
    if asked & 4 != 0 {
        let set: Vec<&str> = (0..10).filter(|bit| mask & 1 << bit != 0).map(|bit| TYPES[bit]).collect();
        options.one("dccp-types", turned & 4 != 0, set.join(","));
    }
    (asked & !7 == 0).then_some(options)
}

fn multiport(info: Info<'_>) -> Option<Options> {
    let name = match info.u8(0)? {
        0 => "sports",
        1 => "dports",
        2 => "ports",
        _ => return None,
    };
    let count = usize::from(info.u8(1)?);
    if count > 15 {
        return None;
    }
    let mut list = Vec::new();
    let mut index = 0;
    while index < count {
        let from = info.u16(2 + index * 2)?;
        // A flag says that the next number is the range's end.
        if info.u8(32 + index)? != 0 {
            index += 1;
            list.push(format!("{from}:{}", info.u16(2 + index * 2)?));
        } else {
            list.push(from.to_string());
        }
        index += 1;
    }
    let mut options = Options::new();
    options.one(name, info.u8(47)? != 0, list.join(","));
    Some(options)
}

/// `struct ipt_icmp`: type, lowest and highest code.
fn icmp(name: &'static str, info: Info<'_>, any: Option<u8>) -> Option<Options> {
    let (kind, low, high, turned) = (info.u8(0)?, info.u8(1)?, info.u8(2)?, info.u8(3)? & 1 != 0);
    let mut options = Options::new();
    let value = match (low, high) {
        (0, 255) if Some(kind) == any => "any".to_owned(),
        (0, 255) => kind.to_string(),
        (low, high) if low == high => format!("{kind}/{low}"),
        _ => return None,
    };
    options.one(name, turned, value);
    Some(options)
}

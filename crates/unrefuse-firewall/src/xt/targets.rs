//! Targets and their options.

use super::conntrack::masked;
use super::info::Info;
use super::options::Options;
use super::{Place, nat, sets};
use crate::model::Family;

/// Targets that do the same to a packet's fate whatever their options say; these are not read.
const UNREAD: &[&str] = &[
    "TRACE",
    "NOTRACK",
    "CHECKSUM",
    "TCPOPTSTRIP",
    "CONNSECMARK",
    "SECMARK",
    "RATEEST",
    "LED",
    "IDLETIMER",
    "ECN",
    "TEE",
    "AUDIT",
    "CLUSTERIP",
    "SYNPROXY",
    "HMARK",
];

/// The options of a target; `None`: not understood.
pub(super) fn options(place: &Place<'_>, name: &str, revision: u8, info: Info<'_>) -> Option<Options> {
    let v6 = place.family == Family::Ip6;
    let mut options = Options::new();
    match (name, revision) {
        ("REJECT", 0) => {
            options.one("reject-with", false, reject(info.u32(0)?, v6)?);
        }
        ("DNAT" | "SNAT" | "MASQUERADE" | "REDIRECT" | "NETMAP", _) => {
            return nat::options(place.family, name, revision, info);
        }
        ("TPROXY", _) => return nat::tproxy(place.family, revision, info),
        ("SET", _) => return sets::target_options(place, revision, info),
        ("LOG", 0) => {
            let (level, flags, prefix) = (info.u8(0)?, info.u8(1)?, info.text(2, 30)?);
            if !prefix.is_empty() {
                options.one("log-prefix", false, prefix);
            }
            // LOG_WARNING is the default.
            if level != 4 {
                options.one("log-level", false, level);
            }
            for (bit, name) in [
                (1, "log-tcp-sequence"),
                (2, "log-tcp-options"),
                (4, "log-ip-options"),
                (8, "log-uid"),
                (32, "log-macdecode"),
            ] {
                options.flag_if(flags & bit != 0, name);
            }
        }
        ("NFLOG", 0) => {
            let prefix = info.text(16, 64)?;
            if !prefix.is_empty() {
                options.one("nflog-prefix", false, prefix);
            }
            if info.u16(4)? != 0 {
                options.one("nflog-group", false, info.u16(4)?);
            }
        }
        ("MARK", 2) => {
            options.one("set-xmark", false, format!("{:#x}/{:#x}", info.u32(0)?, info.u32(4)?));
        }
        ("CONNMARK", 1 | 2) => return connmark(revision, info),
        ("CT", 0..=2) => {
            let (flags, helper) = (info.u16(0)?, info.text(12, 16)?);
            // XT_CT_NOTRACK_ALIAS: it was written as `-j NOTRACK`.
            if flags & 2 != 0 {
                options.name = Some("NOTRACK");
                return Some(options);
            }
            options.flag_if(flags & 1 != 0, "notrack");
            if !helper.is_empty() {
                options.one("helper", false, helper);
            }
            if info.u16(2)? != 0 {
                options.one("zone", false, info.u16(2)?);
            }
        }
        ("DSCP", 0) => {
            options.one("set-dscp", false, format!("{:#04x}", info.u8(0)?));
        }
        ("TOS", 1) => {
            options.one("set-tos", false, format!("{:#04x}/{:#04x}", info.u8(0)?, info.u8(1)?));
        }
        ("TTL", 0) => hop(&mut options, info, ["ttl-set", "ttl-inc", "ttl-dec"])?,
        ("HL", 0) => hop(&mut options, info, ["hl-set", "hl-inc", "hl-dec"])?,
        ("TCPMSS", 0) => match info.u16(0)? {
            u16::MAX => {
                options.flag("clamp-mss-to-pmtu");
            }
            mss => {
                options.one("set-mss", false, mss);
            }
        },
        ("CLASSIFY", 0) => {
            let class = info.u32(0)?;
            options.one("set-class", false, format!("{:04x}:{:04x}", class >> 16, class & 0xffff));
        }
        ("NFQUEUE", 0..=3) => queue(&mut options, revision, info)?,
        (name, _) if UNREAD.contains(&name) => {}
        _ => return None,
    }
    Some(options)
}

/// `enum ipt_reject_with`, `enum ip6t_reject_with`.
fn reject(with: u32, v6: bool) -> Option<&'static str> {
    let names: &[&str] = if v6 {
        &[
            "icmp6-no-route",
            "icmp6-adm-prohibited",
            "icmp6-not-neighbour",
            "icmp6-addr-unreachable",
            "icmp6-port-unreachable",
            "",
            "tcp-reset",
            "icmp6-policy-fail",
            "icmp6-reject-route",
        ]
    } else {
        &[
            "icmp-net-unreachable",
            "icmp-host-unreachable",
            "icmp-proto-unreachable",
            "icmp-port-unreachable",
            "",
            "icmp-net-prohibited",
            "icmp-host-prohibited",
            "tcp-reset",
            "icmp-admin-prohibited",
        ]
    };
    names.get(with as usize).copied().filter(|name| !name.is_empty())
}

fn connmark(revision: u8, info: Info<'_>) -> Option<Options> {
    let (mark, ct, nf) = (info.u32(0)?, info.u32(4)?, info.u32(8)?);
    let (shift, mode) = match revision {
        1 => (None, info.u8(12)?),
        _ => (Some((info.u8(12)?, info.u8(13)?)).filter(|(_, bits)| *bits != 0), info.u8(14)?),
    };
    let mut options = Options::new();
    match mode {
        0 => {
            options.one("set-xmark", false, format!("{mark:#x}/{ct:#x}"));
        }
        1 | 2 => {
            options.flag(if mode == 1 { "save-mark" } else { "restore-mark" });
            options.one("nfmask", false, masked(nf, u32::MAX)).one("ctmask", false, masked(ct, u32::MAX));
        }
        _ => return None,
    }
    if let Some((direction, bits)) = shift {
        options.one(if direction == 0 { "left-shift-mark" } else { "right-shift-mark" }, false, bits);
    }
    Some(options)
}

fn hop(options: &mut Options, info: Info<'_>, names: [&'static str; 3]) -> Option<()> {
    options.one(names.get(usize::from(info.u8(0)?))?, false, info.u8(1)?);
    Some(())
}

fn queue(options: &mut Options, revision: u8, info: Info<'_>) -> Option<()> {
    let first = info.u16(0)?;
    let total = if revision == 0 { 1 } else { info.u16(2)? };
    if total > 1 {
        options.one("queue-balance", false, format!("{first}:{}", first.saturating_add(total - 1)));
    } else {
        options.one("queue-num", false, first);
    }
    let flags = if revision < 2 { 0 } else { info.u16(4)? };
    options.flag_if(flags & 1 != 0, "queue-bypass").flag_if(revision == 3 && flags & 2 != 0, "queue-cpu-fanout");
    Some(())
}

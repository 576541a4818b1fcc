//! The routing policy: which tables are looked at for a packet of this machine, in order (ip-rule(8)).

use super::links::{family, ip};
use super::netlink::{Attributes, Netlink, u32_at};
use rustix::io::Errno;
use std::net::IpAddr;
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::within;

const RTM_GETRULE: u16 = 34;
/// `FR_ACT_TO_TBL`: look into a table.
const TO_TABLE: u8 = 1;
/// Tables local, main and default: what a kernel without policy routing has.
const BUILT_IN: [u32; 3] = [255, 254, 253];

/// The tables that a locally made packet without mark or known source goes through, in order.
///
/// A rule that asks for more than that (mark, source, port, incoming interface) is left out.
pub(super) fn tables(netlink: &mut Netlink, destination: IpAddr, oif: Option<&str>) -> Result<Vec<u32>, Errno> {
    let mut body = [0; 12];
    body[0] = family(destination);
    let mut rules = match netlink.list(RTM_GETRULE, &body, |message| rule(message, destination, oif)) {
        Err(Errno::OPNOTSUPP | Errno::AFNOSUPPORT) => return Ok(BUILT_IN.to_vec()),
        other => other?,
    };
    rules.sort_by_key(|&(priority, _)| priority);
    let mut tables = Vec::new();
    for (_, table) in rules {
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    Ok(tables)
}

/// `struct fib_rule_hdr` and its attributes (include/uapi/linux/fib_rules.h): priority and table of a rule that fits.
fn rule(message: &[u8], destination: IpAddr, oif: Option<&str>) -> Option<(u32, u32)> {
    const INVERT: u32 = 2;
    let prefix = *message.get(1)?;
    let from_any = *message.get(2)? == 0;
    let mut table = u32::from(*message.get(4)?);
    let flags = u32_at(message, 8)?;
    if *message.get(7)? != TO_TABLE {
        return None;
    }
    let mut priority = 0;
    let mut fits = from_any;
    for (kind, value) in Attributes(message.get(12..)?) {
        match kind {
            1 => fits &= ip(value).is_some_and(|network| within(destination, network, prefix)),
            // Packets of this machine come in by lo.
            3 => fits &= value.starts_with(b"lo\0"),
            6 => priority = u32_at(value, 0)?,
            10 => fits &= u32_at(value, 0)? == 0,
            15 => table = u32_at(value, 0)?,
            17 => fits &= oif.is_some_and(|oif| from_bytes(value.split(|&b| b == 0).next().unwrap_or_default()) == oif),
            // Tunnel, VRF, protocol and ports.
            12 | 22 | 23 | 24 => fits = false,
            19 => fits &= value.first() == Some(&0),
            _ => {}
        }
    }
    (fits != (flags & INVERT != 0)).then_some((priority, table))
}

//! The routing policy: which tables are looked at for a packet of this machine, in order, and what stops it before one is
//! (ip-rule(8)).

use super::links::{family, ip};
use super::netlink::{Attributes, Netlink, u32_at};
use super::routes::{Packet, kind};
use rustix::io::Errno;
use unrefuse_facts::text::{from_bytes, shell_quote};
use unrefuse_facts::{RouteKind, RoutingRule, within};

const RTM_GETRULE: u16 = 34;
/// `FR_ACT_TO_TBL`: look into a table.
const TO_TABLE: u8 = 1;
/// Tables local, main and default: what a kernel without policy routing has.
const BUILT_IN: [u32; 3] = [255, 254, 253];

/// What the routing policy does with a packet.
#[derive(Debug, Default)]
pub(super) struct Policy {
    /// The tables that it goes through, in order.
    pub(super) tables: Vec<u32>,
    /// The rule that stops it where none of them knows a way.
    pub(super) stops: Option<RoutingRule>,
}

/// The policy for a locally made packet, as far as it is known: a rule that asks for more (port, tunnel, incoming
/// interface) is left out.
pub(super) fn policy(netlink: &mut Netlink, packet: Packet, oif: Option<&str>) -> Result<Policy, Errno> {
    let mut body = [0; 12];
    body[0] = family(packet.destination);
    let mut rules = match netlink.list(RTM_GETRULE, &body, |message| rule(message, packet, oif)) {
        Err(Errno::OPNOTSUPP | Errno::AFNOSUPPORT) => {
            return Ok(Policy { tables: BUILT_IN.to_vec(), stops: None });
        }
        other => other?,
    };
    rules.sort_by_key(|(priority, _)| *priority);
    let mut policy = Policy::default();
    for (_, does) in rules {
        match does {
            Does::Asks(table) if !policy.tables.contains(&table) => policy.tables.push(table),
            Does::Asks(_) => {}
            Does::Stops(rule) => {
                policy.stops = Some(rule);
                break;
            }
        }
    }
    Ok(policy)
}

enum Does {
    Asks(u32),
    Stops(RoutingRule),
}

/// `struct fib_rule_hdr` and its attributes (include/uapi/linux/fib_rules.h): priority of a rule that fits, and what it does.
fn rule(message: &[u8], packet: Packet, oif: Option<&str>) -> Option<(u32, Does)> {
    const INVERT: u32 = 2;
    let (to_prefix, from_prefix, tos) = (*message.get(1)?, *message.get(2)?, *message.get(3)?);
    let mut table = u32::from(*message.get(4)?);
    let action = *message.get(7)?;
    let inverted = u32_at(message, 8)? & INVERT != 0;
    let stops = matches!(kind(action), RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit);
    if action != TO_TABLE && !stops {
        return None;
    }
    let (mut priority, mut mark, mut mask) = (0, None, None);
    let (mut fits, mut from) = (tos == 0, from_prefix == 0);
    // As ip-rule(8) takes it; what is not understood leaves it without words.
    let mut words = if inverted { vec!["not".to_owned()] } else { Vec::new() };
    let mut understood = tos == 0;
    for (number, value) in Attributes(message.get(12..)?) {
        let name = || from_bytes(value.split(|&b| b == 0).next().unwrap_or_default());
        let mut device = |option: &str| match shell_quote(&name()) {
            Some(quoted) => words.push(format!("{option} {quoted}")),
            None => understood = false,
        };
        match number {
            1 => {
                let network = ip(value)?;
                fits &= within(packet.destination, network, to_prefix);
                words.push(format!("to {network}/{to_prefix}"));
            }
            2 => {
                let network = ip(value)?;
                from = packet.source.is_some_and(|source| within(source, network, from_prefix));
                words.push(format!("from {network}/{from_prefix}"));
            }
            // Packets of this machine come in by lo.
            3 => {
                fits &= name() == "lo";
                device("iif");
            }
            6 => priority = u32_at(value, 0)?,
            10 => mark = Some(u32_at(value, 0)?),
            15 => table = u32_at(value, 0)?,
            16 => mask = Some(u32_at(value, 0)?),
            17 => {
                fits &= oif.is_some_and(|oif| name() == oif);
                device("oif");
            }
            // VRF.
            19 => fits &= value.first() == Some(&0),
            20 => {
                let (first, last) = (u32_at(value, 0)?, u32_at(value, 4)?);
                fits &= (first..=last).contains(&rustix::process::geteuid().as_raw());
                words.push(format!("uidrange {first}-{last}"));
            }
            // Tunnel, protocol and ports, DSCP and flow label.
            12 | 22.. => (fits, understood) = (false, false),
            _ => {}
        }
    }
    if mark.is_some() || mask.is_some() {
        let (mark, mask) = (mark.unwrap_or(0), mask.unwrap_or(u32::MAX));
        fits &= packet.mark & mask == mark;
        let masked = if mask == u32::MAX { String::new() } else { format!("/{mask:#x}") };
        words.push(format!("fwmark {mark:#x}{masked}"));
    }
    if inverted && !understood {
        return None;
    }
    let selector = understood.then(|| words.join(" "));
    let does =
        if stops { Does::Stops(RoutingRule { priority, kind: kind(action), selector }) } else { Does::Asks(table) };
    ((fits && from) != inverted).then_some((priority, does))
}

//! Tables and chains without their rules.

use super::attr::{Attrs, Table, be32, name};
use crate::model::{Base, Chain, ChainKind, Counters, Family, Hook, Policy};

/// A table without its chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableHead {
    /// Name.
    pub name: String,
    /// `dormant`.
    pub dormant: bool,
}

/// A table, from the attributes of `NFT_MSG_NEWTABLE`.
pub fn table(attributes: &[u8]) -> Option<TableHead> {
    let t: Table<'_, 8> = Table::new(attributes);
    Some(TableHead { name: t.name(1)?, dormant: t.be32(2).unwrap_or(0) & 1 != 0 })
}

/// A chain without its rules.
#[derive(Debug, Clone)]
pub struct ChainHead {
    /// Its table.
    pub table: String,
    /// Name.
    pub name: String,
    /// The chain, its rules not read.
    pub chain: Chain,
    /// How many rules and jumps refer to it: at least the number of its rules.
    pub uses: u32,
    /// It is hooked in at a place that is not understood.
    pub problem: Option<String>,
}

/// A chain, from the attributes of `NFT_MSG_NEWCHAIN`.
pub fn chain(family: Family, attributes: &[u8]) -> Option<ChainHead> {
    let t: Table<'_, 13> = Table::new(attributes);
    let counters = t.get(8).map(|counters| {
        let t: Table<'_, 3> = Table::new(counters);
        Counters { bytes: t.be64(1).unwrap_or(0), packets: t.be64(2).unwrap_or(0) }
    });
    let (base, problem) = match t.get(4) {
        None => (None, None),
        Some(hook) => match base(family, hook, &t) {
            Some(base) => (Some(base), None),
            None => (None, Some(format!("hook {:?} is not understood", be32_at(hook, 1)))),
        },
    };
    let chain = Chain { base, unread: true, policy_counters: counters, ..Chain::default() };
    Some(ChainHead { table: t.name(1)?, name: t.name(3)?, chain, uses: t.be32(6).unwrap_or(0), problem })
}

fn be32_at(nested: &[u8], kind: u16) -> Option<u32> {
    Attrs(nested).find(|(k, _)| *k == kind).and_then(|(_, value)| be32(value))
}

fn base(family: Family, nested: &[u8], chain: &Table<'_, 13>) -> Option<Base> {
    let t: Table<'_, 5> = Table::new(nested);
    let hook = match (family, t.be32(1)?) {
        (Family::Netdev, 0) | (Family::Inet, 5) => Hook::Ingress,
        (Family::Netdev, 1) => Hook::Egress,
        // NF_ARP_IN, NF_ARP_OUT, NF_ARP_FORWARD (include/uapi/linux/netfilter_arp.h).
        (Family::Arp, 0) => Hook::Input,
        (Family::Arp, 1) => Hook::Output,
        (Family::Arp, 2) => Hook::Forward,
        (Family::Arp | Family::Netdev, _) => return None,
        (_, 0) => Hook::Prerouting,
        (_, 1) => Hook::Input,
        (_, 2) => Hook::Forward,
        (_, 3) => Hook::Output,
        (_, 4) => Hook::Postrouting,
        _ => return None,
    };
    let kind = match chain.get(7).map(name).as_deref() {
        Some("filter") | None => ChainKind::Filter,
        Some("nat") => ChainKind::Nat,
        Some("route") => ChainKind::Route,
        _ => return None,
    };
    // A single device is named twice, for programs that know no list.
    let mut devices: Vec<String> =
        t.get(4).into_iter().flat_map(|list| Attrs(list).map(|(_, device)| name(device))).collect();
    devices.extend(t.name(3).filter(|only| !devices.contains(only)));
    Some(Base {
        hook,
        priority: t.be32(2)?.cast_signed(),
        kind,
        policy: if chain.be32(5) == Some(0) { Policy::Drop } else { Policy::Accept },
        devices,
        order: None,
    })
}

//! How often each rule matched, read from the kernel by own code: the readers under test have no part in it.

use super::netlink::{Netlink, attributes, nested};
use super::sys;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::OwnedFd;

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) legacy: bool,
    /// `ip`, `ip6`, `inet` or `netdev`.
    pub(crate) family: String,
    pub(crate) table: String,
    pub(crate) chain: String,
    /// From 1; 0: the policy.
    pub(crate) number: u32,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let legacy = if self.legacy { "legacy " } else { "" };
        let Self { family, table, chain, number, .. } = self;
        match number {
            0 => write!(f, "{legacy}{family} {table} {chain} policy"),
            n => write!(f, "{legacy}{family} {table} {chain} rule {n}"),
        }
    }
}

impl std::str::FromStr for Key {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let legacy = text.starts_with("legacy ");
        let words: Vec<_> = text.trim_start_matches("legacy ").split(' ').collect();
        let (family, table, chain, number) = match words[..] {
            [family, table, chain, "rule", n] => (family, table, chain, n.parse()?),
            [family, table, chain, "policy"] => (family, table, chain, 0),
            _ => anyhow::bail!("not a rule: {text}"),
        };
        Ok(Self { legacy, family: family.into(), table: table.into(), chain: chain.into(), number })
    }
}

/// Packets by rule.
pub(crate) type Counts = BTreeMap<Key, u64>;

/// What has been counted between two readings.
pub(crate) fn moved(before: &Counts, after: &Counts) -> Counts {
    after
        .iter()
        .map(|(key, n)| (key.clone(), n.saturating_sub(before.get(key).copied().unwrap_or(0))))
        .filter(|(_, n)| *n > 0)
        .collect()
}

const NFT_GETRULE: u16 = 10 << 8 | 7;

/// Counters of all nf_tables rules.
pub(crate) fn nft(netlink: &mut Netlink) -> Result<Counts> {
    let mut counts = Counts::new();
    let mut numbers: BTreeMap<(String, String, String), u32> = BTreeMap::new();
    netlink.dump(NFT_GETRULE, 0, &[], |family, body| {
        let family = match family {
            2 => "ip",
            10 => "ip6",
            1 => "inet",
            5 => "netdev",
            _ => "other",
        };
        let (mut table, mut chain, mut packets) = (String::new(), String::new(), None);
        for (kind, value) in attributes(body) {
            match kind {
                1 => table = text(value),
                2 => chain = text(value),
                4 => packets = counter(value),
                _ => {}
            }
        }
        let number = numbers.entry((family.to_owned(), table.clone(), chain.clone())).or_default();
        *number += 1;
        if let Some(n) = packets {
            counts.insert(Key { legacy: false, family: family.into(), table, chain, number: *number }, n);
        }
    })?;
    Ok(counts)
}

/// The last counter of a rule: the one behind its matches.
fn counter(expressions: &[u8]) -> Option<u64> {
    let mut found = None;
    for (_, expression) in attributes(expressions) {
        let name = nested(expression, 1).map(text);
        if name.as_deref() == Some("counter") {
            let data = nested(expression, 2)?;
            found = Some(u64::from_be_bytes(nested(data, 2)?.try_into().ok()?));
        }
    }
    found
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Offsets in `struct ipt_entry` and `struct ip6t_entry`: (target_offset, next_offset, counters).
const fn layout(v6: bool) -> (usize, usize, usize) {
    if v6 { (140, 142, 152) } else { (88, 90, 96) }
}

/// Counters of these legacy tables, by `IPT_SO_GET_ENTRIES`.
pub(crate) fn legacy(socket: &OwnedFd, v6: bool, tables: &[&str]) -> Result<Counts> {
    let level = if v6 { libc::IPPROTO_IPV6 } else { libc::IPPROTO_IP };
    let mut counts = Counts::new();
    for table in tables {
        // struct ipt_getinfo: name, valid_hooks, hook_entry[5], underflow[5], num_entries, size.
        let mut info = [0; 84];
        info[..table.len()].copy_from_slice(table.as_bytes());
        sys::get_option(socket, level, 64, &mut info)?;
        let word = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]) as usize;
        let size = word(80);
        let mut entries = vec![0; 40 + size];
        entries[..32].copy_from_slice(&info[..32]);
        entries[32..36].copy_from_slice(&info[80..84]);
        sys::get_option(socket, level, 65, &mut entries)?;
        let hooks: Vec<_> = (0..5).filter(|h| word(32) >> h & 1 == 1).collect();
        let starts: Vec<_> = hooks.iter().map(|h| (word(36 + h * 4), *h)).collect();
        let policies: Vec<_> = hooks.iter().map(|h| word(56 + h * 4)).collect();
        read_entries(&entries[40..], v6, table, &starts, &policies, &mut counts);
    }
    Ok(counts)
}

fn read_entries(
    entries: &[u8],
    v6: bool,
    table: &str,
    starts: &[(usize, usize)],
    policies: &[usize],
    counts: &mut Counts,
) {
    const HOOKS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
    let (target_at, next_at, counters_at) = layout(v6);
    let (mut at, mut chain, mut number) = (0, String::new(), 0);
    while at + counters_at + 16 <= entries.len() {
        let entry = &entries[at..];
        let half = |at: usize| usize::from(u16::from_ne_bytes([entry[at], entry[at + 1]]));
        let (target, next) = (half(target_at), half(next_at));
        if next == 0 || target + 34 > entry.len() {
            break;
        }
        if let Some((_, hook)) = starts.iter().find(|(start, _)| *start == at) {
            (chain, number) = (HOOKS[*hook].to_owned(), 0);
        }
        let name = text(&entry[target + 2..target + 31]);
        if name == "ERROR" {
            // Begins a user's chain, whose name it holds.
            (chain, number) = (text(&entry[target + 32..next.min(entry.len())]), 0);
        } else {
            let mut packets = [0; 8];
            packets.copy_from_slice(&entry[counters_at..counters_at + 8]);
            number += 1;
            let number = if policies.contains(&at) { 0 } else { number };
            let family = if v6 { "ip6" } else { "ip" };
            let key = Key { legacy: true, family: family.into(), table: table.into(), chain: chain.clone(), number };
            counts.insert(key, u64::from_ne_bytes(packets));
        }
        at += next;
    }
}

//! Tables of legacy iptables as getsockopt gives them (`IPT_SO_GET_INFO`, `IPT_SO_GET_ENTRIES`;
//! include/uapi/linux/netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h).
//!
//! A table is one block of entries: `struct ipt_entry`, its matches, its target. A built-in chain begins at its hook's
//! entry and ends with the policy at its underflow; a chain of its own begins with an entry whose target is `ERROR` with
//! the chain's name, and ends with a plain RETURN. A jump is the offset of the first entry of a chain (libiptc.c).

use super::info::Info;
use super::local::interface;
use super::options::Options;
use super::{Place, match_options, targets};
use crate::iptables::module::{Entry, Module, Turned, built_in, statements};
use crate::model::{Backend, Chain, Counters, Family, Policy, Problem, Rule, Table};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Where a table's built-in chains begin and end (`struct ipt_getinfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    /// Bit n: hook n (`NF_INET_*`) has a chain.
    pub valid_hooks: u32,
    /// Offset of each hook's first entry.
    pub hook_entry: [u32; 5],
    /// Offset of each hook's policy.
    pub underflow: [u32; 5],
    /// Number of entries.
    pub num_entries: u32,
    /// Bytes of all entries.
    pub size: u32,
}

impl Layout {
    /// From `struct ipt_getinfo`: a name of 32 bytes, then numbers.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let info = Info(bytes);
        let five = |at: usize| {
            Some([info.u32(at)?, info.u32(at + 4)?, info.u32(at + 8)?, info.u32(at + 12)?, info.u32(at + 16)?])
        };
        Some(Self {
            valid_hooks: info.u32(32)?,
            hook_entry: five(36)?,
            underflow: five(56)?,
            num_entries: info.u32(76)?,
            size: info.u32(80)?,
        })
    }
}

const HOOKS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// The chains of a table, also by the offset that a jump to them has.
struct Names<'a> {
    by_offset: HashMap<usize, &'a str>,
    all: HashSet<&'a str>,
}

/// One entry, not yet understood.
#[derive(Clone, Copy)]
struct Raw<'a> {
    offset: usize,
    next: usize,
    entry: Info<'a>,
    target: Info<'a>,
    /// Where the matches begin and end.
    matches: (usize, usize),
}

/// Bytes of an address, of the addresses with their masks, and offsets of what follows in `struct ipt_entry`.
struct Shape {
    address: usize,
    protocol: usize,
    flags: usize,
    inverted: usize,
    target_offset: usize,
    counters: usize,
    elements: usize,
}

const V4: Shape =
    Shape { address: 4, protocol: 80, flags: 82, inverted: 83, target_offset: 88, counters: 96, elements: 112 };
const V6: Shape =
    Shape { address: 16, protocol: 128, flags: 131, inverted: 132, target_offset: 140, counters: 152, elements: 168 };

const fn shape(family: Family) -> &'static Shape {
    if matches!(family, Family::Ip6) { &V6 } else { &V4 }
}

/// Reads a table. What does not hold together is a problem, and the chain it is in ends with an open question.
pub fn decode(
    family: Family,
    name: &str,
    layout: &Layout,
    entries: &[u8],
    ipsets: &HashMap<u16, String>,
) -> (Table, Vec<Problem>) {
    let mut problems = Vec::new();
    let place = format!("legacy table {name}");
    let list = split(family, entries);
    if list.last().map_or(0, |raw| raw.next) != entries.len() {
        problems.push(Problem { place: place.clone(), text: "its entries do not hold together".to_owned() });
    }
    let heads = heads(&list, layout);
    let names = Names {
        by_offset: heads.iter().map(|head| (head.first, head.name.as_str())).collect(),
        all: heads.iter().map(|head| head.name.as_str()).collect(),
    };
    let mut chains = BTreeMap::new();
    for head in &heads {
        let mut rules = Vec::new();
        let (mut policy, mut policy_counters) = (Policy::Accept, None);
        let start = list.partition_point(|raw| raw.offset < head.first);
        for raw in list[start..].iter().take_while(|raw| raw.offset < head.end) {
            if head.policy == Some(raw.offset) {
                policy = if verdict(raw) == Some(-1) { Policy::Drop } else { Policy::Accept };
                policy_counters = counters(family, raw);
                continue;
            }
            let (mut rule, wrong) = rule(family, &head.name, raw, &names, ipsets);
            rule.number = u32::try_from(rules.len() + 1).unwrap_or(u32::MAX);
            problems
                .extend(wrong.into_iter().map(|text| Problem { place: format!("{place} chain {}", head.name), text }));
            rules.push(rule);
        }
        // The plain RETURN at the end is the chain's end itself.
        if head.policy.is_none() {
            rules.pop();
        }
        let base = head.policy.and_then(|_| built_in(name, &head.name, policy));
        let chain = Chain { base, rules: Arc::new(rules.into()), unread: false, policy_counters };
        chains.insert(head.name.clone(), chain);
    }
    let table = Table {
        family,
        name: name.to_owned(),
        backend: Backend::Legacy,
        dormant: false,
        chains,
        sets: BTreeMap::new(),
    };
    (table, problems)
}

fn split(family: Family, entries: &[u8]) -> Vec<Raw<'_>> {
    let shape = shape(family);
    let mut list = Vec::new();
    let mut offset = 0;
    while offset < entries.len() {
        let entry = Info(&entries[offset..]);
        let (Some(target), Some(next)) = (entry.u16(shape.target_offset), entry.u16(shape.target_offset + 2)) else {
            break;
        };
        let (target, next) = (usize::from(target), usize::from(next));
        // Offsets must go forward, or reading would not end.
        if target < shape.elements || next < target + 32 {
            break;
        }
        let (Some(own), Some(bytes)) = (entry.bytes(0, next), entry.bytes(target, next - target)) else { break };
        list.push(Raw {
            offset,
            next: offset + next,
            entry: Info(own),
            target: Info(bytes),
            matches: (shape.elements, target),
        });
        offset += next;
    }
    list
}

/// A chain: its name, its first entry, where it ends, and its policy's place.
struct Head {
    name: String,
    first: usize,
    end: usize,
    policy: Option<usize>,
}

fn heads(list: &[Raw<'_>], layout: &Layout) -> Vec<Head> {
    let mut heads: Vec<Head> = Vec::new();
    for (hook, name) in HOOKS.iter().enumerate() {
        if layout.valid_hooks & 1 << hook != 0 {
            let policy = layout.underflow[hook] as usize;
            let first = layout.hook_entry[hook] as usize;
            let end = list.iter().find(|raw| raw.offset == policy).map_or(first, |raw| raw.next);
            heads.push(Head { name: (*name).to_owned(), first, end, policy: Some(policy) });
        }
    }
    let errors: Vec<&Raw<'_>> = list.iter().filter(|raw| target_name(raw) == "ERROR").collect();
    for pair in errors.windows(2) {
        let name = pair[0].target.text(32, 30).unwrap_or_default();
        heads.push(Head { name, first: pair[0].next, end: pair[1].offset, policy: None });
    }
    heads
}

fn target_name(raw: &Raw<'_>) -> String {
    raw.target.text(2, 29).unwrap_or_default()
}

/// The verdict of a standard target.
fn verdict(raw: &Raw<'_>) -> Option<i32> {
    target_name(raw).is_empty().then(|| raw.target.u32(32)).flatten().map(u32::cast_signed)
}

fn counters(family: Family, raw: &Raw<'_>) -> Option<Counters> {
    let at = shape(family).counters;
    Some(Counters { packets: raw.entry.u64(at)?, bytes: raw.entry.u64(at + 8)? })
}

fn rule(
    family: Family,
    chain: &str,
    raw: &Raw<'_>,
    names: &Names<'_>,
    ipsets: &HashMap<u16, String>,
) -> (Rule, Vec<String>) {
    let (mut entry, mut wrong) = (Entry::default(), Vec::new());
    let core = core(family, raw, &mut entry);
    if core.is_none() {
        wrong.push("a rule's addresses or interfaces are not understood".to_owned());
    }
    let protocol = match &entry.protocol {
        Some((number, false)) => number.parse().ok(),
        _ => None,
    };
    let place = Place { family, protocol, chain, ipsets };
    modules(&place, raw, &mut entry);
    target(&place, raw, names, &mut entry);
    if core.is_none() {
        let odd =
            Module { name: "rule".into(), text: "rule".into(), wrong: wrong.first().cloned(), ..Module::default() };
        entry.matches.insert(0, odd);
    }
    let (statements, comment, more) = statements(&entry, family, chain, |name| names.all.contains(name));
    let text = written(chain, &entry);
    wrong.extend(more);
    (Rule { counters: counters(family, raw), comment, statements, text: text.into(), ..Rule::default() }, wrong)
}

/// `struct ipt_ip`, `struct ip6t_ip6`.
fn core(family: Family, raw: &Raw<'_>, entry: &mut Entry) -> Option<()> {
    let (shape, info) = (shape(family), raw.entry);
    let wide = shape.address;
    let (flags, inverted) = (info.u8(shape.flags)?, info.u8(shape.inverted)?);
    let address = |at: usize, mask: usize, bit: u8| -> Option<Turned> {
        let (address, mask) = (info.address(at, family)?, info.address(mask, family)?);
        let negated = inverted & bit != 0;
        Some((!mask.is_unspecified() || negated).then(|| (format!("{address}/{}", shown_mask(mask)), negated)))
    };
    entry.source = address(0, wide * 2, 0x08)?;
    entry.destination = address(wide, wide * 3, 0x10)?;
    let interfaces = wide * 4;
    let names = [(interfaces, interfaces + 32, 0x01), (interfaces + 16, interfaces + 48, 0x02)];
    let mut found = names.into_iter().map(|(name, mask, bit)| {
        let mut both = [0; 32];
        both[..16].copy_from_slice(info.bytes(name, 16)?);
        both[16..].copy_from_slice(info.bytes(mask, 16)?);
        let name = interface(Info(&both), 0)?;
        let negated = inverted & bit != 0;
        Some((name != "+" || negated).then_some((name, negated)))
    });
    entry.in_interface = found.next()??;
    entry.out_interface = found.next()??;
    let protocol = info.u16(shape.protocol)?;
    let asked = if family == Family::Ip6 { flags & 1 != 0 } else { true };
    let negated = inverted & 0x40 != 0;
    entry.protocol = (asked && (protocol != 0 || negated)).then(|| (protocol.to_string(), negated));
    if family == Family::Ip6 {
        // IP6T_F_TOS is written by nothing; what it would test is not read.
        (flags & 2 == 0).then_some(())?;
        entry.goto = flags & 4 != 0;
    } else {
        entry.fragment = (flags & 1 != 0).then_some(inverted & 0x20 != 0);
        entry.goto = flags & 2 != 0;
    }
    Some(())
}

/// A mask as prefix length, where it is one.
fn shown_mask(mask: IpAddr) -> String {
    let (bits, width) = match mask {
        IpAddr::V4(a) => (u128::from(a.to_bits()) << 96, 32),
        IpAddr::V6(a) => (a.to_bits(), 128),
    };
    let ones = bits.leading_ones();
    if ones == bits.count_ones() { ones.min(width).to_string() } else { mask.to_string() }
}

/// `struct xt_entry_match`: size, name, revision, data.
fn modules(place: &Place<'_>, raw: &Raw<'_>, entry: &mut Entry) {
    let (mut at, end) = raw.matches;
    while at < end {
        let head = raw.entry.u16(at).map(usize::from).filter(|size| *size >= 32 && at + size <= end);
        let Some(size) = head else {
            let wrong = Some("its matches do not hold together".to_owned());
            entry.matches.push(Module { name: "rule".into(), text: "rule".into(), wrong, ..Module::default() });
            return;
        };
        let name = raw.entry.text(at + 2, 29).unwrap_or_default();
        let revision = raw.entry.u8(at + 31).unwrap_or(0);
        let info = Info(raw.entry.bytes(at + 32, size - 32).unwrap_or_default());
        entry.matches.push(match match_options(place, &name, revision, info) {
            Some(options) => module(options, name),
            None => unread(name, revision),
        });
        at += size;
    }
}

fn module(options: Options, name: String) -> Module {
    let name = options.name.map_or(name, str::to_owned);
    Module { text: options.text(&name), options: options.list, name, wrong: None }
}

fn unread(name: String, revision: u8) -> Module {
    let wrong = Some(format!("revision {revision} of it is not understood"));
    Module { text: name.clone(), name, wrong, ..Module::default() }
}

fn target(place: &Place<'_>, raw: &Raw<'_>, names: &Names<'_>, entry: &mut Entry) {
    let name = target_name(raw);
    let plain = |name: &str| Some(Module { name: name.to_owned(), text: name.to_owned(), ..Module::default() });
    entry.target = match verdict(raw) {
        Some(-1) => plain("DROP"),
        Some(-2) => plain("ACCEPT"),
        Some(-4) => plain("QUEUE"),
        Some(-5) => plain("RETURN"),
        // To the next entry: the rule has no target.
        Some(to) if usize::try_from(to) == Ok(raw.next) && !entry.goto => None,
        Some(to) => match usize::try_from(to).ok().and_then(|to| names.by_offset.get(&to)) {
            Some(chain) => plain(chain),
            None => Some(unread(format!("verdict {to}"), 0)),
        },
        None => {
            let revision = raw.target.u8(31).unwrap_or(0);
            let info = Info(raw.target.0.get(32..).unwrap_or_default());
            Some(match targets::options(place, &name, revision, info) {
                Some(options) => module(options, name),
                None => unread(name, revision),
            })
        }
    };
}

/// The rule as iptables-save(8) writes it.
fn written(chain: &str, entry: &Entry) -> String {
    let mut out = format!("-A {chain}");
    for (option, value) in [
        ("-s", &entry.source),
        ("-d", &entry.destination),
        ("-i", &entry.in_interface),
        ("-o", &entry.out_interface),
        ("-p", &entry.protocol),
    ] {
        if let Some((value, negated)) = value {
            let value = match option {
                "-p" => {
                    value.parse().ok().and_then(crate::nft::protocol_name).map_or_else(|| value.clone(), str::to_owned)
                }
                _ => value.clone(),
            };
            out += &format!(" {}{option} {value}", if *negated { "! " } else { "" });
        }
    }
    if let Some(negated) = entry.fragment {
        out += if negated { " ! -f" } else { " -f" };
    }
    for module in &entry.matches {
        out += &format!(" -m {}", module.text);
    }
    if let Some(target) = &entry.target {
        out += &format!(" {} {}", if entry.goto { "-g" } else { "-j" }, target.text);
    }
    out
}

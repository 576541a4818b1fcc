//! Text of ipset(8): `ipset save` and `ipset list`.
//!
//! ```text
//! create bad hash:net family inet hashsize 1024 maxelem 65536 timeout 600 comment bucketsize 12 initval 0x5c3ae5a2
//! add bad 203.0.113.0/24 timeout 541 comment "scanner"
//! add bad 203.0.113.7 nomatch timeout 0
//! create web hash:ip,port family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x22d2c8cc
//! add web 198.51.100.10,tcp:443
//!
//! Name: bad
//! Type: hash:net
//! Revision: 7
//! Header: family inet hashsize 1024 maxelem 65536 timeout 600 comment bucketsize 12 initval 0x5c3ae5a2
//! Size in memory: 1216
//! References: 1
//! Number of entries: 1
//! Members:
//! 203.0.113.0/24 timeout 541 comment "scanner"
//! ```
//!
//! An element that is not understood makes its whole set not understood: it might be the one that is asked for.

use std::collections::{BTreeMap, HashMap};

use unrefuse_facts::text;

use super::{names, values};
use crate::model::{Element, Elements, Family, Problem, Ruleset, Scalar, Set};

type Ranges = Vec<(Scalar, Scalar)>;

#[derive(Debug)]
struct Raw {
    kind: String,
    family: Family,
    /// Elements stand for their network of this length (`netmask`).
    netmask: Option<Scalar>,
    timeout: bool,
    elements: Vec<(Ranges, Element)>,
    members: Vec<String>,
    /// What makes it not understood.
    wrong: Option<String>,
}

/// Reads text of ipset into a ruleset's `ipsets`. A set that is there already is replaced.
pub fn parse_ipset(bytes: &[u8], into: &mut Ruleset) {
    let text = text::from_bytes(bytes);
    let mut reader = Reader {
        sets: BTreeMap::new(),
        problems: Vec::new(),
        name: String::new(),
        kind: String::new(),
        members: false,
    };
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line).trim();
        if let Err(wrong) = reader.line(line) {
            let place = format!("ipset line {}", index + 1);
            reader.problems.push(Problem { place, text: text::clip(&format!("{wrong}: {line}"), 300) });
        }
    }
    into.problems.append(&mut reader.problems);
    for (name, raw) in reader.sets {
        into.ipsets.insert(name, raw.finish());
    }
}

struct Reader {
    sets: BTreeMap<String, Raw>,
    problems: Vec<Problem>,
    /// Of `ipset list`: the set that is being read.
    name: String,
    kind: String,
    members: bool,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() {
            self.members = false;
            return Ok(());
        }
        if line.starts_with('#') || line == "COMMIT" || line == "quit" {
            return Ok(());
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if self.members && !matches!(word, "Name:" | "create" | "add") {
            return add(&mut self.sets, &self.name.clone(), line);
        }
        match word {
            "create" | "-N" | "--create" => {
                let mut words = rest.split_whitespace().filter(|w| !w.starts_with('-'));
                let (Some(name), Some(kind)) = (words.next(), words.next()) else {
                    return Err("neither name nor type".into());
                };
                self.create(name, kind, words.collect::<Vec<_>>())
            }
            "add" | "-A" | "--add" => {
                let rest = rest.trim_start_matches("-exist ").trim_start_matches("-! ").trim_start();
                let (name, element) = rest.split_once(' ').ok_or("no element")?;
                add(&mut self.sets, name, element)
            }
            "Name:" => {
                self.name = rest.trim().to_owned();
                (self.kind, self.members) = (String::new(), false);
                Ok(())
            }
            "Type:" => {
                self.kind = rest.trim().to_owned();
                Ok(())
            }
            "Header:" => {
                let (name, kind) = (self.name.clone(), self.kind.clone());
                self.create(&name, &kind, rest.split_whitespace().collect())
            }
            "Members:" => {
                self.members = true;
                Ok(())
            }
            "Revision:" | "Size" | "References:" | "Number" => Ok(()),
            "flush" | "-F" => {
                for (name, set) in &mut self.sets {
                    if rest.is_empty() || name == rest {
                        set.elements.clear();
                        set.members.clear();
                    }
                }
                Ok(())
            }
            "destroy" | "-X" => {
                self.sets.retain(|name, _| !rest.is_empty() && name != rest);
                Ok(())
            }
            "del" | "-D" | "swap" | "-W" | "rename" | "-E" => {
                for name in rest.split_whitespace() {
                    if let Some(set) = self.sets.get_mut(name) {
                        set.wrong.get_or_insert_with(|| line.to_owned());
                    }
                }
                Err("not followed".into())
            }
            _ => Err("not understood".into()),
        }
    }

    fn create(&mut self, name: &str, kind: &str, options: Vec<&str>) -> Result<(), String> {
        if name.is_empty() || kind.is_empty() {
            return Err("neither name nor type".into());
        }
        let value = |of: &str| options.iter().position(|o| *o == of).and_then(|at| options.get(at + 1)).copied();
        let family = match value("family") {
            Some("inet6") => Family::Ip6,
            _ => Family::Ip,
        };
        let mut wrong = None;
        let full = values::width(family);
        let netmask = match value("netmask")
            .or(value("bitmask"))
            .map(|m| values::network(&format!("{}/{m}", all(family)), family))
        {
            Some(Ok((_, mask))) if mask == values::prefix_mask(mask.count_ones() as u8, full) => Some(mask),
            Some(_) => {
                wrong = Some("a mask that is no prefix".to_owned());
                None
            }
            None => None,
        };
        if value("markmask").is_some_and(|m| values::number(m) != Some(u32::MAX.into())) {
            wrong = Some("marks under a mask".to_owned());
        }
        if kind != "list:set" && widths(kind, family).is_none() {
            wrong = Some(format!("a set of type {kind}"));
        }
        let timeout = value("timeout").is_some();
        let (kind, elements, members) = (kind.to_owned(), Vec::new(), Vec::new());
        let result = wrong.clone().map_or(Ok(()), Err);
        self.sets.insert(name.to_owned(), Raw { kind, family, netmask, timeout, elements, members, wrong });
        result
    }
}

/// The address that a mask is tried on.
const fn all(family: Family) -> &'static str {
    if matches!(family, Family::Ip6) { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" } else { "255.255.255.255" }
}

/// Widths in bits of a type's key: a port is a protocol and a number, but for bitmap:port.
fn widths(kind: &str, family: Family) -> Option<Vec<u16>> {
    let (method, dimensions) = kind.split_once(':')?;
    let mut widths = Vec::new();
    for dimension in dimensions.split(',') {
        match dimension {
            "ip" | "net" => widths.push(values::width(family).into()),
            "port" if method == "bitmap" => widths.push(16),
            "port" => widths.extend([8, 16]),
            "mac" => widths.push(48),
            "iface" => widths.push(128),
            "mark" => widths.push(32),
            _ => return None,
        }
    }
    matches!(method, "hash" | "bitmap").then_some(widths)
}

fn add(sets: &mut BTreeMap<String, Raw>, name: &str, text: &str) -> Result<(), String> {
    let set = sets.get_mut(name).ok_or_else(|| format!("there is no set {name}"))?;
    let result = set.add(text);
    if let Err(wrong) = &result {
        set.wrong.get_or_insert_with(|| wrong.clone());
    }
    result
}

impl Raw {
    fn add(&mut self, line: &str) -> Result<(), String> {
        // A comment has no escapes: it goes up to the line's last quote.
        let (line, comment) = match line.split_once(" comment \"") {
            Some((before, after)) => match after.rsplit_once('"') {
                Some((comment, after)) => (format!("{before}{after}"), Some(comment.to_owned())),
                None => return Err("a quote is left open".into()),
            },
            None => (line.to_owned(), None),
        };
        let mut words = line.split_whitespace();
        let key = words.next().ok_or("no element")?;
        let mut element = Element { comment, ..Element::default() };
        let mut wildcard = false;
        while let Some(word) = words.next() {
            match word {
                "nomatch" => element.nomatch = true,
                "wildcard" => wildcard = true,
                "timeout" => {
                    let seconds = words.next().and_then(values::number).ok_or("no time")?;
                    self.timeout = true;
                    element.expires = (seconds != 0).then_some(seconds);
                }
                "comment" | "packets" | "bytes" | "skbmark" | "skbprio" | "skbqueue" | "before" | "after" => {
                    words.next();
                }
                other => return Err(format!("not understood: {other}")),
            }
        }
        if self.kind == "list:set" {
            self.members.push(key.to_owned());
            return Ok(());
        }
        let key = self.key(key, wildcard)?;
        self.elements.push((key, element));
        Ok(())
    }

    fn key(&self, text: &str, wildcard: bool) -> Result<Ranges, String> {
        let (method, dimensions) = self.kind.split_once(':').ok_or("no type")?;
        let mut out = Vec::new();
        let mut parts = text.split(',');
        for dimension in dimensions.split(',') {
            let Some(part) = parts.next() else {
                // bitmap:ip,mac: an address whose MAC is not known yet takes any.
                if dimension == "mac" && method == "bitmap" {
                    out.push((0, (1 << 48) - 1));
                    continue;
                }
                return Err("too few parts".into());
            };
            match dimension {
                "ip" | "net" => out.push(self.addresses(part)?),
                "port" => ports(part, method == "bitmap", &mut out)?,
                "mac" => {
                    let mac = values::mac(part)?;
                    out.push((mac, mac));
                }
                "mark" => {
                    let mark: u32 = values::number_to(part)?;
                    out.push((mark.into(), mark.into()));
                }
                "iface" if part.starts_with("physdev:") => return Err("a bridge port".into()),
                "iface" => {
                    let name = values::name_bytes(part)?;
                    let open = if wildcard { !values::prefix_mask((part.len() * 8) as u8, 128) } else { 0 };
                    out.push((name, name | open));
                }
                other => return Err(format!("not understood: {other}")),
            }
        }
        if parts.next().is_some() { Err("too many parts".into()) } else { Ok(out) }
    }

    fn addresses(&self, text: &str) -> Result<(Scalar, Scalar), String> {
        if text.contains('-') {
            return values::address_range(text, self.family);
        }
        let full = values::width(self.family);
        let (address, mask) = values::network(text, self.family)?;
        let mask = if text.contains('/') { mask } else { self.netmask.unwrap_or(mask) };
        let open = !mask & values::prefix_mask(full, full);
        Ok((address & mask, address & mask | open))
    }

    fn finish(self) -> Set {
        let elements = if let Some(wrong) = self.wrong {
            Elements::Unknown(wrong)
        } else if self.kind == "list:set" {
            Elements::Sets(self.members)
        } else if self.elements.iter().all(|(key, _)| key.iter().all(|(from, to)| from == to)) {
            let exact = self.elements.into_iter();
            Elements::Exact(
                exact.map(|(key, e)| (key.into_iter().map(|(n, _)| n).collect(), e)).collect::<HashMap<_, _>>(),
            )
        } else {
            // The kernel tries the longest prefix first, the first dimension before the second (ip_set_hash_gen.h,
            // `mtype_test_cidrs`).
            let mut ranges = self.elements;
            ranges.sort_by_cached_key(|(key, _)| key.iter().map(|(from, to)| to - from).collect::<Vec<_>>());
            Elements::Ranges(ranges)
        };
        Set {
            key: widths(&self.kind, self.family).unwrap_or_default(),
            elements,
            timeout: self.timeout,
            // Rules (SET) and programs add to it.
            dynamic: false,
            comment: None,
            catch_all: None,
            ipset: Some(self.kind),
        }
    }
}

/// `tcp:80`, `80` (TCP), `udp:53-60`, `icmp:8/0`, `icmp:echo-request`, `vrrp:0`.
fn ports(text: &str, number_only: bool, out: &mut Ranges) -> Result<(), String> {
    let (protocol, ports) = match text.split_once(':') {
        Some((name, ports)) => {
            let number = names::protocol(name).or_else(|| name.parse().ok());
            (number.ok_or_else(|| format!("not a protocol: {name}"))?, ports)
        }
        None => (6, text),
    };
    let icmp = match protocol {
        1 => Some(Family::Ip),
        58 => Some(Family::Ip6),
        _ => None,
    };
    let range = if let Some(family) = icmp {
        let (kind, code) = match ports.split_once('/') {
            Some((kind, code)) => (values::number_to::<u8>(kind)?, values::number_to::<u8>(code)?),
            None => {
                let (kind, code, _) = names::icmp(ports, family).ok_or_else(|| format!("not an ICMP type: {ports}"))?;
                (kind, code)
            }
        };
        let both = u16::from(kind) << 8 | u16::from(code);
        (both, both)
    } else {
        values::range(ports, '-', u16::MAX, values::port)?
    };
    if !number_only {
        out.push((protocol.into(), protocol.into()));
    }
    out.push((range.0.into(), range.1.into()));
    Ok(())
}

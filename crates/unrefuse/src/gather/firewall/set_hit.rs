//! The element of a set that made a rule match, as the set's own tool writes it: it is taken out by that name only.

use super::super::machine::LiveMachine;
use std::net::IpAddr;
use unrefuse_facts as facts;
use unrefuse_firewall::answer::RuleRef;
use unrefuse_firewall::judge::Question;
use unrefuse_firewall::machine::Machine;
use unrefuse_firewall::model::{self, Cond, Expr, Field, Header, Rule, Set, Statement, Table};
use unrefuse_firewall::spec::L4;

/// A part of a set's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Source,
    Destination,
    /// Of an ipset: the protocol that a port is preceded by.
    Protocol,
    Port,
    /// Something that the question does not tell.
    Other,
}

/// The named set that made the rule match, where it is known which of its elements did. Sets of a rule's own (`{ 1.2.3.4,
/// 5.6.7.8 }`) are part of its text.
pub(super) fn set_hit(
    machine: &LiveMachine,
    question: &Question,
    table: Option<&Table>,
    at: &RuleRef,
    rule: &Rule,
) -> Option<facts::SetHit> {
    let tested = rule.statements.iter().find_map(|statement| match statement {
        Statement::If(cond) => looked_up(cond),
        _ => None,
    })?;
    let (Cond::InSet { set: name, .. } | Cond::InIpset { set: name, .. }) = tested else { return None };
    if name.starts_with("__") {
        return None;
    }
    let place = table.filter(|t| t.sets.contains_key(name)).map(|_| (at.family, at.table.as_str()));
    let set = machine.set(place, name);
    let parts = match tested {
        Cond::InSet { key, .. } => key.iter().map(part).collect(),
        // Its type is known of a set that is too large to be read, too.
        Cond::InIpset { source, .. } => ipset_parts(machine.ruleset().ipsets.get(name)?, source),
        _ => Vec::new(),
    };
    let values: Option<Vec<u128>> = parts.iter().map(|part| value(*part, question)).collect();
    let values = values.filter(|values| !values.is_empty())?;
    let asked = machine.element(place, name, &values).flatten();
    let held = set.as_deref().and_then(|set| holding(set, &values));
    let kind = if place.is_some() { facts::SetKind::Nft } else { facts::SetKind::Ipset };
    let alone = || values.iter().map(|value| (*value, *value)).collect();
    let ends = held.as_ref().map_or_else(alone, |(ends, _)| ends.clone());
    // A test of an ipset tells no more than that it holds the key.
    let told = [asked.as_ref(), held.as_ref().map(|(_, element)| *element)];
    Some(facts::SetHit {
        kind,
        name: name.clone(),
        element: text(kind, &parts, &ends, question.packet.dst)?,
        by_source: parts.contains(&Part::Source),
        expires: told.iter().flatten().find_map(|e| e.expires),
        comment: told.iter().flatten().find_map(|e| e.comment.clone()),
    })
}

/// The test that looks the packet up.
fn looked_up(cond: &Cond) -> Option<&Cond> {
    match cond {
        Cond::InSet { negated: false, .. } | Cond::InIpset { negated: false, .. } => Some(cond),
        Cond::All(all) | Cond::Any(all) => all.iter().find_map(looked_up),
        _ => None,
    }
}

fn part(of: &Expr) -> Part {
    let Expr::Field(Field::Payload { base, offset, len }) = of else { return Part::Other };
    match (base, offset, len) {
        (Header::Network, 96, 32) | (Header::Network, 64, 128) => Part::Source,
        (Header::Network, 128, 32) | (Header::Network, 192, 128) => Part::Destination,
        (Header::Transport, 16, 16) => Part::Port,
        _ => Part::Other,
    }
}

/// The dimensions of an ipset's type (ipset(8)); a port takes two parts of the key.
fn ipset_parts(set: &Set, source: &[bool]) -> Vec<Part> {
    let dimensions =
        set.ipset.as_deref().and_then(|kind| kind.split_once(':')).map_or("", |(_, dimensions)| dimensions);
    let mut parts = Vec::new();
    for (i, dimension) in dimensions.split(',').enumerate() {
        match (dimension, source.get(i).copied().unwrap_or(false)) {
            ("ip" | "net", true) => parts.push(Part::Source),
            ("ip" | "net", false) => parts.push(Part::Destination),
            // `bitmap:port` has the port alone.
            ("port", false) if dimensions == "port" => parts.push(Part::Port),
            ("port", false) => parts.extend([Part::Protocol, Part::Port]),
            _ => parts.push(Part::Other),
        }
    }
    parts
}

fn value(part: Part, question: &Question) -> Option<u128> {
    let number = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    };
    match part {
        Part::Source => question.packet.src.map(number),
        Part::Destination => Some(number(question.packet.dst)),
        Part::Port => question.packet.dport().map(u128::from),
        Part::Protocol => match question.packet.l4 {
            L4::Tcp { .. } => Some(6),
            L4::Udp { .. } => Some(17),
            _ => None,
        },
        Part::Other => None,
    }
}

type Ends = Vec<(u128, u128)>;

/// The ends of the element that holds a key, part by part, and the element.
fn holding<'s>(set: &'s Set, key: &[u128]) -> Option<(Ends, &'s model::Element)> {
    match &set.elements {
        model::Elements::Exact(map) => Some((key.iter().map(|k| (*k, *k)).collect(), map.get(key)?)),
        model::Elements::Ranges(ranges) => ranges
            .iter()
            .find(|(parts, element)| {
                let within = |(ends, value): (&(u128, u128), &u128)| (ends.0..=ends.1).contains(value);
                !element.nomatch && parts.len() == key.len() && parts.iter().zip(key).all(within)
            })
            .map(|(parts, element)| (parts.clone(), element)),
        _ => None,
    }
}

/// `10.0.0.9`, `10.0.0.0/24 . 80-90` of nft, `10.0.0.9,tcp:80` of ipset.
fn text(kind: facts::SetKind, parts: &[Part], ends: &[(u128, u128)], family: IpAddr) -> Option<String> {
    let range = |(from, to): (u128, u128)| if from == to { from.to_string() } else { format!("{from}-{to}") };
    let mut words = Vec::with_capacity(parts.len());
    let mut protocol = "";
    for (part, ends) in parts.iter().zip(ends) {
        match part {
            Part::Source | Part::Destination => words.push(addresses(*ends, family)?),
            Part::Protocol => protocol = if *ends == (6, 6) { "tcp:" } else { "udp:" },
            Part::Port => words.push(format!("{protocol}{}", range(*ends))),
            Part::Other => return None,
        }
    }
    Some(words.join(if kind == facts::SetKind::Nft { " . " } else { "," }))
}

fn addresses((from, to): (u128, u128), family: IpAddr) -> Option<String> {
    let (address, bits): (fn(u128) -> Option<IpAddr>, u32) = match family {
        IpAddr::V4(_) => (|n| Some(IpAddr::from(u32::try_from(n).ok()?.to_be_bytes())), 32),
        IpAddr::V6(_) => (|n| Some(IpAddr::from(n.to_be_bytes())), 128),
    };
    let (first, last) = (address(from)?, address(to)?);
    let host_bits = (from ^ to).count_ones();
    let is_prefix = from & (from ^ to) == 0 && (from ^ to).trailing_ones() == host_bits;
    Some(match host_bits {
        0 => first.to_string(),
        _ if is_prefix => format!("{first}/{}", bits - host_bits),
        _ => format!("{first}-{last}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use unrefuse_facts::SetKind;

    fn set(ends: Vec<(u128, u128)>) -> Set {
        let elements = model::Elements::Ranges(vec![(ends, model::Element::default())]);
        Set { elements, ..Set::default() }
    }

    #[test]
    fn an_element_is_called_as_its_set_has_it() {
        let family: IpAddr = "10.0.0.9".parse().unwrap();
        let key = 0x0a00_0009;
        let text = |from, to| text(SetKind::Nft, &[Part::Source], &holding(&set(vec![(from, to)]), &[key])?.0, family);
        assert_eq!(text(key, key).as_deref(), Some("10.0.0.9"));
        assert_eq!(text(0x0a00_0000, 0x0a00_00ff).as_deref(), Some("10.0.0.0/24"));
        assert_eq!(text(0x0a00_0001, 0x0a00_0010).as_deref(), Some("10.0.0.1-10.0.0.16"));
        assert_eq!(text(0x0b00_0000, 0x0b00_00ff), None);
    }

    #[test]
    fn elements_of_several_parts() {
        let family: IpAddr = "10.0.0.9".parse().unwrap();
        let ends = vec![(0x0a00_0000, 0x0a00_00ff), (80, 90)];
        let (held, _) = holding(&set(ends), &[0x0a00_0009, 80]).expect("held");
        let parts = [Part::Source, Part::Port];
        assert_eq!(text(SetKind::Nft, &parts, &held, family).as_deref(), Some("10.0.0.0/24 . 80-90"));
        let hash = Set { ipset: Some("hash:ip,port".into()), ..Set::default() };
        let parts = ipset_parts(&hash, &[true, false]);
        let ends = [(0x0a00_0009, 0x0a00_0009), (6, 6), (80, 80)];
        assert_eq!(text(SetKind::Ipset, &parts, &ends, family).as_deref(), Some("10.0.0.9,tcp:80"));
        // What the question does not tell cannot be named.
        let by_mac = Set { ipset: Some("hash:ip,mac".into()), ..Set::default() };
        assert!(ipset_parts(&by_mac, &[true, true]).contains(&Part::Other));
    }
}

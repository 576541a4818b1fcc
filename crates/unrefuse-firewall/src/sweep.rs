//! One question for all ports, or for all sources: judged once for each stretch over which rules cannot tell the packets
//! apart.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::answer::{Answer, Fate};
use crate::bits::ones;
use crate::bounds::{Bounds, Number};
use crate::judge::{Judge, Question};
use crate::machine::Machine;
use crate::model::{Rule, Ruleset, Scalar};

/// All that is reachable, stretch by stretch.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep<T> {
    /// Stretches in order, without gaps; neighbours differ. The answer is that for the stretch's first member.
    pub parts: Vec<(RangeInclusive<T>, Answer)>,
    /// Every member was told apart that a rule might tell apart. Where not, a part may hold members that fare otherwise.
    pub exact: bool,
}

/// Judges the question's packet for every destination port.
pub fn ports(ruleset: &Ruleset, machine: &dyn Machine, question: &Question) -> Sweep<u16> {
    let mut starts = bounds(ruleset, machine, Number::Port);
    if starts.odd {
        starts.starts.extend(0..=0xffff);
    }
    let judge = Judge::new(ruleset, machine);
    let ask = |port: Scalar| {
        let mut question = question.clone();
        question.packet = question.packet.with_dport(port as u16);
        judge.judge(&question)
    };
    let parts = stretches(&starts, Number::Port, ask)
        .into_iter()
        .map(|((from, to), answer)| (from as u16..=to as u16, answer))
        .collect();
    Sweep { parts, exact: true }
}

/// First ports of stretches over which no rule can tell the packets apart, in order, 0 first; `None` where something looks at
/// ports in a way that has no stretches (their lowest bits, a hash).
pub fn port_stretches(ruleset: &Ruleset, machine: &dyn Machine) -> Option<Vec<u16>> {
    let bounds = bounds(ruleset, machine, Number::Port);
    (!bounds.odd).then(|| bounds.starts.iter().map(|port| *port as u16).collect())
}

/// Judges the question's packet for every source address of its destination's family.
pub fn sources(ruleset: &Ruleset, machine: &dyn Machine, question: &Question) -> Sweep<IpAddr> {
    let sources = Sources::new(ruleset, machine, question.packet.dst.is_ipv4());
    sources.judge(&Judge::new(ruleset, machine), question)
}

/// The source addresses of a family, by stretches over which no rule can tell them apart: found once, for many questions.
pub struct Sources {
    v4: bool,
    bounds: Bounds,
}

impl Sources {
    /// Finds them in all rules and sets, and in the machine's own addresses and routes.
    pub fn new(ruleset: &Ruleset, machine: &dyn Machine, v4: bool) -> Self {
        let number = if v4 { Number::V4 } else { Number::V6 };
        let mut starts = bounds(ruleset, machine, number);
        let own: &[(&str, u8)] = if v4 {
            &[("0.0.0.0", 32), ("127.0.0.0", 8), ("224.0.0.0", 4), ("255.255.255.255", 32)]
        } else {
            &[("::", 128), ("::1", 128), ("fe80::", 10), ("ff00::", 8)]
        };
        let own = own.iter().filter_map(|(a, l)| Some((a.parse::<IpAddr>().ok()?, *l)));
        for (address, length) in own.chain(machine.prefixes()).filter(|(a, _)| a.is_ipv4() == v4) {
            let value = crate::conntrack::address_bits(address).value;
            let host = ones(u32::from(number.width()).saturating_sub(length.into()));
            starts.add(value & !host, value | host);
        }
        Self { v4, bounds: starts }
    }

    /// How many stretches there are: a question is judged so often.
    pub fn count(&self) -> usize {
        self.bounds.starts.len()
    }

    /// Judges the question's packet for all of them. The destination must be of their family.
    pub fn judge(&self, judge: &Judge<'_>, question: &Question) -> Sweep<IpAddr> {
        let (v4, number) = (self.v4, self.bounds.number());
        let address = |n: Scalar| if v4 { IpAddr::V4((n as u32).into()) } else { IpAddr::V6(n.into()) };
        let ask = |source: Scalar| {
            let mut question = question.clone();
            question.packet.src = Some(address(source));
            judge.judge(&question)
        };
        let parts = stretches(&self.bounds, number, ask)
            .into_iter()
            .map(|((from, to), answer)| (address(from)..=address(to), answer))
            .collect();
        Sweep { parts, exact: !self.bounds.odd }
    }
}

fn bounds(ruleset: &Ruleset, machine: &dyn Machine, number: Number) -> Bounds {
    let fetch = |table: usize, chain: &str| -> Vec<Rule> {
        let table = &ruleset.tables[table];
        machine.chain(table.family, &table.name, chain).map(|r| r.to_vec()).unwrap_or_default()
    };
    Bounds::of(ruleset, number, &fetch)
}

type Part = ((Scalar, Scalar), Answer);

fn stretches(bounds: &Bounds, number: Number, ask: impl Fn(Scalar) -> Answer) -> Vec<Part> {
    let last = ones(number.width().into());
    let mut parts: Vec<Part> = Vec::new();
    let mut starts = bounds.starts.iter().peekable();
    while let Some(start) = starts.next() {
        let end = starts.peek().map_or(last, |next| **next - 1);
        let answer = ask(*start);
        match parts.last_mut() {
            Some((range, before)) if alike(before, range.0, &answer, *start) => range.1 = end,
            _ => parts.push(((*start, end), answer)),
        }
    }
    parts
}

/// Whether two members fare alike, for the same reason. A packet that keeps its own port or address goes to another place
/// than its neighbour, yet fares alike.
fn alike(a: &Answer, a_value: Scalar, b: &Answer, b_value: Scalar) -> bool {
    let place = |fate: &Fate, own: Scalar| match fate {
        Fate::Accepted { to } => {
            let mut to = to.clone();
            for d in &mut to {
                if d.port.map(Scalar::from) == Some(own) {
                    d.port = None;
                }
            }
            Fate::Accepted { to }
        }
        other => other.clone(),
    };
    a.decided_by == b.decided_by
        && a.client_sees == b.client_sees
        && place(&a.fate, a_value) == place(&b.fate, b_value)
        && a.reply.as_ref().map(|r| &r.decided_by) == b.reply.as_ref().map(|r| &r.decided_by)
}

#[cfg(test)]
mod tests;

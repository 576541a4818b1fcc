//! A packet whose interface is not known: what happens to it by each that the rules name, and by any other.

use super::places::{OTHER, Places};
use super::question::Asked;
use std::collections::BTreeSet;
use unrefuse_firewall::answer::{Answer, ClientSees, Decider, Fate};
use unrefuse_firewall::judge::{Judge, Question, Way};
use unrefuse_firewall::machine::{Machine, RouteQuery};
use unrefuse_firewall::model::{Cond, Elements, Expr, Field, Meta, Ruleset, Scalar, Statement, Table};

/// So many interfaces are tried one by one; with more of them their names stay open.
const MOST: usize = 32;

/// Judges a question about another machine.
pub(super) fn judge(ruleset: &Ruleset, places: &mut Places, asked: &Asked) -> Answer {
    let question = &asked.question;
    let (meta, unknown) = match &question.way {
        Way::In { iif } => {
            let back = question.packet.src.filter(|_| iif.is_none()).map(|src| places.route(&RouteQuery::to(src)));
            (Meta::IifName, matches!(back, Some(None)))
        }
        Way::Out => (Meta::OifName, places.route(&RouteQuery::to(question.packet.dst)).is_none()),
    };
    let mut names = if unknown { mentioned(ruleset, &meta) } else { BTreeSet::new() };
    names.remove("lo");
    if !unknown || names.len() > MOST {
        return Judge::new(ruleset, places).judge(question);
    }
    let mut answers = Vec::new();
    for name in names.iter().map(String::as_str).chain([OTHER]) {
        let question = match &question.way {
            Way::In { .. } => Question { way: Way::In { iif: Some(name.to_owned()) }, ..question.clone() },
            Way::Out => {
                places.leaves_by = Some(name.to_owned());
                question.clone()
            }
        };
        answers.push((name, Judge::new(ruleset, places).judge(&question)));
    }
    together(answers, &question.way)
}

fn together(mut answers: Vec<(&str, Answer)>, way: &Way) -> Answer {
    let (arrives, another) = match way {
        Way::In { .. } => ("arrives", "the interface that it came by"),
        Way::Out => ("leaves", "the interface that it leaves by"),
    };
    let Some((_, mut answer)) = answers.pop() else { unreachable!("any other interface is always asked") };
    for text in answer.assumptions.iter_mut().chain(&mut answer.ignored) {
        *text = text.replace(OTHER, another);
    }
    let names: Vec<&str> = answers.iter().map(|(name, _)| *name).collect();
    if answers.iter().all(|(_, other)| alike(&other.fate, &answer.fate) && reply(other) == reply(&answer)) {
        for (_, other) in answers {
            let by: Vec<Decider> = other.decided_by.into_iter().chain(other.also).collect();
            let new = by.into_iter().filter(|by| Some(by) != answer.decided_by.as_ref()).collect::<Vec<_>>();
            answer.also.extend(new.into_iter().filter(|by| !answer.also.contains(by)).collect::<Vec<_>>());
        }
        answer.assumptions.push(match names.as_slice() {
            [] => format!("it {arrives} by an interface other than lo"),
            names => {
                format!("it {arrives} by an interface other than lo: {}, or one that no rule names", names.join(", "))
            }
        });
        return answer;
    }
    let mut by: Vec<(Fate, Vec<&str>)> = vec![(answer.fate.clone(), vec!["any other"])];
    for (name, other) in &answers {
        match by.iter_mut().find(|(fate, _)| alike(fate, &other.fate)) {
            Some((_, names)) => names.insert(names.len().saturating_sub(1), name),
            None => by.insert(0, (other.fate.clone(), vec![name])),
        }
    }
    let each: Vec<String> = by.iter().map(|(fate, names)| format!("by {}: {}", names.join(", "), word(fate))).collect();
    let reason = format!("which interface it {arrives} by is not known ({}): say it with --iface", each.join("; "));
    Answer {
        fate: Fate::Depends { on: None, reason, fates: by.into_iter().map(|(fate, _)| fate).collect() },
        rerouted_by: None,
        decided_by: None,
        also: Vec::new(),
        way: Vec::new(),
        client_sees: ClientSees::Unclear,
        translated: None,
        reply: None,
        ..answer
    }
}

/// The same happens, wherever an accepted packet goes.
fn alike(one: &Fate, other: &Fate) -> bool {
    matches!((one, other), (Fate::Accepted { .. }, Fate::Accepted { .. })) || one == other
}

fn reply(answer: &Answer) -> Option<bool> {
    answer.reply.as_ref().map(|reply| reply.fate.is_accepted())
}

fn word(fate: &Fate) -> &'static str {
    match fate {
        Fate::Accepted { .. } => "accepted",
        Fate::Dropped => "dropped",
        Fate::Rejected(_) => "rejected",
        Fate::NotSent(_) => "not sent",
        Fate::Depends { .. } | Fate::Unknown(_) => "cannot be told",
    }
}

/// Interfaces that rules compare with; of a prefix (`eth+`) the prefix, which is a name that it covers.
fn mentioned(ruleset: &Ruleset, meta: &Meta) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for table in &ruleset.tables {
        let rules = table.chains.values().flat_map(|chain| chain.rules.iter());
        for statement in rules.flat_map(|rule| &rule.statements) {
            match statement {
                Statement::If(cond) => of_cond(table, cond, meta, &mut names),
                Statement::VerdictMap { key, set } => of_set(table, set, key, meta, &mut names),
                _ => {}
            }
        }
    }
    names
}

fn of_cond(table: &Table, cond: &Cond, meta: &Meta, names: &mut BTreeSet<String>) {
    match cond {
        Cond::Compare { left, right, .. } if reads(left, meta) => names.extend(name(*right)),
        Cond::Range { value, from, to, .. } if reads(value, meta) => {
            names.extend(name(*from).into_iter().chain(name(*to)))
        }
        Cond::InSet { key, set, .. } => of_set(table, set, key, meta, names),
        Cond::Any(inner) | Cond::All(inner) => inner.iter().for_each(|cond| of_cond(table, cond, meta, names)),
        Cond::Not(inner) | Cond::Lenient(inner) => of_cond(table, inner, meta, names),
        _ => {}
    }
}

fn of_set(table: &Table, set: &str, key: &[Expr], meta: &Meta, names: &mut BTreeSet<String>) {
    let Some(set) = table.sets.get(set) else { return };
    for at in key.iter().enumerate().filter(|(_, expr)| reads(expr, meta)).map(|(at, _)| at) {
        match &set.elements {
            Elements::Exact(all) => names.extend(all.keys().filter_map(|key| name(*key.get(at)?))),
            Elements::Ranges(all) => names.extend(all.iter().filter_map(|(key, _)| name(key.get(at)?.0))),
            _ => {}
        }
    }
}

fn reads(expr: &Expr, meta: &Meta) -> bool {
    match expr {
        Expr::Field(Field::Meta(read)) => read == meta,
        Expr::Bits { of, .. } | Expr::Shift { of, .. } => reads(of, meta),
        _ => false,
    }
}

/// An interface's name from 16 bytes, padded with zeros.
fn name(scalar: Scalar) -> Option<String> {
    let bytes = scalar.to_be_bytes();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let name = std::str::from_utf8(&bytes[..end]).ok()?;
    (!name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())).then(|| name.to_owned())
}

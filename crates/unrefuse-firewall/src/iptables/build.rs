//! A line's options as a rule's statements, as `ip_packet_match` (net/ipv4/netfilter/ip_tables.c) and `ip6_packet_match`
//! (net/ipv6/netfilter/ip6_tables.c) test them.

use super::cond::{all, any_bit, bits, equal, meta, payload, protocol, turned};
use super::options::Case;
use super::rule::{Inverted, Line};
use super::{names, values};
use crate::model::{Cond, Family, Header, Meta, Statement, Verdict};

/// A rule's content, or those of several rules: iptables makes one of each pair of addresses in its lists.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) rules: Vec<Vec<Statement>>,
    pub(super) comment: Option<String>,
    pub(super) problems: Vec<String>,
}

/// More rules than this of one line are kept as one that tests all addresses.
const MOST_RULES: usize = 4096;

/// Builds the statements of a line.
pub(super) fn build(line: &Line<'_>, family: Family, chain: &str, declared: impl Fn(&str) -> bool) -> Built {
    let mut built = Built::default();
    let mut common = Vec::new();
    let mut problems: Vec<String> = line.wrong.clone();
    common.extend(line.wrong.iter().map(|w| Cond::Unknown(w.clone())));

    let mut core = |found: Result<Option<Cond>, String>| match found {
        Ok(cond) => common.extend(cond),
        Err(wrong) => {
            common.push(Cond::Unknown(wrong.clone()));
            problems.push(wrong);
        }
    };
    core(interface(line.in_interface.as_ref(), Meta::IifName));
    core(interface(line.out_interface.as_ref(), Meta::OifName));
    let (number, proto) = match line.protocol.as_ref().map(protocol_of).transpose() {
        Ok(found) => {
            let found = found.unwrap_or((None, None));
            (found.0, Ok(found.1))
        }
        Err(wrong) => (None, Err(wrong)),
    };
    core(proto);
    core(fragment(line.fragment, family));

    for module in &line.matches {
        let case = Case { family, protocol: number, chain, text: &module.text };
        let read = match (module.module, &module.wrong) {
            (_, Some(wrong)) => Err(wrong.clone()),
            (None, None) => Err("a match that is not known".into()),
            (Some(m), None) => (m.read)(&case, &module.given),
        };
        match read {
            Ok(conds) => common.extend(conds),
            Err(wrong) => {
                common.push(Cond::Unknown(format!("-m {}", module.text)));
                problems.push(format!("-m {}: {wrong}", module.text));
            }
        }
        if module.module.is_some_and(|m| m.name == "comment") {
            for given in module.given.iter().filter(|g| !g.value().is_empty()) {
                let text = given.value();
                built.comment = Some(match built.comment.take() {
                    Some(before) => format!("{before} / {text}"),
                    None => text.to_owned(),
                });
            }
        }
    }
    let target = target(line, family, number, chain, declared, &mut problems);

    let places = if family == Family::Ip6 { (64, 192) } else { (96, 128) };
    let sources = addresses(line.source.as_ref(), places.0, family, &mut problems);
    let destinations = addresses(line.destination.as_ref(), places.1, family, &mut problems);
    let body = common.into_iter().filter(|c| *c != Cond::Const(true)).map(Statement::If).chain(target);
    if let ([source], [destination]) = (sources.as_slice(), destinations.as_slice()) {
        let tests = [source, destination].into_iter().flatten().cloned().map(Statement::If);
        built.rules = vec![tests.chain(body).collect()];
        built.problems = problems;
        return built;
    }
    let body: Vec<Statement> = body.collect();
    let rule = |tests: Vec<Cond>| tests.into_iter().map(Statement::If).chain(body.iter().cloned()).collect();
    built.rules = if sources.len() * destinations.len() > MOST_RULES {
        let either =
            |of: Vec<Option<Cond>>| Cond::Any(of.into_iter().map(|c| c.unwrap_or(Cond::Const(true))).collect());
        vec![rule(vec![either(sources), either(destinations)])]
    } else {
        let pairs = sources.iter().flat_map(|s| destinations.iter().map(move |d| (s, d)));
        pairs.map(|(s, d)| rule([s, d].into_iter().flatten().cloned().collect())).collect()
    };
    built.problems = problems;
    built
}

/// Tests of a list of addresses, one for each rule that iptables makes of it; `None`: any address.
fn addresses(
    given: Option<&Inverted<'_>>,
    offset: u16,
    family: Family,
    problems: &mut Vec<String>,
) -> Vec<Option<Cond>> {
    let Some((list, negated)) = given else { return vec![None] };
    let full = values::width(family);
    let mut out = Vec::new();
    for text in list.split(',') {
        let found = if *negated && list.contains(',') {
            Err(format!("! does not go with a list of addresses: {list}"))
        } else {
            values::network(text.trim(), family)
        };
        out.push(match found {
            // No bits are compared: any address, or none.
            Ok((_, 0)) => negated.then_some(Cond::Const(false)),
            Ok((address, mask)) => {
                let field = payload(Header::Network, offset, full.into());
                let whole = mask == values::prefix_mask(full, full);
                Some(equal(if whole { field } else { bits(field, mask) }, address, *negated))
            }
            Err(wrong) => {
                problems.push(wrong.clone());
                Some(Cond::Unknown(wrong))
            }
        });
    }
    out
}

/// `eth0`, `eth+`, `+`. A packet without such an interface has an empty name (`nulldevname`); the mask of an empty
/// pattern has no bits (`xtables_parse_interface`).
fn interface(given: Option<&Inverted<'_>>, key: Meta) -> Result<Option<Cond>, String> {
    let Some((name, negated)) = given else { return Ok(None) };
    let (begin, open) = match name.strip_suffix('+') {
        Some(begin) => (begin, true),
        None => (&**name, false),
    };
    if begin.is_empty() {
        return Ok(negated.then_some(Cond::Const(false)));
    }
    let value = values::name_bytes(begin)?;
    let field = meta(key);
    let field = if open { bits(field, values::prefix_mask((begin.len() * 8) as u8, 128)) } else { field };
    Ok(Some(turned(equal(field, value, false), *negated)))
}

/// The protocol's number, where the rule is of it, and the test.
fn protocol_of((text, negated): &Inverted<'_>) -> Result<(Option<u8>, Option<Cond>), String> {
    let number = names::protocol(text).or_else(|| values::number(text).and_then(|n| u8::try_from(n).ok()));
    match number {
        None => Err(format!("not a protocol: {text}")),
        // 0 is "all": not tested. iptables refuses it turned round.
        Some(0) if *negated => Err("! -p all never matches".into()),
        Some(0) => Ok((None, None)),
        Some(n) => Ok(((!negated).then_some(n), Some(protocol(n, *negated)))),
    }
}

/// `-f`: second and further fragments (`IPT_F_FRAG`).
fn fragment(given: Option<bool>, family: Family) -> Result<Option<Cond>, String> {
    match given {
        None => Ok(None),
        Some(_) if family == Family::Ip6 => Err("-f in ip6tables".into()),
        Some(negated) => Ok(Some(any_bit(payload(Header::Network, 48, 16), 0x1fff, negated))),
    }
}

fn target(
    line: &Line<'_>,
    family: Family,
    protocol: Option<u8>,
    chain: &str,
    declared: impl Fn(&str) -> bool,
    problems: &mut Vec<String>,
) -> Vec<Statement> {
    let Some(target) = &line.target else { return Vec::new() };
    let name = &*target.name;
    let standard = match name {
        _ if line.goto => Some(Verdict::Goto(name.to_owned())),
        "ACCEPT" => Some(Verdict::Accept),
        "DROP" => Some(Verdict::Drop),
        "RETURN" => Some(Verdict::Return),
        _ if declared(name) || target.module.is_none() => Some(Verdict::Jump(name.to_owned())),
        _ => None,
    };
    let case = Case { family, protocol, chain, text: &target.text };
    let read = match (standard, target.module, &target.wrong) {
        (_, _, Some(wrong)) => Err(wrong.clone()),
        (Some(_), _, None) if !target.given.is_empty() => Err("it has no options".into()),
        (Some(Verdict::Jump(to) | Verdict::Goto(to)), ..) if !declared(&to) => {
            Err("neither a target that is known nor a chain of the table".into())
        }
        (Some(verdict), ..) => Ok(vec![Statement::Verdict(verdict)]),
        (None, Some(module), None) => (module.read)(&case, &target.given),
        (None, None, None) => Err("not known".into()),
    };
    read.unwrap_or_else(|wrong| {
        problems.push(format!("{}: {wrong}", target.text));
        vec![Statement::Unknown(target.text.clone())]
    })
}

/// Tests of a module as one, for modules that are turned round as a whole.
pub(super) fn whole(conds: Vec<Cond>, negated: bool) -> Cond {
    turned(all(conds), negated)
}

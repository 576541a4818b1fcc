//! `unrefuse firewall`: the way of one packet through the packet filters, of this machine or of files.

mod files;
mod interfaces;
mod places;
mod question;

use crate::cli::{FirewallArgs, WrongCall};
use crate::{check, output, progress::Progress};
use question::ask;
use std::sync::Arc;
use unrefuse_collect::{Host, live::Live};
use unrefuse_facts::{Family, Missing};
use unrefuse_firewall::answer::{Answer, ClientSees, Decider, Fate};
use unrefuse_firewall::judge::{Way, judge};
use unrefuse_firewall::machine::Machine;
use unrefuse_firewall::model::{self, Ruleset, Table};
use unrefuse_firewall::owner::{Owner, owner_read};
use unrefuse_report::firewall::{Report, json, report, text};

pub(crate) fn run(arguments: &FirewallArgs) -> anyhow::Result<u8> {
    let report = if arguments.rules.is_empty() { of_this_machine(arguments) } else { of_files(arguments) }?;
    let text = if arguments.json {
        json(&report)
    } else {
        text(&report, &output::style(&arguments.paint, arguments.verbose, false))
    };
    output::print(&text)?;
    Ok(report.exit_code())
}

fn of_files(arguments: &FirewallArgs) -> anyhow::Result<Report> {
    let files = files::read(&arguments.rules).map_err(WrongCall)?;
    let places = places::Places::new(&arguments.address).map_err(WrongCall)?;
    let host: Arc<dyn Host> = Arc::new(Live::new());
    let mut asked = ask(arguments, &places, &host).map_err(WrongCall)?;
    asked.shown.rules.clone_from(&files.names);
    let mut places = places.with_others(asked.others());
    if asked.shown.way == "out" {
        places.leaves_by.clone_from(&asked.shown.iface);
    }
    let mut answer = match files.lacks(asked.family) {
        Some(reason) => unknown(reason),
        None => interfaces::judge(&files.ruleset, &mut places, &asked),
    };
    answer.assumptions.splice(0..0, files.assumptions().into_iter().chain(places.assumptions(asked.family)));
    let made = |by: &Decider| {
        let table = find(&files.ruleset, by);
        let included = match by {
            Decider::Rule(rule) => rule.file.as_deref().map(str::to_owned),
            _ => None,
        };
        let file = table.and_then(|(index, _)| files.of_table.get(index)).filter(|_| files.names.len() > 1);
        let file = file.or_else(|| table.and(files.names.first())).cloned();
        (table.and_then(|(_, table)| made_by(table, &places, by)), included.or(file))
    };
    let problems = files.problems();
    Ok(report(asked.shown, &answer, problems, &made))
}

fn of_this_machine(arguments: &FirewallArgs) -> anyhow::Result<Report> {
    check::enter(arguments.netns.as_deref())?;
    let _progress = Progress::start("judging the packet".to_owned());
    let host: Arc<dyn Host> = Arc::new(Live::new());
    let own = places::Here::new(&host);
    let asked = ask(arguments, &own, &host).map_err(WrongCall)?;
    let machine = match own.machine(asked.family) {
        Ok(machine) => machine,
        Err(missing) => return Ok(report(asked.shown, &unknown(unreadable(&missing)), Vec::new(), &|_| (None, None))),
    };
    let ruleset = machine.ruleset();
    let question = match &asked.question.way {
        Way::In { iif } => machine.arriving(iif.as_deref(), asked.question.packet.clone()),
        Way::Out => asked.question.clone(),
    };
    let answer = judge(ruleset, &machine, &question);
    let made = |by: &Decider| (find(ruleset, by).and_then(|(_, table)| made_by(table, &machine, by)), None);
    let problems = ruleset.problems.iter().map(|p| format!("{}: {}", p.place, p.text)).collect();
    let report = report(asked.shown, &answer, problems, &made);
    // The command ends here: to give thousands of chains back piece by piece takes longer than to judge them.
    std::mem::forget(machine);
    Ok(report)
}

fn unreadable(missing: &Missing) -> String {
    let remedy = missing.remedy.as_ref().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
    format!("the rules of this machine were not read: {missing}{remedy}")
}

fn unknown(reason: String) -> Answer {
    Answer {
        fate: Fate::Unknown(reason),
        rerouted_by: None,
        decided_by: None,
        also: Vec::new(),
        way: Vec::new(),
        client_sees: ClientSees::Unclear,
        translated: None,
        reply: None,
        assumptions: Vec::new(),
        ignored: Vec::new(),
        forked: true,
    }
}

/// The table that a decision was made in, with its place in the ruleset.
fn find<'a>(ruleset: &'a Ruleset, by: &Decider) -> Option<(usize, &'a Table)> {
    let (family, backend, name) = match by {
        Decider::Rule(rule) => (rule.family, rule.backend, &rule.table),
        Decider::Policy(chain) => (chain.family, chain.backend, &chain.table),
        Decider::Stack(_) => return None,
    };
    let mut tables = ruleset.tables.iter().enumerate();
    tables.find(|(_, table)| (table.family, table.backend, &table.name) == (family, backend, name))
}

/// Who made a rule or policy.
fn made_by(table: &Table, machine: &dyn Machine, by: &Decider) -> Option<Owner> {
    let (name, number) = match by {
        Decider::Rule(rule) => (&rule.chain, Some(rule.number)),
        Decider::Policy(chain) => (&chain.chain, None),
        Decider::Stack(_) => return None,
    };
    let chain = table.chains.get(name)?;
    let rules = if chain.unread { machine.chain(table.family, &table.name, name)? } else { chain.rules.clone() };
    let rule = number.and_then(|number| rules.iter().find(|rule| rule.number == number));
    Some(owner_read(table, machine, name, rule))
}

/// nft's word for the tables that only packets of `family` meet.
fn tables_of(family: Family) -> model::Family {
    match family {
        Family::V4 => model::Family::Ip,
        Family::V6 => model::Family::Ip6,
    }
}

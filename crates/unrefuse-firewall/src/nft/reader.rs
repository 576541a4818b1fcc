//! Messages in, ruleset out.

use super::set::{RawElement, Sets};
use super::{Context, Scratch, message};
use crate::model::{Backend, Chain, Family, Hook, Origin, Problem, Rule, Ruleset, Table};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Collects messages of the kernel into a ruleset.
///
/// They may come in any order but one: tables before what is in them, sets and chains before rules.
#[derive(Debug, Default)]
pub struct Reader {
    context: Context,
    tables: BTreeMap<(u8, String), Building>,
    problems: Vec<Problem>,
    scratch: Scratch,
}

#[derive(Debug)]
struct Building {
    family: Family,
    dormant: bool,
    chains: BTreeMap<String, (Chain, Vec<Rule>)>,
    sets: Sets,
    elements: HashMap<String, Vec<RawElement>>,
    /// Decided when its first rule is read.
    backend: Option<Backend>,
}

/// Whether iptables-nft made a table: its names for tables and base chains, in its families. The kernel keeps no mark of
/// who made it; iptables(8) too goes by these names (`nft_is_chain_compatible`, iptables/nft.c).
pub fn backend<'a>(family: Family, table: &str, mut bases: impl Iterator<Item = (&'a str, Hook)>) -> Backend {
    let builtin = |(name, hook): (&str, Hook)| {
        matches!(
            (name, hook),
            ("PREROUTING", Hook::Prerouting)
                | ("INPUT", Hook::Input)
                | ("FORWARD", Hook::Forward)
                | ("OUTPUT", Hook::Output)
                | ("POSTROUTING", Hook::Postrouting)
        )
    };
    let named = matches!(table, "filter" | "nat" | "mangle" | "raw" | "security");
    if matches!(family, Family::Ip | Family::Ip6) && named && bases.all(builtin) {
        Backend::IptablesNft
    } else {
        Backend::Nft
    }
}

impl Reader {
    /// A reader that has read nothing.
    pub fn new(context: Context) -> Self {
        Self { context, ..Self::default() }
    }

    /// Reads one message: `kind` is its type without the subsystem (see [`message`]), `body` what follows its header.
    /// Messages of other types are passed over; one that is not understood is a problem of the ruleset.
    pub fn message(&mut self, kind: u8, body: &[u8]) {
        let read = match kind {
            message::NEWTABLE => self.table(body),
            message::NEWCHAIN => self.chain(body),
            message::NEWSET => self.set(body),
            message::NEWSETELEM => self.elements(body),
            message::NEWRULE => self.rule(body),
            _ => Some(()),
        };
        if read.is_none() {
            self.problem("netlink", format!("nf_tables message of type {kind} is not understood"));
        }
    }

    /// Notes what could not be read.
    pub fn problem(&mut self, place: &str, text: String) {
        self.problems.push(Problem { place: place.to_owned(), text });
    }

    fn at(&mut self, family: Family, table: &str) -> Option<&mut Building> {
        self.tables.get_mut(&(super::family_number(family), table.to_owned()))
    }

    fn table(&mut self, body: &[u8]) -> Option<()> {
        let (family, attributes) = super::open(body)?;
        let head = super::table(attributes)?;
        let sets = Sets { family: Some(family), ..Sets::default() };
        let new = Building {
            family,
            dormant: head.dormant,
            chains: BTreeMap::new(),
            sets,
            elements: HashMap::new(),
            backend: None,
        };
        self.tables.insert((super::family_number(family), head.name), new);
        Some(())
    }

    fn chain(&mut self, body: &[u8]) -> Option<()> {
        let (family, attributes) = super::open(body)?;
        let head = super::chain(family, attributes)?;
        if let Some(problem) = head.problem {
            self.problem(&format!("table {} chain {}", head.table, head.name), problem);
        }
        self.at(family, &head.table)?.chains.insert(head.name, (Chain { unread: false, ..head.chain }, Vec::new()));
        Some(())
    }

    fn set(&mut self, body: &[u8]) -> Option<()> {
        let (family, attributes) = super::open(body)?;
        let (table, name, head) = super::set(attributes)?;
        self.at(family, &table)?.sets.heads.insert(name, head);
        Some(())
    }

    fn elements(&mut self, body: &[u8]) -> Option<()> {
        let (family, attributes) = super::open(body)?;
        let (table, name, elements) = super::elements(attributes)?;
        self.at(family, &table)?.elements.entry(name).or_default().extend(elements);
        Some(())
    }

    fn rule(&mut self, body: &[u8]) -> Option<()> {
        let (family, attributes) = super::open(body)?;
        let (table, chain) = super::place(attributes)?;
        let building = self.tables.get_mut(&(super::family_number(family), table.clone()))?;
        let chains = &building.chains;
        let backend = *building.backend.get_or_insert_with(|| {
            let bases = chains.iter().filter_map(|(name, (c, _))| Some((name.as_str(), c.base.as_ref()?.hook)));
            backend(family, &table, bases)
        });
        let origin = Origin::new(family, backend, &chain);
        let mut rule = super::rule(attributes, &origin, &mut building.sets, &self.context, &mut self.scratch);
        let rules = &mut building.chains.get_mut(&chain)?.1;
        rule.number = u32::try_from(rules.len() + 1).unwrap_or(u32::MAX);
        rules.push(rule);
        Some(())
    }

    /// What was read.
    pub fn finish(self) -> Ruleset {
        let tables = self.tables.into_iter().map(|((_, name), mut building)| {
            let bases = building.chains.iter().filter_map(|(n, (c, _))| Some((n.as_str(), c.base.as_ref()?.hook)));
            let backend = building.backend.unwrap_or_else(|| backend(building.family, &name, bases));
            let sets = building.sets.heads.iter().map(|(set, head)| {
                let raw = building.elements.remove(set).unwrap_or_default();
                (set.clone(), head.filled(raw))
            });
            let sets = sets.collect();
            let chains = building.chains.into_iter().map(|(name, (chain, mut rules))| {
                rules.iter_mut().for_each(|rule| super::with_elements(rule, building.family, &sets));
                (name, Chain { rules: Arc::new(rules.into()), ..chain })
            });
            let chains = chains.collect();
            Table { family: building.family, name, backend, dormant: building.dormant, chains, sets }
        });
        Ruleset { tables: tables.collect(), problems: self.problems, ..Ruleset::default() }
    }
}

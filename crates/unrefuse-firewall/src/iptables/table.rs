//! Tables as their lines make them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use unrefuse_facts::text;

use super::rule::{Command, Line};
use super::words::{self, Word};
use super::{base, build, dumps, rule};
use crate::model::{Backend, Chain, Cond, Counters, Family, Policy, Problem, Rule, Statement, Table};

/// The tables of one dump.
#[derive(Debug)]
pub(super) struct Tables {
    family: Family,
    tables: Vec<Raw>,
    /// The table that is open, by `*name` or by the last command.
    open: Option<usize>,
    problems: Vec<Problem>,
}

#[derive(Debug)]
struct Raw {
    name: String,
    line: u32,
    /// Opened by `*name`: it ends with `COMMIT`.
    explicit: bool,
    committed: bool,
    chains: BTreeMap<String, RawChain>,
    rules: Vec<Rule>,
}

#[derive(Debug, Default)]
struct RawChain {
    policy: Option<Policy>,
    /// A policy that is not understood.
    odd: Option<String>,
    counters: Option<Counters>,
    /// Places in the table's rules: rules put in front move numbers only.
    order: VecDeque<u32>,
}

impl Tables {
    pub(super) const fn new(family: Family) -> Self {
        Self { family, tables: Vec::new(), open: None, problems: Vec::new() }
    }

    fn problem(&mut self, line: u32, text: impl Into<String>) {
        self.problems.push(Problem { place: format!("line {line}"), text: text::clip(&text.into(), 300) });
    }

    /// Takes one line.
    pub(super) fn line(&mut self, number: u32, line: &str) {
        if let Some(name) = line.strip_prefix('*') {
            self.commit_missing();
            self.tables.push(Raw::new(name.trim(), number, true));
            self.open = Some(self.tables.len() - 1);
        } else if line == "COMMIT" {
            match self.open.take() {
                Some(at) if self.tables[at].explicit => self.tables[at].committed = true,
                _ => self.problem(number, "COMMIT without a table"),
            }
        } else if let Some(chain) = line.strip_prefix(':') {
            self.declare(number, chain);
        } else if line.starts_with('-') {
            self.command(number, line, words::split(line), None);
        } else if let Some((counters, rest)) = counted(line) {
            self.command(number, rest, words::split(rest), Some(counters));
        } else if let Some((_, rest)) = dumps::command(line) {
            self.command(number, rest, words::split_shell(rest), None);
        } else if self.open.is_some_and(|at| self.tables[at].explicit) || line.contains(" -j ") {
            self.lost(number, format!("not understood: {line}"));
        } else if line.contains([' ', '\t']) || !line.ends_with(['#', '$', '>', '%']) {
            self.problem(number, format!("not understood: {line}"));
        }
    }

    /// A line that may have been a rule: it stays as an open question at the end of each chain of its table, since it
    /// may belong to any that is not finished.
    fn lost(&mut self, number: u32, wrong: String) {
        if let Some(at) = self.open.or(self.tables.len().checked_sub(1)) {
            let table = &mut self.tables[at];
            let unknown = Statement::Unknown(text::clip(&wrong, 300));
            let rule =
                Rule { line: Some(number), text: wrong.clone().into(), statements: vec![unknown], ..Rule::default() };
            table.rules.push(rule);
            let index = table.rules.len() as u32 - 1;
            for chain in table.chains.values_mut() {
                chain.order.push_back(index);
            }
        }
        self.problem(number, wrong);
    }

    /// `INPUT DROP [12:720]`, `f2b-sshd - [0:0]`, of a line that begins with `:`.
    fn declare(&mut self, number: u32, line: &str) {
        let Some(at) = self.open else {
            return self.problem(number, format!("a chain outside of a table: {line}"));
        };
        let mut parts = line.split_whitespace();
        let (Some(name), Some(policy)) = (parts.next(), parts.next()) else {
            return self.lost(number, format!("not understood: :{line}"));
        };
        let counters = parts.next().and_then(|c| counted(c)).map(|c| c.0);
        let family = self.family;
        let table = &mut self.tables[at];
        let built_in = base::built_in(&table.name, name, Policy::Accept).is_some();
        // A chain that is declared again is emptied (iptables-restore).
        let chain = table.chains.entry(name.to_owned()).or_default();
        *chain = RawChain { counters, ..RawChain::default() };
        match (policy, built_in) {
            ("-", false) => {}
            ("-", true) => chain.policy = Some(Policy::Accept),
            (_, true) => chain.set_policy(policy),
            (_, false) => {
                let table = table.name.clone();
                let which = if family == Family::Ip6 { "ip6tables" } else { "iptables" };
                self.problem(number, format!("{which} knows no built-in chain {name} in table {table}"));
            }
        }
    }

    fn command(&mut self, number: u32, line: &str, words: Option<Vec<Word<'_>>>, counters: Option<Counters>) {
        let Some(words) = words else {
            return self.lost(number, format!("a quote is left open: {line}"));
        };
        let declared = |table: Option<&str>, chain: &str| self.declares(table, chain);
        let mut read = rule::read(&words, &declared);
        if counters.is_some() {
            read.counters = counters;
        }
        // iptables-restore: "The -t option cannot be used".
        let open = self.open.filter(|at| self.tables[*at].explicit).map(|at| &self.tables[at].name);
        if open.is_some_and(|open| read.table.as_ref().is_some_and(|table| *table != **open)) {
            return self.lost(number, format!("-t in another table: {line}"));
        }
        if read.only.is_some_and(|f| f != self.family) {
            return;
        }
        let Some(at) = self.table_for(number, &read) else {
            return self.problem(number, format!("outside of a table: {line}"));
        };
        let command = std::mem::take(&mut read.command);
        let done = match command {
            Command::Append(chain) => self.add(at, number, line, &chain, &read, None),
            Command::Insert(chain, place) => self.add(at, number, line, &chain, &read, Some(place)),
            Command::Replace(chain, place) => self
                .delete(at, &chain, &read, Some(place))
                .and_then(|()| self.add(at, number, line, &chain, &read, Some(place))),
            Command::Delete(chain, place) => self.delete(at, &chain, &read, place),
            Command::None if !read.wrong.is_empty() => Err(read.wrong.join("; ")),
            Command::None => Err("no command".to_owned()),
            other => self.chains(at, other, &read),
        };
        if let Err(wrong) = done {
            self.lost(number, format!("{wrong}: {line}"));
        }
    }

    fn declares(&self, table: Option<&str>, chain: &str) -> bool {
        let table = match table {
            Some(name) => self.tables.iter().rfind(|t| t.name == name),
            None => self.open.map(|at| &self.tables[at]).or_else(|| self.tables.iter().rfind(|t| t.name == "filter")),
        };
        table.is_some_and(|t| t.chains.contains_key(chain))
    }

    /// The table a command is for. `None`: text with tables, outside of them.
    fn table_for(&mut self, number: u32, read: &Line<'_>) -> Option<usize> {
        if let Some(at) = self.open.filter(|at| self.tables[*at].explicit) {
            return Some(at);
        }
        let name = match (&read.table, self.open) {
            (Some(name), _) => name.as_ref(),
            // `-S` of a table is followed by its lines.
            (None, Some(at)) if read.command != Command::Look && !self.tables.is_empty() => return Some(at),
            _ => "filter",
        };
        if self.tables.iter().any(|t| t.explicit) {
            return None;
        }
        let found = self.tables.iter().position(|t| t.name == name);
        let at = found.unwrap_or_else(|| {
            self.tables.push(Raw::new(name, number, false));
            self.tables.len() - 1
        });
        self.open = (read.command == Command::Look).then_some(at);
        Some(at)
    }

    fn add(
        &mut self,
        at: usize,
        number: u32,
        line: &str,
        chain: &str,
        read: &Line<'_>,
        place: Option<u32>,
    ) -> Result<(), String> {
        let table = &mut self.tables[at];
        let undeclared = table.chain(chain);
        let built = build::build(read, self.family, chain, |name| table.chains.contains_key(name));
        let length = table.chains[chain].order.len();
        let first = match place {
            None => length,
            Some(place) => place.saturating_sub(1) as usize,
        };
        if first > length {
            return Err("no such place in the chain".into());
        }
        for (position, statements) in (first..).zip(built.rules) {
            table.rules.push(Rule {
                line: Some(number),
                text: line.into(),
                comment: built.comment.clone(),
                counters: read.counters,
                statements,
                ..Rule::default()
            });
            let index = table.rules.len() as u32 - 1;
            if let Some(chain) = table.chains.get_mut(chain) {
                chain.order.insert(position, index);
            }
        }
        if undeclared {
            self.problem(number, format!("chain {chain} was not declared"));
        }
        for problem in built.problems {
            self.problem(number, problem);
        }
        Ok(())
    }

    fn delete(&mut self, at: usize, chain: &str, read: &Line<'_>, place: Option<u32>) -> Result<(), String> {
        let family = self.family;
        let table = &mut self.tables[at];
        let wanted = build::build(read, family, chain, |name| table.chains.contains_key(name)).rules;
        let rules = &table.rules;
        let found = table.chains.get_mut(chain).ok_or("no such chain")?;
        let position = match place {
            Some(place) => Some(place as usize).and_then(|p| p.checked_sub(1)).filter(|p| *p < found.order.len()),
            None => found.order.iter().position(|i| wanted.first() == Some(&rules[*i as usize].statements)),
        };
        position.and_then(|p| found.order.remove(p)).map(drop).ok_or_else(|| "no such rule".to_owned())
    }

    fn chains(&mut self, at: usize, command: Command<'_>, read: &Line<'_>) -> Result<(), String> {
        if !read.wrong.is_empty() {
            return Err(read.wrong.join("; "));
        }
        let table = &mut self.tables[at];
        match command {
            Command::New(chain) => {
                table.chains.entry(chain.into_owned()).or_default();
            }
            Command::Policy(chain, policy) => {
                if base::built_in(&table.name, &chain, Policy::Accept).is_none() {
                    return Err("a policy of a chain that is not built in".into());
                }
                let chain = table.chains.entry(chain.into_owned()).or_default();
                chain.set_policy(&policy);
                chain.counters = read.counters;
            }
            Command::Flush(None) => table.chains.values_mut().for_each(|c| c.order.clear()),
            Command::Flush(Some(chain)) => table.chains.get_mut(&*chain).ok_or("no such chain")?.order.clear(),
            Command::DeleteChain(None) => table.chains.retain(|_, c| c.policy.is_some() || !c.order.is_empty()),
            Command::DeleteChain(Some(chain)) => {
                table.chains.remove(&*chain).ok_or("no such chain")?;
            }
            Command::Rename(..) => return Err("chains are not renamed here".into()),
            _ => {}
        }
        Ok(())
    }

    /// A table that ends without `COMMIT` may be cut off anywhere: what would follow in its chains is open.
    fn commit_missing(&mut self) {
        let Some(at) = self.open.take() else { return };
        if !self.tables[at].explicit || self.tables[at].committed {
            return;
        }
        let (name, line) = (self.tables[at].name.clone(), self.tables[at].line);
        self.open = Some(at);
        self.lost(line, format!("table {name} has no COMMIT: its text may be cut off"));
        self.open = None;
    }

    /// The tables, each with the line it begins at, and what was wrong.
    pub(super) fn finish(mut self, backend: Backend) -> (Vec<(u32, Table)>, Vec<Problem>) {
        self.commit_missing();
        let family = self.family;
        let tables = self.tables.into_iter().filter(|t| t.explicit || !t.chains.is_empty());
        (tables.map(|raw| (raw.line, raw.finish(family, backend))).collect(), self.problems)
    }
}

impl Raw {
    fn new(name: &str, line: u32, explicit: bool) -> Self {
        let (chains, rules) = (BTreeMap::new(), Vec::new());
        Self { name: name.to_owned(), line, explicit, committed: false, chains, rules }
    }

    /// Makes sure that there is such a chain; true where it is one that should have been declared.
    fn chain(&mut self, name: &str) -> bool {
        if self.chains.contains_key(name) {
            return false;
        }
        let built_in = base::built_in(&self.name, name, Policy::Accept).is_some();
        let policy = built_in.then_some(Policy::Accept);
        self.chains.insert(name.to_owned(), RawChain { policy, ..RawChain::default() });
        !built_in
    }

    fn finish(mut self, family: Family, backend: Backend) -> Table {
        let mut chains = BTreeMap::new();
        let mut uses = vec![0u32; self.rules.len()];
        self.chains.values().flat_map(|c| &c.order).for_each(|i| uses[*i as usize] += 1);
        for (name, raw) in std::mem::take(&mut self.chains) {
            let mut rules = Vec::with_capacity(raw.order.len());
            for (at, index) in raw.order.iter().enumerate() {
                let index = *index as usize;
                uses[index] -= 1;
                let rule = &mut self.rules[index];
                let rule = if uses[index] == 0 { std::mem::take(rule) } else { rule.clone() };
                rules.push(Rule { number: at as u32 + 1, ..rule });
            }
            if let Some(odd) = raw.odd {
                let statements = vec![Statement::If(Cond::Const(true)), Statement::Unknown(format!("policy {odd}"))];
                rules.push(Rule { number: rules.len() as u32 + 1, statements, ..Rule::default() });
            }
            let mut base = raw.policy.and_then(|policy| base::built_in(&self.name, &name, policy));
            if let Some(base) = base.as_mut().filter(|_| backend == Backend::IptablesNft && self.name == "security") {
                base.priority = base::NFT_SECURITY;
            }
            let chain = Chain { base, rules: Arc::new(rules.into()), unread: false, policy_counters: raw.counters };
            chains.insert(name, chain);
        }
        Table { family, name: self.name, backend, dormant: false, chains, sets: BTreeMap::new() }
    }
}

impl RawChain {
    fn set_policy(&mut self, text: &str) {
        self.odd = None;
        self.policy = Some(match text {
            "DROP" => Policy::Drop,
            "ACCEPT" => Policy::Accept,
            other => {
                self.odd = Some(other.to_owned());
                Policy::Drop
            }
        });
    }
}

/// `[12:720]` at a line's beginning, and the rest.
fn counted(line: &str) -> Option<(Counters, &str)> {
    let (counts, rest) = line.strip_prefix('[')?.split_once(']')?;
    let (packets, bytes) = counts.split_once(':')?;
    Some((Counters { packets: packets.parse().ok()?, bytes: bytes.parse().ok()? }, rest.trim_start()))
}

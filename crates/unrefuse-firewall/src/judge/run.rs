//! One judgement under way: chains walked rule by rule, forking where a test is not known.
//!
//! net/netfilter/nf_tables_core.c `nft_do_chain`, net/ipv4/netfilter/ip_tables.c `ipt_do_table`.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use crate::answer::StackReason;
use crate::index::Candidates;
use crate::model::{Hook, Reject, Rule, Statement, Verdict};
use crate::packet::Packet;

use super::Judge;
use super::path::{By, ChainCode, Exit, Happened, Parted, Path};
use super::truth::{Truth, Why};

/// At most this many ways are followed side by side.
const MOST_WAYS: usize = 64;
/// At most this many rules are tried for one question.
const MOST_RULES: u64 = 20_000_000;
/// Jumps nest at most so deep: nf_tables allows 16 (`NFT_JUMP_STACK_SIZE`), x_tables as many as there are chains.
const DEEPEST: usize = 128;

/// Where a chain is walked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Here {
    pub(crate) hook: Hook,
    /// Index of the table in the ruleset.
    pub(crate) table: usize,
    /// In a chain of type nat.
    pub(crate) nat: bool,
}

/// One judgement under way.
pub(crate) struct Run<'j, 'a> {
    pub(crate) judge: &'j Judge<'a>,
    /// The address that the question takes to be this machine's.
    pub(crate) local_address: Option<IpAddr>,
    assumptions: RefCell<Vec<String>>,
    ignored: RefCell<Vec<String>>,
    tried: Cell<u64>,
    gave_up: RefCell<Option<String>>,
    /// Something was not known on a way.
    forked: Cell<bool>,
}

pub(crate) type Ways = Vec<(usize, Box<Path>)>;
pub(crate) type Ends = Vec<(Exit, Box<Path>)>;

impl<'j, 'a> Run<'j, 'a> {
    pub(crate) fn new(judge: &'j Judge<'a>, local_address: Option<IpAddr>) -> Self {
        Self {
            judge,
            local_address,
            assumptions: RefCell::default(),
            ignored: RefCell::default(),
            tried: Cell::new(0),
            gave_up: RefCell::default(),
            forked: Cell::new(false),
        }
    }

    /// Notes what is taken for granted.
    pub(crate) fn assume(&self, text: impl FnOnce() -> String) {
        note(&self.assumptions, text());
    }

    /// Notes that something was not known: what is said of the way is one of several possibilities.
    pub(crate) fn fork(&self) {
        self.forked.set(true);
    }

    pub(crate) fn has_forked(&self) -> bool {
        self.forked.get()
    }

    /// Gives the judgement up.
    pub(crate) fn give_up(&self, text: impl Into<String>) {
        self.gave_up.borrow_mut().get_or_insert(text.into());
    }

    pub(crate) fn has_given_up(&self) -> Option<String> {
        self.gave_up.borrow().clone()
    }

    pub(crate) fn notes(&self) -> (Vec<String>, Vec<String>) {
        (self.assumptions.borrow().clone(), self.ignored.borrow().clone())
    }

    /// Walks a chain to its end, or to a verdict.
    pub(crate) fn walk(&self, here: &Here, chain: &Rc<ChainCode>, path: Box<Path>, depth: usize) -> Ends {
        if depth > DEEPEST {
            self.give_up("jumps nest too deep, or chains jump in a circle");
            return Vec::new();
        }
        let Some(rules) = &chain.rules else {
            return self.anything(here, path, None, &format!("the rules of chain {} were not read", chain.name));
        };
        let index = chain.index();
        let mut ends = Vec::new();
        let mut ways: Ways = vec![(0, path)];
        while let Some((at, mut path)) = lowest(&mut ways) {
            if ways.len() + ends.len() > MOST_WAYS {
                self.give_up(format!("more than {MOST_WAYS} ways through chain {}", chain.name));
            }
            if self.gave_up.borrow().is_some() {
                return Vec::new();
            }
            let mut candidates = index.map(|index| index.candidates(&path.packet));
            let Some(at) = self.next_match(here, rules, &path.packet, &mut candidates, at) else {
                push_end(&mut ends, Exit::End, path);
                continue;
            };
            // Ways that have come to the same rule with the same packet go on as one.
            ways.retain(|(other_at, other)| {
                let same = *other_at <= at && other.packet == path.packet && {
                    let mut candidates = index.map(|index| index.candidates(&other.packet));
                    self.next_match(here, rules, &other.packet, &mut candidates, *other_at) == Some(at)
                };
                if same {
                    path.merge(other);
                }
                !same
            });
            self.apply(here, chain, at, &rules[at], path, &mut Results { ways: &mut ways, ends: &mut ends }, depth);
        }
        ends
    }

    /// The first rule from `at` on that may hold.
    fn next_match(
        &self,
        here: &Here,
        rules: &[Rule],
        packet: &Packet,
        candidates: &mut Option<Candidates<'_>>,
        from: usize,
    ) -> Option<usize> {
        let mut at = from;
        let mut tried = 0;
        let found = loop {
            match candidates {
                Some(candidates) => match candidates.next(at) {
                    Some(next) => at = next,
                    None => break None,
                },
                None if at >= rules.len() => break None,
                None => {}
            }
            tried += 1;
            if self.may_hold(here, packet, &rules[at]) {
                break Some(at);
            }
            at += 1;
        };
        self.count(tried);
        found
    }

    fn may_hold(&self, here: &Here, packet: &Packet, rule: &Rule) -> bool {
        for statement in &rule.statements {
            match statement {
                Statement::If(cond) => match self.test(here, packet, cond) {
                    Truth::True | Truth::Unknown(_) => {}
                    Truth::False | Truth::Fail => return false,
                },
                Statement::Note(_) => {}
                _ => return true,
            }
        }
        true
    }

    fn count(&self, rules: usize) {
        let tried = self.tried.get().saturating_add(rules as u64);
        self.tried.set(tried);
        if tried > MOST_RULES {
            self.give_up(format!("more than {MOST_RULES} rules tried"));
        }
    }

    /// What a rule does to a packet.
    #[allow(clippy::too_many_arguments, reason = "the place in the ruleset, the packet, and where results go")]
    fn apply(
        &self,
        here: &Here,
        chain: &Rc<ChainCode>,
        at: usize,
        rule: &Rule,
        mut path: Box<Path>,
        to: &mut Results<'_>,
        depth: usize,
    ) {
        let by = By::Rule(Rc::clone(chain), at as u32);
        let mut pending: Option<Box<Why>> = None;
        let mut noted = "";
        for (i, statement) in rule.statements.iter().enumerate() {
            let cond = match statement {
                Statement::If(cond) => cond,
                Statement::Note(text) => {
                    noted = text;
                    continue;
                }
                Statement::Verdict(Verdict::Continue) => continue,
                effect => {
                    if let Some(why) = pending.take() {
                        self.ignore(rule, &why);
                        let parted = Parted { hook: here.hook, by: Some(by.clone()), why: why.text, side: 0 };
                        let mut other = path.clone();
                        other.parted.push(parted.clone());
                        to.ways.push((at + 1, other));
                        path.parted.push(Parted { side: 1, ..parted });
                    }
                    let more = i + 1 < rule.statements.len();
                    match self.effect(here, chain, &by, rule, effect, path, to, at, depth) {
                        Some(next) if more => path = next,
                        Some(next) => {
                            to.ways.push((at + 1, next));
                            return;
                        }
                        None => return,
                    }
                    continue;
                }
            };
            match self.test(here, &path.packet, cond) {
                Truth::True => {}
                Truth::False | Truth::Fail => {
                    to.ways.push((at + 1, path));
                    return;
                }
                Truth::Unknown(why) => {
                    self.fork();
                    pending.get_or_insert(why);
                }
            }
        }
        if pending.is_none() && !rule.statements.iter().any(|s| matches!(s, Statement::Set { .. } | Statement::Notrack))
        {
            let what = if noted.is_empty() { "continues" } else { noted };
            path.way.push(Happened { hook: here.hook, by, what: what.to_owned() });
        }
        to.ways.push((at + 1, path));
    }

    pub(crate) fn ignore(&self, rule: &Rule, why: &Why) {
        if why.ignored {
            note(&self.ignored, format!("{}: {}", why.text, rule.text()));
        }
    }

    /// Anything may happen here: accept, drop, an answer instead of it, a translation, or on with the next rule.
    pub(crate) fn anything(&self, here: &Here, path: Box<Path>, by: Option<&By>, why: &str) -> Ends {
        self.fork();
        let mut exits = vec![Exit::End, Exit::Accept, Exit::Drop];
        // Which error, is not known either: one stands for all of them. Behind the last routing decision no rule may reject
        // (ipt_REJECT.c, nft_reject.c `nft_reject_validate`).
        if !matches!(here.hook, Hook::Postrouting | Hook::Egress) {
            let v6 = path.packet.is_v6();
            exits.push(Exit::Reject(if v6 { Reject::Icmp6(1, 4) } else { Reject::Icmp(3, 3) }));
        }
        let mut ends: Ends = exits
            .into_iter()
            .enumerate()
            .map(|(side, exit)| {
                let mut way = path.clone();
                way.parted.push(Parted { hook: here.hook, by: by.cloned(), why: why.to_owned(), side: side as u8 });
                if let (Some(by), true) = (by, exit != Exit::End) {
                    decide(here, &mut way, by);
                }
                (exit, way)
            })
            .collect();
        if here.nat && path.packet.ct.is_some() {
            let mut way = path;
            way.parted.push(Parted { hook: here.hook, by: by.cloned(), why: why.to_owned(), side: u8::MAX });
            super::nat::to_anywhere(here, &mut way.packet);
            ends.push((Exit::Accept, way));
        }
        ends
    }

    /// A stack decision that ends a way.
    pub(crate) fn stack(&self, hook: Hook, mut path: Box<Path>, exit: Exit, reason: StackReason) -> (Exit, Box<Path>) {
        let by = By::Stack(reason);
        path.way.push(Happened { hook, by: by.clone(), what: "stops".into() });
        path.decided.push(super::path::Decided { hook, filter: true, by });
        (exit, path)
    }
}

/// Where the ways of a rule's packet go.
pub(crate) struct Results<'w> {
    pub(crate) ways: &'w mut Ways,
    pub(crate) ends: &'w mut Ends,
}

impl Results<'_> {
    pub(crate) fn end_or_next(&mut self, exit: Exit, path: Box<Path>, at: usize) {
        if exit == Exit::End { self.ways.push((at + 1, path)) } else { push_end(self.ends, exit, path) }
    }
}

pub(crate) fn decide(here: &Here, path: &mut Path, by: &By) {
    path.decided.push(super::path::Decided { hook: here.hook, filter: !here.nat, by: by.clone() });
}

/// Adds an end, unless one like it is there: the same exit by the same decision with the same packet.
pub(crate) fn push_end(ends: &mut Ends, exit: Exit, path: Box<Path>) {
    let alike =
        ends.iter_mut().find(|(e, p)| *e == exit && p.packet == path.packet && p.decided.last() == path.decided.last());
    match alike {
        Some((_, first)) => first.merge(&path),
        None => ends.push((exit, path)),
    }
}

fn lowest(ways: &mut Ways) -> Option<(usize, Box<Path>)> {
    let place = ways.iter().enumerate().min_by_key(|(_, (at, _))| *at)?.0;
    Some(ways.swap_remove(place))
}

fn note(list: &RefCell<Vec<String>>, text: String) {
    let mut list = list.borrow_mut();
    if list.len() < 200 && !list.contains(&text) {
        list.push(text);
    }
}

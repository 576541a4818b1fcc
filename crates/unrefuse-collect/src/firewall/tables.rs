//! The tables of nf_tables: heads first, then chains and sets one by one.

use super::live::{Scope, TRIES};
use super::nft::Nft;
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use unrefuse_firewall::model::{Backend, Element, Family, Problem, Rules, RulesBuilder, Scalar, Set, Table};
use unrefuse_firewall::nft::{self, Context, SetHead, Sets};

/// Small sets are read with the heads, so that rules can be written out and keys that are known in part can be looked up,
/// where a table has at most so many.
const SMALL_SETS: usize = 256;

/// Chains that are used more often than this are decoded on a thread of their own, while the kernel writes on.
const BESIDE: usize = 1000;
/// Room is made for at most so many rules before they come.
const MOST_RESERVED: usize = 1 << 20;

/// Turns a chain's messages into rules.
struct Decoder<'a> {
    backend: Backend,
    chain: &'a str,
    sets: &'a mut Sets,
    context: &'a Context,
    rules: RulesBuilder,
}

impl Decoder<'_> {
    fn rule(&mut self, body: &[u8]) {
        let Some(attributes) = body.get(4..) else { return };
        let mut rule = nft::rule(attributes, self.backend, self.chain, self.sets, self.context);
        rule.number = u32::try_from(self.rules.len() + 1).unwrap_or(u32::MAX);
        self.rules.push(rule);
    }
}

/// Tables with chains, and what is known of their sets.
#[derive(Default)]
pub(super) struct Heads {
    pub(super) tables: Vec<Table>,
    pub(super) problems: Vec<Problem>,
    sets: HashMap<(Family, String), Sets>,
    /// Where each table is in `tables`.
    places: HashMap<(Family, String), usize>,
    /// How often each chain is used: by its rules and by jumps to it.
    uses: HashMap<(Family, String), HashMap<String, usize>>,
}

/// The socket, and the generation that the heads are of.
pub(super) struct Tables {
    nft: Nft,
    generation: u32,
}

impl Tables {
    /// `None`: this kernel has no netfilter netlink.
    pub(super) fn open() -> Result<Option<Self>, Errno> {
        match Nft::open() {
            Ok(nft) => Ok(Some(Self { nft, generation: 0 })),
            Err(Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Reads tables, chains and sets; `None`: this kernel has no nf_tables.
    pub(super) fn heads(&mut self, scope: Scope) -> Result<Option<Heads>, Errno> {
        let mut heads = Heads::default();
        for _ in 0..TRIES {
            self.generation = match self.nft.generation() {
                Ok(generation) => generation,
                // nfnetlink_rcv_msg: no subsystem of this number.
                Err(Errno::INVAL) => return Ok(None),
                Err(e) => return Err(e),
            };
            heads = Heads::default();
            if self.read(&mut heads, scope)? && self.is_unchanged() {
                break;
            }
        }
        Ok(Some(heads))
    }

    fn is_unchanged(&mut self) -> bool {
        self.nft.generation() == Ok(self.generation)
    }

    fn read(&mut self, heads: &mut Heads, scope: Scope) -> Result<bool, Errno> {
        let nft = &mut self.nft;
        let mut steady = nft.tables(|body| {
            let Some((family, attributes)) = nft::open(body).filter(|(family, _)| scope.wants(*family)) else { return };
            let Some(head) = nft::table(attributes) else { return };
            let place = (family, head.name.clone());
            heads.sets.insert(place.clone(), Sets { family: Some(family), ..Sets::default() });
            heads.places.insert(place, heads.tables.len());
            heads.tables.push(Table {
                family,
                name: head.name,
                backend: Backend::Nft,
                dormant: head.dormant,
                chains: BTreeMap::new(),
                sets: BTreeMap::new(),
            });
        })?;
        if heads.tables.is_empty() {
            return Ok(steady);
        }
        steady &= nft.chains(|body| {
            let Some((family, attributes)) = nft::open(body) else { return };
            let Some(head) = nft::chain(family, attributes) else { return };
            if let Some(text) = head.problem {
                heads.problems.push(Problem { place: format!("table {} chain {}", head.table, head.name), text });
            }
            let place = (family, head.table);
            if let Some(&at) = heads.places.get(&place) {
                heads.uses.entry(place).or_default().insert(head.name.clone(), head.uses as usize);
                heads.tables[at].chains.insert(head.name, head.chain);
            }
        })?;
        steady &= nft.sets(|body| {
            let Some((family, attributes)) = nft::open(body) else { return };
            let Some((table, name, head)) = nft::set(attributes) else { return };
            let place = (family, table);
            if let Some(&at) = heads.places.get(&place) {
                heads.tables[at].sets.insert(name.clone(), head.empty());
                heads.sets.entry(place).or_default().heads.insert(name, head);
            }
        })?;
        for at in 0..heads.tables.len() {
            let table = &mut heads.tables[at];
            let bases = table.chains.iter().filter_map(|(name, c)| Some((name.as_str(), c.base.as_ref()?.hook)));
            table.backend = nft::backend(table.family, &table.name, bases);
            steady &= self.small_sets(heads, at)?;
        }
        Ok(steady)
    }

    /// Reads the small sets of a table, those of single rules first.
    fn small_sets(&mut self, heads: &mut Heads, at: usize) -> Result<bool, Errno> {
        let (family, name) = (heads.tables[at].family, heads.tables[at].name.clone());
        let Some(sets) = heads.sets.get(&(family, name.clone())) else { return Ok(true) };
        let mut wanted: Vec<(&String, &SetHead)> = sets.heads.iter().filter(|(_, head)| head.is_typed()).collect();
        wanted.sort_by_key(|(name, head)| (!head.is_anonymous(), *name));
        let mut steady = true;
        for (set, head) in wanted.into_iter().take(SMALL_SETS) {
            // Understood only where they are all: the beginning of a large set is of no use.
            let mut bodies: Vec<Vec<u8>> = Vec::new();
            let read = self.nft.few_elements(family, &name, set, |body| bodies.push(body.to_vec()));
            match read {
                Ok(Some(consistent)) => {
                    let opened = bodies.iter().filter_map(|body| nft::elements(nft::open(body)?.1));
                    let list = opened.flat_map(|(_, _, elements)| elements).collect();
                    steady &= consistent;
                    heads.tables[at].sets.insert(set.clone(), head.filled(list));
                }
                Ok(None) => {}
                // It went away meanwhile.
                Err(Errno::NOENT) => steady = false,
                Err(e) => return Err(e),
            }
        }
        Ok(steady)
    }

    /// The rules of one chain; and whether the ruleset did not change meanwhile.
    pub(super) fn chain(
        &mut self,
        heads: &mut Heads,
        context: &Context,
        family: Family,
        table: &str,
        chain: &str,
    ) -> Result<(Arc<Rules>, bool), Errno> {
        let place = (family, table.to_owned());
        let at = *heads.places.get(&place).ok_or(Errno::NOENT)?;
        let found = heads.tables.get(at).ok_or(Errno::NOENT)?;
        let known = found.chains.get(chain).ok_or(Errno::NOENT)?;
        if !known.unread {
            return Ok((Arc::clone(&known.rules), true));
        }
        let backend = found.backend;
        let sets = heads.sets.get_mut(&place).ok_or(Errno::NOENT)?;
        let uses = heads.uses.get(&place).and_then(|uses| uses.get(chain)).copied().unwrap_or(0);
        let mut decoder =
            Decoder { backend, chain, sets, context, rules: RulesBuilder::with_capacity(uses.min(MOST_RESERVED)) };
        let mut steady = false;
        for _ in 0..TRIES {
            decoder.rules.clear();
            steady = if uses > BESIDE {
                self.nft.rules_beside(family, table, chain, |body| decoder.rule(body))?
            } else {
                self.nft.rules(family, table, chain, |body| decoder.rule(body))?
            };
            if steady {
                break;
            }
        }
        let mut rules = decoder.rules;
        let found = &mut heads.tables[at];
        rules.texts_mut().for_each(|rule| nft::with_elements(rule, family, &found.sets));
        let rules = Arc::new(rules.finish());
        if let Some(known) = found.chains.get_mut(chain) {
            known.rules = Arc::clone(&rules);
            known.unread = false;
        }
        Ok((rules, steady))
    }

    /// A set with its elements; and whether the ruleset did not change meanwhile.
    pub(super) fn set(&mut self, heads: &Heads, family: Family, table: &str, set: &str) -> Result<(Set, bool), Errno> {
        let sets = heads.sets.get(&(family, table.to_owned())).ok_or(Errno::NOENT)?;
        let head = sets.heads.get(set).ok_or(Errno::NOENT)?;
        let (mut list, mut steady) = (Vec::new(), false);
        for _ in 0..TRIES {
            list.clear();
            steady = self.nft.elements(family, table, set, |body| {
                let read = nft::open(body).and_then(|(_, attributes)| nft::elements(attributes));
                list.extend(read.into_iter().flat_map(|(_, _, elements)| elements));
            })?;
            if steady {
                break;
            }
        }
        Ok((head.filled(list), steady))
    }

    /// The element that holds a key, else the catch-all element.
    pub(super) fn element(
        &mut self,
        heads: &Heads,
        family: Family,
        table: &str,
        set: &str,
        key: &[Scalar],
    ) -> Option<Option<Element>> {
        let head = heads.sets.get(&(family, table.to_owned()))?.heads.get(set)?;
        let bytes = head.key_bytes(key)?;
        let body = match self.nft.element(family, table, set, Some(&bytes)) {
            Ok(body) => body,
            Err(Errno::NOENT) => match self.nft.element(family, table, set, None) {
                Ok(body) => body,
                // Kernels before 5.13 have no catch-all elements.
                Err(Errno::NOENT | Errno::INVAL | Errno::OPNOTSUPP) => return Some(None),
                Err(_) => return None,
            },
            Err(_) => return None,
        };
        let (_, attributes) = nft::open(&body)?;
        let (_, _, elements) = nft::elements(attributes)?;
        Some(Some(head.element(elements.first()?)))
    }

    /// Reads all chains and sets into the heads; and says whether the ruleset did not change meanwhile.
    pub(super) fn everything(&mut self, heads: &mut Heads, context: &Context) -> Result<bool, Errno> {
        let mut steady = true;
        for at in 0..heads.tables.len() {
            let (family, name) = (heads.tables[at].family, heads.tables[at].name.clone());
            let chains: Vec<String> = heads.tables[at].chains.keys().cloned().collect();
            for chain in chains {
                steady &= self.chain(heads, context, family, &name, &chain)?.1;
            }
            // After the rules, which may have taught how keys are divided.
            let sets: Vec<String> = heads.tables[at].sets.keys().cloned().collect();
            for set in sets {
                let (filled, consistent) = self.set(heads, family, &name, &set)?;
                steady &= consistent;
                heads.tables[at].sets.insert(set, filled);
            }
            let table = &mut heads.tables[at];
            for chain in table.chains.values_mut().filter(|c| c.rules.iter().any(|rule| rule.text.contains("@__"))) {
                let rules = Arc::make_mut(&mut chain.rules);
                rules.iter_mut().for_each(|rule| nft::with_elements(rule, family, &table.sets));
            }
        }
        Ok(steady && self.is_unchanged())
    }
}

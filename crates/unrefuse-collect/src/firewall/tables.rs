//! The tables of nf_tables: heads first, then chains and sets one by one.

use super::beside::Beside;
use super::live::{Scope, TRIES};
use super::nft::Nft;
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use unrefuse_firewall::model::{
    Backend, Chain, Element, Family, Hook, Origin, Problem, Rules, RulesBuilder, Ruleset, Scalar, Set, Table,
};
use unrefuse_firewall::nft::{self, Context, Scratch, SetHead, Sets};

/// Small sets are read with the heads, so that rules can be written out and keys that are known in part can be looked up,
/// where a table has at most so many.
const SMALL_SETS: usize = 256;
/// A set that the kernel counts more elements of is not tried: they do not come in [`super::nft::FEW`] reads.
const SMALL_SET: u32 = 4096;

/// Chains that are used more often than this are decoded on a thread of their own, while the kernel writes on.
const BESIDE: usize = 500;
/// Of such chains that nearly every packet meets, so many are begun as soon as they are heard of.
const AHEAD: usize = 2;
/// Room is made for at most so many rules before they come.
const MOST_RESERVED: usize = 1 << 20;

/// Turns a chain's messages into rules.
struct Decoder<'a> {
    origin: Arc<Origin>,
    sets: &'a mut Sets,
    context: &'a Context,
    rules: RulesBuilder,
    scratch: Scratch,
}

impl Decoder<'_> {
    fn rule(&mut self, body: &[u8]) {
        let Some(attributes) = body.get(4..) else { return };
        let mut rule = nft::rule(attributes, &self.origin, self.sets, self.context, &mut self.scratch);
        rule.number = u32::try_from(self.rules.len() + 1).unwrap_or(u32::MAX);
        self.rules.push(rule);
    }
}

/// Tables with chains, and what is known of their sets. Places count nf_tables' own tables only.
#[derive(Default)]
pub(super) struct Heads {
    /// Tables of nf_tables stand behind the others. Shared with those who judge: what is read later stands beside it.
    pub(super) ruleset: Arc<Ruleset>,
    /// How many tables are not nf_tables'.
    others: usize,
    /// Of each of nf_tables' tables.
    sets: Vec<Sets>,
    /// How often chains are used, by rules and by jumps to them, where that is often.
    uses: HashMap<(usize, String), usize>,
    /// The chains that were read by now.
    read: HashMap<(usize, String), Arc<Rules>>,
    /// Long chains whose rules are on their way.
    ahead: HashMap<(usize, String), Beside>,
}

impl Heads {
    /// Puts what else filters before nf_tables' tables.
    pub(super) fn behind(mut self, rest: &Ruleset) -> Self {
        let own = Arc::unwrap_or_clone(self.ruleset);
        let mut ruleset = rest.clone();
        ruleset.tables.extend(own.tables);
        ruleset.problems.extend(own.problems);
        self.ruleset = Arc::new(ruleset);
        self.others = rest.tables.len();
        self
    }

    fn own(&self) -> &[Table] {
        self.ruleset.tables.get(self.others..).unwrap_or_default()
    }

    /// Where one of nf_tables' tables is among them.
    fn place(&self, family: Family, table: &str) -> Option<usize> {
        place(self.own(), family, table)
    }

    fn sets(&self, family: Family, table: &str) -> Option<&Sets> {
        self.sets.get(self.place(family, table)?)
    }

    /// The ruleset as far as it was read.
    pub(super) fn known(&self) -> Arc<Ruleset> {
        let mut ruleset = Arc::clone(&self.ruleset);
        for ((at, chain), rules) in &self.read {
            if let Some(known) = Arc::make_mut(&mut ruleset).tables[self.others + at].chains.get_mut(chain) {
                known.rules = Arc::clone(rules);
                known.unread = false;
            }
        }
        ruleset
    }
}

fn place(own: &[Table], family: Family, table: &str) -> Option<usize> {
    own.iter().position(|known| known.family == family && known.name == table)
}

/// Whether a packet that comes in, or the answer to one that goes out, meets the chain.
fn meets_most(chain: &Chain) -> bool {
    chain.base.as_ref().is_some_and(|base| matches!(base.hook, Hook::Prerouting | Hook::Input))
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
        let Heads { ruleset, sets, uses, ahead, .. } = heads;
        let ruleset = Arc::make_mut(ruleset);
        let mut steady = nft.tables(|body| {
            let Some((family, attributes)) = nft::open(body).filter(|(family, _)| scope.wants(*family)) else { return };
            let Some(head) = nft::table(attributes) else { return };
            sets.push(Sets { family: Some(family), ..Sets::default() });
            ruleset.tables.push(Table {
                family,
                name: head.name,
                backend: Backend::Nft,
                dormant: head.dormant,
                chains: BTreeMap::new(),
                sets: BTreeMap::new(),
            });
        })?;
        if sets.is_empty() {
            return Ok(steady);
        }
        let mut chains: Vec<Vec<(String, Chain)>> = sets.iter().map(|_| Vec::new()).collect();
        steady &= nft.chains(|body| {
            let Some((family, attributes)) = nft::open(body) else { return };
            let Some(head) = nft::chain(family, attributes) else { return };
            if let Some(text) = head.problem {
                ruleset.problems.push(Problem { place: format!("table {} chain {}", head.table, head.name), text });
            }
            let Some(at) = place(&ruleset.tables, family, &head.table) else { return };
            if head.uses as usize > BESIDE {
                let place = (at, head.name.clone());
                uses.insert(place.clone(), head.uses as usize);
                if ahead.len() < AHEAD && meets_most(&head.chain) {
                    // Where it cannot be begun, asking for it later says why.
                    ahead.extend(Beside::begin(family, &head.table, &head.name).ok().map(|rules| (place, rules)));
                }
            }
            chains[at].push((head.name, head.chain));
        })?;
        for (table, chains) in ruleset.tables.iter_mut().zip(chains) {
            // Sorted and built at once: half the comparisons of one insertion after the other.
            table.chains = chains.into_iter().collect();
        }
        steady &= nft.sets(|body| {
            let Some((family, attributes)) = nft::open(body) else { return };
            let Some((table, name, head)) = nft::set(attributes) else { return };
            let Some(at) = place(&ruleset.tables, family, &table) else { return };
            ruleset.tables[at].sets.insert(name.clone(), head.empty());
            sets[at].heads.insert(name, head);
        })?;
        for (sets, table) in sets.iter().zip(&mut ruleset.tables) {
            let bases = table.chains.iter().filter_map(|(name, c)| Some((name.as_str(), c.base.as_ref()?.hook)));
            table.backend = nft::backend(table.family, &table.name, bases);
            steady &= self.small_sets(sets, table)?;
        }
        Ok(steady)
    }

    /// Reads the small sets of a table, those of single rules first.
    fn small_sets(&mut self, sets: &Sets, table: &mut Table) -> Result<bool, Errno> {
        let small = |head: &SetHead| head.is_typed() && head.count().is_none_or(|count| count <= SMALL_SET);
        let mut wanted: Vec<(&String, &SetHead)> = sets.heads.iter().filter(|(_, head)| small(head)).collect();
        wanted.sort_by_key(|(name, head)| (!head.is_anonymous(), *name));
        let mut steady = true;
        for (set, head) in wanted.into_iter().take(SMALL_SETS) {
            // Understood only where they are all: the beginning of a large set is of no use.
            let mut bodies: Vec<Vec<u8>> = Vec::new();
            let read = self.nft.few_elements(table.family, &table.name, set, |body| bodies.push(body.to_vec()));
            match read {
                Ok(Some(consistent)) => {
                    let opened = bodies.iter().filter_map(|body| nft::elements(nft::open(body)?.1));
                    let list = opened.flat_map(|(_, _, elements)| elements).collect();
                    steady &= consistent;
                    table.sets.insert(set.clone(), head.filled(list));
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
        let at = heads.place(family, table).ok_or(Errno::NOENT)?;
        let found = &heads.ruleset.tables[heads.others + at];
        let known = found.chains.get(chain).ok_or(Errno::NOENT)?;
        if !known.unread {
            return Ok((Arc::clone(&known.rules), true));
        }
        let place = (at, chain.to_owned());
        if let Some(rules) = heads.read.get(&place) {
            return Ok((Arc::clone(rules), true));
        }
        let origin = Origin::new(family, found.backend, chain);
        let sets = heads.sets.get_mut(at).ok_or(Errno::NOENT)?;
        let uses = heads.uses.get(&place).copied().unwrap_or(0);
        let rules = RulesBuilder::with_capacity(uses.min(MOST_RESERVED));
        let mut decoder = Decoder { origin, sets, context, rules, scratch: Scratch::default() };
        let mut steady = false;
        for _ in 0..TRIES {
            decoder.rules.clear();
            steady = match heads.ahead.remove(&place) {
                Some(rules) => rules.each(|body| decoder.rule(body))?,
                None if uses > BESIDE => Beside::begin(family, table, chain)?.each(|body| decoder.rule(body))?,
                None => self.nft.rules(family, table, chain, |body| decoder.rule(body))?,
            };
            if steady {
                break;
            }
        }
        let mut rules = decoder.rules;
        rules.texts_mut().for_each(|rule| nft::with_elements(rule, family, &found.sets));
        let rules = Arc::new(rules.finish());
        heads.read.insert(place, Arc::clone(&rules));
        Ok((rules, steady))
    }

    /// A set with its elements; and whether the ruleset did not change meanwhile.
    pub(super) fn set(&mut self, heads: &Heads, family: Family, table: &str, set: &str) -> Result<(Set, bool), Errno> {
        let sets = heads.sets(family, table).ok_or(Errno::NOENT)?;
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
        let head = heads.sets(family, table)?.heads.get(set)?;
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
        for at in heads.others..heads.ruleset.tables.len() {
            let table = &heads.ruleset.tables[at];
            let (family, name) = (table.family, table.name.clone());
            let chains: Vec<String> = table.chains.keys().cloned().collect();
            // After the rules, which may have taught how keys are divided.
            let sets: Vec<String> = table.sets.keys().cloned().collect();
            for chain in chains {
                steady &= self.chain(heads, context, family, &name, &chain)?.1;
            }
            let mut filled = BTreeMap::new();
            for set in sets {
                let (read, consistent) = self.set(heads, family, &name, &set)?;
                steady &= consistent;
                filled.insert(set, read);
            }
            Arc::make_mut(&mut heads.ruleset).tables[at].sets = filled;
        }
        heads.ruleset = heads.known();
        heads.read.clear();
        for table in &mut Arc::make_mut(&mut heads.ruleset).tables[heads.others..] {
            for chain in table.chains.values_mut().filter(|c| c.rules.iter().any(nft::lacks_elements)) {
                let rules = Arc::make_mut(&mut chain.rules);
                rules.iter_mut().for_each(|rule| nft::with_elements(rule, table.family, &table.sets));
            }
        }
        Ok(steady && self.is_unchanged())
    }
}

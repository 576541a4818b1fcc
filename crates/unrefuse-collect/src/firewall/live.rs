//! Reading all at once, and reading only what a packet meets.

use super::nft::Nft;
use super::presence::{Presence, look};
use crate::live::missing::missing;
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use unrefuse_facts::{Missing, Observed, Source};
use unrefuse_firewall::model::{Backend, Chain, Element, Family, Problem, Rule, Ruleset, Scalar, Set, Table};
use unrefuse_firewall::nft::{self, Context, Sets};

/// Which tables are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// All.
    #[default]
    Everything,
    /// Those that an IPv4 packet may meet.
    Ip,
    /// Those that an IPv6 packet may meet.
    Ip6,
}

impl Scope {
    fn wants(self, family: Family) -> bool {
        match self {
            Self::Everything => true,
            Self::Ip => !matches!(family, Family::Ip6 | Family::Arp),
            Self::Ip6 => !matches!(family, Family::Ip | Family::Arp),
        }
    }
}

/// How often reading starts again when the ruleset changed meanwhile.
const TRIES: u32 = 3;
/// Anonymous sets of a chain are read with it, so that its rules can be written out, where the table has at most so many.
const ANONYMOUS: usize = 256;

/// The whole ruleset with all elements of all sets.
pub fn ruleset(scope: Scope) -> Observed<Ruleset> {
    let live = match Live::open(scope) {
        Observed::Known { value, .. } => value,
        Observed::Missing(missing) => return Observed::Missing(missing),
    };
    let source = Source::running(live.what.clone());
    for _ in 1..TRIES {
        match live.everything() {
            Ok((ruleset, true)) => return Observed::known(ruleset, source),
            Ok((_, false)) => {}
            Err(missing) => return Observed::Missing(missing),
        }
        match live.again() {
            Ok(()) => {}
            Err(missing) => return Observed::Missing(missing),
        }
    }
    match live.everything() {
        Ok((mut ruleset, consistent)) => {
            if !consistent {
                let text = "the ruleset changed while it was read".to_owned();
                ruleset.problems.push(Problem { place: "nf_tables".to_owned(), text });
            }
            Observed::known(ruleset, source)
        }
        Err(missing) => Observed::Missing(missing),
    }
}

/// A ruleset that is read as far as it is asked for: tables, base chains and the shape of sets at first, then the rules of
/// single chains and the elements that hold a key.
pub struct Live {
    scope: Scope,
    what: String,
    inner: Mutex<Inner>,
}

type Place = (Family, String);

#[derive(Default)]
struct Inner {
    nft: Option<Nft>,
    generation: u32,
    context: Context,
    /// Tables with chains whose rules are not read.
    heads: Ruleset,
    sets: HashMap<Place, Sets>,
    chains: HashMap<(Place, String), Arc<Vec<Rule>>>,
}

fn ask(what: &str, errno: Errno) -> Missing {
    missing(&format!("nf_tables: {what}"), errno)
}

impl Live {
    /// Reads tables and chains without their rules, and sets without their elements.
    pub fn open(scope: Scope) -> Observed<Self> {
        let mut inner = Inner::default();
        let what = match look("nf_tables", "nft_do_chain") {
            Presence::Unclear(missing) => return Observed::Missing(missing),
            Presence::Not => "nf_tables: not loaded".to_owned(),
            Presence::There => match inner.begin(scope) {
                Ok(true) => "nf_tables".to_owned(),
                Ok(false) => "nf_tables: not in this kernel".to_owned(),
                Err(missing) => return Observed::Missing(missing),
            },
        };
        let live = Self { scope, what: what.clone(), inner: Mutex::new(inner) };
        Observed::known(live, Source::running(what))
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn again(&self) -> Result<(), Missing> {
        let mut inner = self.inner();
        *inner = Inner::default();
        inner.begin(self.scope).map(|_| ())
    }

    /// What is known without reading rules: every chain is [`Chain::unread`], the elements of every set are too.
    pub fn heads(&self) -> Ruleset {
        self.inner().heads.clone()
    }

    /// The rules of one chain; `None` where it cannot be read.
    pub fn chain(&self, family: Family, table: &str, chain: &str) -> Option<Arc<Vec<Rule>>> {
        self.inner().chain(family, table, chain).ok().map(|(rules, _)| rules)
    }

    /// The element of an nf_tables set (`Some((family, table))`) that holds a key: `None` where that cannot be known.
    pub fn element(&self, table: Option<(Family, &str)>, set: &str, key: &[Scalar]) -> Option<Option<Element>> {
        let (family, table) = table?;
        self.inner().element(family, table, set, key)
    }

    /// Whether an nf_tables set holds a key: `None` where that cannot be known.
    pub fn set_contains(&self, family: Family, table: &str, set: &str, key: &[Scalar]) -> Option<bool> {
        self.element(Some((family, table)), set, key).map(|found| found.is_some())
    }

    /// A set with all its elements.
    pub fn set(&self, family: Family, table: &str, set: &str) -> Option<Set> {
        self.inner().set(family, table, set).ok().map(|(set, _)| set)
    }

    /// Everything; and whether it did not change meanwhile.
    fn everything(&self) -> Result<(Ruleset, bool), Missing> {
        let mut inner = self.inner();
        let inner = &mut *inner;
        let mut ruleset = inner.heads.clone();
        let mut consistent = true;
        for table in &mut ruleset.tables {
            for (name, chain) in &mut table.chains {
                let (rules, steady) =
                    inner.chain(table.family, &table.name, name).map_err(|e| ask(&format!("rules of {name}"), e))?;
                consistent &= steady;
                *chain = Chain { rules, unread: false, ..chain.clone() };
            }
            for (name, set) in &mut table.sets {
                let (filled, steady) =
                    inner.set(table.family, &table.name, name).map_err(|e| ask(&format!("elements of {name}"), e))?;
                consistent &= steady;
                *set = filled;
            }
            for chain in table.chains.values_mut() {
                if chain.rules.iter().any(|rule| rule.text.contains("@__")) {
                    let rules = Arc::make_mut(&mut chain.rules);
                    rules.iter_mut().for_each(|rule| nft::with_elements(rule, table.family, &table.sets));
                }
            }
        }
        consistent &= inner.is_unchanged();
        Ok((ruleset, consistent))
    }
}

impl Inner {
    /// `false`: the kernel has no nf_tables.
    fn begin(&mut self, scope: Scope) -> Result<bool, Missing> {
        let mut nft = match Nft::open() {
            Ok(nft) => nft,
            Err(Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT) => return Ok(false),
            Err(e) => return Err(ask("open a netlink socket", e)),
        };
        for _ in 0..TRIES {
            self.generation = match nft.generation() {
                Ok(generation) => generation,
                // nfnetlink_rcv_msg: no subsystem of this number.
                Err(Errno::INVAL) => return Ok(false),
                Err(e) => return Err(ask("ask for the ruleset's generation", e)),
            };
            if self.read_heads(&mut nft, scope).map_err(|e| ask("list tables, chains and sets", e))?
                && nft.generation() == Ok(self.generation)
            {
                break;
            }
        }
        self.nft = Some(nft);
        Ok(true)
    }

    fn read_heads(&mut self, nft: &mut Nft, scope: Scope) -> Result<bool, Errno> {
        let mut tables: BTreeMap<(u8, String), Table> = BTreeMap::new();
        let mut problems = Vec::new();
        let mut sets: HashMap<Place, Sets> = HashMap::new();
        let mut steady = nft.tables(|body| {
            let Some((family, attributes)) = nft::open(body).filter(|(family, _)| scope.wants(*family)) else { return };
            let Some(head) = nft::table(attributes) else { return };
            let table = Table {
                family,
                name: head.name.clone(),
                backend: Backend::Nft,
                dormant: head.dormant,
                chains: BTreeMap::new(),
                sets: BTreeMap::new(),
            };
            sets.insert((family, head.name.clone()), Sets { family: Some(family), ..Sets::default() });
            tables.insert((nft::family_number(family), head.name), table);
        })?;
        if tables.is_empty() {
            (self.heads, self.sets) = (Ruleset::default(), sets);
            return Ok(steady);
        }
        steady &= nft.chains(|body| {
            let Some((family, attributes)) = nft::open(body) else { return };
            let Some(head) = nft::chain(family, attributes) else { return };
            let Some(table) = tables.get_mut(&(nft::family_number(family), head.table.clone())) else { return };
            if let Some(text) = head.problem {
                problems.push(Problem { place: format!("table {} chain {}", head.table, head.name), text });
            }
            table.chains.insert(head.name, head.chain);
        })?;
        steady &= nft.sets(|body| {
            let Some((family, attributes)) = nft::open(body) else { return };
            let Some((table, name, head)) = nft::set(attributes) else { return };
            let Some(found) = tables.get_mut(&(nft::family_number(family), table.clone())) else { return };
            found.sets.insert(name.clone(), head.empty());
            sets.entry((family, table)).or_default().heads.insert(name, head);
        })?;
        let mut tables: Vec<Table> = tables.into_values().collect();
        for table in &mut tables {
            let bases = table.chains.iter().filter_map(|(name, c)| Some((name.as_str(), c.base.as_ref()?.hook)));
            table.backend = nft::backend(table.family, &table.name, bases);
        }
        self.heads = Ruleset { tables, problems, ..Ruleset::default() };
        self.sets = sets;
        Ok(steady)
    }

    fn is_unchanged(&mut self) -> bool {
        let generation = self.generation;
        self.nft.as_mut().is_none_or(|nft| nft.generation() == Ok(generation))
    }

    fn chain(&mut self, family: Family, table: &str, chain: &str) -> Result<(Arc<Vec<Rule>>, bool), Errno> {
        let key = ((family, table.to_owned()), chain.to_owned());
        if let Some(rules) = self.chains.get(&key) {
            return Ok((Arc::clone(rules), true));
        }
        let nft = self.nft.as_mut().ok_or(Errno::NOENT)?;
        let found = self.heads.tables.iter().find(|t| t.family == family && t.name == table).ok_or(Errno::NOENT)?;
        let (backend, sets) = (found.backend, self.sets.get_mut(&key.0).ok_or(Errno::NOENT)?);
        let mut rules: Vec<Rule> = Vec::new();
        let mut steady = false;
        for _ in 0..TRIES {
            rules.clear();
            let context = &self.context;
            steady = nft.rules(family, table, chain, |body| {
                let Some(attributes) = (body.first() != Some(&0)).then(|| body.get(4..)).flatten() else { return };
                let mut rule = nft::rule(attributes, backend, chain, sets, context);
                rule.number = u32::try_from(rules.len() + 1).unwrap_or(u32::MAX);
                rules.push(rule);
            })?;
            if steady {
                break;
            }
        }
        self.write_out(family, table, &mut rules);
        let rules = Arc::new(rules);
        self.chains.insert(key, Arc::clone(&rules));
        Ok((rules, steady))
    }

    /// Reads the anonymous sets that rules look into, so that their text shows what is in them.
    fn write_out(&mut self, family: Family, table: &str, rules: &mut [Rule]) {
        if !rules.iter().any(|rule| rule.text.contains("@__")) {
            return;
        }
        let Some(heads) = self.sets.get(&(family, table.to_owned())).map(|sets| &sets.heads) else { return };
        let names: Vec<String> =
            heads.iter().filter(|(_, head)| head.is_anonymous()).map(|(name, _)| name.clone()).collect();
        if names.len() > ANONYMOUS {
            return;
        }
        let named = names.into_iter().filter(|name| rules.iter().any(|rule| rule.text.contains(name.as_str())));
        let sets: BTreeMap<String, Set> = named
            .collect::<Vec<_>>()
            .into_iter()
            .filter_map(|name| Some((name.clone(), self.set(family, table, &name).ok()?.0)))
            .collect();
        rules.iter_mut().for_each(|rule| nft::with_elements(rule, family, &sets));
    }

    fn set(&mut self, family: Family, table: &str, set: &str) -> Result<(Set, bool), Errno> {
        let sets = self.sets.get(&(family, table.to_owned())).ok_or(Errno::NOENT)?;
        let head = sets.heads.get(set).ok_or(Errno::NOENT)?;
        let nft = self.nft.as_mut().ok_or(Errno::NOENT)?;
        let (mut list, mut steady) = (Vec::new(), false);
        for _ in 0..TRIES {
            list.clear();
            steady = nft.elements(family, table, set, |body| {
                if let Some((_, attributes)) = nft::open(body)
                    && let Some((_, _, elements)) = nft::elements(attributes)
                {
                    list.extend(elements);
                }
            })?;
            if steady {
                break;
            }
        }
        Ok((head.filled(list), steady))
    }

    fn element(&mut self, family: Family, table: &str, set: &str, key: &[Scalar]) -> Option<Option<Element>> {
        let head = self.sets.get(&(family, table.to_owned()))?.heads.get(set)?;
        let bytes = head.key_bytes(key)?;
        match self.nft.as_mut()?.element(family, table, set, &bytes) {
            Ok(body) => {
                let (_, attributes) = nft::open(&body)?;
                let (_, _, elements) = nft::elements(attributes)?;
                Some(Some(head.element(elements.first()?)))
            }
            Err(Errno::NOENT) => Some(None),
            Err(_) => None,
        }
    }
}


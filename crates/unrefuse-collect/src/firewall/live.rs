//! Reading all at once, and reading only what a packet meets.

use super::tables::{Heads, Tables};
use super::{ipset::Ipset, legacy};
use crate::firewall::presence::{Presence, look};
use crate::live::missing::missing;
use rustix::io::Errno;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use unrefuse_facts::{Missing, Observed, Source};
use unrefuse_firewall::model::{Element, Family, Problem, Rules, Ruleset, Scalar, Set};
use unrefuse_firewall::nft::Context;

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
    /// Those that ARP meets.
    Arp,
}

impl Scope {
    pub(super) const fn wants(self, family: Family) -> bool {
        match self {
            Self::Everything => true,
            Self::Ip => !matches!(family, Family::Ip6 | Family::Arp),
            Self::Ip6 => !matches!(family, Family::Ip | Family::Arp),
            Self::Arp => matches!(family, Family::Arp),
        }
    }
}

/// How often reading starts again when the ruleset changed meanwhile.
pub(super) const TRIES: u32 = 3;
/// ipsets with more elements are only tested, never read for a single question.
const ELEMENTS: u32 = 4096;

/// The whole ruleset with all elements of all sets.
///
/// A part that cannot be read is a problem of the ruleset; where nothing can, the whole is missing.
pub fn ruleset(scope: Scope) -> Observed<Ruleset> {
    let live = match open(scope, Ipset::everything) {
        Observed::Known { value, .. } => value,
        Observed::Missing(missing) => return Observed::Missing(missing),
    };
    let source = Source::running(live.what.clone());
    let mut last = None;
    for _ in 0..TRIES {
        let mut inner = live.inner();
        match inner.everything() {
            Ok((ruleset, true)) => return Observed::known(ruleset, source),
            Ok((ruleset, false)) => last = Some(ruleset),
            Err(missing) => return Observed::Missing(missing),
        }
        if let Err(missing) = inner.begin_again(scope) {
            return Observed::Missing(missing);
        }
    }
    let mut ruleset = last.unwrap_or_default();
    let text = "the ruleset changed while it was read".to_owned();
    ruleset.problems.push(Problem { place: "nf_tables".to_owned(), text });
    Observed::known(ruleset, source)
}

/// A ruleset that is read as far as it is asked for: tables, chains and the shape of sets at first, then the rules of
/// single chains and the elements that hold a key.
///
/// Legacy tables are read whole at once, as the kernel gives them only so.
pub struct Live {
    what: String,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    nft: Option<Tables>,
    heads: Heads,
    ipset: Option<Ipset>,
    context: Context,
    /// Legacy tables, ipsets, problems.
    rest: Ruleset,
}

fn open(scope: Scope, ipsets: fn(&mut Ipset, &mut Ruleset)) -> Observed<Live> {
    // Before all else: a long chain is then on its way while the others are read.
    let (nft, heads, said) = match look("nf_tables", "nft_do_chain") {
        Presence::Unclear(missing) => return Observed::Missing(missing),
        Presence::Not => (None, None, "nf_tables (not loaded)"),
        Presence::There => match Tables::open() {
            Ok(Some(mut tables)) => match tables.heads(scope) {
                Ok(Some(heads)) => (Some(tables), Some(heads), "nf_tables"),
                Ok(None) => (None, None, "nf_tables"),
                Err(e) => return Observed::Missing(unlisted(e)),
            },
            Ok(None) => (None, None, "nf_tables (not in this kernel)"),
            Err(e) => return Observed::Missing(missing("nf_tables: netlink socket", e)),
        },
    };
    let mut inner = Inner { nft, ..Inner::default() };
    let mut what = Vec::new();
    inner.read_ipsets(ipsets, &mut what);
    inner.read_legacy(scope, &mut what);
    inner.heads = heads.unwrap_or_default().behind(&inner.rest);
    what.push(said.to_owned());
    let what = what.join(", ");
    Observed::known(Live { what: what.clone(), inner: Mutex::new(inner) }, Source::running(what))
}

fn unlisted(e: Errno) -> Missing {
    missing("nf_tables: list tables, chains and sets", e)
}

impl Live {
    /// Reads tables and chains without their rules, and sets without their elements.
    ///
    /// ipsets are left to [`Live::element`] and [`Live::ipset`], but for lists of sets.
    pub fn open(scope: Scope) -> Observed<Self> {
        open(scope, Ipset::shapes)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known by now. Chains whose rules were not asked for are `unread`, and so are the elements of large sets;
    /// those of some hundreds of elements are read.
    pub fn ruleset(&self) -> Arc<Ruleset> {
        self.inner().heads.known()
    }

    /// The rules of one chain; `None` where it cannot be read.
    pub fn chain(&self, family: Family, table: &str, chain: &str) -> Option<Arc<Rules>> {
        self.inner().chain(family, table, chain)
    }

    /// The element that holds a key, of an nf_tables set (`Some((family, table))`) or an ipset (`None`): `None` where
    /// that cannot be known, `Some(None)` where none does.
    pub fn element(&self, table: Option<(Family, &str)>, set: &str, key: &[Scalar]) -> Option<Option<Element>> {
        let inner = &mut *self.inner();
        match table {
            Some((family, table)) => inner.nft.as_mut()?.element(&inner.heads, family, table, set, key),
            None => inner.ipset.as_mut()?.test(set, key),
        }
    }

    /// Whether an nf_tables set holds a key: `None` where that cannot be known.
    pub fn set_contains(&self, family: Family, table: &str, set: &str, key: &[Scalar]) -> Option<bool> {
        self.element(Some((family, table)), set, key).map(|found| found.is_some())
    }

    /// An ipset with all its elements; `None` where it cannot be read or has more than 4,096.
    pub fn ipset(&self, name: &str) -> Option<Set> {
        self.inner().ipset.as_mut()?.set(name, ELEMENTS)
    }

    /// An nf_tables set with all its elements.
    pub fn set(&self, family: Family, table: &str, set: &str) -> Option<Set> {
        let inner = &mut *self.inner();
        inner.nft.as_mut()?.set(&inner.heads, family, table, set).ok().map(|(set, _)| set)
    }
}

impl Inner {
    /// Reads the heads once more.
    fn begin_again(&mut self, scope: Scope) -> Result<(), Missing> {
        let Some(nft) = self.nft.as_mut() else { return Ok(()) };
        if let Some(heads) = nft.heads(scope).map_err(unlisted)? {
            self.heads = heads.behind(&self.rest);
        }
        Ok(())
    }

    fn chain(&mut self, family: Family, table: &str, chain: &str) -> Option<Arc<Rules>> {
        let rules = self.nft.as_mut()?.chain(&mut self.heads, &self.context, family, table, chain);
        rules.ok().map(|(rules, _)| rules)
    }

    fn everything(&mut self) -> Result<(Ruleset, bool), Missing> {
        let mut consistent = true;
        if let Some(nft) = &mut self.nft {
            let read = nft.everything(&mut self.heads, &self.context);
            consistent = read.map_err(|e| missing("nf_tables: list rules and elements", e))?;
        }
        Ok((Arc::unwrap_or_clone(std::mem::take(&mut self.heads.ruleset)), consistent))
    }

    fn read_ipsets(&mut self, read: fn(&mut Ipset, &mut Ruleset), what: &mut Vec<String>) {
        let problem = |text: String| Problem { place: "ipset".to_owned(), text };
        match look("ip_set", "ip_set_test") {
            Presence::Not => {}
            Presence::Unclear(missing) => self.rest.problems.push(problem(missing.detail)),
            Presence::There => match Ipset::open() {
                Ok(None) => {}
                Ok(Some(mut ipset)) => {
                    self.context.ipsets = ipset.names();
                    read(&mut ipset, &mut self.rest);
                    if !self.rest.ipsets.is_empty() {
                        what.push("ipset".to_owned());
                    }
                    self.ipset = Some(ipset);
                }
                Err(e) => self.rest.problems.push(problem(missing("list sets", e).detail)),
            },
        }
    }

    fn read_legacy(&mut self, scope: Scope, what: &mut Vec<String>) {
        for family in [Family::Ip, Family::Ip6].into_iter().filter(|family| scope.wants(*family)) {
            let found = legacy::names(family).and_then(|names| self.legacy_tables(family, &names, what));
            if let Err(missing) = found {
                let place = if family == Family::Ip6 { "legacy ip6tables" } else { "legacy iptables" };
                self.rest.problems.push(Problem { place: place.to_owned(), text: missing.detail });
            }
        }
    }

    fn legacy_tables(&mut self, family: Family, names: &[String], what: &mut Vec<String>) -> Result<(), Missing> {
        let ipsets: &HashMap<u16, String> = &self.context.ipsets;
        for name in names {
            let (table, problems) = legacy::table(family, name, ipsets)?;
            self.rest.tables.push(table);
            self.rest.problems.extend(problems);
        }
        if !names.is_empty() {
            what.push(if family == Family::Ip6 { "legacy ip6tables" } else { "legacy iptables" }.to_owned());
        }
        Ok(())
    }
}

//! Which service was meant: the unit that should listen on the target's port, as far as something speaks for it.
//!
//! Never a guess: a stronger clue beats weaker ones; of equals the one that shows that somebody wanted it to run; what
//! is still equal is named as open.

use super::{act, log};
use crate::View;
use crate::finding::CannotTell;
use crate::report::{Certainty, Evidence, Unknown};
use crate::rules::config::{self, OnceStarted};
use unrefuse_facts::catalogue::{self, KnownService};
use unrefuse_facts::text::visible;
use unrefuse_facts::{
    ActiveState, Clue, ClueKind, ConfiguredListen, LoadState, Origin, Protocol, Reason, ServiceFacts, UnitFacts,
};

/// The unit that was meant.
pub(super) struct Meant<'a> {
    /// What was seen of services.
    pub(super) facts: &'a ServiceFacts,
    /// It.
    pub(super) unit: &'a UnitFacts,
    /// How sure that is.
    pub(super) certainty: Certainty,
    /// Others for which as much speaks.
    pub(super) others: Vec<&'a UnitFacts>,
    /// Its configuration says other ports only: nothing but custom speaks for it.
    pub(super) elsewhere: bool,
}

/// What was seen of services, where the target is this machine's and nothing takes the packet; `None`: not the question.
///
/// # Errors
/// Cannot tell where looking failed.
pub(super) fn facts<'a>(view: &View<'a>) -> Result<Option<&'a ServiceFacts>, CannotTell> {
    let here = view.case.target.protocol == Protocol::Unix || view.is_local() == Some(true);
    match view.case.host.services.get() {
        Ok(facts) => Ok(here.then_some(facts)),
        Err(missing) if missing.reason == Reason::NotLooked || !here => Ok(None),
        Err(missing) => Err(CannotTell::because("which service should listen there, and what became of it", missing)),
    }
}

/// The unit that was meant; `None` where nothing speaks for one.
///
/// # Errors
/// Cannot tell where looking failed.
pub(super) fn meant<'a>(view: &View<'a>) -> Result<Option<Meant<'a>>, CannotTell> {
    let Some(facts) = facts(view)? else { return Ok(None) };
    let (mut candidates, elsewhere) = candidates(view, facts);
    if candidates.iter().any(|unit| wanted(unit) > 0 && !is_outdone(facts, unit)) {
        candidates.retain(|unit| !is_outdone(facts, unit));
    }
    let units: Vec<(u8, u8, &UnitFacts)> =
        candidates.into_iter().map(|unit| (strength(view, unit), wanted(unit), unit)).collect();
    let Some(best) = units.iter().map(|(strength, wanted, _)| (*strength, *wanted)).max() else { return Ok(None) };
    let alone = units.iter().filter(|(strength, _, _)| *strength == best.0).count() == 1;
    let mut first = units.iter().filter(|(strength, wanted, _)| (*strength, *wanted) == best).map(|(_, _, unit)| *unit);
    let Some(unit) = first.next() else { return Ok(None) };
    let others: Vec<&UnitFacts> = first.collect();
    // A number in a configuration that was not read as a whole may be overruled by another line, unless the words of
    // its last try name the port, too.
    let tried = unit.active != ActiveState::Inactive && log::listens(unit, view.case.target.port);
    let logged = tried || unit.clues.iter().any(|clue| clue.kind == ClueKind::Log);
    let by_number = unit.is_masked() && unit.clues.iter().all(|clue| clue.kind < ClueKind::Log);
    let certainty = match () {
        () if !others.is_empty() => Certainty::Possible,
        () if alone && (best.0 > PLAIN && !by_number || logged) && !elsewhere && !is_outdone(facts, unit) => {
            Certainty::Proven
        }
        () => Certainty::Likely,
    };
    Ok(Some(Meant { facts, unit, certainty, others, elsewhere }))
}

/// Clues from here on have the port's number.
const PLAIN: u8 = 3;

/// Service units for which something speaks, without those whose configuration, fully read, speaks against it. Where it
/// speaks against all, those that do not run and have the port by custom, and `true`.
fn candidates<'a>(view: &View<'_>, facts: &'a ServiceFacts) -> (Vec<&'a UnitFacts>, bool) {
    let speaks = |unit: &&UnitFacts| unit.name.ends_with(".service") && has_clue(unit);
    let mut units: Vec<&UnitFacts> = facts.units.iter().chain(&facts.user_units).filter(speaks).collect();
    // An instance that really runs or should says more than the unit that stands for all of them.
    let instances: Vec<Option<&str>> =
        units.iter().filter(|unit| unit.name.contains('@')).map(|unit| unit.service.as_deref()).collect();
    units.retain(|u| u.name.contains('@') || u.service.is_none() || !instances.contains(&u.service.as_deref()));
    let (mut elsewhere, meant): (Vec<&UnitFacts>, Vec<&UnitFacts>) =
        units.into_iter().partition(|unit| configured(view, unit) == Some(false));
    // Where one of the same service runs, that is the one.
    let runs = |unit: &UnitFacts| {
        let configs = view.case.host.configs.value().into_iter().flatten();
        let by_config =
            configs.filter(|config| config.process.is_some()).any(|c| unit.service.as_ref() == Some(&c.service));
        by_config || facts.units.iter().any(|other| other.service == unit.service && other.is_running())
    };
    let by_custom = |unit: &UnitFacts| {
        unit.clues.iter().any(|clue| matches!(clue.kind, ClueKind::CustomaryPort | ClueKind::Scheme))
    };
    elsewhere.retain(|unit| unit.config.value().is_some() && by_custom(unit) && !runs(unit));
    // What only a package brought stands back behind what somebody had running, as long as custom alone speaks for it.
    let unwanted = |unit: &&UnitFacts| wanted(unit) == 0 && strength(view, unit) < PLAIN;
    if !meant.iter().all(unwanted) || !elsewhere.iter().any(|unit| wanted(unit) > 0) && !meant.is_empty() {
        return (meant, false);
    }
    (elsewhere, true)
}

/// Something speaks for it.
fn has_clue(unit: &UnitFacts) -> bool {
    unit.clues.iter().any(|clue| clue.kind != ClueKind::TakenBack)
}

/// Nothing but its configuration, as a package may have brought it, speaks for it: nobody wants it to run, and somebody
/// wants another one that may be meant.
fn is_outdone(facts: &ServiceFacts, unit: &UnitFacts) -> bool {
    let told = unit.clues.iter().any(|clue| clue.kind >= ClueKind::Log);
    let rival = |other: &UnitFacts| {
        other.name != unit.name && other.name.ends_with(".service") && has_clue(other) && wanted(other) > 0
    };
    !told && wanted(unit) == 0 && facts.units.iter().any(rival)
}

/// Whether its service's configuration says that it listens on the port; `None` where that was not read, or may hide it.
fn configured(view: &View<'_>, unit: &UnitFacts) -> Option<bool> {
    let port = view.case.target.port;
    if let Some(config) = unit.config.value() {
        let says = config.listens.iter().any(|listen| listen.port == port && listen.port != 0);
        // Read in full, and no address in it: haproxy as it is packaged.
        let nothing = config.listens.is_empty() && config.files.is_empty();
        let uncertain = config.is_uncertain() || config.disabled.is_some() || nothing;
        return if says { Some(true) } else { (!uncertain && port != 0).then_some(false) };
    }
    // The configurations of what runs are the system's.
    let service = unit.service.as_deref().filter(|_| unit.user.is_none())?;
    let configs = view.case.host.configs.value()?;
    let mut own = configs.iter().filter(|config| config.service == service).peekable();
    own.peek()?;
    let mut uncertain = false;
    for config in own {
        if config.listens.iter().any(|listen| listen.port == view.case.target.port && listen.port != 0) {
            return Some(true);
        }
        uncertain |= config.is_uncertain() || config.disabled.is_some() || config.listens.is_empty();
    }
    (!uncertain && view.case.target.port != 0).then_some(false)
}

/// Its configuration was read, and no line of it gives the port.
fn by_default(view: &View<'_>, unit: &UnitFacts) -> bool {
    let asked = |listen: &&ConfiguredListen| listen.port == view.case.target.port;
    let is_default = |listen: &ConfiguredListen| matches!(listen.port_from.origin, Origin::Default(_));
    unit.config.value().is_some_and(|config| config.listens.iter().filter(asked).all(is_default))
}

fn strength(view: &View<'_>, unit: &UnitFacts) -> u8 {
    let by_clue = |kind| match kind {
        ClueKind::TakenBack => 0,
        ClueKind::CustomaryPort => 1,
        ClueKind::Scheme => 2,
        ClueKind::Configuration | ClueKind::Log => PLAIN,
        ClueKind::UnitFile => PLAIN + 1,
        ClueKind::SocketUnit => PLAIN + 2,
    };
    let configured = configured(view, unit);
    // Read as a whole, the configuration overrules the number in one of its lines.
    let counts = |clue: &&Clue| configured != Some(false) || clue.kind != ClueKind::Configuration;
    let clue = unit.clues.iter().filter(counts).map(|clue| by_clue(clue.kind)).max().unwrap_or(0);
    // The configuration of a masked unit is not read: the number in it counts as much as what is read of others.
    let unread = unit.is_masked() && clue == PLAIN;
    // That it would have its customary port where nobody gave it one says no more than custom does.
    let says = configured == Some(true) && (wanted(unit) > 0 || !by_default(view, unit));
    if says || unread { clue.max(PLAIN + 1) } else { clue }
}

/// How much shows that somebody wanted it to run: it was tried, it is masked, it starts at boot, it ran since boot.
fn wanted(unit: &UnitFacts) -> u8 {
    let ran = unit.journal.value().is_some_and(|lines| !lines.is_empty());
    match unit.active {
        ActiveState::Failed | ActiveState::Activating | ActiveState::Deactivating => 4,
        // It runs, and listens elsewhere: why is another matter.
        ActiveState::Active | ActiveState::Reloading => 3,
        _ if unit.is_masked() || unit.is_enabled() == Some(true) => 2,
        // The manager remembers that it was tried.
        _ if unit.load != LoadState::NotLoaded && !unit.conditions_failed.is_empty() => 2,
        _ if ran => 1,
        _ => 0,
    }
}

impl<'a> Meant<'a> {
    /// The units that the same manager has.
    pub(super) fn beside(&self) -> impl Iterator<Item = &'a UnitFacts> + use<'a> {
        let units = if self.unit.user.is_some() { &self.facts.user_units } else { &self.facts.units };
        let user = self.unit.user.as_ref().map(|user| user.uid);
        units.iter().filter(move |other| other.user.as_ref().map(|user| user.uid) == user)
    }

    /// The unit whose state matters: a unit that it needs and that failed, else itself.
    pub(super) fn culprit(&self) -> &'a UnitFacts {
        self.failed_need().unwrap_or(self.unit)
    }

    /// A unit that it cannot do without and that failed, where it did not start itself.
    pub(super) fn failed_need(&self) -> Option<&'a UnitFacts> {
        if self.unit.active != ActiveState::Inactive {
            return None;
        }
        let needs = |unit: &&UnitFacts| self.unit.requires.contains(&unit.name);
        self.beside().filter(needs).find(|unit| unit.active == ActiveState::Failed)
    }

    /// The service that the unit is of.
    pub(super) fn service(&self) -> Option<&'static KnownService> {
        catalogue::by_id(self.unit.service.as_deref()?)
    }

    /// Why it is the one that was meant, the strongest first.
    pub(super) fn because(&self, view: &View<'_>) -> Vec<Evidence> {
        let name = act::name(self.unit);
        let once_started = config::once_started(view, self.unit);
        let read = !matches!(once_started, OnceStarted::CannotTell(_));
        let mut clues: Vec<_> = self.unit.clues.iter().collect();
        // What was read as a whole says more than the number in a line of it.
        clues.retain(|clue| (!read || clue.kind != ClueKind::Configuration) && clue.kind != ClueKind::TakenBack);
        clues.sort_by_key(|clue| std::cmp::Reverse(clue.kind));
        clues.dedup_by_key(|clue| clue.kind);
        let clues = clues
            .iter()
            .take(2)
            .map(|c| Evidence::new(format!("{name} is meant: {}", visible(&c.text)), visible(&c.source)));
        match once_started {
            OnceStarted::Takes(lines) => lines.into_iter().chain(clues).collect(),
            OnceStarted::Misses(does) => {
                let source = self.unit.config.source().map_or("its configuration", |source| &source.what);
                clues.chain([Evidence::new(format!("once {name} runs, {does}"), visible(source))]).collect()
            }
            OnceStarted::CannotTell(_) => clues.collect(),
        }
    }

    /// What stays open where others are as likely.
    pub(super) fn open(&self) -> Option<Unknown> {
        let names: Vec<String> = self.others.iter().map(|unit| act::name(unit)).collect();
        (!names.is_empty()).then(|| Unknown {
            what: format!("which service was meant: {} or {}", act::name(self.unit), names.join(" or ")),
            why: "as much speaks for each of them, and none runs".into(),
            how_to_know: "the service that should answer on that port; its configuration names it".into(),
        })
    }

    /// Where what is said of units comes from.
    pub(super) fn source(&self) -> String {
        match (&self.unit.user, self.facts.manager.value()) {
            (Some(user), _) if user.has_manager => format!("systemd of user {}", visible(&user.name)),
            (None, Some(manager)) => manager.clone(),
            _ => self.unit.fragment.clone().unwrap_or_else(|| "unit files".into()),
        }
    }
}

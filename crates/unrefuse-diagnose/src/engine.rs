//! The engine: asks the rules of each gate, follows the whys, holds predictions against attempts, makes the report.

use crate::certainty::explains;
use crate::finding::{Finding, Fired};
use crate::journey::journey;
use crate::report::{
    AttemptInfo, Blocker, By, Certainty, Fix, GateInfo, GateStatus, Note, Outcome, RefuserInfo, Report, SCHEMA,
    TargetInfo, Unknown, VantageInfo, Why,
};
use crate::unanswered::unanswered;
use crate::{Gate, Rule, View, When, notes, refuser, registry};
use std::time::Duration;
use unrefuse_facts::{AnswerKind, Attempt, AttemptOutcome, Case, ClientSees, Judgement, Protocol, VantageKind};

/// A chain of whys can hardly be longer; a longer one is a mistake in the rules' `explains`.
const LONGEST_CHAIN: usize = 8;

/// Turns what was seen into the report. `elapsed` is the wall-clock time of the whole diagnosis so far.
pub(crate) fn diagnose(case: &Case, elapsed: Duration) -> Report {
    let views = View::all(case);
    let judged: Vec<Judged> = views.iter().map(judge).collect();
    let mut report = Report {
        schema: SCHEMA.to_owned(),
        target: target(case),
        vantage: vantage(case),
        outcome: outcome(case, &views),
        attempts: case.attempts.iter().map(|a| attempt_info(case, a)).collect(),
        journey: Vec::new(),
        blockers: Vec::new(),
        notes: Vec::new(),
        unknown: Vec::new(),
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
    };
    for one in judged {
        merge_journey(&mut report.journey, one.journey);
        one.blockers.into_iter().for_each(|blocker| merge_blocker(&mut report.blockers, blocker));
        one.notes.into_iter().for_each(|note| push_new(&mut report.notes, note));
        one.unknown.into_iter().for_each(|unknown| push_new(&mut report.unknown, unknown));
    }
    report.blockers.sort_by_key(|blocker| blocker.gate);
    if views.iter().any(View::judged_only) {
        report.outcome = foreseen(case, &views, &report);
    }
    report
}

/// Causes that leave a client without any answer.
const SILENT: [&str; 5] = [
    "listener/queue-full",
    "listener/md5-required",
    "ingress/no-way-back",
    "ingress/forwarded-no-way-back",
    "ingress/unit-ip-deny",
];

/// What a client elsewhere will see: foreseen, for no attempt was made.
fn foreseen(case: &Case, views: &[View<'_>], report: &Report) -> Outcome {
    let judged = |view: &View<'_>| case.judgement(view.address?);
    let udp = case.target.protocol == Protocol::Udp;
    let stops = |judgement: &Option<Judgement>| judgement.as_ref().is_some_and(|j| j.fate.is_stopped());
    let unasked = report.blockers.iter().any(|blocker| blocker.root == "ingress/duplicate-address");
    if unasked || views.iter().filter_map(judged).any(|j| stops(&j.neighbour_in) || stops(&j.neighbour_out)) {
        // The last machine before this one says so (EHOSTUNREACH), after three questions.
        return Outcome::Unreachable;
    }
    let stopped = views.iter().find_map(|view| {
        let judged = case.judgement(view.address?)?;
        let legs = [&judged.ingress, &judged.reply];
        legs.into_iter().flatten().find_map(|judgement| match judgement.client_sees {
            ClientSees::Failure { outcome, .. } if judgement.fate.is_stopped() => Some(one_outcome(outcome)),
            _ if judgement.fate.is_stopped() => Some(Outcome::TimedOut),
            _ => None,
        })
    });
    match stopped {
        Some(outcome) => outcome,
        None if report.blockers.iter().any(|b| b.gate == Gate::Access) => Outcome::ClosedOnAccept,
        None if report.blockers.iter().flat_map(|b| &b.whys).any(|why| SILENT.contains(&why.id.as_str())) => {
            Outcome::TimedOut
        }
        // This machine only passes the packets on, and the one behind it did not take its own.
        None if let Some(outcome) = views.iter().filter_map(judged).find_map(|j| j.beyond.as_ref()?.failure(udp)) => {
            one_outcome(outcome)
        }
        // The kernel shakes hands, and all that follows is lost.
        None if views.iter().filter_map(judged).any(|j| stops(&j.later))
            && report.blockers.iter().all(|b| b.gate == Gate::Ingress) =>
        {
            Outcome::Open
        }
        // The kernel shakes hands for a process that accepts nothing.
        None if report.blockers.iter().all(|b| b.root == "listener/not-accepting") => Outcome::Open,
        None => Outcome::Refused,
    }
}

/// What was found at one address.
struct Judged {
    journey: Vec<GateInfo>,
    blockers: Vec<Blocker>,
    notes: Vec<Note>,
    unknown: Vec<Unknown>,
}

/// A rule with what it found.
struct Hit {
    rule: &'static Rule,
    fired: Fired,
}

fn judge(view: &View<'_>) -> Judged {
    let mut unknown = Vec::new();
    let mut hits = Vec::new();
    for rule in registry().filter(|rule| rule.begins && is_asked(rule, view)) {
        match (rule.check)(view) {
            Ok(Finding::Fires(fired)) => hits.extend(held_against_attempt(rule, *fired, view)),
            Ok(Finding::Clear) => {}
            Err(cannot_tell) => push_new(&mut unknown, cannot_tell.0),
        }
    }
    let hits = strongest(hits);
    let mut blockers = Vec::new();
    for hit in hits {
        blockers.push(chain(hit, view, &mut unknown));
    }
    blockers.sort_by_key(|b: &Blocker| b.gate);
    contradiction(view, &blockers, &mut unknown);
    if !view.failed() && !view.judged_only() && view.address.is_some() && blockers.is_empty() {
        // It works: what could not be told stopped nobody.
        unknown.clear();
    }
    let titles: Vec<(Gate, String)> =
        blockers.iter().map(|b| (b.gate, b.whys.first().map(|w| w.title.clone()).unwrap_or_default())).collect();
    Judged { journey: journey(view, &titles), blockers, notes: notes::notes(view), unknown }
}

fn is_asked(rule: &Rule, view: &View<'_>) -> bool {
    if view.address.is_none() {
        return rule.gate() == Gate::Name || rule.when == When::Always;
    }
    if view.redirected() && rule.gate() == Gate::Listener {
        // The packets go elsewhere: sockets on the target's own port have no part in it.
        return false;
    }
    if view.judged_only() {
        // The client is elsewhere: its own gates cannot be judged from here.
        return rule.gate() >= Gate::Ingress;
    }
    match rule.when {
        When::Always => true,
        When::Failing => view.failed() && !view.reach.is_past(rule.gate()),
    }
}

/// "Open" in the attempt beats any theory; a cause that does not explain what was seen is less sure.
fn held_against_attempt(rule: &'static Rule, mut fired: Fired, view: &View<'_>) -> Option<Hit> {
    if let Some(seen) = view.outcome()
        && !explains(fired.predicts, seen)
    {
        if seen == AttemptOutcome::Open {
            return None;
        }
        fired.certainty = fired.certainty.lowered();
    }
    if view.judged_only() {
        // It was read and predicts a failure, but no attempt could be made from there.
        fired.certainty = fired.certainty.min(Certainty::Likely);
    }
    Some(Hit { rule, fired })
}

/// Of each gate the strongest finding; of equals the one listed first. A finding that another one stands for is left out;
/// one that stands apart has no part in this.
fn strongest(hits: Vec<Hit>) -> Vec<Hit> {
    let replaced: Vec<bool> = hits
        .iter()
        .map(|hit| hits.iter().any(|other| other.rule.id != hit.rule.id && other.rule.replaces(hit.rule.id)))
        .collect();
    let mut kept: Vec<Hit> = Vec::new();
    for (hit, replaced) in hits.into_iter().zip(replaced) {
        if replaced {
            continue;
        }
        let rival = |other: &&mut Hit| other.rule.gate() == hit.rule.gate() && !other.rule.apart && !hit.rule.apart;
        match kept.iter_mut().find(rival) {
            Some(other) if other.fired.certainty < hit.fired.certainty => *other = hit,
            Some(_) => {}
            None => kept.push(hit),
        }
    }
    kept
}

/// Asks why, until no rule knows a deeper reason.
fn chain(first: Hit, view: &View<'_>, unknown: &mut Vec<Unknown>) -> Blocker {
    let gate = first.rule.gate();
    let mut ids = vec![first.rule.id];
    let mut fixes: Vec<Fix> = Vec::new();
    let mut whys = Vec::new();
    let mut last = first;
    loop {
        let Hit { rule, fired } = last;
        fired.unknown.into_iter().for_each(|u| push_new(unknown, u));
        // The deeper the cause, the better its fix: it goes first, and a sentence that promises the same is left out.
        let promised = |fix: &Fix| fired.fixes.iter().any(|deeper| deeper.verify == fix.verify);
        let told = |fix: &Fix| fired.fixes.contains(fix) || (fix.steps.is_empty() && promised(fix));
        fixes.retain(|fix| !told(fix));
        fixes.splice(0..0, fired.fixes);
        whys.push(Why {
            id: rule.id.to_owned(),
            title: fired.title,
            certainty: fired.certainty,
            evidence: fired.evidence,
        });
        match deeper(rule, &ids, view, unknown) {
            Some(next) if ids.len() < LONGEST_CHAIN => {
                ids.push(next.rule.id);
                last = next;
            }
            _ => {
                if let Some(question) = rule.asks {
                    push_new(unknown, not_looked(question, view));
                }
                break;
            }
        }
    }
    let certainty = whys.iter().map(|w| w.certainty).min().unwrap_or(Certainty::Possible);
    Blocker { gate, root: ids.last().copied().unwrap_or_default().to_owned(), certainty, whys, fixes }
}

fn deeper(of: &Rule, asked: &[&str], view: &View<'_>, unknown: &mut Vec<Unknown>) -> Option<Hit> {
    let mut best: Option<Hit> = None;
    for rule in registry().filter(|r| r.explains.contains(&of.id) && !asked.contains(&r.id)) {
        match (rule.check)(view) {
            Ok(Finding::Fires(fired)) => {
                if best.as_ref().is_none_or(|b| b.fired.certainty < fired.certainty) {
                    best = Some(Hit { rule, fired: *fired });
                }
            }
            Ok(Finding::Clear) => {}
            Err(cannot_tell) => push_new(unknown, cannot_tell.0),
        }
    }
    best
}

fn not_looked(question: &str, view: &View<'_>) -> Unknown {
    let how = if view.is_local() == Some(true) {
        // Where systemd does not run, what is missing says whom to ask in its place.
        let manager = view.case.host.services.value().and_then(|services| services.manager.missing());
        let asked = manager.and_then(|missing| missing.remedy.as_deref());
        let asked = asked.unwrap_or("systemctl list-units --all; journalctl -b -p err");
        format!("{asked}; and the service's own log and configuration")
    } else {
        format!("run unrefuse on the server itself: {}", view.verify_there())
    };
    let looked = view.case.host.services.value().is_some() && view.is_local() == Some(true);
    let why = if looked && view.is_apart() {
        "no unit is told to run in this network namespace, and what runs in the machine's own does not answer here"
    } else if looked {
        "the units of this machine, their logs and what is installed were looked at, and do not tell"
    } else if view.is_local() == Some(true) {
        "not looked at: services, configurations and containers"
    } else {
        "not looked at: the server's services, configurations and containers are not visible from here"
    };
    Unknown { what: question.to_owned(), why: why.to_owned(), how_to_know: how }
}

/// Where no blocker predicts what was seen, the report says so.
fn contradiction(view: &View<'_>, blockers: &[Blocker], unknown: &mut Vec<Unknown>) {
    let Some(attempt) = view.attempt().filter(|_| view.failed()) else { return };
    if blockers.is_empty() {
        push_new(unknown, unanswered(view, attempt));
    }
}

fn merge_journey(all: &mut Vec<GateInfo>, one: Vec<GateInfo>) {
    if all.is_empty() {
        *all = one;
        return;
    }
    let weight = |status| match status {
        GateStatus::Blocks => 3,
        GateStatus::Unknown => 2,
        GateStatus::Pass => 1,
        GateStatus::Skipped => 0,
    };
    for (have, new) in all.iter_mut().zip(one) {
        if weight(new.status) > weight(have.status) {
            *have = new;
        }
    }
}

/// The same root at the same gate, of another address: one blocker with the evidence of both.
fn merge_blocker(all: &mut Vec<Blocker>, new: Blocker) {
    let Some(have) =
        all.iter_mut().find(|b| b.gate == new.gate && b.root == new.root && b.whys.len() == new.whys.len())
    else {
        all.push(new);
        return;
    };
    have.certainty = have.certainty.min(new.certainty);
    for (mine, theirs) in have.whys.iter_mut().zip(new.whys) {
        mine.certainty = mine.certainty.min(theirs.certainty);
        theirs.evidence.into_iter().for_each(|e| push_new(&mut mine.evidence, e));
    }
    new.fixes.into_iter().for_each(|fix| push_new(&mut have.fixes, fix));
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn target(case: &Case) -> TargetInfo {
    let target = &case.target;
    TargetInfo {
        input: target.input.clone(),
        host: target.host.clone(),
        port: target.port,
        protocol: target.protocol.to_string(),
        scheme: target.scheme.clone(),
    }
}

fn vantage(case: &Case) -> VantageInfo {
    let kind = match case.vantage.kind {
        VantageKind::Local => "local",
        VantageKind::Netns => "netns",
        VantageKind::Ssh => "ssh",
        VantageKind::Snapshot => "snapshot",
        VantageKind::From => "from",
    };
    VantageInfo {
        kind: kind.to_owned(),
        host: case.vantage.host.clone(),
        privileged: case.vantage.privileged,
        from: case.vantage.from.clone(),
        container: case.vantage.container.clone(),
        netns: case.vantage.netns.clone(),
    }
}

fn outcome(case: &Case, views: &[View<'_>]) -> Outcome {
    let mut outcomes: Vec<Outcome> = case.attempts.iter().map(|a| one_outcome(a.outcome)).collect();
    outcomes.dedup();
    let open = outcomes.contains(&Outcome::Open);
    match outcomes.as_slice() {
        [] => Outcome::Unresolved,
        [one] => *one,
        _ if open => Outcome::Mixed,
        // All fail, in different ways: the way of the address that applications try first.
        _ => views.first().and_then(View::outcome).map_or(outcomes[0], one_outcome),
    }
}

fn one_outcome(outcome: AttemptOutcome) -> Outcome {
    match outcome {
        AttemptOutcome::Open => Outcome::Open,
        AttemptOutcome::Refused => Outcome::Refused,
        AttemptOutcome::Reset => Outcome::Reset,
        AttemptOutcome::TimedOut => Outcome::TimedOut,
        AttemptOutcome::Unreachable => Outcome::Unreachable,
        AttemptOutcome::Denied => Outcome::Denied,
        AttemptOutcome::ClosedOnAccept => Outcome::ClosedOnAccept,
    }
}

fn attempt_info(case: &Case, attempt: &Attempt) -> AttemptInfo {
    let by = attempt.answer.as_ref().and_then(|answer| {
        let kind = match answer.kind {
            AnswerKind::Rst => "rst",
            AnswerKind::Icmp => "icmp",
            AnswerKind::Local => "local",
            AnswerKind::Accept => return None,
        };
        let refuser = refuser(case, attempt).map(|r| RefuserInfo {
            who: r.who.name().to_owned(),
            certainty: r.certainty,
            evidence: r.evidence,
        });
        Some(By {
            kind: kind.to_owned(),
            icmp_type: answer.icmp_type,
            icmp_code: answer.icmp_code,
            from: answer.from,
            ttl: answer.ttl,
            refuser,
        })
    });
    AttemptInfo {
        address: attempt.address.ip(),
        port: if case.target.protocol == Protocol::Unix { 0 } else { attempt.address.port() },
        outcome: one_outcome(attempt.outcome),
        errno: attempt.errno.and_then(|e| e.name()).map(str::to_owned),
        error: attempt
            .given_up
            .clone()
            .or_else(|| attempt.errno.map(|e| e.text().map_or_else(|| e.to_string(), str::to_owned))),
        by,
        elapsed_us: u64::try_from(attempt.elapsed.as_micros()).unwrap_or(u64::MAX),
    }
}

impl Report {
    /// A client's way in was judged, not tried, and it cannot be told whether this machine's rules let it in.
    pub fn is_undecided(&self) -> bool {
        let unknown = |gate: &GateInfo| gate.gate == Gate::Ingress && gate.status == GateStatus::Unknown;
        self.vantage.kind == "from"
            && self.outcome == Outcome::Open
            && self.blockers.is_empty()
            && !self.unknown.is_empty()
            && self.journey.iter().any(unknown)
    }
    /// The exit status of DESIGN: 0 it works, 1 blocked with a cause, 3 blocked without one.
    pub fn exit_code(&self) -> u8 {
        let first_fails = self.attempts.first().is_none_or(|a| a.outcome != Outcome::Open);
        let fails = match self.outcome {
            // Nobody tried, and whether it is let in depends on what is not known.
            Outcome::Open => !self.blockers.is_empty() || self.is_undecided(),
            Outcome::Mixed => {
                let mut whys = self.blockers.iter().flat_map(|blocker| &blocker.whys);
                first_fails || whys.any(|why| why.id == "path/intermittent")
            }
            _ => true,
        };
        match (fails, self.blockers.is_empty()) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 3,
        }
    }
}

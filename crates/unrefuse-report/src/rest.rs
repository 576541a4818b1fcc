//! What stands beside the blockers: attempts, notes, what could not be told, where it was seen from.

use crate::blocker::piece;
use crate::page::{BODY, Page, Spans};
use crate::style::Ink;
use crate::verdict::{certainty, milliseconds, outcome};
use std::net::{IpAddr, SocketAddr};
use unrefuse_diagnose::report::{AttemptInfo, By, GateStatus, Note, Outcome, Report, Unknown};

/// Open questions that are shown without `-v`.
const UNKNOWN: usize = 3;

/// How each address answers, in short: equal answers of one address are counted.
pub(crate) fn addresses(page: &mut Page<'_>, attempts: &[AttemptInfo]) {
    let mut groups: Vec<(IpAddr, Outcome, usize)> = Vec::new();
    for attempt in attempts {
        match groups.iter_mut().find(|g| g.0 == attempt.address && g.1 == attempt.outcome) {
            Some(group) => group.2 += 1,
            None => groups.push((attempt.address, attempt.outcome, 1)),
        }
    }
    for (address, how, count) in groups {
        let times = if count > 1 { format!(", {count} times") } else { String::new() };
        let (mark, ink) = mark(page, how);
        page.entry(
            4,
            Spans::new(ink, &format!("  {mark}")),
            &Spans::new(Ink::Plain, &format!("{address} {}{times}", outcome(how))),
        );
    }
}

/// Every attempt with who answered.
pub(crate) fn attempts(page: &mut Page<'_>, report: &Report) {
    if report.attempts.is_empty() {
        return;
    }
    heading(page, "attempts");
    for attempt in &report.attempts {
        let (mark, ink) = mark(page, attempt.outcome);
        let at = if report.target.protocol == "unix" {
            page.safe(&report.target.host)
        } else {
            SocketAddr::new(attempt.address, attempt.port).to_string()
        };
        let mut text = format!("{at} {} after {}", outcome(attempt.outcome), milliseconds(attempt.elapsed_us));
        let error: Vec<String> = [&attempt.errno, &attempt.error].into_iter().flatten().map(|e| page.safe(e)).collect();
        if !error.is_empty() {
            text.push_str(&format!(": {}", error.join(", ")));
        }
        page.entry(4, Spans::new(ink, &format!("  {mark}")), &Spans::new(Ink::Plain, &text));
        if let Some(by) = &attempt.by {
            answer(page, by);
        }
    }
}

fn answer(page: &mut Page<'_>, by: &By) {
    let mut text = match by.kind.as_str() {
        "rst" => "answered by a RST".to_owned(),
        "icmp" => match (by.icmp_type, by.icmp_code) {
            (Some(kind), Some(code)) => format!("answered by ICMP type {kind} code {code}"),
            _ => "answered by ICMP".to_owned(),
        },
        "local" => "ended by this machine's own kernel".to_owned(),
        other => format!("answered by {}", page.safe(other)),
    };
    if let Some(from) = by.from {
        text.push_str(&format!(" from {from}"));
    }
    if let Some(ttl) = by.ttl {
        text.push_str(&format!(", TTL {ttl}"));
    }
    page.entry(4, Spans::default(), &Spans::new(Ink::Plain, &text));
    if let Some(refuser) = &by.refuser {
        let who = match refuser.who.as_str() {
            "server-kernel" => "the server's kernel",
            "server-firewall" => "a firewall on the server",
            "router" => "a router on the way",
            "this-machine" => "this machine",
            other => other,
        };
        let who = format!("refused by {} ({})", page.safe(who), certainty(refuser.certainty));
        page.entry(4, Spans::default(), &Spans::new(Ink::Plain, &who));
        for evidence in &refuser.evidence {
            piece(page, 6, evidence);
        }
    }
}

pub(crate) fn notes(page: &mut Page<'_>, notes: &[Note]) {
    for note in notes {
        let text = Spans::new(Ink::Plain, &page.safe(&note.text));
        let text = match &note.source {
            Some(source) => text.then(Ink::Faint, &format!(" [{}]", page.safe(source))),
            None => text,
        };
        page.entry(BODY, Spans::new(Ink::Doubt, "note"), &text);
    }
}

/// What could not be told: what, why, and what would settle it.
pub(crate) fn unknown(page: &mut Page<'_>, unknown: &[Unknown]) {
    heading(page, "cannot tell");
    let shown = if page.style.verbose { unknown.len() } else { UNKNOWN };
    for one in unknown.iter().take(shown) {
        let text = format!("{} {} {}", page.safe(&one.what), page.style.dash(), page.safe(&one.why));
        page.entry(4, Spans::new(Ink::Doubt, "  ?"), &Spans::new(Ink::Plain, &text));
        if !one.how_to_know.is_empty() {
            page.entry(
                4,
                Spans::default(),
                &Spans::new(Ink::Faint, "to know: ").then(Ink::Plain, &page.safe(&one.how_to_know)),
            );
        }
    }
    page.left_out(4, unknown.len().saturating_sub(shown));
}

/// Where facts were seen from, with which rights, and how long it took.
pub(crate) fn vantage(page: &mut Page<'_>, report: &Report) {
    let vantage = &report.vantage;
    let rights = if vantage.privileged { "as root" } else { "without the rights of root" };
    let place = match vantage.kind.as_str() {
        "local" => format!("this machine, {}", page.safe(&vantage.host)),
        "netns" => format!("a network namespace of {}", page.safe(&vantage.host)),
        "ssh" => format!("{} over ssh", page.safe(&vantage.host)),
        "snapshot" => format!("a snapshot of {}", page.safe(&vantage.host)),
        "from" => format!("{}, for another client", page.safe(&vantage.host)),
        other => format!("{} {}", page.safe(other), page.safe(&vantage.host)),
    };
    let from = vantage.from.as_ref().map(|from| format!(" ({})", page.safe(from))).unwrap_or_default();
    page.entry(
        BODY,
        Spans::new(Ink::Faint, "seen from"),
        &Spans::new(Ink::Plain, &format!("{place}{from}, {rights}; it took {} ms", report.elapsed_ms)),
    );
}

fn heading(page: &mut Page<'_>, text: &str) {
    page.entry(0, Spans::default(), &Spans::new(Ink::Strong, text));
}

fn mark(page: &Page<'_>, outcome: Outcome) -> (&'static str, Ink) {
    page.style.mark(if outcome == Outcome::Open { GateStatus::Pass } else { GateStatus::Blocks })
}

//! The answer in one line.

use crate::page::{Page, Spans};
use crate::style::Ink;
use std::net::IpAddr;
use unrefuse_diagnose::report::{AttemptInfo, Certainty, Outcome, Report, TargetInfo, VantageInfo};

/// Writes the verdict: wrapped to the page, or on one line whatever its width.
pub(crate) fn verdict(page: &mut Page<'_>, report: &Report) {
    let (line, tag) = spans(page, report);
    if page.style.quiet {
        let tag = if tag.is_empty() { tag } else { format!(" ({tag})") };
        let line = line.then(Ink::Faint, &tag);
        let whole = line.whole(page.style);
        page.raw(&whole);
    } else {
        page.hanging(2, &line, &tag);
    }
}

fn spans(page: &Page<'_>, report: &Report) -> (Spans, String) {
    let target = Spans::new(Ink::Strong, &endpoint(page, &report.target));
    let ink = match report.outcome {
        _ if report.is_undecided() => Ink::Doubt,
        Outcome::Open if report.blockers.is_empty() => Ink::Good,
        Outcome::Mixed => Ink::Doubt,
        _ => Ink::Bad,
    };
    let line = target.then(Ink::Plain, " ").then(ink, &words(report)).then(Ink::Plain, &inside(page, &report.vantage));
    let Some(blocker) = report.blockers.first() else {
        let line = match report.outcome {
            _ if report.is_undecided() => line.then(Ink::Plain, ": a filter of this machine may stop it"),
            Outcome::Open => line.then(Ink::Plain, &reached(report)),
            _ => line.then(Ink::Plain, ": no cause found"),
        };
        return (line, String::new());
    };
    let root = blocker.whys.last().map_or(&blocker.root, |why| &why.title);
    let sure = match blocker.certainty {
        Certainty::Proven => String::new(),
        other => format!(" ({})", certainty(other)),
    };
    let tag = match report.blockers.len() {
        1 => String::new(),
        several => format!("{several} blockers"),
    };
    (line.then(Ink::Plain, ": ").then(Ink::Strong, &page.safe(root)).then(Ink::Plain, &sure), tag)
}

/// Where the question was asked, if that is not simply this machine: what is said of "this machine" is said of that place.
pub(crate) fn inside(page: &Page<'_>, vantage: &VantageInfo) -> String {
    match (&vantage.container, &vantage.netns) {
        (Some(name), _) => format!(" inside container {}", page.safe(name)),
        (None, Some(name)) => format!(" inside namespace {}", page.safe(name)),
        (None, None) => String::new(),
    }
}

/// `host:port`; IPv6 in brackets, a unix socket as its path, `/udp` behind UDP.
fn endpoint(page: &Page<'_>, target: &TargetInfo) -> String {
    let host = page.safe(&target.host);
    let at = match (target.protocol.as_str(), host.parse::<IpAddr>()) {
        ("unix", _) => return host,
        (_, Ok(IpAddr::V6(_))) => format!("[{host}]:{}", target.port),
        _ => format!("{host}:{}", target.port),
    };
    if target.protocol == "udp" { at + "/udp" } else { at }
}

fn words(report: &Report) -> String {
    if report.is_undecided() {
        return "cannot be told".to_owned();
    }
    if report.outcome != Outcome::Mixed {
        return outcome(report.outcome).to_owned();
    }
    let open = report.attempts.iter().filter(|a| a.outcome == Outcome::Open).count();
    format!("partly open ({open} of {} attempts)", report.attempts.len())
}

/// An outcome in words.
pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open => "open",
        Outcome::Refused => "refused",
        Outcome::Reset => "reset",
        Outcome::TimedOut => "timed out",
        Outcome::Unreachable => "unreachable",
        Outcome::Denied => "denied",
        Outcome::Unresolved => "does not resolve",
        Outcome::ClosedOnAccept => "accepted, then closed",
        Outcome::Mixed => "partly open",
    }
}

/// A certainty in words.
pub(crate) fn certainty(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Possible => "possible",
        Certainty::Likely => "likely",
        Certainty::Proven => "proven",
    }
}

/// Where it was reached, and how fast: ` (10.0.0.5, 0.4 ms)`.
fn reached(report: &Report) -> String {
    let Some(first) = report.attempts.iter().find(|a| a.outcome == Outcome::Open) else { return String::new() };
    let time = milliseconds(first.elapsed_us);
    if report.target.protocol == "unix" {
        return format!(" ({time})");
    }
    let more = other_addresses(&report.attempts, first.address);
    let address =
        if first.address.to_string() == report.target.host { String::new() } else { format!("{}, ", first.address) };
    match more {
        0 => format!(" ({address}{time})"),
        1 => format!(" ({address}{time}; 1 more address)"),
        more => format!(" ({address}{time}; {more} more addresses)"),
    }
}

fn other_addresses(attempts: &[AttemptInfo], first: IpAddr) -> usize {
    let mut others: Vec<IpAddr> = attempts.iter().map(|a| a.address).filter(|a| *a != first).collect();
    others.sort_unstable();
    others.dedup();
    others.len()
}

/// Microseconds for people.
pub(crate) fn milliseconds(us: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let ms = us as f64 / 1000.0;
    match us {
        0..50 => "< 0.1 ms".to_owned(),
        50..9_950 => format!("{ms:.1} ms"),
        9_950..999_500 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!(milliseconds(3), "< 0.1 ms");
        assert_eq!(milliseconds(387), "0.4 ms");
        assert_eq!(milliseconds(9_949), "9.9 ms");
        assert_eq!(milliseconds(9_950), "10 ms");
        assert_eq!(milliseconds(999_499), "999 ms");
        assert_eq!(milliseconds(3_000_400), "3.0 s");
    }
}

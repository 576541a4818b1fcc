//! A blocker: its chain of whys with their evidence, and its fixes.

use crate::fix;
use crate::page::{BODY, Page, Spans};
use crate::style::Ink;
use crate::verdict::certainty;
use unrefuse_diagnose::report::{Blocker, Evidence, GateStatus, Why};

/// Evidence that is shown of a why without `-v`, the strongest first: fewer where the chain is longer.
const EVIDENCE: usize = 3;

pub(crate) fn blocker(page: &mut Page<'_>, blocker: &Blocker) {
    let (mark, ink) = page.style.mark(GateStatus::Blocks);
    let head = Spans::new(ink, &format!("{mark} {}", blocker.gate.name()));
    let mut whys = blocker.whys.iter();
    match whys.next() {
        Some(first) => {
            let title = Spans::new(Ink::Strong, &page.safe(&first.title));
            page.tagged(BODY, head, &title, certainty(blocker.certainty));
            id(page, first);
            evidence(page, first, blocker.whys.len());
        }
        None => {
            let root = Spans::new(Ink::Strong, &page.safe(&blocker.root));
            page.tagged(BODY, head, &root, certainty(blocker.certainty));
        }
    }
    for why in whys {
        let sure = if page.style.verbose { certainty(why.certainty) } else { "" };
        page.tagged(BODY, Spans::new(Ink::Plain, "  why"), &Spans::new(Ink::Strong, &page.safe(&why.title)), sure);
        id(page, why);
        evidence(page, why, blocker.whys.len());
    }
    fix::fixes(page, &blocker.fixes);
}

/// With `-v`, the cause's id: what `unrefuse explain` takes.
fn id(page: &mut Page<'_>, why: &Why) {
    if page.style.verbose {
        let text = Spans::new(Ink::Faint, &format!("cause {}", page.safe(&why.id)));
        page.entry(BODY, Spans::default(), &text);
    }
}

fn evidence(page: &mut Page<'_>, why: &Why, chain: usize) {
    let shown = match page.style.verbose {
        true => why.evidence.len(),
        false if chain > 1 => EVIDENCE - 1,
        false => EVIDENCE,
    };
    for one in why.evidence.iter().take(shown) {
        piece(page, BODY + 2, one);
    }
    page.left_out(BODY + 2, why.evidence.len().saturating_sub(shown));
}

/// One piece of evidence with where it was seen.
pub(crate) fn piece(page: &mut Page<'_>, indent: usize, evidence: &Evidence) {
    let source = page.safe(&evidence.source);
    let seen_in = match &evidence.location {
        Some(location) if source.is_empty() || location.contains(&evidence.source) => page.safe(location),
        Some(location) => format!("{source}, {}", page.safe(location)),
        None => source,
    };
    let text = Spans::new(Ink::Plain, &page.safe(&evidence.text));
    let text = if seen_in.is_empty() { text } else { text.then(Ink::Faint, &format!(" [{seen_in}]")) };
    let bullet = if page.style.unicode { "·" } else { "-" };
    page.entry(indent, Spans::new(Ink::Plain, &" ".repeat(indent - 2)).then(Ink::Faint, bullet), &text);
}

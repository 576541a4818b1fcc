//! The report for a terminal.

use crate::page::Page;
use crate::style::Style;
use crate::verdict::verdict;
use crate::{blocker, gates, rest};
use unrefuse_diagnose::report::{Outcome, Report};

/// Attempts that are listed one by one where no cause was found.
const FEW: usize = 4;

/// `report` as text that ends with a newline: the verdict, the journey, each blocker with its fixes, notes, and what could
/// not be told.
///
/// With [`Style::quiet`] the verdict only, on one line whatever the width. Otherwise no line is wider than the style
/// says, except commands: they are to be pasted and are never wrapped or cut.
pub fn text(report: &Report, style: &Style) -> String {
    let mut page = Page::new(style);
    if report.vantage.container.is_some() {
        page.lasts = "until its next start";
    }
    verdict(&mut page, report);
    if style.quiet {
        return page.finish();
    }
    let calm = report.outcome == Outcome::Open && report.blockers.is_empty();
    if style.verbose {
        page.gap();
        gates::list(&mut page, &report.journey);
    } else {
        if !calm {
            gates::line(&mut page, &report.journey);
        }
        if report.outcome == Outcome::Mixed || (report.blockers.is_empty() && report.attempts.len() > FEW && !calm) {
            rest::addresses(&mut page, &report.attempts);
        }
    }
    for blocker in &report.blockers {
        page.gap();
        blocker::blocker(&mut page, blocker);
    }
    if !report.notes.is_empty() {
        page.gap();
        rest::notes(&mut page, &report.notes);
    }
    if !report.unknown.is_empty() {
        page.gap();
        rest::unknown(&mut page, &report.unknown);
    }
    // Where no cause was found, what was seen is all there is.
    let bare = report.blockers.is_empty() && !calm && report.attempts.len() <= FEW;
    if (style.verbose || bare) && !report.attempts.is_empty() {
        page.gap();
        rest::attempts(&mut page, report);
    }
    if style.verbose {
        page.gap();
        rest::vantage(&mut page, report);
    }
    page.finish()
}

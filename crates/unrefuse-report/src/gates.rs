//! The journey: all gates in one line, or each with its summary.

use crate::page::{BODY, Page, Spans};
use crate::style::Ink;
use crate::wrap::width;
use unrefuse_diagnose::report::{GateInfo, GateStatus};

/// The gates in one line, or in more where they do not fit.
pub(crate) fn line(page: &mut Page<'_>, journey: &[GateInfo]) {
    let cells: Vec<(String, Ink, &str, Ink)> = journey
        .iter()
        .map(|info| {
            let (mark, ink) = page.style.mark(info.status);
            let name = match info.status {
                GateStatus::Blocks => Ink::Bad,
                GateStatus::Skipped => Ink::Faint,
                _ => Ink::Plain,
            };
            (info.gate.name().to_owned(), name, mark, ink)
        })
        .collect();
    let columns = page.style.columns();
    let total =
        |gap: usize| cells.iter().map(|c| width(&c.0) + 1 + width(c.2)).sum::<usize>() + gap * cells.len().max(1) - gap;
    let gap = if total(2) <= columns { 2 } else { 1 };
    let (mut out, mut used) = (String::new(), 0);
    for (name, name_ink, mark, ink) in &cells {
        let takes = width(name) + 1 + width(mark);
        if used > 0 && used + gap + takes > columns {
            page.raw(&out);
            (out, used) = (String::new(), 0);
        }
        if used > 0 {
            out.push_str(&" ".repeat(gap));
            used += gap;
        }
        out.push_str(&page.style.paint(*name_ink, name));
        out.push(' ');
        out.push_str(&page.style.paint(*ink, mark));
        used += takes;
    }
    if used > 0 {
        page.raw(&out);
    }
}

/// Each gate with its summary.
pub(crate) fn list(page: &mut Page<'_>, journey: &[GateInfo]) {
    for info in journey {
        let (mark, ink) = page.style.mark(info.status);
        let label = Spans::new(ink, mark)
            .then(Ink::Plain, if width(mark) > 1 { "" } else { " " })
            .then(if info.status == GateStatus::Blocks { Ink::Bad } else { Ink::Plain }, info.gate.name());
        let summary = Spans::new(
            if info.status == GateStatus::Skipped { Ink::Faint } else { Ink::Plain },
            &page.safe(&info.summary),
        );
        page.entry(BODY, label, &summary);
    }
}

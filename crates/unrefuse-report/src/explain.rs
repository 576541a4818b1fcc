//! Cause pages for a terminal.

use crate::page::{Page, Spans};
use crate::style::{Ink, Style};
use crate::wrap::width;
use unrefuse_diagnose::Gate;

/// A cause's page, written in Markdown (headings, paragraphs, lists, code), laid out for a terminal.
///
/// Blocks of code are never wrapped or cut. Without colour, code keeps its backticks.
pub fn explain(rule_page_markdown: &str, id: &str, title: &str, style: &Style) -> String {
    let mut page = Page::new(style);
    let (id, title) = (page.safe(id), page.safe(title));
    page.hanging(2, &Spans::new(Ink::Strong, &id).then(Ink::Plain, &format!(": {title}")), "");
    let mut lines = rule_page_markdown.lines().peekable();
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if trimmed.starts_with("```") {
            page.gap();
            for code in lines.by_ref().take_while(|l| !l.trim_start().starts_with("```")) {
                let code = style.paint(Ink::Strong, &unrefuse_facts::text::visible(code));
                page.raw(format!("    {code}").trim_end());
            }
        } else if let Some(heading) = heading(trimmed) {
            page.gap();
            page.hanging(0, &Spans::new(Ink::Strong, &page.safe(heading)), "");
        } else if !trimmed.is_empty() {
            let (mark, rest) = bullet(trimmed).unwrap_or(("", trimmed));
            let mut text = rest.to_owned();
            while let Some(next) = lines.next_if(|next| continues(next)) {
                text.push(' ');
                text.push_str(next.trim());
            }
            if mark.is_empty() {
                page.entry(2, Spans::default(), &inline(&page, &text));
            } else {
                let label = format!("  {mark}");
                page.entry(width(&label) + 1, Spans::new(Ink::Plain, &label), &inline(&page, &text));
            }
        } else if lines.peek().is_some_and(|next| {
            !next.trim().is_empty() && heading(next.trim()).is_none() && !next.trim_start().starts_with("```")
        }) {
            page.gap();
        }
    }
    page.finish()
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    (text.len() < line.len()).then(|| text.strip_prefix(' ')).flatten()
}

/// The mark and the text of a list's item.
fn bullet(line: &str) -> Option<(&str, &str)> {
    if let Some(rest) = line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")) {
        return Some(("-", rest.trim_start()));
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let rest = line[digits..].strip_prefix(". ")?;
    (digits > 0).then(|| (&line[..=digits], rest.trim_start()))
}

/// A line that belongs to the paragraph or item before it.
fn continues(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && heading(line).is_none() && bullet(line).is_none() && !line.starts_with("```")
}

/// Code in backticks and `**strong**` words.
fn inline(page: &Page<'_>, text: &str) -> Spans {
    let mut spans = Spans::default();
    for (number, part) in text.split('`').enumerate() {
        let part = page.safe(part);
        if number % 2 == 0 {
            for (number, part) in part.split("**").enumerate() {
                spans = spans.then(if number % 2 == 0 { Ink::Plain } else { Ink::Strong }, part);
            }
        } else if page.style.colour {
            spans = spans.then(Ink::Strong, &part);
        } else {
            spans = spans.then(Ink::Strong, &format!("`{part}`"));
        }
    }
    spans
}

/// All causes, by gate in the packet's order: id and title, one line each where they fit.
pub fn explain_list(items: &[(&str, &str, Gate)], style: &Style) -> String {
    let mut page = Page::new(style);
    let widest = items.iter().map(|item| width(item.0)).max().unwrap_or(0);
    let mut gates: Vec<Gate> = items.iter().map(|item| item.2).collect();
    gates.sort_unstable();
    gates.dedup();
    for gate in gates {
        page.gap();
        page.hanging(0, &Spans::new(Ink::Strong, gate.name()), "");
        for (id, title, _) in items.iter().filter(|item| item.2 == gate) {
            let id = format!("  {}", page.safe(id));
            page.entry(widest + 4, Spans::new(Ink::Plain, &id), &Spans::new(Ink::Plain, &page.safe(title)));
        }
    }
    page.finish()
}

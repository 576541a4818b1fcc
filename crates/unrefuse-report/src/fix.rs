//! Fixes: what to paste, what it may break, how to see that it worked.

use crate::edit::edit_command;
use crate::page::{BODY, Page, Spans};
use crate::style::Ink;
use unrefuse_diagnose::report::{Edit, Fix, Risk, Step};

/// The first fix in full and the titles of the others; all in full with `-v`.
pub(crate) fn fixes(page: &mut Page<'_>, fixes: &[Fix]) {
    for (number, fix) in fixes.iter().enumerate() {
        let label = Spans::new(Ink::Good, if number == 0 { "  fix" } else { "  or" });
        page.tagged(BODY, label, &Spans::new(Ink::Plain, &page.safe(&fix.title)), &nature(page, fix));
        if number == 0 || page.style.verbose {
            full(page, fix);
        }
    }
}

/// What a fix may break, and whether it lasts.
fn nature(page: &Page<'_>, fix: &Fix) -> String {
    let risk = match fix.risk {
        Risk::Low => "low risk",
        Risk::Medium => "medium risk",
        Risk::High => "high risk",
    };
    match (fix.steps.is_empty(), fix.persistent) {
        (true, _) => risk.to_owned(),
        (false, true) => format!("{risk}, persistent"),
        (false, false) => format!("{risk}, {}", page.lasts),
    }
}

fn full(page: &mut Page<'_>, fix: &Fix) {
    for step in &fix.steps {
        self::step(page, Spans::default(), step);
    }
    if page.style.verbose {
        for (number, step) in fix.undo.iter().enumerate() {
            let label = if number == 0 { Spans::new(Ink::Plain, "  undo") } else { Spans::default() };
            self::step(page, label, step);
        }
    }
    if !fix.verify.is_empty() {
        page.command(Spans::new(Ink::Plain, "  verify"), &fix.verify);
    }
}

fn step(page: &mut Page<'_>, label: Spans, step: &Step) {
    match step {
        Step::Command { command } => page.command(label, command),
        Step::Edit { edit } => self::edit(page, label, edit),
    }
}

/// The place, the line as it is and as it becomes, and the command that changes it.
fn edit(page: &mut Page<'_>, label: Spans, edit: &Edit) {
    let place = format!("{}:{}", page.safe(&edit.path), edit.line);
    page.entry(BODY, label, &Spans::new(Ink::Faint, &place));
    for (sign, text, ink) in [("-", &edit.old, Ink::Bad), ("+", &edit.new, Ink::Good)] {
        if !text.is_empty() {
            let label = Spans::new(Ink::Plain, &" ".repeat(BODY + 2)).then(ink, &format!("{} {sign}", edit.line));
            page.entry(BODY + 2, label, &Spans::new(ink, &page.safe(text)));
        }
    }
    match edit_command(edit) {
        Some(command) => page.command_lines(Spans::default(), command.lines()),
        None => page.entry(
            BODY,
            Spans::default(),
            &Spans::new(Ink::Doubt, "(cannot be shown safely as a command: edit the line by hand)"),
        ),
    }
}

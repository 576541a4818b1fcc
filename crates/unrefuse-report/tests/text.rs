//! What a person reads: the whole text of sample reports.

mod samples;

use insta::assert_snapshot;
use unrefuse_report::{Style, text};

fn verbose(width: usize) -> Style {
    Style { verbose: true, ..Style::plain(width) }
}

fn ascii(width: usize) -> Style {
    Style { unicode: false, ..Style::plain(width) }
}

#[test]
fn two_blockers() {
    let report = samples::two_blockers();
    assert_snapshot!("two_blockers_60", text(&report, &Style::plain(60)));
    assert_snapshot!("two_blockers_80", text(&report, &Style::plain(80)));
    assert_snapshot!("two_blockers_120", text(&report, &Style::plain(120)));
    assert_snapshot!("two_blockers_verbose", text(&report, &verbose(80)));
    assert_snapshot!("two_blockers_ascii", text(&report, &ascii(80)));
    assert_snapshot!("two_blockers_ascii_60", text(&report, &ascii(60)));
    let colour = Style { colour: true, ..Style::plain(80) };
    assert_snapshot!("two_blockers_colour", text(&report, &colour).replace('\x1b', "␛"));
}

#[test]
fn healthy() {
    assert_eq!(text(&samples::healthy(), &Style::plain(80)), "db1:5432 open (10.0.0.5, 0.4 ms)\n");
    assert_snapshot!("healthy_with_note", text(&samples::healthy_with_note(), &Style::plain(80)));
    assert_snapshot!("healthy_verbose", text(&samples::healthy(), &verbose(80)));
}

#[test]
fn refused() {
    assert_snapshot!("refused", text(&samples::refused(), &Style::plain(80)));
    assert_snapshot!("refused_verbose", text(&samples::refused(), &verbose(80)));
    assert_snapshot!("refused_60", text(&samples::refused(), &Style::plain(60)));
}

#[test]
fn others() {
    assert_snapshot!("mixed", text(&samples::mixed(), &Style::plain(80)));
    assert_snapshot!("unresolved", text(&samples::unresolved(), &Style::plain(80)));
    assert_snapshot!("unresolved_verbose", text(&samples::unresolved(), &verbose(80)));
    assert_snapshot!("silent", text(&samples::silent(), &Style::plain(80)));
}

#[test]
fn hostile() {
    assert_snapshot!("hostile", text(&samples::hostile(), &Style::plain(80)));
}

#[test]
fn the_verdict_alone_is_one_line() {
    let quiet = Style { quiet: true, ..Style::plain(60) };
    let lines: String =
        samples::all().iter().filter(|(name, _)| *name != "hostile").map(|(_, r)| text(r, &quiet)).collect();
    assert_snapshot!("quiet", lines);
    let hostile = text(&samples::hostile(), &quiet);
    assert!(hostile.lines().count() == 1 && hostile.len() < 4000, "{hostile}");
}

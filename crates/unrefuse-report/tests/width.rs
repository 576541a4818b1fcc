//! What holds of every text: its width, and what may reach a terminal.

mod samples;

use unicode_width::UnicodeWidthStr;
use unrefuse_diagnose::Gate;
use unrefuse_report::{ListenerRow, ReachBy, Style, explain, explain_list, json, listeners, text, who};

/// Every style at `width`.
fn styles(width: usize) -> Vec<Style> {
    let mut styles = Vec::new();
    for bits in 0..8 {
        let (colour, unicode, verbose) = (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0);
        styles.push(Style { width, colour, unicode, verbose, quiet: false });
    }
    styles
}

/// `text` without the colours that this crate writes.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("\x1b[") {
        out.push_str(&rest[..at]);
        let end = rest[at..].find('m').expect("a colour ends");
        let code = &rest[at + 2..at + end];
        assert!(code.bytes().all(|b| b.is_ascii_digit() || b == b';'), "no colour: {code:?}");
        rest = &rest[at + end + 1..];
    }
    out + rest
}

/// The lines that hold no command: commands are never wrapped.
fn prose(text: &str) -> Vec<&str> {
    let (mut script, mut goes_on) = (false, false);
    let mut is_command = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("verify").or_else(|| line.strip_prefix("undo")).unwrap_or(line).trim_start();
        let part = script || goes_on;
        script = line == "sh -euc '" || script && !line.starts_with("' sh ");
        goes_on = part && !script && line.ends_with('\\');
        let starts = ["systemctl ", "sudo ", "ufw ", "unrefuse ", "echo "];
        part || script || starts.iter().any(|start| line.starts_with(start))
    };
    text.lines().filter(|line| !is_command(line)).collect()
}

#[test]
fn no_line_but_a_command_is_wider_than_the_page() {
    for (name, report) in samples::all() {
        for width in [60, 61, 67, 72, 79, 80, 81, 99, 100, 101, 120, 200] {
            for style in styles(width) {
                let text = plain(&text(&report, &style));
                for line in prose(&text) {
                    assert!(line.width() <= width, "{name} at {width}: {line:?} takes {}", line.width());
                    assert_eq!(line.trim_end(), line, "{name}: spaces at the end");
                }
            }
        }
    }
}

#[test]
fn nothing_hidden_reaches_a_terminal() {
    let evil = "\x1b[2J\u{9b}31m\r\u{202e}\u{7f}";
    let row = ListenerRow {
        proto: evil,
        address: evil.into(),
        port: 80,
        process: "x".repeat(1 << 16).into(),
        user: evil.into(),
        unit: evil.into(),
        reach: evil.into(),
        reachable_from: Vec::new(),
        namespace: Some(evil),
    };
    let report = samples::hostile();
    let mut texts = vec![
        json(&report),
        listeners(&[row], ReachBy::Filtered, &Style::plain(80)),
        explain(evil, evil, evil, &Style::plain(80)),
    ];
    texts.push(explain_list(&[(evil, evil, Gate::Name)], &Style::plain(80)));
    texts.push(explain(&format!("## {evil}\n\n```\n{evil}\n```\n- {evil} `{evil}`"), "a/b", "c", &Style::plain(80)));
    texts.push(who(&[], &Style::plain(80)));
    for style in styles(80) {
        texts.push(plain(&text(&report, &style)));
        texts.push(plain(&text(&report, &Style { quiet: true, ..style })));
    }
    for text in texts {
        for line in text.lines() {
            assert_eq!(unrefuse_facts::text::visible(line), line);
        }
        assert!(!text.contains('\r'));
    }
}

#[test]
fn an_endless_string_is_bounded() {
    let report = samples::hostile();
    assert!(text(&report, &Style::plain(80)).len() < 20_000);
    let verbose = Style { verbose: true, ..Style::plain(80) };
    assert!(text(&report, &verbose).len() < 200_000);
}

#[test]
fn without_unicode_our_own_marks_are_ascii() {
    for (name, report) in samples::all().into_iter().filter(|(name, _)| *name != "hostile") {
        for style in styles(60).into_iter().filter(|style| !style.unicode) {
            assert!(text(&report, &style).is_ascii(), "{name}");
        }
    }
}

#[test]
fn with_v_nothing_is_dropped() {
    for (name, report) in samples::all().into_iter().filter(|(name, _)| *name != "hostile") {
        // As wide as it gets, and compared without the breaks of lines.
        let style = Style { verbose: true, ..Style::plain(100) };
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown = squeeze(&text(&report, &style));
        let has = |wanted: &str| assert!(shown.contains(&squeeze(wanted)), "{name}: {wanted:?} is missing in\n{shown}");
        for blocker in &report.blockers {
            for why in &blocker.whys {
                has(&why.id);
                has(&why.title);
                why.evidence.iter().for_each(|e| has(&e.text));
            }
            for fix in &blocker.fixes {
                has(&fix.title);
                has(&fix.verify);
            }
        }
        report.journey.iter().for_each(|gate| has(&gate.summary));
        report.notes.iter().for_each(|note| has(&note.text));
        for unknown in &report.unknown {
            has(&unknown.what);
            has(&unknown.why);
            has(&unknown.how_to_know);
        }
        report.attempts.iter().for_each(|a| has(&a.address.to_string()));
    }
}

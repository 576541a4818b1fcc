//! What a report says against what the scenario expects.

use crate::scenario::{Certainty, Expect};
use serde_json::Value;

/// How one call of unrefuse ended.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Exit status; `None` when it was killed.
    pub(crate) exit: Option<i32>,
    /// The JSON report.
    pub(crate) report: Value,
}

/// The differences between a faulty run's answer and what is expected; empty when there are none.
pub(crate) fn differences(answer: &Answer, expect: &Expect) -> Vec<String> {
    let mut out = Vec::new();
    let mut same = |what: &str, wanted: String, found: String| {
        if wanted != found {
            out.push(format!("{what}: expected {wanted}, found {found}"));
        }
    };
    let report = &answer.report;
    same(
        "exit status",
        expect.exit.unwrap_or(1).to_string(),
        answer.exit.map_or("none (killed)".to_owned(), |e| e.to_string()),
    );
    if let Some(outcome) = &expect.outcome {
        same("outcome", outcome.clone(), text(&report["outcome"]));
    }
    let first = &report["blockers"][0];
    let blockers = report["blockers"].as_array().map_or(0, Vec::len);
    if let Some(root) = &expect.root {
        same("root of the first blocker", root.clone(), text(&first["root"]));
        let gate = expect.gate.clone().unwrap_or_else(|| gate_of(root).to_owned());
        same("gate of the first blocker", gate, text(&first["gate"]));
    }
    let expected = expect.blockers.or_else(|| expect.root.as_ref().map(|_| 1));
    if let Some(count) = expected {
        same("number of blockers", count.to_string(), blockers.to_string());
    }
    if let Some(whys) = &expect.whys {
        same("whys of the first blocker", whys.join(" > "), ids(first).join(" > "));
    }
    for (gate, status) in &expect.journey {
        let found = items(&report["journey"]).find(|step| step["gate"] == gate.as_str());
        same(
            &format!("gate {gate}"),
            status.clone(),
            found.map_or("not in the journey".to_owned(), |step| text(&step["status"])),
        );
    }
    if let Some(wanted) = expect.certainty {
        let found = Certainty::parse(first["certainty"].as_str().unwrap_or_default());
        if found.is_none_or(|found| found < wanted) {
            out.push(format!("certainty: expected at least {wanted:?}, found {}", text(&first["certainty"])));
        }
    }
    for id in &expect.not {
        if items(&report["blockers"]).any(|blocker| blocker["root"] == id.as_str() || ids(blocker).contains(id)) {
            out.push(format!("{id} is named and must not be"));
        }
    }
    let evidence = items(&first["whys"]).flat_map(|why| items(&why["evidence"]));
    mentions("evidence of the first blocker", &evidence.cloned().collect(), &expect.evidence_mentions, &mut out);
    mentions("unknown", &report["unknown"], &expect.unknown_mentions, &mut out);
    mentions("notes", &report["notes"], &expect.notes_mention, &mut out);
    consistent(report, &mut out);
    out
}

/// The differences between a healthy run's answer and silence.
pub(crate) fn healthy(answer: &Answer, notes: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    if answer.exit != Some(0) {
        out.push(format!("exit status: expected 0, found {:?}", answer.exit));
    }
    if answer.report["outcome"] != "open" {
        out.push(format!("outcome: expected open, found {}", text(&answer.report["outcome"])));
    }
    for blocker in items(&answer.report["blockers"]) {
        out.push(format!("blocker {} where nothing is wrong", text(&blocker["root"])));
    }
    mentions("notes", &answer.report["notes"], notes, &mut out);
    consistent(&answer.report, &mut out);
    out
}

/// What a report says of its first blocker, for one who has nothing else of a failed run.
pub(crate) fn said(report: &Value) -> String {
    let mut lines = vec!["it said:".to_owned()];
    for why in items(&report["blockers"][0]["whys"]) {
        lines.push(text(&why["title"]));
        let evidence = items(&why["evidence"]);
        lines.extend(evidence.map(|seen| format!("· {} [{}]", text(&seen["text"]), text(&seen["source"]))));
    }
    lines.join("\n")
}

/// The gate that a root blocks. Behind the listener, roots are filed under what is to blame for it.
fn gate_of(root: &str) -> &str {
    match root.split('/').next().unwrap_or_default() {
        "service" | "config" | "container" => "listener",
        gate => gate,
    }
}

/// What holds for every report: the root is the last why, and no root is told twice.
fn consistent(report: &Value, out: &mut Vec<String>) {
    let mut roots: Vec<String> = items(&report["blockers"]).map(|blocker| text(&blocker["root"])).collect();
    roots.sort();
    for pair in roots.windows(2).filter(|pair| pair[0] == pair[1]) {
        out.push(format!("{} is the root of two blockers", pair[0]));
    }
    for blocker in items(&report["blockers"]) {
        let (root, whys) = (text(&blocker["root"]), ids(blocker));
        if whys.last() != Some(&root) {
            out.push(format!("root {root} is not the last why of {}", whys.join(" > ")));
        }
    }
}

fn mentions(what: &str, place: &Value, words: &[String], out: &mut Vec<String>) {
    for word in words {
        let wanted = word.to_lowercase();
        if !items(place).any(|entry| strings(entry).to_lowercase().contains(&wanted)) {
            out.push(format!("{what}: nothing mentions {word:?}"));
        }
    }
}

/// All strings of a value, one after the other.
fn strings(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(strings).collect::<Vec<_>>().join("\n"),
        Value::Object(map) => map.values().map(strings).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

fn ids(blocker: &Value) -> Vec<String> {
    items(&blocker["whys"]).map(|why| text(&why["id"])).collect()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "nothing".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer() -> Answer {
        let report = json!({
            "outcome": "refused",
            "journey": [{"gate": "listener", "status": "blocks", "summary": ""}],
            "blockers": [{"gate": "listener", "root": "listener/not-accepting", "certainty": "likely", "whys": [
                {"id": "listener/queue-full", "evidence": [{"text": "2 of 1 wait"}]},
                {"id": "listener/not-accepting", "evidence": []},
            ]}],
            "notes": [], "unknown": [{"what": "owner", "why": "not root"}],
        });
        Answer { exit: Some(1), report }
    }

    fn expect(toml: &str) -> Expect {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn what_is_expected_makes_no_difference() {
        let expect = expect(
            "root = 'listener/not-accepting'\noutcome = 'refused'\ncertainty = 'likely'\nblockers = 1\n\
             whys = ['listener/queue-full', 'listener/not-accepting']\njourney = { listener = 'blocks' }\n\
             unknown_mentions = ['ROOT']\nevidence_mentions = ['of 1']\nnot = ['listener/none']",
        );
        assert_eq!(differences(&answer(), &expect), Vec::<String>::new());
    }

    #[test]
    fn each_difference_is_found() {
        for toml in [
            "exit = 3",
            "outcome = 'open'",
            "root = 'listener/none'",
            "gate = 'path'\nroot = 'listener/not-accepting'",
            "certainty = 'proven'",
            "whys = ['listener/queue-full']",
            "not = ['listener/queue-full']",
            "blockers = 2",
            "journey = { route = 'pass' }",
            "unknown_mentions = ['xyz']",
            "notes_mention = ['a']",
            "evidence_mentions = ['zz']",
        ] {
            assert_eq!(differences(&answer(), &expect(toml)).len(), 1, "{toml}");
        }
    }

    #[test]
    fn a_service_or_its_configuration_blocks_the_listener() {
        assert_eq!(
            ["service/failed", "config/overridden", "route/none"].map(gate_of),
            ["listener", "listener", "route"]
        );
    }

    #[test]
    fn a_twin_wants_silence() {
        assert_eq!(healthy(&answer(), &[]).len(), 3);
        let quiet = Answer { exit: Some(0), report: json!({"outcome": "open", "blockers": [], "notes": []}) };
        assert!(healthy(&quiet, &[]).is_empty());
    }
}

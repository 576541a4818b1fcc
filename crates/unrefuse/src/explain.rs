//! `unrefuse explain`: the pages of the causes, and what is behind the messages of programs.

mod symptoms;

use crate::cli::{ExplainArgs, WrongCall};
use crate::output;
use symptoms::Symptom;
use unrefuse_diagnose::{Rule, find, registry};

pub(crate) fn run(arguments: &ExplainArgs) -> anyhow::Result<u8> {
    let style = output::style(&arguments.paint, false, false);
    if let Some(symptom) = Symptom::find(&arguments.words.join(" ")) {
        let ((name, code), page) = (symptom.head(), symptom.page());
        output::print(&match arguments.markdown {
            true => format!("# {name}: {code}\n\n{page}"),
            false => unrefuse_report::explain(&page, name, code, &style),
        })?;
        return Ok(0);
    }
    let rules = chosen(&arguments.words)?;
    let text = match rules.as_slice() {
        rules if arguments.markdown => rules.iter().map(|rule| markdown(rule)).collect::<Vec<_>>().join("\n"),
        [rule] => unrefuse_report::explain(&rule.markdown(), rule.id, rule.title, &style),
        rules => {
            let items: Vec<_> = rules.iter().map(|rule| (rule.id, rule.title, rule.gate())).collect();
            unrefuse_report::explain_list(&items, &style)
        }
    };
    output::print(&text)?;
    Ok(0)
}

/// A cause's page with its heading.
pub fn markdown(rule: &Rule) -> String {
    format!("# {}: {}\n\n{}", rule.id, rule.title, rule.markdown())
}

/// All without words; one by its id; else those whose id, title or page hold every word.
fn chosen(words: &[String]) -> anyhow::Result<Vec<&'static Rule>> {
    if let [id] = words
        && let Some(rule) = find(id)
    {
        return Ok(vec![rule]);
    }
    let words: Vec<String> = words.iter().flat_map(|w| w.split_whitespace()).map(str::to_lowercase).collect();
    let holds = |rule: &&Rule, word: &String| {
        rule.id.contains(word.as_str())
            || rule.title.to_lowercase().contains(word)
            || rule.markdown().to_lowercase().contains(word)
    };
    let found: Vec<_> = registry().filter(|rule| words.iter().all(|word| holds(rule, word))).collect();
    if found.is_empty() {
        let asked = words.join(" ");
        let near = nearest(&asked).map(|id| format!("did you mean {id}? ")).unwrap_or_default();
        let why = format!("no cause is called or speaks of '{asked}': {near}`unrefuse explain` lists all");
        return Err(WrongCall(why).into());
    }
    Ok(found)
}

/// The id, or the end of one, that differs least from `asked`; none where it is another word altogether.
fn nearest(asked: &str) -> Option<&'static str> {
    let likeness = |id: &str| {
        let slug = id.split_once('/').map_or(id, |(_, slug)| slug);
        strsim::jaro_winkler(id, asked).max(strsim::jaro_winkler(slug, asked))
    };
    let (id, near) = registry().map(|rule| (rule.id, likeness(rule.id))).max_by(|a, b| a.1.total_cmp(&b.1))?;
    (near > 0.9).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(words: &[&str]) -> Vec<&'static str> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        chosen(&words).map(|rules| rules.iter().map(|r| r.id).collect()).unwrap_or_default()
    }

    #[test]
    fn by_id_by_word_and_all() {
        assert_eq!(ids(&["listener/none"]), ["listener/none"]);
        assert_eq!(ids(&[]).len(), registry().count());
        assert!(ids(&["RST"]).contains(&"listener/none"), "words are found in any case");
        assert!(ids(&["no-such-word-anywhere"]).is_empty());
    }

    #[test]
    fn a_slip_of_the_finger_is_led_to_the_id() {
        assert_eq!(nearest("listener/nome"), Some("listener/none"));
        assert_eq!(nearest("lopback-only"), Some("listener/loopback-only"));
        assert_eq!(nearest("no-such-word-anywhere"), None);
    }
}

//! `unrefuse explain`: the pages of the causes.

use crate::cli::{ExplainArgs, WrongCall};
use crate::output;
use unrefuse_diagnose::{Rule, find, registry};

pub(crate) fn run(arguments: &ExplainArgs) -> anyhow::Result<u8> {
    let rules = chosen(&arguments.words)?;
    let style = output::style(&arguments.paint, false, false);
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
        return Err(
            WrongCall(format!("no cause is called or speaks of '{asked}': `unrefuse explain` lists all")).into()
        );
    }
    Ok(found)
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
}

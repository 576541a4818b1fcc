//! docs/cause-ids.txt: every id that ever landed. Lines are only added; an id that is gone is marked as retired.

use anyhow::{Result, bail};

/// Where the list is, relative to the root.
pub(crate) const FILE: &str = "docs/cause-ids.txt";

/// What stands between an id and the reason why it is retired.
const RETIRED: &str = " retired: ";

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `gate/slug`.
    pub(crate) id: String,
    /// Why it is not used any more.
    pub(crate) retired: Option<String>,
}

/// Reads the list; comments begin with `#`.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (id, retired) = match line.split_once(RETIRED) {
            Some((id, why)) => (id, Some(why.to_owned())),
            None => (line, None),
        };
        let fine = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !id.split_once('/').is_some_and(|(gate, slug)| fine(gate) && fine(slug)) {
            bail!("{FILE}:{}: `{id}` is not of the form gate/slug", number + 1);
        }
        if entries.iter().any(|entry| entry.id == id) {
            bail!("{FILE}:{}: {id} is listed twice", number + 1);
        }
        entries.push(Entry { id: id.to_owned(), retired });
    }
    Ok(entries)
}

/// The list with the ids of the registry that are new to it.
pub(crate) fn extended<'a>(text: &str, registry: impl Iterator<Item = &'a str>) -> Result<String> {
    let known = parse(text)?;
    let mut new = text.to_owned();
    for id in registry {
        if !known.iter().any(|entry| entry.id == id) {
            new.push_str(id);
            new.push('\n');
        }
    }
    Ok(new)
}

/// What is wrong with the list beside the registry, and beside the list as it was committed before.
pub(crate) fn faults(now: &[Entry], before: &[Entry], registry: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    for entry in now {
        match (registry.contains(&entry.id.as_str()), &entry.retired) {
            (true, Some(_)) => {
                faults.push(format!("{}: retired, and yet a rule has it: ids are never used again", entry.id))
            }
            (false, None) => faults.push(format!(
                "{}: no rule has it any more: write `{}{RETIRED}why` in {FILE}, or bring the rule back",
                entry.id, entry.id
            )),
            _ => {}
        }
    }
    for entry in before {
        match now.iter().find(|other| other.id == entry.id) {
            None => faults.push(format!("{}: was in {FILE} and is gone: lines are only added", entry.id)),
            Some(other) if entry.retired.is_some() && other.retired.is_none() => {
                faults.push(format!("{}: was retired and is in use again: take a new id", entry.id));
            }
            Some(_) => {}
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# ids\nlistener/none\nlistener/old retired: two causes in one\n";

    #[test]
    fn a_list_is_read_with_its_retired_ids() {
        let entries = parse(LIST).unwrap();
        assert_eq!(entries[0], Entry { id: "listener/none".into(), retired: None });
        assert_eq!(entries[1], Entry { id: "listener/old".into(), retired: Some("two causes in one".into()) });
    }

    #[test]
    fn what_is_no_id_or_stands_twice_is_refused_with_its_line() {
        assert!(parse("listener/none\nlistener\n").unwrap_err().to_string().contains(":2:"));
        assert!(parse("listener/None\n").is_err());
        assert!(parse("a/b\na/b retired: no\n").unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn new_ids_are_added_at_the_end() {
        let new = extended(LIST, ["listener/none", "route/none"].into_iter()).unwrap();
        assert_eq!(new, format!("{LIST}route/none\n"));
    }

    #[test]
    fn ids_neither_vanish_nor_come_back() {
        let before = parse(LIST).unwrap();
        assert_eq!(faults(&before, &before, &["listener/none"]), Vec::<String>::new());
        assert!(faults(&before, &before, &[])[0].contains("no rule has it"));
        assert!(faults(&before, &before, &["listener/none", "listener/old"])[0].contains("never used again"));
        let shorter = parse("listener/none\n").unwrap();
        assert!(faults(&shorter, &before, &["listener/none"])[0].contains("gone"));
        let revived = parse("listener/none\nlistener/old\n").unwrap();
        assert!(faults(&revived, &before, &["listener/none", "listener/old"])[0].contains("in use again"));
    }
}

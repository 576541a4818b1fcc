//! A legacy table as a kernel gave it, and what it is read into; cut and damaged ones are read too.

use std::collections::HashMap;
use unrefuse_firewall::model::{Backend, Family, Hook, Policy, Problem, Statement, Table, Verdict};
use unrefuse_firewall::xt::legacy::{Layout, decode};

const CAPTURED: &str = include_str!("legacy_entries.txt");

fn bytes(kind: &str) -> Vec<u8> {
    let hex = CAPTURED.lines().find_map(|line| line.strip_prefix(kind)).expect(kind).trim();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn read(info: &[u8], entries: &[u8]) -> Option<(Table, Vec<Problem>)> {
    let layout = Layout::read(info)?;
    Some(decode(Family::Ip, "filter", &layout, entries, &HashMap::new()))
}

#[cfg(all(target_endian = "little", target_pointer_width = "64"))]
#[test]
fn a_table_is_written_as_it_was_loaded() {
    let (table, problems) = read(&bytes("info "), &bytes("entries ")).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!((table.backend, table.name.as_str()), (Backend::Legacy, "filter"));
    let written: Vec<&str> = CAPTURED.lines().filter_map(|line| line.strip_prefix("rule ")).collect();
    let of = |chain: &str| table.chains[chain].rules.iter().map(|r| r.text().to_owned()).collect::<Vec<_>>();
    let read: Vec<String> = ["INPUT", "own", "own2"].into_iter().flat_map(of).collect();
    assert_eq!(read, written);
    let input = &table.chains["INPUT"];
    let base = input.base.as_ref().unwrap();
    assert_eq!((base.hook, base.priority, base.policy), (Hook::Input, 0, Policy::Drop));
    assert_eq!(input.rules[0].comment.as_deref(), Some("it is ssh"));
    assert_eq!(input.rules[2].statements.last(), Some(&Statement::Verdict(Verdict::Goto("own".into()))));
    assert_eq!(input.rules.iter().map(|r| r.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(table.chains["own"].base.is_none() && table.chains["OUTPUT"].rules.is_empty());
}

#[test]
fn cut_and_damaged_blocks_are_read() {
    let (info, entries) = (bytes("info "), bytes("entries "));
    for length in 0..entries.len() {
        if let Some((_, problems)) = read(&info, &entries[..length]) {
            // An empty block holds together.
            let whole = length == 0 || !problems.is_empty() || !entries[..length].ends_with(&[0; 8]);
            assert!(whole || length % 8 == 0, "cut at {length}");
        }
    }
    for at in 0..entries.len() {
        let mut damaged = entries.clone();
        damaged[at] ^= 0x41;
        read(&info, &damaged).unwrap();
    }
    for at in 32..info.len() {
        let mut damaged = info.clone();
        damaged[at] ^= 0x41;
        read(&damaged, &entries).unwrap();
    }
    assert!(read(&info[..80], &entries).is_none());
}

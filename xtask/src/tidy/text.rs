//! What no file of the tree may hold.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::File;

/// No Rust file is longer, in lines.
const LONGEST: usize = 700;

/// Text that must not be in Rust files, and what to do instead. Written in pieces, so that this file does not hold it.
const BANNED_IN_RUST: &[(&str, &str)] = &[
    (concat!("to", "do!"), "write it, or open an issue"),
    (concat!("unimple", "mented!"), "write it, or open an issue"),
    (concat!("#[ig", "nore"), "a test that does not run proves nothing: make it run, or delete it"),
];

/// Text that must not be in any file.
const BANNED: &[(&str, &str)] =
    &[(concat!("FIX", "ME"), "do it, or open an issue"), (concat!("<<<<", "<<< "), "a merge was not finished")];

/// Folders that exist on somebody's machine only.
const MACHINE_FOLDERS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/tmp/tar", "get")];

/// The checks that look at one file, and the links between Markdown files.
pub(super) fn check(tree: &[File]) -> Vec<String> {
    let mut faults: Vec<String> = tree.iter().flat_map(one).collect();
    let paths: BTreeSet<&Path> = tree.iter().map(|file| file.path.as_path()).collect();
    faults.extend(tree.iter().filter(|file| file.has_extension("md")).flat_map(|file| broken_links(file, &paths)));
    faults
}

fn one(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = file.text.lines().count();
    if file.has_extension("rs") && lines > LONGEST {
        faults.push(file.fault(lines, &format!("{lines} lines are more than {LONGEST}: split it")));
    }
    let script = file.has_extension("sh") || file.text.starts_with("#!");
    // `#![…]` begins a Rust file with an inner attribute.
    if script && !file.text.starts_with("#![") {
        if !file.executable {
            faults.push(file.fault(1, "a script that cannot be executed: chmod +x it"));
        }
        let strict = ["set -e", "set -u"].iter().any(|start| file.text.contains(start));
        if file.text.lines().next().is_some_and(|line| line.ends_with("sh")) && !strict {
            faults.push(file.fault(1, "a script that goes on after an error: begin it with `set -eu`"));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') && !is_sample(&file.path) {
        faults.push(file.fault(lines, "the last line has no end"));
    }
    for (index, line) in file.text.lines().enumerate() {
        let mut banned = |list: &[(&str, &str)]| {
            for (text, instead) in list.iter().filter(|(text, _)| line.contains(text)) {
                faults.push(file.fault(index + 1, &format!("`{text}`: {instead}")));
            }
        };
        banned(BANNED);
        if file.has_extension("rs") {
            banned(BANNED_IN_RUST);
        }
        if !is_sample(&file.path) {
            for folder in MACHINE_FOLDERS.iter().filter(|folder| names_folder(line, folder)) {
                faults.push(
                    file.fault(index + 1, &format!("`{folder}` is a folder of one machine: use a relative path")),
                );
            }
        }
    }
    faults
}

/// Samples are kept as they were captured.
fn is_sample(path: &Path) -> bool {
    path.components()
        .any(|part| matches!(part.as_os_str().to_str(), Some("samples" | "fixtures" | "seeds" | "testdata")))
}

/// Whether a line names something in that folder of the root, and not a folder of that name further down.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '*' | '/' | '~'))
    })
}

/// Links `](path)` of a Markdown file to files that are not in the tree.
fn broken_links(file: &File, paths: &BTreeSet<&Path>) -> Vec<String> {
    let mut faults = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for (at, _) in line.match_indices("](") {
            let link = line[at + 2..].split([')', ' ', '#']).next().unwrap_or_default();
            if link.is_empty() || link.contains(':') {
                continue;
            }
            let target = resolve(file.path.parent().unwrap_or(Path::new("")), link);
            if !paths.iter().any(|path| path.starts_with(&target)) {
                faults.push(file.fault(index + 1, &format!("the link {link} leads to no file of the tree")));
            }
        }
    }
    faults
}

fn resolve(folder: &Path, link: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in folder.join(link).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<String> {
        check(&[file(path, text)])
    }

    #[test]
    fn an_honest_file_has_no_fault() {
        assert_eq!(faults("crates/a/src/lib.rs", "#![forbid(unsafe_code)]\nfn main() {}\n"), Vec::<String>::new());
    }

    #[test]
    fn unfinished_work_is_found_with_its_line() {
        for (text, _) in BANNED_IN_RUST.iter().chain(BANNED) {
            let found = faults("src/a.rs", &format!("fn a() {{\n    {text}\n}}\n"));
            assert!(found.len() == 1 && found[0].starts_with("src/a.rs:2: "), "{text}: {found:?}");
        }
    }

    #[test]
    fn a_file_may_have_so_many_lines_and_no_more() {
        assert_eq!(faults("src/a.rs", &"\n".repeat(LONGEST)), Vec::<String>::new());
        assert!(faults("src/a.rs", &"\n".repeat(LONGEST + 1))[0].contains("split it"));
        assert_eq!(faults("docs/a.md", &"\n".repeat(LONGEST + 1)), Vec::<String>::new());
    }

    #[test]
    fn a_script_is_executable_and_strict() {
        let found = faults("a.sh", "#!/bin/sh\necho\n");
        assert!(found[0].contains("chmod") && found[1].contains("set -eu"), "{found:?}");
        let script = File { executable: true, ..file("a", "#!/usr/bin/env bash\nset -euo pipefail\n") };
        assert_eq!(check(&[script]), Vec::<String>::new());
    }

    #[test]
    fn folders_of_one_machine_are_found_but_not_their_namesakes() {
        assert!(faults("a.md", concat!("see /wo", "rk/x\n"))[0].contains("one machine"));
        assert_eq!(faults("a.md", concat!("see ./wo", "rk/x and lab/wo", "rk/\n")), Vec::<String>::new());
        assert_eq!(faults("crates/a/samples/x.txt", concat!("/ho", "me/joe")), Vec::<String>::new());
    }

    #[test]
    fn links_lead_to_files_and_folders_of_the_tree() {
        let tree = |link: &str| check(&[file("docs/a.md", &format!("[a]({link})\n")), file("docs/causes/b.md", "")]);
        for fine in ["causes/b.md", "causes/b.md#top", "causes", "../docs/causes/b.md", "https://a.example", "#top"] {
            assert_eq!(tree(fine), Vec::<String>::new(), "{fine}");
        }
        assert!(tree("b.md")[0].starts_with("docs/a.md:1: "));
    }
}

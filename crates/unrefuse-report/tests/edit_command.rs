//! The command of an edit does what it says, in every shell and set of tools that is installed here.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what a printed command does is seen only by running it on a file; a shell that is not there is told"
)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use unrefuse_diagnose::report::Edit;
use unrefuse_report::edit_command;

/// A directory of its own, gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("unrefuse-edit-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
    fn file(&self, content: &[u8]) -> PathBuf {
        let path = self.0.join("it's a file");
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The shells that a command may be pasted into; `sh` is always there.
fn shells() -> Vec<Vec<&'static str>> {
    let mut shells = vec![vec!["sh", "-c"]];
    for shell in [&["dash", "-c"][..], &["bash", "-c"], &["bash", "-C", "-c"], &["busybox", "sh", "-c"], &["zsh", "-c"]]
    {
        if Command::new(shell[0]).args(&shell[1..]).arg("true").output().is_ok_and(|o| o.status.success()) {
            shells.push(shell.to_vec());
        }
    }
    shells
}

fn run(shell: &[&str], command: &str) -> Output {
    Command::new(shell[0]).args(&shell[1..]).arg(command).output().unwrap()
}

fn edit(path: &Path, line: u32, old: &str, new: &str) -> Edit {
    Edit { path: path.to_str().unwrap().into(), line, old: old.into(), new: new.into() }
}

/// Applies `edit` in every shell to `content` and holds the file against `wanted`.
fn becomes(name: &str, content: &str, line: u32, old: &str, new: &str, wanted: &str) {
    let scratch = Scratch::new(name);
    for shell in shells() {
        let path = scratch.file(content.as_bytes());
        let command = edit_command(&edit(&path, line, old, new)).unwrap();
        let output = run(&shell, &command);
        assert!(output.status.success(), "{shell:?}: {command}\n{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fs::read_to_string(&path).unwrap(), wanted, "{shell:?}: {command}");
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{shell:?}: {output:?}");
    }
}

#[test]
fn one_line_changes_and_the_others_stay() {
    becomes("middle", "a\nb\nc\n", 2, "b", "x", "a\nx\nc\n");
    becomes("first", "a\nb\n", 1, "a", "x", "x\nb\n");
    becomes("last", "a\nb\n", 2, "b", "x", "a\nx\n");
    becomes("last-open", "a\nb", 2, "b", "x", "a\nx\n");
    becomes("other-open", "a\nb", 1, "a", "x", "x\nb");
    becomes("only", "a\n", 1, "a", "x", "x\n");
}

#[test]
fn a_line_is_taken_out_and_put_back() {
    becomes("out", "a\nb\nc\n", 2, "b", "", "a\nc\n");
    becomes("out-first", "a\nb\n", 1, "a", "", "b\n");
    becomes("out-only", "a\n", 1, "a", "", "");
    becomes("in", "a\nc\n", 2, "", "b", "a\nb\nc\n");
    becomes("in-first", "b\n", 1, "", "a", "a\nb\n");
    becomes("in-last", "a\n", 2, "", "b", "a\nb\n");
}

#[test]
fn no_character_has_a_meaning() {
    let texts = [
        "listen_addresses = 'localhost'\t\t# what IP address(es) to listen on;",
        r"back\slash \n \t \0 \\ end\",
        r"tab	and \t \\ both\	",
        "& % %s %d $HOME ${x} $(touch /nowhere) `id` !! !$ ~ * ? [a-z] {a,b} ; | < > \"quoted\" # x",
        "-n",
        "-e \\c",
        "!",
        "(",
        "=",
        "007",
        "  leading and trailing  ",
        "höst.example 漢字 🧀 e\u{301}",
        "'",
        "''\\''",
        "\t",
    ];
    for (number, old) in texts.iter().enumerate() {
        let new = texts[(number + 1) % texts.len()];
        becomes(&format!("text{number}"), &format!("a\n{old}\nc\n"), 2, old, new, &format!("a\n{new}\nc\n"));
    }
}

#[test]
fn bytes_that_are_no_text_stay() {
    let scratch = Scratch::new("bytes");
    for shell in shells() {
        let path = scratch.file(b"\xff\x00\xfe\r\nb\n\x00\xc3");
        assert!(run(&shell, &edit_command(&edit(&path, 2, "b", "x")).unwrap()).status.success());
        assert_eq!(fs::read(&path).unwrap(), b"\xff\x00\xfe\r\nx\n\x00\xc3", "{shell:?}");
    }
}

#[test]
fn a_line_that_reads_otherwise_stays() {
    let scratch = Scratch::new("otherwise");
    for shell in shells() {
        for (content, line, old) in [
            ("a\nB\n", 2, "b"),
            ("a\n", 2, "b"),
            ("b \n", 1, "b"),
            ("1.0\n", 1, "1"),
            ("b\r\n", 1, "b"),
            ("", 1, "b"),
            ("a", 2, ""),
        ] {
            let path = scratch.file(content.as_bytes());
            let output = run(&shell, &edit_command(&edit(&path, line, old, "x")).unwrap());
            assert!(!output.status.success(), "{shell:?}: {content:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains(&format!("line {line} reads otherwise: nothing changed")), "{said}");
        }
    }
}

#[test]
fn a_missing_file_is_not_made() {
    let scratch = Scratch::new("missing");
    let path = scratch.0.join("none");
    let output = run(&["sh", "-c"], &edit_command(&edit(&path, 1, "a", "b")).unwrap());
    assert!(!output.status.success());
    assert!(!path.exists());
}

#[test]
fn mode_inode_and_symlink_stay_and_no_copy_is_left() {
    let scratch = Scratch::new("inode");
    for shell in shells() {
        let path = scratch.file(b"a\nb\n");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let before = fs::metadata(&path).unwrap();
        let link = scratch.0.join("link");
        let _ = fs::remove_file(&link);
        symlink(&path, &link).unwrap();
        let temporary = scratch.0.join("tmp");
        fs::create_dir_all(&temporary).unwrap();
        let output = Command::new(shell[0])
            .args(&shell[1..])
            .arg(edit_command(&edit(&link, 2, "b", "x")).unwrap())
            .env("TMPDIR", &temporary)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let after = fs::metadata(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"a\nx\n");
        assert_eq!((before.ino(), before.mode(), before.uid()), (after.ino(), after.mode(), after.uid()));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
    }
}

/// As a person does it: the indentation of the page is pasted with it, into a shell that expands its history.
#[test]
fn it_is_pasted_into_a_prompt_as_it_is_printed() {
    let Ok(found) = Command::new("bash").arg("--version").output() else {
        println!("not tested: there is no bash");
        return;
    };
    assert!(found.status.success());
    let scratch = Scratch::new("paste");
    for old in ["b", "!b !! !$", "it's !b", "a\ttab", "ends in \\"] {
        let path = scratch.file(format!("a\n{old}\nc\n").as_bytes());
        let command = edit_command(&edit(&path, 2, old, "new !! 'x'")).unwrap();
        let indented: String = command.lines().map(|line| format!("            {line}\n")).collect();
        let output = pasted(&indented);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\nnew !! 'x'\nc\n", "{indented}\n{output:?}");
    }
}

#[test]
fn a_paste_that_is_cut_off_changes_nothing() {
    let scratch = Scratch::new("cut");
    let path = scratch.file(b"a\nb\nc\n");
    let command = edit_command(&edit(&path, 2, "b", "x")).unwrap();
    for shell in shells() {
        for lines in 1..command.lines().count() {
            let part: Vec<&str> = command.lines().take(lines).collect();
            let output = run(&shell, &(part.join("\n") + "\n"));
            assert_eq!(fs::read(&path).unwrap(), b"a\nb\nc\n", "{shell:?}: {part:?}: {output:?}");
        }
    }
    pasted(&command);
    assert_eq!(fs::read(&path).unwrap(), b"a\nx\nc\n", "the whole of it does");
}

/// Gives `text` to an interactive bash as its input.
fn pasted(text: &str) -> Output {
    use std::io::Write;
    use std::process::Stdio;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-i"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = bash.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("set -o histexpand\n{text}").as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

//! What the README promises holds.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/unrefuse lies two folders down")
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

#[test]
fn cargo_run_is_the_command() {
    assert!(readme().contains("\ncargo run --release -- localhost 80\n"));
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let default = metadata["workspace_default_members"].as_array().unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter().filter(|package| default.contains(&package["id"]));
    let targets = packages.flat_map(|package| package["targets"].as_array().unwrap());
    let binaries: Vec<&str> = targets
        .filter(|target| target["kind"].as_array().unwrap().contains(&"bin".into()))
        .filter_map(|target| target["name"].as_str())
        .collect();
    assert_eq!(binaries, ["unrefuse"], "cargo asks which of several is meant");
}

#[test]
fn what_it_installs_is_there() {
    let readme = readme();
    let files: Vec<&str> =
        readme.split_whitespace().filter(|word| word.starts_with("docs/") && !word.contains('*')).collect();
    assert!(files.contains(&"docs/completions/unrefuse.bash"), "{files:?}");
    for file in files {
        assert!(root().join(file).exists(), "{file}");
    }
    assert!(readme.contains("docs/man/*.1") && root().join("docs/man/unrefuse.1").exists());
}

#[test]
fn every_command_it_lists_has_its_help() {
    let readme = readme();
    let listed: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("unrefuse ")).collect();
    assert!(listed.len() > 4, "{listed:?}");
    for line in listed {
        let Some(name) = line.split_whitespace().next().filter(|word| word.starts_with(char::is_alphabetic)) else {
            continue;
        };
        let output = Command::new(env!("CARGO_BIN_EXE_unrefuse")).args([name, "--help"]).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("unrefuse {name}")), "{line}");
    }
}

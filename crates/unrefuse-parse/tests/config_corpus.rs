//! Real configurations: `shared/corpus/nginx` with what nginx's own parser library says of them, and
//! `shared/corpus/config-samples`, beside the project. A folder that is not there is said, and its test did not run.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "tests read their samples and say what they could not"
)]

mod folder;

use folder::Folder;
use serde_json::Value;
use std::path::{Path, PathBuf};
use unrefuse_facts::{ConfiguredListen, Origin};
use unrefuse_parse::config::{Parsed, Start, grammar};

fn corpus(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus").join(folder);
    if !path.is_dir() {
        eprintln!("did not run: no {}", path.display());
        return None;
    }
    Some(path)
}

fn parse(service: &str, main: &str, files: &mut Folder) -> Parsed {
    grammar(service).unwrap()(&Start { files: &[main.to_owned()], ..Start::default() }, files)
}

/// A listen directive: file, line and value.
type Listen = (String, u64, String);

/// The `listen` directives of server blocks.
fn expected(file: &str, block: &Value, in_server: bool, found: &mut Vec<Listen>) {
    for directive in block.as_array().into_iter().flatten() {
        let name = directive["directive"].as_str().unwrap_or_default();
        if name == "listen" && in_server {
            let value = directive["args"][0].as_str().unwrap_or_default();
            found.push((file.to_owned(), directive["line"].as_u64().unwrap(), value.to_owned()));
        }
        expected(file, &directive["block"], name == "server", found);
    }
}

fn found(parsed: &Parsed) -> Vec<Listen> {
    let mut found: Vec<Listen> = Vec::new();
    for line in parsed.listens.iter().filter_map(|listen| listen.address_from.origin.line()) {
        let value = line.value().unwrap_or_default().trim_matches(['"', '\'']).to_owned();
        found.push((line.location.path.clone(), u64::from(line.location.line), value));
    }
    found.sort();
    found.dedup();
    found
}

/// Whether the answer is one of this file: two folders have the answers of others.
fn stands_there(files: &Folder, (file, line, value): &Listen) -> bool {
    let text = std::fs::read_to_string(files.path(file)).unwrap_or_default();
    let line = text.lines().nth(usize::try_from(*line).unwrap() - 1).unwrap_or_default();
    line.contains("listen") && line.contains(value)
}

#[test]
fn nginx_listens_stand_where_crossplane_finds_them() {
    let Some(configs) = corpus("nginx/configs") else { return };
    let (mut compared, mut listens, mut lost) = (0, 0, Vec::new());
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&configs).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    for folder in folders {
        let Some(text) = ["xp.json", "nginx.json"].iter().find_map(|name| std::fs::read(folder.join(name)).ok()) else {
            continue;
        };
        let said: Value = serde_json::from_slice(&text).unwrap();
        let main = said["config"][0]["file"].as_str().unwrap();
        let from = main.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let mut wanted = Vec::new();
        for config in said["config"].as_array().unwrap() {
            // A file that is included inside of a server block begins in one.
            let file = config["file"].as_str().unwrap();
            expected(file, &config["parsed"], file.ends_with("server-inner.conf"), &mut wanted);
        }
        wanted.sort();
        wanted.dedup();
        let mut files = Folder { root: folder.clone(), from };
        if !wanted.iter().all(|listen| stands_there(&files, listen)) {
            eprintln!("left out: the answers in {} are those of other files", folder.display());
            continue;
        }
        let parsed = parse("nginx", main, &mut files);
        (compared, listens) = (compared + 1, listens + wanted.len());
        let found = found(&parsed);
        if wanted != found {
            lost.push(format!("{}: wanted {wanted:?}, found {found:?}", folder.display()));
        }
        if (said["status"] == "ok") != parsed.problems.is_empty() {
            lost.push(format!("{}: {} but {:?}", folder.display(), said["status"], parsed.problems));
        }
    }
    eprintln!("{compared} configurations with {listens} listens compared");
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    assert!(compared >= 15 && listens >= 10, "the corpus has more: {compared}, {listens}");
}

#[test]
fn broken_nginx_files_are_problems() {
    let Some(configs) = corpus("nginx/configs") else { return };
    for file in [
        "braces/extra-brace.conf",
        "braces/missing-brace.conf",
        "missing-semicolon/broken-above.conf",
        "missing-semicolon/broken-below.conf",
        "premature-eof/nginx.conf",
    ] {
        let path = configs.join(file);
        let mut folder = Folder { root: path.parent().unwrap().to_owned(), from: "/etc/nginx".to_owned() };
        let name = format!("/etc/nginx/{}", path.file_name().unwrap().to_str().unwrap());
        let parsed = parse("nginx", &name, &mut folder);
        let problem = parsed.problems.first().unwrap_or_else(|| panic!("{file} is broken"));
        assert!(problem.hides && problem.line.is_some(), "{file}: {problem:?}");
    }
}

fn sample(service: &str, name: &str) -> Option<(Vec<String>, Parsed)> {
    let root = corpus("config-samples")?;
    let parsed = parse(service, &format!("/etc/{name}"), &mut Folder { root, from: "/etc".to_owned() });
    let shown = |listen: &ConfiguredListen| match &listen.port_from.origin {
        Origin::Line(line) => format!("{} {}", listen.endpoint(), line.location),
        _ => format!("{} default", listen.endpoint()),
    };
    Some((parsed.listens.iter().map(shown).collect(), parsed))
}

#[test]
fn samples_of_other_services() {
    let Some((listens, parsed)) = sample("apache", "apache2.conf") else { return };
    // Its ServerRoot is /etc/apache2, where the samples are not.
    assert_eq!((listens.len(), parsed.problems[0].line), (0, Some(6)));
    let (listens, _) = sample("apache", "ports.conf").unwrap();
    assert_eq!(listens, ["*:80 /etc/ports.conf:2"], "no module is loaded");
    let (listens, parsed) = sample("sshd", "sshd_config").unwrap();
    assert_eq!(listens, ["0.0.0.0:22 /etc/sshd_config:2", "[::]:22 /etc/sshd_config:2"]);
    assert_eq!(parsed.problems, []);
    let (listens, parsed) = sample("mariadb", "mysql.conf").unwrap();
    assert_eq!(listens, ["*:3306 default"], "the port stands in [client]");
    assert_eq!(parsed.files, ["/etc/mysql.conf", "/etc/mysql2.conf"]);
    let (listens, parsed) = sample("postgresql", "postgresql.conf").unwrap();
    assert_eq!(listens, ["localhost:5432 default"]);
    assert_eq!(parsed.problems.len(), 2, "`empty =` and `key` are no settings: {:?}", parsed.problems);
    let (listens, parsed) = sample("nginx", "nginx.conf").unwrap();
    assert_eq!(listens, ["0.0.0.0:80 /etc/nginx.conf:23", "0.0.0.0:443 /etc/nginx.conf:31"]);
    assert_eq!(parsed.problems.len(), 2, "two includes are not there: {:?}", parsed.problems);
}

//! Edits of compose files, applied to files as they are written and read again by a YAML library.

use crate::report::{Report, Step};
use crate::testing::Scene;
use crate::testing::container::Made;
use saphyr::{LoadableYamlNode, Yaml};
use unrefuse_parse::container::compose::find;

/// Files with a service `web` that publishes port 80 on port 8002 of loopback, and more that it publishes.
const FILES: [(&str, &[&str]); 7] = [
    ("services:\n  web:\n    image: nginx\n    ports:\n      - \"127.0.0.1:8002:80\"\n", &[]),
    (
        "services:\n  web:\n    ports:\n    - 127.0.0.1:8002:80 # private\n    - '443:443'\n    image: nginx\n",
        &["443:443"],
    ),
    (
        "services:\n    web: # front\n        ports: # all\n\n            # one\n            - '127.0.0.1:8002:80/tcp'\n",
        &[],
    ),
    (
        "version: '3'\nx-a: &a\n  ports: [1]\nservices:\n  db:\n    ports: [\"1:1\"]\n  \"web\": &web\n    <<: *a\n    ports:\n      - target: 81\n        published: 8081\n      - \"127.0.0.1:8002:80\"\n  b: *web\n",
        &["target"],
    ),
    ("services:\n  web:\n    ports:\n      - ${TLS:-443}:443\n      - 127.0.0.1:8002:80", &["${TLS:-443}:443"]),
    ("services:\n  web:\n    command: |\n      ports:\n        - 9\n    ports:\n      - \"127.0.0.1:8002:80\"\n", &[]),
    ("---\nservices:\n  web:\n    ports:\n      - \"127.0.0.1:8002:80\"\n...\n", &[]),
];

fn report(file: &str, made: Made) -> Report {
    let found = find("/srv/app/compose.yaml", file.as_bytes(), "web");
    let made = made.compose(&[]).with(|container| {
        let compose = container.compose.as_mut().unwrap();
        compose.service_line = found.service;
        compose.ports_line = found.ports.first().map(|line| line.location.clone());
        compose.ports = found.ports;
        compose.key_indent = found.key_indent;
    });
    Scene::local("10.1.0.2:8002").containers(vec![made]).rst().report()
}

/// The file after each of the fixes; `None` for those that only say what is to be written.
fn edited(file: &str, made: Made) -> Vec<Option<String>> {
    let fixes = &report(file, made).blockers[0].fixes;
    let texts = fixes.iter().filter(|fix| fix.title.contains("publish")).map(|fix| {
        let edits: Vec<_> = fix
            .steps
            .iter()
            .filter_map(|step| if let Step::Edit { edit } = step { Some(edit) } else { None })
            .collect();
        (!edits.is_empty()).then(|| {
            let mut lines: Vec<String> = file.lines().map(str::to_owned).collect();
            for edit in edits {
                let at = edit.line as usize - 1;
                if edit.old.is_empty() {
                    lines.insert(at, edit.new.clone());
                } else {
                    assert_eq!(lines[at], edit.old);
                    lines[at].clone_from(&edit.new);
                }
            }
            lines.join("\n")
        })
    });
    texts.collect()
}

/// What the service publishes: entries of the short form as they stand, the first key of the others.
fn ports(file: &str) -> Vec<String> {
    let documents = Yaml::load_from_str(file).unwrap_or_else(|error| panic!("{error}:\n{file}"));
    let web = documents[0].as_mapping_get("services").and_then(|all| all.as_mapping_get("web"));
    let ports = web.and_then(|web| web.as_mapping_get("ports")).and_then(Yaml::as_vec);
    let entry = |entry: &Yaml<'_>| match entry.as_str() {
        Some(text) => text.to_owned(),
        None => entry.as_mapping().unwrap().keys().next().unwrap().as_str().unwrap().to_owned(),
    };
    ports.unwrap_or_else(|| panic!("no ports:\n{file}")).iter().map(entry).collect()
}

#[test]
fn an_edited_file_is_still_yaml_and_publishes_the_port() {
    for (file, others) in FILES {
        let made = || Made::new("app-web-1").publish("127.0.0.1:8002:80").listens("0.0.0.0:80", "nginx");
        let texts = edited(file, made());
        let [Some(beside), Some(instead)] = &texts[..] else { panic!("{texts:?}\n{file}") };
        let sorted = |file: &str| {
            let mut ports = ports(file);
            ports.sort();
            ports
        };
        let expect = |more: &[&str]| {
            let mut all: Vec<String> = others.iter().chain(more).map(|port| (*port).to_owned()).collect();
            all.sort();
            all
        };
        let old = if file.contains("/tcp") { "127.0.0.1:8002:80/tcp" } else { "127.0.0.1:8002:80" };
        assert_eq!(sorted(beside), expect(&[old, "10.1.0.2:8002:80"]), "{beside}");
        assert_eq!(sorted(instead), expect(&["8002:80"]), "{instead}");
    }
}

#[test]
fn a_service_without_ports_gets_them() {
    for file in [
        "services:\n  web:\n    image: nginx\n",
        "services:\n   web: &w # x\n\n      # y\n      image: nginx\n   db: {}\n",
    ] {
        let texts = edited(file, Made::new("app-web-1").listens("0.0.0.0:8002", "nginx"));
        let texts: Vec<&String> = texts.iter().flatten().collect();
        assert_eq!(texts.iter().map(|text| ports(text)).collect::<Vec<_>>(), [["10.1.0.2:8002:8002"], ["8002:8002"]]);
    }
}

#[test]
fn what_is_written_in_another_way_is_not_edited() {
    for file in [
        "services:\n  web:\n    ports: [\"127.0.0.1:8002:80\"]\n",
        "services:\n  web:\n    ports:\n      [ \"127.0.0.1:8002:80\",\n        \"443:443\" ]\n",
        "services:\n  web: {\n    ports: [\"127.0.0.1:8002:80\"]\n  }\n",
        "services:\n  web: {\n    image: nginx\n  }\n",
        "x-p: &p [\"127.0.0.1:8002:80\"]\nservices:\n  web:\n    ports: *p\n",
        "x-p: &p [\"127.0.0.1:8002:80\"]\nservices:\n  web:\n    ports:\n      *p\n",
        "services: {web: {image: nginx}}\n",
    ] {
        let made = Made::new("app-web-1").publish("127.0.0.1:8002:80").listens("0.0.0.0:80", "nginx");
        assert_eq!(edited(file, made), [None, None], "{file}");
    }
    // A variable may stand for any port: that entry is left alone, and another one is put beside it.
    let file = "services:\n  web:\n    ports:\n      - 127.0.0.1:${PORT:-8002}:80\n";
    let made = Made::new("app-web-1").publish("127.0.0.1:8002:80").listens("0.0.0.0:80", "nginx");
    let texts = edited(file, made);
    assert_eq!(texts[1], None);
    assert_eq!(ports(texts[0].as_ref().unwrap()), ["10.1.0.2:8002:80", "127.0.0.1:${PORT:-8002}:80"]);
}

//! Tables, cause pages, JSON and its schema.

mod samples;

use insta::assert_snapshot;
use serde_json::{Value, json};
use unrefuse_diagnose::{Gate, Report, registry};
use unrefuse_report::{
    ListenerRow, ReachBy, ReachableFrom, Style, WhoRow, explain, explain_list, listeners, listeners_json, schema, who,
    who_json,
};

fn listener<'a>(cells: [&'a str; 7], namespace: Option<&'a str>) -> ListenerRow<'a> {
    let (proto, port) = (cells[0], cells[2].parse().unwrap());
    let [_, address, _, process, user, unit, reach] = cells.map(Into::into);
    ListenerRow { proto, address, port, process, user, unit, reach, reachable_from: Vec::new(), namespace }
}

fn some_listeners() -> Vec<ListenerRow<'static>> {
    vec![
        listener(["tcp", "*", "22", "sshd[601]", "root", "ssh.service", "anywhere"], None),
        listener(
            [
                "tcp",
                "127.0.0.1",
                "5432",
                "postgres[812]",
                "postgres",
                "postgresql@15-main.service",
                "this machine only",
            ],
            None,
        ),
        listener(["tcp", "10.0.0.5", "80", "nginx[900] +3", "root", "nginx.service", "anywhere, at 10.0.0.5"], None),
        listener(["udp", "fe80::1%eth0", "546", "", "", "", "the link of eth0"], None),
    ]
}

#[test]
fn the_table_of_listeners() {
    let mut rows = some_listeners();
    assert_snapshot!("listeners_120", listeners(&rows, ReachBy::Filtered, &Style::plain(120)));
    assert_snapshot!("listeners_90", listeners(&rows, ReachBy::Filtered, &Style::plain(90)));
    assert_snapshot!("listeners_no_terminal", listeners(&rows, ReachBy::Filtered, &Style::plain(usize::MAX)));
    rows.push(listener(
        ["tcp", "*", "8080", "java\x1b[31m漢字[7]", "1000", "docker 3f2a", "anywhere"],
        Some("netns blue"),
    ));
    assert_snapshot!("listeners_namespaces", listeners(&rows, ReachBy::Filtered, &Style::plain(120)));
    let blind = listeners(&rows, ReachBy::BindAddress("needs root"), &Style::plain(120));
    assert!(blind.starts_with("PROTO  ADDRESS       PORT  BIND ADDRESS REACHES"), "{blind}");
    assert_eq!(listeners(&[], ReachBy::Filtered, &Style::plain(80)), "nothing listens here\n");
}

#[test]
fn listeners_as_json() {
    let mut rows = some_listeners();
    rows[0].reachable_from = vec![ReachableFrom {
        family: "ipv4",
        interface: "eth0".into(),
        from: vec!["10.0.0.0/8".into()],
        perhaps: Vec::new(),
        more: 0,
        exact: true,
    }];
    let value: Value = serde_json::from_str(&listeners_json(&rows, ReachBy::Filtered)).unwrap();
    assert_eq!(value["schema"], "unrefuse.listeners/1");
    assert_eq!(value["firewall"], json!({"looked": true}));
    assert_eq!(value["listeners"][0]["reachable_from"][0]["from"], json!(["10.0.0.0/8"]));
    assert_eq!(value["listeners"][1].get("reachable_from"), None);
    let blind: Value = serde_json::from_str(&listeners_json(&rows, ReachBy::BindAddress("needs root"))).unwrap();
    assert_eq!(blind["firewall"], json!({"looked": false, "why": "needs root"}));
    assert_eq!(value["listeners"][1]["port"], 5432);
    assert_eq!(value["listeners"][1]["process"], "postgres[812]");
    assert_eq!(value["listeners"][0].get("namespace"), None);
}

#[test]
fn who_holds_a_port() {
    let row = |pid: &str, state: &str, address: &str, command: &str, namespace: Option<&str>| WhoRow {
        pid: pid.into(),
        user: "www-data".into(),
        fd: "6".into(),
        protocol: "tcp".into(),
        address: address.into(),
        state: state.into(),
        command: command.into(),
        unit: "nginx.service".into(),
        namespace: namespace.map(str::to_owned),
    };
    let rows = [
        row(
            "900",
            "LISTEN",
            "0.0.0.0:80",
            "nginx: master process /usr/sbin/nginx -g daemon on; master_process on;",
            None,
        ),
        row("31901", "ESTABLISHED", "10.0.0.5:80 -> 10.0.0.9:51612", "nginx: worker process", None),
    ];
    assert_snapshot!("who_100", who(&rows, &Style::plain(100)));
    assert_snapshot!("who_no_terminal", who(&rows, &Style::plain(usize::MAX)));
    assert_eq!(who(&[], &Style::plain(80)), "no socket on that port\n");
    let value: Value = serde_json::from_str(&who_json(&rows)).unwrap();
    assert_eq!(value["holders"][1]["pid"], 31901);
    assert_eq!(value["schema"], "unrefuse.who/1");
}

const PAGE: &str = "## What it means

No socket listens on that port: not at any address, not in IPv4 nor IPv6. The kernel answers a SYN to such a port
with a RST, and the client says \"connection refused\".

## How to fix

Do **one** of these:

- start the service with `systemctl start UNIT`, and look whether it stays up for longer than a few seconds
- ask the other port
1. first
2. second

On the server:

```sh
ss -ltnp 'sport = :PORT'    # a line that is longer than the terminal and must stay whole to be pasted from here

systemctl status UNIT
```
";

#[test]
fn a_page() {
    assert_snapshot!("explain_80", explain(PAGE, "listener/none", "nothing listens on that port", &Style::plain(80)));
    let colour = Style { colour: true, ..Style::plain(60) };
    let page = explain(PAGE, "listener/none", "nothing listens on that port", &colour);
    assert_snapshot!("explain_colour", page.replace('\x1b', "␛"));
}

#[test]
fn every_page_of_the_registry_keeps_all_its_words() {
    for rule in registry() {
        let page = explain(&rule.markdown(), rule.id, rule.title, &Style::plain(80));
        let words = |text: &str| text.replace(['#', '`', '*', '|', '-'], " ").split_whitespace().collect::<String>();
        let wanted = words(&rule.markdown().lines().filter(|l| !l.starts_with("```")).collect::<Vec<_>>().join("\n"));
        assert!(words(&page).contains(&wanted), "{}:\n{page}", rule.id);
    }
}

#[test]
fn the_list_of_causes() {
    let items = [
        ("listener/none", "nothing listens on that port", Gate::Listener),
        ("name/not-found", "the name does not exist", Gate::Name),
        (
            "listener/not-accepting",
            "the process that listens does not accept connections, because it is stopped or stuck",
            Gate::Listener,
        ),
    ];
    assert_snapshot!("explain_list", explain_list(&items, &Style::plain(80)));
}

#[test]
fn json_gives_the_report_back() {
    for (name, report) in samples::all() {
        let text = unrefuse_report::json(&report);
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report, "{name}");
        assert!(text.ends_with("}\n"));
    }
}

#[test]
fn the_schema_holds_every_report_and_only_known_causes() {
    let mut ids = vec![
        "listener/none",
        "listener/loopback-only",
        "config/loopback-bind",
        "ingress/firewall-drop",
        "name/localhost-v6-first",
        "name/resolver-unreachable",
    ];
    let schema_of = |ids: &[&str]| {
        let schema = schema(ids);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        jsonschema::draft202012::new(&schema).unwrap()
    };
    let schema = schema_of(&ids);
    for (name, report) in samples::all().into_iter().filter(|(name, _)| *name != "hostile") {
        let instance = serde_json::from_str(&unrefuse_report::json(&report)).unwrap();
        schema.validate(&instance).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let refused: Value = serde_json::to_value(samples::refused()).unwrap();
    ids.retain(|id| *id != "listener/none");
    assert!(!schema_of(&ids).is_valid(&refused), "an unknown id must not pass");
    let mut other = refused.clone();
    other["schema"] = json!("unrefuse.report/2");
    assert!(!schema.is_valid(&other));
    let mut other = refused.clone();
    other["outcome"] = json!("broken");
    assert!(!schema.is_valid(&other));
    let mut other = refused;
    other.as_object_mut().unwrap().remove("vantage");
    assert!(!schema.is_valid(&other));
}

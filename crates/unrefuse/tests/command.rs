//! The command as its users call it, on loopback, without privileges.

mod schemas;

use serde_json::Value;
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Output, Stdio};

fn unrefuse(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_unrefuse"))
        .args(arguments)
        .env_remove("http_proxy")
        .env_remove("https_proxy")
        .env_remove("all_proxy")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

/// A report, held against the schema.
fn report(arguments: &[&str]) -> (i32, Value) {
    let output = unrefuse(&[&["--json"], arguments].concat());
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}{}", text(&output.stdout), text(&output.stderr)));
    schemas::hold("report", &report);
    (output.status.code().unwrap(), report)
}

/// A TCP port of 127.0.0.1 where nothing listens: bound and never listened on, so that nobody else takes it.
fn closed_port() -> (std::os::fd::OwnedFd, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket.into(), port)
}

#[test]
fn nothing_listens() {
    let (_held, port) = closed_port();
    let (status, report) = report(&[&format!("127.0.0.1:{port}")]);
    assert_eq!(status, 1, "{report:#}");
    assert_eq!(report["outcome"], "refused");
    assert_eq!(report["blockers"][0]["root"], "listener/none", "{report:#}");
    assert_eq!(report["blockers"][0]["certainty"], "proven");
    assert_eq!(report["attempts"][0]["errno"], "ECONNREFUSED");
    assert!(!report["unknown"].as_array().unwrap().is_empty(), "the service was not looked at, and that is said");
}

#[test]
fn a_listener_is_healthy_and_known() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (status, report) = report(&[&format!("127.0.0.1:{port}")]);
    assert_eq!(status, 0, "{report:#}");
    assert_eq!(report["outcome"], "open");
    assert_eq!(report["blockers"], serde_json::json!([]));
    let note = report["notes"][0]["text"].as_str().unwrap();
    assert!(note.contains("from elsewhere"), "{note}");
}

#[test]
fn the_other_protocol() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let (status, report) = report(&[&format!("127.0.0.1:{port}")]);
    assert_eq!((status, &report["blockers"][0]["root"]), (1, &"listener/other-protocol".into()), "{report:#}");
}

#[test]
fn a_wrong_call_is_one_line_and_status_2() {
    for arguments in [
        &["127.0.0.1:70000"][..],
        &["[::1"],
        &["http://"],
        &["a b"],
        &["localhost", "80", "90"],
        &["-4", "::1", "80"],
        &["-6", "127.0.0.1:80"],
        &["--timeout", "soon", "x"],
        &["--netns", "no-such-namespace", ":1"],
        &["[fe80::1%no-such-link]:80"],
        &["[::1%lo]:80"],
        &["-q", "-v"],
        &["-p", "80", "x"],
        &["--\x1b[31m"],
        &["db\x1b[31m:70000"],
        &["firewall"],
        &["who"],
        &["schema", "nothing"],
        &["explain", "listener/nome"],
    ] {
        let output = unrefuse(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
        assert!(said.starts_with("unrefuse: ") && said.lines().count() == 1, "{arguments:?}: {said}");
        assert!(!said.contains('\x1b'), "{said:?}");
    }
}

#[test]
fn who_and_listeners_say_what_their_schemas_name() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let holders = &said_of(&["who", "--json", &port.to_string()], "who")["holders"];
    assert_eq!((&holders[0]["pid"], &holders[0]["state"]), (&std::process::id().into(), &"LISTEN".into()));
    let found = said_of(&["listeners", "--json"], "listeners");
    assert!(found["listeners"].as_array().unwrap().iter().any(|row| row["port"] == port), "{found:#}");
}

fn said_of(arguments: &[&str], of: &str) -> Value {
    let output = unrefuse(arguments);
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output.stderr)));
    schemas::hold(of, &said);
    said
}

#[test]
fn json_ends_with_one_newline() {
    for arguments in [&["--json", "127.0.0.1:1"][..], &["who", "--json", "1"], &["listeners", "--json"]] {
        let said = text(&unrefuse(arguments).stdout);
        assert!(said.ends_with("}\n") && !said.ends_with("\n\n"), "{arguments:?}: {said}");
    }
}

#[test]
fn the_message_of_a_program_leads_to_its_causes() {
    let said = text(&unrefuse(&["explain", "Error: connect ECONNREFUSED 127.0.0.1:5432"]).stdout);
    assert!(said.starts_with("connection refused: ECONNREFUSED, 111\n"), "{said}");
    assert!(said.contains("listener/none") && said.contains("ingress/firewall-reject"), "{said}");
}

#[test]
fn passwords_are_never_shown() {
    for form in ["--json", "-v", "--format=facts"] {
        let output = unrefuse(&[form, "postgres://me:s3cret@127.0.0.1:1/db?password=s3cret"]);
        assert!(!text(&output.stdout).contains("s3cret"), "{form}");
    }
    let output = unrefuse(&["postgres://me:s3cret@127.0.0.1:99999/db"]);
    assert!(!text(&output.stderr).contains("s3cret"), "{}", text(&output.stderr));
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_unrefuse"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(errors, "");
    assert!(child.wait().unwrap().success());
}

#[test]
fn no_colour_and_no_control_characters_in_a_pipe() {
    let output = unrefuse(&["-v", "127.0.0.1:1"]);
    assert!(!output.stdout.iter().any(|b| *b < 0x20 && *b != b'\n'), "{}", text(&output.stdout));
}

#[test]
fn explain_schema_and_completions() {
    assert!(text(&unrefuse(&["explain", "listener/none"]).stdout).contains("listener/none"));
    assert!(text(&unrefuse(&["explain"]).stdout).contains("route/none"));
    assert_eq!(unrefuse(&["explain", "nothing-is-called-so"]).status.code(), Some(2));
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&unrefuse(&["completions", shell]).stdout).contains("unrefuse"), "{shell}");
    }
}

#[test]
fn who_and_listeners_name_the_owner() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let own = std::process::id().to_string();
    let who = unrefuse(&["who", &port]);
    assert_eq!(who.status.code(), Some(0));
    assert!(text(&who.stdout).contains(&own), "{}", text(&who.stdout));
    let table = text(&unrefuse(&["listeners"]).stdout);
    let row = table.lines().find(|line| line.contains(&port)).unwrap_or_else(|| panic!("{table}"));
    assert!(row.contains("127.0.0.1") && row.contains(&own), "{row}");
    drop(listener);
    let who = unrefuse(&["who", "1"]);
    assert_eq!(who.status.code(), Some(1), "{}", text(&who.stdout));
}

#[test]
fn who_also_names_the_holder_of_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let port = client.local_addr().unwrap().port().to_string();
    let table = text(&unrefuse(&["who", &port]).stdout);
    assert!(table.contains("ESTAB") && table.contains(&std::process::id().to_string()), "{table}");
}

#[test]
fn facts_can_be_kept_and_read_again() {
    let output = unrefuse(&["--format", "facts", "127.0.0.1:1"]);
    let case: unrefuse_facts::Case = serde_json::from_slice(&output.stdout).expect("a case");
    let report = unrefuse_diagnose::diagnose(&case, std::time::Duration::ZERO);
    assert_eq!(report.blockers[0].root, "listener/none");
}

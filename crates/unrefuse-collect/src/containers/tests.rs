//! A made-up engine on a socket of its own.

use super::find::Place;
use super::stand::{StandError, among};
use super::{ContainerQuery, engines};
use crate::scratch::Root;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use unrefuse_facts::{ContainerStatus, Engine, EngineKind, Observed, Reason};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the engine answers: raw bytes for a path.
type Answers = dyn Fn(&str) -> Vec<u8> + Send + Sync;

/// The paths that were asked for.
type Asked = Arc<Mutex<Vec<String>>>;

fn place(socket: &str) -> Place {
    let installed = Some("/usr/bin/dockerd".to_owned());
    let exists = rustix::fs::stat(socket).is_ok();
    Place { kind: EngineKind::Docker, socket: socket.to_owned(), uid: 0, installed, exists }
}

fn look(socket: &str, query: &ContainerQuery, patience: Duration) -> Engine {
    engines(vec![place(socket)], query, &BTreeMap::new(), Instant::now() + patience).remove(0)
}

/// Serves until the test's process ends.
fn serve(root: &Root, answers: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> (String, Asked) {
    let socket = format!("{}/e.sock", root.path());
    let listener = UnixListener::bind(&socket).unwrap();
    let answers: Arc<Answers> = Arc::new(answers);
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answers, log) = (Arc::clone(&answers), Arc::clone(&log));
            std::thread::spawn(move || talk(stream, &*answers, &log));
        }
    });
    (socket, asked)
}

fn talk(mut stream: UnixStream, answers: &Answers, log: &Asked) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        if let Some(path) = line.strip_prefix("GET ").and_then(|rest| rest.strip_suffix(" HTTP/1.1")) {
            log.lock().unwrap().push(path.to_owned());
            if stream.write_all(&answers(path)).is_err() {
                return;
            }
        }
    }
}

fn ok(body: &str) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nServer: Docker/20.10.24 (linux)\r\nContent-Length";
    format!("{head}: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// In chunks of a few bytes.
fn chunked(body: &str) -> Vec<u8> {
    let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for part in body.as_bytes().chunks(7) {
        out.extend(format!("{:x}\r\n", part.len()).bytes().chain(part.iter().copied()).chain(*b"\r\n"));
    }
    out.extend(b"0\r\n\r\n");
    out
}

fn id(number: usize) -> String {
    format!("{number:064x}")
}

fn listed(number: usize, state: &str, port: u16) -> String {
    let ports = match state {
        "running" => format!(r#"[{{"PrivatePort":80,"PublicPort":{port},"Type":"tcp"}}]"#),
        _ => "[]".to_owned(),
    };
    let (id, mode) = (id(number), r#"{"NetworkMode":"default"}"#);
    format!(r#"{{"Id":"{id}","Names":["/c{number}"],"State":"{state}","Ports":{ports},"HostConfig":{mode}}}"#)
}

fn inspected(id: &str, state: &str, port: u16) -> String {
    format!(
        r#"{{"Id":"{id}","Name":"/c","State":{{"Status":"{state}","Pid":0,"ExitCode":3,
        "StartedAt":"2026-11-22T21:40:52Z","FinishedAt":"2026-11-22T21:40:53Z"}},"Config":{{"Image":"tiny"}},
        "HostConfig":{{"NetworkMode":"default","PortBindings":{{"80/tcp":[{{"HostIp":"","HostPort":"{port}"}}]}}}}}}"#
    )
}

fn query(port: u16) -> ContainerQuery {
    ContainerQuery { port, ..ContainerQuery::default() }
}

#[test]
fn a_stopped_container_with_its_log_in_chunks() {
    let root = Root::new("engine-stopped");
    let list = format!("[{}]", listed(7, "exited", 8080));
    let (socket, asked) = serve(&root, move |path| match path {
        "/containers/json?all=1" => ok(&list),
        path if path.ends_with("/json") => chunked(&inspected(&id(7), "exited", 8080)),
        _ => b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n\x02\0\0\0\0\0\0\x07no db!\n".to_vec(),
    });
    let engine = look(&socket, &query(8080), PATIENCE);
    assert_eq!((engine.running, engine.version.as_deref(), engine.total), (Some(true), Some("20.10.24"), 1));
    let container = &engine.containers.value().unwrap()[0];
    assert_eq!((container.status, container.exit.unwrap().code), (ContainerStatus::Exited, 3));
    assert_eq!(container.log.value().unwrap(), &["no db!"]);
    assert_eq!(container.sockets.missing().unwrap().reason, Reason::Absent);
    assert!(asked.lock().unwrap().iter().all(|path| path.starts_with("/containers/")));
}

#[test]
fn of_many_only_those_that_may_matter_are_asked_about() {
    let root = Root::new("engine-many");
    let running = (0..100).map(|number| listed(number, "running", 9000 + number as u16));
    let stopped = (100..200).map(|number| listed(number, "exited", 0));
    let list = format!("[{}]", running.chain(stopped).collect::<Vec<_>>().join(","));
    let (socket, asked) = serve(&root, move |path| {
        let Some(id) = path.strip_prefix("/containers/").and_then(|rest| rest.strip_suffix("/json")) else {
            return ok(&list);
        };
        let number = usize::from_str_radix(id, 16).unwrap();
        ok(&inspected(id, if number < 100 { "running" } else { "exited" }, 9000 + number as u16))
    });
    let engine = look(&socket, &query(9150), PATIENCE);
    assert_eq!(engine.total, 200);
    let found = engine.containers.value().unwrap();
    assert_eq!(found.iter().map(|c| c.published[0].host_port).collect::<Vec<_>>(), [Some(9150)]);
    let inspections = asked.lock().unwrap().iter().filter(|path| path.ends_with("/json")).count();
    assert_eq!(inspections, 100, "those that run show in the list that they publish other ports");
    let engine = look(&socket, &query(9042), PATIENCE);
    assert_eq!(engine.containers.value().unwrap()[0].id, id(42));
}

#[test]
fn an_engine_that_says_nothing_costs_its_deadline() {
    let root = Root::new("engine-hung");
    for answer in
        ["", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
    {
        let _ = std::fs::remove_file(format!("{}/e.sock", root.path()));
        let (socket, _) = serve(&root, |_| answer.as_bytes().to_vec());
        let engine = look(&socket, &query(80), Duration::from_millis(150));
        let missing = engine.containers.missing().unwrap();
        // A daemon of this machine may run, but this one is not known not to.
        assert!(missing.reason == Reason::TimedOut && engine.running != Some(false), "{missing}");
        assert!(missing.detail.contains("said nothing for"), "{missing}");
    }
    // Nobody accepts, and no more connections may wait.
    let socket = format!("{}/full.sock", root.path());
    let listener =
        rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&listener, &rustix::net::SocketAddrUnix::new(socket.as_str()).unwrap()).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _waits = UnixStream::connect(&socket).unwrap();
    let engine = look(&socket, &query(80), Duration::from_millis(150));
    assert_eq!(engine.containers.missing().unwrap().reason, Reason::TimedOut, "{:?}", engine.containers);
}

#[test]
fn garbage_and_bodies_without_bounds() {
    let root = Root::new("engine-garbage");
    let long_head = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(100_000));
    let endless = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", usize::MAX);
    for (answer, says) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "no answer in HTTP"),
        ("\x1b]0;x\x07\r\n\r\n", "no answer in HTTP"),
        (long_head.as_str(), "no answer in HTTP"),
        (endless.as_str(), "more than"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n", "more than"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "a chunk without size"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no length"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "its list of containers is none"),
        ("HTTP/1.1 500 x\r\nContent-Length: 17\r\n\r\n{\"message\":\"oh!\"}", "HTTP 500 oh!"),
    ] {
        let _ = std::fs::remove_file(format!("{}/e.sock", root.path()));
        let answer = answer.to_owned();
        let (socket, _) = serve(&root, move |_| answer.clone().into_bytes());
        let missing = look(&socket, &query(80), PATIENCE).containers.missing().cloned().unwrap();
        assert_eq!(missing.reason, Reason::Failed, "{missing}");
        assert!(missing.detail.contains(says) && !missing.detail.contains('\x1b'), "{says}: {missing}");
    }
    let _ = std::fs::remove_file(format!("{}/e.sock", root.path()));
    let (socket, _) = serve(&root, |_| b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_vec());
    assert_eq!(look(&socket, &query(80), PATIENCE).containers.missing().unwrap().reason, Reason::Forbidden);
}

#[test]
fn a_daemon_that_does_not_run() {
    let root = Root::new("engine-down");
    let socket = format!("{}/e.sock", root.path());
    // A user's: of the system's own the files would be read.
    let of_user = || {
        let place = Place { uid: 7, ..place(&socket) };
        engines(vec![place], &query(80), &BTreeMap::new(), Instant::now() + PATIENCE).remove(0)
    };
    let gone = of_user();
    let missing = gone.containers.missing().unwrap();
    assert_eq!((gone.running, missing.reason, gone.rootless_uid), (Some(false), Reason::Absent, Some(7)));
    assert_eq!(missing.remedy.as_deref(), Some("systemctl --user start docker"));
    // The file stays when the listener goes.
    drop(UnixListener::bind(&socket).unwrap());
    let left = of_user();
    assert_eq!((left.running, left.containers.missing().unwrap().reason), (Some(false), Reason::Absent), "{left:?}");
}

#[test]
fn a_socket_that_may_not_be_asked() {
    let root = Root::new("engine-forbidden");
    let (socket, _) = serve(&root, |_| ok("[]"));
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o0)).unwrap();
    let engine = look(&socket, &query(80), PATIENCE);
    match &engine.containers {
        // Root may (capabilities(7), CAP_DAC_OVERRIDE).
        Observed::Known { value, .. } => assert!(rustix::process::geteuid().is_root() && value.is_empty()),
        Observed::Missing(missing) => {
            assert_eq!(missing.reason, Reason::Forbidden);
            assert!(missing.remedy.as_deref().is_some_and(|remedy| remedy.contains("group docker")), "{missing:?}");
        }
    }
}

#[test]
fn podman_is_known_by_its_answer() {
    let root = Root::new("engine-podman");
    let (socket, _) =
        serve(&root, |_| b"HTTP/1.1 200 OK\r\nServer: Libpod/4.3.1 (linux)\r\nContent-Length: 4\r\n\r\nnull".to_vec());
    let engine = look(&socket, &query(80), PATIENCE);
    assert_eq!((engine.kind, engine.version.as_deref(), engine.running), (EngineKind::Podman, Some("4.3.1"), None));
}

#[test]
fn standing_in_a_container_needs_its_process() {
    let root = Root::new("engine-stand");
    let list = format!("[{},{}]", listed(7, "running", 80), listed(8, "exited", 0));
    let (socket, _) = serve(&root, move |path| match path {
        "/containers/json?all=1" => ok(&list),
        // Process 1 is nobody's container.
        _ => ok(&inspected(&id(7), "running", 80).replace("\"Pid\":0", "\"Pid\":1")),
    });
    let ask = |name: &str| among(vec![place(&socket)], name, Instant::now() + PATIENCE).unwrap_err();
    let says = |name: &str| ask(name).to_string();
    assert_eq!(says("nosuch\x1b"), "no container `nosuch\\x1b`: there is c7, c8");
    assert_eq!(says("c8"), "container c8 does not run: start it first: docker start c8");
    assert!(matches!(ask(&id(8)[..]), StandError::NotRunning { .. }));
    assert!(matches!(ask("0000"), StandError::NoSuch { .. }), "two ids begin so");
    assert!(matches!(ask("c7"), StandError::CannotTell { .. }), "{}", says("c7"));
    let none = among(Vec::new(), "web", Instant::now() + PATIENCE).unwrap_err();
    assert!(none.to_string().starts_with("container web: no container engine was found"), "{none}");
}

//! Services that are told on their command line where to listen: what a unit's own `ExecStart=` says.
//!
//! From a real one (Debian 12, prometheus-node-exporter):
//! ```text
//! /usr/bin/prometheus-node-exporter --web.listen-address=127.0.0.1:9100
//! ```
//!
//! Only options whose meaning is known for that program are read (each program's own `--help`); of another program nothing
//! is said. What an option says is what the process runs with: there is nothing to reload.

use super::Parsed;
use super::arguments::{Given, values};
use super::settings::{ANY_V4, address, endpoint, one, port};
use unrefuse_facts::{ConfiguredListen, ListenAddress, Origin, Protocol, Setting};

/// A program's options.
struct Program {
    /// Beginnings of its command name.
    names: &'static [&'static str],
    /// Options that take `[address]:port`.
    endpoint: &'static [&'static str],
    /// Options that take an address.
    address: &'static [&'static str],
    /// Options that take a port.
    port: &'static [&'static str],
    /// Address and port without options; no port: it must be given.
    default: (&'static str, Option<u16>),
}

/// gunicorn's own port.
const GUNICORN: u16 = 8000;

const PROGRAMS: &[Program] = &[
    Program {
        names: &["prometheus", "node_exporter", "alertmanager", "blackbox_export", "pushgateway", "grafana-agent"],
        endpoint: &["--web.listen-address"],
        address: &[],
        port: &[],
        default: ("*", None),
    },
    Program {
        names: &["etcd"],
        endpoint: &["--listen-client-urls"],
        address: &[],
        port: &[],
        default: ("localhost", Some(2379)),
    },
    Program {
        names: &["gunicorn"],
        endpoint: &["--bind", "-b"],
        address: &[],
        port: &[],
        default: ("127.0.0.1", Some(GUNICORN)),
    },
    Program {
        names: &["uvicorn"],
        endpoint: &[],
        address: &["--host"],
        port: &["--port"],
        default: ("127.0.0.1", Some(8000)),
    },
    Program {
        names: &["flask"],
        endpoint: &[],
        address: &["--host", "-h"],
        port: &["--port", "-p"],
        default: ("127.0.0.1", Some(5000)),
    },
    Program { names: &["ttyd"], endpoint: &[], address: &[], port: &["--port", "-p"], default: ("*", Some(7681)) },
    Program { names: &["minio"], endpoint: &["--address"], address: &[], port: &[], default: ("*", Some(9000)) },
    Program { names: &["dockerd"], endpoint: &["-H", "--host"], address: &[], port: &[], default: ("", None) },
];

/// What the command line of `command` says; `None` where the program is not known.
///
/// `arguments` are without the program's own name; of an interpreter the script's name is looked at, too.
pub fn parse(command: &str, arguments: &[String]) -> Option<Parsed> {
    let named = |name: &str| PROGRAMS.iter().find(|program| program.names.iter().any(|known| name.starts_with(known)));
    let script = arguments.iter().find(|argument| !argument.starts_with('-'));
    let is_interpreter = ["python", "pypy", "node", "ruby"].iter().any(|name| command.starts_with(name));
    let script = script.filter(|_| is_interpreter).map(|path| path.rsplit('/').next().unwrap_or_default());
    if is_interpreter && let Some(server) = http_server(arguments) {
        return Some(server);
    }
    let program = named(command).or_else(|| named(script?))?;
    let mut parsed = Parsed::default();
    let ports = values(arguments, program.port);
    let addresses = values(arguments, program.address);
    for given in values(arguments, program.endpoint) {
        parsed.listens.extend(given.value.split(',').filter_map(|part| at(part, &given, program.default.1)));
    }
    if !parsed.listens.is_empty() {
        return Some(parsed);
    }
    let default = Origin::Default(format!("the default of {command}"));
    let (number, port_from) = match ports.last() {
        Some(given) => (port(&given.value)?, given.origin.clone()),
        None => (program.default.1?, default.clone()),
    };
    let (host, address_from) = match addresses.last() {
        Some(given) => (address(&given.value), given.origin.clone()),
        None => (address(program.default.0), default),
    };
    parsed.listens.push(listen(host, number, address_from, port_from));
    Some(parsed)
}

/// `python3 -m http.server [port] [--bind ADDRESS]`.
fn http_server(arguments: &[String]) -> Option<Parsed> {
    let at = arguments.iter().position(|argument| argument == "-m")?;
    if arguments.get(at + 1).map(String::as_str) != Some("http.server") {
        return None;
    }
    let own = &arguments[at + 2..];
    let bind = values(own, &["--bind", "-b"]).pop();
    let number = own.iter().find_map(|argument| Some((port(argument)?, argument.clone())));
    let (number, port_from) = match number {
        Some((number, shown)) => (number, Origin::CommandLine(shown)),
        None => (8000, Origin::Default("http.server's port is 8000".to_owned())),
    };
    let (host, address_from) = match bind {
        Some(given) => (address(&given.value), given.origin),
        // socketserver takes the first family that getaddrinfo(3) gives, which is IPv4.
        None => (ANY_V4, Origin::Default("http.server listens on every IPv4 address".to_owned())),
    };
    Some(Parsed { listens: vec![listen(host, number, address_from, port_from)], ..Parsed::default() })
}

fn listen(address: ListenAddress, port: u16, address_from: Origin, port_from: Origin) -> ConfiguredListen {
    ConfiguredListen {
        address,
        port,
        protocol: Protocol::Tcp,
        v6only: None,
        address_from: Setting::from(address_from),
        port_from: Setting::from(port_from),
    }
}

/// `127.0.0.1:9100`, `:9100`, `http://localhost:2379`, `unix:///run/x.sock`.
fn at(text: &str, given: &Given, default: Option<u16>) -> Option<ConfiguredListen> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = ListenAddress::Unix(path.trim_start_matches("//").to_owned());
        return Some(one(path, None, 0, Protocol::Unix, given.origin.clone()));
    }
    if text.starts_with("fd:") {
        return None;
    }
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
    let (host, number) = endpoint(bare);
    let number = number.map_or(default, port)?;
    // Go's net.Listen takes both families where the host is empty; gunicorn makes 0.0.0.0 of it.
    let host = match host.map(address) {
        None if default == Some(GUNICORN) => ANY_V4,
        None => ListenAddress::Any,
        Some(other) => other,
    };
    Some(one(host, None, number, Protocol::Tcp, given.origin.clone()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::shown;

    fn of(command: &str, line: &str) -> Option<Vec<String>> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        super::parse(command, &arguments).map(|parsed| shown(&parsed))
    }

    #[test]
    fn programs_that_are_known() {
        assert_eq!(
            of("prometheus-node", "--x --web.listen-address=127.0.0.1:9100").unwrap(),
            ["127.0.0.1:9100 --web.listen-address=127.0.0.1:9100"]
        );
        assert_eq!(of("etcd", "").unwrap(), ["localhost:2379 default"]);
        assert_eq!(
            of("python3", "-m http.server --bind 127.0.0.1 8080").unwrap(),
            ["127.0.0.1:8080 --bind 127.0.0.1 8080"]
        );
        assert_eq!(of("python3", "/usr/bin/gunicorn -b :81 app").unwrap(), ["0.0.0.0:81 -b :81"]);
        assert_eq!(of("uvicorn", "app --port 82").unwrap(), ["127.0.0.1:82 default --port 82"]);
        assert_eq!(of("dockerd", "-H fd:// -H tcp://0.0.0.0:2375").unwrap(), ["0.0.0.0:2375 -H tcp://0.0.0.0:2375"]);
    }

    #[test]
    fn of_another_program_nothing_is_said() {
        assert_eq!(of("myserver", "--port 80 --bind 127.0.0.1"), None);
        assert_eq!(of("python3", "app.py --port 80"), None);
        assert_eq!(of("prometheus", "--web.listen-address=x"), None);
    }
}

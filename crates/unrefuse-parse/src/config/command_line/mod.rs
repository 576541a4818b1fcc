//! Services that are told on their command line where to listen: what a unit's own `ExecStart=` says.
//!
//! From a real one (Debian 12, prometheus-node-exporter):
//! ```text
//! /usr/bin/prometheus-node-exporter --web.listen-address=127.0.0.1:9100
//! ```
//!
//! Options whose meaning is known for that program are read (each program's own `--help`); of another program those whose
//! names say it, as a guess. What an option says is what the process runs with: there is nothing to reload.

mod generic;
mod programs;
mod special;

use super::Parsed;
use super::arguments::{Given, values};
use super::settings::{ANY_V4, address, endpoint, one, port};
use programs::{GUNICORN, PROGRAMS, Program};
use unrefuse_facts::{ConfiguredListen, ListenAddress, Origin, Protocol, Setting};

/// What the command line of `command` says, which listens on port `held`; `None` where it says nothing.
///
/// `arguments` are without the program's own name; of an interpreter the script's name is looked at, too.
pub fn parse(command: &str, arguments: &[String], held: u16) -> Option<Parsed> {
    if let Some(parsed) = special::parse(command, arguments) {
        return Some(parsed);
    }
    match known(command, arguments) {
        Some((program, name)) => of_program(program, name, arguments),
        None => generic::parse(command, arguments, held),
    }
}

/// The program by its command name, or by the script that an interpreter runs.
fn known<'a>(command: &'a str, arguments: &'a [String]) -> Option<(&'static Program, &'a str)> {
    let named = |name: &str| {
        let is = |known: &str| name.starts_with(known) && !(known.len() < 3 && name.len() > known.len());
        PROGRAMS.iter().find(|program| program.names.iter().any(|known| is(known)))
    };
    let script = arguments.iter().find(|argument| !argument.starts_with('-'));
    let script = script.filter(|_| special::is_interpreter(command));
    // `python3 -m uvicorn app`, `node node_modules/.bin/vite`.
    let script = script.map(|path| path.rsplit('/').next().unwrap_or_default());
    let script = script.map(|name| name.strip_suffix(".js").or(name.strip_suffix(".mjs")).unwrap_or(name));
    named(command).map(|program| (program, command)).or_else(|| script.and_then(|name| Some((named(name)?, name))))
}

fn of_program(program: &Program, name: &str, arguments: &[String]) -> Option<Parsed> {
    let mut parsed = Parsed::default();
    for given in values(arguments, program.endpoint) {
        parsed.listens.extend(given.value.split(',').filter_map(|part| at(part, &given, program.default.1)));
    }
    if !parsed.listens.is_empty() {
        return Some(parsed);
    }
    let unless = program.option().map(|option| format!(" unless {option} says otherwise")).unwrap_or_default();
    let default = Origin::Default(format!("{name} listens on {}{unless}", program.default.0));
    let (number, port_from) = match values(arguments, program.port).last() {
        Some(given) => (port(&given.value)?, given.origin.clone()),
        None => (program.default.1?, Origin::Default(format!("the default of {name}"))),
    };
    let (host, address_from) = match values(arguments, program.address).last() {
        // `--host` without an address: every address, where a program lets it stand so.
        Some(given) if given.value.starts_with('-') => (ListenAddress::Any, given.origin.clone()),
        Some(given) => (address(&given.value), given.origin.clone()),
        None => (address(program.default.0), default),
    };
    parsed.listens.push(listen(host, number, address_from, port_from));
    Some(parsed)
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
        super::parse(command, &arguments, 80).map(|parsed| shown(&parsed))
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
    fn tunnels() {
        assert_eq!(
            of("ssh", "-N -L 8080:db:5432 -D 10.0.0.1:1080 host").unwrap(),
            ["localhost:8080 default -L 8080:db:5432", "10.0.0.1:1080 -D 10.0.0.1:1080"]
        );
        assert_eq!(
            of("ssh", "-g -L [::1]:81:db:80 -L82:[fd00::1]:80 host").unwrap(),
            ["[::1]:81 -L [::1]:81:db:80", "*:82 -g -L82:[fd00::1]:80"]
        );
        assert_eq!(of("ssh", "host"), None);
        assert_eq!(of("kubectl", "-n a port-forward svc/web 8080:80").unwrap(), ["localhost:8080 default 8080:80"]);
        assert_eq!(
            of("kubectl", "port-forward --address 0.0.0.0 pod/x 81").unwrap(),
            ["0.0.0.0:81 --address 0.0.0.0 81"]
        );
        assert_eq!(
            of("socat", "TCP-LISTEN:8080,fork,bind=127.0.0.1 TCP:db:80").unwrap(),
            ["127.0.0.1:8080 bind=127.0.0.1 TCP-LISTEN:8080"]
        );
        assert_eq!(of("nc", "-lk 127.0.0.1 8080").unwrap(), ["127.0.0.1:8080 127.0.0.1 8080"]);
        assert_eq!(of("nc", "127.0.0.1 8080"), None);
    }

    #[test]
    fn servers_of_developers() {
        assert_eq!(of("python3", "manage.py runserver").unwrap(), ["127.0.0.1:8000 default"]);
        assert_eq!(of("python3", "manage.py runserver 81").unwrap(), ["127.0.0.1:81 default runserver 81"]);
        assert_eq!(of("python3", "manage.py runserver 0:81").unwrap(), ["0.0.0.0:81 runserver 0:81"]);
        assert_eq!(of("ruby", "6.4.0 (tcp://localhost:3000) [app]").unwrap(), ["localhost:3000 tcp://localhost:3000"]);
        assert_eq!(of("node", "/a/node_modules/.bin/vite").unwrap(), ["localhost:5173 default"]);
        assert_eq!(
            of("node", "/a/node_modules/vite/bin/vite.js --host --port 3000").unwrap(),
            ["*:3000 --host --port --port 3000"]
        );
        assert_eq!(of("php", "-S localhost:8000 -t www").unwrap(), ["localhost:8000 -S localhost:8000"]);
        assert_eq!(of("ollama", "serve").unwrap(), ["127.0.0.1:11434 default"]);
        assert_eq!(
            of("python3", "-m uvicorn app:app --host 127.0.0.1").unwrap(),
            ["127.0.0.1:8000 --host 127.0.0.1 default"]
        );
        assert_eq!(of("php-fpm8.2", "--nodaemonize"), None);
        assert_eq!(of("nginx", ""), None, "`ng` is no beginning of it");
    }

    #[test]
    fn of_another_program_the_options_names_are_taken_and_said_to_be_a_guess() {
        assert_eq!(of("myserver", "--port 80 --bind 127.0.0.1").unwrap(), ["127.0.0.1:80 --bind 127.0.0.1 default"]);
        assert_eq!(of("myserver", "-addr=localhost:81").unwrap(), ["localhost:81 -addr=localhost:81"]);
        assert_eq!(of("python3", "app.py 127.0.0.1:82").unwrap(), ["127.0.0.1:82 127.0.0.1:82"]);
        let arguments = ["--listen".to_owned(), "http://[::1]:83/".to_owned()];
        let parsed = super::parse("myserver", &arguments, 80).unwrap();
        assert_eq!(parsed.listens[0].endpoint(), "[::1]:83");
        assert!(parsed.problems[0].hides);
        assert_eq!(of("myserver", "--db-host 127.0.0.1 --upstream db1:80 80"), None);
        assert_eq!(of("python3", "app.py --port 80"), None);
        assert_eq!(of("prometheus", "--web.listen-address=x"), None);
    }
}

//! Programs that say where they listen in a way of their own.

use super::super::Parsed;
use super::super::arguments::{Given, flag, values};
use super::super::settings::{ANY_V4, address, endpoint, one, port};
use super::listen;
use unrefuse_facts::{ConfiguredListen, ListenAddress, Origin, Protocol};

/// What such a program's command line says; `None` where it is none of them.
pub(super) fn parse(command: &str, arguments: &[String]) -> Option<Parsed> {
    let listens = match command {
        "ssh" => ssh(arguments),
        "kubectl" | "oc" => port_forward(arguments)?,
        "socat" => socat(arguments),
        "nc" | "nc.openbsd" | "ncat" => netcat(arguments)?,
        _ if is_interpreter(command) => {
            http_server(arguments).or_else(|| runserver(arguments)).or_else(|| puma(arguments))?
        }
        _ if command.starts_with("django-admin") => runserver(arguments)?,
        _ if command.starts_with("puma") => puma(arguments)?,
        _ => return None,
    };
    (!listens.is_empty()).then(|| Parsed { listens, ..Parsed::default() })
}

/// The command is one that runs a script; newer versions of Node.js call their first thread `MainThread`.
pub(super) fn is_interpreter(command: &str) -> bool {
    ["python", "pypy", "node", "ruby", "bundle", "MainThread"].iter().any(|name| command.starts_with(name))
}

/// `python3 -m http.server [port] [--bind ADDRESS]`.
fn http_server(arguments: &[String]) -> Option<Vec<ConfiguredListen>> {
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
    Some(vec![listen(host, number, address_from, port_from)])
}

/// Django: `manage.py runserver [ADDRESS:]PORT`, 127.0.0.1:8000 by itself.
fn runserver(arguments: &[String]) -> Option<Vec<ConfiguredListen>> {
    let at = arguments.iter().position(|argument| argument == "runserver")?;
    let v6 = arguments.iter().any(|argument| argument == "-6" || argument == "--ipv6");
    let words =
        format!("runserver listens on {} unless its argument names an address", if v6 { "::1" } else { "127.0.0.1" });
    let default = Origin::Default(words);
    let own = if v6 { "::1" } else { "127.0.0.1" };
    let given = arguments[at + 1..].iter().find(|argument| !argument.starts_with('-'));
    let Some(given) = given else { return Some(vec![listen(address(own), 8000, default.clone(), default)]) };
    let (host, number) = endpoint(given);
    let said = Origin::CommandLine(format!("runserver {given}"));
    let number = port(number?)?;
    Some(vec![match host {
        Some("0") => listen(ANY_V4, number, said.clone(), said),
        Some(host) => listen(address(host), number, said.clone(), said),
        None => listen(address(own), number, default, said),
    }])
}

/// puma writes its addresses into its title: `puma 6.4.0 (tcp://localhost:3000) [app]`.
fn puma(arguments: &[String]) -> Option<Vec<ConfiguredListen>> {
    let title = arguments.iter().find_map(|word| word.strip_prefix("(tcp://")?.strip_suffix(')'))?;
    let one_of = |part: &str| {
        let bare = part.strip_prefix("tcp://").unwrap_or(part);
        let (host, number) = endpoint(bare);
        Some(one(address(host?), None, port(number?)?, Protocol::Tcp, Origin::CommandLine(format!("tcp://{bare}"))))
    };
    Some(title.split(',').filter_map(one_of).collect())
}

/// `ssh -L [ADDRESS:]PORT:HOST:PORT`, `-D [ADDRESS:]PORT`: loopback only, unless an address or -g says otherwise (ssh(1)).
fn ssh(arguments: &[String]) -> Vec<ConfiguredListen> {
    let all = flag(arguments, &["-g"]);
    let forwarded = values(arguments, &["-L"]).into_iter().map(|given| (given, 3));
    let dynamic = values(arguments, &["-D"]).into_iter().map(|given| (given, 1));
    let of = |(given, least): (Given, usize)| {
        let parts = split(&given.value);
        let (host, number) = match parts.len() {
            n if n == least => (None, parts.first()?),
            n if n == least + 1 => (Some(parts.first()?), parts.get(1)?),
            _ => return None,
        };
        let number = port(number)?;
        let (host, from) = match (host, &all) {
            (Some(&""), _) => (ListenAddress::Any, given.origin.clone()),
            (Some(host), _) => (address(host), given.origin.clone()),
            (None, Some(flag)) => (ListenAddress::Any, flag.clone()),
            (None, None) => (
                address("localhost"),
                Origin::Default("ssh forwards from loopback only, unless an address or -g says otherwise".into()),
            ),
        };
        Some(listen(host, number, from, given.origin))
    };
    forwarded.chain(dynamic).filter_map(of).collect()
}

/// Splits at colons that stand outside of brackets.
fn split(text: &str) -> Vec<&str> {
    let mut inside = false;
    let is_end = |character: char| {
        inside = character == '[' || inside && character != ']';
        character == ':' && !inside
    };
    text.split(is_end).collect()
}

/// `kubectl port-forward TYPE/NAME [LOCAL:]REMOTE …`: localhost, unless `--address` says otherwise.
fn port_forward(arguments: &[String]) -> Option<Vec<ConfiguredListen>> {
    let at = arguments.iter().position(|argument| argument == "port-forward")?;
    let given = values(arguments, &["--address"]).pop();
    let hosts: Vec<&str> = given.as_ref().map_or(vec!["localhost"], |given| given.value.split(',').collect());
    let words = "kubectl forwards from localhost unless --address says otherwise";
    let from = given.as_ref().map_or_else(|| Origin::Default(words.to_owned()), |given| given.origin.clone());
    let ports = arguments[at + 1..].iter().filter_map(|argument| {
        let local = argument.split_once(':').map_or(argument.as_str(), |(local, _)| local);
        Some((port(local)?, Origin::CommandLine(argument.clone())))
    });
    let all = ports.flat_map(|(number, said)| {
        hosts.iter().map(|host| listen(address(host), number, from.clone(), said.clone())).collect::<Vec<_>>()
    });
    Some(all.collect())
}

/// `socat TCP-LISTEN:8080,bind=127.0.0.1,fork …`.
fn socat(arguments: &[String]) -> Vec<ConfiguredListen> {
    let of = |argument: &String| {
        let mut parts = argument.split(',');
        let (kind, number) = parts.next()?.split_once(':')?;
        let any = match kind.to_ascii_uppercase().as_str() {
            "TCP-LISTEN" | "TCP-L" | "TCP4-LISTEN" | "TCP4-L" => ANY_V4,
            "TCP6-LISTEN" | "TCP6-L" => address("::"),
            _ => return None,
        };
        let bind = parts.find_map(|option| option.strip_prefix("bind="));
        Some(match bind {
            Some(host) => listen(
                address(host),
                port(number)?,
                Origin::CommandLine(format!("bind={host}")),
                Origin::CommandLine(format!("{kind}:{number}")),
            ),
            None => one(any, None, port(number)?, Protocol::Tcp, Origin::CommandLine(format!("{kind}:{number}"))),
        })
    };
    arguments.iter().filter_map(of).collect()
}

/// `nc -l [ADDRESS] PORT`, `nc -l -p PORT -s ADDRESS` (nc(1) of OpenBSD and its likes).
fn netcat(arguments: &[String]) -> Option<Vec<ConfiguredListen>> {
    let listens =
        arguments.iter().any(|a| a == "--listen" || a.starts_with('-') && !a.starts_with("--") && a.contains('l'));
    if !listens {
        return None;
    }
    let plain: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let said = |text: &str| Origin::CommandLine(text.to_owned());
    match plain.as_slice() {
        [host, number] if port(host).is_none() => {
            let both = said(&format!("{host} {number}"));
            Some(vec![listen(address(host), port(number)?, both.clone(), both)])
        }
        [number] => Some(vec![listen(ANY_V4, port(number)?, said(number), said(number))]),
        _ => None,
    }
}

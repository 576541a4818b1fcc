//! Programs that are not known: an option that names an address, by the names that such options usually have.
//!
//! What it says is held against the program's socket later; here it is a guess, and the result says so.

use super::super::Parsed;
use super::super::settings::{address, endpoint, one, port};
use super::listen;
use unrefuse_facts::{ConfigProblem, ConfiguredListen, ListenAddress, Origin, Protocol};

/// Names of options that say where to listen, without their dashes, `_` written as `-`.
const NAMES: &[&str] = &[
    "host",
    "hostname",
    "bind",
    "bind-address",
    "bind-addr",
    "bind-host",
    "bind-ip",
    "listen",
    "listen-address",
    "listen-addr",
    "listen-host",
    "listen-ip",
    "address",
    "addr",
    "ip",
    "interface",
    "server.address",
    "server.host",
    "http-host",
    "http.addr",
    "http-address",
    "http.host",
];

/// What the words say, where `held` is the port that the program listens on.
pub(super) fn parse(command: &str, arguments: &[String], held: u16) -> Option<Parsed> {
    let mut listens = Vec::new();
    let mut words = arguments.iter().peekable();
    while let Some(word) = words.next() {
        let (name, inline) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.as_str(), None),
        };
        let known = name.starts_with('-') && NAMES.contains(&name.trim_start_matches('-').replace('_', "-").as_str());
        let next = words.peek().filter(|next| known && inline.is_none() && !next.starts_with('-'));
        let found = match (inline, next) {
            (Some(value), _) if name.starts_with('-') => at(value, word, known.then_some(held)),
            (_, Some(value)) => at(value, &format!("{word} {value}"), Some(held)),
            // A word of its own must name address and port.
            _ => at(word, word, None),
        };
        listens.extend(found);
    }
    if listens.is_empty() {
        return None;
    }
    let problem = ConfigProblem {
        path: "the command line".to_owned(),
        line: None,
        why: format!("the options of {command} are not known to unrefuse: what they mean is taken from their names"),
        remedy: Some(format!("see the documentation of {command}")),
        hides: true,
    };
    Some(Parsed { listens, problems: vec![problem], ..Parsed::default() })
}

/// An address with its port, or an address alone where a port is known.
fn at(value: &str, shown: &str, held: Option<u16>) -> Option<ConfiguredListen> {
    let bare = value.split_once("://").map_or(value, |(_, rest)| rest).trim_end_matches('/');
    let (host, number) = endpoint(bare);
    let host = match host.map(address) {
        Some(host @ ListenAddress::Ip(_)) => host,
        Some(host @ ListenAddress::Name(_)) if host.is_loopback() => host,
        _ => return None,
    };
    let said = Origin::CommandLine(shown.to_owned());
    match (number, held) {
        (Some(number), _) => Some(one(host, None, port(number)?, Protocol::Tcp, said)),
        (None, Some(held)) => Some(listen(host, held, said, Origin::Default("the port of its socket".to_owned()))),
        (None, None) => None,
    }
}

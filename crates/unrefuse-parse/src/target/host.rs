//! `host`, `host:port`, `[v6]:port`: the part of a target that names a place on the network.

use super::error::{TargetError, Word};
use super::schemes;
use crate::ipv4;
use std::net::{Ipv4Addr, Ipv6Addr};
use unrefuse_facts::Protocol;

/// Longest name in characters, without the dot at its end (RFC 1035: 255 bytes on the wire).
const MAX_NAME: usize = 253;
/// Longest label (RFC 1035, 2.3.4).
const MAX_LABEL: usize = 63;
/// Longest interface name (`IFNAMSIZ` with the final NUL is 16).
const MAX_SCOPE: usize = 15;

/// A place on the network, as far as the text says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) scope: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) protocol: Option<Protocol>,
}

/// How host names are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As on a command line.
    Plain,
    /// As in a URL: `%41` stands for a character.
    Url,
}

/// `host`, `host:port`, `:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
pub(super) fn endpoint(word: &Word<'_>, text: &str) -> Result<Endpoint, TargetError> {
    if text.starts_with('[') {
        let (address, scope, rest) = bracketed(word, text, Spelling::Plain)?;
        let (port, protocol) = port_after(word, rest)?;
        return Ok(Endpoint { host: address.to_string(), scope, port, protocol });
    }
    if let Some((address, scope)) = ipv6(word, text, Spelling::Plain)? {
        return Ok(Endpoint { host: address.to_string(), scope, port: None, protocol: None });
    }
    let Some((host, port_text)) = text.split_once(':') else {
        return Ok(Endpoint { host: name(word, text, Spelling::Plain)?, scope: None, port: None, protocol: None });
    };
    if port_text.contains(':') {
        return Err(too_many_colons(word, text));
    }
    let host = if host.is_empty() { "localhost".to_owned() } else { name(word, host, Spelling::Plain)? };
    let (port, protocol) = port(word, port_text)?;
    Ok(Endpoint { host, scope: None, port: Some(port), protocol })
}

/// `[address%scope]` and what follows the bracket.
pub(super) fn bracketed<'a>(
    word: &Word<'_>,
    text: &'a str,
    spelling: Spelling,
) -> Result<(Ipv6Addr, Option<String>, &'a str), TargetError> {
    let inner = text.strip_prefix('[').unwrap_or(text);
    let Some((inner, rest)) = inner.split_once(']') else {
        return Err(word.error(format_args!("no closing bracket in `{}`: write [address]:port", word.echo())));
    };
    match ipv6(word, inner, spelling)? {
        Some((address, scope)) => Ok((address, scope, rest)),
        None => Err(word
            .error(format_args!("`{}` is no IPv6 address: brackets are for those, as in [::1]:80", word.piece(inner)))),
    }
}

/// An IPv6 address with its scope (RFC 4007, RFC 6874: `%25` in URLs). `Ok(None)`: it is something else.
pub(super) fn ipv6(
    word: &Word<'_>,
    text: &str,
    spelling: Spelling,
) -> Result<Option<(Ipv6Addr, Option<String>)>, TargetError> {
    let (address, scope) = match text.split_once('%') {
        Some((address, scope)) => (address, Some(scope)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<Ipv6Addr>() else { return Ok(None) };
    let Some(scope) = scope else { return Ok(Some((address, None))) };
    let scope = match spelling {
        Spelling::Url => scope.strip_prefix("25").filter(|rest| !rest.is_empty()).unwrap_or(scope),
        Spelling::Plain => scope,
    };
    if scope.is_empty() || scope.len() > MAX_SCOPE || scope.contains(['/', ':', '%', '[', ']', '@']) {
        return Err(word.error(format_args!(
            "`{}` after % is no interface: write the name that `ip link` shows, as in fe80::1%eth0",
            word.piece(scope)
        )));
    }
    Ok(Some((address, Some(scope.to_owned()))))
}

/// What follows a closing bracket: nothing, or a colon and the port.
fn port_after(word: &Word<'_>, rest: &str) -> Result<(Option<u16>, Option<Protocol>), TargetError> {
    if rest.is_empty() {
        return Ok((None, None));
    }
    let Some(text) = rest.strip_prefix(':') else {
        return Err(word.error(format_args!(
            "`{}` after the closing bracket: only :port belongs there, as in [::1]:80",
            word.piece(rest)
        )));
    };
    port(word, text).map(|(port, protocol)| (Some(port), protocol))
}

/// A port number or a service's name, with `/tcp` or `/udp` after it or not.
pub(super) fn port(word: &Word<'_>, text: &str) -> Result<(u16, Option<Protocol>), TargetError> {
    let (text, protocol) = match text.split_once('/') {
        None => (text, None),
        Some((text, suffix)) if suffix.eq_ignore_ascii_case("tcp") => (text, Some(Protocol::Tcp)),
        Some((text, suffix)) if suffix.eq_ignore_ascii_case("udp") => (text, Some(Protocol::Udp)),
        Some((_, suffix)) => {
            return Err(word.error(format_args!(
                "`/{}` after the port in `{}`: only /tcp and /udp belong there; a path needs its scheme, as in http://host:port/path",
                word.piece(suffix),
                word.echo()
            )));
        }
    };
    if text.is_empty() {
        return Err(word.error(format_args!("no port after the colon in `{}`: write host:port", word.echo())));
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return match text.trim_start_matches('0') {
            "" => Err(word.error(format_args!(
                "port 0 in `{}`: nothing can be reached there; ports go from 1 to 65535",
                word.echo()
            ))),
            digits => digits.parse().map(|port| (port, protocol)).map_err(|_| {
                word.error(format_args!("port `{}` is too large: ports go from 1 to 65535", word.piece(text)))
            }),
        };
    }
    match schemes::service(&text.to_ascii_lowercase()) {
        Some((port, by_service)) => Ok((port, protocol.or(by_service))),
        None => Err(word.error(format_args!(
            "port `{}` is neither a number nor a service known here: write the number, as in host:80",
            word.piece(text)
        ))),
    }
}

fn too_many_colons(word: &Word<'_>, text: &str) -> TargetError {
    let hint = text
        .rsplit_once(':')
        .filter(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|(address, port)| Some((address.parse::<Ipv6Addr>().ok()?, port)));
    match hint {
        Some((address, port)) => {
            word.error(format_args!("`{}` is an IPv6 address without brackets: write [{address}]:{port}", word.echo()))
        }
        None => word.error(format_args!(
            "more than one colon in `{}`: write host:port, or [address]:port for IPv6",
            word.echo()
        )),
    }
}

/// A host name in ASCII form, lower case; or an IPv4 address.
pub(super) fn name(word: &Word<'_>, text: &str, spelling: Spelling) -> Result<String, TargetError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let by_url_rules = !text.is_ascii() && !text.contains('%') || spelling == Spelling::Url && text.contains('%');
    let host = if by_url_rules && text.chars().all(|c| plain(c) || !c.is_ascii() || c == '%') {
        match ::url::Host::parse(text) {
            Ok(::url::Host::Domain(domain)) => domain,
            Ok(::url::Host::Ipv4(address)) => address.to_string(),
            Ok(::url::Host::Ipv6(address)) => address.to_string(),
            Err(error) => {
                return Err(word.error(format_args!("`{}` is no host name: {error}", word.piece(text))));
            }
        }
    } else {
        text.to_ascii_lowercase()
    };
    if let Some(odd) = host.chars().find(|&c| !plain(c)) {
        return Err(odd_character(word, text, odd));
    }
    check_labels(word, &host)?;
    if ipv4::looks_numeric(&host) && ipv4::inet_aton(&host).is_none() && host.parse::<Ipv4Addr>().is_err() {
        return Err(word.error(format_args!(
            "`{}` is no IPv4 address: it has four numbers from 0 to 255, as in 192.0.2.1",
            word.piece(text)
        )));
    }
    Ok(host)
}

fn odd_character(word: &Word<'_>, text: &str, odd: char) -> TargetError {
    match odd {
        '@' => word
            .error(format_args!("a user in `{}`: write the host alone, or a URL such as ssh://user@host", word.echo())),
        '/' if text.starts_with('.') || text.ends_with(".sock") => word.error(format_args!(
            "`{}` is part of a path: write the whole path of a unix socket, from the first / on",
            word.echo()
        )),
        '/' => word.error(format_args!(
            "a path in `{}`: write the host alone, or a URL such as http://host/path",
            word.echo()
        )),
        '*' => word.error(format_args!(
            "`*` in `{}` is every address of a listener: write :port for this machine",
            word.echo()
        )),
        '[' | ']' => {
            word.error(format_args!("a bracket in the wrong place in `{}`: write [address]:port", word.echo()))
        }
        ',' => word.error(format_args!("a list in `{}`: give one host at a time", word.echo())),
        _ => word.error(format_args!(
            "`{odd}` cannot be in a host name: `{}` may hold letters, digits, dots, - and _",
            word.piece(text)
        )),
    }
}

fn check_labels(word: &Word<'_>, host: &str) -> Result<(), TargetError> {
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.is_empty() {
        return Err(word.error(format_args!("no host in `{}`: write host:port", word.echo())));
    }
    if name.len() > MAX_NAME {
        return Err(word.error(format_args!(
            "the host name in `{}` has {} characters: {MAX_NAME} is the most",
            word.echo(),
            name.len()
        )));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(word.error(format_args!(
                "a dot too many in `{}`: something must stand between two dots and before the first",
                word.echo()
            )));
        }
        if label.len() > MAX_LABEL {
            return Err(word.error(format_args!(
                "`{}` in the host name has {} characters: {MAX_LABEL} is the most between two dots",
                word.piece(label),
                label.len()
            )));
        }
    }
    Ok(())
}

//! How each service writes addresses and ports: the line as it becomes.

use super::judge::Decided;
use crate::fix::line_edit as edit;
use crate::report::Edit;
use std::net::{IpAddr, SocketAddr};
use unrefuse_facts::{ConfigLine, ConfiguredListen, ListenAddress, Location, Origin, ServiceConfig};

/// How far a change opens the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The asked address, beside what is there where the service takes a list.
    Asked,
    /// Every address.
    Every,
}

/// The changes that let the service take `ip` at `asked`, where it has another address and another port; in the order in
/// which they are made, so that line numbers hold.
///
/// Where one value says both and lines add up (nginx, Apache, sshd, HAProxy), what is there stays.
pub(super) fn endpoint(decided: &Decided<'_>, ip: IpAddr, asked: u16, scope: Scope) -> Option<Vec<Edit>> {
    let listen = decided.listen;
    let lines = listen.address_from.origin.line().zip(listen.port_from.origin.line());
    match lines.filter(|(address, port)| address.location == port.location) {
        Some((address, port)) if address.value == port.value => Some(vec![address_at(decided, ip, asked, scope)?]),
        Some((at, beside)) => {
            let moved = port(decided, asked)?;
            let ((start, end), (other, _)) = (at.value?, beside.value?);
            let shifted = |place: usize| match other < start {
                true => (place + moved.new.len()).checked_sub(moved.old.len()),
                false => Some(place),
            };
            let value = Some((shifted(start)?, shifted(end)?));
            let line = ConfigLine { text: moved.new.clone(), value, ..at.clone() };
            let listen = ConfiguredListen { address_from: Origin::Line(line).into(), ..listen.clone() };
            let both = address_at(&Decided { listen: &listen, ..*decided }, ip, asked, scope)?;
            (both.old == moved.new).then_some(())?;
            Some(vec![edit(&at.location, &at.text, both.new)?])
        }
        None => in_order(vec![port(decided, asked)?, address_at(decided, ip, asked, scope)?]),
    }
}

/// Edits in an order in which line numbers hold: the last line first; what takes a line's number after what is changed
/// there. `None` where two change the same line.
pub(super) fn in_order(mut edits: Vec<Edit>) -> Option<Vec<Edit>> {
    edits.sort_by_key(|edit| (std::cmp::Reverse(edit.line), edit.old.is_empty()));
    let clash = |pair: &[Edit]| matches!(pair, [one, other] if one.path == other.path && one.line == other.line && !other.old.is_empty());
    (!edits.windows(2).any(clash)).then_some(edits)
}

/// The change of one line that lets the service take `ip` at the port that it has; `None` where none is known to be right.
pub(super) fn address(decided: &Decided<'_>, ip: IpAddr, scope: Scope) -> Option<Edit> {
    address_at(decided, ip, decided.listen.port, scope)
}

fn address_at(decided: &Decided<'_>, ip: IpAddr, port: u16, scope: Scope) -> Option<Edit> {
    let listen = decided.listen;
    let endpoint = SocketAddr::new(ip, port).to_string();
    let line = match &listen.address_from.origin {
        Origin::Line(line) => line,
        Origin::Default(_) => return new_address(decided, ip, scope),
        Origin::CommandLine(_) => return None,
    };
    let value = line.value()?;
    let v4 = ip.is_ipv4();
    let every = if v4 { "0.0.0.0" } else { "::" };
    let of_unit = line.text.trim_start().starts_with("ExecStart");
    // The value of a variable is one word of a command: only another one can stand in its place.
    if is_environment(decided.config, line) {
        let own = listen.address.to_string();
        let (new, with_port) = match scope {
            Scope::Asked => (ip.to_string(), endpoint),
            Scope::Every => (every.to_owned(), format!("{}:{port}", bracketed(every))),
        };
        return match () {
            () if value == own => replace(line, &new),
            () if value == listen.endpoint() => replace(line, &with_port),
            () => None,
        };
    }
    match (decided.config.service.as_str(), scope) {
        ("nginx", Scope::Asked) => insert(line, &endpoint, "listen"),
        ("nginx", Scope::Every) if v4 => {
            let changed = line.with_value(&port.to_string())?;
            edit(&line.location, &line.text, for_any_family(&changed))
        }
        ("nginx", Scope::Every) => replace(line, &format!("[::]:{port}")),
        ("apache", Scope::Asked) => insert(line, &endpoint, "Listen"),
        ("apache", Scope::Every) => replace(line, &port.to_string()),
        ("haproxy", Scope::Asked) => replace(line, &format!("{value},{endpoint}")),
        ("haproxy", Scope::Every) if value.contains(',') => None,
        // A range keeps its other ports.
        ("haproxy", Scope::Every) => {
            let ports = value.rsplit(':').next().filter(|ports| ports.contains('-')).map(str::to_owned);
            let ports = ports.unwrap_or_else(|| port.to_string());
            replace(line, &format!("{}:{ports}", if v4 { "" } else { "::" }))
        }
        // Lists are understood from MariaDB 10.11 and MySQL 8.0.13 on: which one runs is not known.
        ("mariadb", Scope::Asked) => replace(line, &ip.to_string()),
        ("mariadb", Scope::Every) => replace(line, "*"),
        // In a unit's command the quotes would be the server's.
        ("postgresql", Scope::Asked) if of_unit => replace(line, &format!("{value},{ip}")),
        ("postgresql", Scope::Every) if of_unit => replace(line, "*"),
        ("redis", Scope::Every) if of_unit => replace(line, every),
        ("postgresql", Scope::Asked) => replace(line, &postgres_list(value, ip)),
        ("postgresql", Scope::Every) => replace(line, "'*'"),
        ("redis", Scope::Asked) => replace(line, &format!("{value} {ip}")),
        ("redis", Scope::Every) => replace(line, "* -::*"),
        ("memcached", Scope::Asked) => replace(line, &format!("{value},{}", at_its_port(value, &ip.to_string(), port))),
        ("memcached", Scope::Every) => replace(line, &at_its_port(value, every, port)),
        ("sshd", _) if line.text.trim_start().to_ascii_lowercase().starts_with("addressfamily") => replace(line, "any"),
        // Addresses of one family alone may be all that AddressFamily allows, and sshd does not start with others.
        ("sshd", _) if !is_of_family(decided.config, ip) => None,
        ("sshd", Scope::Asked) => insert(line, &at_its_port(value, &ip.to_string(), port), "ListenAddress"),
        ("sshd", Scope::Every) => replace(line, &at_its_port(value, every, port)),
        // Without `net.ipv6` an IPv6 address is not opened.
        ("mongodb", _) if !v4 => None,
        ("mongodb", Scope::Asked) => replace(line, &format!("{value},{ip}")),
        ("mongodb", Scope::Every) => replace(line, every),
        // `all` and `loopback-only` must stand alone.
        ("postfix", Scope::Asked) if value.trim() == "loopback-only" => {
            replace(line, &format!("localhost, {}", bare(ip)))
        }
        ("postfix", Scope::Asked) if line.text.trim_start().starts_with("inet_interfaces") => {
            replace(line, &format!("{value}, {}", bare(ip)))
        }
        ("postfix", Scope::Every) if line.text.trim_start().starts_with("inet_interfaces") => replace(line, "all"),
        ("vsftpd", Scope::Asked) if line.text.starts_with("listen_address") => replace(line, &ip.to_string()),
        ("vsftpd", Scope::Every) if line.text.starts_with("listen_address") => without(decided.config, line),
        ("bind", _) => bind_element(line, listen, ip, scope),
        ("dovecot", Scope::Asked) => replace(line, &format!("{value}, {ip}")),
        ("dovecot", Scope::Every) => replace(line, "*, ::"),
        (_, Scope::Asked) if of_unit && value == listen.address.to_string() => replace(line, &ip.to_string()),
        (_, Scope::Every) if of_unit && value == listen.address.to_string() => replace(line, every),
        (_, Scope::Asked) if of_unit && value == listen.endpoint() => replace(line, &endpoint),
        (_, Scope::Every) if of_unit && value == listen.endpoint() => {
            replace(line, &format!("{}:{port}", bracketed(every)))
        }
        ("dnsmasq", Scope::Asked) if line.text.contains("listen-address") => replace(line, &format!("{value},{ip}")),
        // Interfaces and addresses add up.
        ("dnsmasq", Scope::Asked) if line.text.trim_start().starts_with("interface") => {
            edit(&below(line)?, "", format!("listen-address={ip}"))
        }
        _ => None,
    }
}

/// Some address that is written down is of the same family, or may be.
fn is_of_family(config: &ServiceConfig, ip: IpAddr) -> bool {
    config.listens.iter().any(|listen| match &listen.address {
        ListenAddress::Ip(own) => own.is_ipv4() == ip.is_ipv4(),
        _ => true,
    })
}

/// The line gives a unit's processes a variable: it is none of its command, nor of its service's files.
fn is_environment(config: &ServiceConfig, line: &ConfigLine) -> bool {
    let text = line.text.trim_start();
    text.starts_with("Environment") || !text.starts_with("ExecStart") && config.file(&line.location.path).is_none()
}

/// An element of one of BIND's lists, each of which is for one family.
fn bind_element(line: &ConfigLine, listen: &ConfiguredListen, ip: IpAddr, scope: Scope) -> Option<Edit> {
    let value = line.value().filter(|_| listen.address.is_v6() == Some(ip.is_ipv6()))?;
    let is_none = matches!(listen.address, ListenAddress::Listed { by: None, .. }) && value == "none";
    match scope {
        Scope::Every if is_none || value == listen.address.to_string() => replace(line, "any"),
        Scope::Asked if is_none => replace(line, &ip.to_string()),
        Scope::Asked if value == listen.address.to_string() => replace(line, &format!("{value}; {ip}")),
        _ => None,
    }
}

/// `new` in place of what sshd's `ListenAddress` or memcached's `-l` says, with a port where there is one: without it that of
/// `Port` or `-p` holds.
fn at_its_port(old: &str, new: &str, port: u16) -> String {
    let old = old.split(',').next().unwrap_or_default();
    let has_port = old.contains("]:") || old.matches(':').count() == 1;
    if has_port { format!("{}:{port}", bracketed(new)) } else { new.to_owned() }
}

/// `[::]` in front of a port.
fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

/// `[::1]`: Postfix writes IPv6 addresses in brackets.
fn bare(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// `'localhost'` with one more address.
fn postgres_list(value: &str, ip: IpAddr) -> String {
    let inner = value.trim_matches('\'').trim();
    if inner.is_empty() { format!("'{ip}'") } else { format!("'{inner},{ip}'") }
}

/// A line where the service has a default of its own.
fn new_address(decided: &Decided<'_>, ip: IpAddr, scope: Scope) -> Option<Edit> {
    let config = decided.config;
    let new = match (config.service.as_str(), scope) {
        ("postgresql", Scope::Asked) => format!("listen_addresses = 'localhost,{ip}'"),
        ("postgresql", Scope::Every) => "listen_addresses = '*'".to_owned(),
        ("mongodb", _) if ip.is_ipv6() => return None,
        ("mongodb", Scope::Asked) => format!("{}bindIp: localhost,{ip}", mongo_indent(decided)),
        ("mongodb", Scope::Every) => format!("{}bindIp: 0.0.0.0", mongo_indent(decided)),
        _ => return None,
    };
    new_line(config, new)
}

/// The indent of what stands in `net:` already.
fn mongo_indent(decided: &Decided<'_>) -> String {
    let text = decided.listen.port_from.origin.line().map_or("  ", |line| line.text.as_str());
    text.chars().take_while(|c| *c == ' ').collect()
}

/// The change of one line that moves the service to `port`.
pub(super) fn port(decided: &Decided<'_>, port: u16) -> Option<Edit> {
    let old = decided.listen.port.to_string();
    match &decided.listen.port_from.origin {
        Origin::Line(line) => {
            let value = line.value()?;
            let bare = value.trim_matches(['\'', '"']);
            let alone = bare == old || bare.ends_with(&format!(":{old}")) && value.matches(&old).count() == 1;
            if !alone {
                return None;
            }
            let at = value.rfind(&old)?;
            replace(line, &format!("{}{port}{}", &value[..at], &value[at + old.len()..]))
        }
        Origin::CommandLine(_) => None,
        Origin::Default(_) => {
            let new = match decided.config.service.as_str() {
                "postgresql" | "mariadb" => format!("port = {port}"),
                "redis" => format!("port {port}"),
                "sshd" => format!("Port {port}"),
                "memcached" => format!("-p {port}"),
                "dnsmasq" => format!("port={port}"),
                "vsftpd" => format!("listen_port={port}"),
                _ => return None,
            };
            new_line(decided.config, new)
        }
    }
}

/// The change that switches TCP on again.
pub(super) fn enable(config: &ServiceConfig, line: &ConfigLine, ip: IpAddr, port: u16) -> Option<Edit> {
    let value = line.value()?;
    match config.service.as_str() {
        "mariadb" if line.text.contains('=') => replace(line, "0"),
        "mariadb" => without(config, line),
        "postgresql" => replace(line, &format!("'{ip}'")),
        "vsftpd" if ip.is_ipv4() && value.eq_ignore_ascii_case("no") => replace(line, "YES"),
        "redis" | "memcached" | "dnsmasq" if value == "0" => replace(line, &port.to_string()),
        _ => None,
    }
}

/// The line made a comment; never one of a unit, or of its variables.
pub(super) fn without(config: &ServiceConfig, line: &ConfigLine) -> Option<Edit> {
    line.value?;
    if line.text.trim_start().starts_with("ExecStart") || is_environment(config, line) {
        return None;
    }
    edit(&line.location, &line.text, format!("# {}", line.text))
}

fn replace(line: &ConfigLine, value: &str) -> Option<Edit> {
    edit(&line.location, &line.text, line.with_value(value)?)
}

/// One more line behind this one: the same with another value. Where other things stand on the line, one more of nginx'
/// directives on it; else the value itself is changed.
fn insert(line: &ConfigLine, value: &str, word: &str) -> Option<Edit> {
    let (start, end) = line.value?;
    let (head, tail) = (line.text.get(..start)?, line.text.get(end..)?);
    let alone = head.trim().eq_ignore_ascii_case(word) && !tail.contains(['{', '}']);
    if !alone && word == "listen" {
        let (from, to) = (head.rfind(word)?, end + tail.find(';')? + 1);
        let more = for_any_family(&format!("{}{value}{}", line.text.get(from..start)?, line.text.get(end..to)?));
        return edit(&line.location, &line.text, format!("{} {more}{}", line.text.get(..to)?, line.text.get(to..)?));
    }
    if !alone {
        return replace(line, value);
    }
    edit(&below(line)?, "", for_any_family(&line.with_value(value)?))
}

/// The place of a new line behind this one.
fn below(line: &ConfigLine) -> Option<Location> {
    Some(Location { path: line.location.path.clone(), line: line.location.line.checked_add(1)? })
}

/// Without what nginx takes for IPv6 addresses alone.
fn for_any_family(listen: &str) -> String {
    listen.replace(" ipv6only=on", "").replace(" ipv6only=off", "")
}

/// The changed line no longer names the address that the service has.
pub(super) fn takes_away(decided: &Decided<'_>, edit: &Edit) -> bool {
    let old = decided.listen.address.to_string();
    edit.old.contains(&old) && !edit.new.contains(&old)
}

/// The changed line no longer names that port.
pub(super) fn takes_away_port(edit: &Edit, port: u16) -> bool {
    let number = port.to_string();
    let names = |text: &str| text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits == number);
    names(&edit.old) && !names(&edit.new)
}

fn new_line(config: &ServiceConfig, new: String) -> Option<Edit> {
    edit(config.place.as_ref()?, "", new)
}

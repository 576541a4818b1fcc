//! URLs, as far as they name a place.
//!
//! The authority is taken apart here and not by the `url` crate's parser, which drops a port that is its scheme's
//! default, refuses scope ids and lists of hosts, and does not look into the host of a scheme it does not know. The
//! names themselves are read by it (percent-encoding, IDNA).

use super::error::{TargetError, Word};
use super::host::{self, Endpoint, Spelling};
use super::{network, schemes, unix};
use percent_encoding::percent_decode_str;
use unrefuse_facts::{Protocol, Target};

/// Whether the text is a URL, or means to be one.
pub(super) fn is_url(text: &str) -> bool {
    text.contains("://") || strip_jdbc(text).is_some()
}

fn strip_jdbc(text: &str) -> Option<&str> {
    text.get(..5).filter(|head| head.eq_ignore_ascii_case("jdbc:")).map(|_| &text[5..])
}

/// Refuses what looks like a URL with a slash or colon missing.
pub(super) fn check_typos(word: &Word<'_>) -> Result<(), TargetError> {
    let text = word.text();
    if let Some(rest) = text.strip_prefix("//") {
        return Err(word.error(format_args!(
            "no scheme before // in `{}`: write http://{}",
            word.echo(),
            word.piece(rest)
        )));
    }
    let Some((head, rest)) = text.split_once(':') else { return Ok(()) };
    let lower = head.to_ascii_lowercase();
    let slashed = rest.starts_with(['/', '\\']);
    if slashed || !rest.is_empty() && host_like(rest) && schemes::scheme(&lower).is_some() {
        return Err(word.error(format_args!(
            "`{}` is no URL: after the scheme comes ://, as in {}://host",
            word.echo(),
            schemes::scheme(&lower).map_or("http", |scheme| scheme.name)
        )));
    }
    Ok(())
}

/// After a scheme and a colon: a name rather than a port.
fn host_like(rest: &str) -> bool {
    let first = rest.split(['/', ':']).next().unwrap_or_default();
    first.contains('.')
        || rest.contains('@')
        || !first.bytes().all(|b| b.is_ascii_digit()) && schemes::service(first).is_none()
}

/// A target from a URL.
pub(super) fn parse(word: &Word<'_>, udp: bool) -> Result<Target, TargetError> {
    let (jdbc, text) = match strip_jdbc(word.text()) {
        Some(rest) => (true, rest),
        None => (false, word.text()),
    };
    let Some((head, rest)) = text.split_once("://") else {
        return Err(word.error(format_args!(
            "no :// in `{}`: write jdbc:postgresql://host:port/database, or host:port",
            word.echo()
        )));
    };
    // jdbc:mysql:loadbalance://a,b/
    let head = if jdbc { head.split(':').next().unwrap_or_default() } else { head };
    let name = scheme_name(word, head)?;
    let entry = schemes::scheme(&name);

    let ends: &[char] = if jdbc { &['/', '?', '#', ';'] } else { &['/', '?', '#'] };
    let end = rest.find(ends).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // `http://unix:/run/x.sock:/path`, as nginx and curl's users write it.
    if authority.eq_ignore_ascii_case("unix:") && path.starts_with('/') {
        let socket = path.split(':').next().unwrap_or(path);
        return unix(word, socket, udp, Some(name));
    }
    check_stray_at(word, &name, authority, path)?;
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);

    let mut first: Option<Endpoint> = None;
    let is_list = hosts.contains(',') && entry.is_none_or(|entry| entry.list);
    for part in hosts.split(|c| is_list && c == ',') {
        if let Some(path) = socket_path(part) {
            let path = if name.starts_with("postgres") { postgres_socket(&path, part) } else { path };
            if first.is_none() {
                return unix(word, &path, udp, Some(name));
            }
            continue;
        }
        let endpoint = server(word, part)?;
        first.get_or_insert(endpoint);
    }
    let Some(mut endpoint) = first else {
        return Err(word.error(format_args!("no host in `{}`", word.echo())));
    };
    endpoint.port = endpoint.port.or_else(|| entry.and_then(|entry| entry.port));
    if endpoint.port.is_none() {
        return Err(word.error(format_args!(
            "no port is known for the scheme of `{}`: write {}://host:port",
            word.echo(),
            word.piece(&name)
        )));
    }
    if matches!(name.as_str(), "tcp" | "tls") {
        // The scheme says nothing else, so that --udp beside it is a contradiction.
        endpoint.protocol = Some(Protocol::Tcp);
    }
    network(word, endpoint, udp, Some((name, entry.map(|entry| entry.protocol))))
}

fn scheme_name(word: &Word<'_>, head: &str) -> Result<String, TargetError> {
    let valid = head.starts_with(|c: char| c.is_ascii_alphabetic())
        && head.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    if !valid {
        return Err(word.error(format_args!(
            "no scheme before :// in `{}`: write one of letters and digits, as in https://host",
            word.echo()
        )));
    }
    let name = head.to_ascii_lowercase();
    if name.ends_with("+srv") {
        return Err(word.error(format_args!(
            "`{}` names no host but an SRV record: give one of the hosts that the record lists, as host:port",
            word.echo()
        )));
    }
    Ok(name)
}

/// Refuses a password with an unescaped slash: all after it would pass for the path, and what is before it for the
/// host. Web URLs do have `@` in their paths.
fn check_stray_at(word: &Word<'_>, scheme: &str, authority: &str, path: &str) -> Result<(), TargetError> {
    let path = if authority.contains('@') { "" } else { path };
    let web = matches!(scheme, "http" | "https" | "ws" | "wss");
    let in_path = path.split(['?', '#', ';']).next().unwrap_or_default().contains('@');
    let broken = path.contains('@') && authority.contains(':') && server(word, authority).is_err();
    if !web && in_path && authority.contains(':') || broken {
        return Err(word.error(format_args!(
            "`{}` has an @ behind its host: in a password write / as %2F, ? as %3F and # as %23",
            word.echo()
        )));
    }
    Ok(())
}

/// `host[:port]` in a URL. An empty port is none (RFC 3986, 3.2.3).
pub(super) fn server(word: &Word<'_>, text: &str) -> Result<Endpoint, TargetError> {
    let (host, scope, rest) = if text.starts_with('[') {
        let (address, scope, rest) = host::bracketed(word, text, Spelling::Url)?;
        (address.to_string(), scope, rest)
    } else {
        if host::ipv6(word, text, Spelling::Url)?.is_some() {
            return Err(word.error(format_args!(
                "an IPv6 address without brackets in `{}`: write [{}] in a URL",
                word.echo(),
                word.piece(text)
            )));
        }
        let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
        if name.is_empty() {
            return Err(word.error(format_args!("no host in `{}`: write scheme://host:port", word.echo())));
        }
        (host::name(word, name, Spelling::Url)?, None, rest)
    };
    let port = match rest.strip_prefix(':') {
        Some("") => None,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Some(host::port(word, port)?.0),
        Some(port) => {
            return Err(
                word.error(format_args!("port `{}` is no number: in a URL write scheme://host:80", word.piece(port)))
            );
        }
        None if rest.is_empty() => None,
        None => {
            return Err(word.error(format_args!(
                "`{}` after the closing bracket: only :port belongs there, as in http://[::1]:80",
                word.piece(rest)
            )));
        }
    };
    Ok(Endpoint { host, scope, port, protocol: None })
}

/// A percent-encoded absolute path in place of the host: `postgresql://%2Frun%2Fpostgresql/db` (libpq, 34.1.1.2).
fn socket_path(part: &str) -> Option<String> {
    let host = part.split(':').next().unwrap_or(part);
    let path = percent_decode_str(host).decode_utf8().ok()?;
    let visible = unrefuse_facts::text::visible(&path) == path;
    (path.starts_with('/') && !path.starts_with("//") && visible).then(|| path.into_owned())
}

/// libpq takes the directory, and the socket in it is named after the port.
fn postgres_socket(directory: &str, part: &str) -> String {
    let port = part.split_once(':').map(|(_, port)| port).filter(|port| port.parse::<u16>().is_ok());
    format!("{}/.s.PGSQL.{}", directory.trim_end_matches('/'), port.unwrap_or("5432"))
}

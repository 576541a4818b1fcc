//! What the user wants to reach, as typed on the command line.
//!
//! ```text
//! unrefuse                          localhost, port 80
//! unrefuse db1 · db1:5432 · db1 5432 · db1 postgresql · :5432 · db1:53/udp
//! unrefuse ::1 · [::1]:80 · fe80::1%eth0 · [fe80::1%eth0]:22
//! unrefuse https://example.com/x · postgres://u:p@db1,db2:5433/app · jdbc:mysql://db1/app
//! unrefuse /run/docker.sock · unix:/run/docker.sock
//! ```

mod error;
mod host;
mod schemes;
mod url;

pub use error::TargetError;

use error::Word;
use host::Endpoint;
use unrefuse_facts::{Protocol, Target};

/// The port where none is given.
const DEFAULT_PORT: u16 = 80;
/// Longest path of a unix socket in bytes: `sun_path` has 108 with the final NUL (unix(7)).
const MAX_UNIX_PATH: usize = 107;

/// Reads a target from no word (localhost, port 80), one, or two (host and port). `udp` is the `--udp` option.
///
/// Host names come out in ASCII form and lower case, with a dot at their end kept; IPv6 addresses in their short form.
/// Number forms that getaddrinfo(3) takes (`127.1`, `0x7f.1`, `0`) are hosts as they stand. A service name, a URL's
/// scheme or `/udp` and `/tcp` after a port choose the protocol; what says TCP beside `--udp` is an error.
/// Of a list of hosts in a URL the first is the target, and all must be right. No password comes out, neither in
/// [`Target::input`] nor in an error.
///
/// # Errors
/// [`TargetError`] says in one line what is wrong and what would be right.
///
/// ```
/// use unrefuse_parse::target::parse;
/// let target = parse(&["postgres://me:secret@db1/app"], false).unwrap();
/// assert_eq!(target.endpoint(), "db1:5432");
/// assert_eq!(target.input, "postgres://me:***@db1/app");
/// assert_eq!(
///     parse(&["db1:0"], false).unwrap_err().to_string(),
///     "port 0 in `db1:0`: nothing can be reached there; ports go from 1 to 65535"
/// );
/// ```
pub fn parse(words: &[&str], udp: bool) -> Result<Target, TargetError> {
    match words {
        [] => Ok(Target { input: "localhost 80".to_owned(), ..one_word("localhost:80", udp)? }),
        [one] => one_word(one, udp),
        [host, port] => two_words(host, port, udp),
        more => Err(TargetError::new(format!(
            "{} words where one or two belong: give host:port, a URL, or a host and a port",
            more.len()
        ))),
    }
}

fn one_word(text: &str, udp: bool) -> Result<Target, TargetError> {
    let word = Word::new(text);
    word.check_visible()?;
    if let Some(path) = unix_path(&word)? {
        return unix(&word, &path, udp, None);
    }
    word.check_blanks()?;
    if url::is_url(text) {
        return url::parse(&word, udp);
    }
    url::check_typos(&word)?;
    if text.parse::<u16>().is_ok_and(|number| number > 0) && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(word.error(format_args!(
            "`{}` alone may be a host or a port: write :{0} for that port of this machine, or host:{0}",
            word.echo()
        )));
    }
    let endpoint = host::endpoint(&word, text)?;
    network(&word, endpoint, udp, None)
}

fn two_words(host: &str, port: &str, udp: bool) -> Result<Target, TargetError> {
    let word = Word::new(host);
    word.check_visible()?;
    if let Some(path) = unix_path(&word)? {
        return Err(word.error(format_args!("a unix socket has no port: give `{}` alone", word.piece(&path))));
    }
    word.check_blanks()?;
    let port_word = Word::new(port);
    port_word.check_visible()?;
    port_word.check_blanks()?;
    if url::is_url(host) {
        return Err(word.error(format_args!(
            "port `{}` beside the URL `{}`: write the port in the URL, after the host",
            port_word.echo(),
            word.echo()
        )));
    }
    url::check_typos(&word)?;
    let mut endpoint = host::endpoint(&word, host)?;
    if endpoint.port.is_some() {
        return Err(word.error(format_args!(
            "two ports, one in `{}` and `{}` after it: give one of them",
            word.echo(),
            port_word.echo()
        )));
    }
    (endpoint.port, endpoint.protocol) = host::port(&port_word, port).map(|(port, protocol)| (Some(port), protocol))?;
    let input = format!("{host} {port}");
    network(&Word::new(&input), endpoint, udp, None)
}

/// The path, where the word is one or has `unix:` before it.
fn unix_path(word: &Word<'_>) -> Result<Option<String>, TargetError> {
    let text = word.text();
    if text.starts_with('/') && !text.starts_with("//") {
        // Such a path could exist, but is more likely a URL with something before it, and a password in it.
        if text.contains("://") {
            return Err(
                word.error(format_args!("`{}` is neither a path nor a URL: leave one of them away", word.echo()))
            );
        }
        return Ok(Some(text.to_owned()));
    }
    let Some(rest) = text.get(..5).filter(|head| head.eq_ignore_ascii_case("unix:")).map(|_| &text[5..]) else {
        return Ok(None);
    };
    let path = rest.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(rest);
    if !path.starts_with('/') || path.starts_with("//") {
        return Err(word.error(format_args!(
            "`{}` names no unix socket by an absolute path: write unix:/path/to/socket",
            word.echo()
        )));
    }
    Ok(Some(path.to_owned()))
}

fn unix(word: &Word<'_>, path: &str, udp: bool, scheme: Option<String>) -> Result<Target, TargetError> {
    if udp {
        return Err(word.error(format_args!("`{}` is a unix socket: leave --udp away", word.echo())));
    }
    if path.len() > MAX_UNIX_PATH {
        return Err(word.error(format_args!(
            "the path `{}` has {} bytes: a unix socket's path has at most {MAX_UNIX_PATH}",
            word.echo(),
            path.len()
        )));
    }
    Ok(Target { input: word.redacted(), host: path.to_owned(), scope: None, port: 0, protocol: Protocol::Unix, scheme })
}

/// A target on the network. `scheme` is the URL's, with its entry of the table.
fn network(
    word: &Word<'_>,
    endpoint: Endpoint,
    udp: bool,
    scheme: Option<(String, Option<Protocol>)>,
) -> Result<Target, TargetError> {
    let by_scheme = scheme.as_ref().and_then(|(_, protocol)| *protocol);
    let protocol = match endpoint.protocol {
        Some(Protocol::Tcp) if udp => {
            return Err(word.error(format_args!("`{}` says tcp and --udp says udp: leave one away", word.echo())));
        }
        Some(protocol) => protocol,
        None if udp => Protocol::Udp,
        None => by_scheme.unwrap_or(Protocol::Tcp),
    };
    Ok(Target {
        input: word.redacted(),
        host: endpoint.host,
        scope: endpoint.scope,
        port: endpoint.port.unwrap_or(DEFAULT_PORT),
        protocol,
        scheme: scheme.map(|(name, _)| name),
    })
}

/// Host (without brackets, with its scope) and port of `host[:port]` as proxy variables have it.
pub(crate) fn server(text: &str, default_port: u16) -> Option<(String, u16)> {
    let word = Word::new(text);
    word.check_visible().and_then(|()| word.check_blanks()).ok()?;
    let endpoint = url::server(&word, text).ok()?;
    let host = match endpoint.scope {
        Some(scope) => format!("{}%{scope}", endpoint.host),
        None => endpoint.host,
    };
    Some((host, endpoint.port.unwrap_or(default_port)))
}

#[cfg(test)]
mod tests;

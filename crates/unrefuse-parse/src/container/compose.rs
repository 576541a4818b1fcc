//! Where a compose file speaks of a service's ports.
//!
//! ```yaml
//! services:
//!   web:
//!     image: nginx
//!     ports:
//!       - "127.0.0.1:8080:80"
//! ```
//!
//! No YAML reader: only lines of the usual block form are told, and what is written otherwise (flow style, a merged or
//! extended service) is not found rather than guessed.

use crate::lines::numbered;
use unrefuse_facts::{ConfigLine, Location};

/// What a compose file says of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The service's own line.
    pub service: Option<Location>,
    /// Its `ports:` line, then those below, without blank ones and comments. The value is what an entry of the short form
    /// publishes.
    pub ports: Vec<ConfigLine>,
    /// The blanks in front of the service's keys.
    pub key_indent: Option<String>,
}

/// The lines of `service` in the file at `path`: its key below `services:`, its `ports:`, and the ports.
pub fn find(path: &str, file: &[u8], service: &str) -> Found {
    let location = |line| Location { path: path.to_owned(), line };
    let mut found = Found::default();
    // The indentation of each block that we are in, once its first line told it.
    let mut in_services = false;
    let mut of_services = None;
    let mut of_service: Option<usize> = None;
    let mut in_ports: Option<usize> = None;
    let mut in_block = false;
    for (number, bytes) in numbered(file) {
        let Ok(line) = std::str::from_utf8(bytes) else { continue };
        let line = line.trim_end();
        let body = line.trim_start_matches(' ');
        if body.is_empty() || body.starts_with('#') {
            continue;
        }
        let indent = line.len() - body.len();
        let item = body == "-" || body.starts_with("- ");
        if indent == 0 && !item {
            if found.service.is_some() {
                break;
            }
            in_services = key(body) == Some("services");
            continue;
        }
        if !in_services {
            continue;
        }
        let own = *of_services.get_or_insert(indent);
        if indent <= own {
            if found.service.is_some() {
                break;
            }
            if indent == own && key(body) == Some(service) {
                found.service = Some(location(number));
                in_block = opens_block(body);
            }
            continue;
        }
        if found.service.is_none() || !in_block {
            continue;
        }
        let inner = *of_service.get_or_insert(indent);
        found.key_indent.get_or_insert_with(|| " ".repeat(inner));
        let config_line = |value| ConfigLine { location: location(number), text: line.to_owned(), value };
        match in_ports {
            // A list may stand as deep as its key (YAML 1.2, 8.2.1).
            Some(ports) if indent > ports || indent == ports && item => found.ports.push(config_line(entry(line))),
            _ if indent == inner && key(body) == Some("ports") => {
                in_ports = Some(indent);
                found.ports.push(config_line(None));
            }
            _ => in_ports = None,
        }
    }
    found
}

/// Where the value of `- "8080:80" # public` stands; `None` for the long form, which has keys.
fn entry(line: &str) -> Option<(usize, usize)> {
    let dash = line.find(|c| c != ' ').filter(|&at| line[at..].starts_with("- "))?;
    let start = dash + 1 + line[dash + 1..].find(|c| c != ' ')?;
    let (start, end) = match line[start..].chars().next()? {
        quote @ ('"' | '\'') => (start + 1, start + 1 + line[start + 1..].find(quote)?),
        _ => (start, line[start..].find(" #").map_or(line.len(), |comment| start + comment)),
    };
    let value = line[start..end].trim_end();
    let plain = value.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '[' | '$')) && !value.contains(": ");
    (plain && !value.ends_with(':')).then(|| (start, start + value.len()))
}

/// Whether nothing but an anchor or a comment follows `web:`, so that what is below it are keys of their own.
fn opens_block(body: &str) -> bool {
    let body = body.split(" #").next().unwrap_or(body).trim_end();
    let body = body.rsplit_once(" &").filter(|(_, anchor)| !anchor.contains(' ')).map_or(body, |(body, _)| body);
    body.trim_end().ends_with(':')
}

/// The key of `key: value`, without its quotes.
fn key(body: &str) -> Option<&str> {
    let end = match body.chars().next()? {
        quote @ ('"' | '\'') => body[1..].find(quote)? + 2,
        _ => body.find(':')?,
    };
    let (key, rest) = body.split_at(end);
    let rest = rest.trim_start().strip_prefix(':')?;
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| key.trim().trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(file: &str, service: &str) -> (Option<u32>, Option<u32>, Vec<u32>) {
        let found = find("c.yml", file.as_bytes(), service);
        let mut lines = found.ports.iter().map(|line| line.location.line);
        (found.service.map(|place| place.line), lines.next(), lines.collect())
    }

    const FILE: &str = "\
version: '3'
x-common: &common
  web:
    ports: [1]
services:
  # the front
  db:
    image: postgres
    environment:
      ports: none
  \"web\": # public
    <<: *common
    command: |
      ports:
        - 9
    ports: # all
      # comment
      - 127.0.0.1:8080:80

      - target: 81
        published: 8081
    image: nginx
  other:
    ports:
    - 80
networks:
  web:
    ports:
";

    #[test]
    fn services_and_their_ports() {
        assert_eq!(numbers(FILE, "web"), (Some(11), Some(16), vec![18, 20, 21]));
        assert_eq!(numbers(FILE, "db"), (Some(7), None, vec![]));
        assert_eq!(numbers(FILE, "other"), (Some(23), Some(24), vec![25]));
        assert_eq!(numbers(FILE, "none"), (None, None, vec![]));
        let web = find("c.yml", FILE.as_bytes(), "web");
        assert_eq!(web.ports[1].text, "      - 127.0.0.1:8080:80");
        assert_eq!(
            web.ports.iter().map(ConfigLine::value).collect::<Vec<_>>(),
            [None, Some("127.0.0.1:8080:80"), None, None]
        );
        assert_eq!(web.key_indent.as_deref(), Some("    "));
    }

    #[test]
    fn values_of_entries() {
        let value = |line| entry(line).map(|(start, end)| &line[start..end]);
        assert_eq!(value("  - \"8080:80\" # x"), Some("8080:80"));
        assert_eq!(value("  -  '[::1]:8080:80/udp'"), Some("[::1]:8080:80/udp"));
        assert_eq!(value("- ${PORT}:80  # x"), Some("${PORT}:80"));
        for none in ["  - target: 80", "  - \"80", "-", "  -", "  - {target: 80}", "  - *x", "    published: 80", ""] {
            assert_eq!(value(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_not_in_block_form_is_not_found() {
        assert_eq!(numbers("services: {web: {ports: [80]}}\n", "web"), (None, None, vec![]));
        assert_eq!(numbers("web:\n  ports:\n    - 80\n", "web"), (None, None, vec![]));
        assert_eq!(numbers("services:\n\tweb:\n", "web"), (None, None, vec![]));
        assert_eq!(numbers("services:\n  web: {ports: [80]}\n", "web"), (Some(2), None, vec![]));
        let open = find("c.yml", b"services:\n  web: {\n    ports:\n      [80]\n  }\n", "web");
        assert_eq!((open.service.map(|at| at.line), open.ports.len(), open.key_indent), (Some(2), 0, None));
        assert_eq!(numbers("", ""), (None, None, vec![]));
    }
}

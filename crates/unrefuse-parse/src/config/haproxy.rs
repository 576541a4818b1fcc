//! haproxy.cfg: `bind` lines of frontend and listen sections.
//!
//! From a real one (a common shape; the shipped file has no frontend):
//! ```text
//! frontend web
//!     bind 127.0.0.1:80,[::1]:80
//!     bind :443 ssl crt /etc/haproxy/site.pem
//! ```
//!
//! As HAProxy reads it (configuration manual 4.2 "bind", 2.2 quoting, 2.3 environment): `[address]:port[-port]`, several
//! with commas; without address, with `*` or `0.0.0.0` every IPv4 address, `::` or `[::]` every IPv6 one, IPv4 too with
//! `v4v6`; `ipv4@`, `ipv6@`, `unix@`, `abns@`, `quic4@`… say the family. `-f` on the command line may name several files
//! and folders (`*.cfg`, sorted). A section that is `disabled` has no sockets. A bare frontend has no default address.

use super::lexer::{Comment, Syntax, Token, lines};
use super::reading::Reading;
use super::settings::{ANY_V4, ANY_V6, address, one, port};
use super::text::Text;
use super::{Files, Parsed, Start};
use unrefuse_facts::{ConfiguredListen, ListenAddress, Location, Protocol};

const SYNTAX: Syntax = Syntax {
    comment: Comment::Anywhere,
    quotes: b"\"'",
    escapes: true,
    punctuation: b"",
    lines: true,
    joins: false,
    variables: false,
};

/// Words that begin a section (src/cfgparse.c; peers' own `bind` is one, too).
const SECTIONS: [&str; 17] = [
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "peers",
    "resolvers",
    "userlist",
    "mailers",
    "cache",
    "program",
    "http-errors",
    "ring",
    "log-forward",
    "fcgi-app",
    "crt-store",
    "traces",
];

/// The section that is read.
#[derive(Default)]
struct Section {
    binds: bool,
    disabled: bool,
    listens: Vec<ConfiguredListen>,
}

/// Reads the files that HAProxy is started with.
pub(super) fn parse(start: &Start<'_>, files: &mut dyn Files) -> Parsed {
    let mut reading = Reading::new(files);
    let mut section = Section::default();
    for main in start.files {
        let mut inside = reading.list(&format!("{main}/*.cfg"), None);
        if inside.is_empty() {
            inside.push(main.clone());
        }
        for path in inside {
            let Some(text) = reading.text(&path, None) else { continue };
            let (lines, faults) = lines(&text.bytes, SYNTAX);
            for line in &lines {
                self::line(&mut reading, &mut section, &text, line, start.variables);
            }
            for fault in &faults {
                reading.fault(&text, fault);
            }
        }
    }
    end(&mut reading, &mut section);
    reading.done()
}

fn end(reading: &mut Reading<'_>, section: &mut Section) {
    let section = std::mem::take(section);
    if !section.disabled {
        reading.out.listens.extend(section.listens);
    }
}

fn line(reading: &mut Reading<'_>, section: &mut Section, text: &Text, line: &[Token], variables: &[(String, String)]) {
    let [name, rest @ ..] = line else { return };
    if SECTIONS.contains(&name.text.as_str()) {
        end(reading, section);
        section.binds = matches!(name.text.as_str(), "frontend" | "listen" | "peers");
        if section.binds && reading.out.place.is_none() {
            reading.out.place = Some(Location { path: text.path.clone(), line: name.line + 1 });
        }
        return;
    }
    match (name.text.as_str(), rest) {
        ("disabled", []) => section.disabled = true,
        ("enabled", []) => section.disabled = false,
        ("bind", [what, options @ ..]) if section.binds => {
            let Some(value) = expanded(&what.text, variables) else {
                let why = format!("`{}` names a variable that is not known", what.text);
                return reading.problem(&text.path, Some(what.line), why, true);
            };
            let mut origin = text.origin(what.span.clone());
            if let unrefuse_facts::Origin::Line(line) = &mut origin
                && value != what.text
            {
                line.value = None;
            }
            for part in value.split(',').filter(|part| !part.is_empty()) {
                match bound(part, options) {
                    Some(Bound::At(address, v6only, ports, protocol)) => {
                        for port in ports.0..=ports.1 {
                            section.listens.push(one(address.clone(), v6only, port, protocol, origin.clone()));
                        }
                    }
                    Some(Bound::Elsewhere) => {}
                    None => {
                        let why = format!("`bind {part}` names no port");
                        reading.problem(&text.path, Some(what.line), why, true);
                    }
                }
            }
        }
        _ => {}
    }
}

enum Bound {
    At(ListenAddress, Option<bool>, (u16, u16), Protocol),
    /// An inherited descriptor or an abstract socket: no address of its own.
    Elsewhere,
}

/// One address of a `bind`.
fn bound(text: &str, options: &[Token]) -> Option<Bound> {
    let has = |word: &str| options.iter().any(|option| option.text == word);
    let (prefix, rest) = text.split_once('@').unwrap_or(("", text));
    let protocol = if prefix.starts_with("quic") || prefix.starts_with("udp") { Protocol::Udp } else { Protocol::Tcp };
    match prefix {
        "unix" | "uxst" | "uxdg" => {
            return Some(Bound::At(ListenAddress::Unix(rest.to_owned()), None, (0, 0), Protocol::Unix));
        }
        "fd" | "sockpair" | "abns" | "abnsz" | "rhttp" => return Some(Bound::Elsewhere),
        _ if rest.starts_with('/') => {
            return Some(Bound::At(ListenAddress::Unix(rest.to_owned()), None, (0, 0), Protocol::Unix));
        }
        _ => {}
    }
    let v6 = prefix.ends_with('6');
    // The last colon parts the port off: `:::80` is every IPv6 address.
    let (host, ports) = rest.rsplit_once(':')?;
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let ports = (port(first)?, port(last)?);
    let address = match host {
        "" | "*" if v6 => ANY_V6,
        "" | "*" => ANY_V4,
        host => address(host),
    };
    let v6only = (address == ANY_V6).then(|| !has("v4v6"));
    let device = options.iter().position(|option| option.text == "interface").and_then(|at| options.get(at + 1));
    let address = match device {
        Some(device) if address == ANY_V4 || address == ANY_V6 => ListenAddress::Interface(device.text.clone()),
        _ => address,
    };
    (ports.0 <= ports.1).then_some(Bound::At(address, v6only, ports, protocol))
}

/// `$NAME` and `${NAME}` replaced; `None` where one is not known.
fn expanded(text: &str, variables: &[(String, String)]) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        out.push_str(&rest[..start]);
        let after = &rest[start + 1..];
        let (name, behind) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}')?,
            None => after.split_at(after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len())),
        };
        let (name, default) = match name.split_once('-') {
            Some((name, default)) => (name, Some(default)),
            None => (name, None),
        };
        let known = variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        out.push_str(known.or(default)?);
        rest = behind;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tree, shown};

    #[test]
    fn binds_in_all_their_forms() {
        let text = "global\n  stats socket /run/a.sock\ndefaults\n  mode http\nfrontend web\n  bind 127.0.0.1:80,[::1]:81 # x\n  bind :82\n  bind *:83 ssl\n  bind :::84 v4v6\n  bind [::]:85\n  bind /run/h.sock\n  bind abns@x\n  bind ipv6@:86\n  bind 10.0.0.1:8000-8001\nbackend b\n  server s 1.2.3.4:80\nlisten off\n  bind :9\n  disabled\nlisten l\n  bind \"${HOST}:87\"\n  bind :88 interface eth1\n";
        let parsed = Tree::of(&[("/h", text)]).variable("HOST", "10.0.0.2").parse("haproxy", &["/h"]);
        assert_eq!(parsed.problems, []);
        assert_eq!(
            shown(&parsed),
            [
                "127.0.0.1:80 /h:6",
                "[::1]:81 /h:6",
                "0.0.0.0:82 /h:7",
                "0.0.0.0:83 /h:8",
                "[::]:84 /h:9",
                "[::]:85 /h:10",
                "/run/h.sock /h:11",
                "[::]:86 /h:13",
                "10.0.0.1:8000 /h:14",
                "10.0.0.1:8001 /h:14",
                "10.0.0.2:87 /h:21",
                "interface eth1:88 /h:22",
            ]
        );
        assert_eq!((parsed.listens[4].v6only, parsed.listens[5].v6only), (Some(false), Some(true)));
        let line = parsed.listens[0].address_from.origin.line().unwrap();
        assert_eq!(line.value(), Some("127.0.0.1:80,[::1]:81"));
    }

    #[test]
    fn a_folder_of_files_and_what_is_no_bind() {
        let tree = Tree::of(&[
            ("/d/a.cfg", "frontend a\n bind 1.1.1.1\n bind $X:80\n"),
            ("/d/b.cfg", "frontend b\n bind :81\n"),
        ]);
        let parsed = tree.parse("haproxy", &["/d"]);
        assert_eq!(shown(&parsed), ["0.0.0.0:81 /d/b.cfg:2"]);
        assert_eq!(parsed.problems.iter().map(|p| p.line).collect::<Vec<_>>(), [Some(2), Some(3)]);
    }
}

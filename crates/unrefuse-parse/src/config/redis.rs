//! redis.conf and valkey.conf: `bind`, `port`, `tls-port`.
//!
//! From a real one (Debian 12, Redis 7.0):
//! ```text
//! bind 127.0.0.1 -::1
//! protected-mode yes
//! port 6379
//! ```
//!
//! As Redis reads it (src/config.c, loadServerConfigFromString; redis.conf's own comments): names in any case; comments are
//! whole lines; the last line wins, and a `bind` takes the place of the one before; a `-` before an address lets it be
//! absent; without `bind` it listens on every address of both families; `port 0` opens no plain port, `tls-port` opens
//! another one; `include` is read where it stands. Options of the command line come after the file.

use super::lexer::{Comment, Syntax, Token, lines};
use super::reading::{At, Reading, folder, join};
use super::settings::{Addresses, Said, address, last_addresses, last_port, listen_on, port};
use super::{Files, Parsed, Start};
use unrefuse_facts::{ListenAddress, Location, Origin, Protocol, Setting};

const SYNTAX: Syntax = Syntax {
    comment: Comment::LineStart,
    quotes: b"\"'",
    escapes: false,
    punctuation: b"",
    lines: true,
    joins: false,
    variables: false,
};

struct Redis<'f> {
    reading: Reading<'f>,
    bind: Vec<Said<Addresses>>,
    /// 0 switches it off.
    port: Vec<Said<u16>>,
    tls_port: Vec<Said<u16>>,
    sockets: Vec<(String, Origin)>,
}

/// Reads redis.conf with its includes and the options of the command line.
pub(super) fn parse(start: &Start<'_>, files: &mut dyn Files) -> Parsed {
    let mut redis = Redis {
        reading: Reading::new(files),
        bind: Vec::new(),
        port: Vec::new(),
        tls_port: Vec::new(),
        sockets: Vec::new(),
    };
    for main in start.files {
        redis.file(main, None);
    }
    redis.command_line(start.arguments);
    redis.finish()
}

impl Redis<'_> {
    fn file(&mut self, path: &str, at: Option<&At>) {
        let Some(text) = self.reading.text(path, at) else { return };
        if at.is_none() {
            self.reading.out.place = Some(Location { path: path.to_owned(), line: text.count() + 1 });
        }
        self.reading.open(path);
        let (lines, faults) = lines(&text.bytes, SYNTAX);
        for line in &lines {
            let at = At { path: path.to_owned(), line: line[0].line };
            match line.as_slice() {
                [name, value] if name.text.eq_ignore_ascii_case("include") => {
                    let pattern = join(folder(path), &value.text);
                    for path in self.reading.list(&pattern, Some(&at)) {
                        self.file(&path, Some(&at));
                    }
                }
                [name, values @ ..] if !values.is_empty() => {
                    let origin = text.origin_of(&values[0], &values[values.len() - 1]);
                    self.setting(&name.text, values, &origin, &at);
                }
                _ => {}
            }
        }
        for fault in &faults {
            self.reading.fault(&text, fault);
        }
        self.reading.close();
    }

    fn setting(&mut self, name: &str, values: &[Token], origin: &Origin, at: &At) {
        let texts: Vec<&str> = values.iter().map(|value| value.text.as_str()).collect();
        if !self.apply(name, &texts, origin) {
            let why = format!("`{}` is no port", texts.join(" "));
            self.reading.problem(&at.path, Some(at.line), why, true);
        }
    }

    /// `false` where the value is none.
    fn apply(&mut self, name: &str, values: &[&str], origin: &Origin) -> bool {
        let number = || match values {
            ["0"] => Some(0),
            [text] => port(text),
            _ => None,
        };
        match name.to_ascii_lowercase().as_str() {
            "bind" => {
                let addresses = values.iter().filter(|v| !v.is_empty()).map(|v| bound(v)).collect();
                self.bind.push(Said::new(addresses, origin.clone()));
            }
            "port" => match number() {
                Some(port) => self.port.push(Said::new(port, origin.clone())),
                None => return false,
            },
            "tls-port" => match number() {
                Some(port) => self.tls_port.push(Said::new(port, origin.clone())),
                None => return false,
            },
            "unixsocket" => {
                if let [path] = values {
                    self.sockets.push(((*path).to_owned(), origin.clone()));
                }
            }
            _ => {}
        }
        true
    }

    /// `--bind 1.2.3.4 --port 7000`: each option with the words up to the next one. The title of a running server shows
    /// none of it, unless `set-proc-title no`.
    fn command_line(&mut self, arguments: &[String]) {
        let mut rest = arguments;
        while let [first, after @ ..] = rest {
            rest = after;
            let Some(name) = first.strip_prefix("--") else { continue };
            let count = after.iter().take_while(|word| !word.starts_with("--")).count();
            let values: Vec<&str> = after[..count].iter().map(String::as_str).collect();
            let origin = Origin::CommandLine(format!("--{name} {}", values.join(" ")));
            // A value that is none would have kept the server from starting.
            if !values.is_empty() && matches!(name, "bind" | "port" | "tls-port" | "unixsocket") {
                self.apply(name, &values, &origin);
            }
            rest = &after[count..];
        }
    }

    fn finish(mut self) -> Parsed {
        let any = Said::new(
            vec![(ListenAddress::Any, None)],
            Origin::Default("without `bind` Redis listens on every address".to_owned()),
        );
        let bind = last_addresses(self.bind, any);
        let usual = Said::new(6379, Origin::Default("Redis' port is 6379".to_owned()));
        let plain = last_port(self.port, usual);
        let tls = last_port(self.tls_port, Said::new(0, Origin::Default("no tls-port is set".to_owned())));
        let out = &mut self.reading.out;
        for port in [&plain, &tls] {
            if port.0 != 0 {
                listen_on(out, &bind, port, Protocol::Tcp);
            }
        }
        if plain.0 == 0 && tls.0 == 0 {
            listen_on(out, &bind, &plain, Protocol::Tcp);
            out.disabled = Some(plain.1);
        } else if bind.0.is_empty() {
            out.disabled = Some(bind.1);
        }
        if let Some((path, origin)) = self.sockets.pop() {
            let setting = Setting::from(origin);
            let unix = (vec![(ListenAddress::Unix(path), None)], setting.clone());
            listen_on(out, &unix, &(0, setting), Protocol::Unix);
        }
        self.reading.done()
    }
}

/// `-::1`: it may be absent. `*` and `-::*` are every address of IPv4 and of IPv6.
fn bound(text: &str) -> (ListenAddress, Option<bool>) {
    match text.strip_prefix('-').unwrap_or(text) {
        "*" => (super::settings::ANY_V4, None),
        "::*" | "::" => (super::settings::ANY_V6, Some(true)),
        other => (address(other), None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tree, shown};

    #[test]
    fn the_last_line_wins_and_says_whom_it_beats() {
        let tree = Tree::of(&[
            (
                "/etc/redis/redis.conf",
                "# bind 1.1.1.1\nbind 127.0.0.1 -::1\nport 6379\ninclude /etc/redis/local.conf\n",
            ),
            ("/etc/redis/local.conf", "BIND 10.0.0.5\n"),
        ]);
        let parsed = tree.clone().parse("redis", &["/etc/redis/redis.conf"]);
        assert_eq!(shown(&parsed), ["10.0.0.5:6379 /etc/redis/local.conf:1 /etc/redis/redis.conf:3"]);
        let beaten = &parsed.listens[0].address_from.beats;
        assert_eq!(beaten[0].origin.line().unwrap().location.to_string(), "/etc/redis/redis.conf:2");
        assert_eq!(beaten[0].addresses.len(), 2);
        let parsed = tree
            .arguments("/etc/redis/redis.conf --port 7000 --bind 0.0.0.0")
            .parse("redis", &["/etc/redis/redis.conf"]);
        assert_eq!(shown(&parsed), ["0.0.0.0:7000 --bind 0.0.0.0 --port 7000"]);
    }

    #[test]
    fn the_default_is_every_address() {
        let parsed = Tree::of(&[("/r", "requirepass x\n")]).parse("redis", &["/r"]);
        assert_eq!(shown(&parsed), ["*:6379 default"]);
        assert_eq!(parsed.place.unwrap().line, 2);
    }

    #[test]
    fn port_0_switches_tcp_off_unless_there_is_another() {
        let parsed = Tree::of(&[("/r", "port 0\nunixsocket /run/redis.sock\n")]).parse("redis", &["/r"]);
        assert_eq!(parsed.disabled.as_ref().unwrap().origin.line().unwrap().text, "port 0");
        assert_eq!(shown(&parsed), ["*:0 default /r:1", "/run/redis.sock /r:2"]);
        let parsed = Tree::of(&[("/r", "port 0\ntls-port 6380\nbind * -::*\n")]).parse("redis", &["/r"]);
        assert_eq!(
            (shown(&parsed).join(","), parsed.disabled),
            ("0.0.0.0:6380 /r:3 /r:2,[::]:6380 /r:3 /r:2".into(), None)
        );
    }

    #[test]
    fn a_port_that_is_none_is_a_problem() {
        let parsed = Tree::of(&[("/r", "port many\n'x\n")]).parse("redis", &["/r"]);
        assert_eq!(parsed.problems.iter().map(|p| p.line).collect::<Vec<_>>(), [Some(1), Some(2)]);
    }
}

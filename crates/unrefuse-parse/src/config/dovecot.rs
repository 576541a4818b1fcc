//! Dovecot: `listen`, `protocols`, and the `inet_listener`s of its services.
//!
//! From a real one (Debian 12, Dovecot 2.3, dovecot.conf and conf.d/10-master.conf):
//! ```text
//! !include_try /usr/share/dovecot/protocols.d/*.protocol
//! #listen = *, ::
//! !include conf.d/*.conf
//! ```
//! ```text
//! service imap-login {
//!   inet_listener imap {
//!     #port = 143
//!   }
//! ```
//!
//! As Dovecot reads it (src/config/config-parser.c; doc.dovecot.org "Config File", "Service Configuration"): the last setting
//! wins; `$name` in a value is what it was before; `!include` is relative to the including file; `service` blocks of one
//! name add up; the login services listen where `protocols` has theirs: imap 143 and 993, pop3 110 and 995, submission
//! 587, sieve 4190. `port = 0` switches a listener off, `ssl = no` those with TLS.

use super::lexer::{Comment, Kind, Syntax, Token, lines};
use super::reading::{At, Reading, folder, join};
use super::settings::{ANY_V4, ANY_V6, Addresses, Said, address, last_addresses, port};
use super::text::Text;
use super::{Files, Parsed, Start};
use std::collections::BTreeMap;
use unrefuse_facts::{ConfiguredListen, ListenAddress, Location, Origin, Protocol, Setting};

const SYNTAX: Syntax = Syntax {
    comment: Comment::WordStart,
    quotes: b"\"'",
    escapes: false,
    punctuation: b"={}",
    lines: true,
    joins: true,
    variables: false,
};

/// Listeners that are there without being written: service, listener, protocol, port, with TLS.
const BUILT_IN: [(&str, &str, &str, u16, bool); 6] = [
    ("imap-login", "imap", "imap", 143, false),
    ("imap-login", "imaps", "imap", 993, true),
    ("pop3-login", "pop3", "pop3", 110, false),
    ("pop3-login", "pop3s", "pop3", 995, true),
    ("submission-login", "submission", "submission", 587, false),
    ("managesieve-login", "sieve", "sieve", 4190, false),
];

/// Dovecot 2.3's own `protocols`.
const PROTOCOLS: [&str; 3] = ["imap", "pop3", "lmtp"];

/// Where Debian's packages have theirs.
const SPLIT: &str = "/usr/share/dovecot/protocols.d/";

/// One `inet_listener`.
#[derive(Default, Clone)]
struct Listener {
    port: Option<Said<u16>>,
    address: Option<Said<Addresses>>,
    tls: bool,
}

struct Dovecot<'f> {
    reading: Reading<'f>,
    /// The blocks that are open: their words.
    blocks: Vec<Vec<String>>,
    listen: Vec<Said<Addresses>>,
    /// `None`: no line says it.
    protocols: Option<Vec<String>>,
    no_tls: bool,
    listeners: BTreeMap<(String, String), Listener>,
}

/// Reads dovecot.conf with its includes.
pub(super) fn parse(start: &Start<'_>, files: &mut dyn Files) -> Parsed {
    let mut dovecot = Dovecot {
        reading: Reading::new(files),
        blocks: Vec::new(),
        listen: Vec::new(),
        protocols: None,
        no_tls: false,
        listeners: BTreeMap::new(),
    };
    for (service, listener, _, _, tls) in BUILT_IN {
        dovecot.listeners.insert((service.into(), listener.into()), Listener { tls, ..Listener::default() });
    }
    for main in start.files {
        dovecot.file(main, None, true);
    }
    dovecot.finish()
}

impl Dovecot<'_> {
    fn file(&mut self, path: &str, at: Option<&At>, wanted: bool) {
        let text = if wanted { self.reading.text(path, at) } else { self.reading.text_if_there(path, at) };
        let Some(text) = text else { return };
        if at.is_none() {
            self.reading.out.place = Some(Location { path: path.to_owned(), line: text.count() + 1 });
        }
        let outside = self.blocks.len();
        self.reading.open(path);
        let (lines, faults) = lines(&text.bytes, SYNTAX);
        for line in &lines {
            self.line(&text, line);
        }
        for fault in &faults {
            self.reading.fault(&text, fault);
        }
        self.reading.close();
        if self.blocks.len() > outside {
            self.reading.problem(path, None, "a block has no end", true);
            self.blocks.truncate(outside);
        }
    }

    fn line(&mut self, text: &Text, line: &[Token]) {
        let marks: Vec<Option<u8>> = line
            .iter()
            .map(|token| match token.kind {
                Kind::Punctuation(mark) => Some(mark),
                _ => None,
            })
            .collect();
        let last = marks.last().copied().flatten();
        if marks.first() == Some(&Some(b'}')) {
            self.blocks.pop();
            return;
        }
        if last == Some(b'{') {
            if self.blocks.len() < 100 {
                self.blocks.push(line[..line.len() - 1].iter().map(|token| token.text.clone()).collect());
            }
            return;
        }
        let [name, rest @ ..] = line else { return };
        if name.text == "!include" || name.text == "!include_try" {
            let at = At { path: text.path.clone(), line: name.line };
            if let [what] = rest {
                let wanted = name.text == "!include";
                let pattern = join(folder(&text.path), &what.text);
                for path in self.reading.list(&pattern, Some(&at)) {
                    self.file(&path, Some(&at), wanted);
                }
            }
            return;
        }
        if marks.get(1) != Some(&Some(b'=')) {
            return;
        }
        let values = &line[2..];
        let value: Vec<&str> = values.iter().map(|token| token.text.as_str()).collect();
        let value = value.join(" ");
        let origin = match values {
            [first, .., last] => text.origin_of(first, last),
            [only] => text.origin(only.span.clone()),
            [] => text.origin(line[1].span.end..line[1].span.end),
        };
        self.setting(&name.text, &value, origin, text, name.line);
    }

    fn setting(&mut self, name: &str, value: &str, origin: Origin, text: &Text, number: u32) {
        let blocks: Vec<Vec<&str>> = self.blocks.iter().map(|b| b.iter().map(String::as_str).collect()).collect();
        let words: Vec<&[&str]> = blocks.iter().map(Vec::as_slice).collect();
        match (words.as_slice(), name) {
            ([], "listen") => self.listen.push(Said::new(addresses(value), origin)),
            ([], "ssl") => self.no_tls = value == "no",
            ([], "protocols") => {
                let before = match &self.protocols {
                    Some(protocols) => protocols.join(" "),
                    // Debian's Dovecot begins with none: each of its packages adds its own there.
                    None if text.path.starts_with(SPLIT) => String::new(),
                    None => PROTOCOLS.join(" "),
                };
                let value = value.replace("$protocols", &before);
                self.protocols = Some(value.split_whitespace().map(str::to_owned).collect());
            }
            ([["service", service], ["inet_listener", listener]], _) => {
                let key = ((*service).to_owned(), (*listener).to_owned());
                let entry = self.listeners.entry(key).or_default();
                match name {
                    "address" | "listen" => entry.address = Some(Said::new(addresses(value), origin)),
                    "ssl" => entry.tls = value == "yes",
                    "port" => match value.parse::<u16>() {
                        Ok(0) => entry.port = Some(Said::new(0, origin)),
                        _ => match port(value) {
                            Some(port) => entry.port = Some(Said::new(port, origin)),
                            None => {
                                self.reading.problem(&text.path, Some(number), format!("`{value}` is no port"), true)
                            }
                        },
                    },
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn finish(mut self) -> Parsed {
        let every = Said::new(
            vec![(ANY_V4, None), (ANY_V6, Some(true))],
            Origin::Default("without `listen` Dovecot listens on every address".to_owned()),
        );
        let (bind, bind_from) = last_addresses(self.listen, every);
        for ((service, name), listener) in self.listeners {
            let built_in = BUILT_IN.iter().find(|known| known.0 == service && known.1 == name);
            let (port, port_from) = match (listener.port, built_in) {
                (Some(Said { value: 0, .. }), _) => continue,
                (Some(said), _) => (said.value, Setting::from(said.origin)),
                (None, Some(known)) => (known.3, Setting::from(Origin::Default(format!("{name} is port {}", known.3)))),
                (None, None) => continue,
            };
            let protocol = service.strip_suffix("-login").map(|p| if p == "managesieve" { "sieve" } else { p });
            let says = |protocol: &str| match &self.protocols {
                Some(protocols) => protocols.iter().any(|p| p == protocol),
                None => PROTOCOLS.contains(&protocol),
            };
            let off = protocol.is_some_and(|protocol| !says(protocol));
            if off || listener.tls && self.no_tls {
                continue;
            }
            let (list, address_from) = match listener.address {
                Some(said) => (said.value, Setting::from(said.origin)),
                None => (bind.clone(), bind_from.clone()),
            };
            for (address, v6only) in list {
                self.reading.out.listens.push(ConfiguredListen {
                    address,
                    port,
                    protocol: Protocol::Tcp,
                    v6only,
                    address_from: address_from.clone(),
                    port_from: port_from.clone(),
                });
            }
        }
        self.reading.done()
    }
}

/// `*, ::` and the like: `*` is every IPv4 address.
fn addresses(value: &str) -> Addresses {
    let one = |text: &str| match address(text) {
        ListenAddress::Any => (ANY_V4, None),
        ip if ip == ANY_V6 => (ANY_V6, Some(true)),
        other => (other, None),
    };
    value.split([',', ' ']).filter(|part| !part.is_empty()).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tree, shown};

    const MAIN: &str = "/etc/dovecot/dovecot.conf";

    #[test]
    fn debians_files() {
        let tree = Tree::of(&[
            (
                MAIN,
                "!include_try /usr/share/dovecot/protocols.d/*.protocol\n#listen = *, ::\nlisten = 127.0.0.1, ::1 # x\n!include conf.d/*.conf\n!include_try local.conf\n",
            ),
            ("/usr/share/dovecot/protocols.d/imapd.protocol", "protocols = $protocols imap\n"),
            ("/usr/share/dovecot/protocols.d/pop3d.protocol", "protocols = $protocols pop3\n"),
            (
                "/etc/dovecot/conf.d/10-master.conf",
                "service imap-login {\n  inet_listener imap {\n    #port = 143\n  }\n  inet_listener imaps {\n    port = 0\n    ssl = yes\n  }\n}\nservice pop3-login {\n  inet_listener pop3 {\n    port = 1110\n    address = 10.0.0.1\n  }\n}\nservice auth {\n  inet_listener {\n  }\n  unix_listener x {\n  port = 4\n }\n}\n",
            ),
            ("/etc/dovecot/conf.d/10-ssl.conf", "ssl = no\n"),
        ]);
        let parsed = tree.parse("dovecot", &[MAIN]);
        assert_eq!(parsed.problems, []);
        assert_eq!(
            shown(&parsed),
            [
                "127.0.0.1:143 /etc/dovecot/dovecot.conf:3 default",
                "[::1]:143 /etc/dovecot/dovecot.conf:3 default",
                "10.0.0.1:1110 /etc/dovecot/conf.d/10-master.conf:13 /etc/dovecot/conf.d/10-master.conf:12",
            ]
        );
        let line = parsed.listens[0].address_from.origin.line().unwrap();
        assert_eq!(line.with_value("*, ::").unwrap(), "listen = *, :: # x");
    }

    #[test]
    fn protocols_decide() {
        let parsed = Tree::of(&[("/d", "protocols = pop3\n")]).parse("dovecot", &["/d"]);
        let ports = |parsed: &super::Parsed| parsed.listens.iter().map(|l| l.port).collect::<Vec<_>>();
        assert_eq!(ports(&parsed), [110, 110, 995, 995]);
        let main = "protocols = $protocols sieve\n";
        let (own, split) = ("/d", "/usr/share/dovecot/protocols.d/x.protocol");
        assert_eq!(ports(&Tree::of(&[(split, main)]).parse("dovecot", &[split])), [4190, 4190]);
        assert!(ports(&Tree::of(&[(own, main)]).parse("dovecot", &[own])).contains(&143));
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let parsed = Tree::of(&[("/d", "service x {\n inet_listener y {\n port = z\n }\n!include no\n")])
            .parse("dovecot", &["/d"]);
        assert_eq!(parsed.problems.iter().map(|p| p.line).collect::<Vec<_>>(), [Some(3), Some(5), None]);
    }
}

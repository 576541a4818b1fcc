//! sshd_config: `Port`, `ListenAddress`, `AddressFamily`.
//!
//! From a real one (Debian 12):
//! ```text
//! Include /etc/ssh/sshd_config.d/*.conf
//!
//! #Port 22
//! #AddressFamily any
//! #ListenAddress 0.0.0.0
//! ```
//!
//! As sshd reads it (servconf.c; sshd_config(5)): names in any case, `name value` or `name=value`; the first value wins, but
//! `Port` and `ListenAddress` add up; a `ListenAddress` without port has every `Port`; `Include` is read where it stands,
//! relative to /etc/ssh, and ends with its files' own `Match` blocks; behind `Match` these settings do not count. On the
//! command line `-p` takes the place of every `Port`, and `-o` comes before the file.

use super::arguments::values;
use super::lexer::{Comment, Kind, Syntax, Token, lines};
use super::reading::{At, Reading, join};
use super::settings::{ANY_V4, ANY_V6, Said, address, endpoint, port};
use super::text::Text;
use super::{Files, Parsed, Start};
use unrefuse_facts::{Beaten, ConfiguredListen, ListenAddress, Location, Origin, Protocol, Setting};

const SYNTAX: Syntax = Syntax {
    comment: Comment::WordStart,
    quotes: b"\"",
    escapes: false,
    punctuation: b"=",
    lines: true,
    joins: false,
    variables: false,
};

struct Sshd<'f> {
    reading: Reading<'f>,
    ports: Vec<Said<u16>>,
    addresses: Vec<Said<(ListenAddress, Option<u16>)>>,
    family: Option<Said<String>>,
}

/// Reads sshd_config with its includes and the command line.
pub(super) fn parse(start: &Start<'_>, files: &mut dyn Files) -> Parsed {
    let mut sshd = Sshd { reading: Reading::new(files), ports: Vec::new(), addresses: Vec::new(), family: None };
    for given in values(start.arguments, &["-o"]) {
        if let Some((name, value)) = given.value.split_once(['=', ' ']) {
            sshd.apply(name, value.trim(), given.origin.clone());
        }
    }
    for main in start.files {
        sshd.file(main, None, true);
    }
    let mut beaten = Vec::new();
    let given = values(start.arguments, &["-p"]);
    if !given.is_empty() {
        let beat = |said: Said<u16>| Beaten { origin: said.origin, addresses: Vec::new(), port: Some(said.value) };
        beaten = std::mem::take(&mut sshd.ports).into_iter().map(beat).collect();
        let number = |given: &super::arguments::Given| Some(Said::new(port(&given.value)?, given.origin.clone()));
        sshd.ports = given.iter().filter_map(number).collect();
    }
    sshd.finish(&beaten)
}

impl Sshd<'_> {
    fn file(&mut self, path: &str, at: Option<&At>, mut counts: bool) {
        let Some(text) = self.reading.text(path, at) else { return };
        self.reading.open(path);
        let (lines, faults) = lines(&text.bytes, SYNTAX);
        let mut first_match = None;
        for line in &lines {
            let words: Vec<&Token> = match line.as_slice() {
                [name, equals, rest @ ..] if equals.kind != Kind::Word => std::iter::once(name).chain(rest).collect(),
                all => all.iter().collect(),
            };
            let [name, values @ ..] = words.as_slice() else { continue };
            if name.text.eq_ignore_ascii_case("match") {
                // `Match all` ends a block; a condition is never met at start.
                counts = values.len() == 1 && values[0].text.eq_ignore_ascii_case("all");
                first_match = first_match.or(Some(name.line));
            } else if name.text.eq_ignore_ascii_case("include") {
                let at = At { path: path.to_owned(), line: name.line };
                for value in values {
                    for path in self.reading.list(&join("/etc/ssh", &value.text), Some(&at)) {
                        self.file(&path, Some(&at), counts);
                    }
                }
            } else if counts && let [value] = values {
                let origin = text.origin(value.span.clone());
                if !self.apply(&name.text, &value.text, origin) {
                    let why = format!("`{}` is no value of {}", value.text, name.text);
                    self.reading.problem(path, Some(name.line), why, true);
                }
            }
        }
        for fault in &faults {
            self.reading.fault(&text, fault);
        }
        if at.is_none() {
            self.reading.out.place = Some(place(&text, first_match));
        }
        self.reading.close();
    }

    /// `false` where the value is none.
    fn apply(&mut self, name: &str, value: &str, origin: Origin) -> bool {
        match name.to_ascii_lowercase().as_str() {
            "port" => match port(value) {
                Some(port) => self.ports.push(Said::new(port, origin)),
                None => return false,
            },
            "listenaddress" => {
                let (host, own) = endpoint(value);
                let own = match own.map(port) {
                    Some(None) => return false,
                    Some(number) => number,
                    None => None,
                };
                let address = match host.map(address) {
                    // `ListenAddress 22` is the address 0.0.0.22, and `*` every one.
                    None => return false,
                    Some(address) => address,
                };
                self.addresses.push(Said::new((address, own), origin));
            }
            "addressfamily" if !matches!(value.to_ascii_lowercase().as_str(), "any" | "inet" | "inet6") => {
                return false;
            }
            "addressfamily" if self.family.is_none() => {
                self.family = Some(Said::new(value.to_ascii_lowercase(), origin))
            }
            _ => {}
        }
        true
    }

    fn finish(mut self, beaten: &[Beaten]) -> Parsed {
        if self.ports.is_empty() {
            self.ports.push(Said::new(22, Origin::Default("sshd's port is 22".to_owned())));
        }
        let family = self.family.as_ref().map_or("any", |said| said.value.as_str());
        if self.addresses.is_empty() {
            let origin = match &self.family {
                Some(said) if said.value != "any" => said.origin.clone(),
                _ => Origin::Default("without ListenAddress sshd listens on every address".to_owned()),
            };
            for any in [ANY_V4, ANY_V6] {
                self.addresses.push(Said::new((any, None), origin.clone()));
            }
        }
        for Said { value: (address, own), origin } in &self.addresses {
            let v4 = matches!(address, ListenAddress::Ip(ip) if ip.is_ipv4());
            let v6 = matches!(address, ListenAddress::Ip(ip) if ip.is_ipv6());
            if family == "inet" && v6 || family == "inet6" && v4 {
                continue;
            }
            let ports: Vec<(u16, Setting)> = match own {
                Some(port) => vec![(*port, Setting::from(origin.clone()))],
                None => {
                    let setting = |said: &Said<u16>| {
                        (said.value, Setting { origin: said.origin.clone(), beats: beaten.to_vec() })
                    };
                    self.ports.iter().map(setting).collect()
                }
            };
            for (port, port_from) in ports {
                self.reading.out.listens.push(ConfiguredListen {
                    address: address.clone(),
                    port,
                    protocol: Protocol::Tcp,
                    // sshd sets IPV6_V6ONLY (sshd.c, listen_on_addrs).
                    v6only: v6.then_some(true),
                    address_from: Setting::from(origin.clone()),
                    port_from,
                });
            }
        }
        self.reading.done()
    }
}

/// A new line goes before the first `Match`, else to the end.
fn place(text: &Text, first_match: Option<u32>) -> Location {
    text.location(first_match.unwrap_or(text.count() + 1))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tree, shown};

    #[test]
    fn ports_and_addresses_add_up() {
        let tree = Tree::of(&[
            (
                "/etc/ssh/sshd_config",
                "Include sshd_config.d/*.conf\nport=22\nPort 2222\nListenAddress 10.0.0.1\nMatch User x\n  Port 99\n",
            ),
            ("/etc/ssh/sshd_config.d/a.conf", "ListenAddress [::1]:2022 # x\n"),
        ]);
        let parsed = tree.clone().parse("sshd", &["/etc/ssh/sshd_config"]);
        assert_eq!(
            shown(&parsed),
            [
                "[::1]:2022 /etc/ssh/sshd_config.d/a.conf:1",
                "10.0.0.1:22 /etc/ssh/sshd_config:4 /etc/ssh/sshd_config:2",
                "10.0.0.1:2222 /etc/ssh/sshd_config:4 /etc/ssh/sshd_config:3",
            ]
        );
        assert_eq!(parsed.place.unwrap().line, 5);
        let parsed = tree.arguments("-D -p 23").parse("sshd", &["/etc/ssh/sshd_config"]);
        assert_eq!(shown(&parsed)[1], "10.0.0.1:23 /etc/ssh/sshd_config:4 -p 23");
        assert_eq!(parsed.listens[1].port_from.beats.len(), 2);
    }

    #[test]
    fn the_first_address_family_wins() {
        let parsed = Tree::of(&[("/s", "AddressFamily inet\nAddressFamily any\n")]).parse("sshd", &["/s"]);
        assert_eq!(shown(&parsed), ["0.0.0.0:22 /s:1 default"]);
        assert_eq!(shown(&Tree::of(&[("/s", "")]).parse("sshd", &["/s"])), ["0.0.0.0:22 default", "[::]:22 default"]);
    }

    #[test]
    fn mistakes_are_problems() {
        let parsed = Tree::of(&[("/s", "Port x\nListenAddress a:b\nAddressFamily 4\n")]).parse("sshd", &["/s"]);
        assert_eq!(parsed.problems.iter().map(|p| p.line).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
    }
}

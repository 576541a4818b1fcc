//! Postfix: `inet_interfaces` and `inet_protocols` of main.cf, the `inet` services of master.cf.
//!
//! From real ones (Debian 12):
//! ```text
//! inet_interfaces = loopback-only
//! inet_protocols = all
//! ```
//! ```text
//! smtp      inet  n       -       y       -       -       smtpd
//! 127.0.0.1:10025 inet  n  -  y  -  -  smtpd
//! ```
//!
//! As Postfix reads them (postconf(5), master(5)): a line that begins with a blank goes on from the one before; `#` only at a
//! line's start is a comment; the last setting of a name wins; a service with an address of its own does not ask
//! inet_interfaces. `$name`s in the values that matter are followed one step; a service's name that is no number is looked
//! up among the few that mail uses.

use super::reading::{Reading, folder, join};
use super::settings::{ANY_V4, ANY_V6, Addresses, Said, address, endpoint, last_addresses, port};
use super::text::Text;
use super::{Files, Parsed, Start};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::{ConfiguredListen, ListenAddress, Location, Origin, Protocol, Setting};

/// Reads main.cf, and master.cf beside it.
pub(super) fn parse(start: &Start<'_>, files: &mut dyn Files) -> Parsed {
    let mut reading = Reading::new(files);
    let (mut interfaces, mut protocols) = (Vec::new(), None);
    let Some(main) = start.files.first() else { return reading.done() };
    if let Some(text) = reading.text(main, None) {
        reading.out.place = Some(Location { path: main.clone(), line: text.count() + 1 });
        for (number, span, logical) in logical_lines(&text) {
            let Some((name, value)) = logical.split_once('=') else {
                reading.problem(main, Some(number), "no `=`", true);
                continue;
            };
            let value = value.trim();
            let origin = text.origin(value_span(&text, &span));
            match name.trim() {
                "inet_interfaces" if value.contains('$') => {
                    let why = format!("`{value}` names other settings, which are not followed");
                    reading.problem(main, Some(number), why, true);
                }
                "inet_interfaces" => interfaces.push(Said::new(value.to_owned(), origin)),
                "inet_protocols" => protocols = Some(value.to_owned()),
                _ => {}
            }
        }
    }
    let families = protocols.as_deref().unwrap_or("all");
    let (v4, v6) = (
        !families.contains("ipv6") || families.contains("ipv4"),
        !families.contains("ipv4") || families.contains("ipv6"),
    );
    let said: Vec<Said<Addresses>> =
        interfaces.into_iter().map(|said| Said::new(addresses(&said.value, v4, v6), said.origin)).collect();
    let every = Origin::Default("without inet_interfaces Postfix listens on every address".to_owned());
    let (bind, bind_from) = last_addresses(said, Said::new(addresses("all", v4, v6), every));

    if let Some(text) = reading.text(&join(folder(main), "master.cf"), None) {
        for (number, span, logical) in logical_lines(&text) {
            let mut fields = logical.split_whitespace();
            let (Some(name), Some("inet")) = (fields.next(), fields.next()) else { continue };
            let (host, service) = endpoint(name);
            let (host, service) = match service {
                Some(service) => (host, service),
                None => (None, name),
            };
            let Some(port) = port(service).or_else(|| known_port(service)) else {
                reading.problem(&text.path, Some(number), format!("the port of `{service}` is not known"), true);
                continue;
            };
            let port_from = Setting::from(text.origin(span.start..span.start + name.len()));
            let own: Addresses = host.map(|host| vec![(address(host), None)]).unwrap_or_default();
            let (list, address_from) = if own.is_empty() { (&bind, &bind_from) } else { (&own, &port_from) };
            for (address, v6only) in list {
                reading.out.listens.push(ConfiguredListen {
                    address: address.clone(),
                    port,
                    protocol: Protocol::Tcp,
                    v6only: *v6only,
                    address_from: address_from.clone(),
                    port_from: port_from.clone(),
                });
            }
        }
    }
    reading.done()
}

/// Services(5) of mail.
fn known_port(name: &str) -> Option<u16> {
    Some(match name {
        "smtp" | "mail" => 25,
        "smtps" | "submissions" | "ssmtp" => 465,
        "submission" => 587,
        "qmqp" => 628,
        _ => return None,
    })
}

fn addresses(value: &str, v4: bool, v6: bool) -> Addresses {
    let mut all = Addresses::new();
    for word in value.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
        match word {
            "all" => all.extend([(ANY_V4, None), (ANY_V6, Some(true))]),
            "loopback-only" => all.extend([
                (ListenAddress::Ip(Ipv4Addr::LOCALHOST.into()), None),
                (ListenAddress::Ip(Ipv6Addr::LOCALHOST.into()), None),
            ]),
            word => all.push((address(word), None)),
        }
    }
    all.retain(|(address, _)| match address {
        ListenAddress::Ip(ip) => ip.is_ipv4() && v4 || ip.is_ipv6() && v6,
        _ => true,
    });
    all
}

/// Lines joined with those that go on from them: the number of the first, its bytes in the file, and the whole text.
fn logical_lines(text: &Text) -> Vec<(u32, Range<usize>, String)> {
    let mut all: Vec<(u32, Range<usize>, String)> = Vec::new();
    for (number, start, line) in text.lines() {
        let first = line.first().copied();
        if line.trim_ascii().is_empty() || line.trim_ascii_start().starts_with(b"#") {
            continue;
        }
        match all.last_mut() {
            Some(last) if first.is_some_and(|b| b.is_ascii_whitespace()) => {
                if last.2.len() < 100_000 {
                    last.2.push(' ');
                    last.2.push_str(from_bytes(line).trim());
                }
                last.1.end = start + line.len();
            }
            _ => all.push((number, start..start + line.len(), from_bytes(line))),
        }
    }
    all
}

/// The bytes of the value of `name = value`.
fn value_span(text: &Text, span: &Range<usize>) -> Range<usize> {
    let bytes = &text.bytes[span.clone()];
    let from = bytes.iter().position(|&b| b == b'=').map_or(0, |at| at + 1);
    let blanks = bytes[from..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    let end = bytes.trim_ascii_end().len();
    let from = (from + blanks).min(end);
    span.start + from..span.start + end
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tree, shown};

    const MASTER: &str = "# x\nsmtp inet n - y - - smtpd\n#submission inet n - y - - smtpd\n  -o a=b\n127.0.0.1:10025 inet n - y - - smtpd\n  -o c=d\npickup unix n - y 60 1 pickup\n";

    #[test]
    fn main_and_master() {
        let tree = Tree::of(&[
            (
                "/etc/postfix/main.cf",
                "myhostname = x\ninet_interfaces = all\ninet_protocols = all\ninet_interfaces =  127.0.0.1,\n   10.0.0.1\n",
            ),
            ("/etc/postfix/master.cf", MASTER),
        ]);
        let parsed = tree.parse("postfix", &["/etc/postfix/main.cf"]);
        assert_eq!(parsed.problems, []);
        assert_eq!(
            shown(&parsed),
            [
                "127.0.0.1:25 /etc/postfix/main.cf:4 /etc/postfix/master.cf:2",
                "10.0.0.1:25 /etc/postfix/main.cf:4 /etc/postfix/master.cf:2",
                "127.0.0.1:10025 /etc/postfix/master.cf:5",
            ]
        );
        assert_eq!(parsed.listens[0].address_from.beats[0].origin.line().unwrap().value(), Some("all"));
        assert_eq!(parsed.listens[0].address_from.origin.line().unwrap().value, None, "it goes on in the next line");
    }

    #[test]
    fn loopback_only_in_one_family() {
        let tree = Tree::of(&[
            ("/p/main.cf", "inet_interfaces = loopback-only\ninet_protocols = ipv4\n"),
            ("/p/master.cf", "smtp inet n - y - - smtpd\n"),
        ]);
        let parsed = tree.parse("postfix", &["/p/main.cf"]);
        assert_eq!(shown(&parsed), ["127.0.0.1:25 /p/main.cf:1 /p/master.cf:1"]);
        assert_eq!(
            parsed.listens[0].address_from.origin.line().unwrap().with_value("all").unwrap(),
            "inet_interfaces = all"
        );
    }

    #[test]
    fn what_is_not_known_is_said() {
        let tree = Tree::of(&[
            ("/p/main.cf", "inet_interfaces = $myhostname\nx\n"),
            ("/p/master.cf", "odd inet n - y - - smtpd\n"),
        ]);
        let parsed = tree.parse("postfix", &["/p/main.cf"]);
        assert_eq!(parsed.problems.len(), 3);
    }
}

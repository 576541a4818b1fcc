//! mongod.conf: `net.bindIp`, `net.port`, in YAML.
//!
//! From a real one (MongoDB 7.0 packages):
//! ```text
//! # network interfaces
//! net:
//!   port: 27017
//!   bindIp: 127.0.0.1
//! ```
//!
//! As mongod reads it (manual "Configuration File Options"): a mapping in block style, dotted names (`net.port: 1`) may be
//! used; `bindIp` is a list with commas; `bindIpAll: true` is every address; `ipv6: true` opens IPv6 as well; without any it
//! is localhost (since 3.6), port 27017. The command line beats the file. Flow style, anchors and other means of YAML that
//! a mongod.conf hardly has are said to be not understood.

use super::arguments::{flag, values};
use super::reading::Reading;
use super::settings::{ANY_V4, ANY_V6, Addresses, Said, address, last_addresses, last_port, listen_on, port};
use super::text::Text;
use super::{Files, Parsed, Start};
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::{ListenAddress, Origin, Protocol};

#[derive(Default)]
struct Mongo {
    bind: Vec<Said<String>>,
    all: Option<Origin>,
    port: Vec<Said<u16>>,
    ipv6: bool,
}

/// Reads mongod.conf and the command line.
pub(super) fn parse(start: &Start<'_>, files: &mut dyn Files) -> Parsed {
    let mut reading = Reading::new(files);
    let mut mongo = Mongo::default();
    for path in start.files {
        let Some(text) = reading.text(path, None) else { continue };
        mongo.file(&mut reading, &text);
    }
    let given = values(start.arguments, &["--bind_ip"]);
    if !given.is_empty() {
        mongo.all = None;
    }
    mongo.bind.extend(given.into_iter().map(|given| Said::new(given.value, given.origin)));
    mongo.all = flag(start.arguments, &["--bind_ip_all"]).or(mongo.all);
    mongo.ipv6 |= flag(start.arguments, &["--ipv6"]).is_some();
    let number = |given: super::arguments::Given| Some(Said::new(port(&given.value)?, given.origin));
    mongo.port.extend(values(start.arguments, &["--port"]).into_iter().filter_map(number));
    mongo.finish(&mut reading.out);
    reading.done()
}

impl Mongo {
    fn file(&mut self, reading: &mut Reading<'_>, text: &Text) {
        // The names of the mappings that are open, with their indents.
        let mut open: Vec<(usize, String)> = Vec::new();
        for (number, start, line) in text.lines() {
            let code = uncommented(line);
            let trimmed = code.trim_ascii();
            if trimmed.is_empty() || trimmed == b"---" || trimmed == b"..." || trimmed.starts_with(b"%") {
                continue;
            }
            let indent = code.len() - code.trim_ascii_start().len();
            if code[..indent].contains(&b'\t') {
                reading.problem(&text.path, Some(number), "a tab indents: no YAML", true);
                continue;
            }
            open.retain(|(outer, _)| *outer < indent);
            let Some(colon) = trimmed.iter().position(|&b| b == b':') else { continue };
            let name = from_bytes(&trimmed[..colon]).trim_matches(['"', '\'']).to_owned();
            let within =
                open.iter().map(|(_, name)| name.as_str()).chain([name.as_str()]).collect::<Vec<_>>().join(".");
            let behind = indent + colon + 1;
            let raw = code[behind..].trim_ascii_start();
            let from = code.len() - raw.len();
            let value = raw.trim_ascii_end();
            if value.is_empty() {
                if reading.out.place.is_none() && within == "net" {
                    reading.out.place = Some(text.location(number + 1));
                }
                open.push((indent, name));
                continue;
            }
            if value.starts_with(b"{") && within == "net" || value.starts_with(b"[") && within.starts_with("net.bind") {
                let why = format!("`{within}` is written in YAML's flow style, which is not understood here");
                reading.problem(&text.path, Some(number), why, true);
                continue;
            }
            let quoted = value.len() > 1 && matches!(value[0], b'"' | b'\'') && value.last() == value.first();
            let inner = usize::from(quoted);
            let shown = from_bytes(&value[inner..value.len() - inner]);
            let origin = text.origin(start + from + inner..start + from + value.len() - inner);
            match within.as_str() {
                "net.bindIp" => self.bind.push(Said::new(shown, origin)),
                "net.bindIpAll" if shown == "true" => self.all = Some(origin),
                "net.ipv6" => self.ipv6 = shown == "true",
                "net.port" => match port(&shown) {
                    Some(port) => self.port.push(Said::new(port, origin)),
                    None => reading.problem(&text.path, Some(number), format!("`{shown}` is no port"), true),
                },
                _ => {}
            }
        }
    }

    fn finish(self, out: &mut Parsed) {
        let localhost = Said::new(
            vec![(ListenAddress::Name("localhost".to_owned()), None)],
            Origin::Default("without net.bindIp mongod listens on localhost".to_owned()),
        );
        let ipv6 = self.ipv6;
        let every = || match ipv6 {
            true => vec![(ANY_V4, None), (ANY_V6, Some(true))],
            false => vec![(ANY_V4, None)],
        };
        let addresses = |text: &str| -> Addresses {
            let one = |part: &str| match address(part) {
                ListenAddress::Any => every(),
                ListenAddress::Ip(ip) if ip.is_ipv6() && !ipv6 => Vec::new(),
                ip if ip == ANY_V6 => vec![(ip, Some(true))],
                other => vec![(other, None)],
            };
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).flat_map(one).collect()
        };
        let mut said: Vec<Said<Addresses>> =
            self.bind.into_iter().map(|said| Said::new(addresses(&said.value), said.origin)).collect();
        if let Some(origin) = self.all {
            said.push(Said::new(every(), origin));
        }
        let bind = last_addresses(said, localhost);
        let port = last_port(self.port, Said::new(27017, Origin::Default("mongod's port is 27017".to_owned())));
        listen_on(out, &bind, &port, Protocol::Tcp);
    }
}

/// A line without its comment: `#` at its start or behind a blank, outside of quotes.
fn uncommented(line: &[u8]) -> &[u8] {
    let mut quote = None;
    for (at, &byte) in line.iter().enumerate() {
        match (quote, byte) {
            (None, b'#') if at == 0 || line[at - 1].is_ascii_whitespace() => return &line[..at],
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tree, shown};

    #[test]
    fn the_packages_file() {
        let text = "storage:\n  dbPath: /var/lib/mongodb\n# network interfaces\nnet:\n  port: 27018   # x\n  bindIp: \"127.0.0.1,::1,db1\"\n  tls:\n    port: 9\nsecurity:\n  port: 8\n";
        let tree = Tree::of(&[("/etc/mongod.conf", text)]);
        let parsed = tree.clone().parse("mongodb", &["/etc/mongod.conf"]);
        assert_eq!(
            shown(&parsed),
            [
                "127.0.0.1:27018 /etc/mongod.conf:6 /etc/mongod.conf:5",
                "db1:27018 /etc/mongod.conf:6 /etc/mongod.conf:5"
            ]
        );
        let line = parsed.listens[0].address_from.origin.line().unwrap();
        assert_eq!(line.with_value("0.0.0.0").unwrap(), "  bindIp: \"0.0.0.0\"");
        let parsed =
            tree.arguments("--config /etc/mongod.conf --bind_ip_all --port 1").parse("mongodb", &["/etc/mongod.conf"]);
        assert_eq!(shown(&parsed), ["0.0.0.0:1 --bind_ip_all --port 1"]);
    }

    #[test]
    fn other_forms() {
        assert_eq!(
            shown(&Tree::of(&[("/m", "net.bindIp: 10.0.0.1\n")]).parse("mongodb", &["/m"])),
            ["10.0.0.1:27017 /m:1 default"]
        );
        let parsed = Tree::of(&[("/m", "net:\n  bindIpAll: true\n  ipv6: true\n")]).parse("mongodb", &["/m"]);
        assert_eq!(shown(&parsed), ["0.0.0.0:27017 /m:2 default", "[::]:27017 /m:2 default"]);
        assert_eq!(shown(&Tree::of(&[("/m", "net:\n")]).parse("mongodb", &["/m"])), ["localhost:27017 default"]);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let parsed = Tree::of(&[("/m", "net: { port: 1 }\nnet:\n\tport: 2\n  port: x\n  bindIp: [a]\n")])
            .parse("mongodb", &["/m"]);
        assert_eq!(parsed.problems.iter().map(|p| p.line).collect::<Vec<_>>(), [Some(1), Some(3), Some(4), Some(5)]);
    }
}

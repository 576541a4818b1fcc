//! memcached: `-l`, `-p`, `-U`, `-s` on its command line, which distributions keep in a file.
//!
//! From a real one (Debian 12, /etc/memcached.conf; its wrapper reads one option a line, `#` begins a comment):
//! ```text
//! # Default connection port is 11211
//! -p 11211
//! -l 127.0.0.1
//! -l ::1
//! ```
//! RHEL's /etc/sysconfig/memcached has shell variables instead:
//! ```text
//! PORT="11211"
//! OPTIONS="-l 127.0.0.1,::1"
//! ```
//!
//! As memcached reads it (memcached.c, main; memcached(1)): several `-l` add up, each may be a list with commas, each may
//! have a port of its own; the last `-p` wins; `-U` is 0 since 1.5.6; `-s` makes it a unix socket only. The running process
//! has the options in its command line: a file that says otherwise was changed since, or is not what starts it.

use super::arguments::{flag, values};
use super::lexer::{Comment, Syntax, lines};
use super::reading::Reading;
use super::settings::{Addresses, Said, address, endpoint, last_port, listen_on, port};
use super::{Files, Parsed, Start};
use unrefuse_facts::{ListenAddress, Location, Origin, Protocol, Setting};

const SYNTAX: Syntax = Syntax {
    comment: Comment::Anywhere,
    quotes: b"",
    escapes: false,
    punctuation: b"=\"'",
    lines: true,
    joins: false,
    variables: false,
};

#[derive(Default)]
struct Options {
    bind: Vec<Said<(ListenAddress, Option<u16>)>>,
    port: Vec<Said<u16>>,
    udp: Vec<Said<u16>>,
    socket: Vec<Said<String>>,
}

/// Reads the file of options; without one, the command line of the running process.
pub(super) fn parse(start: &Start<'_>, files: &mut dyn Files) -> Parsed {
    let mut reading = Reading::new(files);
    let mut options = Options::default();
    for path in start.files {
        let Some(text) = reading.text(path, None) else { continue };
        reading.out.place = Some(Location { path: path.clone(), line: text.count() + 1 });
        let (lines, _) = lines(&text.bytes, SYNTAX);
        for line in &lines {
            let words: Vec<_> = line.iter().filter(|w| !matches!(w.text.as_str(), "=" | "\"" | "'")).collect();
            for (index, word) in words.iter().enumerate() {
                let next = words.get(index + 1);
                // `-p11211`, `-p 11211`; `PORT="11211"`.
                let (option, value) = match (word.text.get(..2), next) {
                    (Some(option @ ("-l" | "-p" | "-U" | "-s")), _) if word.text.len() > 2 => (option, *word),
                    (Some(option @ ("-l" | "-p" | "-U" | "-s")), Some(next)) if word.text.len() == 2 => (option, *next),
                    _ if word.text == "PORT" && next.is_some() => ("-p", words[index + 1]),
                    _ => continue,
                };
                let inline = std::ptr::eq(value, *word);
                let text_of = if inline { &value.text[2..] } else { value.text.as_str() };
                let span = if inline { value.span.start + 2..value.span.end } else { value.span.clone() };
                if !options.option(option, text_of, &text.origin(span)) {
                    reading.problem(path, Some(value.line), format!("`{option} {text_of}` is no port"), true);
                }
            }
        }
    }
    if start.files.is_empty() || reading.out.files.is_empty() {
        for option in ["-l", "-p", "-U", "-s"] {
            let long = match option {
                "-l" => "--listen",
                "-p" => "--port",
                "-U" => "--udp-port",
                _ => "--unix-socket",
            };
            for given in values(start.arguments, &[option, long]) {
                options.option(option, &given.value, &given.origin);
            }
        }
        // The command line is all there is: a main file that is not there is no problem.
        if flag(start.arguments, &["-l", "-p", "-s", "-d", "-u", "-m"]).is_some() {
            reading.out.problems.clear();
        }
    }
    options.finish(&mut reading.out);
    reading.done()
}

impl Options {
    /// `false` where the value is none.
    fn option(&mut self, option: &str, value: &str, origin: &Origin) -> bool {
        let number = if value == "0" { Some(0) } else { port(value) };
        match (option, number) {
            ("-l", _) => {
                for part in value.split(',').filter(|part| !part.is_empty()) {
                    let (host, own) = endpoint(part);
                    let address = host.map_or(ListenAddress::Any, address);
                    self.bind.push(Said::new((address, own.and_then(port)), origin.clone()));
                }
            }
            ("-s", _) => self.socket.push(Said::new(value.to_owned(), origin.clone())),
            ("-p", Some(number)) => self.port.push(Said::new(number, origin.clone())),
            ("-U", Some(number)) => self.udp.push(Said::new(number, origin.clone())),
            _ => return false,
        }
        true
    }

    fn finish(self, out: &mut Parsed) {
        if let Some(socket) = self.socket.into_iter().next_back() {
            let setting = Setting::from(socket.origin);
            let unix = (vec![(ListenAddress::Unix(socket.value), None)], setting.clone());
            listen_on(out, &unix, &(0, setting.clone()), Protocol::Unix);
            out.disabled = Some(setting);
            return;
        }
        let usual = Said::new(11211, Origin::Default("memcached's port is 11211".to_owned()));
        let tcp = last_port(self.port, usual);
        let udp = last_port(self.udp, Said::new(0, Origin::Default("-U is 0 since 1.5.6".to_owned())));
        if tcp.0 == 0 {
            out.disabled = Some(tcp.1.clone());
        }
        let mut binds: Vec<((ListenAddress, Option<u16>), Origin)> =
            self.bind.into_iter().map(|said| (said.value, said.origin)).collect();
        if binds.is_empty() {
            let origin = Origin::Default("without -l memcached listens on every address".to_owned());
            binds.push(((ListenAddress::Any, None), origin));
        }
        for ((address, own), origin) in binds {
            let addresses: Addresses = vec![(address, None)];
            let bind = (addresses, Setting::from(origin.clone()));
            for (port, protocol) in [(&tcp, Protocol::Tcp), (&udp, Protocol::Udp)] {
                // The address is told all the same where TCP is switched off.
                if port.0 != 0 || protocol == Protocol::Tcp {
                    let own = own.map(|own| (own, Setting::from(origin.clone())));
                    listen_on(out, &bind, own.as_ref().unwrap_or(port), protocol);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tree, shown};

    #[test]
    fn debians_file() {
        let text = "# Run as a daemon\n-d\n-m 64\n-p 11211\n-u memcache\n-l 127.0.0.1\n-l ::1 # six\n-P /var/run/memcached/memcached.pid\n";
        let parsed = Tree::of(&[("/etc/memcached.conf", text)]).parse("memcached", &["/etc/memcached.conf"]);
        assert_eq!(
            shown(&parsed),
            [
                "127.0.0.1:11211 /etc/memcached.conf:6 /etc/memcached.conf:4",
                "[::1]:11211 /etc/memcached.conf:7 /etc/memcached.conf:4"
            ]
        );
        let line = parsed.listens[0].address_from.origin.line().unwrap();
        assert_eq!(line.with_value("0.0.0.0").unwrap(), "-l 0.0.0.0");
    }

    #[test]
    fn rhels_file() {
        let text = "PORT=\"11212\"\nUSER=\"memcached\"\nOPTIONS=\"-l 127.0.0.1,::1\"\n";
        let parsed = Tree::of(&[("/m", text)]).parse("memcached", &["/m"]);
        assert_eq!(shown(&parsed), ["127.0.0.1:11212 /m:3 /m:1", "[::1]:11212 /m:3 /m:1"]);
        assert_eq!(parsed.listens[0].address_from.origin.line().unwrap().value(), Some("127.0.0.1,::1"));
    }

    #[test]
    fn the_command_line_alone() {
        let parsed = Tree::of(&[]).arguments("-m 64 -p 11300 -l 10.0.0.1:99 -U 11300").parse("memcached", &[]);
        assert_eq!(shown(&parsed), ["10.0.0.1:99 -l 10.0.0.1:99", "10.0.0.1:99/udp -l 10.0.0.1:99"]);
        assert_eq!(shown(&Tree::of(&[]).parse("memcached", &[])), ["*:11211 default"]);
    }

    #[test]
    fn a_socket_or_port_0_switches_tcp_off() {
        let parsed = Tree::of(&[("/m", "-s /run/m.sock\n")]).parse("memcached", &["/m"]);
        assert_eq!((shown(&parsed), parsed.disabled.is_some()), (vec!["/run/m.sock /m:1".to_owned()], true));
        let parsed = Tree::of(&[("/m", "-p 0\n")]).parse("memcached", &["/m"]);
        assert_eq!((shown(&parsed), parsed.disabled.is_some()), (vec!["*:0 default /m:1".to_owned()], true));
    }
}
